"""Tasks as processes of this machine, each under the shim in a session of its own.

A task is alive while its lock, which it inherited, is held or a process carries its mark. Its end is
in `exit.json`; a supervisor that is its parent knows it from `wait` too.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.executors import ELSEWHERE, AttemptStatus, Diagnosis, Job, Key, process_tree
from nemorun_cli.executors.shim_call import shim_line
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import AttemptEnd, failed_launch, lost
from nemorun_cli.model.usage import Usage
from nemorun_cli.storage import attempts
from nemorun_cli.system import crashpoints, environment, hardware, locks, pids
from nemorun_cli.system.files import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

SHELL: Final = "/bin/sh"
LOCK_DESCRIPTOR: Final = 9  # where the shim expects the lock
SLOTS_DESCRIPTOR: Final = 8  # where it expects that of the task's slots, if it has any
LOOK_AGAIN: Final = 1.0  # seconds between looks at what no descriptor can tell of
RESTORED: Final = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}


@dataclass(slots=True)
class _Child:
    """A shim that this process started, or found alive."""

    job: Job
    pid: int
    watch: int | None  # a pidfd, where the system has them
    is_own: bool
    wait_status: int | None = None
    usage: Usage | None = None

    def wait(self, options: int = 0) -> bool:
        """Collect the end of what this process started; says whether it did so now."""
        try:
            pid, status, measured = os.wait4(self.pid, options)
        except ChildProcessError:
            return False
        if pid:
            self.wait_status, self.usage = status, Usage.of_child(measured)
        return bool(pid)


class LocalExecutor:
    """Runs tasks here, as many at once as `max_parallel` and the resources that they ask for allow."""

    _shims: ClassVar[set[int]] = set()  # started by this process, for whichever of a spec's executors

    counts_toward_max_parallel: ClassVar[bool] = True
    own_session: ClassVar[bool] = True  # away from the terminal, whose signals are not for the task
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(hardware.OPTIONS),
    }

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options = options
        self._secrets = secrets
        self._events = select.epoll() if hasattr(select, "epoll") else None
        self._children: dict[Key, _Child] = {}
        self._by_watch: dict[int, Key] = {}
        self._stops: dict[Key, process_tree.TreeStop] = {}
        self._next_look = 0.0
        self._scan: dict[int, process_tree.ScannedProcess] | None = None
        self._blind: set[Key] = set()  # alive, and only a look can tell when they end

    def plan(self, plan: Plan) -> Plan:
        """The plan as it is: the shim needs nothing more."""
        return plan

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Start each attempt under its shim; one that lives already is only found again."""
        return [self._submit(job) for job in jobs]

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """Endings of what was started here, and a look at what was not."""
        self._scan = None
        ready = self._ready()
        now = time.monotonic()
        look = now >= self._next_look
        if look:
            self._next_look = now + LOOK_AGAIN
            self._reap_strays()
        unseen = {key for key in jobs if key not in self._children and key not in self._blind}
        wanted = [jobs[key] for key in {*ready, *unseen, *(self._blind if look else ())} if key in jobs]
        sightings = [sighting for job in wanted if (sighting := self._sight(job))]
        return [*sightings, *self._advance(jobs)]

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> None:
        """Signal the whole tree of each task, and KILL it after the grace period."""
        for job in jobs:
            number = attempt_end.signal_number(signal or job.stop_signal)
            patience = job.stop_grace if grace is None else grace
            if stop := self._stops.get(job.key):
                stop.hurry(number, patience)
            else:
                self._stops[job.key] = _stop(job, number, patience)

    def wakeup(self) -> int | None:
        """The descriptor behind which all the pidfds are."""
        return self._events.fileno() if self._events else None

    def due(self) -> float | None:
        """When the next look at stubborn or adopted processes is worth it."""
        times = [stop.due for stop in self._stops.values()]
        if self._blind or (self._children and self._events is None):
            times.append(self._next_look)
        return min(times, default=None)

    def check(self) -> Iterable[Diagnosis]:
        """This machine can run tasks if it has a shell."""
        well = os.access(SHELL, os.X_OK)
        yield Diagnosis(
            engine="local",
            is_ok=well,
            message=f"{SHELL} is there, {os.cpu_count()} CPUs" if well else f"{SHELL} cannot be executed",
            remedy=None if well else "install a POSIX shell as /bin/sh",
        )

    def machine(self, *, with_gpus: bool) -> Machine:
        """What there is, or what the options say that tasks may use of it."""
        return hardware.find(self._options, with_gpus=with_gpus)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why this machine can never have so much free."""
        return self.machine(with_gpus=bool(wanted.gpus)).why_unsatisfiable(wanted) if ask else None

    def close(self) -> None:
        """Stop watching; the tasks live in sessions of their own and go on."""
        for child in self._children.values():
            if child.watch is not None:
                os.close(child.watch)
        self._children.clear()
        if self._events:
            self._events.close()

    def _submit(self, job: Job) -> AttemptStatus:
        plan = job.plan
        assert plan is not None  # noqa: S101 - the core submits nothing without a plan
        is_new = attempts.make_folders(job.files)
        lock = locks.take(job.files.lock)
        if lock is None:
            return self._sight(job) or AttemptStatus(
                key=job.key, state="running", evidence="its lock is held"
            )
        try:
            crashpoints.point("attempt.locked")
            if is_new or attempts.claimed_pid(job.files) is None:
                attempts.write_plan(job.files, plan)
                env = environment.inherited(plan.env_inherit) | plan.env
                env |= {name: self._secrets[name] for name in plan.secrets}
                if plan.resources.gpus is not None:
                    env |= hardware.environment(job.allocation.gpus if job.allocation else (), env)
                return self._start(job, plan, env, lock)
        finally:
            os.close(lock)
        return self._sight(job) or AttemptStatus(key=job.key, state="running")

    def _start(self, job: Job, plan: Plan, env: dict[str, str], lock: int) -> AttemptStatus:
        since = time.time()
        try:
            pid = self._spawn(job, plan, env, lock)
        except (OSError, ValueError) as error:
            return AttemptStatus(key=job.key, state="over", ending=failed_launch(_explain(error, plan)))
        crashpoints.point("attempt.spawned")
        self._watch(job, pid, is_own=True)
        return AttemptStatus(key=job.key, state="running", job_id=str(pid), since=since)

    def _spawn(self, job: Job, plan: Plan, env: dict[str, str], lock: int) -> int:
        log = os.open(job.files.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            return os.posix_spawn(
                SHELL,
                shim_line(job.files.directory, plan, _program(plan, env)),
                env,
                file_actions=[
                    *self._streams(log),
                    (os.POSIX_SPAWN_DUP2, lock, LOCK_DESCRIPTOR),
                    *_slots(job),
                ],
                setsid=self.own_session,
                setsigmask=(),
                setsigdef=RESTORED,
            )
        finally:
            os.close(log)

    def _streams(self, log: int) -> Sequence[tuple[Any, ...]]:
        return [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ]

    def _watch(self, job: Job, pid: int, *, is_own: bool) -> None:
        watch = None
        if self._events and hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                watch = os.pidfd_open(pid)
                self._events.register(watch, select.EPOLLIN)
                self._by_watch[watch] = job.key
        self._children[job.key] = _Child(job, pid, watch, is_own)
        self._blind.discard(job.key)
        if is_own:
            self._shims.add(pid)
        if watch is None:
            self._blind.add(job.key)

    def _forget(self, key: Key) -> None:
        self._blind.discard(key)
        if child := self._children.pop(key, None):
            self._shims.discard(child.pid)
            if child.watch is not None:
                self._by_watch.pop(child.watch, None)
                os.close(child.watch)

    def _ready(self) -> set[Key]:
        """Whose shim has ended; collects the children of this process that have."""
        ready = set()
        if self._events:
            for watch, _ in self._events.poll(0):
                if key := self._by_watch.get(watch):
                    ready.add(key)
                    self._events.unregister(watch)
        own = [key for key in (ready | self._blind) if (child := self._children.get(key)) and child.is_own]
        for key in own:
            if self._children[key].wait(os.WNOHANG):
                ready.add(key)
        return ready

    def _sight(self, job: Job) -> AttemptStatus | None:
        """How one attempt stands, by its record, its lock and its mark, in this order of trust."""
        if job.key in self._stops:
            return None
        if job.holder and not job.holder.is_this_host:
            self._blind.add(job.key)
            return AttemptStatus(
                key=job.key, state="unknown", message=f"it runs on {job.holder.host}", evidence=ELSEWHERE
            )
        child = self._children.get(job.key)
        is_held = locks.is_held(job.files.lock)
        ending = attempts.read_ending(job.files)
        if ending and not is_held and not self._has_strays(job, child):
            return self._over(job, child, ending)
        if ending:  # the task is over, and something it started is not
            # Its grace counts from that end, for whoever looks after it now may look only once.
            left = job.stop_grace - max(0.0, time.time() - (ending.ended or 0.0))
            self._stops[job.key] = _stop(job, attempt_end.signal_number(job.stop_signal), max(0.0, left))
            return None
        return self._sight_unended(job, child, is_held=is_held)

    def _sight_unended(self, job: Job, child: _Child | None, *, is_held: bool) -> AttemptStatus | None:
        pid = attempts.claimed_pid(job.files)
        if is_held or self._is_marked(job):
            return self._sight_alive(job, child, pid)
        if ending := attempts.read_ending(job.files):  # it came between the two looks
            return self._over(job, child, ending)
        if child and child.wait_status is not None and pid in (child.pid, None):
            return self._over(job, child, _from_wait(child.wait_status, pid))
        self._forget(job.key)
        if pid is None:
            return AttemptStatus(key=job.key, state="absent")
        return AttemptStatus(
            key=job.key,
            state="over",
            job_id=str(pid) if pid else None,
            ending=lost("it vanished: no process, no lock and no exit record are left of it"),
        )

    def _sight_alive(self, job: Job, child: _Child | None, pid: int | None) -> AttemptStatus | None:
        if child and child.wait_status is None and child.watch is not None and pids.exists(child.pid):
            return None
        self._forget(job.key)
        if pid and process_tree.mark_of(pid) == _mark(job):
            self._watch(job, pid, is_own=False)
            with contextlib.suppress(OSError):  # on a full disk its CPU time stays unknown
                job.files.usage.touch(FILE_MODE)  # whoever did not start it cannot measure it: its shim does
        else:
            self._blind.add(job.key)
        if pid is None:  # whoever prepares it may die before it starts
            return AttemptStatus(key=job.key, state="queued")
        return AttemptStatus(
            key=job.key, state="running", job_id=str(pid) if pid else None, evidence="its lock is held"
        )

    def _has_strays(self, job: Job, child: _Child | None) -> bool:
        """Whether something that carries the attempt's mark is left, though nothing holds its lock."""
        if child is None or not child.is_own:
            return self._is_marked(job)
        wanted = _mark(job)
        return any(process_tree.mark_of(pid) == wanted for pid in _own_children() - self._shims)

    def _is_marked(self, job: Job) -> bool:
        """Whether some process carries the attempt's mark; one scan serves a whole poll."""
        if self._scan is None:
            self._scan = process_tree.scan()
        wanted = _mark(job)
        return any(one.mark == wanted for one in self._scan.values())

    def _advance(self, jobs: Mapping[Key, Job]) -> list[AttemptStatus]:
        """Go on with what is being ended; gives those that are gone."""
        now = time.monotonic()
        if not any(stop.due <= now for stop in self._stops.values()):
            return []
        self._reap_strays()
        seen = process_tree.scan()
        gone = []
        for key, stop in list(self._stops.items()):
            if stop.due > now:
                continue
            stop.advance(seen)
            if stop.is_done:
                del self._stops[key]
                if key in jobs:
                    gone.append(self._gone(jobs[key], stop))
        return gone

    def _gone(self, job: Job, stop: process_tree.TreeStop) -> AttemptStatus:
        child = self._children.get(job.key)
        if child and child.is_own and child.wait_status is None:
            child.wait()
        ending = attempts.read_ending(job.files)
        if ending is None and child and child.wait_status is not None:
            ending = _from_wait(child.wait_status, child.pid)
        if ending is None:
            how = "KILL" if stop.has_killed else attempt_end.short_signal(str(stop.signal))
            ending = lost(f"it was ended by {how}; its exit code is not known")
        return self._over(job, child, ending)

    def _over(self, job: Job, child: _Child | None, ending: AttemptEnd) -> AttemptStatus:
        """The end of an attempt, with what it used if this process waited for it."""
        if child is not None and child.usage is not None:
            ending = replace(ending, usage=child.usage)
        self._forget(job.key)
        return AttemptStatus(key=job.key, state="over", job_id=_job_id(job, child), ending=ending)

    def _reap_strays(self) -> None:
        """Collect orphans that this process, as a subreaper, inherited from tasks."""
        for pid in _own_children() - self._shims:
            with contextlib.suppress(ChildProcessError, ProcessLookupError):
                if os.getsid(pid) != os.getsid(0):  # what other executors started is theirs to wait for
                    os.waitpid(pid, os.WNOHANG)


