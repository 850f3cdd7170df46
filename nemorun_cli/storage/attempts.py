"""The files of an attempt: written before it starts, read as evidence of its result.

A task in a container may write in this folder, and may create that of its next attempt. With the permissions
of `exp`, a link in it could lead to any file: `put` and `touch` follow none.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.attempt_end import AttemptEnd, from_exit_code, lost
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.usage import _MINUTE, _TIMES, LARGEST, Usage
from nemorun_cli.storage import failed_line
from nemorun_cli.system import crashpoints
from nemorun_cli.system.files import (
    FILE_MODE,
    FOLDER_MODE,
    RefusedFileError,
    descriptor_to_change,
    descriptor_to_read,
    entered,
    is_regular,
    make_folder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.model.plan import Plan
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles

LONGEST: Final = 1 << 14  # bytes that are read of a claim, an exit record or a usage
LONGEST_PID: Final = 10  # digits; a task may have written any number
NOT_A_FOLDER: Final = "it is no folder: an earlier attempt of the task put something else in its place"
STOP_PASSED_ON: Final = b"passed on\n"  # in the note of a stop
STOPPED_BY_JOB: Final = b"job"  # in the note of a stop by the script of a job
LAUNCH_TROUBLE: Final = {"workdir": "its workdir cannot be entered"}
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


def make_folders(files: AttemptFiles) -> bool:
    """Make the attempt's folder and its task's folder; return whether the attempt's folder is new.

    Raises:
        RefusedFileError: a link has its place, or that of a folder above it in the experiment.
        OSError: it cannot be made.
    """
    root = files.root or files.directory.parent
    try:
        is_new = _make(files, root)
    except FileNotFoundError:  # somebody removed the experiment
        make_folder(root)
        is_new = _make(files, root)
    if is_new:
        crashpoints.point("attempt.folder")
    return is_new


def _make(files: AttemptFiles, root: Path) -> bool:
    with entered(files.directory.parent, inside=root, creates=True) as folder:
        try:
            os.mkdir(files.directory.name, FOLDER_MODE, dir_fd=folder)
        except FileExistsError:
            _remove_traps(files)  # earlier attempts can write in the task's folder
            return False
    return True


def _remove_traps(files: AttemptFiles) -> None:
    """Remove links and FIFOs from a folder that `exp` may have made, or an earlier attempt of the task.

    Of an attempt that may have begun, only the lock is examined: other links may be those of the task.

    Raises:
        RefusedFileError: it is no folder, or a link to one.
    """
    if not stat.S_ISDIR(files.directory.lstat().st_mode):
        raise RefusedFileError(errno.ENOTDIR, NOT_A_FOLDER, str(files.directory))
    has_begun = os.path.lexists(files.claim) and not _is_trap(files.claim)
    for path in (files.lock,) if has_begun else sorted(files.directory.iterdir()):
        remove_trap(path)


def remove_trap(path: Path) -> None:
    """Remove what exists at this path if it is neither a file nor a folder, but a link or a FIFO."""
    if _is_trap(path):
        path.unlink()


def _is_trap(path: Path) -> bool:
    """Whether something exists at this path that is neither a file nor a folder."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_own_folder(path: Path) -> bool:
    """Whether a path is a folder, and no link: a link could lead to any folder of this machine."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def earlier(files: ExperimentFiles, task: str, attempt: int) -> list[int]:
    """The numbers of the attempts before this one that have a folder."""
    return [n for n in range(1, attempt) if is_own_folder(files.attempt(task, n).directory)]


def put(path: Path, text: str) -> None:
    """Write a private file of an attempt, as a new one: a link in its place is replaced, not followed."""
    data = memoryview(text.encode())
    try:
        descriptor = os.open(path, _NEW | os.O_EXCL, FILE_MODE)
    except FileExistsError:
        path.unlink()
        descriptor = os.open(path, _NEW | os.O_EXCL, FILE_MODE)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def touch(path: Path) -> None:
    """Create a file of an attempt whose existence is all that counts; an existing one is not changed."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, _NEW | os.O_EXCL, FILE_MODE))


def note_stop(files: AttemptFiles) -> bool:
    """Note that the attempt is about to be stopped, by its `stop` or as its group ends.

    Returns whether it still has to be stopped: one that has an exit record, or has exceeded its timeout, ends
    by itself, and others are stopped by their job.
    """
    if os.path.lexists(files.exit) or os.path.lexists(files.timed_out):
        return False
    stopped = _read(files.stopped, inside=files.root)
    if stopped is not None and stopped[0].startswith(STOPPED_BY_JOB):
        return False
    with contextlib.suppress(OSError):  # without a place for the note, this process alone knows of the stop
        touch(files.stopped)
    return True


def confirm_stop(files: AttemptFiles) -> None:
    """Record in the note of a stop, whose time stays, that the executor has passed the signal on."""
    with contextlib.suppress(OSError):  # without the note, this process alone knows
        descriptor = descriptor_to_change(files.stopped, creates=False, appends=True)
        try:
            modified = os.fstat(descriptor).st_mtime_ns
            os.write(descriptor, STOP_PASSED_ON)
            os.utime(descriptor, ns=(modified, modified))
        finally:
            os.close(descriptor)


