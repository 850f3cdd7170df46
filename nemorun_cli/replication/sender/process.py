"""The process of a sender: one for a machine, a root and a server, guarded by the lock of the outbox."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.replication.sender import known_roots, outbox_files
from nemorun_cli.replication.sender.turns import OutboxSender
from nemorun_cli.system import locks
from nemorun_cli.tracking.outbox import notes, sender_process

if TYPE_CHECKING:
    from nemorun_cli.tracking.outbox.markers import Outbox

LINGER: Final = 60.0  # seconds after the last delivery in which it stays for what comes
LINGER_VARIABLE: Final = "EXP_SENDER_LINGER"
FAULT: Final = 70  # the exit code of a fault in `exp` itself
LOCK_PATIENCE: Final = 0.5  # seconds: a probe of the lock takes it for an instant
NICENESS: Final = 10


def main(arguments: list[str]) -> int:
    """Ship until nothing is left to do; returns the exit code."""
    if len(arguments) != 1 or (outbox := notes.outbox_at(os.path.abspath(arguments[0]))) is None:
        sys.stderr.write("usage: python -P -m nemorun_cli.replication.sender OUTBOX_FOLDER\n")
        return 2
    _detach()
    signal.signal(signal.SIGTERM, _end)
    try:
        ship(outbox, linger=_linger())
    except Exception:  # noqa: BLE001 - the end of the process; the next opening, or `exp sync`, starts another one
        outbox_files.SenderLog(outbox).write(f"ended by a fault: {traceback.format_exc()}")
        return FAULT
    return 0


def ship(outbox: Outbox, *, linger: float) -> None:
    """Ship as the only sender of an outbox; returns at once if there is one.

    A program that starts a sender while another one is ending finds the lock taken: so the one that ends
    looks once more after it has released the lock.
    """
    while (descriptor := locks.take(Path(outbox.lock), patience=LOCK_PATIENCE)) is not None:
        known_roots.note(outbox)
        sender_process.settled()
        sender = OutboxSender(outbox, outbox_files.SenderLog(outbox))
        try:
            sender.run(linger=linger)
        finally:
            sender.close()
            os.close(descriptor)
        left = outbox_files.markers(outbox).keys()
        if left <= sender.markers:
            if not left:
                known_roots.forget(outbox)
            return


def _linger() -> float:
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, float(os.environ[LINGER_VARIABLE])) if LINGER_VARIABLE in os.environ else LINGER
    return LINGER


def _detach() -> None:
    """Leave the session, terminal and folder of the program that started this; work with low priority."""
    with contextlib.suppress(OSError):
        os.setsid()
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    os.chdir("/")
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)


def _end(_signal: int, _frame: object) -> None:
    raise SystemExit(0)
