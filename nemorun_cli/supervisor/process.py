"""The supervisor process, `python -m nemorun_cli.supervisor.process`; its order arrives on standard input.

It is started while the spec is being checked, so that its own start costs no time, and waits for one JSON
document on one line; if the input ends without one, it exits. Secrets are passed only in this document.
It answers with one line on standard output, then closes everything it inherited.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.model import clock, masking
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.control_characters import LAYOUT, escaped
from nemorun_cli.scheduler.resume_plan import decide, refuse_late
from nemorun_cli.storage import events, spec_copies, supervision
from nemorun_cli.storage.events import SUPERVISOR_ENDED, SUPERVISOR_STARTED
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.supervisor.assignment import Assignment
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import children, crashpoints, environment, locks, process_limits, signals, user
from nemorun_cli.system.files import descriptor_to_append
from nemorun_cli.system.locks import HeldLock, Holder
from nemorun_cli.system.masked_stream import masked_output

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.supervisor.assignment import ResumeRequest


HIGHEST_INHERITED: Final = 1024  # descriptors below it are closed: a shell's `3>&1` must not hold up a pipe

PRELOADED: Final = (
    "filelock",
    "ctypes",
    "getpass",
    "datetime",
    "nemorun_cli.executors.local",
    "nemorun_cli.tracking.access.supervisor_api",
)

PREDECESSOR_WAIT: Final = 2.0  # seconds: the previous supervisor may exit shortly after its last event


class Terminated(BaseException):
    """A signal asked this process, not the experiment, to terminate."""


def main() -> int:
    """Supervise one experiment until it is finished; returns the process's exit code, which nothing reads."""
    os.chdir("/")
    os.closerange(3, HIGHEST_INHERITED)
    _preload()
    document = sys.stdin.buffer.readline()
    if not document.endswith(b"\n"):
        return 0
    assignment = Assignment.decode(document)
    os.environ.update(assignment.environ)
    masking.remember(assignment.secrets.values())
    files = ExperimentFiles(assignment.directory)
    for number in (signal.SIGTERM, signal.SIGINT):
        signals.handle(number, _terminate)
    try:
        _redirect(files.supervisor_log)
        with environment.withholding(assignment.sources), masked_output(assignment.secrets.values()):
            return _supervise(files, assignment)
    except OSError as error:  # the file system is full or read-only
        _log("".join(traceback.format_exception(error)))
        where = error.filename or files.directory
        _answer({"error": f"{error.strerror}: {where}", "code": LedgerError.exit_code})
        return LedgerError.exit_code
    except Exception as error:  # noqa: BLE001 - last handler of the process: answered to the command and kept in the log
        _log("".join(traceback.format_exception(error)).rstrip())
        _answer({"error": describe(error), "code": error.exit_code if isinstance(error, ExpError) else 70})
        return 70


def _supervise(files: ExperimentFiles, assignment: Assignment) -> int:
    lock = supervision.take(files, patience=PREDECESSOR_WAIT)
    if lock is None:
        is_supervised = locks.is_held_by_name(files.supervisor_lock) or supervision.is_driven(files)
        holder = locks.holder_by_kernel(files.supervisor_lock)
        _answer({"is_running": True} if is_supervised else {"held_by": holder})
        return 0
    me = Holder(pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=stamp())
    held = HeldLock(files.supervisor_lock, lock, me)
    crashpoints.point("supervisor.locked")
    children.inherit_orphans()
    process_limits.allow_many_files()
    request = assignment.resume
    spec = _current_spec(files, request)
    loop = SupervisorLoop(
        files,
        spec,
        secrets=assignment.secrets,
        home=assignment.home,
        by=f"supervisor {me.pid}@{me.host}",
        report=_log,
        on_problem=lambda problem: held.name(replace(me, problem=problem)),
        lock=held,
    )
    loop.open()
    if request is not None and loop.history.finished and loop.history.resumed != request.seen:
        _answer({"is_running": True})  # of several resumes at once, another one has done what was asked
        loop.close()
        return 0
    loop.listen()
    if request is not None:
        resume(loop, request)
        if request.revision:
            from nemorun_cli.storage import spec_revisions  # noqa: PLC0415 - rarely needed

            crashpoints.point("revision.noted")
            spec_revisions.install(files, spec.revision)
    loop.record(SUPERVISOR_STARTED, pid=me.pid, host=me.host, boot=me.boot, user=user.name())
    crashpoints.point("supervisor.started")
    _answer({"started": True})
    gc.freeze()  # the spec stays until the end: no collection has to look at it again
    reason, code = _drive(loop)
    if reason is not None:
        with contextlib.suppress(LedgerError):  # on a full disk the released lock shows the same
            clock_step = None if loop.history.finished else clock.step()  # else `finished` has it
            loop.record(SUPERVISOR_ENDED, pid=me.pid, clock_step=clock_step, message=reason)
    crashpoints.point("supervisor.ended")
    loop.close()
    return code


