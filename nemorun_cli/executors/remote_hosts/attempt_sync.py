"""Keeps local copies of the files that jobs write to attempts' folders on the remote host.

Each copy has the size and modification time of the original; no other state is kept. A new process therefore
continues where the previous one stopped.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.remote_hosts.protocol import EVIDENCE, GROWING, MOST, KnownFile
from nemorun_cli.storage.paths import AttemptFiles
from nemorun_cli.system.files import RefusedFileError, descriptor_to_change, make_folder, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from nemorun_cli.executors.remote_hosts.protocol import FilePiece

_NAMES: Final = AttemptFiles(Path())
EXIT: Final = _NAMES.exit.name
RECORDS: Final = _NAMES.records.name
COPIES: Final = {RECORDS: "records.there"}  # copied under another name, because it contains remote paths

MILLI: Final = 1_000
NANO: Final = 1_000_000  # nanoseconds per millisecond


def known_files(folders: Mapping[str, Path], names: Collection[str] = EVIDENCE) -> Iterator[KnownFile]:
    """The evidence files that have a local copy.

    Args:
        folders: the local folders of attempts, by their remote paths.
        names: of the files of an attempt.
    """
    for remote, local in folders.items():
        for name in names:
            try:
                status = (local / COPIES.get(name, name)).lstat()
            except (FileNotFoundError, NotADirectoryError):
                continue
            yield KnownFile(path=f"{remote}/{name}", mtime=_text(status.st_mtime_ns), size=status.st_size)


def write_pieces(
    pieces: Iterable[FilePiece],
    folders: Mapping[str, Path],
    *,
    is_complete: Callable[[str], bool],
    names: Collection[str] = EVIDENCE,
) -> tuple[set[str], set[str]]:
    """Write what a round trip returned; returns the changed folders, and those with more data to fetch.

    The exit record is written last, when everything that the attempt wrote before exists locally. A local
    folder that was removed is made again; what a full disk does not take is fetched again.

    Args:
        pieces: the files that were fetched; files outside of these folders are ignored.
        folders: the local folders of attempts, by their remote paths.
        is_complete: whether the other files of a finished attempt have been fetched, by its remote folder.
        names: of the files of an attempt; others are ignored.
    """
    changed: set[str] = set()
    behind: set[str] = set()
    exit_records: dict[str, FilePiece] = {}
    for piece in pieces:
        folder, _, name = piece.path.rpartition("/")
        if folder not in folders or name not in names:
            continue
        if name == EXIT:
            exit_records[folder] = piece
            continue
        is_written = _write(folders[folder], name, piece)
        if is_written:
            changed.add(folder)
        if not is_written or _has_more(name, piece):
            behind.add(folder)
    for folder, piece in exit_records.items():
        is_due = folder not in behind and _is_complete(folder, is_complete)
        if is_due and _write(folders[folder], EXIT, piece):
            changed.add(folder)
        else:
            behind.add(folder)
    return changed, behind


def _has_more(name: str, piece: FilePiece) -> bool:
    """Whether a file that grows has more than one round trip returns."""
    return name in GROWING and piece.data is not None and len(piece.data) >= MOST


def _is_complete(folder: str, is_complete: Callable[[str], bool]) -> bool:
    try:
        return is_complete(folder)
    except OSError:  # a full disk
        return False


def _write(folder: Path, name: str, piece: FilePiece) -> bool:
    """Write one file of an attempt; returns whether it was written, or can never be."""
    path = folder / COPIES.get(name, name)
    try:
        if not folder.exists():
            make_folder(folder)
        if name in GROWING:
            _grow(path, piece)
        else:
            _replace(path, piece)
    except (NotADirectoryError, IsADirectoryError, FileExistsError, RefusedFileError):
        return True  # something else is in its place: the engine's report has to do
    except OSError:
        return False
    return True


def _grow(path: Path, piece: FilePiece) -> None:
    """Write bytes at their offset; concurrent processes write the same bytes."""
    if piece.data is None:
        return
    descriptor = descriptor_to_change(path)
    try:
        if not piece.offset:
            os.ftruncate(descriptor, 0)
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
