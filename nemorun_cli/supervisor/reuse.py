"""Gives tasks with `cache` the result of an earlier success, and keeps theirs when they succeed.

A task waits until its fingerprint is known, and then has an earlier result, or runs. What depends on it waits
until its result is kept, because it may change the files of that. A process of its own does all that reads
or copies files.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nemorun_cli.executors import planning
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler.best_values import UnchosenError
from nemorun_cli.scheduler.evaluations import UnevaluatedError
from nemorun_cli.storage import events
from nemorun_cli.storage.step_cache import taking
from nemorun_cli.storage.step_cache.attempt_site import AttemptSite
from nemorun_cli.supervisor import step_cache_orders
from nemorun_cli.supervisor.fingerprints import FingerprintAnswer, Fingerprints
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from pathlib import Path

    from nemorun_cli.model.spec import Identity, Spec, Task
    from nemorun_cli.scheduler.decisions import Decisions
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.supervisor.dispatch import Dispatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """An attempt whose result is to be kept."""

    name: str
    attempt: int


def reusable(spec: Spec, schedule: Schedule) -> list[str]:
    """The tasks whose result may be an earlier one, or is kept for later ones."""
    if not spec.run.cache:
        return []
    return [
        name
        for name, task in zip(spec.ids, spec.kin, strict=True)
        if (task.cache is not None if task.variants is None else _may_be_reused(name, schedule))
    ]


def _may_be_reused(trial: str, schedule: Schedule) -> bool:
    """Whether a trial has `cache` by its values, or may have it."""
    task = schedule.tasks[trial]
    return task.may_be_cached if schedule.trials.needs_suggestion(task) else task.cache is not None


class StepReuse:
    """The tasks with `cache` of one experiment.

    Args:
        decisions: record what follows, and fill in tasks.
        identity: of the experiment, for expressions.
        files: the paths of the experiment.
        home: `$NEMORUN_HOME`.
        dispatcher: knows the executors.
        poll: becomes ready when there is an answer.
        report: called with a message if the process cannot be started, or ends.
        on_records: called with the root, the prefix and an opening of each record that a task got.
    """

    def __init__(
        self,
        decisions: Decisions,
        identity: Identity,
        *,
        files: ExperimentFiles,
        home: Path,
        dispatcher: Dispatcher,
        poll: select.poll,
        report: Callable[[str], None],
        on_records: Callable[[str, str, str], None],
    ) -> None:
        self._decisions, self._identity = decisions, identity
        self._schedule, self._journal = decisions.schedule, decisions.journal
        self._spec, self._history = decisions.spec, decisions.history
        self._files, self._home, self._dispatcher = files, home, dispatcher
        self._on_records = on_records
        self._fingerprints = Fingerprints(
            self._spec, self._history, files=files, home=home, poll=poll, report=report
        )
        self._looking: dict[str, int] = {}  # tasks that wait for an answer, with the attempt
        self._ended: list[_Kept] = []  # those whose result is to be kept, in this turn
        self._keeping: dict[str, int] = {}  # those whose result is being kept, with the attempt
        self._filled: dict[str, Task] = {}  # as they were when they were looked for

    def begin(self) -> None:
        """Hold back the tasks that can still start, before the decisions begin."""
        names = reusable(self._spec, self._schedule)
        states = self._history.tasks
        self._schedule.reuse(names)
        for name in names:
            if not states[name].is_live and (not states[name].is_over or self._schedule.retry_is_due(name)):
                self._schedule.look_first(name)
        if any(not states[name].is_over for name in names):
            self._fingerprints.start()

    def on_event(self, event: Event) -> None:
        """Take notice of an event: the result of an attempt that has succeeded is kept first of all."""
        name = event.get("task")
        if name is None or event["event"] not in (events.ENDED, events.RETURNED):
            return
        state = self._history.tasks[name]
        if state.status is not TaskStatus.SUCCEEDED:
            self._filled.pop(name, None)
            self._schedule.look_first(name)
        elif state.fingerprint is not None and state.reason is None and self._schedule.is_reusable(name):
            self._schedule.keep_first(name)
            self._ended.append(_Kept(name=name, attempt=state.attempt))

    @property
    def is_keeping(self) -> bool:
        """Whether a result is still to be kept: the experiment does not finish before that."""
        return bool(self._ended or self._keeping)

    @property
    def due(self) -> float | None:
        """The monotonic time at which `look` has something to do without an answer; None for never."""
        return 0.0 if self._ended or self._schedule.has_to_look else self._fingerprints.due

    def look(self) -> None:
        """Take answers, and ask for the results of tasks that are ready, or have succeeded."""
        for name, answer in self._fingerprints.answers():
            if (attempt := self._keeping.pop(name, None)) is not None:
                self._note_kept(name, attempt, answer.fault or answer.details.get("message"))
                self._schedule.pass_keeping(name)
                self._decisions.are_pending = True
            elif (attempt := self._looking.pop(name, None)) is not None:
                self._found(name, attempt, answer)
        self._ask_to_keep()
        self._ask_to_look()

    def withdraw(self) -> None:
        """Have nothing taken any more for tasks that were cancelled, nor kept if the experiment was."""
        for name in [name for name in self._looking if self._history.tasks[name].is_over]:
            del self._looking[name]
            self._fingerprints.withdraw(name)
            self._undo(name)
        if self._history.cancel is not None:
            for name, attempt in self._keeping.items():
                self._fingerprints.withdraw(name)
                self._note_kept(name, attempt, "the experiment was cancelled before it was copied")
                self._schedule.pass_keeping(name)
            self._keeping.clear()

    # -- taking ---------------------------------------------------------------------------------------

    def _ask_to_look(self) -> None:
        names = self._schedule.take_to_look()
        for name, task in self._decisions.fill_all(names, self._identity).items() if names else ():
            if task is None:
                continue
            self._filled[name] = task
            self._looking[name] = self._history.tasks[name].attempt
            takes = not self._is_renewed(name)
            self._fingerprints.request(task, step_cache_orders.taking_of(self._site(task)) if takes else None)

    def _is_renewed(self, name: str) -> bool:
        """Whether the task runs although it may have an earlier result, which its own then replaces."""
        return name in self._spec.run.refresh or self._history.tasks[name].runs_again

    def _found(self, name: str, attempt: int, answer: FingerprintAnswer) -> None:
        """Record the fingerprint of a task, and its result if it has an earlier one; else let it start."""
        state, details = self._history.tasks[name], answer.details
        if state.status is not TaskStatus.PENDING or state.attempt != attempt:
            self._undo(name)
            return
        if answer.fingerprint is None:
            self._undo(name)
            self._note_kept(name, attempt, answer.fault)
            self._schedule.pass_look(name)
            return
        is_hit = "origin" in details
        self._journal.note(
            events.FINGERPRINTED,
            is_urgent=False,  # `submitted` follows, or what is below
            task=name,
            attempt=attempt,
            fingerprint=answer.fingerprint.id,
            parts=dict(answer.fingerprint.parts),
            message=None if is_hit else details.get("message"),
        )
        if not is_hit:
            self._schedule.pass_look(name)
            return
        crashpoints.point("step_cache.found")
        for root, prefix, opening in details["records"]:
            self._on_records(root, prefix, opening)
        self._journal.note(events.SUBMITTED, task=name, attempt=attempt, reason=Reason.CACHED)
        end = AttemptEnd(
            status=TaskStatus.SUCCEEDED,
            exit_code=details["exit_code"],
            reason=Reason.CACHED,
            message=details["message"],
            outputs=details["outputs"],
        )
        self._journal.note(
            events.ENDED, task=name, attempt=attempt, cached_from=details["origin"], **end.to_event()
        )
        self._filled.pop(name, None)
        self._decisions.settle(self._schedule.tasks[name])
        self._decisions.are_pending = True

    def _undo(self, name: str) -> None:
        """Remove what was written for a task that has been cancelled meanwhile."""
        if (task := self._filled.pop(name, None)) is not None:
            with contextlib.suppress(OSError):  # what is left is a record that counts as cancelled
                taking.undo(self._site(task))

    # -- keeping --------------------------------------------------------------------------------------

    def _ask_to_keep(self) -> None:
        ended, self._ended = self._ended, []
        for kept in ended:
            state = self._history.tasks[kept.name]
            task = self._as_it_ran(kept.name)
            if task is None:
                self._note_kept(kept.name, kept.attempt, "what it ran with cannot be determined any more")
                self._schedule.pass_keeping(kept.name)
                continue
            self._keeping[kept.name] = kept.attempt
            action = step_cache_orders.keeping_of(
                self._site(task, state),
                state.parts,
                outputs=state.outputs,
                exit_code=state.exit_code or 0,
                replaces=self._is_renewed(kept.name),
            )
            self._fingerprints.request(task, action)

    def _as_it_ran(self, name: str) -> Task | None:
        """A task that has ended, filled in; None if that is not possible any more."""
        if (task := self._filled.pop(name, None)) is not None:
            return task
        try:  # an earlier supervisor started it
            return self._decisions.filled(self._schedule.tasks[name], self._identity)
        except (UnchosenError, UnevaluatedError):
            return None

    def _note_kept(self, name: str, attempt: int, message: str | None) -> None:
        self._journal.note(
            events.KEPT,
            is_urgent=False,  # no action depends on it
            task=name,
            attempt=attempt,
            message=message,
        )

    # -- parts ----------------------------------------------------------------------------------------

    def _site(self, task: Task, state: TaskState | None = None) -> AttemptSite:
        """The places of the present attempt at a task."""
        spec = self._spec
        package = spec.package(task)
        workdir = package.workdir(task.workdir, folder=spec.folder) if package else task.workdir
        return AttemptSite(
            directory=str(self._files.directory),
            task=task.id,
            attempt=(state or self._history.tasks[task.id]).attempt,
            workdir=None if self._dispatcher.capabilities(task.executor).is_remote else workdir,
            globs=task.cache.outputs if task.cache is not None else (),
            records=str(planning.dash_root(spec, self._home).absolute()),
            prefix=planning.prefix(spec, self._files.id),
            server=spec.server,
        )

    def close(self) -> None:
        """End the process: nothing waits for it any more."""
        self._fingerprints.close()
