"""Gets what a server has of a record before it is opened, by a process of its own."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.system.files import descriptor_to_change, make_folder
from nemorun_cli.tracking.outbox import sender_process
from nemorun_cli.tracking.outbox.markers import short_name

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox

FOLDER: Final = "pulls"  # in an outbox: one lock for each record
ANSWER: Final = 2.0  # seconds that a server may take for each read of its answer
LONGEST: Final = 120.0  # seconds of a pull that makes progress, before a record is opened
LISTED: Final = "listed"  # the line of a pull whose server has named the files of the record
RECENT: Final = 60.0  # seconds: another rank of the job has just pulled
POLL: Final = 0.02  # seconds


class PullResult(enum.Enum):
    """What a pull found; the values are its exit codes. `PARTLY`: the server has more than is here now."""

    DONE = 0
    NO_RECORD = 3
    PARTLY = 4
    AWAY = 6
    EXISTS = 8


class Pull(NamedTuple):
    """The result of a pull, and why it failed, in the words of its process."""

    result: PullResult
    message: str = ""


def pull(
    outbox: Outbox,
    prefix: str,
    *,
    creates: bool = False,
    rank: int | None = None,
    limit: float | None = LONGEST,
) -> Pull:
    """Get what the server has of a record and this machine has not.

    Of several processes that open a record at the same time, such as the ranks of a job, one pulls, and the
    others wait for it.

    Args:
        outbox: of the root and the server.
        prefix: the record.
        creates: whether the record must not exist, and is created on the server instead.
        rank: of this process in its job.
        limit: seconds for all of it; None for as long as the server sends something.
    """
    end = None if limit is None else time.monotonic() + limit
    if creates:
        return _run(outbox, prefix, creates=True, end=end)
    began = time.time()
    try:
        make_folder(f"{outbox.folder}/{FOLDER}")
        path = f"{outbox.folder}/{FOLDER}/{short_name(prefix)}"
        descriptor = descriptor_to_change(path)
    except OSError:
        return _run(outbox, prefix, end=end)
    try:
        if not _wait_for(descriptor, end=end):
            return Pull(PullResult.AWAY, "another process still gets it")
        if (before := _recent(descriptor, since=began - RECENT if rank else began)) is not None:
            return before
        found = _run(outbox, prefix, end=end)
        with contextlib.suppress(OSError):
            data = json.dumps({"time": time.time(), "result": found.result.value, "message": found.message})
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, data.encode(), 0)
        return found
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, *, end: float | None) -> bool:
    """Wait for the pull of another process; returns False if it takes too long."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(POLL)
        except OSError:  # no locks on this file system
            return True
        else:
            return True


def _recent(descriptor: int, *, since: float) -> Pull | None:
    """The result of a pull that ended after a time, in Unix seconds; None without one."""
    try:
        content = json.loads(os.pread(descriptor, 1 << 16, 0))
        if since <= content["time"] <= time.time():
            return Pull(PullResult(content["result"]), str(content["message"]))
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return None


def _run(outbox: Outbox, prefix: str, *, creates: bool = False, end: float | None) -> Pull:
    options = ["--timeout", str(ANSWER), *(["--create"] if creates else [])]
    command = sender_process.python(sender_process.PULL_MODULE, outbox.folder, prefix, *options)
    if command is None:
        return Pull(PullResult.AWAY, "the Python interpreter of this program is not known")
    import subprocess  # noqa: PLC0415 - only programs with a server need it

    left = None if end is None else max(0.0, end - time.monotonic())
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=sender_process.environment(),
            timeout=left,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return _cut(error.stdout, f"it took longer than {left:.3g} s")
    except OSError as error:
        return Pull(PullResult.AWAY, error.strerror or str(error))
    if done.returncode == -signal.SIGALRM:  # it has limited itself
        return _cut(done.stdout, f"{outbox.url} answers too slowly")
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    message = lines[-1] if lines else ""
    known = {result.value: result for result in PullResult}
    return Pull(known.get(done.returncode, PullResult.AWAY), message)


def _cut(output: bytes | None, message: str) -> Pull:
    """The result of a pull that was ended."""
    is_listed = LISTED.encode() in (output or b"")
    return Pull(PullResult.PARTLY if is_listed else PullResult.AWAY, message)
