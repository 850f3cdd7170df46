"""The supervisor's loop: one turn, repeated until the experiment is finished.

A turn takes requests from the ledger, polls the executors, decides what follows (retry, skip, cancel,
submit), writes all of it in one synced batch, and only then acts. The process may be killed between any
two lines: all state is in the ledger and the attempts. If no supervisor is alive, `status`, `wait` and
`cancel` make the same turn without submitting.
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
from nemorun_cli.executors.member_hosts import MemberHosts
from nemorun_cli.model.attempt_end import AttemptEnd, lost
from nemorun_cli.model.clock import Moment, stamp, steady, unix
from nemorun_cli.model.spec import Identity
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.model.usage import Usage
from nemorun_cli.scheduler import attempt_result, handlers
from nemorun_cli.scheduler.decisions import Decisions
from nemorun_cli.scheduler.early_queue import EarlyQueue
from nemorun_cli.scheduler.evaluations import Evaluations
from nemorun_cli.scheduler.leaders import GROUP_REASONS
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import attempts, events, requests
from nemorun_cli.storage.ledger import Ledger
from nemorun_cli.storage.ledger_writer import LedgerWriter
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.supervisor.admission import Admission
from nemorun_cli.supervisor.dispatch import Dispatcher
from nemorun_cli.supervisor.gpu_peaks import GpuPeaks
from nemorun_cli.supervisor.late_imports import LateImports
from nemorun_cli.supervisor.tracker import Tracker
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import descriptor_of_fifo, make_folder
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from nemorun_cli.executors import Executor
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.scheduler.metric_judges import MetricJudge
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import Cancel, TaskState
    from nemorun_cli.supervisor.best_choices import BestChoices
    from nemorun_cli.supervisor.dispatch import JobStatus
    from nemorun_cli.supervisor.environments import PythonEnvironments
    from nemorun_cli.supervisor.externals import ExternalWatch
    from nemorun_cli.supervisor.listeners import Listeners
    from nemorun_cli.supervisor.metric_watch import MetricWatch
    from nemorun_cli.supervisor.reuse import StepReuse
    from nemorun_cli.supervisor.searches import Searches
    from nemorun_cli.supervisor.shipping import Shipper
    from nemorun_cli.supervisor.system_samples import SystemSamples
    from nemorun_cli.system.locks import HeldLock

LEDGER_LOOK: Final = 1.0  # seconds between checks of the ledger's size, in case a wake-up is lost
LOCK_WAIT: Final = 0.5  # seconds that a turn waits for the ledger's lock; the next turn tries again
FLUSH_AFTER: Final = 0.02  # seconds that events without consequences may wait to share a sync


class SupervisorLoop:
    """Drives one experiment for the process that holds its `supervisor.lock`.

    Args:
        files: the paths of the experiment.
        spec: the resolved spec.
        secrets: the values of the secrets that its tasks name.
        home: `$NEMORUN_HOME`.
        by: the writer's name in the ledger.
        can_submit: whether tasks are started; an observer only records what it finds.
        makers: factories that replace the executors of these names.
        report: called with each message that does not belong in the ledger.
        on_problem: called when the ledger cannot be written while the loop runs, with the reason, and with
            None when it can be written again.
        lock: the `supervisor.lock` that this process holds; each turn verifies that no other process can.
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
        report: Callable[[str], None] = lambda _: None,
        on_problem: Callable[[str | None], None] = lambda _: None,
        lock: HeldLock | None = None,
    ) -> None:
        self.files, self.spec, self.home = files, spec, home
        self._lock = lock
        self.history = ExperimentState.of(spec, strict=True)
        ledger = Ledger(files.ledger, files.ledger_lock, report=report, flaw=events.flaw)
        self.schedule = Schedule(spec, self.history)
        self._tracker = Tracker(
            files, spec, self.schedule.tasks, home=home, can_submit=can_submit, report=report
        )
        self.journal = LedgerWriter(
            ledger,
            self.history,
            by=by,
            report=report,
            on_event=self._on_event,
            secrets=secrets.values(),
        )
        self._poll = select.poll()
        self._evaluations = Evaluations(self._poll, report)
        self._decisions = Decisions(self.schedule, self.journal, self._evaluations, can_submit=can_submit)
        self.can_submit = can_submit
        self._secrets = secrets
        self._secrets_are_known = secrets.keys() >= {
            name for task in spec.possible_tasks for name in task.secrets
        }
        self._dispatcher = Dispatcher(
            spec, self.schedule.tasks, secrets=secrets, makers=makers or {}, poll=self._poll, report=report
        )
        self._admission = Admission(self.schedule, self._dispatcher, home=home, experiment=files.id)
        self._member_hosts = MemberHosts(spec, files)
        self._early_queue: EarlyQueue | None = None  # set if a backend's queue supports dependencies
        self._interrupts: list[str] = []
        self._was_interrupted = False
        self._listeners: Listeners | None = None
        self._report, self._on_problem = report, on_problem
        self._problem: str | None = None  # the last one passed to `on_problem`
        self._chosen: list[Job] = []  # noted as submitted, but the ledger may not have it yet
        self._statuses: list[JobStatus] = []  # received after this turn's poll
        self._unread: list[JobStatus] = []  # ends whose outputs could not be read for lack of something
        self._led = {group.id: group for group in spec.groups if group.has_leader}
        self._held: list[JobStatus] = []  # ends of members that were stopped, until that of their leader
        self._passed: list[Job] = []  # stopped by their metrics in this turn
        self._wake: int | None = None
        self._externals = self._watched_externals() if can_submit and spec.external else None
        self._best_choices: BestChoices | None = None  # set as the decisions begin, if a group has a rule
        has_python = can_submit and any(task.python is not None for task in spec.possible_tasks)
        self._environments = self._python_environments() if has_python else None
        has_search = can_submit and any(group.search is not None for group in spec.groups)
        self._searches = self._searching() if has_search else None
        has_cache = (
            can_submit and spec.run.cache and any(task.cache is not None for task in spec.possible_tasks)
        )
        self._reuse = self._step_reuse() if has_cache else None
        self._late_imports = LateImports(spec, report, process=self._evaluations)
        self._starts: dict[str, Moment] = {}  # of running attempts, by task, if this process saw them start
        self._gpu_peaks = GpuPeaks(is_use_wanted=spec.sampling is not None)
        self._samples = self._sampling(spec.sampling) if can_submit and spec.sampling is not None else None
        self._shipper = self._shipping(spec.server) if can_submit and spec.server else None
        self._tracker.shipper = self._shipper
        self._metric_watch = (
            self._watching()
            if has_search or (can_submit and any(task.stop for task in spec.possible_tasks))
            else None
        )

    # -- lifecycle ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Read the ledger and adopt the live attempts."""
        self.journal.open()
        self.schedule.take_suggestions()
        for name, state in self.history.tasks.items():
            if state.is_live:
                job = Job.of(self.schedule.tasks[name], state, self.files)
                self._dispatcher.add(job)
                if state.status is TaskStatus.RUNNING:
                    self._sample_gpus(job)
                    if self._metric_watch is not None and state.stop is None:
                        self._metric_watch.begin(job)
                    self._sample(job, since=unix(state.started) if state.started else None, is_adopted=True)

    def look(self) -> None:
        """Record the statuses of all attempts that may still be live, without deciding anything."""
        self._take_requests()
        self._observe()
        self.journal.flush()

    def observe(self, *, writes: bool = True) -> None:
        """Make one turn that starts nothing; without `writes` the result is only in `history`."""
        self._tracker.writes = writes
        before = self.live
        self._take_requests()
        self._observe()
        has_ended = self.live < before
        self.begin()
        self._decisions.cancel_waiting()
        self._decisions.conclude()
        self._decisions.finish()
        if writes:
            self.journal.flush()
        if writes and has_ended:
            self.remove_shared()

    def begin(self) -> None:
        """Decide what follows from the current history."""
        if self.can_submit:
            self._admission.begin()
        if self._environments is not None:
            self._environments.begin()
        if self._reuse is not None:
            self._reuse.begin()
        self._decisions.begin()
        if self._searches is not None:
            self._searches.begin()
        if self.can_submit and any(group.best is not None for group in self.spec.groups):
            self._best_choices = self._choices()
        names = {task.executor for task in self.spec.possible_tasks} if self.can_submit else set()
        queues = {name: self._dispatcher.queue(name) for name in names}
        if any(queues.values()):
            jobs = (self._externals.job,) if self._externals is not None else ()
            self._early_queue = EarlyQueue(self.spec, self.history, queues, *jobs)

    def close(self) -> None:
        """Release all resources; running attempts continue."""
        if self._samples is not None:
            self._samples.close()
        self._tracker.close()
        if self._shipper is not None:
            self._shipper.close()
        self._dispatcher.close()
        self._evaluations.close()
        self._admission.close()
        self._gpu_peaks.close()
        if self._externals is not None:
            self._externals.close()
        if self._environments is not None:
            self._environments.close()
        if self._searches is not None:
            self._searches.close()
        if self._reuse is not None:
            self._reuse.close()
        if self._listeners is not None:
            self._listeners.close()
        if self._wake is not None:
            os.close(self._wake)
            with contextlib.suppress(OSError):  # a leftover FIFO is harmless, and `exp gc` removes it
                self.files.wake.unlink()
        self.journal.close()

    def record(self, event: str, **fields: Any) -> None:
        """Write one event about the supervisor itself, synced."""
        self.journal.note(event, **fields)
        self.journal.flush()

    def listen(self) -> None:
        """Create the FIFO through which requests wake the loop, and a missing folder that tasks share."""
        make_folder(self.files.shared)  # experiments that began before 0.1.0 have none
        if self.files.wake.is_symlink() or not self.files.wake.is_fifo():
            self.files.wake.unlink(missing_ok=True)  # anything else would wake the loop all the time
            os.mkfifo(self.files.wake, 0o600)
        self._wake = descriptor_of_fifo(self.files.wake, os.O_RDWR)
        self._poll.register(self._wake, select.POLLIN)

    def interrupt(self, by: str) -> None:
        """Request a cancel of the experiment from a signal handler; a second request sends KILL."""
        self._interrupts.append(by)
        if self._wake is not None:
            os.write(self._wake, b"!")

    def write_off(self) -> None:
        """End as lost the attempts on hosts that will not come back."""
        for job in list(self._dispatcher.jobs):
            if self.history.tasks[job.task].evidence == ELSEWHERE:
                ending = lost("the host where it ran is lost")
                self._apply(job, AttemptStatus(key=job.key, state="over", ending=ending))
        self.journal.flush()

    def run(self) -> ExperimentStatus:
        """Repeat turns until the experiment is finished, also while the ledger cannot be written."""
        self.journal.keeps_failed, self.journal.ledger.lock_wait = True, LOCK_WAIT
        try:
            while True:
                self.turn()
                self._tell_problem()
                self._wake_listeners()
                if self.history.finished and not self.journal:
                    self.remove_shared()
                    return ExperimentStatus(self.history.finished["status"])
                self.sleep()
        finally:
            self.journal.keeps_failed = False

    def remove_shared(self) -> None:
        """Remove what attempts shared in engines, unless one may still use it; a resume makes it again."""
        if not self.live:
            self._dispatcher.remove_shared(self.files, self.history)

    def _tell_problem(self) -> None:
        if self.journal.problem != self._problem:
            self._problem = self.journal.problem
            self._on_problem(self._problem)

    # -- one turn -----------------------------------------------------------------------------------

    def turn(self) -> None:
        """Observe, decide, record, act."""
        if self._lock is not None and self._lock.keep():
            self._report(f"{self.files.supervisor_lock} was removed or replaced; it is locked again")
        self._admission.keep()
        self._take_requests()
        self._observe()
        self._gpu_peaks.look()
        if self._samples is not None:
            self._samples.look()
        if not self._decisions.has_begun:
            self.begin()
        self._look_outside()
        self._look_at_environments()
        self._decisions.take_values()
        self._look_at_searches()
        self._choose_best()
        self._look_at_kept_results()
        self._chosen += self._decide()
        if self._reuse is not None:
            self._reuse.withdraw()
        self._ask_for_suggestions()
        is_choosing = self._choose_best()
        if not is_choosing and not (self._reuse is not None and self._reuse.is_keeping):
            self._decisions.finish()
        if self.history.finished and self.can_submit:
            self._start_listeners()  # a command that reads `finished` waits only for started listeners
        if self.journal.is_urgent and not self._may_write_later():
            self.journal.flush()
        if self.journal.problem is None:
            self._submit()
        self._cancel_live()
        self._tracker.look(self._dispatcher.jobs)
        self._stop_by_metrics()
        if self._shipper is not None:
            self._shipper.look(job.key for job in self._dispatcher.jobs)

    def _may_write_later(self) -> bool:
        """Whether a suggestion comes within moments, and nothing is done before its batch is written."""
        acts = self._chosen or self.history.cancels or self.history.stopping or self.history.finished
        is_awaited = self._searches is not None and self._searches.are_awaited
        return is_awaited and not acts and self._reuse is None

    def _decide(self) -> list[Job]:
        """The attempts that start now; decides again in the same turn if all ready tasks ended unstarted.

        Nothing starts while the ledger cannot be written.
        """
        can_start = self.can_submit and self.journal.problem is None
        while True:
            self._decisions.are_pending = False
            self._decisions.cancel_waiting()
            self._decisions.stop_for_limits()
            self._decisions.conclude()
            starting = self._choose() if can_start else []
            if starting or not self._decisions.are_pending:
                return starting

    def sleep(self) -> None:
        """Wait until a task ends, a request arrives, or a poll or delay is due."""
        if self._statuses or self._decisions.are_pending:
            return  # statuses received while starting tasks still need a decision
        ready = self._poll.poll(max(0, int(self._pause() * 1000 + 0.999)))
        if self._wake is not None and any(descriptor == self._wake for descriptor, _ in ready):
            with contextlib.suppress(BlockingIOError):
                if requests.VERIFY in os.read(self._wake, 65536):
                    self.journal.ledger.verify()
        if not ready and self.journal:
            self.journal.flush()
        self._late_imports.notice(is_idle=not ready)

    def _pause(self) -> float:
        """Seconds until something is due; starts are not, while the ledger cannot be written."""
        is_writable = self.journal.problem is None
        now, monotonic = steady(), time.monotonic()
        timeout = FLUSH_AFTER if self.journal and is_writable else LEDGER_LOOK
        starts = self._admission.due if is_writable else self.journal.due
        outside = self._externals.due if self._externals is not None else None
        environments = self._environments.due if self._environments is not None and is_writable else None
        for check_at in (
            self._dispatcher.due(),
            starts,
            self._late_imports.due,
            self._evaluations.due,
            self._gpu_peaks.due,
            self._samples.due if self._samples is not None else None,
            self._metric_watch.due() if self._metric_watch is not None else None,
            outside,
            self._best_choices.due if self._best_choices is not None else None,
            environments,
            self._searches.due if self._searches is not None and is_writable else None,
            self._reuse.due if self._reuse is not None and is_writable else None,
        ):
            if check_at is not None:
                timeout = min(timeout, check_at - monotonic)
        for due in (self.schedule.next_delay() if is_writable else None, self._decisions.deadline()):
            if due is not None:
                timeout = min(timeout, due - now)
        return timeout

    def _wake_listeners(self) -> None:
        """Wake the listening plugins after a write; they start after the first tasks."""
        self._start_listeners()
        if self._listeners is not None:
            self._listeners.poke()

    def _start_listeners(self) -> None:
        if self._listeners is None and any(use.hears for use in self.spec.plugins):
            from nemorun_cli.supervisor.listeners import Listeners  # noqa: PLC0415 - only for specs with such plugins

            self._listeners = Listeners(
                self.files, self.spec, home=self.home, secrets=self._secrets, report=self._report
            )

    # -- observing ----------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        """Pass an event that was just noted to those that follow what happens."""
        state = self.history.tasks.get(event.get("task", ""))
        self._tracker.on_event(event, was_submitted=state is not None and state.submitted is not None)
        if self._metric_watch is not None and event["event"] == events.ENDED:
            unjudged = self._metric_watch.end((event["task"], event["attempt"]))
            event.update({"unjudged": unjudged} if unjudged else {})
        if self._searches is not None:
            self._searches.notice(event)
        if self._reuse is not None:
            self._reuse.on_event(event)
        if self._early_queue and (name := event.get("task")):
            self._early_queue.notice(name)

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
        statuses = [*self._unread, *self._held, *self._statuses]
        self._statuses, self._unread, self._held = [], [], []
        self._apply_all(statuses)
        self._apply_all(self._dispatcher.poll())  # last: attempts known to have ended are not polled
        held, self._held = self._held, []
        self._apply_all(held)  # now that other ends are known

    def _apply_all(self, statuses: Iterable[JobStatus]) -> None:
        """Record the statuses, but not a second end, or absence, that an executor reports of an attempt.

        Ends of members of groups with a leader come last, in the order in which they happened: which of them
        was first decides the results of the others.
        """
        ordered = list(statuses)
        if self._led:
            ordered.sort(key=self._order)  # which keeps the order of all others
        for job, reported in ordered:
            if self._dispatcher.is_tracked(job):
                self._apply(job, reported)

    def _order(self, status: JobStatus) -> tuple[float, bool]:
        """The sort key of a status: reports in their order, then ends by time, leaders first."""
        job, reported = status
        group = self._led.get(self.schedule.tasks[job.task].group or "")
        if reported.ending is None or group is None:
            return 0.0, False
        return reported.ending.ended or time.time(), not group.may_lead(job.task)

    def _apply(self, job: Job, reported: AttemptStatus) -> None:
        """Record a reported status if it is new."""
        state = self.history.tasks[job.task]
        if reported.state == "over":
            assert reported.ending is not None  # noqa: S101 - a terminal status has an ending
            self._on_over(job, reported, reported.ending)
        elif reported.state == "queued":
            self._on_queued(job, state, reported)
        elif reported.state == "running":
            if state.status is not TaskStatus.RUNNING:
                self._on_started(job, reported)
        elif reported.state == "unknown":
            if state.status is not TaskStatus.UNKNOWN or state.message != reported.message:
                self._note_attempt(events.UNKNOWN, job, message=reported.message, evidence=reported.evidence)
        elif reported.state == "absent":
            self._dispatcher.drop(job)
            self._on_absent(job, state, reported)

    def _on_over(self, job: Job, reported: AttemptStatus, ending: AttemptEnd) -> None:
        """Record the end of an attempt, unless it can be recorded only later."""
        crashpoints.point("attempt.over")
        if attempt_result.awaits_leader(self.schedule, job.task, ending, job.files):
            self._held.append((job, reported))
            return
        try:
            self._end(job, reported, ending)
        except OSError as error:
            if not is_shortage(error):
                raise
            self._unread.append((job, reported))  # read again in the next turn, after at most a second

    def _watched_externals(self) -> ExternalWatch:
        from nemorun_cli.supervisor.externals import ExternalWatch  # noqa: PLC0415 - only for specs that wait for others

        return ExternalWatch(self.spec, home=self.home, dispatcher=self._dispatcher, report=self._report)

    def _python_environments(self) -> PythonEnvironments:
        from nemorun_cli.supervisor.environments import PythonEnvironments  # noqa: PLC0415 - only for specs that name one

        return PythonEnvironments(
            self.schedule,
            self.journal,
            home=self.home,
            files=self.files,
            dispatcher=self._dispatcher,
            poll=self._poll,
            report=self._report,
        )

    def _look_at_environments(self) -> None:
        """Start the tasks whose Python environments are ready now; fail those for which none can be used."""
        if self._environments is None or self.journal.problem is not None:
            return
        for name, message in self._environments.look():
            self._decisions.fail_unstarted(self.schedule.tasks[name], Reason.LAUNCH, message)

    def _look_at_searches(self) -> None:
        """Record suggestions that have come, and the results of trials that have ended."""
        if self._searches is not None:
            self._searches.look()

    def _ask_for_suggestions(self) -> None:
        if self._searches is not None and self.journal.problem is None:
            self._searches.ask()

    def _step_reuse(self) -> StepReuse:
        from nemorun_cli.supervisor.reuse import StepReuse  # noqa: PLC0415 - only for tasks with `cache`

        return StepReuse(
            self._decisions,
            self._identity,
            files=self.files,
            home=self.home,
            dispatcher=self._dispatcher,
            poll=self._poll,
            report=self._report,
            on_records=self._tracker.ship,
        )

    def _look_at_kept_results(self) -> None:
        """Give tasks the results that are kept of earlier ones, and have those that are new kept."""
        if self._reuse is not None and self.journal.problem is None:
            self._reuse.look()

    @property
    def _identity(self) -> Identity:
        return Identity(id=self.files.id, name=self.spec.name, directory=str(self.files.directory))

    def _look_outside(self) -> None:
        """Record how what tasks wait for outside of the experiment has ended."""
        if self._externals is not None:
            for key, end in self._externals.ends(self.schedule.awaited()):
                self._decisions.end_external(key, end)
            if self._early_queue is not None:
                self._early_queue.notice_external()

    def _choices(self) -> BestChoices:
        from nemorun_cli.supervisor import best_choices, member_values  # noqa: PLC0415 - only for groups with a rule

        values = member_values.MemberValues(
            self.files, self.spec, self.schedule, home=self.home, report=self._report
        )
        return best_choices.BestChoices(self._decisions, values)

    def _choose_best(self) -> bool:
        """Choose the best of groups that have ended; return whether records remain to be read for that."""
        if self._best_choices is None:
            return False
        self._best_choices.look()
        return self._best_choices.due is not None

    def _on_started(self, job: Job, reported: AttemptStatus) -> None:
        """Record the start of an attempt, and remember when it was seen if its times are by this clock."""
        self._note_attempt(
            events.STARTED,
            job,
            is_urgent=False,  # no action depends on it
            time=stamp(reported.since),
            job_id=reported.job_id,
            evidence=reported.evidence,
        )
        if job.plan is not None and self._dispatcher.capabilities(job.plan.executor).has_machine:
            self._starts[job.task] = Moment.now()
        self._sample_gpus(job)
        if self._metric_watch is not None:
            self._metric_watch.begin(job)
        self._sample(job, since=reported.since, is_adopted=job.plan is None)

    def _watching(self) -> MetricWatch:
        from nemorun_cli.scheduler.metric_judges import StopJudge  # noqa: PLC0415 - only for tasks with `stop`
        from nemorun_cli.supervisor.metric_watch import MetricWatch  # noqa: PLC0415 - the same

        def judge(name: str) -> MetricJudge | None:
            task = self.schedule.tasks[name]
            if self._searches is not None and self.schedule.trials.search_of(task) is not None:
                return self._searches.judge(task, self.history.tasks[name].attempt)
            return StopJudge(task.stop) if task.stop else None

        return MetricWatch(self.files.id, records=self._tracker.records, judge=judge, report=self._report)

    def _searching(self) -> Searches:
        from nemorun_cli.supervisor.searches import Searches  # noqa: PLC0415 - few specs have a search

        return Searches(
            self.files,
            self.spec,
            self._decisions,
            home=self.home,
            records=self._tracker.records,
            poll=self._poll,
            report=self._report,
        )

    def _stop_by_metrics(self) -> None:
        """Record which attempts are stopped by their metrics; the next turn stops them."""
        for job, decision in self._metric_watch.look() if self._metric_watch is not None else ():
            state = self.history.tasks[job.task]
            if state.is_live and state.stop_request is None:
                self._decisions.note_stop(job.task, job.attempt, decision)

    def _sampling(self, interval: float) -> SystemSamples:
        from nemorun_cli.supervisor.system_samples import SystemSamples  # noqa: PLC0415 - few specs ask for samples

        return SystemSamples(
            interval, dispatcher=self._dispatcher, gpus=self._gpu_peaks, write=self._tracker.write_sample
        )

    def _shipping(self, server: str) -> Shipper:
        from nemorun_cli.supervisor.shipping import Shipper  # noqa: PLC0415 - only for specs with a server

        root = planning.dash_root(self.spec, self.home)
        return Shipper(self.files, server, root=root, report=self._report)

    def _sample(self, job: Job, *, since: float | None, is_adopted: bool) -> None:
        """Sample what a running attempt uses, if the spec asks for it."""
        if self._samples is not None:
            self._samples.begin(job, since=since, is_adopted=is_adopted)

    def _sample_gpus(self, job: Job) -> None:
        """Sample the memory of the GPUs that a running attempt has for itself, if it runs on this host."""
        task, state = self.schedule.tasks[job.task], self.history.tasks[job.task]
        if self.can_submit and state.gpus and state.holder and state.holder.is_here:
            self._gpu_peaks.begin(
                job,
                state.gpus.split(","),
                is_container=self._dispatcher.capabilities(task.executor).is_container,
                variables=task.env if job.plan is not None else None,
            )

    def _on_queued(self, job: Job, state: TaskState, reported: AttemptStatus) -> None:
        """Record the backend's job id and message of an attempt that has not started, if they are new."""
        is_new = (reported.job_id, reported.message) not in ((None, None), (state.job_id, state.message))
        if state.status is TaskStatus.UNKNOWN or (state.status is TaskStatus.SUBMITTED and is_new):
            self._note_attempt(
                events.QUEUED,
                job,
                is_urgent=False,  # no action depends on it
                job_id=reported.job_id,
                message=reported.message,
                evidence=reported.evidence,
            )

    def _on_absent(self, job: Job, state: TaskState, reported: AttemptStatus) -> None:
        """Decide again about an attempt that never started, unless it was cancelled or ran."""
        task = self.schedule.tasks[job.task]
        self._admission.release(job.task)
        self._end_samples(job)
        self._gpu_peaks.end(job.key)
        if state.cancel:
            self._decisions.cancel_unstarted(job.task, state, state.cancel)
        elif state.status is TaskStatus.RUNNING:
            message = "it was started, but disappeared before its first instruction"
            self._decisions.end_unstarted(job.task, state, lost(reported.message or message))
        else:
            self._note_attempt(events.RETURNED, job, message=reported.message)
            self._decisions.reconsider(job.task)
            return
        self._decisions.settle(task)

    def _end(self, job: Job, reported: AttemptStatus, ending: AttemptEnd) -> None:
        state, task = self.history.tasks[job.task], self.schedule.tasks[job.task]
        cancel = attempt_result.cancel_of(
            self.schedule,
            job.task,
            ending,
            sent=self._dispatcher.sent_cancel(job),
            files=job.files,
            has_local_clock=self._dispatcher.capabilities(task.executor).runs_here,
            was_signalled=reported.was_signalled,
        )
        reported_end = ending
        ending = attempt_result.conclude(
            ending,
            sent=cancel,
            requested=None,
            written=job.files.outputs,
            inside=job.files.root,
            secrets=self._secrets,
            are_known=self._secrets_are_known,
        )
        self._dispatcher.drop(job)
        self._end_samples(job)
        gpu_usage = self._gpu_peaks.end(job.key)
        if ending.reason is not Reason.ABANDONED:  # an abandoned attempt may still use its resources
            self._admission.release(job.task)
        is_skipped = self._decisions.skip_unstarted(job.task, state, reported_end, cancel)
        if is_skipped or self._decisions.skip_early(job.task, state, ending):
            self._decisions.settle(task)
            return
        ending = replace(
            ending,
            symptom=self._symptom(task, job) if ending.status is TaskStatus.FAILED else None,
            usage=Usage.combined(ending.usage, gpu_usage),
            job_id=reported.job_id,
            evidence=reported.evidence,
        )
        start, ended = self._starts.pop(job.task, None), max(stamp(ending.ended), state.started or "")
        self._note_attempt(
            events.ENDED,
            job,
            time=ended,
            duration=start.corrected(state.started or ended, ending.ended or time.time()) if start else None,
            **ending.to_event(),
        )
        self._decisions.settle(task)

    def _end_samples(self, job: Job) -> None:
        if self._samples is not None:
            self._samples.end(job.key)

    def _symptom(self, task: Task, job: Job) -> str | None:
        """The first pattern of the task's `retry.on` that matches what the attempt printed."""
        if not task.retry.log:
            return None
        from nemorun_cli.system import log_search  # noqa: PLC0415 - only for tasks with log patterns

        paths = (job.files.log,) if task.stderr_to_stdout else (job.files.stderr, job.files.log)
        found = (
            log_search.found(
                path,
                task.retry.log,
                report=self._report,
                slow=self._tracker.slow_patterns,
                inside=job.files.root,
            )
            for path in paths
        )
        return next((pattern for pattern in found if pattern is not None), None)

    # -- starting -----------------------------------------------------------------------------------

    def _choose(self) -> list[Job]:
        """The attempts that start now, already recorded as submitted."""
        admitted = self._admission.take(self._chosen)
        for name, message in admitted.impossible.items():
            self._decisions.fail_unstarted(self.schedule.tasks[name], Reason.LAUNCH, message)
        jobs = []
        for name, filled in self._decisions.fill_all(admitted.tasks, self._identity).items():
            if filled is not None and (job := self._plan(filled)):
                jobs.append(job)
            else:
                self._admission.release(name)
        if self._early_queue:
            for name, needs in self._early_queue.take(is_held=self.schedule.is_held):
                upstream = self._early_queue.awaited(name, needs, self.files)
                if job := self._plan(self.schedule.tasks[name], upstream):
                    jobs.append(job)
        return jobs

    def _plan(self, task: Task, upstream: tuple[Upstream, ...] = ()) -> Job | None:
        """The attempt of a task that starts now or waits in the backend's queue; None if planning fails."""
        state = self.history.tasks[task.id]
        try:
            task_plan = planning.make(
                task,
                spec=self.spec,
                files=self.files,
                attempt=state.attempt,
                home=self.home,
                hosts=self._member_hosts,
                variables=handlers.variables(self.spec, self.history) if task.handler else {},
                tries=state.tries,
            )
            job = Job.of(
                task,
                state,
                self.files,
                plan=self._dispatcher.plan(task.executor, task_plan),
                holder=self.history.supervisor,
                allocation=self._admission.allocation(task.id),
                upstream=upstream,
            )
        except EngineError as error:
            if upstream:
                return None  # reported when the task is ready
            self._decisions.fail_unstarted(task, Reason.LAUNCH, error.message)
            return None
        self._note_attempt(
            events.SUBMITTED,
            job,
            reason=Reason.DEPENDENCY if upstream else None,
            gpus=",".join(job.allocation.gpus) or None if job.allocation else None,
        )
        self._tracker.submit(task, state.attempt)
        return job

    # -- acting -------------------------------------------------------------------------------------

    def _submit(self) -> None:
        """Submit the chosen attempts, now that the ledger has them, unless they were cancelled meanwhile."""
        jobs, self._chosen = self._chosen, []
        if self._searches is not None and jobs:
            jobs, self._chosen = self._searches.split(jobs, gathers=self._gathers)
        for job in jobs:
            self._dispatcher.add(job)
            if self.history.tasks[job.task].cancel:
                self._statuses.append((job, AttemptStatus(key=job.key, state="absent")))
        wanted = (job for job in jobs if not self.history.tasks[job.task].cancel)
        for job, reported in self._dispatcher.submit(wanted):
            if reported.state == "running":
                self._apply(job, reported)
            else:
                self._statuses.append((job, reported))

    def _gathers(self, executor: str) -> bool:
        """Whether trials wait to be submitted together."""
        return self._dispatcher.capabilities(executor).submits_arrays

    def _cancel_live(self) -> None:
        if not (self.history.cancels or self.history.stopping):
            return
        for job, cancel in self._dispatcher.cancel(self.history, self._may_stop, self._on_passed):
            ending = AttemptEnd(
                status=TaskStatus.CANCELLED,
                reason=Reason.ABANDONED,
                message=f"abandoned by {cancel.by}: not verified: it may still be running",
            )
            self._statuses.append((job, AttemptStatus(key=job.key, state="over", ending=ending)))
        if self._passed:
            self._statuses += self._dispatcher.poll()  # which sends the signal, if the cancel did not
            self._confirm_stops()

    def _may_stop(self, job: Job, cancel: Cancel) -> bool:
        """Whether a cancel is passed on; by `stop` or the end of a group, unless the attempt ends by itself.

        A `stop` is passed on only once the ledger has the decision.
        """
        if cancel is self.history.tasks[job.task].stop:
            crashpoints.point("metric.stop")
            return not self.journal.is_urgent and attempts.note_stop(job.files)
        if cancel.reason not in GROUP_REASONS or self.schedule.group_with_leader(job.task) is None:
            return True
        crashpoints.point("group.stop")
        return attempts.note_stop(job.files)

    def _on_passed(self, job: Job, cancel: Cancel) -> None:
        if cancel is self.history.tasks[job.task].stop:
            self._passed.append(job)

    def _confirm_stops(self) -> None:
        """Record which attempts have received the signal of their `stop`."""
        while self._passed:
            attempts.confirm_stop(self._passed.pop().files)
            crashpoints.point("metric.stopped")

    # -- parts --------------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """The number of attempts that a backend has, or may have."""
        return self._dispatcher.count()

    def _note_attempt(self, event: str, job: Job, **fields: Any) -> None:
        self.journal.note(event, task=job.task, attempt=job.attempt, **fields)
