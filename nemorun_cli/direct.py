"""`run --direct`: this very process supervises, one task at a time, on the terminal's own input and output.

Partials are called in this process, so that a debugger works; everything else runs under the shim as always,
and the ledger is the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli import attempts, creation, history, locks, observation, partial, secret_values
from nemorun_cli.clock import stamp
from nemorun_cli.errors import ExpError
from nemorun_cli.executors import Job, Sighting
from nemorun_cli.executors.local import LocalExecutor
from nemorun_cli.locks import Holder
from nemorun_cli.start import who
from nemorun_cli.supervision import Supervision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.home import Home
    from nemorun_cli.loading.document import Document
    from nemorun_cli.observation import Snapshot
    from nemorun_cli.plan import Plan

LOG_NOTE: Final = "This task ran with --direct: what it printed went to the terminal.\n"


class DirectExecutor(LocalExecutor):
    """Local tasks in the foreground of the terminal, partials inside this process."""

    own_session: ClassVar[bool] = False

    def _start(self, job: Job, plan: Plan, env: dict[str, str], lock: int) -> Sighting:
        attempts.write(job.files.log, LOG_NOTE)
        if plan.partial is None:
            return super()._start(job, plan, env, lock)
        since = time.time()
        attempts.write(job.files.claim, f"{os.getpid()}\n")
        code = _call_here(*plan.partial, plan=plan, env=env)
        attempts.write(job.files.exit, f'{{"exit_code":{code}}}\n')
        ending = attempts.from_exit_code(code, started=since, ended=time.time())
        return Sighting(key=job.key, state="over", job_id=str(os.getpid()), since=since, ending=ending)

    def _streams(self, log: int) -> Sequence[tuple[Any, ...]]:
        del log
        return ()


def run(document: Document, *, home: Home, key: str | None = None) -> Snapshot:
    """Create an experiment and supervise it right here; gives how it stands at its end.

    Raises:
        SpecError: a secret is missing.
    """
    identity = creation.tentative(document, home)
    spec = creation.resolve(document, identity)
    spec = replace(spec, run=replace(spec.run, max_parallel=1))
    values = secret_values.resolve(spec, document)
    files, spec = creation.create(document, spec, identity, home=home, by=who(), key=key)
    lock = locks.take(files.supervisor_lock)
    if lock is None:
        raise ExpError(f"somebody else supervises {files.id} already")
    me = Holder(pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=stamp())
    locks.write_holder(lock, me)

    def make(name: str) -> Callable[[], DirectExecutor]:
        return lambda: DirectExecutor(name, spec.executors.get(name, {}), values)

    supervision = Supervision(
        files,
        spec,
        secrets=values,
        home=home.directory,
        by=f"direct {me.pid}@{me.host}",
        makers={task.executor: make(task.executor) for task in spec.tasks},
    )
    try:
        supervision.open()
        supervision.listen()
        supervision.record(history.SUPERVISOR_STARTED, pid=me.pid, host=me.host, boot=me.boot)
        with _interrupts(supervision):
            supervision.run()
        supervision.record(history.SUPERVISOR_ENDED, pid=me.pid, message="finished")
    finally:
        supervision.close()
        os.close(lock)
    return observation.look(files, home=home.directory)


@contextlib.contextmanager
def _interrupts(supervision: Supervision) -> Iterator[None]:
    """Make Ctrl-C and SIGTERM a cancel of the whole, and a second one a KILL."""

    def interrupt(number: int, frame: object) -> None:
        del frame
        supervision.interrupt(f"{signal.Signals(number).name} to {who()}")

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _call_here(target: str, args: dict[str, Any], *, plan: Plan, env: dict[str, str]) -> int:
    """Call a partial in this process with the task's environment and folder; gives an exit code."""
    with _as_in_task(plan, env):
        try:
            partial.save(partial.call(target, args))
        except KeyboardInterrupt:
            return attempts.SIGNAL_BASE + signal.SIGINT
        except SystemExit as wish:
            return wish.code if isinstance(wish.code, int) else int(wish.code is not None)
        except Exception:  # noqa: BLE001 - the user's own code may raise anything; it is shown where it ran
            traceback.print_exc()
            return 1
    return 0


@contextlib.contextmanager
def _as_in_task(plan: Plan, env: dict[str, str]) -> Iterator[None]:
    folder, environ, path = os.getcwd(), dict(os.environ), list(sys.path)  # noqa: PTH109 - to come back to it
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(plan.workdir)
    sys.path.insert(0, plan.workdir)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        sys.path[:] = path
