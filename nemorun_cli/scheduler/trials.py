"""Decides which trial of a search gets the next suggestion, and when none does any more. No effects.

A trial gets its suggestion when it could start: one trial of each search at a time waits for capacity without
a suggestion, so that each suggestion can use the results of all trials that ended before.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.search import trial_number
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nemorun_cli.model.search import Suggestion
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.state import ExperimentState, TaskState

INTERRUPTIONS: Final = frozenset(
    {
        Reason.LOST,
        Reason.NODE_FAIL,
        Reason.PREEMPTED,
        Reason.LAUNCH,
        Reason.ABANDONED,
        Reason.CANCELLED,
        Reason.LIMIT,
        Reason.DEPENDENCY,
        Reason.UNTIL,
    }
)
"""The reasons of ends from which nothing follows about the values of a trial: it can run again."""


class TrialQueue:
    """The trials that can start but for a suggestion.

    Args:
        spec: the spec.
        history: the state of its tasks.

    Attributes:
        wanted: the trial that capacity waits for, by search.
    """

    def __init__(self, spec: Spec, history: ExperimentState) -> None:
        self._history = history
        self._searches = {group.id: group for group in spec.groups if group.search is not None}
        self._ready: dict[str, list[tuple[int, str]]] = {}  # by search
        self._offered: dict[str, str] = {}  # the trial in the schedule's queue, by search
        self.wanted: dict[str, str] = {}

    def __bool__(self) -> bool:
        """Whether any trial may wait for a suggestion."""
        return any(self._ready.values())

    def search_of(self, task: Task) -> Group | None:
        """The search of a trial; None for other tasks."""
        return self._searches.get(task.group or "") if self._searches else None

    def suggestion(self, task: Task) -> Suggestion | None:
        """What was suggested for a trial; None for other tasks, and before that."""
        group = self.search_of(task)
        study = self._history.studies.get(group.id) if group is not None else None
        return study.suggestions.get(trial_number(task.id)) if study is not None else None

    def needs_suggestion(self, task: Task) -> bool:
        """Whether a task is a trial that has no suggestion yet."""
        return self.search_of(task) is not None and self.suggestion(task) is None

    def add(self, task: Task) -> None:
        """Take a trial that can start once it has a suggestion."""
        assert task.group is not None  # noqa: S101 - it is a trial
        heapq.heappush(self._ready.setdefault(task.group, []), (task.index, task.id))

    def offer(
        self, tasks: Mapping[str, Task], *, waiting: Collection[str | None] = frozenset()
    ) -> Iterator[str]:
        """The trials that wait for capacity from now on: the first of each search of which none does.

        Args:
            tasks: all tasks.
            waiting: searches of which a trial with a suggestion waits for something else before that.
        """
        for name, ready in self._ready.items():
            offered = self._offered.get(name)
            if name in waiting or (offered is not None and self._is_waiting(tasks[offered])):
                continue
            self._offered.pop(name, None)
            while ready:
                trial = heapq.heappop(ready)[1]
                if self._is_waiting(tasks[trial]):
                    self._offered[name] = trial
                    yield trial
                    break

    def _is_waiting(self, task: Task) -> bool:
        return self._history.tasks[task.id].status is TaskStatus.PENDING and self.needs_suggestion(task)

    def ask(self, task: Task) -> None:
        """Note that there is capacity for a trial, which needs a suggestion now."""
        assert task.group is not None  # noqa: S101 - it is a trial
        self.wanted[task.group] = task.id

    def take_wanted(self, search: str) -> str | None:
        """The trial of a search that needs a suggestion now, if it still does."""
        trial = self.wanted.pop(search, None)
        if trial is None or self._history.tasks[trial].status is not TaskStatus.PENDING:
            return None
        return trial


def has_result(state: TaskState) -> bool:
    """Whether something follows from the end of a trial for later suggestions."""
    if not state.is_over or state.status is TaskStatus.CANCELLED:
        return False
    return state.status is TaskStatus.SUCCEEDED or state.reason not in INTERRUPTIONS


def lacks_result(group: Group, name: str, history: ExperimentState) -> bool:
    """Whether a trial has ended, and the ledger has not its result; False for members of other groups."""
    study = history.studies.get(group.id)
    if study is None or not has_result(history.tasks[name]):
        return False
    number = trial_number(name)
    return number in study.suggestions and number not in study.results


def unfinished(group: Group, history: ExperimentState) -> list[str]:
    """The trials of a search that lack their results, in the order of their ends."""
    names = [name for name in group.members if lacks_result(group, name, history)]
    return sorted(names, key=lambda name: history.tasks[name].ended or "")


def timeout_message(group: Group) -> str:
    """Why the trials of a search that have not started do not, when its timeout has passed."""
    assert group.search is not None  # noqa: S101 - a search
    assert group.search.timeout is not None  # noqa: S101 - it has passed
    return (
        f"not needed: the timeout of the search {group.id} has passed ({duration_text(group.search.timeout)})"
    )
