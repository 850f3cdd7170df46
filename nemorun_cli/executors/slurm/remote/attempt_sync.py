"""Keeps local copies of the files that jobs write to attempts' folders on the remote host.

Each copy has the size and modification time of the original; no other state is kept. A new process therefore
continues where the previous one stopped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.remote.protocol import EVIDENCE, GROWS, MOST, KnownFile
from nemorun_cli.storage.paths import AttemptFiles
from nemorun_cli.system.files import FILE_MODE, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.executors.slurm.remote.protocol import FilePiece

_NAMES: Final = AttemptFiles(Path())
EXIT: Final = _NAMES.exit.name
RECORDS: Final = _NAMES.records.name
COPIES: Final = {RECORDS: "records.there"}  # copied under another name, because it contains remote paths

MILLI: Final = 1_000
NANO: Final = 1_000_000  # nanoseconds per millisecond


def known_files(folders: Mapping[str, Path]) -> Iterator[KnownFile]:
    """The evidence files that have a local copy.

    Args:
        folders: the local folders of attempts, by their remote paths.
    """
    for remote, local in folders.items():
        for name in EVIDENCE:
            try:
                status = (local / COPIES.get(name, name)).stat()
            except FileNotFoundError:
                continue
            yield KnownFile(path=f"{remote}/{name}", mtime=_text(status.st_mtime_ns), size=status.st_size)


def write_pieces(
    pieces: Iterable[FilePiece], folders: Mapping[str, Path], *, is_complete: Callable[[str], bool]
) -> tuple[set[str], set[str]]:
    """Write what a round trip returned; returns the changed folders, and those with more data to fetch.

    The exit record is written last, when everything that the attempt wrote before exists locally.

    Args:
        pieces: the files that were fetched; files outside of these folders are ignored.
        folders: the local folders of attempts, by their remote paths.
        is_complete: whether the other files of a finished attempt have been fetched, by its remote folder.
    """
    changed: set[str] = set()
    behind: set[str] = set()
    exit_records: dict[str, FilePiece] = {}
    for piece in pieces:
        folder, _, name = piece.path.rpartition("/")
        if folder not in folders or name not in EVIDENCE:
            continue
        if name == EXIT:
            exit_records[folder] = piece
            continue
        changed.add(folder)
        if name == GROWS:
            _grow(folders[folder] / name, piece)
            if piece.data is not None and len(piece.data) >= MOST:
                behind.add(folder)
        else:
            _replace(folders[folder] / COPIES.get(name, name), piece)
    for folder, piece in exit_records.items():
        if folder not in behind and is_complete(folder):
            _replace(folders[folder] / EXIT, piece)
            changed.add(folder)
        else:
            behind.add(folder)
    return changed, behind


def _grow(path: Path, piece: FilePiece) -> None:
    """Write bytes at their offset; concurrent processes write the same bytes."""
    if piece.data is None:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags if piece.offset else flags | os.O_TRUNC, FILE_MODE)
    try:
        data, offset = memoryview(piece.data), piece.offset
        while data:
            written = os.pwrite(descriptor, data, offset)
            data, offset = data[written:], offset + written
        os.utime(descriptor, ns=(_mtime_ns(piece),) * 2)
    finally:
        os.close(descriptor)


def _replace(path: Path, piece: FilePiece) -> None:
    if piece.data is None:
        path.unlink(missing_ok=True)
        return
    write_whole(path, piece.data, mtime_ns=_mtime_ns(piece))


def _mtime_ns(piece: FilePiece) -> int:
    seconds, _, fraction = piece.mtime.partition(".")
    return (int(seconds) * MILLI + int(fraction[:3].ljust(3, "0"))) * NANO


def _text(mtime: int) -> str:
    """A time in nanoseconds in the format `%.3Y` of stat."""
    seconds, milli = divmod(mtime // NANO, MILLI)
    return f"{seconds}.{milli:03d}"
