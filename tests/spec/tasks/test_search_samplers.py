"""The packages that samplers need: what is missing is a problem of the spec, before anything runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from support.documents import ROOT

SEARCH: Final = {
    "params": {"a": {"type": "float", "low": 0, "high": 1}, "b": {"type": "float", "low": 0, "high": 1}},
    "metric": "loss",
    "goal": "minimize",
    "trials": 3,
}
INSTALL: Final = "install it: pip install 'nemorun-cli[search]'"


def problems(folder: Path, *paths: Path, **samplers: str) -> dict[str, tuple[str, str]]:
    """The message and the hint of each problem, by its place, for searches with these samplers."""
    tasks = {
        name: {"command": "true", "search": {**SEARCH, "sampler": sampler}}
        for name, sampler in samplers.items()
    }
    spec = folder / "spec.yaml"
    spec.write_text(json.dumps({"name": "x", "tasks": tasks}))
    done = subprocess.run(
        [sys.executable, "-S", "-m", "nemorun_cli", "validate", "--json", str(spec)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *paths)))},
        capture_output=True,
        text=True,
        check=False,
    )
    return {found["path"]: (found["message"], found["hint"]) for found in json.loads(done.stdout)["problems"]}


def test_what_is_not_installed_is_a_problem_of_the_spec(tmp_path: Path) -> None:
    """Optuna and the packages of a sampler are looked for, and the hint installs them."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(("optuna", "cmaes")):
            (packages / entry.name).symlink_to(entry)
    assert problems(tmp_path, packages, a="tpe", b="cmaes") == {
        "tasks.a.search.sampler": ("search needs optuna, which is not installed", INSTALL),
        "tasks.b.search.sampler": ("search needs optuna and cmaes, which are not installed", INSTALL),
    }


def test_an_optuna_that_is_too_old_is_a_problem_of_the_spec(tmp_path: Path) -> None:
    """The version is that of the installed package, which is not imported for it."""
    old = tmp_path / "optuna-3.6.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Name: optuna\nVersion: 3.6.1\n")
    found = problems(tmp_path, tmp_path, Path(sysconfig.get_path("purelib")), a="tpe")
    assert found == {"tasks.a.search.sampler": ("needs Optuna 4 or later, not 3.6.1", INSTALL)}
