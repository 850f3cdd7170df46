"""Starts the sender of an outbox, a process of its own that no program waits for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.system.files import descriptor_to_change
from nemorun_cli.tracking.store.presence import is_held

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox

MODULE: Final = "nemorun_cli.replication.sender"
PULL_MODULE: Final = "nemorun_cli.replication.pull"
STARTING_VARIABLE: Final = "EXP_SENDER_STARTING"  # the descriptor of the lock of its start
SETTLING: Final = 5.0  # seconds in which a process does not start a second sender
ENDING: Final = 1.0  # seconds to wait for the end of a sender
POLL: Final = 0.01  # seconds
_INSTALLED: Final = ("site-packages", "dist-packages")

# A shell starts it and ends at once, so that it is no child of the program: nobody has to reap it, and a
# program that waits for any child of its own does not meet it.
_DETACH: Final = '"$@" </dev/null >/dev/null 2>&1 &'

_started: dict[str, float] = {}  # by outbox: when this process started its sender, by the monotonic clock


def ensure(outbox: Outbox) -> bool:
    """Start the sender unless one is there; returns whether one is there, or was started.

    It needs a marker to be of use, which is written before: a sender that ends looks once more after it has
    released its lock. Until a sender has its lock, it holds that of its start, so that of many programs that
    begin at the same time, one starts a sender.
    """
    now = time.monotonic()
    before = _started.get(outbox.folder)
    if is_alive(outbox) or (before is not None and now - before < SETTLING):
        return True
    command = python(MODULE, outbox.folder)
    if command is None:
        return False
    try:
        descriptor = descriptor_to_change(outbox.starting)
    except OSError:
        return False
    try:
        with contextlib.suppress(OSError):  # no locks on this file system
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        if not _spawn(command, descriptor):
            return False
    finally:
        os.close(descriptor)
    _started[outbox.folder] = now
    return True


def end_without_token(outbox: Outbox, pid: int) -> None:
    """End a sender that has no valid token, as this process has one in its environment, which it cannot get.

    Args:
        outbox: whose sender it is.
        pid: of the sender, by its own word.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            words = stream.read().split(b"\0")
    except OSError:
        return
    if MODULE.encode() not in words or os.fsencode(outbox.folder) not in words:
        return
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + ENDING
    while is_alive(outbox) and time.monotonic() < end:
        time.sleep(POLL)
    _started.pop(outbox.folder, None)


def _spawn(command: list[str], descriptor: int) -> bool:
    """Start a detached process that inherits a descriptor; returns whether that worked."""
    import subprocess  # noqa: PLC0415 - only programs with a server need it

    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment(), STARTING_VARIABLE: str(descriptor)},
            cwd="/",
            start_new_session=True,
            pass_fds=(descriptor,),
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def settled() -> None:
    """In a sender that has its lock: release that of its start, which it has inherited."""
    with contextlib.suppress(KeyError, ValueError, OSError):
        os.close(int(os.environ.pop(STARTING_VARIABLE)))


def is_alive(outbox: Outbox) -> bool:
    """Whether a sender holds the lock of the outbox; False also where locks are not supported.

    The probe takes the lock for an instant. A process that finds it free starts a sender, so that of several
    probes and senders at once, one sender is left.
    """
    try:
        return bool(is_held(outbox.lock))
    except OSError:
        return False


def python(module: str, *arguments: str) -> list[str] | None:
    """The command that runs a module of this package; None where the interpreter is not known.

    In a frozen program, `sys.executable` is the program itself.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """The environment of this process, in which another interpreter finds this package in any folder."""
    variables = dict(os.environ)
    package = os.path.dirname(os.path.abspath(__file__)).removesuffix("/tracking/outbox")
    folders = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    with contextlib.suppress(OSError):  # the working folder was removed
        folders = [os.path.abspath(path) for path in folders]
    above = os.path.dirname(package)
    if os.path.basename(above) not in _INSTALLED and above not in folders:
        folders.insert(0, above)  # an editable installation, or a program that set sys.path itself
    if folders:
        variables["PYTHONPATH"] = os.pathsep.join(folders)
    return variables
