"""Follows an experiment through its ledger: cheap looks, and pauses that end early on changes."""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.errors import NotOverError, UsageError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import spec_copies, supervision
from nemorun_cli.storage.ledger import LedgerReader, reader_of
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks
from nemorun_cli.views import observe
from nemorun_cli.views.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.storage.supervision import Stall
    from nemorun_cli.system.locks import Holder

TICK: Final = 0.1  # seconds between looks at the ledger of a living supervisor
LOOK_EVERY: Final = 0.5  # seconds between looks at the tasks themselves if no supervisor is alive
STALL_LOOK: Final = 1.0  # seconds between checks whether a living supervisor responds


def not_observed_error(snapshot: Snapshot) -> UsageError:
    """The error of a command that needs the backends of an experiment that this home did not create."""
    return UsageError(f"{snapshot.files.id}: {snapshot.not_observed}", hint=snapshot.observe_remedy)


@dataclass(slots=True)
class Watch:
    """A watched experiment.

    While a supervisor is alive, a look reads only what was appended to the ledger. Without one, or if it does
    not respond, it looks at the tasks themselves, as `observe.look` does.

    Attributes:
        news: the events that the last look read.
        others: whether backends are asked about an experiment that this home did not create.
        notice: a message, if the last look found that the supervisor does not respond, or responds again.
    """

    files: ExperimentFiles
    home: Home
    others: bool = False
    spec: Spec = field(init=False)
    history: ExperimentState = field(init=False)
    news: list[Event] = field(default_factory=list)
    notice: str = ""
    _reader: LedgerReader = field(init=False)
    _seen: int = 0  # events
    _size: int = -1  # of the ledger, when it was last read
    _watched: tuple[int, int] | None = None  # the supervisor's pid and its pidfd
    _is_supervised: bool = False
    _stall: Stall | None = None
    _next_stall_look: float = 0.0  # monotonic
    _unobserved: Snapshot | None = None  # the last look, if it did not ask the backends

    def __post_init__(self) -> None:
        self.spec = spec_copies.read_spec(self.files)
        self.history = ExperimentState.of(self.spec)
        self._reader = reader_of(self.files.ledger)

    def renew(self) -> None:
        """Switch to a new revision of the spec if one exists; events already read are not repeated."""
        spec = spec_copies.read_spec(self.files)
        if spec.revision != self.spec.revision:
            self.spec, self.history = spec, ExperimentState.of(spec)
            self.history.apply_all(reader_of(self.files.ledger).read()[: self._seen])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @property
    def has_looked(self) -> bool:
        """Whether `look` was called before."""
        return self._size >= 0

    @property
    def is_supervised(self) -> bool:
        """Whether a process held the supervisor's lock at the last look and may still write events."""
        return self._is_supervised

    def look(self) -> Snapshot:
        """The current state of the experiment."""
        # Check the lock first: a supervisor releases it only after it has written the final event.
        named = locks.named_holder(self.files.supervisor_lock)
        self.news = self._read()
        state, holder = observe.supervisor_of(self.files, self.history, named)
        self._is_supervised = named is not None or state == "alive"
        snapshot = Snapshot(
            files=self.files,
            spec=self.spec,
            history=self.history,
            supervisor=state,
            holder=holder,
            live=0,
            torn=0,
            seen=time.time(),
            stall=self._look_for_stall(holder) if state == "alive" else None,
            is_replica=self.files.is_replica,
        )
        if state not in ("alive", "ended") or snapshot.stall:
            snapshot = observe.look(self.files, home=self.home.directory, others=self.others)
            self.news += self._read()
        self._note_stall(snapshot)
        self._unobserved = snapshot if snapshot.not_observed else None
        return snapshot

    def _look_for_stall(self, holder: Holder | None) -> Stall | None:
        """Why the supervisor does not respond, as of at most STALL_LOOK ago."""
        now = time.monotonic()
        if now >= self._next_stall_look:
            self._next_stall_look = now + STALL_LOOK
            return supervision.stall(self.files, holder)
        return self._stall

    def _note_stall(self, snapshot: Snapshot) -> None:
        self.notice = ""
        if snapshot.stall is not None and self._stall is None:
            self.notice = f"{snapshot.stall_text}; {snapshot.stall_remedy}"
        elif snapshot.stall is None and self._stall is not None and snapshot.supervisor == "alive":
            self.notice = "its supervisor responds again"
        self._stall = snapshot.stall

    def pause(self, *, limit: float | None = None, also: Sequence[int] = ()) -> None:
        """Sleep a tick, at most `limit` seconds; ends if the supervisor exits or a descriptor is readable.

        Raises:
            UsageError: nothing can change, because the backends are not asked.
        """
        if self._unobserved is not None:
            raise not_observed_error(self._unobserved)
        seconds = TICK if self._is_supervised and self._stall is None else LOOK_EVERY
        if limit is not None:
            seconds = max(0.0, min(seconds, limit))
        watched = self._watch_supervisor()
        poll = select.poll()  # `select` fails in a program that has many files open
        for descriptor in (*also, *([watched] if watched is not None else [])):
            poll.register(descriptor, select.POLLIN)
        poll.poll(seconds * 1000)

    def _read(self) -> list[Event]:
        size = self.files.ledger.stat().st_size
        events = self._reader.read() if size != self._size else []
        self._size = size
        self._seen += len(events)
        self.history.apply_all(events)
        return events

    def _watch_supervisor(self) -> int | None:
        holder = self.history.supervisor
        if not self._is_supervised or holder is None or not holder.is_here or not hasattr(os, "pidfd_open"):
            self._release()
            return None
        if self._watched is None or self._watched[0] != holder.pid:
            self._release()
            with contextlib.suppress(OSError):
                self._watched = holder.pid, os.pidfd_open(holder.pid)
        return self._watched[1] if self._watched else None

    def _release(self) -> None:
        if self._watched is not None:
            os.close(self._watched[1])
            self._watched = None


def wait(
    files: ExperimentFiles,
    home: Home,
    *,
    timeout: float | None = None,
    report: Callable[[str], None] = lambda _: None,
    others: bool = False,
) -> Snapshot:
    """Wait until an experiment is no longer running; see `Run.wait`."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with Watch(files, home, others=others) as watch:
        while True:
            snapshot = watch.look()
            if watch.notice:
                report(f"{files.id}: {watch.notice}")
            if snapshot.status is not ExperimentStatus.RUNNING:
                return snapshot
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise NotOverError(f"{files.id} is still running after {timeout:g} s")
            watch.pause(limit=remaining)
