"""Reads requirements as one flat list with absolute paths, and hashes the local files that they name."""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from nemorun_cli.packagers.environments.interpreters import EnvironmentFault
from nemorun_cli.system.files import read_bytes
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PROJECT: Final = "pyproject"  # stands for the file of the project in the spec's folder
PROJECT_FILE: Final = "pyproject.toml"
LARGEST: Final = 1 << 22  # bytes of a file of requirements
LARGEST_PACKAGE: Final = 1 << 32  # bytes of a local file that is hashed
MOST_FILES: Final = 10_000  # of a local folder that is installed
DEEPEST: Final = 20  # files of requirements that include each other

_FILES: Final = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_PATHS: Final = {"-e": "-e", "--editable": "-e", "-f": "--find-links", "--find-links": "--find-links"}
_ARCHIVES: Final = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")
_LEFT_OUT: Final = ("__pycache__", "build", "dist", "node_modules")
_NAMED: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*@\s*)(?P<url>\S.*)", re.DOTALL
)
_REST: Final = re.compile(r"(\s+;.*|\s+--.*)\Z", re.DOTALL)  # markers and options after a path
_EXTRAS: Final = re.compile(r"\[[A-Za-z0-9,._ -]*\]\Z")
_PASSWORD: Final = re.compile(r"://(?!\$\{)[^/@\s:]*:(?!\$\{)[^/@\s]+@|://(?!\$\{)[^/@\s:$]{20,}@")
_REMEDY: Final = "write ${NAME} for it: uv inserts the environment variable of that name"


@dataclass(slots=True)
class Requirements:
    """Lines for the installer, and the hashes of the local files that they name."""

    lines: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    host: str | None = None  # on which they are installed, with the files that it has

    def digest(self) -> str:
        """The hash of all of it."""
        digest = hashlib.sha256()
        for part in (self.lines, self.constraints, sorted(map(": ".join, self.files.items()))):
            digest.update("\n".join(part).encode(errors="surrogateescape") + b"\0")
        return digest.hexdigest()


def of_list(items: Sequence[str], folder: Path, *, host: str | None = None) -> Requirements:
    """The requirements that a spec lists, to be installed on this machine, or on a host.

    Raises:
        EnvironmentFault: one of them names a file that does not exist, or contains a password.
    """
    read = Requirements(host=host)
    for item in items:
        if "\n" in item or "\r" in item:
            raise EnvironmentFault(
                f"{item!r} has more than one line", hint="write one entry for each package"
            )
        _take(item.strip(), folder, read, read.lines, origin=repr(item.strip()), depth=0)
    return read


def of_file(path: Path, *, host: str | None = None) -> Requirements:
    """The requirements in a file, and in those that it includes; for `host` see `of_list`.

    Raises:
        EnvironmentFault: one of them cannot be read, or names a file that does not exist.
    """
    read = Requirements(host=host)
    if path.name == PROJECT_FILE:
        _take_project(path, read)
    else:
        _take_file(path, read, read.lines, depth=0)
    return read


def hash_of(path: str) -> str:
    """The hash of a local file, or of the files of a folder that matter to its installation.

    Raises:
        EnvironmentFault: it cannot be read, or is too large.
    """
    digest = hashlib.sha256()
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - the path is a text
            digest.update(read_bytes(path, limit=LARGEST_PACKAGE))
            return digest.hexdigest()
        for count, file in enumerate(_files_of(path)):
            if count >= MOST_FILES:
                message = f"{path} has more than {MOST_FILES:,} files"
                raise EnvironmentFault(message, hint="build a wheel of it, and name that")
            digest.update(f"{os.path.relpath(file, path)}\0".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(read_bytes(file, limit=LARGEST_PACKAGE)).digest())
    except OSError as error:
        raise EnvironmentFault(
            f"{error.filename or path} cannot be read: {error.strerror or error}"
        ) from error
    return digest.hexdigest()


def _files_of(folder: str) -> Iterator[str]:
    """The files of a folder, without hidden ones and what builds leave; of a link, only its target counts."""
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _LEFT_OUT and "egg-info" not in name
        )
        for name in sorted(names):
            path = os.path.join(top, name)  # noqa: PTH118 - a walk may be long
            if not name.startswith(".") and not name.endswith(".pyc") and os.path.isfile(path):  # noqa: PTH113 - the same
                yield path


def _take_file(path: Path, read: Requirements, lines: list[str], *, depth: int) -> None:
    text = _text(path)
    if depth > DEEPEST:
        raise EnvironmentFault(f"{path} is included by itself")
    for number, line in _logical_lines(text):
        _take(line, path.parent, read, lines, origin=f"line {number} of {path}", depth=depth)


