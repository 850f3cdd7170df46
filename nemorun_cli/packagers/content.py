"""What a packager found: entries by their paths, and the list of them whose hash names the whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BLOCK: Final = 1 << 20  # bytes that are read at a time
SHOWN: Final = 10  # names in a message; more would bury it

Kind = Literal["file", "program", "link", "folder"]


class PackagerError(UsageError):
    """What a packager is to ship cannot be shipped as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a content, written with `/`.

    `source` is where a file's bytes are now; `target` is what a link says.
    """

    path: str
    kind: Kind
    source: Path | None = None
    target: str = ""
    size: int = 0  # bytes, when it was looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a packager would ship.

    Attributes:
        entries: by path, sorted.
        root: the folder it is taken from; None if that is not one folder.
        place: where in it the spec's folder lies; None if it is not among it.
        facts: what is recorded of it, as plain values.
        told: the same for people, in a few words.
        left_out: what lies beside it and is not shipped, each with the reason.
        diff: how the files differ from what is committed, as a patch.
    """

    entries: tuple[Entry, ...]
    root: Path | None
    place: str | None
    facts: dict[str, Any] = field(default_factory=dict)
    told: str = ""
    left_out: tuple[str, ...] = ()
    diff: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list of a content's entries with the hash of each, and the hash of the list."""

    text: str
    hash: str
    files: int
    bytes: int


def entry_of(source: Path, path: str) -> Entry | None:
    """The entry for a path of this machine; None if it is gone, or neither a file nor a link."""
    try:
        status = source.lstat()
        if source.is_symlink():
            return Entry(path=path, kind="link", target=str(source.readlink()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not source.is_file():
        return None
    kind: Kind = "program" if status.st_mode & 0o100 else "file"
    return Entry(path=path, kind=kind, source=source, size=status.st_size)


def checked(entries: Iterable[Entry], *, what: str) -> tuple[Entry, ...]:
    """The entries by path, each path once (the last one counts), none of them leaving its place.

    Raises:
        PackagerError: a path or a link leads out of the content.
    """
    by_path = {entry.path: entry for entry in entries}
    links = {entry.path for entry in by_path.values() if entry.kind == "link"}
    wrong = [
        *(path for path in by_path if not _is_safe(path)),
        *(path for path in by_path if any(above in by_path and above in links for above in _above(path))),
    ]
    if wrong:
        raise PackagerError(f"{what}: {listed(wrong)} would be written outside of its place")
    leaving = [f"{path} -> {by_path[path].target}" for path in sorted(links) if leaves(by_path[path])]
    if leaving:
        raise PackagerError(
            f"{what}: a link leads out of what is shipped: {listed(leaving)}",
            hint="exclude it, ship what it leads to as well, or make it an absolute link",
        )
    return tuple(by_path[path] for path in sorted(by_path))


def leaves(link: Entry) -> bool:
    """Whether a link would lead elsewhere in a copy: a relative one that leads out of the content."""
    if link.target.startswith("/"):
        return False
    depth = link.path.count("/")
    for part in link.target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def listing(entries: Iterable[Entry], *, digest: Callable[[Entry], tuple[str, int]]) -> Listing:
    """The list of the entries; `digest` gives the hash and the size of a file's bytes."""
    lines: list[str] = []
    files = total = 0
    for entry in entries:
        line: dict[str, Any] = {"path": entry.path, "kind": entry.kind}
        if entry.kind == "link":
            line["target"] = entry.target
        elif entry.kind != "folder":
            line["sha256"], line["bytes"] = digest(entry)
            total += line["bytes"]
        files += entry.kind != "folder"
        lines.append(json.dumps(line))
    text = "".join(f"{line}\n" for line in lines)
    return Listing(text=text, hash=hashlib.sha256(text.encode()).hexdigest(), files=files, bytes=total)


def digest_of(entry: Entry) -> tuple[str, int]:
    """SHA-256 of a file's bytes as they are now, and how many there are."""
    found, size = hashlib.sha256(), 0
    for block in blocks(entry):
        found.update(block)
        size += len(block)
    return found.hexdigest(), size


def blocks(entry: Entry) -> Iterator[bytes]:
    """A file's bytes; raises PackagerError where they cannot be read."""
    assert entry.source is not None  # noqa: S101 - a file has a source
    try:
        with entry.source.open("rb") as stream:
            while block := stream.read(BLOCK):
                yield block
    except FileNotFoundError:
        raise PackagerError(f"{entry.source} vanished while it was being shipped", hint="try again") from None
    except OSError as error:
        raise PackagerError(
            f"{entry.source} cannot be read: {error.strerror}", hint="make it readable, or exclude it"
        ) from error


def listed(names: Iterable[str]) -> str:
    """The first of the names, and how many more there are."""
    every = [shown(name) for name in names]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more


def shown(path: str) -> str:
    """A path for people and for JSON: what is not printable, or no character at all, as an escape."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..", ".git") or "\0" in part for part in parts)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
