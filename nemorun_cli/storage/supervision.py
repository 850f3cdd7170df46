"""Whether a supervisor drives an experiment and responds: by its lock, its FIFO and its open files.

A lock file can be removed while its holder lives. So that no second supervisor starts, a free lock alone is
no evidence that none exists: a living supervisor reads its FIFO, and it has files of the experiment open.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Final, Literal

from nemorun_cli.storage import events, ledger
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import locks, pids
from nemorun_cli.system.files import descriptor_of_fifo, read_bytes
from nemorun_cli.system.locks import Holder

if TYPE_CHECKING:
    from pathlib import Path

RESPONSE_WAIT: Final = 5.0  # seconds after which a supervisor that has not read a wake-up does not respond

STARTED: Final = f'"event":"{events.SUPERVISOR_STARTED}"'.encode()  # as the ledger contains it

Stall = Literal["stopped", "frozen", "silent"]


def take(files: ExperimentFiles, *, patience: float = locks.PATIENCE) -> int | None:
    """Take the supervisor's lock; None if it is held, or a supervisor lives whose lock file was removed."""
    descriptor = locks.take(files.supervisor_lock, patience=patience)
    if descriptor is not None and is_driven(files):
        os.close(descriptor)
        return None
    return descriptor


def take_nameless(files: ExperimentFiles) -> int | None:
    """The same with a single try, for a process that is not a supervisor and has looked for one."""
    descriptor = locks.try_take_nameless(files.supervisor_lock)
    if descriptor is not None and _stays(files):
        os.close(descriptor)
        return None
    return descriptor


def is_driven(files: ExperimentFiles) -> bool:
    """Whether a supervisor lives, although its lock file may have been removed; reads the ledger."""
    return _stays(files) or has_lost_its_lock(files, _recorded(files))


def _recorded(files: ExperimentFiles) -> Holder | None:
    """The last supervisor in the ledger, found without reading all of its events."""
    try:
        data = read_bytes(files.ledger, limit=ledger.LARGEST_LEDGER, follows_link=False)
    except OSError:
        return None
    line = data.rfind(STARTED)
    event = ledger.parse(data[data.rfind(b"\n", 0, line) + 1 :].partition(b"\n")[0]) if line >= 0 else None
    return Holder.from_mapping(event) if event else None


def _stays(files: ExperimentFiles) -> bool:
    """Whether a process reads the FIFO, other than one that is exiting and has just released the lock."""
    end = time.monotonic() + locks.PATIENCE
    while is_listening(files):
        if time.monotonic() > end:
            return True
        time.sleep(locks.PAUSE)
    return False


def is_listening(files: ExperimentFiles) -> bool:
    """Whether a process has the FIFO open to read wake-ups, as only a supervisor does."""
    try:
        os.close(descriptor_of_fifo(files.wake, os.O_WRONLY))
    except OSError:  # there is no FIFO, or nobody reads it
        return False
    return True


def has_lost_its_lock(files: ExperimentFiles, holder: Holder | None) -> bool:
    """Whether the supervisor that the ledger names lives, although nobody holds the lock of its name."""
    if holder is None or not holder.is_here or holder.pid == os.getpid() or not pids.exists(holder.pid):
        return False
    return _stays(files) or _has_open(files.directory, holder.pid)


def _has_open(folder: Path, pid: int) -> bool:
    """Whether a process has a file of an experiment open that only a supervisor keeps open."""
    files = ExperimentFiles(folder.resolve())
    kept = {str(files.supervisor_lock), str(files.wake)}
    return any(path.removesuffix(" (deleted)") in kept for path in pids.open_files(pid))


def stall(files: ExperimentFiles, holder: Holder | None) -> Stall | None:
    """Why a living supervisor of this host does not respond; None if it does, or this cannot be known."""
    if holder is None or not holder.is_here:
        return None
    return pids.halt(holder.pid) or ("silent" if _is_silent(files) else None)


def _is_silent(files: ExperimentFiles) -> bool:
    """Whether the FIFO has contained a wake-up for longer than RESPONSE_WAIT."""
    try:
        descriptor = descriptor_of_fifo(files.wake, os.O_RDONLY)
    except OSError:
        return False
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        is_unread = any(event & select.POLLIN for _, event in poll.poll(0))
        return is_unread and time.time() - os.fstat(descriptor).st_mtime > RESPONSE_WAIT
    finally:
        os.close(descriptor)