def _slots(job: Job) -> list[tuple[Any, ...]]:
    """What lets a task keep its slots for as long as it lives."""
    return [(os.POSIX_SPAWN_DUP2, job.allocation.descriptor, SLOTS_DESCRIPTOR)] if job.allocation else []


def _program(plan: Plan, env: Mapping[str, str]) -> str:
    """The program's own path, so that the shim's shell cannot take its name for a command of its own."""
    name, path = plan.argv[0], env.get("PATH", os.defpath)
    if "/" in name:
        return name
    program = _on_path(name, path)
    if program is None:
        raise FileNotFoundError(f"there is no program {name!r} on its PATH ({path})")
    return program


@lru_cache(maxsize=64)
def _on_path(name: str, path: str) -> str | None:
    return shutil.which(name, path=path)


def _explain(error: Exception, plan: Plan) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"it could not be started: {error.strerror} ({plan.argv[0]})"
    return f"it could not be started: {error}"


def _from_wait(status: int, claimed: int | None) -> AttemptEnd:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = attempt_end.signal_name(-code) or f"signal {-code}"
        return (
            attempt_end.from_exit_code(attempt_end.SIGNAL_BASE - code, ended=time.time())
            if name
            else lost(name)
        )
    if claimed is None:
        return failed_launch(
            "its shim could not claim the attempt: is the disk full, or the folder read-only?"
        )
    return attempt_end.from_exit_code(code, ended=time.time())


def _stop(job: Job, number: int, grace: float) -> process_tree.TreeStop:
    return process_tree.TreeStop(mark=_mark(job), signal=number, grace=grace)


def _mark(job: Job) -> process_tree.Mark:
    return process_tree.mark(job.files.directory)


def _job_id(job: Job, child: _Child | None) -> str | None:
    return str(child.pid) if child else job.job_id


def _own_children() -> set[int]:
    try:
        descriptor = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # only Linux tells, and only with CONFIG_PROC_CHILDREN
        return set()
    try:
        text = b""
        while chunk := os.read(descriptor, 65536):
            text += chunk
    finally:
        os.close(descriptor)
    return {int(pid) for pid in text.split()}
