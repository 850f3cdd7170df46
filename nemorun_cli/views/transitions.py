"""What changed since it was last told: a line for each task, and for a sweep one line now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import wording
from nemorun_cli.model.status import ENDS, Reason, TaskStatus
from nemorun_cli.storage import events
from nemorun_cli.views import log_excerpt, sweeps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from nemorun_cli.model.spec import Group
    from nemorun_cli.storage.events import Event
    from nemorun_cli.views.snapshot import Snapshot

TOLD_EVERY: Final = 10.0  # seconds between lines of one sweep
COUNTED_EVERY: Final = 1.0  # seconds between counts of a sweep whose line is drawn: it may be large
LINES_SHOWN: Final = 5  # of the log of the first member of a sweep that failed


@dataclass(frozen=True, slots=True)
class Transition:
    """A task or a sweep that stands otherwise than it was last told, in words.

    `lines` are the end of its log, where that is worth showing at once.
    """

    task: str
    status: TaskStatus
    text: str
    lines: tuple[str, ...] = ()


class Transitions:
    """Tells each change of a task once.

    Args:
        folds: whether members of a sweep are told as a whole, with its first failure at once.
        secrets: values that are hidden in what logs say.
    """

    def __init__(self, *, folds: bool = True, secrets: Collection[str] = ()) -> None:
        self._told: dict[str, tuple[TaskStatus, int]] = {}
        self._submitted: set[str] = set()
        self._folds, self._secrets = folds, secrets
        self._sweeps: dict[str, Group] | None = None
        self._failed: set[str] = set()  # sweeps whose first failure was told
        self._next: dict[str, float] = {}  # by sweep, the monotonic time from which on it is told again
        self._lines: dict[str, tuple[float, str]] = {}  # by sweep, when it was counted, and what came out

    def tell(self, snapshot: Snapshot, news: Sequence[Event]) -> list[Transition]:
        """A change for each task that the events are about, if it is new.

        SUBMITTED is told only where it lasts: most tasks run at once.
        """
        if self._sweeps is None:
            self._sweeps = {group.id: group for group in sweeps.of(snapshot.spec)} if self._folds else {}
        changes = []
        touched: dict[str, Group] = {}
        ends: dict[str, list[Event]] = {}
        for event in news:
            if event["event"] == events.ENDED:
                ends.setdefault(event["task"], []).append(event)
        waited, self._submitted = self._submitted, set()
        about = [name for event in news if isinstance(name := event.get("task"), str)]
        for task in dict.fromkeys([*waited, *about]):
            sweep = self._sweeps.get(task.partition("/")[0])
            if sweep is not None:
                touched[sweep.id] = sweep
                changes += self._first_failure(snapshot, task, sweep)
                continue
            changes += self._retries(snapshot, task, ends.get(task, ()))
            if (change := self._change(snapshot, task, waited)) is not None:
                changes.append(change)
        return [*changes, *self._whole(snapshot, touched.values())]

    def line(self, snapshot: Snapshot, sweep: Group) -> str:
        """How a sweep stands, counted at most once a second."""
        now = time.monotonic()
        counted, text = self._lines.get(sweep.id, (None, ""))
        if counted is None or now - counted >= COUNTED_EVERY:
            text = f"{sweep.id} {snapshot.sweep(sweep).line}"
            self._lines[sweep.id] = now, text
        return text

    def _retries(self, snapshot: Snapshot, task: str, ends: Iterable[Event]) -> list[Transition]:
        """How those of these ends came about after which another attempt follows."""
        state = snapshot.history.tasks.get(task)
        changes = []
        for end in ends:
            if state is not None and end["attempt"] < state.attempt:
                following = (TaskStatus.PENDING, end["attempt"] + 1)
                self._told[task] = following
                changes.append(Transition(task, following[0], _retried(task, end)))
        return changes

    def _change(self, snapshot: Snapshot, task: str, waited: Collection[str]) -> Transition | None:
        state = snapshot.history.tasks.get(task)
        if state is None or self._told.get(task) == (state.status, state.attempt):
            return None
        if state.reason == Reason.OUTCOME:
            return None  # a handler for another outcome than this
        if state.status is TaskStatus.SUBMITTED and task not in waited:
            self._submitted.add(task)
            return None
        self._told[task] = (state.status, state.attempt)
        text = f"{task}: {state.status}"
        if state.attempt > 1:
            text += f", attempt {state.attempt}"
        if (lasted := snapshot.duration(state)) is not None and state.is_over:
            text += f" after {wording.seconds(lasted)}"
        if why := state.why():
            text += f" ({why})"
        return Transition(task, state.status, text)

    def _first_failure(self, snapshot: Snapshot, task: str, sweep: Group) -> list[Transition]:
        state = snapshot.history.tasks.get(task)
        if state is None or state.status is not TaskStatus.FAILED or sweep.id in self._failed:
            return []
        self._failed.add(sweep.id)
        change = self._change(snapshot, task, ())
        if change is None:
            return []
        log = snapshot.files.attempt(task, state.attempt).log
        excerpt = log_excerpt.read(log, secrets=self._secrets, lines=LINES_SHOWN) if state.submitted else None
        text = f"{change.text}; the first failure of {sweep.id}, others are counted"
        return [Transition(task, change.status, text, excerpt.lines if excerpt else ())]

    def _whole(self, snapshot: Snapshot, touched: Iterable[Group]) -> list[Transition]:
        """The sweeps themselves: not too often, and once all of their members are over."""
        changes = []
        now = time.monotonic()
        for sweep in touched:
            is_over = _is_over(snapshot, sweep)
            if not is_over and now < self._next.get(sweep.id, now):
                continue
            self._next[sweep.id] = now + TOLD_EVERY
            whole = snapshot.sweep(sweep)
            status = TaskStatus.RUNNING
            if is_over:
                is_ok = whole.counts.get(TaskStatus.SUCCEEDED) == len(sweep.members)
                status = TaskStatus.SUCCEEDED if is_ok else TaskStatus.FAILED
            changes.append(Transition(sweep.id, status, f"{sweep.id}: {whole.line}"))
        return changes


def _retried(task: str, end: Event) -> str:
    """How an attempt ended after which there is another."""
    how = wording.why(end.get("reason"), end.get("message"), end.get("exit_code")) or end["status"]
    verb = "failed" if end["status"] == TaskStatus.FAILED else f"was {end['status']}"
    return f"{task}: attempt {end['attempt']} {verb}: {how}; attempt {end['attempt'] + 1} follows"


def _is_over(snapshot: Snapshot, sweep: Group) -> bool:
    """Whether all members are over; the last ones are looked at first, for they are the last to end."""
    return all(snapshot.history.tasks[name].status in ENDS for name in reversed(sweep.members))
