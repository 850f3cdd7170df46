"""Runs tasks as local processes, each under the shim in its own session.

A task is alive while its inherited lock is held or a process carries its attempt marker. Its result is
in `exit.json`; a supervisor that is its parent also gets it from `wait`.
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
    process_tree,
)
from nemorun_cli.executors.capabilities import THIS_MACHINE
from nemorun_cli.executors.escalation import Escalation
from nemorun_cli.executors.shim_call import NO_FOLDER, shim_line, unrecorded_end
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import AttemptEnd, failed_launch, lost
from nemorun_cli.model.clock import age
from nemorun_cli.model.usage import Usage
from nemorun_cli.storage import attempts
from nemorun_cli.system import children, crashpoints, environment, files, hardware, locks, owners
from nemorun_cli.system.process_limits import are_files_scarce, callers_limits, is_shortage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors.process_usage import ProcessUsage
    from nemorun_cli.model.capacity import Machine
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.usage_sample import UsageSample

SHELL: Final = "/bin/sh"
SLOTS_DESCRIPTOR: Final = 8  # where it expects the lock of the task's slots, if it has any
POLL_INTERVAL: Final = 1.0  # seconds between polls of processes that no descriptor reports
SETTLE: Final = 0.02  # seconds in which the processes of a killed group end
RESTORED: Final = frozenset(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}


@dataclass(slots=True)
class _Child:
    """A shim that this process started or adopted."""

    job: Job
    pid: int
    watch: int | None  # a pidfd until the process has exited, if the system has pidfds
    is_own: bool
    wait_status: int | None = None
    usage: Usage | None = None

    @property
    def is_unreaped(self) -> bool:
        """Whether it is a child of this process, so that its pid is certainly its own."""
        return self.is_own and self.wait_status is None

    def wait(self, options: int) -> bool:
        """Reap the child; return whether this call did so."""
        try:
            pid, status, rusage = os.wait4(self.pid, options)
        except ChildProcessError:
            return False
        if pid:
            self.wait_status, self.usage = status, Usage.of_child(rusage)
        return bool(pid)


class LocalExecutor:
    """Runs tasks on this machine, as many at once as `max_parallel` and their resources allow."""

    _shims: ClassVar[set[int]] = set()  # started by this process, for any of a spec's executors

    own_session: ClassVar[bool] = True  # detached from the terminal, whose signals must not reach the task
    options_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(hardware.OPTIONS),
    }

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """Tasks are processes of this machine and share its capacity."""
        del options
        return Capabilities(
            runs_here=True,
            has_machine=True,
            checks_requests=True,
            member_network=THIS_MACHINE,
            separates_stderr=True,
            measures=True,
        )

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options = options
        self._secrets = secrets
        self._events = select.epoll() if hasattr(select, "epoll") else None
        self._children: dict[Key, _Child] = {}
        self._by_watch: dict[int, Key] = {}
        self._stops: dict[Key, process_tree.TreeStop] = {}
        self._next_poll = 0.0
        self._scan: dict[int, process_tree.ScannedProcess] | None = None
        self._unwatched: set[Key] = set()  # alive, without a descriptor that reports their end
        self._unexamined: set[Key] = set()  # something happened to them that was not reported yet
        self._settling: dict[
            Key, float
        ] = {}  # their shim was killed just now: until when to wait (monotonic)
        self._unreported: set[Key] = set()  # their last examination failed: report them, changed or not
        self._is_polling = False  # after an error it stays set
        self._usage: ProcessUsage | None = None  # made by the first sample
        self._samples: dict[Key, UsageSample] = {}

    def plan(self, plan: Plan) -> Plan:
        """The plan without defaults of variables that the task inherits; the shim needs no parameters."""
        return plan.without_inherited(environment.names(plan.env_inherit))

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Start each attempt under its shim; adopt it if it is already alive."""
        return list(answer_each(jobs, self._submit))

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """Report finished children, and check adopted attempts periodically."""
        if self._is_polling:
            self._unexamined |= jobs.keys()
            self._unreported |= jobs.keys()
        self._is_polling = True
        self._scan = None
        self._collect_ready()
        now = time.monotonic()
        is_due = now >= self._next_poll
        if is_due:
            self._next_poll = now + POLL_INTERVAL
            children.reap_orphans(but=self._shims)
        unseen = {key for key in jobs if key not in self._children and key not in self._unwatched}
        self._unexamined |= unseen | self._settling.keys() | (self._unwatched if is_due else set())
        wanted = [jobs[key] for key in self._unexamined if key in jobs]
        answers = [*answer_each(wanted, self._examine), *self._advance(jobs)]
        self._is_polling = False
        return answers

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Signal the whole tree of each task, and KILL it after the grace period."""
        for job in jobs:
            name = attempt_end.short_signal(signal or job.stop_signal)
            seconds = job.stop_grace if grace is None else grace
            if stop := self._stops.get(job.key):
                stop.hurry(name, seconds)
            else:
                self._stops[job.key] = _stop(job, name, seconds)
        return ()

    def sample(self, jobs: Sequence[Job]) -> None:
        """Measure the processes of these attempts; takes milliseconds."""
        from nemorun_cli.executors.process_usage import ProcessUsage  # noqa: PLC0415 - few specs ask for samples

        if self._usage is None:
            self._usage = ProcessUsage()
        here = [job for job in jobs if job.holder is None or job.holder.is_this_host]
        self._samples |= self._usage.measure({job.key: job.files.directory for job in here})

    def samples(self) -> Iterable[tuple[Key, UsageSample]]:
        """What the last calls of `sample` measured."""
        samples, self._samples = self._samples, {}
        return samples.items()

    def wakeup(self) -> int | None:
        """The epoll descriptor that watches all pidfds."""
        return self._events.fileno() if self._events else None

    def due(self) -> float | None:
        """The time of the next check of processes that are being terminated or have no pidfd."""
        times = [*(stop.due for stop in self._stops.values()), *self._settling.values()]
        if self._unwatched or (self._children and self._events is None):
            times.append(self._next_poll)
        return min(times, default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Check that this machine has a shell, which is all that tasks need."""
        is_ok = os.access(SHELL, os.X_OK)
        yield Diagnosis(
            engine="local",
            is_ok=is_ok,
            message=f"{SHELL} exists, {os.cpu_count()} CPUs" if is_ok else f"{SHELL} cannot be executed",
            remedy=None if is_ok else "install a POSIX shell as /bin/sh",
        )

    def machine(self, *, with_gpus: bool) -> Machine:
        """The hardware of this machine, or the share of it that the options allow."""
        return hardware.find(self._options, with_gpus=with_gpus)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why this machine can never satisfy a request, or None."""
        return self.machine(with_gpus=bool(wanted.gpus)).why_unsatisfiable(wanted) if ask else None

    def close(self) -> None:
        """Stop watching. The tasks have their own sessions and continue."""
        for child in self._children.values():
            if child.watch is not None:
                os.close(child.watch)
        self._children.clear()
        if self._events:
            self._events.close()

    def _submit(self, job: Job) -> AttemptStatus:
        plan = job.plan
        assert plan is not None  # noqa: S101 - the core submits nothing without a plan
        folder = attempts.make_new_folder(job.files)
        lock = None
        try:
            if folder is not None:
                lock = locks.take_new(attempts.LOCK, folder=folder, path=job.files.directory)
            if lock is None and (lock := locks.take(job.files.lock)) is None:
                return self._status(job) or AttemptStatus(
                    key=job.key, state="running", evidence="its lock is held"
                )
            crashpoints.point("attempt.locked")
            if folder is not None or attempts.claimed_pid(job.files) is None:
                attempts.write_plan(job.files, plan, folder=folder)
                secrets = {name: self._secrets[name] for name in plan.secrets}
                env = environment.inherited(plan.env_inherit, secrets=secrets.values()) | plan.env | secrets
                if plan.resources.gpus is not None:
                    env |= hardware.environment(job.allocation.gpus if job.allocation else (), env)
                return self._start(job, plan, env, lock, folder)
        finally:
            for descriptor in (folder, lock):
                if descriptor is not None:
                    os.close(descriptor)
        return self._status(job) or AttemptStatus(key=job.key, state="running")

    def _start(
        self, job: Job, plan: Plan, env: dict[str, str], lock: int, folder: int | None
    ) -> AttemptStatus:
        since = time.time()
        try:
            pid = self._spawn(job, plan, env, lock, folder)
        except (OSError, ValueError) as error:
            if is_shortage(error):
                raise
            return AttemptStatus(key=job.key, state="over", ending=failed_launch(_explain(error, plan)))
        crashpoints.point("attempt.spawned")
        self._watch(job, pid, is_own=True)
        return AttemptStatus(key=job.key, state="running", job_id=str(pid), since=since)

    def _spawn(self, job: Job, plan: Plan, env: dict[str, str], lock: int, folder: int | None) -> int:
        log = _opened(attempts.LOG, job, folder)
        error = log
        try:
            if not plan.stderr_to_stdout:
                error = _opened(attempts.STDERR, job, folder)
            line = shim_line(job.files.directory, plan, _program(plan, env))
            with callers_limits():
                return os.posix_spawn(
                    SHELL,
                    line,
                    env,
                    file_actions=[
                        *self._streams(log, error),
                        (os.POSIX_SPAWN_DUP2, lock, process_tree.LOCK_DESCRIPTOR),
                        *_slots(job),
                    ],
                    setsid=self.own_session,
                    setsigmask=(),
                    setsigdef=RESTORED,
                )
        finally:
            for descriptor in {log, error}:
                os.close(descriptor)

    def _streams(self, log: int, error: int) -> Sequence[tuple[Any, ...]]:
        return [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, error, 2),
        ]

    def _watch(self, job: Job, pid: int, *, is_own: bool) -> None:
        watch = self._descriptor_of(pid)
        if watch is not None:
            self._by_watch[watch] = job.key
        self._children[job.key] = _Child(job, pid, watch, is_own)
        self._unwatched.discard(job.key)
        if is_own:
            self._shims.add(pid)
        if watch is None:
            self._unwatched.add(job.key)

    def _descriptor_of(self, pid: int) -> int | None:
        """A pidfd that wakes the executor at the end of a process; None if the system cannot give one."""
        if self._events is None or not hasattr(os, "pidfd_open"):
            return None
        try:
            watch = os.pidfd_open(pid)
        except OSError:
            return None
        try:
            if not are_files_scarce(watch):
                self._events.register(watch, select.EPOLLIN)
                return watch
        except OSError:  # the user's limit of watches is reached
            pass
        os.close(watch)
        return None

    def _forget(self, key: Key) -> None:
        self._unwatched.discard(key)
        self._unexamined.discard(key)
        self._settling.pop(key, None)
        self._samples.pop(key, None)
        if child := self._children.pop(key, None):
            self._shims.discard(child.pid)
            if child.watch is not None:
                self._by_watch.pop(child.watch, None)
                os.close(child.watch)

    def _collect_ready(self) -> None:
        """Note the attempts whose shim has exited, at once; reaps those that are children of this process."""
        ready = set()
        if self._events:
            for watch, _ in self._events.poll(0):
                if key := self._by_watch.pop(watch, None):
                    ready.add(key)
                    self._unexamined.add(key)
                    self._children[key].watch = None
                    os.close(watch)
        for key in ready | self._unwatched:
            child = self._children.get(key)
            if child and child.is_own and child.wait(os.WNOHANG):
                self._unexamined.add(key)

    def _examine(self, job: Job) -> AttemptStatus | None:
        """The status of an attempt to which something happened; after an error it is examined again."""
        try:
            status = self._status(job)
        except OSError:
            self._unreported.add(job.key)
            raise
        self._unexamined.discard(job.key)
        self._unreported.discard(job.key)
        return status

    def _status(self, job: Job) -> AttemptStatus | None:
        """The status of an attempt by its exit record, its lock and its marker, in this order of trust."""
        if job.key in self._stops:
            return None
        if job.holder and not job.holder.is_this_host:
            if ending := attempts.read_ending(job.files):  # complete, on whatever host it was written
                return self._finished(job, None, ending)
            self._unwatched.add(job.key)
            return AttemptStatus(
                key=job.key, state="unknown", message=f"it runs on {job.holder.host}", evidence=ELSEWHERE
            )
        child = self._children.get(job.key)
        is_held, ending = attempts.examine(job.files)
        ending = ending or _unrecorded(job, child)
        if ending and not is_held and not self._has_strays(job, child):
            return self._finished(job, child, ending)
        if ending:  # the task has finished, but a process that it started is still running
            # The grace period starts at that end, because this may be the only check that this process makes.
            remaining = job.stop_grace - max(0.0, age(ending.ended or 0.0))
            self._stops[job.key] = _stop(job, attempt_end.short_signal(job.stop_signal), remaining)
            return None
        return self._status_unended(job, child, is_held=is_held)

    def _status_unended(self, job: Job, child: _Child | None, *, is_held: bool) -> AttemptStatus | None:
        pid = attempts.claimed_pid(job.files)
        if is_held or self._is_marked(job):
            return self._status_alive(job, child, pid, is_held=is_held)
        if ending := attempts.read_ending(job.files):  # it was written between the two reads
            return self._finished(job, child, ending)
        if child and child.wait_status is not None and pid in (child.pid, None):
            return self._finished(job, child, _from_wait(child.wait_status, pid))
        self._forget(job.key)
        if pid is None:
            has_folder = job.files.directory.is_dir()
            if child and not has_folder:  # adopted, so that only its record could show how it ended
                return AttemptStatus(key=job.key, state="over", job_id=str(child.pid), ending=lost(NO_FOLDER))
            return AttemptStatus(key=job.key, state="absent", message=None if has_folder else NO_FOLDER)
        return AttemptStatus(
            key=job.key,
            state="over",
            job_id=str(pid) if pid else None,
            ending=lost("it disappeared: it left no process, no lock and no exit record"),
        )

    def _status_alive(
        self, job: Job, child: _Child | None, pid: int | None, *, is_held: bool
    ) -> AttemptStatus | None:
        if child and child.wait_status is None and child.watch is not None:  # which has not fired
            if job.key not in self._unreported:
                return None
            return AttemptStatus(key=job.key, state="running", job_id=str(child.pid))
        if child and child.wait_status is not None and self._settles(job.key):
            return None
        is_own = bool(child and child.is_own and child.wait_status is None and child.pid == pid)
        self._forget(job.key)
        if pid and process_tree.mark_of(pid) == _mark(job):
            self._watch(job, pid, is_own=is_own)
            if not is_own:
                with contextlib.suppress(OSError):  # on a full disk its CPU time stays unknown
                    if owners.is_own(job.files.directory):  # else its shim could not write to the file
                        attempts.touch(job.files.usage)  # only its parent can measure it, which is the shim
        else:
            self._unwatched.add(job.key)
        if pid is None and is_held:  # the process that prepares it may die before starting it
            return AttemptStatus(key=job.key, state="queued")
        evidence = "its lock is held" if is_held else "a process of it runs"
        return AttemptStatus(
            key=job.key, state="running", job_id=str(pid) if pid else None, evidence=evidence
        )

    def _settles(self, key: Key) -> bool:
        """Whether what a shim has left may still be ending: a signal to a group ends one after the other."""
        now = time.monotonic()
        return now < self._settling.setdefault(key, now + SETTLE)

    def _has_strays(self, job: Job, child: _Child | None) -> bool:
        """Whether a process that carries the attempt's marker is left, although no process holds its lock."""
        if child is None or not child.is_own:
            return self._is_marked(job)
        if not (others := children.all_pids() - self._shims):
            return False
        wanted = _mark(job)
        return any(process_tree.mark_of(pid) == wanted for pid in others)

    def _is_marked(self, job: Job) -> bool:
        """Whether a process carries the attempt's marker; each poll scans once."""
        if self._scan is None:
            self._scan = process_tree.scan()
        wanted = _mark(job)
        return any(process.mark == wanted for process in self._scan.values())

    def _advance(self, jobs: Mapping[Key, Job]) -> list[AttemptStatus]:
        """Continue the terminations in progress; return the attempts that have terminated."""
        now = time.monotonic()
        if not any(stop.due <= now for stop in self._stops.values()):
            return []
        children.reap_orphans(but=self._shims)
        try:
            seen = process_tree.scan()
        except OSError:  # a shortage: nothing is known now
            for stop in self._stops.values():
                stop.due = max(stop.due, now + POLL_INTERVAL)
            return []
        terminated = []
        for key, stop in list(self._stops.items()):
            if stop.due > now:
                continue
            child = self._children.get(key)
            is_unreaped = child is not None and child.is_unreaped
            stop.advance(seen, shim=child.pid if child and is_unreaped else None)
            self._end_recording(key)
            if stop.is_done and child and is_unreaped and not child.wait(os.WNOHANG):
                stop.is_done = False  # it exists, but the scan missed it: look again
            if stop.is_done:
                self._unexamined.add(key)
                if key in jobs:
                    terminated.append(self._terminated(jobs[key], stop))
                del self._stops[key]
        return terminated

    def _end_recording(self, key: Key) -> None:
        """Let a shim that cannot write its record, as on a full disk, exit with the task's exit code instead.

        Until its first failed write a shim does nothing on TERM.
        """
        child = self._children.get(key)
        if child and child.is_own and child.wait_status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGTERM)

    def _terminated(self, job: Job, stop: process_tree.TreeStop) -> AttemptStatus:
        child = self._children.get(job.key)
        ending = _recorded(job)
        if ending is None and child and child.wait_status is not None:
            ending = _unrecorded(job, child) or _from_wait(child.wait_status, child.pid)
        if ending is None:
            name = stop.last_signal or stop.escalation.signal
            ending = lost(f"it was terminated by {name}; its exit code is not known")
        return self._finished(job, child, ending)

    def _finished(self, job: Job, child: _Child | None, ending: AttemptEnd) -> AttemptStatus:
        """The status of a finished attempt, with its resource usage if this process reaped it."""
        if child is not None and child.usage is not None:
            ending = replace(ending, usage=child.usage)
        self._forget(job.key)
        return AttemptStatus(key=job.key, state="over", job_id=_job_id(job, child), ending=ending)


