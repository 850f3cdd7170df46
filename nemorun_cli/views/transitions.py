"""Status changes since the last report: a line for each task, and a periodic line for each sweep."""

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

SWEEP_EVERY: Final = 10.0  # seconds between lines of one sweep
LINES_SHOWN: Final = 5  # log lines of the first failed member of a sweep


@dataclass(frozen=True, slots=True)
class Transition:
    """A new status of a task or a sweep, as text.

    `lines` is the end of the log of a sweep's first failure, otherwise empty.
    """

    task: str
    status: TaskStatus
    text: str
    lines: tuple[str, ...] = ()


class Transitions:
    """Reports each status change of a task once.

    Args:
        folds: whether the members of a sweep are reported together, except its first failure.
        secrets: values to mask in log lines.
    """

    def __init__(self, *, folds: bool = True, secrets: Collection[str] = ()) -> None:
        self._reported: dict[str, tuple[TaskStatus, int]] = {}  # by task, its status and attempt
        self._submitted: set[str] = set()
        self._folds, self._secrets = folds, secrets
        self._sweeps: dict[str, Group] | None = None
        self._failed: set[str] = set()  # sweeps whose first failure was reported
        self._next: dict[str, float] = {}  # by sweep, the monotonic time of its next report

    def since(self, snapshot: Snapshot, news: Sequence[Event]) -> list[Transition]:
        """The new transition of each task that the events are about.

        SUBMITTED is reported only if it still applies at the next call: most tasks start at once.
        """
        if self._sweeps is None:
            self._sweeps = {group.id: group for group in sweeps.of(snapshot.spec)} if self._folds else {}
        changes = []
        touched: dict[str, Group] = {}
        ends: dict[str, list[Event]] = {}
        for event in news:
            if event["event"] == events.ENDED:
                ends.setdefault(event["task"], []).append(event)
        deferred, self._submitted = self._submitted, set()
        named = [name for event in news if isinstance(name := event.get("task"), str)]
        for task in dict.fromkeys([*deferred, *named]):
            sweep = self._sweeps.get(task.partition("/")[0])
            if sweep is not None:
                touched[sweep.id] = sweep
                changes += self._first_failure(snapshot, task, sweep)
                continue
            changes += self._retries(snapshot, task, ends.get(task, ()))
            if (change := self._change(snapshot, task, deferred)) is not None:
                changes.append(change)
        return [*changes, *self._sweep_changes(snapshot, touched.values())]

    def _retries(self, snapshot: Snapshot, task: str, ends: Iterable[Event]) -> list[Transition]:
        """A transition for each ended attempt that is followed by another one."""
        state = snapshot.history.tasks.get(task)
        changes = []
        for end in ends:
            if state is not None and end["attempt"] < state.attempt:
                self._reported[task] = (TaskStatus.PENDING, end["attempt"] + 1)
                changes.append(Transition(task, TaskStatus.PENDING, _retry_text(task, end)))
        return changes

    def _change(self, snapshot: Snapshot, task: str, deferred: Collection[str]) -> Transition | None:
        state = snapshot.history.tasks.get(task)
        if state is None or self._reported.get(task) == (state.status, state.attempt):
            return None
        if state.reason == Reason.OUTCOME:
            return None  # a handler for a different outcome
        if state.status is TaskStatus.SUBMITTED and task not in deferred:
            self._submitted.add(task)
            return None
        self._reported[task] = (state.status, state.attempt)
        text = f"{task}: {state.status}"
        if state.attempt > 1:
            text += f", attempt {state.attempt}"
        if (duration := snapshot.active_duration(state)) is not None and state.is_over:
            text += f" after {wording.seconds(duration)}"
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
        attempt, excerpt = snapshot.files.attempt(task, state.attempt), None
        if state.submitted:
            excerpt = log_excerpt.of_attempt(attempt, secrets=self._secrets, lines=LINES_SHOWN)
        text = f"{change.text}; the first failure of {sweep.id}, further ones are only counted"
        return [Transition(task, change.status, text, excerpt.lines if excerpt else ())]

    def _sweep_changes(self, snapshot: Snapshot, touched: Iterable[Group]) -> list[Transition]:
        """A transition for each sweep: at most one per `SWEEP_EVERY`, and one after its last member ends."""
        changes = []
        now = time.monotonic()
        for sweep in touched:
            is_over = _is_over(snapshot, sweep)
            if not is_over and now < self._next.get(sweep.id, now):
                continue
            self._next[sweep.id] = now + SWEEP_EVERY
            progress = snapshot.sweep(sweep)
            status = TaskStatus.RUNNING
            if is_over:
                needless = sum(state.is_needless for state in snapshot.members(sweep))
                is_ok = progress.counts.get(TaskStatus.SUCCEEDED, 0) + needless == len(sweep.members)
                status = TaskStatus.SUCCEEDED if is_ok else TaskStatus.FAILED
            changes.append(Transition(sweep.id, status, f"{sweep.id}: {progress.line}"))
        return changes


def _retry_text(task: str, end: Event) -> str:
    """The result of an attempt that is followed by another one."""
    reason = wording.why(end.get("reason"), end.get("message"), end.get("exit_code")) or end["status"]
    verb = "failed" if end["status"] == TaskStatus.FAILED else f"was {end['status']}"
    return f"{task}: attempt {end['attempt']} {verb}: {reason}; attempt {end['attempt'] + 1} follows"


def _is_over(snapshot: Snapshot, sweep: Group) -> bool:
    """Whether all members are finished; checks the last members first because they usually end last."""
    return all(snapshot.history.tasks[name].status in ENDS for name in reversed(sweep.members))
