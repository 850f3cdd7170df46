"""The folders of attempts here, kept as their jobs write them on the far side.

What is known of a file there is its copy: size and time of change are the same. Nothing else is remembered,
so that whoever looks next goes on where the last one was ended.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.remote.protocol import EVIDENCE, GROWS, MOST, KnownFile
from nemorun_cli.system.files import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.executors.slurm.remote.protocol import FilePiece

EXIT: Final = "exit.json"
RECORDS: Final = "records"
COPIES: Final = {RECORDS: "records.there"}  # whose paths are those of the far side

MILLI: Final = 1_000
NANO: Final = 1_000_000  # nanoseconds of a thousandth of a second


def known(folders: Mapping[str, Path]) -> Iterator[KnownFile]:
    """What is here of the evidence.

    Args:
        folders: those of attempts, by their paths on the far side.
    """
    for there, here in folders.items():
        for name in EVIDENCE:
            try:
                seen = (here / COPIES.get(name, name)).stat()
            except FileNotFoundError:
                continue
            yield KnownFile(path=f"{there}/{name}", mtime=_text(seen.st_mtime_ns), size=seen.st_size)


def take(
    pieces: Iterable[FilePiece], folders: Mapping[str, Path], *, is_complete: Callable[[str], bool]
) -> tuple[set[str], set[str]]:
    """Write what a trip brought; gives the folders that changed, and those of which more is to be brought.

    That an attempt has ended is written last: when all that it wrote before is here.

    Args:
        pieces: what was brought; what is not of these folders is passed over.
        folders: those of attempts, by their paths on the far side.
        is_complete: whether what is brought in other ways is here, for a folder whose attempt has ended.
    """
    changed: set[str] = set()
    behind: set[str] = set()
    ends: dict[str, FilePiece] = {}
    for piece in pieces:
        there, _, name = piece.path.rpartition("/")
        if there not in folders or name not in EVIDENCE:
            continue
        if name == EXIT:
            ends[there] = piece
            continue
        changed.add(there)
        if name == GROWS:
            _grow(folders[there] / name, piece)
            if piece.data is not None and len(piece.data) >= MOST:
                behind.add(there)
        else:
            _replace(folders[there] / COPIES.get(name, name), piece)
    for there, piece in ends.items():
        if there not in behind and is_complete(there):
            _replace(folders[there] / EXIT, piece)
            changed.add(there)
        else:
            behind.add(there)
    return changed, behind


def _grow(path: Path, piece: FilePiece) -> None:
    """Put bytes where they are there; two that look at once write the same."""
    if piece.data is None:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags if piece.offset else flags | os.O_TRUNC, FILE_MODE)
    try:
        data, at = memoryview(piece.data), piece.offset
        while data:
            written = os.pwrite(descriptor, data, at)
            data, at = data[written:], at + written
        os.utime(descriptor, ns=_times(piece))
    finally:
        os.close(descriptor)


def _replace(path: Path, piece: FilePiece) -> None:
    if piece.data is None:
        path.unlink(missing_ok=True)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        data = memoryview(piece.data)
        while data:
            data = data[os.write(descriptor, data) :]
        os.utime(descriptor, ns=_times(piece))
    finally:
        os.close(descriptor)
    aside.rename(path)


def _times(piece: FilePiece) -> tuple[int, int]:
    seconds, _, part = piece.mtime.partition(".")
    moment = (int(seconds) * MILLI + int(part[:3].ljust(3, "0"))) * NANO
    return moment, moment


def _text(moment: int) -> str:
    """A time in nanoseconds as `%.3Y` of stat writes it."""
    seconds, milli = divmod(moment // NANO, MILLI)
    return f"{seconds}.{milli:03d}"
