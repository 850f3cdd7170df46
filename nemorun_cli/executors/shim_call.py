"""The command line of the shim, which runs every task of the built-in executors.

The head of `shim.sh` describes its usage and the files it writes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import attempts
from nemorun_cli.system import process_limits

if TYPE_CHECKING:
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.storage.paths import AttemptFiles

TIMED_OUT: Final = 124  # exit code of a shim that could not record that its task exceeded its timeout
NO_FOLDER: Final = "its folder was removed while it ran, with its log and its outputs"

SHIM: Final = Path(__file__).with_name("shim.sh")  # copied into each experiment, which runs its own copy


def shim_line(attempt: Path, plan: Plan, program: str, *, shim: Path | None = None) -> list[str]:
    """The shim's command line for a plan; `program` is the path that the executor resolved."""
    return [
        "sh",
        str(shim or f"{plan.env['EXP_DIR']}/shim"),
        str(attempt),
        plan.workdir,
        f"{process_limits.umask():03o}",
        _seconds(plan.timeout or 0),
        attempt_end.short_signal(plan.stop_signal),
        _seconds(plan.stop_grace),
        program,
        *plan.argv[1:],
    ]


def unrecorded_end(files: AttemptFiles, code: int, *, timeout: float | None) -> AttemptEnd | None:
    """The end of an attempt by its shim's exit code, if its exit record has no place any more; else None.

    Args:
        files: of the attempt.
        code: the exit code.
        timeout: of the task, in seconds; None if it has none, or is not known.
    """
    if attempts.can_hold_record(files):
        return None
    has_folder = files.directory.is_dir()
    note = f"its exit record could not be written: {files.exit} is not a file" if has_folder else NO_FOLDER
    ended = time.time()
    if code == TIMED_OUT and timeout:
        return AttemptEnd(status=TaskStatus.FAILED, reason=Reason.TIMEOUT, message=note, ended=ended)
    return with_note(attempt_end.from_exit_code(code, ended=ended), note)


def with_note(ending: AttemptEnd, note: str) -> AttemptEnd:
    """The end of an attempt with something that its message has to add."""
    return replace(ending, message=f"{ending.message}; {note}" if ending.message else note)


def _seconds(value: float) -> str:
    """A time that every `sleep` accepts: an integer if possible, never with an exponent."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
