"""Follows an experiment through its ledger: cheap looks, and pauses that end early on changes."""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from nemorun_cli.storage import spec_copies
from nemorun_cli.storage.ledger import LedgerReader
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks
from nemorun_cli.views import observe
from nemorun_cli.views.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles, Home

TICK: Final = 0.1  # seconds between looks at the ledger of a living supervisor
LOOK_EVERY: Final = 0.5  # seconds between looks at the tasks themselves if no supervisor is alive


@dataclass(slots=True)
class Watch:
    """A watched experiment; `news` contains the events that the last look read.

    While a supervisor is alive, a look reads only what was appended to the ledger. Without one it looks
    at the tasks themselves, as `observe.look` does.
    """

    files: ExperimentFiles
    home: Home
    spec: Spec = field(init=False)
    history: ExperimentState = field(init=False)
    news: list[Event] = field(default_factory=list)
    _reader: LedgerReader = field(init=False)
    _seen: int = 0  # events
    _size: int = -1  # of the ledger, when it was last read
    _watched: tuple[int, int] | None = None  # the supervisor's pid and its pidfd
    _is_supervised: bool = False

    def __post_init__(self) -> None:
        self.spec = spec_copies.read_spec(self.files)
        self.history = ExperimentState.of(self.spec)
        self._reader = LedgerReader(self.files.ledger)

    def renew(self) -> None:
        """Switch to a new revision of the spec if one exists; events already read are not repeated."""
        spec = spec_copies.read_spec(self.files)
        if spec.revision != self.spec.revision:
            self.spec, self.history = spec, ExperimentState.of(spec)
            self.history.apply_all(LedgerReader(self.files.ledger).read()[: self._seen])

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
        self._is_supervised = locks.is_held_by_name(self.files.supervisor_lock)
        self.news = self._read()
        if not self._is_supervised and self.history.finished is None:
            snapshot = observe.look(self.files, home=self.home.directory)
            self.news += self._read()
            return snapshot
        return Snapshot(
            files=self.files,
            spec=self.spec,
            history=self.history,
            supervisor="ended" if self.history.finished else "alive",
            holder=self.history.supervisor,
            live=0,
            torn=0,
            seen=time.time(),
        )

    def pause(self, *, limit: float | None = None, also: Sequence[int] = ()) -> None:
        """Sleep a tick, at most `limit` seconds; ends if the supervisor exits or a descriptor is readable."""
        seconds = TICK if self._is_supervised else LOOK_EVERY
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
