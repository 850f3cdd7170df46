"""Notices how what tasks wait for outside of the experiment ends: other experiments, and jobs of Slurm.

Of another experiment its ledger is read. If nobody supervises it, nobody records how its tasks end: then
`exp status` does, in a process of its own, because that may wait for an engine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors
from nemorun_cli.errors import LedgerError, NotFoundError
from nemorun_cli.executors import Upstream
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import ledger, spec_copies, supervision
from nemorun_cli.storage.paths import HOME_VARIABLE, Home
from nemorun_cli.storage.state import ExperimentState, ExternalEnd
from nemorun_cli.system import locks
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.model.spec import External, Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.supervisor.dispatch import Dispatcher

FIRST: Final = 0.5  # seconds until another experiment is looked at again
LONGEST: Final = 2.0  # the same, after many looks
FIRST_OBSERVATION: Final = 0.5  # seconds between observations of an experiment without a supervisor
LONGEST_OBSERVATION: Final = 60.0
PATIENCE: Final = 300.0  # seconds that such an observation may take

_OF_EXPERIMENT: Final = {
    "COMPLETED": TaskStatus.SUCCEEDED,
    "FAILED": TaskStatus.FAILED,
    "CANCELLED": TaskStatus.CANCELLED,
}
_WORST_FIRST: Final = (
    TaskStatus.FAILED,
    TaskStatus.CANCELLED,
    TaskStatus.SKIPPED,
    TaskStatus.SUCCEEDED,
)


class ExternalWatch:
    """The ends of what tasks of one experiment wait for outside of it.

    Args:
        spec: of the experiment.
        home: `$NEMORUN_HOME`, which contains the other experiments.
        dispatcher: asks engines for jobs.
        report: called with a message if another experiment cannot be read.
    """

    def __init__(
        self, spec: Spec, *, home: Path, dispatcher: Dispatcher, report: Callable[[str], None]
    ) -> None:
        self._home, self._dispatcher, self._report = home, dispatcher, report
        self._external = {external.key: external for external in spec.external}
        self._others: dict[str, OtherExperiment] = {}
        self._pauses = Backoff(first=FIRST, longest=LONGEST)
        self._next = 0.0
        self.due: float | None = None  # monotonic; None if nothing is waited for

    def ends(self, keys: Collection[str]) -> Iterator[tuple[str, ExternalEnd]]:
        """The ends that are known now of those with these keys."""
        if not keys:
            self.due = None
            return
        is_due = time.monotonic() >= self._next
        for key in sorted(keys):
            external = self._external[key]
            if external.slurm_job is not None:
                end = self._end_of_job(external)
            else:
                end = self._end_in(external) if is_due else None
            if end is not None:
                self._pauses.reset()
                yield key, end
        if is_due:
            self._next = self._pauses.due()
        self.due = self._next

    def job(self, key: str, queue: str) -> Upstream | None:
        """The job of a queue that something outside is at present, for others to wait for, or None."""
        external = self._external[key]
        if external.slurm_job is not None:
            is_there = external.executor is not None and self._dispatcher.queue(external.executor) == queue
            job_id = external.slurm_job
            return Upstream(key=(key, 0), job_id=job_id, files=None, need="end") if is_there else None
        other = self._others.get(external.experiment or "")
        return other.job_of(external.task, queue) if other is not None and external.task is not None else None

    def _end_of_job(self, external: External) -> ExternalEnd | None:
        assert external.executor is not None  # noqa: S101 - a Slurm job has one
        assert external.slurm_job is not None  # noqa: S101 - see `ends`
        end = self._dispatcher.foreign_end(external.executor, external.slurm_job)
        if end is None:
            return None
        status = TaskStatus.UNKNOWN if end.reason is Reason.LOST else end.status
        return ExternalEnd(status=status, message=end.message)

    def _end_in(self, external: External) -> ExternalEnd | None:
        assert external.experiment is not None  # noqa: S101 - it was resolved at creation
        other = self._others.setdefault(
            external.experiment, OtherExperiment(Home(self._home), external.experiment)
        )
        try:
            other.look()
            return other.end_of(external.task)
        except NotFoundError:
            return ExternalEnd(status=TaskStatus.UNKNOWN, message=f"{external.experiment} was removed")
        except LedgerError as error:
            if other.complaint != error.message:
                other.complaint = error.message
                self._report(f"{external.text} cannot be read: {error.message}")
            return None

    def close(self) -> None:
        """Leave observations that are in progress to themselves."""
        for other in self._others.values():
            other.close()


class OtherExperiment:
    """The state of another experiment, read on and on from its ledger."""

    def __init__(self, home: Home, experiment_id: str) -> None:
        self._home, self._id = home, experiment_id
        self._files: ExperimentFiles | None = None
        self._reader: ledger.LedgerReader | None = None
        self._spec: Spec | None = None
        self._history: ExperimentState | None = None
        self._observation: subprocess.Popen[bytes] | None = None
        self._observed_at = 0.0
        self._pauses = Backoff(first=FIRST_OBSERVATION, longest=LONGEST_OBSERVATION)
        self._next_observation = 0.0
        self._queues: dict[str, str | None] = {}  # by the name of an executor
        self.complaint = ""

    def look(self) -> None:
        """Read what its ledger has that is new; have it observed if nobody supervises it.

        Raises:
            NotFoundError: it was removed.
            LedgerError: it cannot be read.
        """
        if self._files is None or not self._files.ledger.exists():
            self._files = self._home.experiment(self._id)
            self._reader = self._history = None
        if self._files is None:
            raise NotFoundError(f"there is no experiment {self._id}")
        if self._history is None or self._reader is None:
            self._spec = spec_copies.read_spec(self._files)
            self._history = ExperimentState.of(self._spec)
            self._reader = ledger.reader_of(self._files.ledger)
        assert self._spec is not None  # noqa: S101 - read with the history
        self._history.apply_all(self._reader.read())
        if self._history.revision > self._spec.revision:  # a resume changed it
            self._history = None
            self.look()
            return
        if self._history.finished is None:
            self._observe(self._files, self._history)

    def end_of(self, task: str | None) -> ExternalEnd | None:
        """The end of a task, of a group, or of the whole; None while it has not ended."""
        assert self._history is not None  # noqa: S101 - `look` comes first
        assert self._spec is not None  # noqa: S101 - the same
        if task is None:
            if self._history.finished is None:
                return None
            status = _OF_EXPERIMENT[self._history.finished["status"]]
            return ExternalEnd(status=status)
        members = next((group.members for group in self._spec.groups if group.id == task), (task,))
        states = [self._history.tasks.get(name) for name in members]
        known = [state for state in states if state is not None]
        if len(known) < len(states):
            return ExternalEnd(status=TaskStatus.UNKNOWN, message=f"{self._id} has no task {task}")
        if not all(state.is_over for state in known) or self._will_retry(members):
            return None
        statuses = {TaskStatus.SUCCEEDED if state.is_needless else state.status for state in known}
        worst = next(status for status in _WORST_FIRST if status in statuses)
        outputs = known[0].outputs if members == (task,) else {}
        return ExternalEnd(status=worst, outputs=dict(outputs))

    def job_of(self, task_id: str, queue: str) -> Upstream | None:
        """The job of a task, if it is one of this queue whose files a job on the cluster can read."""
        if self._spec is None or self._history is None or self._files is None:
            return None
        state = self._history.tasks.get(task_id)
        if state is None or not state.is_live or state.job_id is None or state.cancel is not None:
            return None
        task = self._spec.named(task_id)
        group = next((group for group in self._spec.groups if group.id == task.group), None)
        is_stopped = group is not None and (group.has_leader or group.search is not None)
        if task.retry.limit or is_stopped or task.stop:
            return None  # a retry would be another job; what is stopped can succeed
        options = self._spec.executors.get(task.executor, {"type": task.executor})
        if "tunnel" in options or self._queue_of(task.executor, options) != queue:
            return None
        return Upstream(
            key=(task_id, state.attempt),
            job_id=state.job_id,
            files=self._files.attempt(task_id, state.attempt),
            need="end",
            has_secrets=bool(task.secrets),
        )

    def _queue_of(self, name: str, options: Mapping[str, Any]) -> str | None:
        if name not in self._queues:
            executor = executors.make(name, options, {})
            try:
                self._queues[name] = executors.queue(name, options, executor)
            finally:
                executor.close()
        return self._queues[name]

    def _will_retry(self, members: Collection[str]) -> bool:
        """Whether a resume would try one of them again, because its supervisor could not record a retry."""
        assert self._history is not None  # noqa: S101 - `look` comes first
        assert self._spec is not None  # noqa: S101 - the same
        failed = [name for name in members if self._history.tasks[name].status is TaskStatus.FAILED]
        if not failed or self._history.finished is not None:
            return False
        schedule = Schedule(self._spec, self._history)
        return any(schedule.retry_is_due(name) for name in failed)

    def _observe(self, files: ExperimentFiles, history: ExperimentState) -> None:
        """Have the ends of its tasks recorded, if no supervisor does that and it is of this host."""
        now = time.monotonic()
        if self._observation is not None:
            if self._observation.poll() is None and now - self._observed_at > PATIENCE:
                self._observation.kill()
            if self._observation.poll() is None:
                return
            self._observation = None
        if now < self._next_observation:
            return
        self._next_observation = self._pauses.due()
        holder = history.supervisor
        is_elsewhere = holder is not None and not holder.is_this_host
        is_supervised = locks.named_holder(files.supervisor_lock) is not None
        if is_elsewhere or is_supervised or supervision.has_lost_its_lock(files, holder):
            self._pauses.reset()
            return
        self._observation = subprocess.Popen(
            [sys.executable, "-P", "-m", "nemorun_cli", "status", "--json", "--", self._id],
            env={**os.environ, HOME_VARIABLE: str(self._home.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._observed_at = now

    def close(self) -> None:
        """Leave an observation that is in progress to itself: it ends alone."""
        self._observation = None
