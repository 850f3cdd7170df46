"""`run --direct`: this process supervises and runs one task at a time on the terminal's input and output.

Partials are called in this process, so that a debugger works; other tasks run under the shim as usual,
and the ledger is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.errors import ExpError, UsageError
from nemorun_cli.executors import AttemptStatus, Job, run_partial
from nemorun_cli.executors.local import LocalExecutor
from nemorun_cli.experiment import create
from nemorun_cli.model import attempt_end, masking
from nemorun_cli.model.clock import stamp
from nemorun_cli.spec import secret_values, secret_warnings
from nemorun_cli.storage import attempts, events
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import environment, locks, output_copies, user
from nemorun_cli.system.files import descriptor_to_append
from nemorun_cli.system.locks import HeldLock, Holder
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.system.output_copies import OutputCopies
    from nemorun_cli.views.snapshot import Snapshot

LOG_NOTE: Final = "This task ran with --direct and without the program tee: its output is not kept.\n"


class DirectExecutor(LocalExecutor):
    """Local tasks in the foreground of the terminal, partials inside this process."""

    own_session: ClassVar[bool] = False
    _copies: OutputCopies | None = None  # of the attempt that runs

    def _start(
        self, job: Job, plan: Plan, env: dict[str, str], lock: int, folder: int | None
    ) -> AttemptStatus:
        if plan.partial is None:
            try:
                return super()._start(job, plan, env, lock, folder)
            finally:
                if self._copies is not None:
                    self._copies.close()  # from here on, only the task can write more
        since = time.time()
        attempts.put(job.files.claim, f"{os.getpid()}\n")
        with self._copied(job, plan):
            code = _call_here(*plan.partial, plan=plan, env=env)
        attempts.put(job.files.exit, f'{{"exit_code":{code}}}\n')
        ending = attempt_end.from_exit_code(code, started=since, ended=time.time())
        return AttemptStatus(key=job.key, state="over", job_id=str(os.getpid()), since=since, ending=ending)

    def _streams(self, log: int, error: int) -> Sequence[tuple[Any, ...]]:
        self._copies = output_copies.start(log, error)
        if self._copies is None:
            os.write(log, LOG_NOTE.encode())
            return ()
        return [
            (os.POSIX_SPAWN_DUP2, self._copies.output, 1),
            (os.POSIX_SPAWN_DUP2, self._copies.error, 2),
        ]

    def _finished(self, job: Job, child: Any, ending: AttemptEnd) -> AttemptStatus:
        if self._copies is not None:
            self._copies.wait()  # the log is whole before its metrics are read
            self._copies = None
        return super()._finished(job, child, ending)

    @contextlib.contextmanager
    def _copied(self, job: Job, plan: Plan) -> Iterator[None]:
        """Copy what this process writes inside of the block to the attempt's log."""
        log = descriptor_to_append(job.files.log)
        error = log if plan.stderr_to_stdout else descriptor_to_append(job.files.stderr)
        saved = [os.dup(number) for number in (1, 2)]
        copies = None
        try:
            for action, source, target in self._streams(log, error):
                assert action == os.POSIX_SPAWN_DUP2  # noqa: S101 - as above
                os.dup2(source, target)
            copies, self._copies = self._copies, None
            if copies is not None:
                copies.close()
            yield
        finally:
            _flush()
            for descriptor, number in zip(saved, (1, 2), strict=True):
                os.dup2(descriptor, number)
            for descriptor in {*saved, log, error}:
                os.close(descriptor)
            if copies is not None:
                copies.wait()


def run(document: Document, *, home: Home, key: str | None = None) -> Snapshot:
    """Create an experiment and supervise it in this process; return its state at the end.

    Raises:
        SpecError: a secret is missing.
        UsageError: this is not the main thread, which alone can be interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("direct runs tasks in the main thread only", hint="run it there, or without direct")
    key = document.key if key is None else key
    identity = create.tentative(document, home)
    spec = create.resolve(document, identity)
    spec = replace(spec, run=replace(spec.run, max_parallel=1))
    values = secret_values.resolve(spec, document)
    secret_warnings.refuse_in_params(document, values)
    secret_warnings.refuse_in_key(key, values)
    files, spec = create.create(
        document, spec, identity, home=home, by=user.author(), key=key, secrets=values.values()
    )
    lock = locks.take(files.supervisor_lock)
    if lock is None:
        raise ExpError(f"another process already supervises {files.id}")
    me = Holder(pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=stamp())
    held = HeldLock(files.supervisor_lock, lock, me)

    def make(name: str) -> Callable[[], DirectExecutor]:
        return lambda: DirectExecutor(name, spec.executors.get(name, {}), values)

    loop = SupervisorLoop(
        files,
        spec,
        secrets=values,
        home=home.directory,
        by=f"direct {me.pid}@{me.host}",
        makers={task.executor: make(task.executor) for task in spec.possible_tasks},
        lock=held,
    )
    try:
        loop.open()
        loop.listen()
        loop.record(events.SUPERVISOR_STARTED, pid=me.pid, host=me.host, boot=me.boot)
        with _interrupts(loop), environment.withholding(secret_values.sources(spec, values)):
            loop.run()
        loop.record(events.SUPERVISOR_ENDED, pid=me.pid, message="finished")
    finally:
        loop.close()
        held.close()
    return observe.look(files, home=home.directory)


@contextlib.contextmanager
def _interrupts(loop: SupervisorLoop) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a cancel of the whole experiment, and a second one into a KILL."""

    def interrupt(number: int, frame: object) -> None:
        del frame
        loop.interrupt(f"{signal.Signals(number).name} to {user.author()}")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed or replaced by user code
            stream.flush()


def _call_here(target: str, args: dict[str, Any], *, plan: Plan, env: dict[str, str]) -> int:
    """Call a partial in this process with the task's environment and folder; return its exit code."""
    with _as_in_task(plan, env):
        try:
            run_partial.save(run_partial.call(target, args))
        except KeyboardInterrupt:
            return attempt_end.SIGNAL_BASE + signal.SIGINT
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Exception:  # noqa: BLE001 - the user's code may raise anything; the traceback is printed
            sys.stderr.write(masking.mask_known(traceback.format_exc()))
            return 1
    return 0


@contextlib.contextmanager
def _as_in_task(plan: Plan, env: dict[str, str]) -> Iterator[None]:
    folder, environ, path = os.getcwd(), dict(os.environ), list(sys.path)  # noqa: PTH109 - restored below
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(plan.workdir)
    sys.path[:0] = filter(None, [plan.workdir, json.loads(plan.call or "{}").get("folder")])
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
