"""The content that a packager selects: entries by path, and the listing whose hash identifies it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli.errors import UsageError
from nemorun_cli.system.files import open_to_read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

BLOCK: Final = 1 << 20  # bytes per read
SHOWN: Final = 10  # names in a message

Kind = Literal["file", "program", "link", "folder"]


class PackagerError(UsageError):
    """The selected files cannot be shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a content, written with `/`.

    `source` is the file to copy; `target` is the target of a link.
    """

    path: str
    kind: Kind
    source: Path | None = None
    target: str = ""
    size: int = 0  # bytes, at the time of the scan


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The files that a packager ships.

    Attributes:
        entries: by path, sorted.
        root: the folder of the files; None if they are not from one folder.
        place: the path of the spec's folder in the content; None if it is not in it.
        start: where in the content tasks run that have the spec's folder as workdir; None for `place`.
        facts: what is recorded about it, as plain values.
        summary: a short description of the same for the user.
        left_out: paths near it that are not shipped, each with the reason.
        diff: the changes since the commit, as a patch.
    """

    entries: tuple[Entry, ...]
    root: Path | None
    place: str | None
    start: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    left_out: tuple[str, ...] = ()
    diff: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The listing of a content's entries with their hashes, and the hash of the listing."""

    text: str
    hash: str
    files: int
    bytes: int


def entry_of(source: Path, path: str) -> Entry | None:
    """The entry for a local path; None if it does not exist, or is neither a file nor a link."""
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
    """The entries sorted by path, the last one of each path, after checking that none escapes the content.

    Raises:
        PackagerError: a path or a link points outside of the content.
    """
    by_path = {entry.path: entry for entry in entries}
    links = {entry.path for entry in by_path.values() if entry.kind == "link"}
    unsafe = [
        *(path for path in by_path if not _is_safe(path)),
        *(path for path in by_path if any(above in by_path and above in links for above in _above(path))),
    ]
    if unsafe:
        raise PackagerError(f"{what}: {listed(unsafe)} would be written outside of the content")
    leaving = [f"{path} -> {by_path[path].target}" for path in sorted(links) if leaves(by_path[path])]
    if leaving:
        raise PackagerError(
            f"{what}: a link points outside of what is shipped: {listed(leaving)}",
            hint="exclude it, ship its target as well, or make it an absolute link",
        )
    return tuple(by_path[path] for path in sorted(by_path))


def leaves(link: Entry) -> bool:
    """Whether a link is relative and points outside of the content, so that a copy would break it."""
    if link.target.startswith("/"):
        return False
    depth = link.path.count("/")
    for part in link.target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def listing(entries: Iterable[Entry], *, digest: Callable[[Entry], tuple[str, int]]) -> Listing:
    """The listing of the entries; `digest` returns the hash and the size of a file."""
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
    """SHA-256 and size in bytes of a file's current content."""
    digest, size = hashlib.sha256(), 0
    for block in blocks(entry):
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def blocks(entry: Entry) -> Iterator[bytes]:
    """Yield a file's bytes in blocks. Raises PackagerError if they cannot be read."""
    assert entry.source is not None  # noqa: S101 - a file has a source
    try:
        with open_to_read(entry.source) as stream:
            while block := stream.read(BLOCK):
                yield block
    except FileNotFoundError:
        raise PackagerError(
            f"{entry.source} was deleted while it was being shipped", hint="try again"
        ) from None
    except OSError as error:
        raise PackagerError(
            f"{entry.source} cannot be read: {error.strerror}", hint="make it readable, or exclude it"
        ) from error


def listed(names: Iterable[str]) -> str:
    """The first names, and the number of the others."""
    escaped = [shown(name) for name in names]
    more = f" and {len(escaped) - SHOWN} more" if len(escaped) > SHOWN else ""
    return ", ".join(escaped[:SHOWN]) + more


def shown(path: str) -> str:
    """A path for messages and JSON: characters that are not printable or not decodable are escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..", ".git") or "\0" in part for part in parts)


def _above(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
