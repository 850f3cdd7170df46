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
from nemorun_cli.storage.paths import AttemptFiles
from nemorun_cli.system import crashpoints, locks
from nemorun_cli.system.files import (
    FILE_MODE,
    FOLDER_MODE,
    RefusedFileError,
    descriptor_to_change,
    descriptor_to_read,
    enter,
    enter_below,
    is_regular,
    make_folder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.plan import Plan
    from nemorun_cli.storage.paths import ExperimentFiles

LONGEST: Final = 1 << 14  # bytes that are read of a claim, an exit record or a usage
LONGEST_PID: Final = 10  # digits; a task may have written any number
NOT_A_FOLDER: Final = "it is no folder: an earlier attempt of the task put something else in its place"
STOP_PASSED_ON: Final = b"passed on\n"  # in the note of a stop
STOPPED_BY_JOB: Final = b"job"  # in the note of a stop by the script of a job
LAUNCH_TROUBLE: Final = {"workdir": "its workdir cannot be entered"}
# The names of files in an attempt's folder, for those who have a descriptor of it.
_NAMES: Final = AttemptFiles(Path())
LOCK: Final = _NAMES.lock.name
LOG: Final = _NAMES.log.name
STDERR: Final = _NAMES.stderr.name
PLAN: Final = _NAMES.plan.name
SCRIPT: Final = _NAMES.script.name
CALL: Final = _NAMES.call.name
CLAIM: Final = _NAMES.claim.name
EXIT: Final = _NAMES.exit.name
USAGE: Final = _NAMES.usage.name

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


def make_folders(files: AttemptFiles) -> bool:
    """Make the attempt's folder and its task's folder; return whether the attempt's folder is new.

    Raises:
        RefusedFileError: a link has its place, or that of a folder above it in the experiment.
        OSError: it cannot be made.
    """
    folder = make_new_folder(files)
    if folder is not None:
        os.close(folder)
    return folder is not None


def make_new_folder(files: AttemptFiles) -> int | None:
    """Do the same; return a descriptor of the attempt's folder, for its files, or None if it is not new."""
    root = files.root or files.directory.parent
    try:
        folder = _make(files, root)
    except FileNotFoundError:  # somebody removed the experiment
        make_folder(root)
        folder = _make(files, root)
    if folder is not None:
        crashpoints.point("attempt.folder")
    return folder


def _make(files: AttemptFiles, root: Path) -> int | None:
    above, name = os.path.split(files.directory)
    folder = enter(above, inside=root, creates=True)
    try:
        try:
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)
        except FileExistsError:
            _remove_traps(files)  # earlier attempts can write in the task's folder
            return None
        return enter_below(name, folder=folder, path=files.directory)
    finally:
        os.close(folder)


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
    _put(path, text)


def _put(path: str | Path, text: str, *, folder: int | None = None) -> None:
    """Do the same at a path that may start from a folder."""
    data = memoryview(text.encode())
    try:
        descriptor = os.open(path, _NEW | os.O_EXCL, FILE_MODE, dir_fd=folder)
    except FileExistsError:
        os.unlink(path, dir_fd=folder)
        descriptor = os.open(path, _NEW | os.O_EXCL, FILE_MODE, dir_fd=folder)
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


def write_plan(files: AttemptFiles, plan: Plan, *, folder: int | None = None) -> None:
    """Write the plan and its texts into the attempt's folder; call this before any task can read them.

    Args:
        files: of the attempt.
        plan: its plan.
        folder: the descriptor of its folder, if there is one.
    """
    texts = {PLAN: json.dumps(plan.to_json())}
    if (text := failed_line.script_text(plan)) is not None:
        texts[SCRIPT] = text
    if plan.call is not None:
        texts[CALL] = plan.call
    try:
        for name, text in texts.items():
            _put(name if folder is not None else files.directory / name, text, folder=folder)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(files.directory / name)) from error
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
    return _ending(files, _read(files.exit, inside=files.root))


def examine(files: AttemptFiles) -> tuple[bool, AttemptEnd | None]:
    """Whether the attempt's lock is held, and then its end as `read_ending` reads it."""
    try:
        folder = enter(files.directory, inside=files.root or files.directory)
    except OSError:  # it was removed, or there is a link
        return locks.is_held(files.lock), read_ending(files)
    try:
        is_held = locks.is_held(LOCK, folder=folder)
        return is_held, _ending(files, _read(EXIT, inside=None, folder=folder), folder=folder)
    finally:
        os.close(folder)


def _ending(
    files: AttemptFiles, found: tuple[bytes, float] | None, *, folder: int | None = None
) -> AttemptEnd | None:
    """The end of an attempt by the content and the time of its exit record; `folder` is its descriptor."""
    if found is None or not found[0].endswith(b"\n"):
        return None
    data, ended = found
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        record = None
    if not _is_record(record):
        return lost(f"its exit record is unreadable: {files.exit}")
    if folder is None:
        claimed = _modified(files.claim)
        usage = read_usage(files.usage, inside=files.root)
    else:
        claimed = _modified(CLAIM, folder=folder)
        has_usage = os.access(USAGE, os.F_OK, dir_fd=folder)  # few attempts have one
        usage = read_usage(USAGE, folder=folder) if has_usage else None
    ending = _interpreted(record, started=claimed, ended=ended)
    return ending if usage is None else replace(ending, usage=usage)


def _read(path: str | Path, *, inside: Path | None, folder: int | None = None) -> tuple[bytes, float] | None:
    """The content of a small file of an attempt, and when it was written; None if there is no such file.

    The task may have removed its folder, or replaced a file by something that is not read, such as a FIFO.
    """
    try:
        if folder is None:
            os.lstat(path)  # cheaper than to open each folder, and most often there is no file yet
        descriptor = descriptor_to_read(path, follows_link=False, inside=inside, folder=folder)
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
    return _interpreted(record, started=_modified(files.claim), ended=ended)


def _interpreted(record: Mapping[str, Any], *, started: float | None, ended: float) -> AttemptEnd:
    """The same; `started` and `ended` are used if the record has no such times."""
    started, ended = record.get("started", started), record.get("ended", ended)
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


def _modified(path: str | Path, *, folder: int | None = None) -> float | None:
    try:
        return os.lstat(path, dir_fd=folder).st_mtime
    except OSError:
        return None


def read_usage(path: str | Path, *, inside: Path | None = None, folder: int | None = None) -> Usage | None:
    """The usage in a file of a shim: a line `memory BYTES`, and the output of `times`; None if it is unknown.

    A shim writes this file if its supervisor cannot measure it.
    """
    try:
        found = _read(path, inside=inside, folder=folder)
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
