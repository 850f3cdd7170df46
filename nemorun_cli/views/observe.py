"""Looks at an experiment: its ledger, its supervisor, and without one its attempts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError, NotFoundError
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage.ledger import read_settled
from nemorun_cli.storage.spec_copies import read_spec
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks
from nemorun_cli.views.snapshot import Snapshot, SupervisorState

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.capacity import PendingRequest
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.system.locks import Holder


LOOKERS_PATIENCE: Final = 1.0  # seconds for which a look waits while somebody else takes one


LOOKERS_PAUSE: Final = 0.01  # seconds between its tries


def look(
    files: ExperimentFiles, *, home: Path, observe: bool = True, patience: float = LOOKERS_PATIENCE
) -> Snapshot:
    """How an experiment stands now.

    Args:
        files: where it lies.
        home: `$NEMORUN_HOME`.
        observe: whether to look at the tasks themselves where no supervisor does, and write it down.
        patience: seconds to wait for others who look; then the ledger has to do.

    Raises:
        LedgerError: its files cannot be read.
        NotFoundError: it is not there (any more).
    """
    # The lock first: a supervisor lets go of it only after it has written the end.
    is_held = locks.is_held_by_name(files.supervisor_lock)
    spec = read_spec(files)
    history = ExperimentState.of(spec)
    events, reader = read_settled(files.ledger)
    history.apply_all(events)
    if history.revision > spec.revision:  # a resume changed it just now
        return look(files, home=home, observe=observe, patience=patience)
    holder = history.supervisor
    state = _supervisor_state(history, holder, is_held=is_held)
    live = sum(
        history.counts[status] for status in (TaskStatus.SUBMITTED, TaskStatus.RUNNING, TaskStatus.UNKNOWN)
    )
    if state == "gone" and observe:
        if found := _observe(files, spec, home):
            history, live = found
        elif patience > 0:  # somebody else looks, or a supervisor is just beginning
            time.sleep(LOOKERS_PAUSE)
            return look(files, home=home, patience=patience - LOOKERS_PAUSE)
    return Snapshot(
        files=files,
        spec=spec,
        history=history,
        supervisor=state,
        holder=holder,
        live=live,
        torn=reader.torn,
        seen=time.time(),
        waiting=_waiting(files, spec, history) if state == "alive" else None,
    )


def _waiting(files: ExperimentFiles, spec: Spec, history: ExperimentState) -> PendingRequest | None:
    """What the experiment waits for on this machine, asked only where a task may."""
    if not history.counts[TaskStatus.PENDING] or not any(task.resources for task in spec.tasks):
        return None
    from nemorun_cli.views import resource_wait  # noqa: PLC0415 - few experiments wait for slots

    waiting = resource_wait.waiting_of(files)
    return waiting.wish if waiting else None


def _supervisor_state(history: ExperimentState, holder: Holder | None, *, is_held: bool) -> SupervisorState:
    if history.finished:
        return "ended"
    if is_held and (holder is None or holder.is_this_host):
        return "alive"
    if holder is not None and not holder.is_this_host:
        return "elsewhere"
    return "gone"


def _observe(files: ExperimentFiles, spec: Spec, home: Path) -> tuple[ExperimentState, int] | None:
    """One observing turn; None if somebody else holds the lock by now."""
    from nemorun_cli.spec import secret_values  # noqa: PLC0415 - only where no supervisor lives
    from nemorun_cli.storage.requests import who  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor.loop import SupervisorLoop  # noqa: PLC0415 - the same

    try:
        lock = locks.try_take_nameless(files.supervisor_lock)
        if lock is None:
            return None
    except OSError:
        lock = -1  # a home that is read-only: nothing is written, what is found is shown
    secrets = secret_values.known(spec)
    can_check = set(secrets) >= secret_values.of_tasks(spec)  # else an output might hold one unseen
    supervision = SupervisorLoop(files, spec, secrets=secrets, home=home, by=who(), can_submit=False)
    try:
        supervision.open()
        supervision.observe(writes=lock >= 0 and can_check)
    except (LedgerDamagedError, LedgerNewerError, NotFoundError):
        raise
    except LedgerError:
        pass  # what was learned cannot be written down now, and is shown all the same
    finally:
        supervision.close()
        if lock >= 0:
            os.close(lock)
    return supervision.history, supervision.live
