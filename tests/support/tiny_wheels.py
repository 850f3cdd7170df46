"""A package so small that its wheel is written by hand: no build, and nothing from a network."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAME = "tinypkg"

BACKEND = """\
import os, shutil, time
def build_wheel(folder, settings=None, metadata=None):
    open("../building", "w").close()
    while os.path.exists("../hold"):
        time.sleep(0.02)
    if os.path.exists("../broken"):
        raise SystemExit("the compiler refused it")
    name = next(name for name in os.listdir("wheels"))
    shutil.copy(f"wheels/{name}", folder)
    return name
"""


def wheel(folder: Path, *, version: str = "1.0", value: int = 42) -> Path:
    """A wheel of `tinypkg`, whose module has `VALUE`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    info = f"{NAME}-{version}.dist-info"
    files = {
        f"{NAME}.py": f"VALUE = {value}\n\ndef value():\n    return {{'value': VALUE}}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: exp\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def slow_project(folder: Path) -> Path:
    """A project whose build waits while a file `hold` is next to its folder, and fails if `broken` is."""
    wheel(folder / "wheels")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{NAME}"\nversion = "1.0"\n'
    )
    return folder
