"""Installs the PyTorch that the extra test-torch pins, if that is a build for the CPU.

    python torch_build.py --installed | --install

--installed  the exit code says whether it is installed already
--install    asks pip first what it would download: with what it needs, a build for GPUs has gigabytes
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from pip._vendor.packaging.requirements import Requirement

PYPROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
FOR_GPUS: Final = ("cuda", "nvidia", "triton")  # how packages begin that builds for GPUs need
TIMEOUT: Final = 1800.0  # seconds


def pin() -> Requirement:
    """The requirement on PyTorch of the extra."""
    extras = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return next(Requirement(text) for text in extras["test-torch"] if text.startswith("torch=="))


def is_installed() -> bool:
    """Whether this environment has the pinned version."""
    try:
        return pin().specifier.contains(importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return False


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What pip answers."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT)


def needed_for_gpus(report: str) -> list[str]:
    """What the build in pip's report needs on this machine that only GPUs use."""
    (chosen,) = json.loads(report)["install"]
    requirements = map(Requirement, chosen["metadata"].get("requires_dist", ()))
    return [
        one.name
        for one in requirements
        if one.name.startswith(FOR_GPUS) and (one.marker is None or one.marker.evaluate({"extra": ""}))
    ]


def install() -> None:
    """Install it, or end with the reason why not."""
    wanted = str(pin())
    asked = pip(
        "--use-feature=fast-deps", "--dry-run", "--no-deps", "--ignore-installed", "--report", "-", wanted
    )
    if asked.returncode:
        raise SystemExit(f"tests/run: pip finds no {wanted} for this Python: {asked.stderr.strip()}")
    if needed := needed_for_gpus(asked.stdout):
        raise SystemExit(
            f"tests/run: pip would install a build of {wanted} for GPUs, which needs {', '.join(needed)}\n"
            "hint: PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu has builds for the CPU"
        )
    done = pip(wanted)
    if done.returncode:
        raise SystemExit(f"tests/run: {wanted} cannot be installed: {done.stderr.strip()}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--installed"]:
        sys.exit(not is_installed())
    install()
