"""The append-only record of an experiment: JSON Lines in synced batches, each closed by a marker.

Each line is one event. A batch is written by one `write` under the file lock and ends with a marker
that holds the batch's size in bytes and its CRC-32:

    {"event": "submitted", …}
    {"event": "started", …}
    {"mark": 211, "crc": 2868613117}

Bytes after the last intact marker are an incomplete batch, called a torn tail. No writer acts on an event
before its batch is synced, so readers ignore the tail. The next writer closes it with a void marker, which
names the byte where the tail begins:

    {"void": 4711}

Any other damage is an error that names the line. A ledger without an intact first batch is damaged too:
the file is created with its first batch complete. Readers take no lock.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError, LockHeldError, NotFoundError
from nemorun_cli.storage import events as kinds
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import (
    RefusedFileError,
    at_most,
    descriptor_to_change,
    open_to_read,
    write_whole,
)
from nemorun_cli.system.locks import is_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.storage.events import Event

FORMAT: Final = "exp.ledger/1"
LARGEST_LEDGER: Final = 1 << 29  # bytes that are read at once; half a million attempts need about as many
MOST_LINES: Final = 5_000_000  # that are read at once
LOCK_WAIT: Final = 30.0  # seconds until a writer gives up on the lock and names its holder
LOCK_PAUSE: Final = 0.002  # seconds between tries
RESTORE_AFTER: Final = 1.0  # seconds until a ledger that was removed is written again
CHECK_REST: Final = 100  # times the duration of a check of the whole file, until the next one


# Created once, because every event is encoded or decoded by them.
_dump = json.JSONEncoder(separators=(",", ":")).encode
_load = json.JSONDecoder().decode
_load_first = json.JSONDecoder().raw_decode
_as_mark = re.compile(rb'\{"mark":([1-9][0-9]{0,11}),"crc":(0|[1-9][0-9]{0,11})\}').fullmatch


@dataclass(slots=True)
class LedgerReader:
    """Reads a ledger incrementally, batch by batch.

    Attributes:
        offset: bytes up to and including the last intact marker.
        torn: bytes after it that are not (or not yet) a complete batch.
        voids: how many torn tails have been closed by a void marker.
        flaw: why an event cannot be used, or None; `events.flaw` for the ledgers of experiments.
    """

    path: Path
    offset: int = 0
    torn: int = 0
    voids: int = 0
    flaw: Callable[[Event], str | None] = lambda _: None
    _lines: int = field(default=0)

    def read(self) -> list[Event]:
        """The events of all batches that were completed since the last call.

        Raises:
            NotFoundError: the ledger does not exist.
            LedgerDamagedError: a line before an intact marker is damaged.
            LedgerNewerError: a newer version wrote the ledger.
        """
        try:
            with open_to_read(self.path, follows_link=False) as stream:
                stream.seek(self.offset)
                data = at_most(LARGEST_LEDGER, stream, self.path)
                size = self.offset + len(data) if data else os.fstat(stream.fileno()).st_size
        except FileNotFoundError:
            raise NotFoundError(f"there is no ledger at {self.path}") from None
        except OSError as error:
            if isinstance(error, RefusedFileError) and error.errno != errno.EFBIG:
                raise LedgerDamagedError(f"{self.path} is no file, and no ledger", hint=self.remedy) from None
            raise LedgerError(f"cannot read {self.path}: {error.strerror}") from error
        if data.count(b"\n") > MOST_LINES:
            raise LedgerError(f"cannot read {self.path}: it has more than {MOST_LINES:,} lines")
        if size < self.offset:
            raise LedgerDamagedError(
                f"{self.path} was truncated: from {self.offset} to {size} bytes", hint=self.remedy
            )
        return self._completed_events(data)

    def skip(self, events: Sequence[Event], size: int) -> None:
        """Advance past a batch that this process has just written."""
        self.offset += size
        self._lines += len(events) + 1

    def _completed_events(self, data: bytes) -> list[Event]:
        if self.offset == 0:
            self._check_format(data)
        events: list[Event] = []
        batch: list[Event] = []
        intact = position = 0  # offsets in `data`: end of the last intact marker; start of the line
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
            elif start != intact:  # lines between two intact batches were intact once, too
                raise self._damage(damaged or self._lines + 1)
            else:
                self._check(batch, number - len(batch), damaged)
                events += batch
                self._lines = number
                batch, intact = [], end + 1
            position = end + 1
        self.torn = len(data) - intact
        if self.offset == 0 and not events:
            raise LedgerDamagedError(f"{self.path}:1: the first batch is damaged", hint=self.remedy)
        self.offset += intact
        return events

    def _check(self, batch: Sequence[Event], first: int, damaged: int | None) -> None:
        """Refuse lines that cannot be used: an intact batch, too, may come from elsewhere."""
        if damaged is not None:
            raise LedgerDamagedError(f"{self.path}:{damaged}: this line is no event", hint=self.remedy)
        for number, event in enumerate(batch, start=first):
            if (flaw := self.flaw(event)) is not None:
                raise LedgerDamagedError(f"{self.path}:{number}: {flaw}", hint=self.remedy)

    def _check_format(self, data: bytes) -> None:
        entry = parse(data[: data.find(b"\n") + 1])
        ledger_format = entry.get("format") if entry else None
        if ledger_format == FORMAT:
            return
        name, _, version = str(ledger_format).rpartition("/")
        if name == FORMAT.rpartition("/")[0] and version.isdigit():
            raise LedgerNewerError(
                f"{self.path} was written by a newer version ({ledger_format}; this version reads {FORMAT})",
                hint="use the newer version of exp that wrote it",
            )
        raise LedgerDamagedError(
            f"{self.path} is not a ledger of exp: its first line names no known format", hint=self.remedy
        )

    @property
    def remedy(self) -> str:
        """What to do if the ledger is damaged."""
        return f"check what is readable with: exp fsck {self.path.parent.name}; rebuild with --repair"

    def _damage(self, line: int) -> LedgerDamagedError:
        return LedgerDamagedError(
            f"{self.path}:{line}: this line is damaged, and the lines after it show that it was once intact",
            hint=self.remedy,
        )


def parse(line: bytes) -> Event | None:
    """The JSON object in a line, or None if the line holds something else."""
    if (mark := _as_mark(line)) is not None:  # every second line, where tasks end one by one
        return {"mark": int(mark[1]), "crc": int(mark[2])}
    try:
        text = line.decode()
        if text.startswith("{"):
            first: Event
            first, end = _load_first(text)
            if end == len(text):
                return first
        entry = _load(text)
    except (ValueError, RecursionError):  # a file of another program may be nested to any depth
        return None
    return entry if isinstance(entry, dict) else None


def start_of_batch(mark: Event, data: bytes, end: int) -> int | None:
    """The start of the batch that a marker at `end` closes; None if marker or batch is damaged."""
    size = mark["mark"]
    if not isinstance(size, int) or not 0 < size <= end:
        return None
    return end - size if zlib.crc32(data[end - size : end]) == mark.get("crc") else None


def encode(events: Sequence[Event]) -> bytes:
    """A batch as the file holds it: one line per event, then the marker."""
    lines = "".join(_dump(event) + "\n" for event in events).encode()
    return lines + f'{{"mark":{len(lines)},"crc":{zlib.crc32(lines)}}}\n'.encode()


class Ledger:
    """A ledger opened for writing. `append` and `news` also return the events of other writers.

    The file at the path is the ledger. Once this process has written, it notices what other programs do to
    that file: if it was removed, it is restored; if it was changed, it is damaged, and nothing is written.
    """

    def __init__(
        self,
        path: Path,
        lock_path: Path,
        *,
        lock_wait: float = LOCK_WAIT,
        report: Callable[[str], None] = lambda _: None,
        flaw: Callable[[Event], str | None] = lambda _: None,
    ) -> None:
        self.path = path
        self._report = report
        self._lock_path = lock_path
        self.lock_wait = lock_wait
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._missing_since: float | None = None  # monotonic, if the file was missing at the last look
        self._mtime: int | None = None  # in nanoseconds, after the last write or check by this process
        self._next_check = 0.0  # monotonic: some file systems change the time of modification later
        self._reader = LedgerReader(path, flaw=flaw)
        self._unreturned: list[Event] = []  # read by an `append` that failed

    def create(self, event: Event) -> None:
        """Create the ledger atomically with its first event, to which the format is added.

        Raises:
            LedgerError: the ledger exists already, or cannot be written.
        """
        if self.path.exists():
            raise LedgerError(f"{self.path} already exists")
        try:
            write_whole(self.path, encode([{**event, "format": FORMAT}]), is_durable=True)
        except OSError as error:
            raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error

    @property
    def torn(self) -> int:
        """Bytes after the last intact marker, as of the last read."""
        return self._reader.torn

    def news(self) -> list[Event]:
        """The events that any writer has appended since the last call or append."""
        self._unreturned += self._reader.read()
        news, self._unreturned = self._unreturned, []
        return news

    def has_news(self) -> bool:
        """Whether `news` would return events, or the file has grown; costs one `stat`, or two.

        Raises:
            LedgerDamagedError: another program has changed the file.
        """
        status = self._status()
        if status.st_size != self._reader.offset:
            self._mtime = None
            return True
        if self._unreturned:
            return True
        if self._mtime is None:
            self._mtime = status.st_mtime_ns
        elif status.st_mtime_ns != self._mtime and (begin := time.monotonic()) >= self._next_check:
            self.verify()
            self._mtime = status.st_mtime_ns
            end = time.monotonic()
            self._next_check = end + CHECK_REST * (end - begin)
        return False

    def verify(self) -> None:
        """Read the whole file again.

        Raises:
            LedgerDamagedError: another program has changed what was read or written before.
        """
        self._status(is_patient=False)
        LedgerReader(self.path).read()

    def _status(self, *, is_patient: bool = True) -> os.stat_result:
        """The status of the file at the path: the one that this process writes, or an equal one.

        With `is_patient`, a file that was removed just now is not restored yet.
        """
        while True:
            try:
                status = self.path.stat()
            except FileNotFoundError:
                if self._descriptor is None:
                    raise NotFoundError(f"there is no ledger at {self.path}") from None
                if is_patient and not self._is_missing_for_long():
                    return os.fstat(self._descriptor)
                self._restore(self._descriptor)
                continue
            self._missing_since = None
            if self._descriptor is None or os.path.samestat(status, os.fstat(self._descriptor)):
                return status
            self._adopt(self._descriptor)

    def _is_missing_for_long(self) -> bool:
        """Whether the file has been missing for so long that nobody is removing its whole folder."""
        now = time.monotonic()
        if self._missing_since is None:
            self._missing_since = now
        return now - self._missing_since >= RESTORE_AFTER

    def _restore(self, descriptor: int) -> None:
        """Write the ledger again, which another program removed, from the descriptor that is still open."""
        try:
            write_whole(self.path, self._written(descriptor), is_durable=True)
        except OSError as error:
            raise LedgerDamagedError(
                f"{self.path} was removed and cannot be restored: {error.strerror}"
            ) from error
        self._report(f"{self.path} was removed; it is restored")

    def _adopt(self, descriptor: int) -> None:
        """Continue in the file that replaced the ledger, if it has the same content."""
        try:
            replacement = descriptor_to_change(self.path, creates=False, appends=True)
        except FileNotFoundError:
            return  # removed again
        except OSError as error:
            raise LedgerDamagedError(
                f"{self.path} was replaced, and cannot be read: {error.strerror}", hint=self._reader.remedy
            ) from error
        if self._written(replacement) != self._written(descriptor):
            os.close(replacement)
            raise LedgerDamagedError(
                f"{self.path} was replaced by a file with other content", hint=self._reader.remedy
            )
        os.close(descriptor)
        self._descriptor, self._mtime = replacement, None

    def _written(self, descriptor: int) -> bytes:
        """The part of a file that is the ledger as far as this process has read or written it."""
        return os.pread(descriptor, self._reader.offset, 0)

    def append(self, events: Sequence[Event]) -> list[Event]:
        """Write the events as one batch and sync it; return all new events, in the file's order.

        Raises:
            LockHeldError: another process holds the lock; the message names it.
            LedgerError: the disk is full, or the folder is read-only; at most a torn tail was written.
        """
        data = encode(events)
        crashpoints.point("ledger.before")
        lock = self._acquire()
        try:
            if self.has_news() or not self._reader.offset:
                self._unreturned += self._reader.read()
            if self._reader.torn:
                # The `#` invalidates a last line that lacks only its newline: it must not become intact now.
                void = b'#\n{"void":%d}\n' % self._reader.offset
                self._write(void)
                self._reader.read()
            self._mtime = self._write(data)
            self._reader.skip(events, len(data))
        finally:
            self._release(lock)
        crashpoints.point("ledger.written")
        self.sync()
        crashpoints.point("ledger.synced")
        news, self._unreturned = self._unreturned, []
        return [*news, *events]

    def sync(self) -> None:
        """Wait until everything written is on the disk.

        Raises:
            LedgerError: the sync failed. Events that are then appended again are stored twice, which readers
                tolerate.
        """
        try:
            if self._descriptor is not None:
                os.fdatasync(self._descriptor)
        except OSError as error:
            raise LedgerError(f"cannot sync {self.path}: {error.strerror}") from error

    def close(self) -> None:
        """Close the files; a later append opens them again."""
        for descriptor in (self._descriptor, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._lock = None

    def _write(self, data: bytes) -> int:
        """Append to the file; returns its new time of modification, in nanoseconds."""
        try:
            if self._descriptor is None:
                self._descriptor = descriptor_to_change(self.path, creates=False, appends=True)
            written = os.write(self._descriptor, data)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise LedgerError(f"cannot write {self.path}: {error.strerror}") from error
        if written != len(data):
            raise LedgerError(f"cannot write {self.path}: {os.strerror(errno.ENOSPC)}")
        return status.st_mtime_ns

    def _acquire(self) -> int:
        """Lock a descriptor that stays open, compatible with `filelock.FileLock` on the same path."""
        import filelock  # noqa: PLC0415 - would take half of a reader's startup, and only writers need it

        try:
            end = time.monotonic() + self.lock_wait
            while True:
                if self._lock is None:
                    self._lock = descriptor_to_change(self._lock_path)
                if filelock.lock_descriptor(self._lock, blocking=False):
                    if is_at(self._lock_path, self._lock):
                        break
                    os.close(self._lock)  # the file was removed: another writer would lock a new one
                    self._lock = None
                    continue
                if time.monotonic() > end:
                    raise self._lock_held_error()
                time.sleep(LOCK_PAUSE)
        except OSError as error:
            raise LedgerError(f"cannot lock {self._lock_path}: {error.strerror}") from error
        return self._lock

    def _release(self, lock: int) -> None:
        import filelock  # noqa: PLC0415 - `_acquire` has loaded it already

        filelock.unlock_descriptor(lock)

    def _lock_held_error(self) -> LockHeldError:
        from nemorun_cli.system.locks import holder_by_kernel  # noqa: PLC0415 - only needed for this error

        pid = holder_by_kernel(self._lock_path)
        holder = _describe(pid) if pid else "an unknown process, possibly on another host"
        return LockHeldError(
            f"{self._lock_path} has been held for more than {self.lock_wait:g} s by {holder}",
            hint="nothing was written; terminate that process if it hangs, then try again",
        )


def _describe(pid: int) -> str:
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ")
    except OSError:
        return f"pid {pid}"
    return f"pid {pid} ({argv.decode(errors='replace')[:200]})"


def reader_of(path: Path) -> LedgerReader:
    """A reader of an experiment's ledger, which refuses events that no reader can use."""
    return LedgerReader(path, flaw=kinds.flaw)


def read_settled(path: Path, *, patience: float = 0.1) -> tuple[list[Event], LedgerReader]:
    """All events and the reader that read them, once no write is in progress.

    A writer may be about to complete a torn tail: the reader's `torn` is nonzero only if the tail is still
    there after `patience` seconds.
    """
    reader = reader_of(path)
    events = reader.read()
    end = time.monotonic() + patience
    while reader.torn and time.monotonic() < end:
        time.sleep(0.005)
        events += reader.read()
    return events, reader
