"""The supervisor as a process: `python -m nemorun_cli.supervisor.process`; its orders come on standard input.

It is started early, so that its own start costs nothing while a spec is being checked, and waits for
one JSON document; at the end of input without one it leaves. Secrets come that way and no other.
It answers on standard output with one line, then lets go of all that it inherited.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.spec import Spec
from nemorun_cli.scheduler.resume_plan import decide, refuse_late
from nemorun_cli.storage import events
from nemorun_cli.storage.events import SUPERVISOR_ENDED, SUPERVISOR_STARTED
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.system.files import FILE_MODE
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


PR_SET_CHILD_SUBREAPER: Final = 36  # prctl(2): orphans of tasks become children of this process
HIGHEST_INHERITED: Final = 1024  # descriptors below it are closed: a shell's `3>&1` must not hold up a pipe

PREDECESSOR_WAIT: Final = 2.0  # seconds: one that has written its last may take a moment to be gone


class Terminated(BaseException):
    """Somebody asked this process, not the experiment, to end."""


def main() -> int:
    """Supervise one experiment to its end; gives the exit code of this process, which nobody needs."""
    os.chdir("/")
    os.closerange(3, HIGHEST_INHERITED)
    _load_ahead()
    instructions = sys.stdin.buffer.read()
    if not instructions:
        return 0
    told = json.loads(instructions)
    files = ExperimentFiles(Path(told["directory"]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminate)
    try:
        _redirect(files.supervisor_log)
        return _supervise(files, told)
    except OSError as error:  # of the file system: it is full, or read-only
        _say("".join(traceback.format_exception(error)))
        where = error.filename or files.directory
        _answer({"error": f"{error.strerror}: {where}", "code": LedgerError.exit_code})
        return LedgerError.exit_code
    except Exception as error:  # noqa: BLE001 - the end of the process: told to who waits, and kept in the log
        traceback.print_exc()
        _answer({"error": describe(error), "code": error.exit_code if isinstance(error, ExpError) else 70})
        return 70


def _supervise(files: ExperimentFiles, told: dict[str, Any]) -> int:
    lock = locks.take(files.supervisor_lock, patience=PREDECESSOR_WAIT)
    if lock is None:
        _answer({"is_running": True})
        return 0
    me = Holder(pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=stamp())
    locks.write_holder(lock, me)
    crashpoints.point("supervisor.locked")
    _become_subreaper()
    wish = told.get("resume")
    spec = _settled(files, wish)
    supervision = SupervisorLoop(
        files,
        spec,
        secrets=told["secrets"],
        home=Path(told["home"]),
        by=f"supervisor {me.pid}@{me.host}",
        tell=_say,
    )
    supervision.open()
    supervision.listen()
    if wish is not None:
        resume(
            supervision,
            below=wish["from"],
            changes=wish.get("changes", {}),
            by=wish["by"],
            host_is_gone=wish["host_is_gone"],
            revision=wish.get("revision"),
        )
        if wish.get("revision"):
            from nemorun_cli.storage import spec_revisions  # noqa: PLC0415 - rarely

            crashpoints.point("revision.noted")
            spec_revisions.install(files, spec.revision)
    supervision.record(SUPERVISOR_STARTED, pid=me.pid, host=me.host, boot=me.boot, user=getpass.getuser())
    crashpoints.point("supervisor.started")
    _answer({"started": True})
    reason = "finished"
    try:
        status = supervision.run()
        _say(f"finished: {status}")
    except Terminated as wish:
        reason = str(wish)
        _say(f"ended by {reason}; what runs goes on")
    with contextlib.suppress(LedgerError):  # on a full disk the lock that falls says the same
        supervision.record(SUPERVISOR_ENDED, pid=me.pid, message=reason)
    crashpoints.point("supervisor.ended")
    supervision.close()
    return 0


def _settled(files: ExperimentFiles, wish: dict[str, Any] | None) -> Spec:
    """The spec that counts: the present one, put in its place should that not have happened, or a new one."""
    at_top = Spec.from_json(json.loads(files.resolved.read_bytes()))
    is_changed = wish is not None and wish.get("staged")
    if not (is_changed or files.revisions.is_dir()):
        return at_top
    from nemorun_cli.storage import spec_copies, spec_revisions  # noqa: PLC0415 - only for specs that were changed

    spec = spec_copies.read_spec(files)
    if at_top.revision < spec.revision:
        spec_revisions.install(files, spec.revision)
    if wish is None or not is_changed:
        return spec
    spec_revisions.take(files, Path(wish["staged"]), present=spec.revision)
    return Spec.from_json(json.loads(files.revision(spec.revision + 1).resolved.read_bytes()))


def _load_ahead() -> None:
    """While the spec is still being checked, load what is needed only after the first tasks have started."""
    if not select.select([0], [], [], 0)[0]:
        from nemorun_cli.tracking.access import supervisor_api  # noqa: F401, PLC0415 - as the docstring says


def describe(error: BaseException) -> str:
    """An error as it is told to the command that waits for the start."""
    return error.message if isinstance(error, ExpError) else f"{type(error).__name__}: {error}"


def _terminate(number: int, frame: object) -> None:
    del frame
    raise Terminated(signal.Signals(number).name)


def _redirect(log: Path) -> None:
    """Let go of the terminal: nothing reads, and what is said goes to the log."""
    for number in (0, 2):  # should the log refuse, nothing is said into what was inherited
        _point(number, os.devnull, os.O_RDWR)
    _point(2, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _point(number: int, path: str | Path, flags: int) -> None:
    """Make a descriptor lead to a file; if it was closed, the file may have got its very number."""
    descriptor = os.open(path, flags, FILE_MODE)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)


def _answer(answer: dict[str, Any]) -> None:
    """Tell the command that waits, once; by then standard output already leads nowhere."""
    waiting = os.dup(1)
    _point(1, os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError):  # it may have been killed meanwhile, which changes nothing here
        os.write(waiting, json.dumps(answer).encode() + b"\n")
    os.close(waiting)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # the disk may be full, which is what it may be about
        os.write(2, f"{stamp()} {text}\n".encode())


def _become_subreaper() -> None:
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - only where there is prctl

    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def resume(
    supervision: SupervisorLoop,
    *,
    below: Sequence[str],
    changes: Mapping[str, str],
    by: str,
    host_is_gone: bool,
    revision: Mapping[str, Any] | None = None,
) -> None:
    """Look how everything stands, and write down what runs again, and with which revision of the spec.

    Raises:
        UsageError: something that would have to run again is still alive.
    """
    supervision.look()
    if host_is_gone:
        supervision.write_off()
    decisions = decide(supervision.schedule, below=below, changes=changes)
    refuse_late(supervision.history, decisions)
    again = {one.task: one.attempt for one in decisions if one.action == "run"}
    supervision.record(events.RESUMED, tasks=again, by=by, **(revision or {}))


if __name__ == "__main__":
    sys.exit(main())
