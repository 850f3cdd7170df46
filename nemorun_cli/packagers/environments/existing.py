"""Environments that exist on this machine: virtual ones by their path, those of conda by their name."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import choices
from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.system.files import read_bytes
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.model.python_environment import Kind

LARGEST: Final = 1 << 20  # bytes of a list of environments, or of the configuration of one
BASE: Final = "base"  # the name of conda's own environment

_DISTRIBUTION: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*)-(?P<version>[^-]+)\.(dist|egg)-info")
_CONDA_PACKAGE: Final = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.json")


def require_venv(path: Path) -> None:
    """Check that a folder is a virtual environment with a Python that can run.

    Raises:
        EnvironmentFault: it is not.
    """
    if not path.is_dir():
        raise EnvironmentFault(f"there is no folder {path}", hint=f"make it: python3 -m venv {path}")
    if (path / "conda-meta").is_dir() and not (path / "pyvenv.cfg").is_file():
        raise EnvironmentFault(
            f"{path} is an environment of conda", hint=f"name it as one: {{conda: {path}}}"
        )
    _require_python(path)
    if not (path / "pyvenv.cfg").is_file():
        raise EnvironmentFault(f"{path} is not a virtual environment: it has no pyvenv.cfg")


def conda_prefix(named: str) -> Path:
    """The folder of an environment of conda, by its name, or by its path.

    Raises:
        EnvironmentFault: no environment has this name, or several have.
    """
    if "/" in named:
        path = expanded(named)
        if not (path / "conda-meta").is_dir():
            raise EnvironmentFault(f"{path} is not an environment of conda: it has no folder conda-meta")
        return _require_python(path)
    known = conda_environments()
    prefixes = known.get(named, [])
    if len(prefixes) > 1:
        listed = ", ".join(map(str, prefixes))
        raise EnvironmentFault(
            f"several environments of conda are called {named!r}: {listed}", hint="name a path"
        )
    if not prefixes:
        hint = (
            choices(named, sorted(known))
            if known
            else (
                "none was found by $CONDA_EXE, $MAMBA_ROOT_PREFIX and ~/.conda/environments.txt; name a path"
            )
        )
        raise EnvironmentFault(f"no environment of conda is called {named!r}", hint=hint)
    return _require_python(prefixes[0])


def _require_python(prefix: Path) -> Path:
    if not os.access(prefix / "bin" / "python", os.X_OK):
        raise EnvironmentFault(f"{prefix} has no bin/python that can run", hint="make the environment again")
    return prefix


def conda_environments() -> dict[str, list[Path]]:
    """The environments of conda on this machine, by name; conda itself is not run."""
    found: dict[str, list[Path]] = {}
    for name, prefix in _conda_prefixes():
        if (prefix / "conda-meta").is_dir():
            real = prefix.resolve()
            if all(other.resolve() != real for other in found.setdefault(name, [])):
                found[name].append(prefix)
    return {name: prefixes for name, prefixes in found.items() if prefixes}


def _conda_prefixes() -> Iterator[tuple[str, Path]]:
    roots = []
    if program := os.environ.get("CONDA_EXE"):
        roots.append(Path(program).absolute().parent.parent)
    if root := os.environ.get("MAMBA_ROOT_PREFIX"):
        roots.append(Path(root).absolute())
    for root_prefix in roots:
        yield BASE, root_prefix
        try:
            folders = sorted((root_prefix / "envs").iterdir())
        except OSError:
            continue
        yield from ((folder.name, folder) for folder in folders)
    try:
        listed = read_bytes(Path("~/.conda/environments.txt").expanduser(), limit=LARGEST).decode()
    except (OSError, RuntimeError, UnicodeDecodeError):
        return
    for line in listed.splitlines():
        if os.path.isabs(line.strip()):  # noqa: PTH117 - a text
            prefix = Path(line.strip())
            is_base = prefix in roots or (prefix / "condabin").is_dir()
            yield (BASE if is_base else prefix.name), prefix


def versions(kind: Kind, prefix: Path) -> tuple[str | None, dict[str, str]]:
    """The version of the Python of an environment, and those of its packages by name; nothing of it is run.

    Raises:
        EnvironmentFault: it does not exist any more.
    """
    _require_python(prefix)
    packages: dict[str, str] = {}
    for folder in sorted(prefix.glob("lib/python3*/site-packages")):
        for name in os.listdir(folder):  # noqa: PTH208 - there may be hundreds
            if match := _DISTRIBUTION.fullmatch(name):
                packages[match["name"].replace("_", "-").lower()] = match["version"]
    version = _configured_version(prefix / "pyvenv.cfg") if kind != "conda" else None
    if kind == "conda":
        for path in sorted((prefix / "conda-meta").glob("*.json")):
            if match := _CONDA_PACKAGE.fullmatch(path.name):
                packages.setdefault(match["name"].lower(), match["version"])
        version = packages.get("python")
    return version, dict(sorted(packages.items()))


def _configured_version(path: Path) -> str | None:
    """The version in `pyvenv.cfg`, which venv calls `version`, and uv and virtualenv `version_info`."""
    try:
        text = read_bytes(path, limit=LARGEST).decode(errors="replace")
    except OSError:
        return None
    match = re.search(r"^version(?:_info)?\s*=\s*([0-9]+(?:\.[0-9]+){1,2})", text, re.MULTILINE)
    return match[1] if match else None


def fingerprint(version: str | None, packages: dict[str, Any]) -> str:
    """The hash of an environment's versions, which is another one after a package was installed in it."""
    lines = [f"python {version}", *(f"{name} {packages[name]}" for name in sorted(packages))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
