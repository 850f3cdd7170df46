"""The append-only record of an experiment: JSON Lines in synced batches, each closed by a marker.

A line is one event. A batch is written by one `write` under the file lock and ends with a marker
that holds the number of its bytes and their CRC-32:

    {"event": "submitted", …}
    {"event": "started", …}
    {"mark": 211, "crc": 2868613117}

What follows the last intact marker is a torn tail: nothing was ever done on its strength, so readers
pass over it and the next writer closes it off with a line that says from which byte on it is void:

    {"void": 4711}

Any other damage is an error that names the line, and so is a ledger without an intact first batch: it
comes into being whole. Readers take no lock.
"""

from __future__ import annotations

import errno
import json
import os
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError, LockHeldError, NotFoundError
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import FILE_MODE, sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = "exp.ledger/1"
LOCK_WAIT: Final = 30.0  # seconds before a writer gives up on the lock and names its holder
LOCK_PAUSE: Final = 0.002  # seconds between the tries

Event = dict[str, Any]

# Made once: each event passes here.
_dump = json.JSONEncoder(separators=(",", ":")).encode
_load = json.JSONDecoder().decode


@dataclass(slots=True)
class LedgerReader:
    """Reads a ledger from where it last stopped; `torn` tells of bytes after the last intact marker.

    Attributes:
        offset: bytes up to and with the last intact marker.
        torn: bytes after it that are not (or not yet) a whole batch.
        voids: how many torn tails of the past were closed off.
    """

    path: Path
    offset: int = 0
    torn: int = 0
    voids: int = 0
    _lines: int = field(default=0)

    def read(self) -> list[Event]:
        """The events of all batches that were completed since the last call.

        Raises:
            NotFoundError: there is no such ledger.
            LedgerDamagedError: a line before an intact marker cannot be what was written.
            LedgerNewerError: a newer version wrote it.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                data = stream.read()
                size = self.offset + len(data) if data else os.fstat(stream.fileno()).st_size
        except FileNotFoundError:
            raise NotFoundError(f"there is no ledger at {self.path}") from None
        except OSError as error:
            raise LedgerError(f"cannot read {self.path}: {error.strerror}") from error
        if size < self.offset:
            raise LedgerDamagedError(
                f"{self.path} was cut off: {self.offset} bytes were read, {size} are left"
            )
        return self._take(data)

    def skip(self, events: Sequence[Event], size: int) -> None:
        """Go past a batch that this process itself has just written."""
        self.offset += size
        self._lines += len(events) + 1

    def _take(self, data: bytes) -> list[Event]:
        if self.offset == 0:
            self._check_format(data)
        events: list[Event] = []
        batch: list[Event] = []
        intact = position = 0  # after the last intact marker; of the line
        number = self._lines
        damaged: int | None = None
        while (end := data.find(b"\n", position)) >= 0:
            number += 1
            entry = parse(data[position:end])
            if entry is None:
                damaged = damaged or number
            elif "void" in entry:
                if entry["void"] != self.offset + intact or not entry["void"]:
                    raise self._damage(damaged or number)
                self.voids += 1
                self._lines, damaged = number, None
                batch, intact = [], end + 1
            elif "mark" not in entry:
                batch.append(entry)
            elif (start := start_of_batch(entry, data, position)) is None:
                damaged = damaged or number
            elif start != intact:  # what stands between two intact batches was once whole, too
                raise self._damage(damaged or self._lines + 1)
            else:
                events += batch
                self._lines = number
                batch, intact = [], end + 1
            position = end + 1
        self.torn = len(data) - intact
        if self.offset == 0 and not events:
            raise LedgerDamagedError(f"{self.path}:1: its beginning is damaged")
        self.offset += intact
        return events

    def _check_format(self, data: bytes) -> None:
        entry = parse(data[: data.find(b"\n") + 1])
        form = entry.get("format") if entry else None
        if form == FORMAT:
            return
        name, _, version = str(form).rpartition("/")
        if name == FORMAT.rpartition("/")[0] and version.isdigit():
            raise LedgerNewerError(
                f"{self.path} was written by a newer version ({form}; this one knows {FORMAT})",
                hint="use the newer exp that wrote it",
            )
        raise LedgerDamagedError(f"{self.path} is no ledger of exp: its first line names no known format")

    def _damage(self, line: int) -> LedgerDamagedError:
        return LedgerDamagedError(
            f"{self.path}:{line}: this line is damaged, and what follows it shows that it was once whole",
            hint=f"see what is left with: exp fsck {self.path.parent.name}; rebuild with --repair",
        )


def parse(line: bytes) -> Event | None:
    """The object that stands in a line, or None if there is none."""
    try:
        entry = _load(line.decode())
    except (ValueError, RecursionError):  # foreign files may be nested at will
        return None
    return entry if isinstance(entry, dict) else None


def start_of_batch(mark: Event, data: bytes, end: int) -> int | None:
    """Where the batch begins that a marker at `end` closes; None if marker or batch are damaged."""
    size = mark["mark"]
    if not isinstance(size, int) or not 0 < size <= end:
        return None
    return end - size if zlib.crc32(data[end - size : end]) == mark.get("crc") else None


def encode(events: Sequence[Event]) -> bytes:
    """A batch as it stands in the file: the events' lines and the marker."""
    lines = "".join(_dump(event) + "\n" for event in events).encode()
    return lines + f'{{"mark":{len(lines)},"crc":{zlib.crc32(lines)}}}\n'.encode()