def _opened(name: str, job: Job, folder: int | None) -> int:
    """A file of an attempt to which its task appends; `folder` is the descriptor of a folder that is new."""
    if folder is not None:
        with contextlib.suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_APPEND
            return files.descriptor_of_new(name, flags, folder=folder, path=job.files.directory)
    descriptor = files.descriptor_to_append(job.files.directory / name)
    os.set_blocking(descriptor, True)
    return descriptor


def _slots(job: Job) -> list[tuple[Any, ...]]:
    """The file action by which a task inherits its slots' lock, which is held as long as the task lives."""
    return [(os.POSIX_SPAWN_DUP2, job.allocation.descriptor, SLOTS_DESCRIPTOR)] if job.allocation else []


def _program(plan: Plan, env: Mapping[str, str]) -> str:
    """The path of the program, so that the shim's shell cannot confuse its name with a builtin."""
    name, path = plan.argv[0], env.get("PATH", os.defpath)
    if "/" in name:
        return name
    return _on_path(name, path)


@lru_cache(maxsize=64)  # an error is not kept: an earlier task may install the program
def _on_path(name: str, path: str) -> str:
    program = shutil.which(name, path=path)
    if program is None:
        raise FileNotFoundError(f"there is no program {name!r} on its PATH ({path})")
    return program


