"""Decides on retries, skips, cancels and limits from the state, and writes the decisions to the ledger."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import clock
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.clock import stamp, steady
from nemorun_cli.model.search import pruned_with
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler import trial_fields, trials
from nemorun_cli.scheduler.best_values import BestValues, UnchosenError
from nemorun_cli.scheduler.evaluations import UnevaluatedError
from nemorun_cli.scheduler.leaders import GROUP_REASONS
from nemorun_cli.scheduler.schedule import rule_of
from nemorun_cli.storage import events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.model.search import Rung, Suggestion, TrialResult
    from nemorun_cli.model.spec import Group, Identity, Task
    from nemorun_cli.scheduler.evaluations import Evaluations
    from nemorun_cli.scheduler.leaders import GroupEnd
    from nemorun_cli.scheduler.metric_judges import StopDecision
    from nemorun_cli.scheduler.schedule import Readiness, Schedule
    from nemorun_cli.storage.ledger_writer import LedgerWriter
    from nemorun_cli.storage.state import Cancel, ExternalEnd, TaskState


class UnsuggestedError(UnevaluatedError):
    """A trial has no suggestion yet; it waits for one."""


MOST_AWAITED: Final = 32  # tasks that wait for a value, up to which others take their place in the same turn


class Decisions:
    """Decides what follows from the state of an experiment; each decision is journaled before it is applied.

    Attributes:
        are_pending: there are decisions that the current turn of the loop has not handled yet.
        evaluations: evaluates the expressions of ready tasks that could take long.
    """

    def __init__(
        self, schedule: Schedule, journal: LedgerWriter, evaluations: Evaluations, *, can_submit: bool
    ) -> None:
        self.schedule, self.journal, self.evaluations = schedule, journal, evaluations
        self.spec, self.history = schedule.spec, schedule.history
        self.has_begun = False
        self._began = steady()
        self.are_pending = False
        self._can_submit = can_submit
        self._cancels_seen = 0
        self._ended_groups: set[str] = set()  # those that ended with their leader
        self._awaiting_best: dict[str, list[str]] = {}  # ready tasks, by the group whose best they use

    def begin(self) -> None:
        """Make all decisions that the current state calls for."""
        self.has_begun = True
        self._began = steady()
        failed = [name for name, state in self.history.tasks.items() if state.status is TaskStatus.FAILED]
        for name in failed:
            if self.schedule.retry_is_due(name):
                self._retry(self.schedule.tasks[name])
        self._apply(self.schedule.begin())
        for group in self.spec.groups:
            if group.has_leader:
                self._end_with_leader(group, self.schedule.group_end(group))

    def settle(self, task: Task) -> None:
        """Handle the end of an attempt: retry the task, or release the tasks that depend on it."""
        if not self.has_begun:
            return  # `begin` will handle it
        if self.schedule.retry_is_due(task.id):
            self._retry(task)
            self._skip_needless_retry(task.id)
            return
        self._end_group_of(task.id)
        state = self.history.tasks[task.id]
        group = self.schedule.groups.get(task.group or "")
        if group and group.fail_fast and state.status is TaskStatus.FAILED and not task.allow_failure:
            states = ((name, self.history.tasks[name]) for name in group.members)
            unfinished = [name for name, state in states if not state.is_over and state.cancel is None]
            if unfinished:
                self.journal.note(
                    events.CANCEL_REQUESTED,
                    tasks=unfinished,
                    message=f"{task.id} failed, and {group.id} is fail_fast",
                )
        self._apply(self.schedule.over(task.id))

    def end_external(self, key: str, end: ExternalEnd) -> None:
        """Record the end of something outside of the experiment, and release the tasks that wait for it."""
        self.journal.note(
            events.EXTERNAL_ENDED,
            external=key,
            status=end.status,
            outputs=end.outputs or None,
            message=end.message,
        )
        self._apply(self.schedule.external_over(key))
        self.are_pending = True

    def choose_best(self, group: Group, **choice: Any) -> None:
        """Record which member of a group is the best, and queue the tasks that wait for it.

        Args:
            group: a group that has a rule for it.
            choice: the fields of the event.
        """
        assert group.best is not None  # noqa: S101 - see above
        rule = group.best
        self.journal.note(events.BEST_CHOSEN, group=group.id, metric=rule.metric, goal=rule.goal, **choice)
        for name in self._awaiting_best.pop(group.id, ()):
            if self.history.tasks[name].status is TaskStatus.PENDING:
                self.schedule.add_ready(name)
        self.are_pending = True

    def suggest(self, task: Task, suggestion: Suggestion) -> None:
        """Record what was suggested for a trial, which waits for capacity then."""
        self.journal.note(
            events.SUGGESTED,
            is_urgent=False,  # it is written with, or before, the submission that uses it
            task=task.id,
            number=suggestion.number,
            params=dict(suggestion.params),
            written=dict(suggestion.written),
        )
        for name in self.schedule.take_suggestion(task.id):
            readiness = self.schedule.readiness(name)
            if readiness is not None and not readiness.may_run:  # the values decide its `dependency_type`
                self._apply([readiness])
            else:
                self.schedule.add_ready(name)
        self.are_pending = True

    def reach_rung(self, task: Task, rung: Rung) -> None:
        """Record that a trial has reached a rung of its pruner."""
        self.journal.note(
            events.RUNG_REACHED,
            is_urgent=False,  # what follows from it is in the ledger after it
            task=task.id,
            attempt=rung.attempt,
            number=rung.number,
            rung=rung.rung,
            step=rung.step,
            rung_value=rung.value if math.isfinite(rung.value) else str(rung.value),
            pruner=rung.pruner,
        )

    def end_trial(self, task: Task, result: TrialResult, *, judged: Mapping[str, float]) -> None:
        """Record the result of a trial that has ended.

        Args:
            task: the trial.
            result: its result.
            judged: up to which steps the values of other trials without a result are judged, by their ids.
        """
        self.journal.note(
            events.TRIAL_ENDED,
            is_urgent=False,  # what follows from it is in the ledger after it
            task=task.id,
            attempt=self.history.tasks[task.id].attempt,
            number=result.number,
            outcome=result.outcome,
            values=None if result.values is None else list(result.values),
            pruned_at=result.pruned_at,
            pruned_value=result.pruned_value,
            pruner=result.pruner,
            last_step=result.last_step,
            judged=dict(judged) or None,
            message=result.message,
        )

    def prune(self, task: Task, decision: StopDecision) -> None:
        """Record that a trial is to be stopped, as far as it has not ended and is not being stopped.

        Args:
            task: the task of the trial by whose metric it was decided.
            decision: the decision.
        """
        state = self.history.tasks[task.id]
        if state.is_live and state.stop_request is None:
            self.note_stop(task.id, state.attempt, decision)
        elif state.is_unjudged_success:
            self._prune_others(task.id, decision)

    def note_stop(
        self, task_id: str, attempt: int, decision: StopDecision, *, pruned_task: str | None = None
    ) -> None:
        """Record that an attempt is stopped by a metric; the next turn stops it.

        Args:
            task_id: its task.
            attempt: its number.
            decision: why it is stopped.
            pruned_task: another task of its trial that was pruned; without it the others are stopped, too.
        """
        is_finite = decision.value is not None and math.isfinite(decision.value)
        self.journal.note(
            events.STOP_REQUESTED,
            task=task_id,
            attempt=attempt,
            reason=decision.reason,
            metric=decision.metric,
            message=decision.message,
            pruned_at=decision.at if decision.reason is Reason.PRUNED else None,
            pruned_value=decision.value if decision.reason is Reason.PRUNED and is_finite else None,
            pruned_task=pruned_task,
        )
        self.are_pending = True
        if decision.reason is Reason.PRUNED and pruned_task is None:
            self._prune_others(task_id, decision)

    def _prune_others(self, task_id: str, decision: StopDecision) -> None:
        """Stop the other tasks of a trial that is pruned, and skip those that have not started."""
        others = [name for name in self.schedule.trials.tasks_of(task_id) if name != task_id]
        states = self.history.tasks
        others = [name for name in others if not states[name].is_over or self.schedule.retry_is_due(name)]
        if not others or any(
            states[name].status is TaskStatus.FAILED for name in self.schedule.trials.tasks_of(task_id)
        ):
            return  # a trial with a task that has failed is no pruned one
        decision = replace(decision, message=pruned_with(task_id) + decision.message)
        skipped = [name for name in others if states[name].status is TaskStatus.PENDING]
        for name in others:
            state = states[name]
            if state.is_live and state.stop_request is None:
                self.note_stop(name, state.attempt, decision, pruned_task=task_id)
            elif name in skipped and state.cancel is None:
                is_finite = decision.value is not None and math.isfinite(decision.value)
                self.journal.note(
                    events.SKIPPED,
                    task=name,
                    reason=Reason.PRUNED,
                    message=decision.message,
                    pruned_at=decision.at,
                    pruned_value=decision.value if is_finite else None,
                    pruned_task=task_id,
                )
        for name in skipped:
            if states[name].is_over:
                self._follow(name)
        self.are_pending = True

    def end_search(self, group: Group, reason: Reason, message: str) -> None:
        """Skip the trials of a search that have no suggestion."""
        names = [
            name
            for name in group.members
            if self.history.tasks[name].status is TaskStatus.PENDING
            and self.schedule.trials.needs_suggestion(self.schedule.tasks[name])
        ]
        self._skip_all(names, reason, message)

    def _skip_all(self, names: Sequence[str], reason: Reason, message: str) -> None:
        """Skip tasks for one reason, also those that depend on others of them."""
        for name in names:
            self._skip(name, reason, message)
        for name in names:
            self._follow(name)
            self.are_pending = True

    def _end_with_leader(self, group: Group, end: GroupEnd | None) -> None:
        """Skip the members of a group that have not started, and stop the others, if the group ends now."""
        if end is None or group.id in self._ended_groups:
            return
        self._ended_groups.add(group.id)
        states = self.history.tasks
        live = [name for name in group.members if states[name].is_live and states[name].cancel is None]
        if live and self._can_submit:
            self.journal.note(events.CANCEL_REQUESTED, tasks=live, reason=end.reason, message=end.message)
        for name in group.members:
            if states[name].status is TaskStatus.PENDING and states[name].cancel is None:
                self._skip_needless(name, end)
        self.are_pending = True

    def _end_group_of(self, task_id: str) -> None:
        """End the group of a task that has ended, if the group ends with it."""
        if (group := self.schedule.group_with_leader(task_id)) is not None:
            self._end_with_leader(group, self.schedule.group_end(group, task_id))

    def _skip_needless_retry(self, task_id: str) -> None:
        """Skip the retry of a member whose group has ended meanwhile."""
        group = self.schedule.group_with_leader(task_id)
        if group is not None and group.id in self._ended_groups and (end := self.schedule.group_end(group)):
            self._skip_needless(task_id, end)

    def _skip_needless(self, task_id: str, end: GroupEnd) -> None:
        self._skip(task_id, end.reason, end.message)
        self._apply(self.schedule.over(task_id))

    def _follow(self, task_id: str) -> None:
        """Decide what follows from the end of a task that is not retried."""
        self._end_group_of(task_id)
        self._apply(self.schedule.over(task_id))

    def _apply(self, decided: Sequence[Readiness]) -> None:
        queue, skipped = list(decided), []
        while queue:
            readiness = queue.pop(0)
            state = self.history.tasks[readiness.task]
            if state.is_queued_early and not readiness.may_run:
                self._cancel_early(readiness, state)
            if state.status is not TaskStatus.PENDING:
                continue
            if readiness.may_run:
                self.schedule.add_ready(readiness.task)
                continue
            self._skip(readiness.task, readiness.reason, readiness.message)
            queue += self.schedule.over(readiness.task)
            skipped.append(readiness.task)
        for name in skipped:  # last, because a member that has a reason of its own is skipped for that
            self._end_group_of(name)

    def _cancel_early(self, readiness: Readiness, state: TaskState) -> None:
        """Cancel the job of a task that was queued early and can never run; the task is then skipped."""
        if state.cancel is None and self._can_submit:
            self.journal.note(
                events.CANCEL_REQUESTED,
                tasks=[readiness.task],
                reason=Reason.DEPENDENCY,
                message=readiness.message,
            )

    def reconsider(self, task_id: str) -> None:
        """Decide again about an early-queued task that its engine returned."""
        if self.has_begun and (readiness := self.schedule.readiness(task_id)):
            self._apply([readiness])

    def skip_early(self, task_id: str, state: TaskState, ending: AttemptEnd) -> bool:
        """Record an early-queued task as skipped if its job was cancelled for that; return whether it was."""
        if not state.is_queued_early or ending.status is not TaskStatus.CANCELLED:
            return False
        for cause in (ending, state.cancel):  # a cancel that was decided may not have reached the engine yet
            if cause is not None and cause.reason in (Reason.DEPENDENCY, Reason.LIMIT):
                self._skip(task_id, Reason(cause.reason), cause.message)
                return True
        readiness = self.schedule.readiness(task_id) if state.cancel is None else None
        if readiness is None or readiness.may_run:
            return False
        self._skip(task_id, Reason.DEPENDENCY, readiness.message)
        return True

    def skip_unstarted(
        self, task_id: str, state: TaskState, ending: AttemptEnd, cancel: Cancel | None
    ) -> bool:
        """Record a member that was stopped unstarted as its group or trial ended; return whether it was.

        Args:
            task_id: the member.
            state: its state.
            ending: the result that its executor reported.
            cancel: the cancel that counts for it.
        """
        if cancel is None or state.started or ending.started:
            return False
        has_ended = cancel.reason in GROUP_REASONS and self.schedule.group_with_leader(task_id) is not None
        is_unstarted = ending.status is TaskStatus.CANCELLED or ending.reason is Reason.LAUNCH
        if not is_unstarted or not (has_ended or cancel.reason == Reason.PRUNED):
            return False
        self._skip(task_id, Reason(cancel.reason), cancel.message)
        return True

    def _skip(self, task_id: str, reason: Reason, message: str | None) -> None:
        self.journal.note(events.SKIPPED, task=task_id, reason=reason, message=message)

    def _retry(self, task: Task) -> None:
        not_before = self.schedule.retry_time(task.id, time.time())
        due = self.schedule.retry_time(task.id, steady())
        state = self.history.tasks[task.id]
        self.journal.note(
            events.RETRIED,
            task=task.id,
            attempt=state.attempt + 1,
            not_before=stamp(not_before) if not_before else None,
            after=state.reason,
            rule=rule_of(task.retry, state),
        )
        self.schedule.add_ready(task.id, due=due)

    def cancel_waiting(self) -> None:
        """End tasks that were cancelled before they started."""
        if self._cancels_seen == self.history.cancels:
            return
        self._cancels_seen = self.history.cancels
        for name in self.spec.ids:
            state = self.history.tasks[name]
            if state.status is TaskStatus.PENDING and (cancel := state.cancel):
                self.cancel_unstarted(name, state, cancel)
                self._follow(name)

    def cancel_unstarted(self, task_id: str, state: TaskState, cancel: Cancel) -> None:
        """Record the end of a task that was cancelled before it started."""
        if cancel.reason in (Reason.LIMIT, Reason.DEPENDENCY, Reason.UNTIL):
            self._skip(task_id, Reason(cancel.reason), cancel.message)
            return
        message = cancel.message or f"cancelled by {cancel.by}"
        end = AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason(cancel.reason), message=message)
        self.end_unstarted(task_id, state, end)

    def end_unstarted(self, task_id: str, state: TaskState, end: AttemptEnd) -> None:
        """Record the end of a task that never started."""
        self.journal.note(events.ENDED, task=task_id, attempt=state.attempt, **end.to_event())

    def fail_unstarted(self, task: Task, reason: Reason, message: str) -> None:
        """Record that a ready task failed before it started, and handle the consequences."""
        state = self.history.tasks[task.id]
        end = AttemptEnd(status=TaskStatus.FAILED, reason=reason, message=message)
        self.end_unstarted(task.id, state, end)
        self.settle(task)
        self.are_pending = True

    def stop_for_limits(self) -> None:
        """Cancel and skip tasks when a limit of `run` or of a group is reached."""
        deadline = self.deadline()
        if deadline is not None and steady() >= deadline and not self.history.cancel:
            message = f"the experiment exceeded run.timeout ({self.spec.run.timeout:g} s)"
            self.journal.note(events.CANCEL_REQUESTED, tasks=None, reason=Reason.LIMIT, message=message)
            self.cancel_waiting()
        if self.schedule.limit_is_hit() and not self.schedule.tasks_are_over:
            message = f"{self.schedule.failures} tasks failed, which is run.max_failures"
            for name in self.spec.ids:
                if (
                    self.history.tasks[name].status is TaskStatus.PENDING
                    and name not in self.history.handlers
                ):
                    self._skip(name, Reason.LIMIT, message)
                    self.schedule.over(name)
                    self._end_group_of(name)

        for group in self.schedule.take_exhausted_groups():
            self._stop_sweep(group)

    def _stop_sweep(self, group: Group) -> None:
        """Skip the members that have not started, because the group reached its max_failures."""
        message = f"{group.max_failures} members of {group.id} failed, which is its max_failures"
        if group.search is not None:
            message = f"{group.max_failures} trials of {group.id} failed, which is its max_failures"
        states, tasks_of = self.history.tasks, self.schedule.trials.tasks_of
        names = [
            name
            for name in group.members
            if states[name].status is TaskStatus.PENDING
            and all(states[each].status is TaskStatus.PENDING for each in tasks_of(name))
        ]
        self._skip_all(names, Reason.LIMIT, message)

    def deadline(self) -> float | None:
        """When the timeout of the experiment expires, by `clock.steady`; None if there is no timeout.

        It counts from the start of each supervisor, as one that continues an experiment records a resume.
        """
        if self.spec.run.timeout is None or not self._can_submit:
            return None
        if self.history.cancel or self.history.outcome:
            return None
        return self._began + self.spec.run.timeout

    def fill(self, task: Task, identity: Identity) -> Task | None:
        """Return the task with late expressions filled in; None if it was skipped or an expression failed.

        Raises UnevaluatedError if it needs a value that is still being evaluated, or not chosen yet, or if it
        is a trial without a suggestion.
        """
        if self.schedule.trials.search_of(task) is None:
            return self._filled(task, identity)
        suggestion = self.schedule.trials.suggestion(task)
        if suggestion is None:
            raise UnsuggestedError(task.id)
        filled = self._filled(task, identity, search=suggestion.params)
        return None if filled is None else replace(filled, matrix={**filled.matrix, **suggestion.params})

    def _filled(
        self, task: Task, identity: Identity, *, search: Mapping[str, Any] | None = None
    ) -> Task | None:
        if not task.late and task.when is None and not task.searched:
            return task
        from nemorun_cli.spec.expressions import evaluate, syntax  # noqa: PLC0415 - slow to import, and few tasks have expressions

        outputs, evaluator = _Outputs(self.history.tasks), self.evaluations.evaluator(task.id)
        external = {key: end.outputs for key, end in self.history.external.items()}
        bests = BestValues(self.schedule, identity)
        filled = None
        try:
            task = trial_fields.filled(task, self.spec, self.history)
            if evaluate.decide_when(
                task,
                spec=self.spec,
                identity=identity,
                outputs=outputs,
                evaluator=evaluator,
                external=external,
                bests=bests,
                search=search,
            ):
                filled = evaluate.fill_late(
                    task,
                    spec=self.spec,
                    identity=identity,
                    outputs=outputs,
                    evaluator=evaluator,
                    external=external,
                    bests=bests,
                    search=search,
                )
            else:
                self._skip(task.id, Reason.WHEN, "its `when` is false")
                self._follow(task.id)
                self.are_pending = True
        except syntax.TemplateError as error:
            self.fail_unstarted(task, Reason.TEMPLATE, error.message)
        self.evaluations.forget(task.id)
        return filled

    def filled(self, task: Task, identity: Identity) -> Task:
        """A task that has started, as it was filled in then.

        Raises:
            UnevaluatedError, UnchosenError: it needs a value that is not known.
            TemplateError: an expression failed.
        """
        suggestion = self.schedule.trials.suggestion(task)
        params = {} if suggestion is None else suggestion.params
        task = replace(task, matrix={**task.matrix, **params}) if params else task
        if not task.late:
            return task
        from nemorun_cli.spec.expressions import evaluate  # noqa: PLC0415 - slow to import, and few tasks have expressions

        external = {key: end.outputs for key, end in self.history.external.items()}
        return evaluate.fill_late(
            task,
            spec=self.spec,
            identity=identity,
            outputs=_Outputs(self.history.tasks),
            evaluator=self.evaluations.evaluator(task.id),
            external=external,
            bests=BestValues(self.schedule, identity),
            search=None if suggestion is None else suggestion.params,
        )

    def fill_all(self, names: Sequence[str], identity: Identity) -> dict[str, Task | None]:
        """Return the tasks that start now, filled in; None for each that does not.

        Tasks that need a value that is still being evaluated are queued again when it is there; those that
        start together with one wait for it.
        """
        filled: dict[str, Task | None] = {}
        awaited = set()
        for name in names:
            try:
                filled[name] = self.fill(self.schedule.tasks[name], identity)
            except UnchosenError as error:
                awaited.add(name)
                self._awaiting_best.setdefault(error.group, []).append(name)
            except UnsuggestedError:
                awaited.add(name)
                self.schedule.trials.ask(self.schedule.tasks[name])
            except UnevaluatedError:
                awaited.add(name)
        if awaited and len(self.evaluations) <= MOST_AWAITED:
            self.are_pending = True  # others can start instead
        for name in self.schedule.starting_with(awaited):
            if filled.get(name) is not None:
                self.schedule.add_ready(name)
                filled[name] = None
        # The end of one can have made others needless.
        states = self.history.tasks
        return {
            name: filled.get(name) if states[name].status is TaskStatus.PENDING else None for name in names
        }

    def take_values(self) -> None:
        """Queue the tasks for which an expression was evaluated."""
        for name in self.evaluations.take():
            if self.history.tasks[name].status is TaskStatus.PENDING:
                self.schedule.add_ready(name)
            else:
                self.evaluations.forget(name)

    def conclude(self) -> None:
        """Once all tasks have finished, record the outcome and release the handlers for it."""
        if not self.history.handlers or not self.schedule.tasks_are_over or self.history.finished:
            return
        if self.history.outcome is None:
            self.journal.note(events.CONCLUDED, status=self.schedule.final_status())
            self._apply(self.schedule.concluded())
        if not self._can_submit and self.history.outcome is ExperimentStatus.CANCELLED:
            self._cancel_handlers()

    def _cancel_handlers(self) -> None:
        """Cancel the handlers of an experiment that was cancelled and has no supervisor."""
        message = "not started: the experiment was cancelled while it had no supervisor"
        end = AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason.CANCELLED, message=message)
        for name in sorted(self.history.handlers):
            state = self.history.tasks[name]
            if state.status is TaskStatus.PENDING:
                self.end_unstarted(name, state, end)
                self._follow(name)

    def finish(self) -> None:
        """Record the end of the experiment if every task has finished."""
        if self.history.finished or not self.history.is_settled or self._lacks_results():
            return
        is_supervised = self.journal.by == self.history.active_time.by
        clock_step = clock.step()
        active = self.history.active_seconds(time.time(), is_supervised=is_supervised, clock_step=clock_step)
        self.journal.note(
            events.FINISHED,
            status=self.history.outcome or self.schedule.final_status(),
            active=None if active is None else round(active, 3),
            clock_step=clock_step,
            counts={status: count for status, count in self.history.counts.items() if count},
        )

    def _lacks_results(self) -> bool:
        """Whether the results of trials are still to be recorded, which only a supervisor does.

        Where a cancel ends an experiment without one, a resume records them.
        """
        if self.history.cancels and not self._can_submit:
            return False
        searches = (group for group in self.spec.groups if group.search is not None)
        return any(trials.unfinished(group, self.history) for group in searches)


class _Outputs(Mapping[str, Any]):
    """Outputs of the finished tasks, looked up on demand because there may be ten thousand tasks."""

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
