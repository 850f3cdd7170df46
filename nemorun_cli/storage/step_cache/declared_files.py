"""The globs of `cache`: where each starts, which files match it now, and which of them overlap."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.model import globs
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SHARED: Final = "$EXP_SHARED/"  # begins a glob in the folder that the tasks of an experiment share
_SHARED_FORMS: Final = ("$EXP_SHARED", "${EXP_SHARED}")
_PASSED_OVER: Final = frozenset((".git", "__pycache__"))  # folders that no glob means unless it names them
_MAGIC: Final = re.compile(r"[*?\[]")


class UnreadableFolderError(Exception):
    """A folder that a glob searches cannot be read."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the globs of a task start: its workdir, and the folder that its experiment shares."""

    workdir: Path
    shared: Path


@dataclass(frozen=True, slots=True)
class Glob:
    """A glob of `cache`.

    Attributes:
        start: what the names of its files begin with: `$EXP_SHARED/`, `~/`, `/`, or nothing in the workdir.
        rest: the glob below that, without empty parts and `.`.
    """

    start: str
    rest: str

    @classmethod
    def of(cls, text: str) -> Glob:
        """A glob as a spec has it."""
        first, _, rest = text.partition("/")
        start = ""
        if first in _SHARED_FORMS:
            start = SHARED
        elif first.startswith("~"):
            start = f"{first}/"
        elif text.startswith("/"):
            start = "/"
        else:
            rest = text
        return cls(start, "/".join(globs.names(rest)))

    def __str__(self) -> str:
        return self.start + self.rest

    @property
    def is_inside(self) -> bool:
        """Whether it stays in the workdir or in the shared folder."""
        return self.start in ("", SHARED) and ".." not in self.rest.split("/")

    @property
    def is_plain(self) -> bool:
        """Whether it is the path of one file or folder."""
        return _MAGIC.search(self.rest) is None

    def root(self, folders: Folders) -> Path:
        """The folder that it starts at."""
        if self.start == SHARED:
            return folders.shared
        return Path(expanded(self.start)) if self.start else folders.workdir


def files(text: str, folders: Folders) -> Iterator[tuple[str, Path]]:
    """The regular files that match a glob, each once, with its name in a fingerprint; in no order.

    A folder that matches stands for all files in it. Links are followed.

    Raises:
        UnreadableFolderError: a folder cannot be read.
    """
    glob = Glob.of(text)
    search = _Search(glob.root(folders))
    for inside in search.found(glob.rest.split("/") if glob.rest else ()):
        yield glob.start + inside, search.root / inside


def among(paths: Iterable[Path], text: str, folders: Folders) -> Iterator[tuple[str, Path]]:
    """Those of these paths of files that match a glob, as `files` yields them; nothing is looked at."""
    glob = Glob.of(text)
    root, pattern = glob.root(folders), globs.compiled(glob.rest)
    for path in paths:
        if path.is_relative_to(root):
            inside = path.relative_to(root)
            if not glob.rest or any(pattern.fullmatch(str(each)) for each in (inside, *inside.parents)):
                yield glob.start + str(inside), path


class _Step(NamedTuple):
    """A path at which a search continues, with the parts of the glob that remain for what is below it."""

    inside: str
    parts: tuple[str, ...]
    above: frozenset[tuple[int, int]]  # the folders on the way, which a link could lead to again


