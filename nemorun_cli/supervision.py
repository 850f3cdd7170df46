"""One experiment in the hands of its supervisor: the turn that is repeated until all is over.

A turn: take requests from the ledger, poll the executors, decide what follows (retry, skip, cancel,
submit), write all of it down in one synced batch, and only then act. Everything here can be killed
between any two lines: the ledger and the attempts are the only memory. The same turn, without
submitting, is what a `status`, `wait` or `cancel` makes where no supervisor lives.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors, faults, outputs, plan
from nemorun_cli import history as events
from nemorun_cli.attempts import Ending, lost
from nemorun_cli.clock import stamp, unix
from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError
from nemorun_cli.executors import ELSEWHERE, Executor, Job, Key, Sighting
from nemorun_cli.history import Cancel, History, TaskState
from nemorun_cli.ledger import Event, Ledger
from nemorun_cli.schedule import Schedule, Verdict
from nemorun_cli.spec import Identity
from nemorun_cli.states import ExperimentStatus, Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.home import ExperimentFiles
    from nemorun_cli.spec import Spec, Task

LEDGER_LOOK: Final = 1.0  # seconds between looks at the ledger's size, should a wake-up get lost
FLUSH_AFTER: Final = 0.02  # seconds that news without consequences may wait to share a sync
DISK_PAUSE: Final = 1.0  # seconds until a failed write is tried again
LONGEST_DISK_PAUSE: Final = 15.0  # the same, after it failed often


class Supervision:
    """One experiment in the hands of whoever holds its `supervisor.lock`.

    Args:
        files: where the experiment lies.
        spec: the spec as resolved.
        secrets: the values of the secrets that its tasks name.
        home: `$NEMORUN_HOME`.
        by: who writes, for the ledger.
        submits: whether tasks are started; an observer only writes down what it finds.
        tell: where to say what is not for the ledger.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        *,
        secrets: Mapping[str, str],
        home: Path,
        by: str,
        submits: bool = True,
        makers: Mapping[str, Callable[[], Executor]] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.files, self.spec, self.home, self.by = files, spec, home, by
        self.history = History({task.id: TaskState() for task in spec.tasks}, strict=True)
        self.ledger = Ledger(files.ledger, files.ledger_lock)
        self.schedule = Schedule(spec, self.history)
        self.submits = submits
        self._secrets = secrets
        self._tell = tell
        self._makers = makers or {}
        self._executors: dict[str, Executor] = {}
        self._needs_slot: dict[str, bool] = {}
        self._jobs: dict[str, dict[Key, Job]] = {}
        self._told: dict[Key, Cancel] = {}  # which cancel each live attempt was told of
        self._batch: list[Event] = []
        self._is_urgent = False  # the batch holds what others wait for
        self._is_unsettled = False  # something was decided after the turn's decisions
        self._cancels_seen = 0
        self._interrupts: list[str] = []
        self._doubtful: list[str] = []  # submitted, as far as we know, but never begun
        self._sightings: list[tuple[str, Sighting]] = []
        self._wake: int | None = None
        self._poll = select.poll()
        self._has_begun = False

    # -- life ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the ledger and take up what still lives."""
        self.history.strict = False  # what stands in the ledger is told, not judged
        self.history.apply_all(self.ledger.news())
        self.history.strict = True
        for task in self.spec.tasks:
            state = self.history.tasks[task.id]
            if state.is_live:
                self._adopt(task, state)

    def look(self) -> None:
        """See how all that may still live stands, without deciding anything yet."""
        self._take_requests()
        self._observe()
        self.flush()

    def observe(self, *, writes: bool = True) -> None:
        """One turn that starts nothing; without `writes` what it finds is only in `history`."""
        self._take_requests()
        self._observe()
        self.begin()
        self._cancel_waiting()
        self._finish()
        if writes:
            self.flush()

    def begin(self) -> None:
        """Decide what follows from the history as it stands."""
        self._has_begun = True
        is_written = self.spec.run.max_parallel is not None
        for name in {task.executor for task in self.spec.tasks} if self.submits else ():
            self._needs_slot[name] = is_written or self._executor(name).takes_slots
        for task in self.spec.tasks:
            if self.schedule.retry_is_due(task.id):
                self._retry(task)
        self._judge(self.schedule.begin())

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        for executor in self._executors.values():
            executor.close()
        if self._wake is not None:
            os.close(self._wake)
        self.ledger.close()

    def record(self, event: str, **fields: Any) -> None:
        """Write one event of the supervisor's own life, synced."""
        self._note(event, **fields)
        self.flush()

    def listen(self) -> None:
        """Be woken by requests, through the FIFO."""
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.files.wake, 0o600)
        self._wake = os.open(self.files.wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll.register(self._wake, select.POLLIN)

    def interrupt(self, by: str) -> None:
        """Ask, from a signal handler, for the end of the whole; asking twice means KILL."""
        self._interrupts.append(by)
        if self._wake is not None:
            os.write(self._wake, b"!")

    def write_off(self) -> None:
        """Take for lost what runs on hosts that will not come back."""
        for name, jobs in self._jobs.items():
            for job in list(jobs.values()):
                if self.history.tasks[job.task].evidence == ELSEWHERE:
                    ending = lost("the host where it ran is gone")
                    self._see(name, job, Sighting(key=job.key, state="over", ending=ending))
        self.flush()

    def run(self) -> ExperimentStatus:
        """Turn after turn until the experiment is finished."""
        while True:
            self.turn()
            if self.history.finished and not self._batch:
                return ExperimentStatus(self.history.finished["status"])
            self.sleep()

    # -- one turn -----------------------------------------------------------------------------------

    def turn(self) -> None:
        """Look, decide, write down, act."""
        self._take_requests()
        self._observe()
        if not self._has_begun:
            self.begin()
        self._cancel_waiting()
        self._stop_for_limits()
        starting = self._choose() if self.submits else []
        self._finish()
        if self._is_urgent:
            self.flush()
        self._submit(starting)
        self._cancel_live()

    def sleep(self) -> None:
        """Wait until a task ends, a request comes, or something is due."""
        if self._sightings or self._is_unsettled:
            self._is_unsettled = False
            return  # what was learned while starting tasks is not yet decided upon
        timeout = LEDGER_LOOK
        if self._batch:
            timeout = FLUSH_AFTER
        now, monotonic = time.time(), time.monotonic()
        for executor in self._executors.values():
            if (due := executor.due()) is not None:
                timeout = min(timeout, due - monotonic)
        for due in (self.schedule.next_delay(), self._deadline()):
            if due is not None:
                timeout = min(timeout, due - now)
        ready = self._poll.poll(max(0, int(timeout * 1000 + 0.999)))
        if self._wake is not None and any(descriptor == self._wake for descriptor, _ in ready):
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 65536)
        if not ready and self._batch:
            self.flush()

    def flush(self) -> None:
        """Write the batch and sync it; a disk that refuses is asked again until it takes it."""
        batch, self._batch, self._is_urgent = self._batch, [], False
        if not batch:
            return
        pause = DISK_PAUSE
        while True:
            try:
                news = self.ledger.append(batch)
                break
            except (LedgerDamagedError, LedgerNewerError):
                raise
            except LedgerError as error:
                if not self.submits:
                    raise
                self._tell(f"{error}; trying again in {pause:g} s")
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_DISK_PAUSE)
        self._apply_requests(news[: len(news) - len(batch)])

    # -- looking ------------------------------------------------------------------------------------

    def _take_requests(self) -> None:
        if self.ledger.has_news():
            self._apply_requests(self.ledger.news())
        while self._interrupts:
            by = self._interrupts.pop(0)
            kill = {"signal": "KILL", "grace": 0.0} if self.history.cancel else {}
            self._note(events.CANCEL_REQUESTED, by=by, **kill)
            self._is_urgent = True

    def _apply_requests(self, news: Sequence[Event]) -> None:
        """Take what others appended: only requests are theirs to make."""
        self.history.apply_all(event for event in news if event["event"] == events.CANCEL_REQUESTED)

    def _observe(self) -> None:
        sightings, self._sightings = self._sightings, []
        for name, jobs in self._jobs.items():
            if jobs:
                sightings += [(name, one) for one in self._executor(name).poll(jobs)]
        for name, sighting in sightings:
            if job := self._jobs[name].get(sighting.key):
                self._see(name, job, sighting)

    def _see(self, name: str, job: Job, sighting: Sighting) -> None:
        state = self.history.tasks[job.task]
        if sighting.state == "over":
            assert sighting.ending is not None  # noqa: S101 - what is over has an ending
            del self._jobs[name][job.key]
            faults.point("attempt.over")
            self._end(job, self._final(job, state, sighting.ending), sighting)
        elif sighting.state == "running":
            if state.status is not TaskStatus.RUNNING:
                self._note_attempt(
                    events.STARTED,
                    job,
                    time=stamp(sighting.since),
                    job_id=sighting.job_id,
                    evidence=sighting.evidence,
                )
        elif sighting.state == "unknown":
            if state.status is not TaskStatus.UNKNOWN or state.message != sighting.message:
                self._note_attempt(events.UNKNOWN, job, message=sighting.message, evidence=sighting.evidence)
        elif sighting.state == "absent":
            del self._jobs[name][job.key]
            self._miss(job, state)

    def _miss(self, job: Job, state: TaskState) -> None:
        """A submission that came to nothing is repeated, unless the task was cancelled since."""
        task = self.schedule.tasks[job.task]
        if state.cancel:
            self._cancel_unstarted(job.task, state, state.cancel)
        elif state.status is TaskStatus.RUNNING:
            message = "it was started, and vanished before its first instruction"
            self._end_unstarted(job.task, state, TaskStatus.FAILED, reason=Reason.LOST, message=message)
        else:
            self._doubtful.append(job.task)
            return
        self._settle(task)

    def _final(self, job: Job, state: TaskState, ending: Ending) -> tuple[Ending, dict[str, Any]]:
        """What counts as the end: a cancel that was carried out, and outputs that can be read."""
        cancel = self._told.pop(job.key, None)
        if cancel is None and ending.status is not TaskStatus.SUCCEEDED:
            cancel = state.cancel  # its teller died before it could note what came of it
        if cancel is not None:
            ending = replace(
                ending,
                status=TaskStatus.CANCELLED,
                reason=Reason(cancel.reason),
                message=cancel.message or f"cancelled by {cancel.by}",
            )
        try:
            values = outputs.read(job.files.outputs) if job.files.outputs.exists() else {}
            _refuse_secrets(values, self._secrets)
        except ValueError as error:
            values = {}
            if ending.status is TaskStatus.SUCCEEDED:
                message = f"its outputs cannot be used: {error}"
                ending = replace(ending, status=TaskStatus.FAILED, reason=Reason.OUTPUTS, message=message)
        return ending, values

    def _end(self, job: Job, final: tuple[Ending, dict[str, Any]], sighting: Sighting) -> None:
        ending, values = final
        task = self.schedule.tasks[job.task]
        self._note_attempt(
            events.ENDED,
            job,
            time=max(stamp(ending.ended), self.history.tasks[job.task].started or ""),
            status=ending.status,
            exit_code=ending.exit_code,
            reason=ending.reason,
            message=ending.message,
            outputs=values or None,
            job_id=sighting.job_id,
            evidence=sighting.evidence,
        )
        self._is_urgent = True
        self._settle(task)

    # -- deciding -----------------------------------------------------------------------------------

    def _settle(self, task: Task) -> None:
        """Draw the consequences of an end: another attempt, or the turn of those that waited."""
        if not self._has_begun:
            return  # `begin` will see it
        if self.schedule.retry_is_due(task.id):
            self._retry(task)
            return
        state = self.history.tasks[task.id]
        group = self.schedule.groups.get(task.group or "")
        if group and group.fail_fast and state.status is TaskStatus.FAILED and not task.allow_failure:
            rest = [name for name in group.members if not self.history.tasks[name].is_over]
            if rest:
                self._note(
                    events.CANCEL_REQUESTED,
                    tasks=rest,
                    message=f"{task.id} failed, and {group.id} is fail_fast",
                )
        self._judge(self.schedule.over(task.id))

    def _judge(self, verdicts: Sequence[Verdict]) -> None:
        queue = list(verdicts)
        while queue:
            verdict = queue.pop(0)
            state = self.history.tasks[verdict.task]
            if state.status is not TaskStatus.PENDING:
                continue
            if verdict.may_run:
                self.schedule.add_ready(verdict.task)
                continue
            self._skip(verdict.task, Reason.DEPENDENCY, verdict.message)
            queue += self.schedule.over(verdict.task)

    def _skip(self, task_id: str, reason: Reason, message: str | None) -> None:
        self._note(events.SKIPPED, task=task_id, reason=reason, message=message)
        self._is_urgent = True

    def _retry(self, task: Task) -> None:
        due = self.schedule.retry_time(task.id, time.time())
        state = self.history.tasks[task.id]
        self._note(
            events.RETRIED,
            task=task.id,
            attempt=state.attempt + 1,
            not_before=stamp(due) if due else None,
            after=state.reason,
        )
        self._is_urgent = True
        self.schedule.add_ready(task.id, not_before=due)

    def _cancel_waiting(self) -> None:
        """End at once what was cancelled before it began."""
        if self._cancels_seen == self.history.cancels:
            return
        self._cancels_seen = self.history.cancels
        for task in self.spec.tasks:
            state = self.history.tasks[task.id]
            if state.status is TaskStatus.PENDING and (cancel := state.cancel):
                if cancel.reason == Reason.LIMIT:
                    self._skip(task.id, Reason.LIMIT, cancel.message)
                else:
                    self._cancel_unstarted(task.id, state, cancel)
                self._judge(self.schedule.over(task.id))

    def _cancel_unstarted(self, task_id: str, state: TaskState, cancel: Cancel) -> None:
        self._end_unstarted(
            task_id,
            state,
            TaskStatus.CANCELLED,
            reason=Reason(cancel.reason),
            message=cancel.message or f"cancelled by {cancel.by}",
        )

    def _end_unstarted(self, task_id: str, state: TaskState, status: TaskStatus, **fields: Any) -> None:
        self._note(events.ENDED, task=task_id, attempt=state.attempt, status=status, **fields)
        self._is_urgent = True

    def _stop_for_limits(self) -> None:
        deadline = self._deadline()
        if deadline is not None and time.time() >= deadline and not self.history.cancel:
            message = f"the experiment ran longer than run.timeout ({self.spec.run.timeout:g} s)"
            self._note(events.CANCEL_REQUESTED, tasks=None, reason=Reason.LIMIT, message=message)
            self._is_urgent = True
            self._cancel_waiting()
        if self.schedule.limit_is_hit() and self.history.counts[TaskStatus.PENDING]:
            message = f"{self.schedule.failures} tasks failed, which is run.max_failures"
            for task in self.spec.tasks:
                if self.history.tasks[task.id].status is TaskStatus.PENDING:
                    self._skip(task.id, Reason.LIMIT, message)
                    self.schedule.over(task.id)

    def _deadline(self) -> float | None:
        """When the experiment's own timeout is reached, in Unix seconds."""
        began = self.history.resumed or self.history.started
        if self.spec.run.timeout is None or began is None or self.history.cancel or not self.submits:
            return None
        return unix(began) + self.spec.run.timeout

    def _choose(self) -> list[Job]:
        """The attempts that start now, already noted as submitted."""
        again, self._doubtful = self._doubtful, []
        names = [
            *again,
            *self.schedule.take_ready(time.time(), self._free_slots(), needs_slot=self._needs_slot),
        ]
        jobs = []
        for name in names:
            task = self.schedule.tasks[name]
            if (filled := self._fill(task)) is not None:
                jobs.append(self._plan(filled))
        return jobs

    def _free_slots(self) -> int:
        used = sum(len(jobs) for name, jobs in self._jobs.items() if self._needs_slot.get(name))
        return max(0, (self.spec.run.max_parallel or os.cpu_count() or 1) - used)

    def _fill(self, task: Task) -> Task | None:
        """The task with its late expressions filled in; None if it is skipped, or fails by them."""
        if not task.late and task.when is None:
            return task
        from nemorun_cli import expressions  # noqa: PLC0415 - heavy, and only for tasks that have some

        identity = Identity(id=self.files.id, name=self.spec.name, directory=str(self.files.directory))
        ended = {name: state.outputs for name, state in self.history.tasks.items() if state.is_over}
        try:
            if task.when is not None and not expressions.decide_when(
                task, spec=self.spec, identity=identity, outputs=ended
            ):
                self._skip(task.id, Reason.WHEN, "its `when` is false")
                self._judge(self.schedule.over(task.id))
                self._is_unsettled = True
                return None
            return expressions.fill_late(task, spec=self.spec, identity=identity, outputs=ended)
        except expressions.TemplateError as error:
            state = self.history.tasks[task.id]
            self._end_unstarted(
                task.id, state, TaskStatus.FAILED, reason=Reason.TEMPLATE, message=error.message
            )
            self._settle(task)
            self._is_unsettled = True
            return None

    def _plan(self, task: Task) -> Job:
        state = self.history.tasks[task.id]
        made = plan.make(task, spec=self.spec, files=self.files, attempt=state.attempt, home=self.home)
        job = Job(
            experiment=self.files.id,
            task=task.id,
            attempt=state.attempt,
            files=self.files.attempt(task.id, state.attempt),
            plan=self._executor(task.executor).plan(made),
            holder=self.history.supervisor,
            stop_signal=task.stop_signal,
            stop_grace=task.stop_grace,
        )
        self._jobs.setdefault(task.executor, {})[job.key] = job
        self._note_attempt(events.SUBMITTED, job)
        self._is_urgent = True
        return job

    def _finish(self) -> None:
        if self.history.finished or not self.history.is_settled or self._doubtful:
            return
        self._note(
            events.FINISHED,
            status=final_status(self.history, self.schedule),
            counts={status: count for status, count in self.history.counts.items() if count},
        )
        self._is_urgent = True

    # -- acting -------------------------------------------------------------------------------------

    def _submit(self, jobs: Sequence[Job]) -> None:
        by_executor: dict[str, list[Job]] = {}
        for job in jobs:
            by_executor.setdefault(self.schedule.tasks[job.task].executor, []).append(job)
        for name, group in by_executor.items():
            for sighting in self._executor(name).submit(group):
                if sighting.state == "running":
                    self._see(name, self._jobs[name][sighting.key], sighting)
                else:
                    self._sightings.append((name, sighting))
                faults.point("attempt.submitted")

    def _cancel_live(self) -> None:
        if not self.history.cancels:
            return
        for name, jobs in self._jobs.items():
            told: dict[tuple[str | None, float | None], list[Job]] = {}
            for job in jobs.values():
                cancel = self.history.tasks[job.task].cancel
                if cancel and self._told.get(job.key) is not cancel:
                    self._told[job.key] = cancel
                    if cancel.abandon:
                        self._abandon(name, job, cancel)
                    else:
                        told.setdefault((cancel.signal, cancel.grace), []).append(job)
            for (signal, grace), group in told.items():
                self._executor(name).cancel(group, signal=signal, grace=grace)

    def _abandon(self, name: str, job: Job, cancel: Cancel) -> None:
        ending = Ending(
            status=TaskStatus.CANCELLED,
            reason=Reason.ABANDONED,
            message=f"abandoned by {cancel.by}: nobody looked whether it is gone",
        )
        self._told.pop(job.key, None)
        self._sightings.append((name, Sighting(key=job.key, state="over", ending=ending)))

    # -- the parts ----------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """How many attempts an engine has, or may have."""
        return sum(len(jobs) for jobs in self._jobs.values())

    def _adopt(self, task: Task, state: TaskState) -> None:
        job = Job(
            experiment=self.files.id,
            task=task.id,
            attempt=state.attempt,
            files=self.files.attempt(task.id, state.attempt),
            job_id=state.job_id,
            holder=state.holder,
            stop_signal=task.stop_signal,
            stop_grace=task.stop_grace,
        )
        self._jobs.setdefault(task.executor, {})[job.key] = job

    def _executor(self, name: str) -> Executor:
        if name not in self._executors:
            if maker := self._makers.get(name):
                executor = maker()
            else:
                options = self.spec.executors.get(name, {"type": name})
                executor = executors.make(name, options, self._secrets)
            self._executors[name] = executor
            if (wakeup := executor.wakeup()) is not None:
                self._poll.register(wakeup, select.POLLIN)
        return self._executors[name]

    def _note(self, event: str, **fields: Any) -> None:
        """Put an event in the batch, and in the state at once."""
        entry: Event = {"event": event, "time": stamp(), "by": self.by}
        entry.update((key, value) for key, value in fields.items() if value is not None)
        self.history.apply(entry)
        self._batch.append(entry)

    def _note_attempt(self, event: str, job: Job, **fields: Any) -> None:
        self._note(event, task=job.task, attempt=job.attempt, **fields)


def final_status(history: History, schedule: Schedule) -> ExperimentStatus:
    """How an experiment whose tasks are all over has ended."""
    if history.cancel and history.cancel.reason != Reason.LIMIT:
        return ExperimentStatus.CANCELLED
    if history.limit or schedule.limit_is_hit():
        return ExperimentStatus.FAILED
    for name, task in schedule.tasks.items():
        state = history.tasks[name]
        if state.status in (TaskStatus.FAILED, TaskStatus.CANCELLED) and not task.allow_failure:
            return ExperimentStatus.FAILED
    return ExperimentStatus.COMPLETED


def _refuse_secrets(values: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
    hidden = {value for value in secrets.values() if value}
    for key, value in values.items():
        if isinstance(value, str) and value in hidden:
            raise ValueError(f"{key} is the value of a secret, which may not be an output")
