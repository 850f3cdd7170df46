"""The loop of a sender: look, report what is alive, send, conclude; wait while the server takes nothing."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.model import clock
from nemorun_cli.replication import connection, experiment_source
from nemorun_cli.replication.client import Client
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault
from nemorun_cli.replication.sender import outbox_files, tokens, work
from nemorun_cli.replication.sender.outgoing import Pace, SyncProblem
from nemorun_cli.replication.sender.waits import RetryTime
from nemorun_cli.tracking.outbox import notes
from nemorun_cli.tracking.process import process_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nemorun_cli.replication.sender.outbox_files import Marker, SenderLog
    from nemorun_cli.replication.sender.work import Work
    from nemorun_cli.tracking.outbox.markers import Outbox

LOOK: Final = 0.5  # seconds between looks at what is marked
LOOK_SHARE: Final = 20  # looking takes at most one part in so many of the time
GLANCE: Final = 0.1  # seconds between looks at whether there are new markers
HEARD: Final = 15.0  # seconds between reports of what is alive
MOST_HEARD: Final = 1000  # openings in a report
MOST_BEHIND: Final = 16  # records that are on their way at the same time
BACKLOG: Final = 32  # files on their way from which on several are sent in one request
MOST_RECENT: Final = (
    64  # records without markers that are still looked at: forked processes may write to them
)
RECENT: Final = 60.0  # seconds for which that is done
STATE_FORMAT: Final = "exp.sender/1"
STATE_PAUSE: Final = 0.2  # seconds between states
STATE_AGE: Final = 10.0  # seconds after which the state is written again, to show that the sender lives
MOST_LISTED: Final = 100  # records with a problem in the state
PROBE: Final = 5.0  # seconds between tries to connect to a server that could not be reached
PROBE_LIMIT: Final = 1.0  # seconds for one
PROBE_JITTER: Final = 2.0  # seconds within which senders return to a server that is reachable again
PATIENCE: Final = 3600.0  # seconds without an acknowledgement after which it ends, if nothing is written here
WRITTEN_LOOK: Final = 60.0  # seconds between looks at whether something is, after that
LOOK_FAILED: Final = 5.0  # seconds after a look that failed, as without a free descriptor


class OutboxSender:
    """Ships what is marked in an outbox. The caller holds its lock.

    Args:
        outbox: of a root and a server.
        log: of the outbox.
        chooses: which markers count; default all.

    Attributes:
        error: why nothing arrives now; None while things go well.
        last: the Unix time of the last acknowledgement.
        failures: how often the server took nothing.
        skew: seconds by which the server's clock is ahead of this one; None until it was asked.
    """

    def __init__(
        self, outbox: Outbox, log: SenderLog, *, chooses: Callable[[Marker], bool] | None = None
    ) -> None:
        self.outbox = outbox
        self.error: SyncProblem | None = None
        self.last: float | None = None
        self.failures = 0
        self.skew: float | None = None
        self._root = outbox_files.root_of(outbox)
        self._chooses = chooses
        self._log = log
        self._pace = Pace()
        self._retry = RetryTime()
        self._client: Client | None = None
        self._markers: dict[str, Marker] = {}
        self._waiting: dict[str, dict[str, Marker]] = {}  # by label, the latest at the end
        self._concluded = 0  # markers that were removed since they were read
        self._works: dict[str, Work] = {}
        self._next_look = self._next_heard = self._state_at = 0.0  # monotonic
        self._state: dict[str, Any] = {}
        self._takes_batches = False
        self._is_unreachable = False
        self._next_probe = 0.0  # monotonic
        self._woken = self._wake()
        self._idle_since: float | None = None  # monotonic
        self._turns = 0
        self._started = clock.stamp()
        self._gives_up_at = time.monotonic() + PATIENCE
        self._stuck: dict[str, float] = {}  # markers of what the server does not take, since when (monotonic)
        before = notes.read_state(outbox).get("last")
        if isinstance(before, str):
            with contextlib.suppress(ValueError):
                self.last = clock.unix(before)

    def run(self, *, linger: float) -> None:
        """Ship until nothing was left to do for `linger` seconds, or until the outbox is removed.

        It also ends after an hour in which nothing arrived and nothing was written here: the next opening,
        `exp sync` or supervisor starts another sender.
        """
        self._log.write(f"started for {self.outbox.url}")
        while self._has_outbox():
            is_moving = self.turn()
            if self._idle_since is not None and time.monotonic() - self._idle_since >= linger:
                break
            if self._gives_up():
                reason = "" if self.error is None else f": {self.error.message}"
                self._log.write(f"ended: nothing has arrived for long, and nothing is written here{reason}")
                return
            if not is_moving:
                self._pause()
        self._log.write("ended: nothing is left to do")

    def _has_outbox(self) -> bool:
        """Whether the outbox was not removed; also while its disk does not answer."""
        try:
            os.stat(self.outbox.pending)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def _gives_up(self) -> bool:
        """Whether to leave what is here to the next sender."""
        if time.monotonic() < self._gives_up_at:
            return False
        if any(each.watched.is_written for each in self.left) or self._waits_for_writers():
            self._gives_up_at = time.monotonic() + WRITTEN_LOOK
            return False
        return True

    def _waits_for_writers(self) -> bool:
        """Whether something is written that nothing was sent of yet."""
        for marked in self._waiting.values():
            waiting = work.work_of(next(iter(marked.values())), self._root, self.outbox, self._pace)
            with contextlib.suppress(ExpError, OSError):
                if waiting is not None:
                    waiting.watched.look()
                    if waiting.watched.is_written:
                        return True
        return False

    def turn(self) -> bool:
        """Do a little of everything; returns whether more can be done at once."""
        try:
            self._look()
            self._begin()
        except OSError as error:  # a stale file handle, or no free descriptor: it may pass
            self._log.write(f"{self.outbox.folder} cannot be read: {error}")
            self._next_look = time.monotonic() + LOOK_FAILED
        is_moving = False
        if self._has_reason() and self._may_try():
            try:
                is_moving = self._ship()
            except RemoteError as error:
                self._failed(error)
        self._note()
        return is_moving

    @property
    def markers(self) -> frozenset[str]:
        """The names of the markers that it knows, and of which not all has arrived."""
        known = [*(each.markers for each in self.left), *self._waiting.values()]
        return frozenset(name for marked in known for name in marked)

    @property
    def retry_in(self) -> float:
        """The seconds until it tries again."""
        return max(0.0, self._retry.at - time.monotonic())

    @property
    def left(self) -> list[Work]:
        """What has markers, as it was at the last look."""
        return [each for each in self._works.values() if each.markers]

    @property
    def is_done(self) -> bool:
        """Whether the server has all that can be sent now."""
        return not self.is_behind and not self._can_conclude

    @property
    def _can_conclude(self) -> bool:
        """Whether something has ended, and its markers can be removed."""
        return any(
            any(each.watched.is_over(marker) for marker in each.markers.values()) and each.worst is None
            for each in self.left
        )

    @property
    def is_behind(self) -> bool:
        """Whether something that can be sent was not, or was not looked at yet."""
        return bool(self._waiting) or any(each.is_behind for each in self._works.values())

    def look_soon(self) -> None:
        """Look at the markers and the files with the next turn."""
        self._next_look = 0.0

    def close(self) -> None:
        """Write the last state, and close the connection."""
        self._note(is_last=True)
        if self._client is not None:
            self._client.close()

    def _look(self) -> None:
        """Read new markers, and look at what they name."""
        begin = time.monotonic()
        if begin < self._next_look:
            return
        self._note_stuck(begin)
        self._markers = outbox_files.markers(self.outbox, self._markers, stuck=self._stuck)
        if self._chooses is not None:
            self._markers = {name: each for name, each in self._markers.items() if self._chooses(each)}
        self._concluded = 0
        self._assign()
        for each in self._works.values():
            each.look()
        now = time.monotonic()
        self._next_look = now + max(LOOK, (now - begin) * LOOK_SHARE)

    def _note_stuck(self, now: float) -> None:
        """With too many markers, leave out those of what is refused for a while, so that others are sent."""
        if len(self._markers) >= outbox_files.MOST_MARKERS:
            for each in self.left:
                if each.worst is not None:
                    self._stuck |= {name: now for name in each.markers if name not in self._stuck}
        self._stuck = {name: since for name, since in self._stuck.items() if now - since < work.RETRY}

    def _assign(self) -> None:
        """Give the markers to the works; those of others wait."""
        by_label: dict[str, dict[str, Marker]] = {}
        for marker in self._markers.values():
            by_label.setdefault(marker.prefix or marker.experiment or "", {})[marker.name] = marker
        now = time.monotonic()
        for label, each in self._works.items():
            each.markers = by_label.pop(label, {})
            if each.markers:
                each.without_markers_since = None
            elif each.without_markers_since is None:
                each.without_markers_since = now
        self._drop(now)
        newest = sorted(by_label, key=lambda label: max(each.mtime_ns for each in by_label[label].values()))
        self._waiting = {label: by_label[label] for label in newest}

    def _begin(self) -> None:
        """Begin with what waits, the latest first, as long as little is on its way."""
        behind = sum(each.is_behind for each in self._works.values()) if self._waiting else 0
        while self._waiting and behind < MOST_BEHIND:
            label, marked = self._waiting.popitem()
            made = work.work_of(next(iter(marked.values())), self._root, self.outbox, self._pace)
            if made is not None:
                made.markers = marked
                self._works[label] = made
                made.look()
                behind += made.is_behind
                continue
            for marker in marked.values():
                self._log.write(f"{marker.name} names nothing that can be sent: {label[:200]!r}")
                outbox_files.remove(self.outbox, marker)
                del self._markers[marker.name]

    def _drop(self, now: float) -> None:
        """Forget what has had no markers for a while, or is one too many of those."""
        done = [
            (each.without_markers_since, label)
            for label, each in self._works.items()
            if each.without_markers_since is not None
        ]
        for index, (since, label) in enumerate(sorted(done, reverse=True)):
            if index >= MOST_RECENT or now - since >= RECENT:
                del self._works[label]

    def _has_reason(self) -> bool:
        """Whether the server is to be asked anything."""
        now = time.monotonic()
        is_idle = self.is_done
        is_waiting = any(each.worst is None for each in self.left)  # for a process that still writes
        if is_idle and not is_waiting:
            self._idle_since = self._idle_since or now
        else:
            self._idle_since = None
        return not is_idle or (is_waiting and now >= self._next_heard)

    def _may_try(self) -> bool:
        """Whether it is time to try, or somebody asked for it, or the server can be reached again."""
        if self._is_woken():
            self._disconnect()  # the token may be another one now
            self._retry.hurry()
            for each in self._works.values():
                each.outgoing.retry()
        elif not self._retry.is_due and self._is_unreachable and time.monotonic() >= self._next_probe:
            self._next_probe = time.monotonic() + PROBE
            if connection.is_reachable(self.outbox.url, limit=PROBE_LIMIT):
                self._is_unreachable = False
                self._retry.hurry(within=PROBE_JITTER)
        return self._retry.is_due

    def _ship(self) -> bool:
        client = self._connected()
        self._report(client)
        sent = False
        works = sorted(self._works.values(), key=lambda each: each.outgoing.is_suspect)
        in_batches = self._takes_batches and self._has_backlog(works)
        for each in works:
            sent = each.outgoing.send_rows(client, in_batches=in_batches) or sent
        self._turns += 1
        for index in range(len(works)):
            if works[(index + self._turns) % len(works)].outgoing.send_contents(client, limit=LOOK):
                sent = True
                break  # rows first, and then those of another record
        for each in works:
            if not each.is_behind:
                self._concluded += each.conclude(client, self.outbox)
        if sent:
            self.last = time.time()
            self._gives_up_at = time.monotonic() + PATIENCE
        if self.error is not None:
            self._log.write("the server takes what is sent again")
        self.error = None
        self._retry.succeeded()
        return sent

    def _has_backlog(self, works: Iterable[Work]) -> bool:
        """Whether so many files are on their way that one request for each would take long."""
        return bool(self._waiting) or sum(len(each.outgoing.pending_files) for each in works) >= BACKLOG

    def _connected(self) -> Client:
        """The connection, on which the server has identified itself."""
        if self._client is None:
            experiment_source.forget_owners()
            try:
                client = Client(self.outbox.url, tokens.required(self.outbox.url))
            except RemoteError:
                raise
            except (ExpError, OSError) as error:  # as the file of tokens, which cannot be read
                hint = getattr(error, "hint", None)
                raise RemoteError(RemoteFault.NO_TOKEN, str(error), hint=hint) from error
            before = time.time()
            hello = client.hello()
            self._takes_batches = hello.takes_batches
            self._pace.largest, self._pace.largest_file = hello.largest_batch, hello.largest_file
            self._pace.batch = min(self._pace.batch, hello.largest_batch)
            self._pace.piece = min(self._pace.piece, hello.largest_batch)
            with contextlib.suppress(ValueError):
                self.skew = clock.unix(hello.time) - (before + time.time()) / 2
            self._client = client
        return self._client

    def _report(self, client: Client) -> None:
        """Report to the server what is alive, if that is due."""
        now = time.monotonic()
        if now < self._next_heard:
            return
        alive = [list(pair) for pair in self._alive()][:MOST_HEARD]
        self._next_heard = now + HEARD
        supervised = [list(place) for place in self._supervised()][:MOST_HEARD]
        if not alive and not supervised:
            return
        machine = {"host": process_info.host(), "boot": process_info.boot()}
        document = {"machine": machine, "time": clock.stamp(), "alive": alive, "supervised": supervised}
        try:
            client.heard(document)
        except RemoteError as error:
            if error.fault not in {RemoteFault.REFUSED, RemoteFault.FORBIDDEN}:  # an older server
                self._next_heard = 0.0
                raise

    def _alive(self) -> Iterator[tuple[str, str]]:
        for each in self.left:
            for opening in getattr(each.watched, "alive", ()):
                yield each.label, opening

    def _supervised(self) -> Iterator[tuple[str, str, str]]:
        for each in self.left:
            if (place := getattr(each.watched, "supervised", None)) is not None:
                yield place

    def _failed(self, error: RemoteError) -> None:
        """Keep the error for those who ask, and wait as it demands."""
        if error.fault in {RemoteFault.AWAY, RemoteFault.BROKEN}:
            self._pace.failed()
        since = (
            self.error.since if self.error is not None and self.error.fault == error.fault else time.time()
        )
        hint = f" ({error.hint})" if error.hint else ""
        if error.retry_after:
            hint += f"; it asks to wait {error.retry_after:.0f} s"
        self.error = SyncProblem(error.fault, f"{error.message}{hint}", since)
        self.failures += 1
        self._log.write(f"{error.fault}: {error.message}")
        self._retry.failed(error)
        self._is_unreachable = error.is_unreachable
        self._next_probe = time.monotonic() + PROBE
        self._disconnect()

    def _disconnect(self) -> None:
        """Have the next try ask who is there, and read the token again."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _is_woken(self) -> bool:
        """Whether somebody asked to try again at once since the last question."""
        before, self._woken = self._woken, self._wake()
        return self._woken != before

    def _wake(self) -> tuple[int, int]:
        try:
            status = os.stat(self.outbox.waking)
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    def _pause(self) -> None:
        """Wait for the next look, or for a new marker."""
        before = self._marked()
        while time.monotonic() < self._next_look:
            time.sleep(min(GLANCE, max(0.0, self._next_look - time.monotonic())))
            if self._marked() != before:
                self._next_look = 0.0

    def _marked(self) -> int:
        try:
            return os.stat(self.outbox.pending).st_mtime_ns
        except OSError:
            return 0

    def _note(self, *, is_last: bool = False) -> None:
        """Write what the server has, and the state."""
        for each in self._works.values():
            each.note(self.outbox, is_final=is_last)
        now = time.monotonic()
        is_news = (self.error is None) != (self._state.get("error") is None)
        if now - self._state_at < STATE_PAUSE and not (is_news or is_last):
            return
        state = self.to_json()
        if state != self._state or now - self._state_at >= STATE_AGE or is_last:
            self._state, self._state_at = state, now
            document = {**state, "pid": None if is_last else os.getpid(), "time": clock.stamp()}
            with contextlib.suppress(OSError):  # a full disk
                notes.write_state(self.outbox, document)

    def to_json(self) -> dict[str, Any]:
        """What is pending, and why."""
        left = self.left
        records: dict[str, Any] = {}
        for each in left:
            if (problem := each.worst) is not None and len(records) < MOST_LISTED:
                records[each.label] = _problem_json(problem)
        problem = self.error or next((each.worst for each in left if each.worst is not None), None)
        return {
            "format": STATE_FORMAT,
            "url": self.outbox.url,
            "host": process_info.host(),
            "started": self._started,
            "last": None if self.last is None else clock.stamp(self.last),
            "skew": None if self.skew is None else round(self.skew, 1),
            "pending": {
                "bytes": sum(each.outgoing.pending_bytes for each in left),
                "files": sum(len(each.outgoing.pending_files) for each in left),
                "markers": len(self._markers) - self._concluded,
            },
            "error": None if problem is None else _problem_json(problem),
            "records": records,
        }


def _problem_json(problem: SyncProblem) -> dict[str, Any]:
    return {"code": str(problem.fault), "message": problem.message, "since": clock.stamp(problem.since)}