class _Search:
    """One search below a folder; yields each path once, although `**` leads to it in several ways."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def found(self, parts: Sequence[str]) -> Iterator[str]:
        """The files that the parts of a glob match, by their paths from the root."""
        pending = [_Step("", tuple(parts), frozenset())]
        done: set[tuple[str, int]] = set()
        files: set[str] = set()
        while pending:
            step = pending.pop()
            if (key := (step.inside, len(step.parts))) in done:
                continue
            done.add(key)
            status = self._status(step.inside)
            if status is None:
                continue
            if stat.S_ISDIR(status.st_mode):
                identity = (status.st_dev, status.st_ino)
                if identity not in step.above:  # else it is a link to a folder that contains it
                    pending += self._steps(step, identity)
            elif stat.S_ISREG(status.st_mode) and not step.parts and step.inside not in files:
                files.add(step.inside)
                yield step.inside

    def _steps(self, step: _Step, identity: tuple[int, int]) -> Iterator[_Step]:
        """Where a search continues below a folder."""
        inside, parts, above = step
        first, rest = parts[:1], parts[1:]
        if first == ("**",):
            yield _Step(inside, rest, above)
            if not rest:
                return
            rest = parts
        elif first and not _MAGIC.search(first[0]):
            yield _Step(_joined(inside, first[0]), rest, above)
            return
        takes_all = first in {(), ("**",)}
        for name in self._names(inside):
            if name not in _PASSED_OVER and (takes_all or _name(first[0]).fullmatch(name)):
                yield _Step(_joined(inside, name), rest, above | {identity})

    def _status(self, inside: str) -> os.stat_result | None:
        try:
            return os.stat(self.root / inside)  # noqa: PTH116 - `Path.stat` does the same more slowly
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:  # such as a loop of links, or a folder that may not be searched
            raise UnreadableFolderError(f"{self.root / inside} cannot be read: {error.strerror}") from error

    def _names(self, inside: str) -> list[str]:
        try:
            return os.listdir(self.root / inside)  # noqa: PTH208 - names are enough
        except FileNotFoundError:  # removed meanwhile
            return []
        except OSError as error:
            raise UnreadableFolderError(f"{self.root / inside} cannot be read: {error.strerror}") from error


def _joined(inside: str, name: str) -> str:
    return f"{inside}/{name}" if inside else name


@lru_cache(maxsize=1024)
def _name(part: str) -> re.Pattern[str]:
    """The regular expression of one name of a glob."""
    return globs.compiled(part)


def matches(name: str, text: str) -> bool:
    """Whether a glob matches a path, which is not searched for special characters."""
    path, glob = Glob.of(name), Glob.of(text)
    return path.start == glob.start and bool(globs.compiled(glob.rest).fullmatch(path.rest))


def overlap(one: str, other: str) -> bool:
    """Whether a file could match both globs: the one claims what the other does.

    Both stand for all that is in a folder they match.
    """
    first, second = Glob.of(one), Glob.of(other)
    if first.start != second.start or not _begin_alike(first.rest, second.rest):
        return False
    return _share(first.rest.split("/"), second.rest.split("/"))


def escaped(path: str) -> str:
    """The glob that matches just this path."""
    return _MAGIC.sub(lambda char: f"[{char[0]}]", path)


def beginning(text: str) -> str:
    """What comes before the first wildcard of a glob."""
    return _MAGIC.split(text, maxsplit=1)[0]


def _begin_alike(one: str, other: str) -> bool:
    """Whether what comes before the first wildcard of one is the beginning of that of the other."""
    first, second = beginning(one), beginning(other)
    return first.startswith(second) or second.startswith(first)


def _share(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether some path matches both lists of parts, or is in a folder that matches one of them."""
    known: set[tuple[int, int]] = set()
    pending = [(0, 0)]
    while pending:
        state = i, j = pending.pop()
        if i == len(one) or j == len(other):
            return True  # what remains of the other one is in the folder
        if state in known:
            continue
        known.add(state)
        if "**" in (one[i], other[j]):
            pending += [(i + 1, j), (i, j + 1)]
        elif _names_share(one[i], other[j]):
            pending.append((i + 1, j + 1))
    return False


@lru_cache(maxsize=1024)
def _names_share(one: str, other: str) -> bool:
    """Whether some name matches both globs of one name."""
    if not _MAGIC.search(one + other):
        return one == other
    first, second = _characters(one), _characters(other)
    known: set[tuple[int, int]] = set()
    pending = [(0, 0)]
    while pending:
        state = i, j = pending.pop()
        if state in known:
            continue
        known.add(state)
        if i == len(first) and j == len(second):
            return True
        if i < len(first) and first[i] is None:
            pending.append((i + 1, j))
        if j < len(second) and second[j] is None:
            pending.append((i, j + 1))
        if i < len(first) and j < len(second):
            left, right = first[i], second[j]
            if left is None or right is None or left & right:
                pending.append((i + (left is not None), j + (right is not None)))
    return False


_KNOWN: Final = frozenset(map(chr, range(1, 0x250)))  # what a `?` or a class is compared by


def _characters(part: str) -> list[frozenset[str] | None]:
    """What each place of a name can be: one of these characters, or None for any number of any."""
    known = _KNOWN.union(part)
    return [
        None if piece == "*" else known if piece == "?" else _class(piece, known)
        for piece in re.findall(r"\*|\?|\[[^]]+\]|.", part, re.DOTALL)
    ]


def _class(piece: str, known: frozenset[str]) -> frozenset[str]:
    """The characters that a class in brackets, or a character, stands for."""
    if len(piece) == 1:
        return frozenset(piece)
    return frozenset(char for char in known if globs.compiled(piece).fullmatch(char))
