"""Runs tasks as containers of a local Docker engine, under the same shim as the other executors.

The container's name identifies the attempt, so a second start finds the existing container. The engine's
event stream reports ends. The result of an attempt is written into its folder before its container is
removed, so all state of this module can be restored from the engine and the attempt files.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.executors import (
    ELSEWHERE,
    Answer,
    AttemptStatus,
    Capabilities,
    Diagnosis,
    Job,
    JobError,
    Key,
    answer_each,
)
from nemorun_cli.executors.docker import container as containers
from nemorun_cli.executors.docker import lifecycle, mounts, networks
from nemorun_cli.executors.docker.client import (
    ContainerLog,
    DownError,
    Engine,
    NoSuchObjectError,
    RefusedError,
    Stream,
    host,
)
from nemorun_cli.executors.docker.labels import LABEL
from nemorun_cli.executors.docker.lifecycle import Images, StartedContainer
from nemorun_cli.executors.docker.meeting import Meeting, attend
from nemorun_cli.executors.docker.orphans import Orphans
from nemorun_cli.executors.docker.stats import ContainerStats, StatsRequest
from nemorun_cli.executors.escalation import KILL, Escalation
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import failed_launch
from nemorun_cli.model.clock import age
from nemorun_cli.storage import attempts
from nemorun_cli.system import hardware
from nemorun_cli.system.backoff import Backoff
from nemorun_cli.system.process_limits import is_shortage
from nemorun_cli.system.threads import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors import Leftover
    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.usage_sample import UsageSample
    from nemorun_cli.storage.paths import ExperimentFiles

WORKERS: Final = 4  # threads that start containers, and as many that finish them
MOST_MEETING: Final = 128  # threads that start containers of members, which wait for each other
LIST_TIMEOUT: Final = 10.0  # seconds that the engine may take to list its containers
OVERLAP: Final = 2.0  # seconds of past events that are requested, so that none is missed
FIRST_PAUSE: Final = 0.5  # seconds until the first retry of an engine that does not answer
LONGEST_PAUSE: Final = 10.0  # the same, after several retries
CLAIM_PAUSE: Final = 0.1  # seconds between looks whether an adopted container's task has begun
KILL_AGAIN: Final = 5.0  # seconds between KILLs of a container that does not terminate
START_PATIENCE: Final = 2.0  # seconds that `close` waits for containers being started
END_PATIENCE: Final = 10.0  # the same, for containers being finished
ALIVE: Final = frozenset({"running", "paused"})  # Docker's states of a container that has not ended
CHECK_EVERY: Final = 60.0  # seconds between checks for ends whose event was lost


@dataclass(slots=True)
class _Tracked:
    """A tracked attempt: being started, running, or being finished."""

    job: Job
    container: str | None = None
    is_bare: bool = False  # it runs without the shim; the container is its only record
    work: Future[Any] | None = None  # the start or finish in progress
    gate: threading.Lock = field(default_factory=threading.Lock)  # see `lifecycle.start`
    is_unconfirmed: bool = False  # the connection was lost, and possibly events of this attempt
    # What the engine reported, by container: one of an earlier start may have had the same name.
    exit_codes: dict[str, int] = field(default_factory=dict)
    out_of_memory: set[str] = field(default_factory=set)
    is_late: bool = False  # it exceeded its timeout
    deadline: float | None = None  # monotonic time of the timeout, if it runs without the shim
    began: float = 0.0  # monotonic time of its start
    log: ContainerLog | None = None
    meeting: Meeting | None = None  # of the members of its group that start with it

    def end_meeting(self) -> None:
        """Let it begin, if it waits for other members."""
        if self.meeting is not None:
            self.meeting.end()


@dataclass(slots=True, kw_only=True)
class _Listing:
    """A list of the experiment's containers that the engine was asked for.

    Attributes:
        jobs: the attempts that are adopted by it; others may have changed since it was requested.
        containers: the containers that were being monitored when it was requested.
        deadline: the monotonic time until which the engine may answer.
    """

    work: Future[list[dict[str, Any]]]
    jobs: Sequence[Job]
    containers: frozenset[str]
    deadline: float


@dataclass(slots=True)
class _Stop:
    """The termination of an attempt."""

    escalation: Escalation
    due: float = 0.0  # monotonic time of the next signal


class DockerExecutor:
    """Runs tasks in containers; the options have the names that Compose uses."""

    options_schema: ClassVar[Mapping[str, Any]] = containers.OPTIONS_SCHEMA

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """Tasks share the capacity of this machine, and see the folders of their image."""
        network = networks.of_members(options)
        return Capabilities(
            has_remote_paths=True,
            has_machine=True,
            checks_requests=True,
            leaves_objects=True,
            is_container=True,
            member_network=network,
            shares_objects=network is not None and network.name == networks.OWN,
            separates_stderr=True,
            names_files=True,
            measures=True,
            identifies_image=True,
            result_options={name: options[name] for name in containers.OF_RESULTS if name in options},
        )

    @classmethod
    def missing_files(cls, options: Mapping[str, Any], folder: str) -> Iterable[str]:
        """The sources of volumes that do not exist, without which tasks fail."""
        return mounts.missing_volumes(options.get("volumes", ()), folder)

    @classmethod
    def leftovers(cls, home: Path) -> Iterable[Leftover]:
        """Containers of a home's experiments that do not run, and their networks that are not used."""
        from nemorun_cli.executors.docker import leftovers  # noqa: PLC0415 - only `exp gc` needs it

        return leftovers.leftovers(home)

    @classmethod
    def remove_leftover(cls, name: str) -> str | None:
        """Remove one of them; returns why it stays, if it does."""
        from nemorun_cli.executors.docker import leftovers  # noqa: PLC0415 - only `exp gc` needs it

        return leftovers.remove(name)

    @classmethod
    def remove_shared(cls, files: ExperimentFiles, jobs: Sequence[Job]) -> str | None:
        """Remove the experiment's network; returns why it stays, if it does."""
        from nemorun_cli.executors.docker import leftovers  # noqa: PLC0415 - only few experiments have one

        return leftovers.remove_shared(files, next(filter(None, map(_recorded_host, jobs)), None))

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options = options
        self._secrets = secrets
        self._images = Images(options.get("pull", "missing"))
        self._engine: Engine | None = None
        self._labels: Mapping[str, str] = {}
        self._events: Stream | None = None
        self._partial_event = b""  # the beginning of an event that is not complete yet
        self._down: str | None = None
        self._next_retry = 0.0
        self._retries = Backoff(first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        self._next_check = time.monotonic() + CHECK_EVERY
        self._listing: _Listing | None = None
        self._is_first = True  # nothing was submitted or polled yet
        self._tracked: dict[Key, _Tracked] = {}
        self._names: dict[str, Key] = {}
        self._stops: dict[Key, _Stop] = {}
        self._unclaimed: set[Key] = set()  # their containers run, and their tasks have not begun
        self._orphans = Orphans()
        self._reports: list[AttemptStatus] = []
        self._done: deque[tuple[Key, Future[Any]]] = deque()
        self._starters = Workers(WORKERS, "docker-start")
        self._meeting_starters = Workers(MOST_MEETING, "docker-meet")
        self._enders = Workers(WORKERS, "docker-end")
        self._selector = selectors.DefaultSelector()
        self._wakeup_read, self._wakeup_write = os.pipe()
        os.set_blocking(self._wakeup_read, False)
        self._selector.register(self._wakeup_read, selectors.EVENT_READ)
        self._stats = ContainerStats(self._selector)

    def plan(self, plan: Plan) -> Plan:
        """The plan with the arguments of the container."""
        return replace(plan, details=containers.details(plan, self._options, host=self._address))

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start attempts in threads; `poll` reports when they run."""
        self._is_first = False
        return answer_each(jobs, self._submit)

    def _submit(self, job: Job) -> AttemptStatus:
        plan = job.plan
        assert plan is not None  # noqa: S101 - the core submits nothing without a plan
        engine = self._connect(job)
        tracked = self._track(job)
        tracked.is_bare = not containers.needs_shell(plan)
        if job.allocation:  # a container cannot inherit it
            job.allocation.keep_until(job.files.exit)
        self._await_work(tracked, self._start(engine, tracked, plan))
        return AttemptStatus(key=job.key, state="queued")

    def _start(self, engine: Engine, tracked: _Tracked, plan: Plan) -> Future[Any]:
        attendance = None
        if "network" in plan.details:
            group = tracked.job.task.partition("/")[0]
            attendance = attend(f"{plan.env['EXP_DIR']}/{group}")
            tracked.meeting = attendance.meeting
        starters = self._starters if attendance is None else self._meeting_starters
        return starters.submit(
            lifecycle.start,
            engine,
            tracked.job,
            plan,
            images=self._images,
            secrets=self._secrets,
            gate=tracked.gate,
            attendance=attendance,
        )

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Events since the last call, and the status of attempts that are not tracked yet.

        The first call waits for the engine, at most `LIST_TIMEOUT` seconds each for its list and for ended
        containers; the others do not.
        """
        self._read()
        self._stats.expire()
        if self._down is None or time.monotonic() >= self._next_retry:
            self._down = None
            self._adopt_unseen(jobs)
        if self._tracked and time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_EVERY
            self._ask_for_list(())
        self._take_list(jobs)
        self._advance()
        self._collect()
        self._poll_orphans(jobs)
        self._report_claimed()
        self._is_first = False
        reports, self._reports = self._reports, []
        return reports

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Signal every process of each container, and KILL it after the grace period."""
        for job in jobs:
            name = attempt_end.short_signal(signal or job.stop_signal)
            seconds = job.stop_grace if grace is None else grace
            if tracked := self._tracked.get(job.key):
                tracked.end_meeting()
            if job.key in self._orphans:
                self._orphans.cancel(job, name, seconds)
            elif stop := self._stops.get(job.key):
                stop.escalation.hurry(name, seconds)
                stop.due = 0.0
            else:
                self._stops[job.key] = _Stop(Escalation(name, seconds))
        return ()

    def sample(self, jobs: Sequence[Job]) -> None:
        """Ask the engine what those of these attempts use that are monitored now."""
        for job in jobs:
            tracked = self._tracked.get(job.key)
            if self._engine is None or self._down is not None or tracked is None:
                continue
            if tracked.container is not None and tracked.work is None:
                self._stats.ask(self._engine, job.key, tracked.container, since=tracked.began)

    def samples(self) -> Iterable[tuple[Key, UsageSample]]:
        """What the engine has answered."""
        return self._stats.take().items()

    def wakeup(self) -> int | None:
        """The descriptor that watches the events, the logs and the threads."""
        return self._selector.fileno()

    def due(self) -> float | None:
        """The time of the next signal, scan or check, or of the next retry of an engine that is down."""
        times = [stop.due for key, stop in self._stops.items() if self._can_signal(key)]
        times += [tracked.deadline for tracked in self._tracked.values() if tracked.deadline is not None]
        if self._listing is not None:
            times.append(self._listing.deadline)
        elif self._down is not None:
            times.append(self._next_retry)
        elif self._tracked:
            times.append(self._next_check)
        if self._unclaimed:
            times.append(time.monotonic() + CLAIM_PAUSE)
        times += [due for due in (self._orphans.due(), self._stats.due) if due is not None]
        return min(times, default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Check that the engine answers, has or can pull the image, and supports GPUs if requested."""
        from nemorun_cli.executors.docker.check import diagnose  # noqa: PLC0415 - not for a supervisor

        return diagnose(Engine(self._address), self._options)

    def image(self) -> str:
        """The registry's digest of the image, which it may have to be asked for; else its id.

        Raises:
            EngineError: the engine does not answer, or there is no such image.
        """
        from nemorun_cli.executors.docker import image_identity  # noqa: PLC0415 - only tasks with `cache` need it

        engine = Engine(self._address)
        try:
            return image_identity.of(engine, self._options["image"], self._options.get("pull", "missing"))
        finally:
            engine.close()

    def machine(self, *, with_gpus: bool) -> Machine:
        """The hardware of this machine, which is also the engine's."""
        return hardware.find({}, with_gpus=with_gpus)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why the options or this machine can never satisfy a request, or None."""
        if conflict := containers.clash(self._options, wanted):
            return conflict
        return self.machine(with_gpus=bool(wanted.gpus)).why_unsatisfiable(wanted) if ask else None

    def close(self) -> None:
        """Finish the results in progress and disconnect; running containers continue."""
        for tracked in self._tracked.values():
            tracked.gate.acquire(blocking=False)  # starts that have not passed their gate are abandoned
            tracked.end_meeting()
        self._starters.close(patience=START_PATIENCE)
        self._meeting_starters.close(patience=START_PATIENCE)
        self._enders.close(patience=END_PATIENCE)
        for tracked in self._tracked.values():
            self._unfollow(tracked)
        self._stats.close()
        self._disconnect()
        if self._engine is not None:
            self._engine.close()
        self._selector.close()
        os.close(self._wakeup_read)
        os.close(self._wakeup_write)

    # -- the engine ---------------------------------------------------------------------------------

    @property
    def _address(self) -> str:
        return self._engine.address if self._engine else host()

    def _connect(self, job: Job) -> Engine:
        """The engine, chosen by the first attempt; subscribes to its events if it answers."""
        if self._engine is None:
            self._engine = Engine(_recorded_host(job) or host())
            self._labels = containers.shared_labels(job)
        if self._events is None and time.monotonic() >= self._next_retry:
            try:
                self._events = self._engine.events(self._labels, since=time.time() - OVERLAP)
            except DownError as error:
                self._on_unreachable(error.message)
            else:
                self._partial_event = b""
                self._selector.register(self._events, selectors.EVENT_READ)
        return self._engine

    def _disconnect(self) -> None:
        if self._events is not None:
            self._selector.unregister(self._events)
            self._events.close()
            self._events = None

    def _on_unreachable(self, message: str) -> None:
        """Handle an engine that does not answer: the status of its containers is unknown from now on."""
        self._disconnect()
        self._down = message
        self._next_retry = self._retries.due()
        for key, tracked in list(self._tracked.items()):
            tracked.is_unconfirmed = True
            if tracked.work is None:
                self._report_unknown(key, message)

    def _report_unknown(self, key: Key, message: str) -> None:
        self._untrack(key)
        self._reports.append(AttemptStatus(key=key, state="unknown", message=message, evidence="docker"))
        if stop := self._stops.get(key):
            stop.due = 0.0  # whether the signal arrived is unknown, too

    # -- work in threads ----------------------------------------------------------------------------

    def _await_work(self, tracked: _Tracked, work: Future[Any]) -> None:
        """Wake up when the work on an attempt is done; `_collect` reads its outcome."""
        tracked.work = work
        work.add_done_callback(lambda work: self._on_work_done(tracked.job.key, work))

    def _on_work_done(self, key: Key, work: Future[Any]) -> None:
        """Queue the finished work; called in the thread that did it."""
        self._done.append((key, work))
        self._wake_up()

    def _wake_up(self) -> None:
        """Let the next `poll` be called at once; called in any thread."""
        with contextlib.suppress(OSError):  # closed in the meantime
            os.write(self._wakeup_write, b"!")

    def _collect(self) -> None:
        while self._done:
            key, work = self._done.popleft()
            tracked = self._tracked.get(key)
            if tracked is None or tracked.work is not work:
                continue
            tracked.work = None
            try:
                outcome = work.result()
            except (RefusedError, NoSuchObjectError) as refusal:
                self._report_end(AttemptStatus(key=key, state="over", ending=failed_launch(str(refusal))))
            except DownError as error:
                self._report_unknown(key, error.message)
                self._on_unreachable(error.message)
            except OSError as error:  # an error of this machine, such as a full disk
                if tracked.container is not None:
                    raise
                self._report_end(_not_started(key, error))
            else:
                self._apply(tracked, outcome)

    def _apply(self, tracked: _Tracked, outcome: StartedContainer | AttemptStatus) -> None:
        key = tracked.job.key
        if isinstance(outcome, AttemptStatus):
            if outcome.state == "running":  # it has not ended after all: the next poll adopts it again
                self._untrack(key)
                self._reports.append(outcome)
                self._wake_up()
            else:
                self._report_end(outcome)
            return
        if tracked.is_unconfirmed:
            self._report_unknown(key, "the Docker engine became unreachable during the start")
            return
        short, since = outcome.container[:12], outcome.since
        self._reports.append(AttemptStatus(key=key, state="running", job_id=short, since=since))
        timeout = tracked.job.plan.timeout if tracked.job.plan and tracked.is_bare else None
        self._watch(tracked, outcome.container, since=since, timeout=timeout)
        if outcome.container in tracked.exit_codes or outcome.has_ended:
            self._finish(tracked)

    def _report_end(self, status: AttemptStatus) -> None:
        self._untrack(status.key)
        self._stats.forget(status.key)
        self._stops.pop(status.key, None)
        self._reports.append(status)

    # -- tracked attempts ---------------------------------------------------------------------------

    def _track(self, job: Job) -> _Tracked:
        tracked = self._tracked[job.key] = _Tracked(job)
        self._names[containers.name(job)] = job.key
        return tracked

    def _untrack(self, key: Key) -> None:
        if tracked := self._tracked.pop(key, None):
            self._names.pop(containers.name(tracked.job), None)
            self._stats.give_up(key)
            self._unfollow(tracked)

    def _watch(self, tracked: _Tracked, container: str, *, since: float, timeout: float | None) -> None:
        tracked.container = container
        tracked.began = time.monotonic() - max(0.0, age(since))
        if timeout:
            tracked.deadline = tracked.began + timeout
        if tracked.is_bare and self._engine is not None and tracked.log is None:
            with contextlib.suppress(DownError, OSError):  # `lifecycle.finish` completes the log in any case
                tracked.log = ContainerLog(self._engine, container, tracked.job.files)
                self._selector.register(tracked.log, selectors.EVENT_READ, tracked)

    def _follow(self, tracked: _Tracked) -> None:
        if tracked.log is not None:
            tracked.log.take()
            if tracked.log.has_ended:
                self._unfollow(tracked)

    def _unfollow(self, tracked: _Tracked) -> None:
        if tracked.log is not None:
            self._selector.unregister(tracked.log)
            tracked.log.close()
            tracked.log = None

    def _finish(self, tracked: _Tracked) -> None:
        """Record how a container ended, and remove it."""
        if self._engine is None or tracked.container is None:
            return
        self._follow(tracked)
        self._unfollow(tracked)
        tracked.deadline = None
        work = self._enders.submit(
            lifecycle.finish,
            self._engine,
            tracked.job,
            tracked.container,
            saw_oom=lambda: tracked.container in tracked.out_of_memory,
            is_stopped=tracked.job.key in self._stops,
            is_late=tracked.is_late,
            died_with=tracked.exit_codes.get(tracked.container),
        )
        self._await_work(tracked, work)

    def _remove(self, container: str) -> None:
        """Remove a stopped container, if it exists."""
        with contextlib.suppress(RefusedError, DownError):
            if self._engine is not None:
                self._engine.remove(container)

    def _adopt_unseen(self, jobs: Mapping[Key, Job]) -> None:
        """Adopt attempts that another process submitted, or that ran before the connection was lost."""
        listed = self._listing.jobs if self._listing else ()
        known = {
            *self._tracked,
            *self._orphans,
            *(status.key for status in self._reports),
            *(job.key for job in listed),
        }
        unseen = [job for key, job in jobs.items() if key not in known]
        local = [job for job in unseen if job.holder is None or job.holder.is_this_host]
        for job in unseen:
            if job not in local:
                if ending := attempts.read_ending(job.files):  # of a task that ended on the other host
                    self._report_end(AttemptStatus(key=job.key, state="over", ending=ending))
                    continue
                message = f"it runs on {job.holder.host}" if job.holder else None
                self._reports.append(
                    AttemptStatus(key=job.key, state="unknown", message=message, evidence=ELSEWHERE)
                )
        if local:
            self._connect(local[0])
            self._ask_for_list(local)

    def _ask_for_list(self, to_adopt: Sequence[Job]) -> None:
        """Ask the engine for its containers, unless it still has to answer an earlier request."""
        if self._listing is not None:
            return
        if self._engine is None or self._down is not None:
            for job in to_adopt:
                self._report_unknown(job.key, self._down or "there is no Docker engine")
            return
        work = self._enders.submit(self._engine.list, self._labels)
        self._listing = _Listing(
            work=work,
            jobs=to_adopt,
            containers=frozenset(
                tracked.container for tracked in self._tracked.values() if tracked.container
            ),
            deadline=time.monotonic() + LIST_TIMEOUT,
        )
        work.add_done_callback(lambda _: self._wake_up())

    def _take_list(self, jobs: Mapping[Key, Job]) -> None:
        """Adopt attempts by the engine's list of containers, once it has answered or its time is up."""
        listing = self._listing
        if listing is None:
            return
        if self._is_first:
            wait([listing.work], LIST_TIMEOUT)
        if not listing.work.done() and time.monotonic() < listing.deadline:
            return
        self._listing = None
        if self._events is None:  # ends since the request may have been missed
            self._on_no_list(listing, self._down or f"the connection to {self._address} was lost")
            return
        try:
            listed = listing.work.result(0)
        except (TimeoutError, DownError, RefusedError) as error:
            message = f"the Docker engine at {self._address} does not answer within {LIST_TIMEOUT:g} s"
            self._on_no_list(listing, str(error) or message)
            return
        self._retries.reset()
        self._finish_unlisted(listing, {entry["Id"]: entry["State"] for entry in listed})
        by_name = {entry["Names"][0].removeprefix("/"): entry for entry in listed if entry["Names"]}
        awaited = [job for job in listing.jobs if job.key in jobs and job.key not in self._tracked]
        work = [work for job in awaited if (work := self._adopt(job, by_name.get(containers.name(job))))]
        self._sweep(listed, jobs)
        if self._is_first:
            wait(work, LIST_TIMEOUT)

    def _on_no_list(self, listing: _Listing, message: str) -> None:
        if self._down is None:
            self._on_unreachable(message)
        for job in listing.jobs:
            if job.key not in self._tracked:
                self._report_unknown(job.key, message)

    def _finish_unlisted(self, listing: _Listing, states: Mapping[str, str]) -> None:
        """Finish containers that ended without an event: the engine drops events for slow listeners."""
        for tracked in self._tracked.values():
            if (
                tracked.container in listing.containers
                and tracked.work is None
                and states.get(tracked.container) not in ALIVE
            ):
                self._finish(tracked)

    def _adopt(self, job: Job, entry: Mapping[str, Any] | None) -> Future[Any] | None:
        """Track an attempt by its container; return the work that finishes it if it has ended."""
        if entry is None:
            self._reports.append(lifecycle.without_container(job))
            return None
        timeout = entry["Labels"].get(LABEL + "timeout")
        if entry["State"] == "created":
            self._reports.append(
                self._orphans.adopt(job) or lifecycle.never_started(job, is_bare=timeout is not None)
            )
            if job.key in self._orphans and (stop := self._stops.pop(job.key, None)):
                self._orphans.take_over(job, stop.escalation)
            return None
        tracked = self._track(job)
        tracked.is_bare, tracked.container = timeout is not None, entry["Id"]
        if entry["State"] not in ALIVE:
            self._finish(tracked)
            return tracked.work
        since = lifecycle.claimed(job)
        is_begun = tracked.is_bare or since is not None
        if not is_begun:  # it waits for its input, which a process that was killed never sent
            self._unclaimed.add(job.key)
        self._reports.append(
            AttemptStatus(
                key=job.key,
                state="running" if is_begun else "queued",
                job_id=entry["Id"][:12],
                since=since,
                evidence="its container runs",
            )
        )
        if entry["State"] == "paused":
            self._reports.append(_paused(job, is_paused=True))
        self._watch(tracked, entry["Id"], since=since or time.time(), timeout=float(timeout or 0))
        return None

    def _report_claimed(self) -> None:
        """Report the attempts that have begun since their containers were adopted."""
        for key in list(self._unclaimed):
            tracked = self._tracked.get(key)
            since = lifecycle.claimed(tracked.job) if tracked else None
            if tracked is None or since is not None:
                self._unclaimed.discard(key)
            if tracked is not None and tracked.container is not None and since is not None:
                short = tracked.container[:12]
                self._reports.append(AttemptStatus(key=key, state="running", job_id=short, since=since))

    def _poll_orphans(self, jobs: Mapping[Key, Job]) -> None:
        for status in self._orphans.poll():
            self._reports.append(status)
            if self._engine and status.key in jobs:
                self._enders.submit(self._engine.remove, containers.name(jobs[status.key]))

    def _sweep(self, listed: Sequence[Mapping[str, Any]], jobs: Mapping[Key, Job]) -> None:
        """Remove stopped containers of finished attempts; a running one was abandoned and is not touched."""
        for entry in listed:
            labels = entry["Labels"]
            key = labels[LABEL + "task"], int(labels[LABEL + "attempt"])
            is_ours = labels[LABEL + "executor"] == self.name
            if (
                is_ours
                and key not in jobs
                and entry["State"] in {"created", "exited", "dead"}
                and self._engine
            ):
                self._enders.submit(self._engine.remove, entry["Id"])

    # -- events -------------------------------------------------------------------------------------

    def _read(self) -> None:
        for ready, _ in self._selector.select(0):
            if ready.fileobj is self._events:
                self._read_events(self._events)
            elif isinstance(ready.data, _Tracked):
                self._follow(ready.data)
            elif isinstance(ready.data, StatsRequest):
                self._stats.read(ready.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup_read, 4096)
        self._collect()

    def _read_events(self, events: Stream) -> None:
        self._partial_event += events.read()
        *lines, self._partial_event = self._partial_event.split(b"\n")
        for line in lines:
            self._on_event(json.loads(line))
        if events.has_ended:
            self._on_unreachable(f"the Docker engine at {self._address} closed the connection")

    def _on_event(self, event: Mapping[str, Any]) -> None:
        key = self._names.get(event["Actor"]["Attributes"].get("name", ""))
        tracked, container = self._tracked.get(key) if key else None, event["Actor"]["ID"]
        if tracked is None or (tracked.container and tracked.container != container):
            return
        if event["Action"] == "oom":
            tracked.out_of_memory.add(container)
        elif event["Action"] in ("pause", "unpause"):
            if tracked.work is None:
                self._reports.append(_paused(tracked.job, is_paused=event["Action"] == "pause"))
        else:
            tracked.exit_codes[container] = int(event["Actor"]["Attributes"].get("exitCode", 0))
            if tracked.container and tracked.work is None:
                self._finish(tracked)

    # -- termination --------------------------------------------------------------------------------

    def _can_signal(self, key: Key) -> bool:
        tracked = self._tracked.get(key)
        return tracked is not None and tracked.container is not None and tracked.work is None

    def _advance(self) -> None:
        now = time.monotonic()
        for tracked in self._tracked.values():
            if tracked.deadline is not None and tracked.deadline <= now:
                tracked.deadline, tracked.is_late = None, True
                with contextlib.suppress(OSError):  # on a full disk only this process knows it
                    attempts.touch(tracked.job.files.timed_out)
                name = attempt_end.short_signal(tracked.job.stop_signal)
                stop = _Stop(Escalation(name, tracked.job.stop_grace))
                self._stops.setdefault(tracked.job.key, stop)
        for key, stop in list(self._stops.items()):
            if stop.due <= now:
                self._stop(key, stop, now)

    def _stop(self, key: Key, stop: _Stop, now: float) -> None:
        tracked = self._tracked.get(key)
        if tracked is None:
            return  # it is not adopted yet, or has finished
        if tracked.container is None and tracked.gate.acquire(blocking=False):
            self._report_end(
                AttemptStatus(key=key, state="over", ending=failed_launch(lifecycle.CANCELLED_BEFORE_START))
            )
        elif tracked.container is not None and tracked.work is None and self._engine is not None:
            name = stop.escalation.next_signal()
            self._enders.submit(self._engine.signal, tracked.container, name, to_all=not tracked.is_bare)
            stop.due = now + KILL_AGAIN if name == KILL else stop.escalation.deadline


def _not_started(key: Key, error: OSError) -> AttemptStatus:
    """The status of an attempt whose container this machine could not prepare, and which was removed."""
    if is_shortage(error):
        return AttemptStatus(key=key, state="absent", message=_describe(error), is_shortage=True)
    return AttemptStatus(key=key, state="over", ending=failed_launch(_describe(error)))


def _paused(job: Job, *, is_paused: bool) -> AttemptStatus:
    """The status of an attempt that somebody paused, so that nothing of it runs, or let continue."""
    if not is_paused:
        return AttemptStatus(
            key=job.key, state="running", since=lifecycle.claimed(job), evidence="its container runs"
        )
    message = f"its container is paused; continue it with: docker unpause {containers.name(job)}"
    return AttemptStatus(key=job.key, state="unknown", message=message, evidence="docker")


def _describe(error: OSError) -> str:
    """The message for an error of this machine."""
    path = f": {error.filename}" if error.filename else ""
    return f"it could not be started: {error.strerror or error}{path}"


def _recorded_host(job: Job) -> str | None:
    """The engine that an attempt was submitted to; it may differ from the one configured now."""
    if job.plan is not None:
        return str(job.plan.details["host"])
    try:
        recorded = json.loads(job.files.read(job.files.plan))["details"].get("host")
    except (OSError, ValueError, KeyError):
        return None
    return str(recorded) if recorded else None
