"""Starts the sender of an outbox, a process of its own that no program waits for."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox

MODULE: Final = "nemorun_cli.replication.sender"
PULL_MODULE: Final = "nemorun_cli.replication.pull"
SETTLING: Final = 5.0  # seconds until a sender that was started has its lock
_INSTALLED: Final = ("site-packages", "dist-packages")

# A shell starts it and ends at once, so that it is no child of the program: nobody has to reap it, and a
# program that waits for any child of its own does not meet it.
_DETACH: Final = '"$@" </dev/null >/dev/null 2>&1 &'

_started: dict[str, float] = {}  # by outbox: when this process started its sender, by the monotonic clock


def ensure(outbox: Outbox) -> bool:
    """Start the sender unless one is there; returns whether one is there, or was started.

    It needs a marker to be of use, which is written before: a sender that ends looks once more after it has
    released its lock.
    """
    now = time.monotonic()
    before = _started.get(outbox.folder)
    if is_alive(outbox) or (before is not None and now - before < SETTLING):
        return True
    command = python(MODULE, outbox.folder)
    if command is None:
        return False
    import subprocess  # noqa: PLC0415 - only programs with a server need it

    try:
        code = subprocess.run(
            ["/bin/sh", "-c", _DETACH, "sh", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            cwd="/",
            start_new_session=True,
            check=False,
        ).returncode
    except OSError:
        return False
    if code == 0:
        _started[outbox.folder] = now
    return code == 0


def is_alive(outbox: Outbox) -> bool:
    """Whether a sender holds the lock of the outbox.

    The probe takes the lock for an instant. Whoever finds it free starts a sender, so that of several probes
    and senders at once, one sender is left.
    """
    try:
        descriptor = os.open(outbox.lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system
        return False
    finally:
        os.close(descriptor)
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
    folders = [os.path.abspath(path) for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    above = os.path.dirname(package)
    if os.path.basename(above) not in _INSTALLED and above not in folders:
        folders.insert(0, above)  # an editable installation, or a program that set sys.path itself
    if folders:
        variables["PYTHONPATH"] = os.pathsep.join(folders)
    return variables