def is_stop_confirmed(files: AttemptFiles) -> bool:
    """Whether the note of a stop records that the signal was passed on."""
    stopped = _read(files.stopped, inside=files.root)
    return stopped is not None and stopped[0] == STOP_PASSED_ON


def stop_time(files: AttemptFiles) -> float | None:
    """When the attempt was about to be stopped by the supervisor, or the script of its job; None if never."""
    return _modified(files.stopped)


def write_plan(files: AttemptFiles, plan: Plan) -> None:
    """Write the plan and its texts into the attempt's folder; call this before any task can read them."""
    put(files.plan, json.dumps(plan.to_json()))
    if (text := failed_line.script_text(plan)) is not None:
        put(files.script, text)
    if plan.call is not None:
        put(files.call, plan.call)
    crashpoints.point("attempt.plan")


def claimed_pid(files: AttemptFiles) -> int | None:
    """The pid of the shim that claimed the attempt; 0 if it could not write its pid, None without a claim."""
    data = _read(files.claim, inside=files.root)
    if data is None:
        return None
    text = data[0].strip()
    return int(text) if text.isdigit() and len(text) <= LONGEST_PID else 0


def can_hold_record(files: AttemptFiles) -> bool:
    """Whether a shim can write the exit record: not if its folder was removed, or it is no file."""
    if is_regular(files.exit, follows_link=False):
        return True
    return files.directory.is_dir() and not os.path.lexists(files.exit)


def read_ending(files: AttemptFiles) -> AttemptEnd | None:
    """The attempt's end by the exit record of its shim or engine; None until a complete record exists."""
    found = _read(files.exit, inside=files.root)
    if found is None or not found[0].endswith(b"\n"):
        return None
    data, ended = found
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        record = None
    if not _is_record(record):
        return lost(f"its exit record is unreadable: {files.exit}")
    ending = interpret(record, files, ended)
    usage = read_usage(files.usage, inside=files.root)
    return ending if usage is None else replace(ending, usage=usage)


def _read(path: Path, *, inside: Path | None) -> tuple[bytes, float] | None:
    """The content of a small file of an attempt, and when it was written; None if there is no such file.

    The task may have removed its folder, or replaced a file by something that is not read, such as a FIFO.
    """
    try:
        descriptor = descriptor_to_read(path, follows_link=False, inside=inside)
    except (FileNotFoundError, NotADirectoryError, RefusedFileError):
        return None
    try:
        return os.read(descriptor, LONGEST), os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)


def _is_record(record: Any) -> bool:
    """Whether a shim can have written this; only a failed launch or a timeout has no exit code."""
    if not isinstance(record, dict):
        return False
    code = record.get("exit_code")
    is_known = type(code) is int or (code is None and ("launch" in record or bool(record.get("timeout"))))
    return is_known and all(isinstance(record.get(key, 0.0), int | float) for key in ("started", "ended"))


def interpret(record: Mapping[str, Any], files: AttemptFiles, ended: float) -> AttemptEnd:
    """The attempt's end by its exit record; `ended` (Unix seconds) is used if the record has no end time."""
    started = record.get("started", _modified(files.claim))
    ended = record.get("ended", ended)
    if "launch" in record:
        message = LAUNCH_TROUBLE.get(record["launch"], str(record["launch"]))
        return AttemptEnd(
            status=TaskStatus.FAILED, reason=Reason.LAUNCH, message=message, started=started, ended=ended
        )
    code = record.get("exit_code")
    if record.get("timeout"):
        message = "it ran longer than its timeout"
        if record.get("signal") == "KILL":
            message += " and had to be killed"
        return AttemptEnd(
            status=TaskStatus.FAILED,
            exit_code=code,
            reason=Reason.TIMEOUT,
            message=message,
            started=started,
            ended=ended,
        )
    ending = from_exit_code(int(code or 0), started=started, ended=ended)
    if record.get("oom") and ending.status is TaskStatus.FAILED:
        ending = replace(ending, reason=Reason.OOM, message="it ran out of memory")
    return ending


def _modified(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except OSError:
        return None


def read_usage(path: Path, *, inside: Path | None = None) -> Usage | None:
    """The usage in a file of a shim: a line `memory BYTES`, and the output of `times`; None if it is unknown.

    A shim writes this file if its supervisor cannot measure it.
    """
    try:
        found = _read(path, inside=inside)
    except OSError:
        return None
    if found is None:
        return None
    text = found[0][:LARGEST].decode("ascii", errors="replace")
    memory = re.search(r"^memory (\d{1,18})$", text, re.ASCII | re.MULTILINE)
    times = _TIMES.findall(text)
    cpu = None
    if len(times) > 1:  # the shell's own times, then those of its children
        parts = [float(part) for part in times[1]]
        cpu = round((parts[0] + parts[2]) * _MINUTE + parts[1] + parts[3], 3)
    usage = Usage(memory=int(memory[1]) if memory else None, cpu=cpu)
    return usage if usage.to_json() else None
