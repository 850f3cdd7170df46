"""Openings of a record: which process had it open, when, and with which result.

An opening is one file, `openings/<id>.jsonl`: its first line identifies the process, a later one records the
end. The process holds a lock on the file, which the kernel releases when the process dies: an opening without
a recorded end whose lock is free was lost. A supervisor's verdict is a second file, and overrides the end.

Openings that overlap (the ranks of a job) share a generation; one that starts when all others have finished
starts the next. A supervisor's opening of an attempt does not keep a generation open, so that a program which
opens its record twice in the attempt has two generations. The id begins with the generation, so that openings
are in order even if the clocks of two machines disagree.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nemorun_cli.errors import LedgerDamagedError, LedgerNewerError, NotFoundError, StateError, UsageError
from nemorun_cli.model import clock
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.model.status import Reason
from nemorun_cli.system.files import FILE_MODE, make_folder
from nemorun_cli.tracking.process import process_info
from nemorun_cli.tracking.store import json_values, row_files, row_writer
from nemorun_cli.tracking.store.presence import Presence, hold, is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Flaw, Row

FORMAT: Final = "exp.record/1"
SERVER: Final = ".server"  # the folder of a server's own files
RESUME: Final = ("allow", "must", "never")
TRIES: Final = 3  # to open a record that is moved or removed meanwhile
ENDS: Final = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


class Session(NamedTuple):
    """One opening as read from disk.

    `state` is `alive` (its lock is held), `ended`, `gone` (its lock is free and no end is recorded: FAILED
    with the reason `lost`), `elsewhere` (the lock of another machine, or of a replica's original, which
    cannot be checked here: RUNNING) or `supervised` (created by a supervisor for a task, and ended only by
    its verdict: RUNNING).
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
        """Whether it is final: its process writes nothing more."""
        return self.state in {"ended", "gone"}


class OpenSession:
    """An opening of this process, which holds its lock until it ends."""

    def __init__(self, place: Place, opening: str, descriptor: int) -> None:
        self.place = place
        self.id = opening
        self.status = Status.RUNNING
        self._descriptor = descriptor

    @classmethod
    def start(
        cls,
        place: Place,
        *,
        resume: str = "allow",
        about: Mapping[str, Any],
        process: Mapping[str, Any],
        announces: Callable[[str], None] | None = None,
    ) -> Self:
        """Open the record, which is RUNNING from then on.

        Args:
            place: the record.
            resume: `allow`, `must` (the record exists) or `never` (it does not).
            about: description, tags and the like, as plain values.
            process: the facts from `process_info.of_process`.
            announces: is called with the id when the opening has its locked file, which is still empty: no
                opening has a line that is not announced.

        Raises:
            NotFoundError: the record must exist and does not.
            UsageError: the record must not exist and does.
            StateError: the record was moved or removed each time that it was opened.
        """
        missing: FileNotFoundError | None = None
        for _ in range(TRIES):
            held = hold(place.openings, is_removal=False)
            try:
                session = cls._start(place, resume=resume, about=about, process=process, announces=announces)
            except FileNotFoundError as error:  # as by `exp rm` at the same time
                missing = error
            else:
                if session.is_in_place():
                    return session
            finally:
                if held is not None:
                    os.close(held)
        raise StateError(f"the record {place.prefix!r} was moved or removed while it was opened") from missing

    @classmethod
    def _start(
        cls,
        place: Place,
        *,
        resume: str,
        about: Mapping[str, Any],
        process: Mapping[str, Any],
        announces: Callable[[str], None] | None,
    ) -> Self:
        generation = _generation(place, resume, is_supervised=process.get("supervised") is True)
        now = time.time()
        opening = f"{generation:04d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{os.getpid()}"
        opening = f"{opening}-{os.urandom(4).hex()}"
        make_folder(place.openings)
        path = place.opening(opening)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        descriptor = row_writer.above_standard_streams(descriptor)
        event = {"event": "opened", "format": FORMAT, "id": opening, "time": clock.stamp(now)}
        try:
            locked = _lock(descriptor)
            first = {**event, "prefix": place.prefix, "locked": locked, **about, **process}
            if about.get("dash_url") is not None:  # then there may be copies, on this machine, too
                first["file"] = _identity(descriptor)
            if announces is not None:
                announces(opening)
            _write(descriptor, first)
        except BaseException:
            os.close(descriptor)
            os.unlink(path)
            raise
        return cls(place, opening, descriptor)

    def is_in_place(self) -> bool:
        """Whether the record is still where it was opened; if it was moved, the opening is ended there."""
        try:
            self.presence().require()
        except StateError:
            self.end(Status.CANCELLED, message="the record was moved while it was opened")
            return False
        return True

    def __getstate__(self) -> dict[str, Any]:
        """A copy in any process knows the opening, but has no lock and no file to end it in."""
        return {**self.__dict__, "_descriptor": -1}

    def presence(self) -> Presence:
        """The file of the opening, to notice later that it was moved."""
        return Presence.of(self.place.opening(self.id), self._descriptor)

    @property
    def is_removed(self) -> bool:
        """Whether the file of the opening is in no folder any more."""
        # some file systems do not count the links of a file
        return os.fstat(self._descriptor).st_nlink == 0 and not os.path.exists(self.place.opening(self.id))

    def end(self, status: Status, **details: Any) -> None:
        """Record the end, and release the lock.

        Raises:
            StateError: it has already ended, or the status is not final.
        """
        if self.status is not Status.RUNNING or status not in ENDS:
            raise StateError(f"the record cannot go from {self.status} to {status}")
        _write(self._descriptor, {"event": "ended", "time": clock.stamp(), "status": str(status), **details})
        self.status = status
        self.release()

    def release(self) -> None:
        """Close the file. In a forked child, the parent keeps the lock until it closes its own descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> bool:
    """Lock the new file; returns False if the file system does not support locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # a reader is probing the lock and releases it at once
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _write(descriptor: int, event: Mapping[str, Any]) -> None:
    """Append one event completely or not at all."""
    line = f"{json_values.dump(event)}\n".encode("ascii")
    written = os.write(descriptor, line)
    if written != len(line):
        row_writer.finish(descriptor, line, written)


