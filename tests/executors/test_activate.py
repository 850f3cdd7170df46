"""The program that starts tasks in a Python environment, run by each shell there is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.executors.planning import ACTIVATE

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = [
    pytest.param(argv, id=argv[0])
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "sh"], ["ksh"], ["zsh", "--emulate", "sh"])
    if shutil.which(argv[0])
]
SHOWS = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
OUTER = {"PATH": "/usr/bin:/bin", "VIRTUAL_ENV": "/outer", "CONDA_PREFIX": "/outer", "PYTHONHOME": "/outer"}


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment whose path needs quotes."""
    folder = tmp_path / "an env 'odd' $name" / "train"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def run(shell: list[str], *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*shell, str(ACTIVATE), *words], env=env or OUTER, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("kind", ["uv", "conda"])
def test_a_program_runs_in_the_environment(shell: list[str], kind: str, prefix: Path) -> None:
    """Its programs come first, its variable is set, those of other environments are not, arguments arrive."""
    done = run(shell, kind, str(prefix), "python", "-c", SHOWS, "two words", "", "$x\n")
    words, env = json.loads(done.stdout)
    assert words == ["two words", "", "$x\n"]
    assert env["PATH"] == f"{prefix}/bin:/usr/bin:/bin"
    variables = ("VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PYTHONHOME")
    found = {name: env[name] for name in variables if name in env}
    wanted = {"CONDA_PREFIX": str(prefix), "CONDA_DEFAULT_ENV": "train"}
    assert found == (wanted if kind == "conda" else {"VIRTUAL_ENV": str(prefix)})
    assert not [name for name in env if name.startswith("EXP_")]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_missing_is_named(shell: list[str], prefix: Path) -> None:
    """Without the environment, or the program, nothing runs on what the PATH has otherwise."""
    done = run(shell, "venv", str(prefix), "no-such-program")
    assert (done.returncode, done.stdout) == (127, "")
    assert (
        done.stderr == f"exp: there is no program no-such-program in {prefix}/bin or elsewhere on the PATH\n"
    )
    (prefix / "bin" / "python").unlink()
    done = run(shell, "venv", str(prefix), "true")
    assert done.returncode == 127
    assert f"there is no Python environment in {prefix}" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_it_becomes_the_program(shell: list[str], prefix: Path) -> None:
    """No process is left between the shim and the task, and its exit code is that of the program."""
    done = run(shell, "venv", str(prefix), "sh", "-c", 'echo "$PPID"; kill -TERM $$')
    assert done.returncode == -15
    assert int(done.stdout) > 1
