"""The globs of `cache`: where each starts, which files match it now, and which of them overlap."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import globs
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    for inside in search.below("", glob.rest.split("/") if glob.rest else []):
        yield glob.start + inside, search.root / inside


class _Search:
    """One search below a folder; yields each path once, although `**` leads to it in several ways."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._done: set[tuple[str, int]] = set()
        self._found: set[str] = set()

    def below(
        self, inside: str, parts: list[str], above: frozenset[tuple[int, int]] = frozenset()
    ) -> Iterator[str]:
        """The files that the parts of a glob match from a path on; `above` are the folders on the way."""
        if (inside, len(parts)) in self._done:
            return
        self._done.add((inside, len(parts)))
        status = self._status(inside)
        if status is not None and stat.S_ISDIR(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            if identity not in above:  # else it is a link to a folder that contains it
                yield from self._in_folder(inside, parts, above, identity)
        elif status is not None and stat.S_ISREG(status.st_mode) and not parts and inside not in self._found:
            self._found.add(inside)
            yield inside

    def _in_folder(
        self, inside: str, parts: list[str], above: frozenset[tuple[int, int]], identity: tuple[int, int]
    ) -> Iterator[str]:
        first, rest = parts[:1], parts[1:]
        if first == ["**"]:
            yield from self.below(inside, rest, above)
            if not rest:
                return
            rest = parts
        elif first and not _MAGIC.search(first[0]):
            yield from self.below(_joined(inside, first[0]), rest, above)
            return
        takes_all = first in ([], ["**"])
        for name in self._names(inside):
            if name not in _PASSED_OVER and (takes_all or _name(first[0]).fullmatch(name)):
                yield from self.below(_joined(inside, name), rest, above | {identity})

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


@cache
def _name(part: str) -> re.Pattern[str]:
    """The regular expression of one name of a glob."""
    return globs.compiled(part)


def overlap(one: str, other: str) -> bool:
    """Whether a file could match both globs: the one claims what the other does.

    Both stand for all that is in a folder they match.
    """
    first, second = Glob.of(one), Glob.of(other)
    if first.start != second.start:
        return False
    return _share(tuple(first.rest.split("/")), tuple(second.rest.split("/")))


@cache
def _share(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether some path matches both lists of parts, or is in a folder that matches one of them."""
    if not one or not other:
        return True  # what remains of the other one is in the folder
    if one[0] == "**":
        return _share(one[1:], other) or _share(one, other[1:])
    if other[0] == "**":
        return _share(other, one)
    return _names_share(one[0], other[0]) and _share(one[1:], other[1:])


@cache
def _names_share(one: str, other: str) -> bool:
    """Whether some name matches both globs of one name."""
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


def _characters(part: str) -> list[frozenset[str] | None]:
    """What each place of a name can be: one of these characters, or None for any number of any."""
    known = frozenset((*map(chr, range(1, 0x250)), *part))
    return [
        None if piece == "*" else known if piece == "?" else _class(piece, known)
        for piece in re.findall(r"\*|\?|\[[^]]+\]|.", part, re.DOTALL)
    ]


def _class(piece: str, known: frozenset[str]) -> frozenset[str]:
    """The characters that a class in brackets, or a character, stands for."""
    if len(piece) == 1:
        return frozenset(piece)
    return frozenset(char for char in known if globs.compiled(piece).fullmatch(char))