class Ledger:
    """A ledger that is written to. Events of other writers come back from `append` and `news`."""

    def __init__(self, path: Path, lock_path: Path, *, lock_wait: float = LOCK_WAIT) -> None:
        self.path = path
        self._lock_path = lock_path
        self._lock_wait = lock_wait
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._reader = LedgerReader(path)

    def create(self, event: Event) -> None:
        """Begin the ledger, whole, with its first event, which carries the format; it must not exist yet."""
        if self.path.exists():
            raise LedgerError(f"{self.path} exists already")
        aside = self.path.with_suffix(".new")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        data = encode([{**event, "format": FORMAT}])
        try:
            if os.write(descriptor, data) != len(data):
                raise LedgerError(f"cannot write {self.path}: {os.strerror(errno.ENOSPC)}")
            os.fdatasync(descriptor)
        except OSError as error:
            raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        aside.rename(self.path)
        sync_folder(self.path.parent)

    @property
    def torn(self) -> int:
        """Bytes after the last intact marker, as of the last reading."""
        return self._reader.torn

    def news(self) -> list[Event]:
        """What has been appended, by whomever, since the last call or append."""
        return self._reader.read()

    def has_news(self) -> bool:
        """Whether the file has grown since it was last read; costs one `stat`."""
        return self.path.stat().st_size != self._reader.offset

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Write the events as one batch and sync it; gives all that is new, in the file's order.

        Raises:
            LockHeldError: another process keeps the lock; it is named.
            LedgerError: the disk is full, or the folder read-only; nothing but a torn tail was written.
        """
        data = encode(events)
        crashpoints.point("ledger.before")
        lock = self._acquire()
        try:
            news = self._reader.read() if self.has_news() or not self._reader.offset else []
            if self._reader.torn:
                # The `#` spoils a last line that lacks but its newline, for that must not become whole now.
                void = b'#\n{"void":%d}\n' % self._reader.offset
                self._write(void)
                self._reader.read()
            self._write(data)
            self._reader.skip(events, len(data))
        finally:
            self._release(lock)
        crashpoints.point("ledger.written")
        self.sync()
        crashpoints.point("ledger.synced")
        return [*news, *events]

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            LedgerError: the disk refuses; what is appended again then stands twice, which readers pass over.
        """
        try:
            if self._descriptor is not None:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise LedgerError(f"cannot sync {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Let the files go; a later append opens them again."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None

    def _write(self, data: bytes) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error
        if written != len(data):
            raise LedgerError(f"cannot write {self.path}: {os.strerror(errno.ENOSPC)}")

    def _acquire(self) -> int:
        """Take the lock on a descriptor that is kept; it is the one `filelock.FileLock` takes on the path."""
        import filelock  # noqa: PLC0415 - half of what a reader would pay to start, and only writers need it

        try:
            if self._lock is None:
                self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            end = time.monotonic() + self._lock_wait
            while not filelock.lock_descriptor(self._lock, blocking=False):
                if time.monotonic() > end:
                    raise self._held()
                time.sleep(LOCK_PAUSE)
        except OSError as error:
            raise LedgerError(f"cannot lock {self._lock_path}: {error.strerror}") from error
        return self._lock

    def _release(self, lock: int) -> None:
        import filelock  # noqa: PLC0415 - loaded by whoever took the lock

        filelock.unlock_descriptor(lock)

    def _held(self) -> LockHeldError:
        from nemorun_cli.system.locks import holder_by_kernel  # noqa: PLC0415 - only to tell of trouble

        pid = holder_by_kernel(self._lock_path)
        who = _describe(pid) if pid else "a process on another host, or one that this system does not name"
        return LockHeldError(
            f"{self._lock_path} has been held for more than {self._lock_wait:g} s by {who}",
            hint="nothing was written; end that process if it hangs, then try again",
        )


def _describe(pid: int) -> str:
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({argv.decode(errors='replace')[:200]})"


def read_settled(path: Path, *, patience: float = 0.1) -> tuple[list[Event], LedgerReader]:
    """All events, and the reader that got them, once no write is under way.

    A tail that is torn may be one that a writer is just about to complete; only one that
    stays for `patience` seconds is reported by the reader's `torn`.
    """
    reader = LedgerReader(path)
    events = reader.read()
    end = time.monotonic() + patience
    while reader.torn and time.monotonic() < end:
        time.sleep(0.005)
        events += reader.read()
    return events, reader
