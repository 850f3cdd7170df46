"""The late expressions that could take long: a process evaluates them, and the supervisor does not wait."""

from __future__ import annotations

import contextlib
import select
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.spec.expressions.evaluate import Evaluator
    from nemorun_cli.spec.expressions.helper import Evaluated, Helper

RETRY: Final = 1.0  # seconds until the process is started again if the machine lacked something for it


def are_needed(spec: Spec) -> bool:
    """Whether a late expression of the spec could take long, by its syntax."""
    if not any(task.late or task.when is not None for task in spec.possible_tasks):
        return False
    from nemorun_cli.spec.expressions import evaluate  # noqa: PLC0415 - few specs have late expressions

    return any(map(evaluate.could_take_long, evaluate.late_texts(spec)))


class UnevaluatedError(Exception):
    """An expression of a task is not evaluated yet; the task waits for it."""


class Evaluations:
    """Evaluates one expression at a time; further tasks that need one wait for their turn.

    Args:
        poll: becomes ready when there is an answer.
        report: called with a message if the process cannot be started.
    """

    def __init__(self, poll: select.poll, report: Callable[[str], None]) -> None:
        self._poll, self._report = poll, report
        self._helper: Helper | None = None
        self._descriptor: int | None = None  # registered with `poll`
        self._current: tuple[str, str] | None = None  # the task and the code that is being evaluated
        self._waiting: deque[str] = deque()  # tasks whose expression is not sent yet
        self._outcomes: dict[str, dict[str, Evaluated]] = {}  # by task and code, until the task is filled in
        self._lost: set[tuple[str, str]] = set()  # tasks and codes for which a process was killed
        self._retry_at = 0.0  # monotonic

    def __len__(self) -> int:
        """The number of tasks that wait for a value."""
        return len(self._waiting) + (self._current is not None)

    def evaluator(self, task: str) -> Evaluator:
        """What evaluates the expressions of a task; it raises UnevaluatedError until it has the answer."""

        def evaluate(code: str, names: Mapping[str, Any]) -> Any:
            outcome = self._outcomes.get(task, {}).get(code)
            if outcome is None:
                self._request(task, code, names)
                raise UnevaluatedError
            return outcome.get()

        return evaluate

    def forget(self, task: str) -> None:
        """Drop what is known of a task that is filled in, or does not run."""
        self._outcomes.pop(task, None)

    def take(self) -> list[str]:
        """The tasks to try again: that of a new answer, and one that waits if nothing is being evaluated."""
        tasks = []
        if self._current is not None and self._helper is not None:
            if (outcome := self._helper.answer()) is not None:
                tasks.append(self._answered(self._current, outcome))
                self._current = None
            self._watch()
        if self._current is None and self._waiting and time.monotonic() >= self._retry_at:
            tasks.append(self._waiting.popleft())
        return tasks

    def _answered(self, key: tuple[str, str], outcome: Evaluated) -> str:
        """Keep an answer, unless its process was killed for the first time; returns the task."""
        from nemorun_cli.spec.expressions.helper import NO_ANSWER  # noqa: PLC0415 - it is loaded

        task, code = key
        if outcome is NO_ANSWER and key not in self._lost:
            self._lost.add(key)
        else:
            self._outcomes.setdefault(task, {})[code] = outcome
        return task

    @property
    def due(self) -> float | None:
        """The monotonic time at which `take` has something to do; None if nothing is being evaluated."""
        if self._current is not None and self._helper is not None:
            return self._helper.due
        return self._retry_at if self._waiting else None

    def start(self) -> None:
        """Start the process, so that it works after the package was removed."""
        self._started().start()

    def check(self) -> None:
        """Wait until the process has imported what it needs; raises TemplateError if it does not work."""
        if self._current is None:
            self._started().evaluate("1", {})

    def close(self) -> None:
        """End the process."""
        if self._helper is not None:
            self._helper.close()
            self._watch()

    def _started(self) -> Helper:
        if self._helper is None:
            from nemorun_cli.spec.expressions.helper import Helper  # noqa: PLC0415 - few specs need it

            self._helper = Helper()
        return self._helper

    def _request(self, task: str, code: str, names: Mapping[str, Any]) -> None:
        if self._current is None and time.monotonic() >= self._retry_at:
            helper = self._started()
            try:
                if helper.send(code, names):
                    self._current = (task, code)
            except OSError as error:
                self._report(f"no process can be started for expressions yet: {error}")
                self._retry_at = time.monotonic() + RETRY
            self._watch()
        if self._current != (task, code):
            self._waiting.append(task)

    def _watch(self) -> None:
        """Watch for an answer only while there can be one: a process that ended is always readable."""
        descriptor = self._helper.descriptor if self._helper is not None and self._current else None
        if descriptor == self._descriptor:
            return
        if self._descriptor is not None:
            with contextlib.suppress(KeyError):
                self._poll.unregister(self._descriptor)
        if descriptor is not None:
            self._poll.register(descriptor, select.POLLIN)
        self._descriptor = descriptor
