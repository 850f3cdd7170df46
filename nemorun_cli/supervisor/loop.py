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

from nemorun_cli.errors import EngineError
from nemorun_cli.executors import ELSEWHERE, AttemptStatus, Job, Upstream, planning
from nemorun_cli.model.attempt_end import AttemptEnd, lost
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.spec import Identity
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler import handlers
from nemorun_cli.scheduler.attempt_result import conclude
from nemorun_cli.scheduler.decisions import Decisions
from nemorun_cli.scheduler.early_queue import EarlyQueue
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import events
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.ledger_writer import LedgerWriter
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.supervisor.admission import Admission
from nemorun_cli.supervisor.dispatch import Dispatcher
from nemorun_cli.supervisor.tracker import Tracker
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Executor
    from nemorun_cli.model import plan
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.supervisor.listeners import Listeners

LEDGER_LOOK: Final = 1.0  # seconds between looks at the ledger's size, should a wake-up get lost
FLUSH_AFTER: Final = 0.02  # seconds that news without consequences may wait to share a sync


class SupervisorLoop:
    """One experiment in the hands of whoever holds its `supervisor.lock`.

    Args:
        files: where the experiment lies.
        spec: the spec as resolved.
        secrets: the values of the secrets that its tasks name.
        home: `$NEMORUN_HOME`.
        by: who writes, for the ledger.
        can_submit: whether tasks are started; an observer only writes down what it finds.
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
        can_submit: bool = True,
        makers: Mapping[str, Callable[[], Executor]] | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.files, self.spec, self.home = files, spec, home
        self.history = ExperimentState.of(spec, strict=True)
        ledger = Ledger(files.ledger, files.ledger_lock)
        self._recording = Tracker(files, spec, home=home, can_submit=can_submit, tell=tell)
        self.journal = LedgerWriter(
            ledger, self.history, by=by, retries_on_full_disk=can_submit, tell=tell, hear=self._hear
        )
        self.schedule = Schedule(spec, self.history)
        self._decisions = Decisions(self.schedule, self.journal, can_submit=can_submit)
        self.can_submit = can_submit
        self._secrets = secrets
        self._poll = select.poll()
        self._engines = Dispatcher(spec, secrets=secrets, makers=makers or {}, poll=self._poll, tell=tell)
        self._admission = Admission(self.schedule, self._engines, home=home, experiment=files.id)
        self._ahead: EarlyQueue | None = None  # where some engine can let tasks wait for others
        self._interrupts: list[str] = []
        self._was_interrupted = False
        self._audience: Listeners | None = None
        self._tell = tell
        self._doubtful: list[str] = []  # submitted, as far as we know, but never begun
        self._sightings: list[tuple[Job, AttemptStatus]] = []  # learned after the turn's looking
        self._wake: int | None = None

    # -- life ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the ledger and take up what still lives."""
        self.journal.open()
        for task in self.spec.tasks:
            if self.history.tasks[task.id].is_live:
                self._engines.add(self._job(task))

    def look(self) -> None:
        """See how all that may still live stands, without deciding anything yet."""
        self._take_requests()
        self._observe()
        self.journal.flush()

    def observe(self, *, writes: bool = True) -> None:
        """One turn that starts nothing; without `writes` what it finds is only in `history`."""
        self._recording.writes = writes
        self._take_requests()
        self._observe()
        self.begin()
        self._decisions.cancel_waiting()
        self._decisions.conclude()
        self._decisions.finish()
        if writes:
            self.journal.flush()

    def begin(self) -> None:
        """Decide what follows from the history as it stands."""
        if self.can_submit:
            self._admission.begin()
        self._decisions.begin()
        names = {task.executor for task in self.spec.tasks} if self.can_submit else set()
        queues = {name: self._engines.queue(name) for name in names}
        if any(queues.values()):
            self._ahead = EarlyQueue(self.spec, self.history, queues)

    def close(self) -> None:
        """Let go of everything; what runs goes on."""
        self._recording.close()
        self._engines.close()
        self._admission.close()
        if self._audience is not None:
            self._audience.close()
        if self._wake is not None:
            os.close(self._wake)
            with contextlib.suppress(OSError):  # left behind it does no harm, and `exp gc` removes it
                self.files.wake.unlink()
        self.journal.close()

    def record(self, event: str, **fields: Any) -> None:
        """Write one event of the supervisor's own life, synced."""
        self.journal.note(event, **fields)
        self.journal.flush()

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
        for job in list(self._engines.jobs):
            if self.history.tasks[job.task].evidence == ELSEWHERE:
                ending = lost("the host where it ran is gone")
                self._see(job, AttemptStatus(key=job.key, state="over", ending=ending))
        self.journal.flush()

    def run(self) -> ExperimentStatus:
        """Turn after turn until the experiment is finished."""
        while True:
            self.turn()
            self._tell_plugins()
            if self.history.finished and not self.journal:
                return ExperimentStatus(self.history.finished["status"])
            self.sleep()

    # -- one turn -----------------------------------------------------------------------------------

    def turn(self) -> None:
        """Look, decide, write down, act."""
        self._take_requests()
        self._observe()
        if not self._decisions.has_begun:
            self.begin()
        starting = self._decide()
        self._decisions.finish()
        if self.history.finished and self.can_submit:
            self._start_listeners()  # whoever reads of the end waits for those that hear already
        if self.journal.is_urgent:
            self.journal.flush()
        self._submit(starting)
        self._cancel_live()
        self._recording.look(self._engines.jobs)

    def _decide(self) -> list[Job]:
        """What starts now; decided anew, without a turn for it, where all that was ready ended unstarted."""
        while True:
            self._decisions.are_pending = False
            self._decisions.cancel_waiting()
            self._decisions.stop_for_limits()
            self._decisions.conclude()
            starting = self._choose() if self.can_submit else []
            if starting or not self._decisions.are_pending:
                return starting

    def sleep(self) -> None:
        """Wait until a task ends, a request comes, or something is due."""
        if self._sightings or self._decisions.are_pending:
            return  # what was learned while starting tasks is not yet decided upon
        timeout = LEDGER_LOOK
        if self.journal:
            timeout = FLUSH_AFTER
        now, monotonic = time.time(), time.monotonic()
        for look in (self._engines.due(), self._admission.due):
            if look is not None:
                timeout = min(timeout, look - monotonic)
        for due in (self.schedule.next_delay(), self._decisions.deadline()):
            if due is not None:
                timeout = min(timeout, due - now)
        ready = self._poll.poll(max(0, int(timeout * 1000 + 0.999)))
        if self._wake is not None and any(descriptor == self._wake for descriptor, _ in ready):
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 65536)
        if not ready and self.journal:
            self.journal.flush()

    def _tell_plugins(self) -> None:
        """Let plugins hear of what was written; they are started once the first tasks are."""
        self._start_listeners()
        if self._audience is not None:
            self._audience.poke()

    def _start_listeners(self) -> None:
        if self._audience is None and any(use.hears for use in self.spec.plugins):
            from nemorun_cli.supervisor.listeners import Listeners  # noqa: PLC0415 - only for specs with such plugins

            self._audience = Listeners(
                self.files, self.spec, home=self.home, secrets=self._secrets, tell=self._tell
            )

    # -- looking ------------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        """Take note of what was just noted."""
        self._recording.on_event(event)
        if self._ahead and (name := event.get("task")):
            self._ahead.notice(name)

    def _take_requests(self) -> None:
        self.journal.take_requests()
        while self._interrupts:
            by = self._interrupts.pop(0)
            kills = self.history.cancel is not None or self._was_interrupted
            self._was_interrupted = True
            self.journal.note(
                events.CANCEL_REQUESTED,
                by=by,
                signal="KILL" if kills else None,
                grace=0.0 if kills else None,
            )

    def _observe(self) -> None:
        sightings, self._sightings = self._sightings, []
        for job, sighting in sightings:
            self._see(job, sighting)
        for job, sighting in self._engines.poll():  # only now: what has been seen to end is not asked about
            self._see(job, sighting)

    def _see(self, job: Job, sighting: AttemptStatus) -> None:
        state = self.history.tasks[job.task]
        if sighting.state == "over":
            assert sighting.ending is not None  # noqa: S101 - what is over has an ending
            crashpoints.point("attempt.over")
            self._end(job, sighting, sighting.ending)
        elif sighting.state == "queued":
            self._queue(job, state, sighting)
        elif sighting.state == "running":
            if state.status is not TaskStatus.RUNNING:
                self._note_attempt(
                    events.STARTED,
                    job,
                    is_urgent=False,  # nothing is done on the strength of it
                    time=stamp(sighting.since),
                    job_id=sighting.job_id,
                    evidence=sighting.evidence,
                )
        elif sighting.state == "unknown":
            if state.status is not TaskStatus.UNKNOWN or state.message != sighting.message:
                self._note_attempt(events.UNKNOWN, job, message=sighting.message, evidence=sighting.evidence)
        elif sighting.state == "absent":
            self._engines.drop(job)
            self._miss(job, state, sighting)

    def _queue(self, job: Job, state: TaskState, sighting: AttemptStatus) -> None:
        """Note what an engine says of an attempt that it has not started, if that is new."""
        says_more = (sighting.job_id, sighting.message) not in ((None, None), (state.job_id, state.message))
        if state.status is TaskStatus.UNKNOWN or (state.status is TaskStatus.SUBMITTED and says_more):
            self._note_attempt(
                events.QUEUED,
                job,
                is_urgent=False,  # nothing is done on the strength of it
                job_id=sighting.job_id,
                message=sighting.message,
                evidence=sighting.evidence,
            )

    def _miss(self, job: Job, state: TaskState, sighting: AttemptStatus) -> None:
        """A submission that came to nothing is repeated when it is time, unless the task was cancelled."""
        task = self.schedule.tasks[job.task]
        self._admission.release(job.task)
        if state.cancel:
            self._decisions.cancel_unstarted(job.task, state, state.cancel)
        elif state.is_queued_early:
            self._note_attempt(events.RETURNED, job, message=sighting.message)
            self._decisions.reconsider(job.task)
            return
        elif state.status is TaskStatus.RUNNING:
            message = "it was started, and vanished before its first instruction"
            self._decisions.end_unstarted(job.task, state, lost(message))
        else:
            self._doubtful.append(job.task)
            return
        self._decisions.settle(task)

    def _end(self, job: Job, sighting: AttemptStatus, ending: AttemptEnd) -> None:
        state = self.history.tasks[job.task]
        ending = conclude(
            ending,
            sent=self._engines.drop(job),
            requested=state.cancel,
            written=job.files.outputs,
            secrets=self._secrets,
        )
        if ending.reason is not Reason.ABANDONED:  # which may well go on, with all that it has
            self._admission.release(job.task)
        task = self.schedule.tasks[job.task]
        if self._decisions.skip_early(job.task, state, ending):
            self._decisions.settle(task)
            return
        ending = replace(
            ending,
            symptom=self._symptom(task, job) if ending.status is TaskStatus.FAILED else None,
            job_id=sighting.job_id,
            evidence=sighting.evidence,
        )
        time = max(stamp(ending.ended), state.started or "")
        self._note_attempt(events.ENDED, job, time=time, **ending.to_event())
        self._decisions.settle(task)

    def _symptom(self, task: Task, job: Job) -> str | None:
        """Which pattern of the task's `retry.on` fits in what the attempt wrote."""
        if not task.retry.log:
            return None
        from nemorun_cli.system import log_search  # noqa: PLC0415 - only where a task looks for some

        return log_search.found(job.files.log, task.retry.log, tell=self._tell)

    # -- starting -----------------------------------------------------------------------------------

    def _choose(self) -> list[Job]:
        """The attempts that start now, already noted as submitted."""
        identity = Identity(id=self.files.id, name=self.spec.name, directory=str(self.files.directory))
        admitted = self._admission.take(self._doubtful)
        self._doubtful = admitted.waiting
        for name, message in admitted.impossible.items():
            self._decisions.fail_unstarted(self.schedule.tasks[name], Reason.LAUNCH, message)
        jobs = []
        for name in admitted.tasks:
            filled = self._decisions.fill(self.schedule.tasks[name], identity)
            if filled is not None and (job := self._plan(filled)):
                jobs.append(job)
            else:
                self._admission.release(name)
        if self._ahead:
            for name, needs in self._ahead.take():
                if job := self._plan(self.schedule.tasks[name], self._ahead.awaited(needs, self.files)):
                    jobs.append(job)
        return jobs

    def _plan(self, task: Task, behind: tuple[Upstream, ...] = ()) -> Job | None:
        """The attempt of a task that starts now, or waits at its engine; None if it cannot be planned."""
        state = self.history.tasks[task.id]
        try:
            made = planning.make(
                task,
                spec=self.spec,
                files=self.files,
                attempt=state.attempt,
                home=self.home,
                told=handlers.variables(self.spec, self.history) if task.handler else {},
            )
            job = replace(self._job(task, self._engines.plan(task.executor, made)), upstream=behind)
        except EngineError as error:
            if behind:
                return None  # told when its turn comes
            self._decisions.fail_unstarted(task, Reason.LAUNCH, error.message)
            return None
        self._engines.add(job)
        self._note_attempt(
            events.SUBMITTED,
            job,
            reason=Reason.DEPENDENCY if behind else None,
            gpus=",".join(job.allocation.gpus) or None if job.allocation else None,
        )
        self._recording.submit(task, state.attempt)
        return job

    # -- acting -------------------------------------------------------------------------------------

    def _submit(self, jobs: Sequence[Job]) -> None:
        for job, sighting in self._engines.submit(jobs):
            if sighting.state == "running":
                self._see(job, sighting)
            else:
                self._sightings.append((job, sighting))

    def _cancel_live(self) -> None:
        if not self.history.cancels:
            return
        for job, cancel in self._engines.cancel(self.history):
            ending = AttemptEnd(
                status=TaskStatus.CANCELLED,
                reason=Reason.ABANDONED,
                message=f"abandoned by {cancel.by}: not verified: it may still be running",
            )
            self._sightings.append((job, AttemptStatus(key=job.key, state="over", ending=ending)))

    # -- the parts ----------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """How many attempts an engine has, or may have."""
        return self._engines.count()

    def _job(self, task: Task, made: plan.Plan | None = None) -> Job:
        """A task's present attempt: to be submitted as planned, or adopted."""
        job = Job.of(task, self.history.tasks[task.id], self.files)
        if made is None:
            return job
        allocation = self._admission.allocation(task.id)
        return replace(job, plan=made, holder=self.history.supervisor, allocation=allocation)

    def _note_attempt(self, event: str, job: Job, **fields: Any) -> None:
        self.journal.note(event, task=job.task, attempt=job.attempt, **fields)