def _generation(place: Place, resume: str, *, is_supervised: bool) -> int:
    """The generation of an opening that starts now.

    A supervised one is open as long as its attempt, in which a program may open the record several times: for
    another opening of the program it does not count.
    """
    if resume not in RESUME:
        raise UsageError(f"resume is one of {', '.join(RESUME)}, not {resume!r}")
    if resume == "never":
        make_folder(os.path.dirname(place.record))
        try:
            os.mkdir(place.record, 0o700)  # only one of several processes can
        except FileExistsError:
            raise UsageError(
                f"there is already a record at {place.prefix!r}, and resume is 'never'",
                hint="choose another prefix, for example one with {id}",
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
    candidates = [name for name in names if row_files.generation_of(name) == latest]
    has_program = is_open = False
    for name in reversed(candidates):  # newest first: it is the most likely to be open
        session = read(place, name)
        if session is None:
            is_program, is_over = True, not is_held(place.opening(name))
        else:
            is_program, is_over = not session.facts.get("supervised"), session.is_over
        if not is_over and (is_program or is_supervised):
            return latest
        has_program = has_program or is_program
        is_open = is_open or not is_over
    return latest if is_open and not has_program else latest + 1


def ids(place: Place) -> list[str]:
    """The ids of the openings of a record, oldest first; empty if there is no record."""
    names = [source.opening for source in row_files.sources(place.openings)]
    return sorted(names, key=lambda name: (row_files.generation_of(name), name))


def read(place: Place, opening: str) -> Session | None:
    """The current state of an opening; None if its first line is incomplete.

    Raises:
        LedgerDamagedError: its first line cannot be read, or a field of another one cannot be used.
        LedgerNewerError: a newer version wrote it.
    """
    return _read_file(place, opening)[0]


def _read_file(place: Place, opening: str) -> tuple[Session | None, list[Flaw]]:
    """The state of an opening, and the lines of its file that were skipped."""
    path = place.opening(opening)
    try:
        return _read(place, opening, path)
    except (ValueError, TypeError, LookupError) as error:
        raise LedgerDamagedError(f"{path} is not an opening of a record: {error}") from error


def _read(place: Place, opening: str, path: str) -> tuple[Session | None, list[Flaw]]:
    events, flaws = row_files.read(path, "opening")
    verdict = read_verdict(place, opening)
    state = "ended"
    if verdict is None and len(events) < 2:  # noqa: PLR2004 - the start and the end
        state = _state(path, events[0] if events else {})
        if state == "gone" and is_collected(place.root):  # a replica: its lock is that of the original
            state = "elsewhere"
        if state == "gone":  # it may have ended between the two reads
            events, flaws = row_files.read(path, "opening")
    if (first := next(iter(row_files.damaged(flaws)), None)) is not None and first.line == 1:
        raise LedgerDamagedError(first.message)  # the other lines do not identify the writer
    if not events:
        return None, flaws
    if events[0].get("format") != FORMAT:
        raise LedgerNewerError(f"{path} has the format {events[0].get('format')!r}, not {FORMAT}")
    from nemorun_cli.tracking.store import row_forms  # noqa: PLC0415 - programs rarely read

    row_forms.check([*events, *([verdict] if verdict else [])], "opening", path)
    end = next((event for event in events[1:] if event.get("event") == "ended"), None)
    return _session(opening, events[0], end, verdict, "ended" if end or verdict else state), flaws


def _session(opening: str, first: Row, end: Row | None, verdict: Row | None, state: str) -> Session:
    outcome = verdict or end or {}
    status = Status(outcome.get("status", Status.RUNNING))
    reason, message = outcome.get("reason"), outcome.get("message")
    if message is None and end and end.get("status") == outcome.get("status"):
        message = end.get("message")  # a verdict may contain only the exit code
    if state == "gone":
        status, reason = Status.FAILED, str(Reason.LOST)
        message = f"process {first.get('pid')} on {first.get('host')} terminated without recording its end"
    return Session(
        id=opening,
        generation=row_files.generation_of(opening),
        status=status,
        state=state,
        reason=reason,
        message=message,
        opened=str(first.get("time")),
        ended=outcome.get("time"),
        facts=first,
        end=end,
        verdict=verdict,
    )


def _state(path: str, first: Row) -> str:
    """The state of an opening without a recorded end; its lock is only valid on the machine that took it."""
    if not first:
        return "alive" if is_held(path) else "gone"
    if first.get("supervised"):
        return "supervised"
    if not process_info.is_this_machine(first):
        # the same host with another boot id was restarted since
        is_lost = first.get("host") == process_info.host() and not is_copy(path, first)
        return "gone" if is_lost else "elsewhere"
    if is_copy(path, first):
        return "elsewhere"
    if first.get("locked", True):
        return "alive" if is_held(path) else "gone"
    return "alive" if process_info.started(int(first["pid"])) == first.get("process_started") else "gone"


def is_collected(root: str) -> bool:
    """Whether a folder of records is that of a server, whose records are copies from other machines."""
    return os.path.isdir(f"{root}/{SERVER}")


def is_copy(path: str, first: Row) -> bool:
    """Whether the file of an opening is another one than its process wrote, such as one that was pulled.

    Only the original has a lock and grows. Openings without a server are not distinguished from their copies.

    Args:
        path: the file.
        first: its first line.
    """
    original = first.get("file")
    if not isinstance(original, list) or len(original) not in {2, 3}:  # the older ones have no file system
        return False
    try:
        device, number, *systems = _identity(path)
    except OSError:
        return False
    if number != original[1]:
        return True
    # The number of a device changes when it is mounted again, and always when the machine restarts; some file
    # systems have a lasting identity, and those that have none, as on a network, all have the same.
    is_there = device == original[0] or bool(systems and systems == original[2:])
    return process_info.is_this_machine(first) and not is_there


def _identity(file: str | int) -> list[int | str]:
    """What an open file, or the file of a path, is known by: its device, its inode, and its file system."""
    status = os.stat(file)
    try:
        return [status.st_dev, status.st_ino, f"{os.statvfs(file).f_fsid:x}"]
    except OSError:
        return [status.st_dev, status.st_ino]


def read_verdict(place: Place, opening: str) -> Row | None:
    """The latest verdict of a supervisor on an opening, or None."""
    try:
        with row_files.open_rows(place.verdict(opening)) as stream:
            verdict = json_values.load(row_files.read_whole(stream, place.verdict(opening)).decode("ascii"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise LedgerDamagedError(f"{place.verdict(opening)} is not a verdict: {error}") from error
    return verdict if isinstance(verdict, dict) else None


def read_all(place: Place) -> tuple[list[Session], list[Flaw]]:
    """All openings of a record, oldest first; the files with only an incomplete line, and damaged lines."""
    sessions = []
    skipped: list[Flaw] = []
    for opening in ids(place):
        session, flaws = _read_file(place, opening)
        skipped += row_files.damaged(flaws)
        if session:
            sessions.append(session)
        else:
            path = place.opening(opening)
            skipped.append(row_files.IncompleteRow(path, os.path.getsize(path)))
    return sessions, skipped


def status_of(openings: list[Session]) -> Session | None:
    """The opening that decides the status: of the latest generation, RUNNING, else FAILED, else CANCELLED.

    The opening of a supervisor belongs to the latest generation of its attempt.
    """
    if not openings:
        return None
    latest = max(opening.generation for opening in openings)
    order = (Status.RUNNING, Status.FAILED, Status.CANCELLED, Status.COMPLETED)
    candidates = [opening for opening in openings if opening.generation == latest]
    attempts = {_attempt(opening) for opening in candidates}
    candidates += [
        opening for opening in openings if opening.state == "supervised" and _attempt(opening) in attempts
    ]
    return min(candidates, key=lambda opening: order.index(opening.status))


def _attempt(opening: Session) -> tuple[Any, ...]:
    """The experiment, task and attempt of an opening."""
    return tuple(opening.facts.get(name) for name in ("exp_id", "task", "attempt"))
