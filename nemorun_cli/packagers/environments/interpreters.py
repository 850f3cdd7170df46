"""Finds the Pythons of this machine, and the program that installs packages for them; downloads neither."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 20.0  # seconds that an interpreter may take to say what it is
OLDEST: Final = (3, 8)  # what runs partials
EXTRA: Final = "install it: pip install 'nemorun-cli[uv]'"

_QUESTION: Final = (
    "import json, os, sys, sysconfig;"
    "print(json.dumps([os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable),"
    " '.'.join(map(str, sys.version_info[:3])), sysconfig.get_platform()]))"
)


class EnvironmentFault(Exception):  # noqa: N818 - a fault of the spec or of this machine, not of the program
    """Why an environment cannot be used; `hint` has the remedy, `key` is what is wrong in `python`."""

    def __init__(self, message: str, *, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.key = message, hint, key


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python of this machine: its path without links, its version and its platform."""

    path: str
    version: str
    platform: str


def installer() -> str:
    """The path of uv.

    Raises:
        EnvironmentFault: it is not installed.
    """
    if importlib.util.find_spec("uv") is not None:
        from uv import find_uv_bin  # noqa: PLC0415 - it belongs to an extra

        try:
            return str(find_uv_bin())
        except FileNotFoundError:
            pass  # its program was removed, but another one may be on the PATH
    if program := shutil.which("uv"):
        return program
    raise EnvironmentFault("uv is not installed, which makes the environment", hint=EXTRA)


def find(version: str | None) -> Interpreter:
    """The Python of a version such as 3.12 or 3.12.4; without one, the `python3` on the PATH.

    Raises:
        EnvironmentFault: this machine has none; the hint lists those that it has.
    """
    if version is None:
        for interpreter in _candidates(("python3", "python"), ""):
            return _new_enough(interpreter)
        raise EnvironmentFault(
            "there is no python3 on the PATH", hint="name one that is installed by `version`"
        )
    short = ".".join(version.split(".")[:2])
    for interpreter in _candidates((f"python{version}", f"python{short}", "python3", "python"), version):
        if _is_of(interpreter, version):
            return _new_enough(interpreter)
    known = sorted(versions(), key=lambda text: [int(part) for part in text.split(".")])
    have = f"this machine has {', '.join(known)}" if known else "this machine has none that was found"
    raise EnvironmentFault(
        f"there is no Python {version} on this machine",
        hint=f"{have}; install it, or choose one of these: none is downloaded",
        key="version",
    )


def versions() -> set[str]:
    """The versions of the Pythons that are found on this machine."""
    names = sorted(
        {
            path.name
            for folder in _folders()
            for path in Path(folder).glob("python3*")
            if re.fullmatch(r"python3(\.[0-9]+)?", path.name)
        }
    )
    return {interpreter.version for interpreter in _candidates(tuple(names), "3")}


def _is_of(interpreter: Interpreter, version: str) -> bool:
    return interpreter.version == version or interpreter.version.startswith(f"{version}.")


def _new_enough(interpreter: Interpreter) -> Interpreter:
    if tuple(map(int, interpreter.version.split(".")[:2])) < OLDEST:
        message = f"Python {interpreter.version} is too old: partials and uv need 3.{OLDEST[1]} or later"
        raise EnvironmentFault(message, hint="choose a later version", key="version")
    return interpreter


def _folders() -> list[str]:
    return list(dict.fromkeys(filter(os.path.isabs, os.environ.get("PATH", os.defpath).split(os.pathsep))))


def _candidates(names: tuple[str, ...], version: str) -> Iterator[Interpreter]:
    """The working Pythons with these names on the PATH, then those that installers of Python have made."""
    for name in names:
        for folder in _folders():
            path = f"{folder}/{name}"
            if os.access(path, os.X_OK) and (interpreter := ask(path)) is not None:
                yield interpreter
    for root, pattern in _elsewhere() if version else ():
        for found in sorted(root.glob(pattern.format(version)), reverse=True):
            if (interpreter := ask(str(found))) is not None:
                yield interpreter


def _elsewhere() -> Iterator[tuple[Path, str]]:
    """Where installers of Python put their versions, for a PATH that does not have them."""
    pyenv, uv = os.environ.get("PYENV_ROOT"), os.environ.get("UV_PYTHON_INSTALL_DIR")
    home = Path(os.environ.get("HOME", "/"))
    yield Path(pyenv) if pyenv else home / ".pyenv", "versions/{}*/bin/python3"
    yield Path(uv) if uv else home / ".local/share/uv/python", "cpython-{}*/bin/python3"
    yield Path("/usr/local/bin"), "python{}"
    yield Path("/usr/bin"), "python{}"
    yield Path("/opt/python"), "{}*/bin/python3"


@functools.cache
def ask(path: str) -> Interpreter | None:
    """The facts that a Python reports; None if it does not work, as a shim of pyenv without a version."""
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", _QUESTION],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
        real, version, platform = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(str(real), str(version), str(platform))
