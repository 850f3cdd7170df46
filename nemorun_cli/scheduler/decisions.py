"""What follows from what is known: retries, skips, cancels and limits, decided and noted, nothing more."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.clock import stamp, unix
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler.schedule import rule_of
from nemorun_cli.storage import state as events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.spec import Group, Identity, Task
    from nemorun_cli.scheduler.schedule import Readiness, Schedule
    from nemorun_cli.storage.ledger_writer import LedgerWriter
    from nemorun_cli.storage.state import Cancel, TaskState


class Decisions:
    """The consequences of an experiment's state; every one is noted in the journal before it counts.

    Attributes:
        are_pending: something was decided that the present turn has not yet taken account of.
    """

    def __init__(self, schedule: Schedule, journal: LedgerWriter, *, can_submit: bool) -> None:
        self.schedule, self.journal = schedule, journal
        self.spec, self.history = schedule.spec, schedule.history
        self.has_begun = False
        self.are_pending = False
        self._can_submit = can_submit
        self._cancels_seen = 0

    def begin(self) -> None:
        """Decide what follows from the history as it stands."""
        self.has_begun = True
        for task in self.spec.tasks:
            if self.schedule.retry_is_due(task.id):
                self._retry(task)
        self._judge(self.schedule.begin())

    def settle(self, task: Task) -> None:
        """Draw the consequences of an end: another attempt, or the turn of those that waited."""
        if not self.has_begun:
            return  # `begin` will see it
        if self.schedule.retry_is_due(task.id):
            self._retry(task)
            return
        state = self.history.tasks[task.id]
        group = self.schedule.groups.get(task.group or "")
        if group and group.fail_fast and state.status is TaskStatus.FAILED and not task.allow_failure:
            states = ((name, self.history.tasks[name]) for name in group.members)
            rest = [name for name, state in states if not state.is_over and state.cancel is None]
            if rest:
                self.journal.note(
                    events.CANCEL_REQUESTED,
                    tasks=rest,
                    message=f"{task.id} failed, and {group.id} is fail_fast",
                )
        self._judge(self.schedule.over(task.id))

    def _judge(self, verdicts: Sequence[Readiness]) -> None:
        queue = list(verdicts)
        while queue:
            verdict = queue.pop(0)
            state = self.history.tasks[verdict.task]
            if state.is_queued_early and not verdict.may_run:
                self._take_back(verdict, state)
            if state.status is not TaskStatus.PENDING:
                continue
            if verdict.may_run:
                self.schedule.add_ready(verdict.task)
                continue
            self._skip(verdict.task, verdict.reason, verdict.message)
            queue += self.schedule.over(verdict.task)

    def _take_back(self, verdict: Readiness, state: TaskState) -> None:
        """Have what was queued early, and never can run, taken out of its queue: then it is skipped."""
        if state.cancel is None and self._can_submit:
            self.journal.note(
                events.CANCEL_REQUESTED,
                tasks=[verdict.task],
                reason=Reason.DEPENDENCY,
                message=verdict.message,
            )

    def reconsider(self, task_id: str) -> None:
        """Decide again about a task that was queued early, and that its engine gave back."""
        if self.has_begun and (verdict := self.schedule.verdict(task_id)):
            self._judge([verdict])

    def skip_early(self, task_id: str, state: TaskState, ending: AttemptEnd) -> bool:
        """Note that a task was skipped that was taken out of its engine's queue; says whether it was."""
        if not state.is_queued_early or ending.status is not TaskStatus.CANCELLED:
            return False
        if ending.reason in (Reason.DEPENDENCY, Reason.LIMIT):
            self._skip(task_id, ending.reason, ending.message)
            return True
        verdict = self.schedule.verdict(task_id) if state.cancel is None else None
        if verdict is None or verdict.may_run:
            return False
        self._skip(task_id, Reason.DEPENDENCY, verdict.message)
        return True

    def _skip(self, task_id: str, reason: Reason, message: str | None) -> None:
        self.journal.note(events.SKIPPED, task=task_id, reason=reason, message=message)

    def _retry(self, task: Task) -> None:
        due = self.schedule.retry_time(task.id, time.time())
        state = self.history.tasks[task.id]
        self.journal.note(
            events.RETRIED,
            task=task.id,
            attempt=state.attempt + 1,
            not_before=stamp(due) if due else None,
            after=state.reason,
            rule=rule_of(task.retry, state),
        )
        self.schedule.add_ready(task.id, not_before=due)

    def cancel_waiting(self) -> None:
        """End at once what was cancelled before it began."""
        if self._cancels_seen == self.history.cancels:
            return
        self._cancels_seen = self.history.cancels
        for task in self.spec.tasks:
            state = self.history.tasks[task.id]
            if state.status is TaskStatus.PENDING and (cancel := state.cancel):
                self.cancel_unstarted(task.id, state, cancel)
                self._judge(self.schedule.over(task.id))

    def cancel_unstarted(self, task_id: str, state: TaskState, cancel: Cancel) -> None:
        """Note the end of a task that was cancelled before anything ran."""
        if cancel.reason in (Reason.LIMIT, Reason.DEPENDENCY):
            self._skip(task_id, Reason(cancel.reason), cancel.message)
            return
        self.end_unstarted(
            task_id,
            state,
            TaskStatus.CANCELLED,
            reason=Reason(cancel.reason),
            message=cancel.message or f"cancelled by {cancel.by}",
        )

    def end_unstarted(self, task_id: str, state: TaskState, status: TaskStatus, **fields: Any) -> None:
        """Note the end of a task of which nothing ran."""
        self.journal.note(events.ENDED, task=task_id, attempt=state.attempt, status=status, **fields)

    def fail_unstarted(self, task: Task, reason: Reason, message: str) -> None:
        """Note that a task that could have begun has failed before, and what follows."""
        state = self.history.tasks[task.id]
        self.end_unstarted(task.id, state, TaskStatus.FAILED, reason=reason, message=message)
        self.settle(task)
        self.are_pending = True

    def stop_for_limits(self) -> None:
        """Stop what may not go on, or not begin, because a limit of `run` was hit."""
        deadline = self.deadline()
        if deadline is not None and time.time() >= deadline and not self.history.cancel:
            message = f"the experiment ran longer than run.timeout ({self.spec.run.timeout:g} s)"
            self.journal.note(events.CANCEL_REQUESTED, tasks=None, reason=Reason.LIMIT, message=message)
            self.cancel_waiting()
        if self.schedule.limit_is_hit() and not self.schedule.tasks_are_over:
            message = f"{self.schedule.failures} tasks failed, which is run.max_failures"
            for task in self.spec.tasks:
                if self.history.tasks[task.id].status is TaskStatus.PENDING and task.handler is None:
                    self._skip(task.id, Reason.LIMIT, message)
                    self.schedule.over(task.id)

        for group in self.schedule.take_spent():
            self._stop_sweep(group)

    def _stop_sweep(self, group: Group) -> None:
        """Skip the members that have not begun: enough of them failed."""
        message = f"{group.max_failures} members of {group.id} failed, which is its max_failures"
        for name in group.members:
            if self.history.tasks[name].status is TaskStatus.PENDING:
                self._skip(name, Reason.LIMIT, message)
                self._judge(self.schedule.over(name))

    def deadline(self) -> float | None:
        """When the experiment's own timeout is reached, in Unix seconds."""
        began = self.history.resumed or self.history.started
        if self.spec.run.timeout is None or began is None or not self._can_submit:
            return None
        if self.history.cancel or self.history.outcome:
            return None
        return unix(began) + self.spec.run.timeout

    def fill(self, task: Task, identity: Identity) -> Task | None:
        """The task with its late expressions filled in; None if it is skipped, or fails by them."""
        if not task.late and task.when is None:
            return task
        from nemorun_cli.spec.expressions import evaluate, syntax  # noqa: PLC0415 - heavy, and only for tasks that have some

        ended = _Outputs(self.history.tasks)
        try:
            if task.when is not None and not evaluate.decide_when(
                task, spec=self.spec, identity=identity, outputs=ended
            ):
                self._skip(task.id, Reason.WHEN, "its `when` is false")
                self._judge(self.schedule.over(task.id))
                self.are_pending = True
                return None
            return evaluate.fill_late(task, spec=self.spec, identity=identity, outputs=ended)
        except syntax.TemplateError as error:
            self.fail_unstarted(task, Reason.TEMPLATE, error.message)
            return None

    def conclude(self) -> None:
        """Once all tasks are over, note how they came out, and let the handlers for that begin."""
        if not self.history.handlers or not self.schedule.tasks_are_over or self.history.finished:
            return
        if self.history.outcome is None:
            self.journal.note(events.CONCLUDED, status=self.schedule.final_status())
            self._judge(self.schedule.concluded())
        if not self._can_submit and self.history.outcome is ExperimentStatus.CANCELLED:
            self._give_up_handlers()

    def _give_up_handlers(self) -> None:
        """End the handlers of an experiment that was cancelled and that nobody supervises."""
        message = "cancelled without a supervisor, which alone starts handlers"
        for name in sorted(self.history.handlers):
            state = self.history.tasks[name]
            if state.status is TaskStatus.PENDING:
                self.end_unstarted(
                    name, state, TaskStatus.CANCELLED, reason=Reason.CANCELLED, message=message
                )
                self._judge(self.schedule.over(name))

    def finish(self) -> None:
        """Note the end of the experiment, if every task is over."""
        if self.history.finished or not self.history.is_settled:
            return
        self.journal.note(
            events.FINISHED,
            status=self.history.outcome or self.schedule.final_status(),
            counts={status: count for status, count in self.history.counts.items() if count},
        )


class _Outputs(Mapping[str, Any]):
    """What the tasks that are over have put out, looked up one by one: there may be ten thousand."""

    def __init__(self, tasks: Mapping[str, TaskState]) -> None:
        self._tasks = tasks

    def __getitem__(self, name: str) -> dict[str, Any]:
        state = self._tasks[name]
        if not state.is_over:
            raise KeyError(name)
        return state.outputs

    def __iter__(self) -> Iterator[str]:
        return (name for name, state in self._tasks.items() if state.is_over)

    def __len__(self) -> int:
        return sum(1 for _ in self)
