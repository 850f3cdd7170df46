"""Tasks as containers of a Docker engine of this machine, under the same shim as everywhere.

The container's name is the attempt's key, so that starting twice finds what is there. Ends come from
the engine's event stream. How an attempt ended is written into its own folder before its container is
removed, so this module remembers nothing that the engine and the attempts do not tell.
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

from nemorun_cli.executors import ELSEWHERE, AttemptStatus, Diagnosis, Job, Key
from nemorun_cli.executors.docker import container as containers
from nemorun_cli.executors.docker import lifecycle
from nemorun_cli.executors.docker.check import diagnose
from nemorun_cli.executors.docker.client import ContainerLog, DownError, Engine, RefusedError, Stream, host
from nemorun_cli.executors.docker.lifecycle import Begun, Images
from nemorun_cli.executors.docker.orphans import Orphans
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import failed_launch
from nemorun_cli.system import hardware
from nemorun_cli.system.threads import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

WORKERS: Final = 4  # threads that start containers, and as many that end them, however many there are
FIRST_LOOK: Final = 10.0  # seconds that an answer may take when attempts are taken up
OVERLAP: Final = 2.0  # seconds of past events that are asked for, so that none falls between
FIRST_PAUSE: Final = 0.5  # seconds until an engine that does not answer is asked again
LONGEST_PAUSE: Final = 10.0  # the same, after it was asked often
KILL_AGAIN: Final = 5.0  # seconds between KILLs for what does not go
START_PATIENCE: Final = 2.0  # seconds that leaving waits for containers being started
END_PATIENCE: Final = 10.0  # the same, for ends being written down
ALIVE: Final = frozenset({"running", "paused"})  # Docker's words for what has not ended
LOOK_ANYWAY: Final = 60.0  # seconds between looks for an end whose event got lost


@dataclass(slots=True)
class _Held:
    """An attempt in hand: being started, running, or being ended."""

    job: Job
    container: str | None = None
    is_bare: bool = False  # it runs without the shim, and the container is its only record
    work: Future[Any] | None = None  # its start or its end, under way
    gate: threading.Lock = field(default_factory=threading.Lock)  # see `begin`
    is_doubtful: bool = False  # the engine was lost meanwhile, and with it maybe news of this
    has_died: bool = False
    saw_oom: bool = False
    deadline: float | None = None  # monotonic time at which one without the shim has run long enough
    log: ContainerLog | None = None


@dataclass(slots=True)
class _Stop:
    """The ending of one attempt: the signal, a grace period, then KILL until it is gone."""

    signal: str
    grace: float
    due: float = 0.0  # monotonic time of the next step
    has_told: bool = False


class DockerExecutor:
    """Runs tasks in containers; options are in Compose's words."""

    counts_toward_max_parallel: ClassVar[bool] = True
    options_schema: ClassVar[Mapping[str, Any]] = containers.OPTIONS_SCHEMA

    @staticmethod
    def has_remote_paths(options: Mapping[str, Any]) -> bool:
        """Those of the image."""
        del options
        return True

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options = options
        self._secrets = secrets
        self._images = Images(options.get("pull", "missing"))
        self._engine: Engine | None = None
        self._labels: Mapping[str, str] = {}
        self._events: Stream | None = None
        self._text = b""  # the beginning of an event whose rest has not come yet
        self._down: str | None = None
        self._next_try = 0.0
        self._pause = FIRST_PAUSE
        self._next_look = time.monotonic() + LOOK_ANYWAY
        self._held: dict[Key, _Held] = {}
        self._names: dict[str, Key] = {}
        self._stops: dict[Key, _Stop] = {}
        self._forgotten = Orphans()
        self._news: list[AttemptStatus] = []
        self._done: deque[tuple[Key, Future[Any]]] = deque()
        self._starters = Workers(WORKERS, "docker-start")
        self._enders = Workers(WORKERS, "docker-end")
        self._selector = selectors.DefaultSelector()
        self._bell, self._ring = os.pipe()
        os.set_blocking(self._bell, False)
        self._selector.register(self._bell, selectors.EVENT_READ)

    def plan(self, plan: Plan) -> Plan:
        """The plan with what the engine will be told."""
        return replace(plan, details=containers.details(plan, self._options, host=self._address))

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Begin to start attempts; `poll` tells when they run."""
        for job in jobs:
            plan = job.plan
            assert plan is not None  # noqa: S101 - the core submits nothing without a plan
            engine = self._connect(job)
            held = self._hold(job)
            held.is_bare = not containers.needs_shell(plan)
            if job.allocation:  # no container can inherit it
                job.allocation.keep_until(job.files.exit)
            work = self._starters.submit(
                lifecycle.begin,
                engine,
                job,
                plan,
                images=self._images,
                secrets=self._secrets,
                gate=held.gate,
            )
            self._await(held, work)
            yield AttemptStatus(key=job.key, state="queued")

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """What the engine told since, and how those stand that are not in hand yet."""
        self._read()
        in_hand = {*self._held, *self._forgotten, *(sighting.key for sighting in self._news)}
        unseen = [job for key, job in jobs.items() if key not in in_hand]
        if self._down is None or time.monotonic() >= self._next_try:
            self._down = None
            self._take_up(unseen, jobs)
        if self._held and time.monotonic() >= self._next_look:
            self._look_anyway()
        self._advance()
        self._collect()
        self._see_forgotten(jobs)
        news, self._news = self._news, []
        return news

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> None:
        """Signal every process of each container, and KILL it after the grace period."""
        for job in jobs:
            name = attempt_end.short_signal(signal or job.stop_signal)
            patience = job.stop_grace if grace is None else grace
            if job.key in self._forgotten:
                self._forgotten.cancel(job, name, patience)
            else:
                self._stops[job.key] = _Stop(name, patience)

    def wakeup(self) -> int | None:
        """The descriptor behind which the events, the logs and the finished work are."""
        return self._selector.fileno()

    def due(self) -> float | None:
        """When something is to be killed, or an engine that was down to be asked again."""
        times = [stop.due for key, stop in self._stops.items() if self._can_be_told(key)]
        times += [held.deadline for held in self._held.values() if held.deadline is not None]
        if self._down is not None:
            times.append(self._next_try)
        elif self._held:
            times.append(self._next_look)
        if (look := self._forgotten.due()) is not None:
            times.append(look)
        return min(times, default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Whether the engine answers, has the image or can get it, and has GPUs if they are asked for."""
        return diagnose(Engine(self._address), self._options)

    def machine(self, *, with_gpus: bool) -> Machine:
        """What this machine has, where the engine is, too."""
        return hardware.find({}, with_gpus=with_gpus)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """What the options say otherwise, or more than this machine has."""
        if told := containers.clash(self._options, wanted):
            return told
        return self.machine(with_gpus=bool(wanted.gpus)).why_unsatisfiable(wanted) if ask else None

    def close(self) -> None:
        """Finish what is being written down and let go of the engine; what runs goes on."""
        for held in self._held.values():
            held.gate.acquire(blocking=False)  # what has not begun does not begin any more
        self._starters.close(patience=START_PATIENCE)
        self._enders.close(patience=END_PATIENCE)
        for held in self._held.values():
            self._unfollow(held)
        self._disconnect()
        if self._engine is not None:
            self._engine.close()
        self._selector.close()
        os.close(self._bell)
        os.close(self._ring)

    # -- the engine ---------------------------------------------------------------------------------

    @property
    def _address(self) -> str:
        return self._engine.address if self._engine else host()

    def _connect(self, job: Job) -> Engine:
        """The engine, chosen by the first attempt, and listened to if it answers."""
        if self._engine is None:
            self._engine = Engine(_recorded_host(job) or host())
            self._labels = containers.shared_labels(job)
        if self._events is None and time.monotonic() >= self._next_try:
            try:
                self._events = self._engine.events(self._labels, since=time.time() - OVERLAP)
            except DownError as error:
                self._lose(error.message)
            else:
                self._text = b""
                self._selector.register(self._events, selectors.EVENT_READ)
        return self._engine

    def _disconnect(self) -> None:
        if self._events is not None:
            self._selector.unregister(self._events)
            self._events.close()
            self._events = None

    def _lose(self, message: str) -> None:
        """The engine is gone for now: what was known of running containers is not known any more."""
        self._disconnect()
        self._down = message
        self._next_try = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        for key, held in list(self._held.items()):
            held.is_doubtful = True
            if held.work is None:
                self._doubt(key, message)

    def _doubt(self, key: Key, message: str) -> None:
        self._drop(key)
        self._news.append(AttemptStatus(key=key, state="unknown", message=message, evidence="docker"))
        if stop := self._stops.get(key):
            stop.has_told = False  # whether the signal arrived is as unknown as the rest

    # -- work in threads ----------------------------------------------------------------------------

    def _await(self, held: _Held, work: Future[Any]) -> None:
        """Be woken when the work on an attempt is done; `_collect` sees its outcome."""
        held.work = work
        work.add_done_callback(lambda work: self._finish(held.job.key, work))

    def _finish(self, key: Key, work: Future[Any]) -> None:
        """Called in the thread that did the work."""
        self._done.append((key, work))
        with contextlib.suppress(OSError):  # closed meanwhile: nobody waits any more
            os.write(self._ring, b"!")

    def _collect(self) -> None:
        while self._done:
            key, work = self._done.popleft()
            held = self._held.get(key)
            if held is None or held.work is not work:
                continue
            held.work = None
            try:
                outcome = work.result()
            except RefusedError as refusal:
                self._over(AttemptStatus(key=key, state="over", ending=failed_launch(str(refusal))))
            except DownError as error:
                self._doubt(key, error.message)
                self._lose(error.message)
            except OSError as error:  # of this machine, such as a full disk
                if held.container is not None:
                    raise
                self._enders.submit(self._remove, containers.name(held.job))
                self._over(AttemptStatus(key=key, state="over", ending=failed_launch(_trouble(error))))
            else:
                self._take(held, outcome)

    def _take(self, held: _Held, outcome: Begun | AttemptStatus) -> None:
        key = held.job.key
        if isinstance(outcome, AttemptStatus):
            self._over(outcome)
            return
        if held.is_doubtful:
            self._doubt(key, "the Docker engine went away while it was started")
            return
        short, since = outcome.container[:12], outcome.since
        self._news.append(AttemptStatus(key=key, state="running", job_id=short, since=since))
        timeout = held.job.plan.timeout if held.job.plan and held.is_bare else None
        self._watch(held, outcome.container, since=since, timeout=timeout)
        if held.has_died or outcome.is_over:
            self._end(held)

    def _over(self, sighting: AttemptStatus) -> None:
        self._drop(sighting.key)
        self._stops.pop(sighting.key, None)
        self._news.append(sighting)

    # -- attempts in hand ---------------------------------------------------------------------------

    def _hold(self, job: Job) -> _Held:
        held = self._held[job.key] = _Held(job)
        self._names[containers.name(job)] = job.key
        return held

    def _drop(self, key: Key) -> None:
        if held := self._held.pop(key, None):
            self._names.pop(containers.name(held.job), None)
            self._unfollow(held)

    def _watch(self, held: _Held, container: str, *, since: float, timeout: float | None) -> None:
        held.container = container
        if timeout:
            held.deadline = time.monotonic() + since + timeout - time.time()
        if held.is_bare and self._engine is not None and held.log is None:
            with contextlib.suppress(DownError, OSError):  # at its end the log is completed in any case
                held.log = ContainerLog(self._engine, container, held.job.files.log)
                self._selector.register(held.log, selectors.EVENT_READ, held)

    def _follow(self, held: _Held) -> None:
        if held.log is not None:
            held.log.take()
            if held.log.is_over:
                self._unfollow(held)

    def _unfollow(self, held: _Held) -> None:
        if held.log is not None:
            self._selector.unregister(held.log)
            held.log.close()
            held.log = None

    def _end(self, held: _Held) -> None:
        """Write down how a container ended, and remove it."""
        if self._engine is None or held.container is None:
            return
        self._follow(held)
        self._unfollow(held)
        held.deadline = None
        work = self._enders.submit(
            lifecycle.end,
            self._engine,
            held.job,
            held.container,
            saw_oom=lambda: held.saw_oom,
            is_stopped=held.job.key in self._stops,
        )
        self._await(held, work)

    def _remove(self, container: str) -> None:
        """Remove what does not run, if it is there."""
        with contextlib.suppress(RefusedError, DownError):
            if self._engine is not None:
                self._engine.remove(container)

    def _take_up(self, unseen: Sequence[Job], jobs: Mapping[Key, Job]) -> None:
        """How attempts stand that were submitted by somebody else, or before the engine was lost."""
        here = [job for job in unseen if job.holder is None or job.holder.is_this_host]
        for job in unseen:
            if job not in here:
                message = f"it runs on {job.holder.host}" if job.holder else None
                self._news.append(
                    AttemptStatus(key=job.key, state="unknown", message=message, evidence=ELSEWHERE)
                )
        if not here:
            return
        self._connect(here[0])
        try:
            found = self._list()
        except DownError as error:
            if self._down is None:
                self._lose(error.message)
            for job in here:
                self._doubt(job.key, error.message)
            return
        self._pause = FIRST_PAUSE
        by_name = {one["Names"][0].removeprefix("/"): one for one in found if one["Names"]}
        ending = [work for job in here if (work := self._adopt(job, by_name.get(containers.name(job))))]
        self._sweep(found, jobs)
        wait(ending, FIRST_LOOK)

    def _list(self) -> list[dict[str, Any]]:
        """All containers of the experiment. Raises DownError if the engine does not tell in time."""
        if self._down is not None or self._engine is None:
            raise DownError(self._down or "there is no Docker engine")
        try:
            return self._enders.submit(self._engine.list, self._labels).result(FIRST_LOOK)
        except TimeoutError:
            message = f"the Docker engine at {self._address} does not answer within {FIRST_LOOK:g} s"
            raise DownError(message) from None

    def _look_anyway(self) -> None:
        """End what has ended without an event: the engine drops some for listeners that were too slow."""
        self._next_look = time.monotonic() + LOOK_ANYWAY
        if self._down is not None:
            return
        try:
            states = {one["Id"]: one["State"] for one in self._list()}
        except DownError as error:
            self._lose(error.message)
            return
        for held in self._held.values():
            if held.container and held.work is None and states.get(held.container) not in ALIVE:
                self._end(held)

    def _adopt(self, job: Job, found: Mapping[str, Any] | None) -> Future[Any] | None:
        """Take an attempt in hand as it stands; gives the work on it if it has ended."""
        if found is None:
            self._news.append(lifecycle.vanished(job))
            return None
        timeout = found["Labels"].get(containers.LABEL + "timeout")
        if found["State"] == "created":
            self._news.append(
                self._forgotten.take(job) or lifecycle.unstarted(job, is_bare=timeout is not None)
            )
            if job.key in self._forgotten and (stop := self._stops.pop(job.key, None)):
                self._forgotten.cancel(job, stop.signal, stop.grace)
            return None
        held = self._hold(job)
        held.is_bare, held.container = timeout is not None, found["Id"]
        if found["State"] not in ALIVE:
            self._end(held)
            return held.work
        since = lifecycle.claimed(job)
        self._news.append(
            AttemptStatus(
                key=job.key,
                state="running",
                job_id=found["Id"][:12],
                since=since,
                evidence="its container runs",
            )
        )
        self._watch(held, found["Id"], since=since or time.time(), timeout=float(timeout or 0))
        return None

    def _see_forgotten(self, jobs: Mapping[Key, Job]) -> None:
        for sighting in self._forgotten.poll():
            self._news.append(sighting)
            if self._engine and sighting.key in jobs:
                self._enders.submit(self._engine.remove, containers.name(jobs[sighting.key]))

    def _sweep(self, found: Sequence[Mapping[str, Any]], jobs: Mapping[Key, Job]) -> None:
        """Remove what is left of attempts that are over; what still runs was given up, and is left alone."""
        for one in found:
            labels = one["Labels"]
            key = labels[containers.LABEL + "task"], int(labels[containers.LABEL + "attempt"])
            is_ours = labels[containers.LABEL + "executor"] == self.name
            if is_ours and key not in jobs and one["State"] in {"created", "exited", "dead"} and self._engine:
                self._enders.submit(self._engine.remove, one["Id"])

    # -- news ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        for ready, _ in self._selector.select(0):
            if ready.fileobj is self._events:
                self._read_events(self._events)
            elif isinstance(ready.data, _Held):
                self._follow(ready.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._bell, 4096)
        self._collect()

    def _read_events(self, events: Stream) -> None:
        self._text += events.read()
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            self._hear(json.loads(line))
        if events.is_over:
            self._lose(f"the Docker engine at {self._address} went away")

    def _hear(self, event: Mapping[str, Any]) -> None:
        key = self._names.get(event["Actor"]["Attributes"].get("name", ""))
        held = self._held.get(key) if key else None
        if held is None or (held.container and held.container != event["Actor"]["ID"]):
            return
        if event["Action"] == "oom":
            held.saw_oom = True
        elif held.container and held.work is None:
            self._end(held)
        else:
            held.has_died = True

    # -- ending -------------------------------------------------------------------------------------

    def _can_be_told(self, key: Key) -> bool:
        held = self._held.get(key)
        return held is not None and held.container is not None and held.work is None

    def _advance(self) -> None:
        now = time.monotonic()
        for held in self._held.values():
            if held.deadline is not None and held.deadline <= now:
                held.deadline = None
                held.job.files.timed_out.touch()
                name = attempt_end.short_signal(held.job.stop_signal)
                self._stops.setdefault(held.job.key, _Stop(name, held.job.stop_grace))
        for key, stop in list(self._stops.items()):
            if stop.due <= now:
                self._stop(key, stop, now)

    def _stop(self, key: Key, stop: _Stop, now: float) -> None:
        held = self._held.get(key)
        if held is None:
            return  # it is taken up first, or is over
        if held.container is None and held.gate.acquire(blocking=False):
            self._over(
                AttemptStatus(key=key, state="over", ending=failed_launch("it was ended before it began"))
            )
        elif held.container is not None and held.work is None and self._engine is not None:
            is_last = stop.has_told or stop.grace <= 0
            name = "KILL" if is_last else stop.signal
            self._enders.submit(self._engine.signal, held.container, name, to_all=not held.is_bare)
            stop.has_told = True
            stop.due = now + (KILL_AGAIN if is_last else stop.grace)


def _trouble(error: OSError) -> str:
    """What this machine refused, for people."""
    where = f": {error.filename}" if error.filename else ""
    return f"it could not be started: {error.strerror or error}{where}"


def _recorded_host(job: Job) -> str | None:
    """The engine that an attempt was submitted to, which may not be the one that is chosen now."""
    if job.plan is not None:
        return str(job.plan.details["host"])
    try:
        found = json.loads(job.files.plan.read_bytes())["details"].get("host")
    except (OSError, ValueError, KeyError):
        return None
    return str(found) if found else None
