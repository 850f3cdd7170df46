"""Openings of a record: who had it open, when, and how it ended.

An opening is one file, `openings/<id>.jsonl`: its first line says who opened the record, a later one how that
ended. Whoever opened it holds a lock on this very file, which the kernel releases when the process dies: an
opening without an end whose lock is free was lost. A supervisor's verdict lies beside it and wins.

Openings that overlap (the ranks of a job) share a generation; one that begins when all others are over starts
the next. The id begins with it, so that openings are in order even if the clocks of two machines disagree.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nemorun_cli.errors import LedgerNewerError, NotFoundError, StateError, UsageError
from nemorun_cli.model import clock
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.model.status import Reason
from nemorun_cli.tracking.process import process_info
from nemorun_cli.tracking.store import json_values, row_files
from nemorun_cli.tracking.store.record_paths import FILE_MODE, Place, make_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.tracking.store.row_files import IncompleteRow, Row

FORMAT: Final = "exp.record/1"
RESUME: Final = ("allow", "must", "never")
ENDS: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Session(NamedTuple):
    """One opening as it is read.

    `state` is `alive` (its lock is held), `ended`, `gone` (the lock is free and there is no end: FAILED with
    the reason `lost`), `elsewhere` (another machine's lock, which cannot be seen from here: still RUNNING) or
    `supervised` (made by a supervisor for a task, which alone says how it ends: still RUNNING).
    """

    id: str
    generation: int
    status: Status
    state: str
    reason: str | None
    message: str | None
    opened: str
    ended: str | None
    facts: Row
    end: Row | None
    verdict: Row | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come from it."""
        return self.state in {"ended", "gone"}


class OpenSession:
    """An opening of this process: holds its lock until it is ended."""

    def __init__(self, place: Place, opening: str, descriptor: int) -> None:
        self.place = place
        self.id = opening
        self.status = Status.RUNNING
        self._descriptor = descriptor

    @classmethod
    def start(
        cls, place: Place, *, resume: str = "allow", about: Mapping[str, Any], process: Mapping[str, Any]
    ) -> Self:
        """Open the record: from now on it is RUNNING.

        Args:
            place: the record.
            resume: `allow`, `must` (it is there already) or `never` (it is not).
            about: description, tags and the like, already plain.
            process: what `facts.of_process` says.

        Raises:
            NotFoundError: it must be there and is not.
            UsageError: it must not be there and is.
        """
        generation = _generation(place, resume)
        moment = time.time()
        opening = f"{generation:04d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(moment))}-{os.getpid()}"
        opening = f"{opening}-{os.urandom(4).hex()}"
        make_folder(place.openings)
        path = place.opening(opening)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        event = {"event": "opened", "format": FORMAT, "id": opening, "time": clock.stamp(moment)}
        try:
            locked = _lock(descriptor)
            first = {**event, "prefix": place.prefix, "locked": locked, **about, **process}
            _write(descriptor, first)
        except BaseException:
            os.close(descriptor)
            os.unlink(path)
            raise
        return cls(place, opening, descriptor)

    def end(self, status: Status, **details: Any) -> None:
        """Write down how it ended, and let go of the lock.

        Raises:
            StateError: it has ended already, or this is no end.
        """
        if self.status is not Status.RUNNING or status not in ENDS:
            raise StateError(f"the record cannot go from {self.status} to {status}")
        _write(self._descriptor, {"event": "ended", "time": clock.stamp(), "status": str(status), **details})
        self.status = status
        self.release()

    def release(self) -> None:
        """Close the file. In a forked child the parent's lock stays: it ends with the parent's own."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> bool:
    """Lock the new file; False where the file system knows no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # a reader looks at it: it lets go at once
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _write(descriptor: int, event: Mapping[str, Any]) -> None:
    """Append one event whole or not at all."""
    line = f"{json_values.dump(event)}\n".encode("ascii")
    written = os.write(descriptor, line)
    if written != len(line):
        row_files.finish(descriptor, line, written)


def _generation(place: Place, resume: str) -> int:
    """The generation that an opening of now belongs to."""
    if resume not in RESUME:
        raise UsageError(f"resume is one of {', '.join(RESUME)}, not {resume!r}")
    if resume == "never":
        make_folder(os.path.dirname(place.record))
        try:
            os.mkdir(place.record, 0o700)  # which only one of several can
        except FileExistsError:
            raise UsageError(
                f"there is a record at {place.prefix!r} already, and resume is 'never'",
                hint="choose another prefix, for instance with {id} in it",
            ) from None
        return 1
    names = ids(place)
    if not names:
        if resume == "must":
            raise NotFoundError(
                f"there is no record at {place.prefix!r} in {place.root}, and resume is 'must'"
            )
        return 1
    latest = row_files.generation_of(names[-1])
    youngest = [name for name in names if row_files.generation_of(name) == latest]
    # the youngest first: it is the one most likely to be still open
    is_open = any(not _is_over(place, name) for name in reversed(youngest))
    return latest if is_open else latest + 1


def _is_over(place: Place, opening: str) -> bool:
    found = read(place, opening)
    return found.is_over if found else not _is_held(place.opening(opening))


def ids(place: Place) -> list[str]:
    """The openings of a record, the oldest first; none where there is no record."""
    names = [source.opening for source in row_files.sources(place.openings)]
    return sorted(names, key=lambda name: (row_files.generation_of(name), name))


def read(place: Place, opening: str) -> Session | None:
    """One opening as it stands; None while (or because) its first line is not whole.

    Raises:
        LedgerDamagedError: a line cannot be read.
        LedgerNewerError: a newer version wrote it.
    """
    path = place.opening(opening)
    events, _ = row_files.read(path)
    verdict = read_verdict(place, opening)
    state = "ended"
    if verdict is None and len(events) < 2:  # noqa: PLR2004 - the start and the end
        state = _state(path, events[0] if events else {})
        if state == "gone":  # it may have ended between the two looks
            events, _ = row_files.read(path)
    if not events:
        return None
    if events[0].get("format") != FORMAT:
        raise LedgerNewerError(f"{path} has the format {events[0].get('format')!r}, not {FORMAT}")
    end = next((event for event in events[1:] if event.get("event") == "ended"), None)
    return _told(opening, events[0], end, verdict, "ended" if end or verdict else state)


def _told(opening: str, first: Row, end: Row | None, verdict: Row | None, state: str) -> Session:
    last = verdict or end or {}
    status = Status(last.get("status", Status.RUNNING))
    reason, message = last.get("reason"), last.get("message")
    if message is None and end and end.get("status") == last.get("status"):
        message = end.get("message")  # a verdict may know no more than the exit code
    if state == "gone":
        status, reason = Status.FAILED, str(Reason.LOST)
        message = f"process {first.get('pid')} on {first.get('host')} vanished without saying how it ended"
    return Session(
        id=opening,
        generation=row_files.generation_of(opening),
        status=status,
        state=state,
        reason=reason,
        message=message,
        opened=str(first.get("time")),
        ended=last.get("time"),
        facts=first,
        end=end,
        verdict=verdict,
    )


def _state(path: str, first: Row) -> str:
    """What the lock tells of an opening without an end; it is believed only where it was taken."""
    boot, here = first.get("boot", ""), process_info.boot()
    same_machine = (
        boot == here if boot and here else first.get("host", process_info.host()) == process_info.host()
    )
    if not first:
        return "alive" if _is_held(path) else "gone"
    if first.get("supervised"):
        return "supervised"
    if not same_machine:
        return "gone" if first.get("host") == process_info.host() else "elsewhere"  # gone: restarted since
    if first.get("locked", True):
        return "alive" if _is_held(path) else "gone"
    return "alive" if process_info.started(int(first["pid"])) == first.get("process_started") else "gone"


def _is_held(path: str) -> bool:
    """Whether the process that opened it lives. The look is shared and lasts an instant."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system knows no locks
        return False
    finally:
        os.close(descriptor)
    return False


def read_verdict(place: Place, opening: str) -> Row | None:
    """What a supervisor said last of an opening, or None."""
    try:
        with open(place.verdict(opening), encoding="ascii") as stream:
            verdict = json_values.load(stream.read())
    except FileNotFoundError:
        return None
    return verdict if isinstance(verdict, dict) else None


def read_all(place: Place) -> tuple[list[Session], list[IncompleteRow]]:
    """Every opening of a record, the oldest first, and those files that end in the midst of a line."""
    found = []
    torn: list[IncompleteRow] = []
    for opening in ids(place):
        told = read(place, opening)
        if told:
            found.append(told)
        else:
            path = place.opening(opening)
            torn.append(row_files.IncompleteRow(path, os.path.getsize(path)))
    return found, torn


def status_of(openings: list[Session]) -> Session | None:
    """The opening that decides on a record: of the latest generation one that runs, failed, was cancelled."""
    if not openings:
        return None
    latest = max(opening.generation for opening in openings)
    order = (Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.COMPLETED)
    youngest = [opening for opening in openings if opening.generation == latest]
    return min(youngest, key=lambda opening: order.index(opening.status))