def _text(path: Path) -> str:
    try:
        return read_bytes(path, limit=LARGEST).decode("utf-8-sig")
    except FileNotFoundError:
        raise EnvironmentFault(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentFault(f"{path} cannot be read: {error}") from None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines without comments, each joined with those that continue it, and the number of its first."""
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        start = start or number
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        complete = re.sub(r"(^|\s+)#.*$", "", joined + line).strip()
        if complete:
            yield start, complete
        start, joined = 0, ""
    if joined.strip():
        yield start, joined.strip()


def _take(line: str, folder: Path, read: Requirements, lines: list[str], *, origin: str, depth: int) -> None:
    """Add one line, with its paths made absolute."""
    if _PASSWORD.search(line):
        shown = "an entry" if origin == repr(line) else origin
        raise EnvironmentFault(f"{shown} contains a password, which would be stored", hint=_REMEDY)
    option, value = _option(line)
    if option in _FILES:
        target = read.constraints if _FILES[option] == "-c" else lines
        if "://" in value:
            raise EnvironmentFault(
                f"{origin} includes {value}, which is not a local file", hint="download it"
            )
        _take_file(folder / expanded(value), read, target, depth=depth + 1)
    elif option in _PATHS:
        lines.append(f"{_PATHS[option]} {_local(value, folder, read, origin) or value}")
    elif option:
        lines.append(line)
    elif named := _NAMED.fullmatch(line):
        path = _local(named["url"], folder, read, origin)
        lines.append(named["name"] + (path if path is not None else named["url"]))
    elif _is_path(line):
        lines.append(_local(line, folder, read, origin) or line)
    else:
        lines.append(line)


def _option(line: str) -> tuple[str, str]:
    """The option that a line consists of, and its value; empty for a requirement."""
    if not line.startswith("-"):
        return "", ""
    for option in (*_FILES, *_PATHS):
        rest = line.removeprefix(option)
        if rest == line:
            continue
        if rest[:1] in ("=", " ", "\t") or not option.startswith("--"):
            return option, rest.lstrip("= \t").strip()
    return line.partition("=")[0].split()[0], ""


def _is_path(text: str) -> bool:
    bare = _EXTRAS.sub("", _REST.sub("", text)).strip()
    return bare.startswith((".", "/", "~", "file:")) or ("://" not in bare and bare.endswith(_ARCHIVES))


def _local(text: str, folder: Path, read: Requirements, origin: str) -> str | None:
    """A local path with what follows it, made absolute and hashed; None if it is none, or has a variable."""
    rest = match[0] if (match := _REST.search(text)) else ""
    bare = text[: len(text) - len(rest)].strip()
    extras = match[0] if (match := _EXTRAS.search(bare)) else ""
    bare = bare[: len(bare) - len(extras)].strip()
    if "${" in bare:
        return None
    if bare.startswith("file:"):
        bare = unquote(urlsplit(bare).path)
    elif "://" in bare:
        return None
    if read.host is not None:
        if bare.startswith("/"):
            return bare + extras + rest
        message = f"{origin} names {bare}, and {read.host} does not see the files of this machine"
        raise EnvironmentFault(message, hint="name a URL, a package of an index, or an absolute path there")
    path = os.path.normpath(folder / expanded(bare))
    if not os.path.exists(path):  # noqa: PTH110 - a text
        raise EnvironmentFault(f"{origin} names {path}, which does not exist")
    read.files[path] = hash_of(path)
    return path + extras + rest


def _take_project(path: Path, read: Requirements) -> None:
    """Add the dependencies of a project without the project itself; if it has a lock file, what that pins."""
    try:
        document = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise EnvironmentFault(f"{path} is not valid TOML: {error}") from None
    lock = path.with_name("uv.lock")
    if lock.is_file():
        from nemorun_cli.packagers.environments import lock_files  # noqa: PLC0415 - few projects have one

        for number, line in _logical_lines(lock_files.exported(path)):
            _take(line, path.parent, read, read.lines, origin=f"line {number} of what {lock} locks", depth=0)
        if read.host is None:
            read.files[str(lock)] = hash_of(str(lock))
        return
    project = document.get("project")
    if not isinstance(project, dict) or "dependencies" in project.get("dynamic", []):
        raise EnvironmentFault(
            f"{path} has no list `dependencies` under [project]",
            hint="name a file of requirements, or lock it: uv lock",
        )
    if sources := _sources(document):
        message = f"{path} has sources of its own for {', '.join(sources)}, which only its lock file has"
        raise EnvironmentFault(message, hint="lock it: uv lock")
    for line in project.get("dependencies", []):
        _take(str(line), path.parent, read, read.lines, origin=str(path), depth=0)


def _sources(document: dict[str, Any]) -> list[str]:
    tool = document.get("tool", {})
    uv = tool.get("uv", {}) if isinstance(tool, dict) else {}
    sources = uv.get("sources", {}) if isinstance(uv, dict) else {}
    return sorted(sources) if isinstance(sources, dict) else []
