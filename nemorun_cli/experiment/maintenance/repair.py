"""Replaces a damaged ledger by one rebuilt from its remains and the attempts; the damaged one is kept."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerError, LockHeldError
from nemorun_cli.experiment.maintenance import fsck, rebuild
from nemorun_cli.storage import ledger, requests, supervision
from nemorun_cli.storage.spec_copies import read_spec
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks
from nemorun_cli.system.files import FILE_MODE, copy_file, is_regular, sync, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from nemorun_cli.experiment.maintenance.fsck import LedgerCheck
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles


RELEASE_WAIT: Final = 5.0  # seconds in which a supervisor must notice that the ledger is damaged
RELEASE_PAUSE: Final = 0.01  # seconds between looks at its lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The result of a repair: the new path of the damaged ledger, and how many events were kept and added."""

    set_aside: Path
    kept: int
    added: int


def repair(files: ExperimentFiles, *, home: Path) -> tuple[LedgerCheck, Repair | None]:
    """Check an experiment and rebuild its ledger if damaged; returns the check, and the repair if any.

    A living supervisor reads the damaged ledger again and ends, because nobody may write to it; its tasks
    continue.

    Raises:
        UsageError: it is a server's copy of another machine's experiment.
        LockHeldError: a supervisor is alive, or may be on another host; nothing was changed.
        LedgerNewerError: a newer version wrote the ledger; nothing was changed.
        LedgerError: the rebuilt ledger cannot be written; nothing was changed.
    """
    files.require_original()
    spec = read_spec(files)
    if (locks.is_held(files.supervisor_lock) or supervision.is_driven(files)) and not fsck.examine(
        files, spec
    ).is_sound:
        _release(files)
    with _exclusive(files):
        check = fsck.examine(files, spec)
        if check.is_sound:
            return check, None
        _refuse_elsewhere(files, check.read.events, spec)
        events = rebuild.rebuild(files, spec, check, home=home)
        try:
            damaged = _replace(files, ledger.encode(events))
        except OSError as error:
            raise LedgerError(f"cannot rebuild {files.ledger}: {error.strerror}") from error
    added = sum(rebuild.MARK in event for event in events)
    return check, Repair(set_aside=damaged, kept=len(events) - added, added=added)


def _release(files: ExperimentFiles) -> None:
    """Let a living supervisor read the damaged ledger, and wait until it has ended."""
    requests.wake(files, message=requests.VERIFY)
    end = time.monotonic() + RELEASE_WAIT
    while locks.is_held(files.supervisor_lock) and time.monotonic() < end:
        time.sleep(RELEASE_PAUSE)


@contextlib.contextmanager
def _exclusive(files: ExperimentFiles) -> Iterator[None]:
    """Keep supervisors and all writers away while the block runs."""
    import filelock  # noqa: PLC0415 - slow to import, and only for a repair

    supervisor = supervision.take(files)
    if supervisor is None:
        holder = locks.read_holder(files.supervisor_lock)
        who = f" (pid {holder.pid} on {holder.host})" if holder else ""
        is_stalled = supervision.stall(files, holder) is not None
        raise LockHeldError(
            f"{files.id} is supervised{who}; nothing was repaired",
            hint=f"it does not respond; end it: kill -9 {holder.pid if holder else 'PID'}, and repair again"
            if is_stalled
            else f"repair it when it has finished, or cancel it: exp cancel {files.id}",
        )
    try:
        with filelock.FileLock(files.ledger_lock, timeout=ledger.LOCK_WAIT, mode=FILE_MODE):
            yield
    except filelock.Timeout:
        pid = locks.holder_by_kernel(files.ledger_lock)
        raise LockHeldError(
            f"{files.ledger_lock} is held by {f'pid {pid}' if pid else 'another process'}"
        ) from None
    finally:
        os.close(supervisor)


def _refuse_elsewhere(files: ExperimentFiles, events: Iterable[Event], spec: Spec) -> None:
    """Refuse if the supervisor may be alive on another host, where its lock cannot be checked."""
    holder = locks.read_holder(files.supervisor_lock)
    history = ExperimentState.of(spec)
    history.apply_all(events)
    if holder is not None and not holder.is_this_host and not history.supervisor_is_over:
        raise LockHeldError(
            f"{files.id} may still be supervised on {holder.host}; nothing was repaired",
            hint=f"repair it on that host; if the host is lost: rm {files.supervisor_lock}",
        )


def _replace(files: ExperimentFiles, data: bytes) -> Path:
    """Put the rebuilt ledger in the place of the damaged one, which is renamed."""
    damaged, rebuilt = files.damaged_ledger(), files.rebuilt_ledger
    write_whole(rebuilt, data, is_durable=True)
    try:
        if not is_regular(files.ledger, follows_link=False):
            files.ledger.rename(damaged)
        else:
            damaged.hardlink_to(files.ledger)
    except OSError:  # a file system without hard links
        copy_file(files.ledger, damaged, mode=FILE_MODE)
    sync(files.directory)
    rebuilt.replace(files.ledger)
    sync(files.directory)
    return damaged
