"""Gets what a server has of a record before it is opened, by a process of its own."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.system.files import descriptor_to_change, make_folder
from nemorun_cli.tracking.outbox import sender_process
from nemorun_cli.tracking.outbox.markers import short_name

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox

FOLDER: Final = "pulls"  # in an outbox: one lock for each record
ANSWER: Final = 2.0  # seconds that a server may take to answer
LONGEST: Final = 120.0  # seconds of a pull that makes progress
RECENT: Final = 60.0  # seconds: another rank of the job has just pulled
POLL: Final = 0.02  # seconds


class PullResult(enum.Enum):
    """What a pull found; the values are its exit codes."""

    DONE = 0
    NO_RECORD = 3
    AWAY = 6
    EXISTS = 8


class Pull(NamedTuple):
    """The result of a pull, and why it failed, in the words of its process."""

    result: PullResult
    message: str = ""


def pull(outbox: Outbox, prefix: str, *, creates: bool = False, rank: int | None = None) -> Pull:
    """Get what the server has of a record and this machine has not.

    Of several processes that open a record at the same time, such as the ranks of a job, one pulls, and the
    others wait for it.

    Args:
        outbox: of the root and the server.
        prefix: the record.
        creates: whether the record must not exist, and is created on the server instead.
        rank: of this process in its job.
    """
    if creates:
        return _run(outbox, prefix, creates=True)
    began = time.time()
    try:
        make_folder(f"{outbox.folder}/{FOLDER}")
        path = f"{outbox.folder}/{FOLDER}/{short_name(prefix)}"
        descriptor = descriptor_to_change(path)
    except OSError:
        return _run(outbox, prefix)
    try:
        _wait_for(descriptor)
        if (before := _recent(descriptor, since=began - RECENT if rank else began)) is not None:
            return before
        found = _run(outbox, prefix)
        with contextlib.suppress(OSError):
            data = json.dumps({"time": time.time(), "result": found.result.value, "message": found.message})
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, data.encode(), 0)
        return found
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int) -> None:
    """Wait for the pull of another process, as long as that may take."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(POLL)
        except OSError:  # no locks on this file system
            return
        else:
            return


def _recent(descriptor: int, *, since: float) -> Pull | None:
    """The result of a pull that ended after a time, in Unix seconds; None without one."""
    try:
        content = json.loads(os.pread(descriptor, 1 << 16, 0))
        if since <= content["time"] <= time.time():
            return Pull(PullResult(content["result"]), str(content["message"]))
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return None


def _run(outbox: Outbox, prefix: str, *, creates: bool = False) -> Pull:
    options = ["--timeout", str(ANSWER), *(["--create"] if creates else [])]
    command = sender_process.python(sender_process.PULL_MODULE, outbox.folder, prefix, *options)
    if command is None:
        return Pull(PullResult.AWAY, "the Python interpreter of this program is not known")
    import subprocess  # noqa: PLC0415 - only programs with a server need it

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=sender_process.environment(),
            timeout=LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Pull(PullResult.AWAY, f"it took longer than {LONGEST:g} s")
    except OSError as error:
        return Pull(PullResult.AWAY, error.strerror or str(error))
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    message = lines[-1] if lines else ""
    known = {result.value: result for result in PullResult}
    return Pull(known.get(done.returncode, PullResult.AWAY), message)