def _explain(error: Exception, plan: Plan) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"it could not be started: {error.strerror} ({plan.argv[0]})"
    return f"it could not be started: {error}"


def _recorded(job: Job) -> AttemptEnd | None:
    """The recorded end of a terminated attempt; a record that cannot be read does not keep it from ending."""
    try:
        return attempts.read_ending(job.files)
    except OSError as error:
        if is_shortage(error):
            raise
        return None


def _unrecorded(job: Job, child: _Child | None) -> AttemptEnd | None:
    """The end of a task, by the exit code of its shim, that has no place for a record any more; else None."""
    if child is None or child.wait_status is None or not os.WIFEXITED(child.wait_status):
        return None
    code = os.waitstatus_to_exitcode(child.wait_status)
    return unrecorded_end(job.files, code, timeout=job.plan.timeout if job.plan else None)


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


def _stop(job: Job, signal: str, grace: float) -> process_tree.TreeStop:
    return process_tree.TreeStop(
        mark=_mark(job), escalation=Escalation(signal, grace), folder=job.files.directory
    )


def _mark(job: Job) -> process_tree.Mark:
    return process_tree.mark_of_attempt(job.files.directory)


def _job_id(job: Job, child: _Child | None) -> str | None:
    return str(child.pid) if child else job.job_id