def _drive(loop: SupervisorLoop) -> tuple[str | None, int]:
    """Run the loop to its end; returns the reason for the ledger and the exit code.

    The reason is None if nothing more may be written: the ledger is damaged, or another supervisor writes it.
    """
    try:
        _log(f"finished: {loop.run()}")
    except Terminated as termination:
        _log(f"terminated by {termination}; running tasks continue")
        return str(termination), 0
    except LedgerError as error:
        _log(f"ended: {error.message}; running tasks continue" + (f"; {error.hint}" if error.hint else ""))
        return None, error.exit_code
    except Exception as error:  # noqa: BLE001 - a bug, or an upgrade removed a module: kept in the log and the ledger
        _log(traceback.format_exc().rstrip())
        return f"failed: {describe(error)}; running tasks continue", 70
    return "finished", 0


def _current_spec(files: ExperimentFiles, request: ResumeRequest | None) -> Spec:
    """The spec to run: the one staged by a resume, or the latest revision, installed if it was not yet."""
    installed = spec_copies.read_copy(files)
    staged = request.staged if request is not None else None
    if staged is None and not files.revisions.is_dir():
        return installed
    from nemorun_cli.storage import spec_revisions  # noqa: PLC0415 - only for specs that were changed

    spec = spec_copies.read_spec(files)
    if installed.revision < spec.revision:
        spec_revisions.install(files, spec.revision)
    if staged is None:
        return spec
    spec_revisions.take(files, staged, present=spec.revision)
    return spec_copies.read_copy(files, revision=spec.revision + 1)


def _preload() -> None:
    """Import what most experiments need soon after the order, one after the other until it arrives."""
    for name in PRELOADED:
        if select.select([0], [], [], 0)[0]:
            return
        importlib.import_module(name)


def describe(error: BaseException) -> str:
    """The message of an error for the command that waits for the start."""
    return error.message if isinstance(error, ExpError) else f"{type(error).__name__}: {error}"


def _terminate(number: int, frame: object) -> None:
    del frame
    raise Terminated(signal.Signals(number).name)


def _redirect(log: Path) -> None:
    """Detach from the terminal: standard input is empty, and standard error goes to the log."""
    for number in (0, 2):  # if the log cannot be opened, nothing is written to the inherited terminal
        _point(number, os.devnull, os.O_RDWR)
    _become(2, descriptor_to_append(log))


def _point(number: int, path: str | Path, flags: int) -> None:
    """Open a file as this descriptor; if the descriptor was closed, `open` may return its number."""
    _become(number, os.open(path, flags))


def _become(number: int, descriptor: int) -> None:
    """Give a descriptor this number."""
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)


def _answer(answer: dict[str, Any]) -> None:
    """Answer the waiting command, once; standard output then leads to /dev/null."""
    pipe = os.dup(1)
    _point(1, os.devnull, os.O_WRONLY)
    if "error" in answer:
        answer["error"] = masking.mask_known(answer["error"])
    with contextlib.suppress(OSError):  # the command may have been killed, which changes nothing here
        os.write(pipe, json.dumps(answer).encode() + b"\n")
    os.close(pipe)


def _log(text: str) -> None:
    with contextlib.suppress(OSError):  # the disk may be full, which may be what the message reports
        line = f"{stamp()} {escaped(masking.mask_known(text), kept=LAYOUT)}\n"
        os.write(2, line.encode(errors="backslashreplace"))


def resume(loop: SupervisorLoop, request: ResumeRequest) -> None:
    """Observe the live attempts, then record which tasks run again and with which revision of the spec.

    Raises:
        UsageError: a task that would have to run again is still alive.
    """
    loop.look()
    if request.host_is_gone:
        loop.write_off()
    decisions = decide(loop.schedule, below=request.below, changes=request.changes)
    refuse_late(loop.schedule, decisions)
    again = {decision.task: decision.attempt for decision in decisions if decision.action == "run"}
    loop.record(events.RESUMED, tasks=again, by=request.by, **request.revision)


if __name__ == "__main__":
    sys.exit(main())
