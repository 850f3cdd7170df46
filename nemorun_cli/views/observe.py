"""Takes a snapshot of an experiment from its ledger, its supervisor and, without one, its attempts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerDamagedError, LedgerError, LedgerNewerError, NotFoundError
from nemorun_cli.model.spec import kin_of
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage import creation_mark, supervision
from nemorun_cli.storage.ledger import read_settled
from nemorun_cli.storage.paths import Home
from nemorun_cli.storage.spec_copies import read_spec
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import locks, owners, user
from nemorun_cli.views.snapshot import Snapshot, SupervisorState, tasks_of

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from nemorun_cli.model.capacity import PendingRequest
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.system.locks import Holder

LOOKERS_PATIENCE: Final = 1.0  # seconds to wait while another process observes
LOOKERS_PAUSE: Final = 0.01  # seconds between attempts to observe


def look(
    files: ExperimentFiles,
    *,
    home: Path,
    observe: bool = True,
    uses_records: bool = False,
    others: bool = False,
    patience: float = LOOKERS_PATIENCE,
    earlier: Snapshot | None = None,
) -> Snapshot:
    """The current state of an experiment.

    Args:
        files: the paths of the experiment.
        home: `$NEMORUN_HOME`.
        observe: whether to look at the tasks themselves if no supervisor is alive, and record the result.
        uses_records: whether the ends that attempts recorded themselves are used if no supervisor is alive,
            although nothing is observed.
        others: whether backends are also asked about an experiment that this home did not create.
        patience: seconds to wait while another process observes; after that, only the ledger is used.
        earlier: a snapshot whose history is continued, so that only what is new in the ledger is read.

    Raises:
        LedgerError: its files cannot be read.
        NotFoundError: it does not exist (any more).
    """
    # Check the lock first: a supervisor releases it only after it has written the final event.
    named = locks.named_holder(files.supervisor_lock)
    if earlier is not None and earlier.reader is not None:
        spec, history, reader = earlier.spec, earlier.history, earlier.reader
        events = reader.read()
    else:
        spec = read_spec(files)
        history = ExperimentState.of(spec)
        events, reader = read_settled(files.ledger)
    history.apply_all(events)
    if history.revision > spec.revision:  # a resume changed it just now
        return look(
            files, home=home, observe=observe, uses_records=uses_records, others=others, patience=patience
        )
    state, holder = supervisor_of(files, history, named)
    is_replica = files.is_replica
    observe = observe and not is_replica
    stall = supervision.stall(files, holder) if state == "alive" else None
    is_ledger_alone = True
    is_unrecorded = state == "gone" and uses_records and not observe and not is_replica
    if is_unrecorded or (stall is not None and observe):
        from nemorun_cli.views import exit_records  # noqa: PLC0415 - only if a supervisor does not respond

        exit_records.apply(history, files, spec)
        is_ledger_alone = False
    live = sum(
        history.counts[status] for status in (TaskStatus.SUBMITTED, TaskStatus.RUNNING, TaskStatus.UNKNOWN)
    )
    is_observed = state == "gone" and observe
    unasked = () if others or not is_observed else unasked_executors(files, spec, history, home)
    if is_observed:
        if observed := _observe(files, spec, history, home, unasked):
            history, live = observed
            is_ledger_alone = False
        elif patience > 0:  # another process observes, or a supervisor is starting
            time.sleep(LOOKERS_PAUSE)
            return look(files, home=home, others=others, patience=patience - LOOKERS_PAUSE)
    return Snapshot(
        files=files,
        spec=spec,
        history=history,
        supervisor=state,
        holder=holder,
        live=live,
        needless=_needless(spec, history) if state == "gone" and live else 0,
        torn=reader.torn,
        seen=time.time(),
        problem=_problem(files) if state == "alive" else None,
        waiting=_waiting(files, spec, history) if state == "alive" else None,
        stall=stall,
        not_observed=creation_mark.NOT_OBSERVED if unasked else None,
        is_replica=is_replica,
        reader=reader if is_ledger_alone else None,
    )


def unasked_executors(
    files: ExperimentFiles, spec: Spec, history: ExperimentState, home: Path
) -> tuple[str, ...]:
    """The executors of live tasks whose backends are not asked, because this home did not create them."""
    named = creation_mark.backends(spec)
    kin = zip(spec.ids, kin_of(tasks_of(spec, history)), strict=True)
    live = {task.executor for name, task in kin if history.tasks[name].is_live}
    if not live & named.keys() or creation_mark.is_own(Home(home), files, spec, history.supervisor):
        return ()
    return tuple(sorted(live & named.keys()))


def _needless(spec: Spec, history: ExperimentState) -> int:
    """How many live attempts only a supervisor stops, although their groups have ended with their leaders."""
    if not any(group.has_leader for group in spec.groups):
        return 0
    from nemorun_cli.views import needless  # noqa: PLC0415 - only for groups with a leader

    return len(needless.members(spec, history))


def _problem(files: ExperimentFiles) -> str | None:
    """Why the live supervisor cannot write the ledger, if it cannot."""
    holder = locks.read_holder(files.supervisor_lock)
    return holder.problem if holder else None


def _waiting(files: ExperimentFiles, spec: Spec, history: ExperimentState) -> PendingRequest | None:
    """The request for local capacity that the experiment waits for, if any."""
    if not history.counts[TaskStatus.PENDING] or not any(
        task.resources or task.searched for task in spec.possible_tasks
    ):
        return None
    from nemorun_cli.views import resource_wait  # noqa: PLC0415 - few experiments wait for slots

    waiting = resource_wait.waiting_of(files)
    return waiting.request if waiting else None


def supervisor_of(
    files: ExperimentFiles, history: ExperimentState, named: Holder | None
) -> tuple[SupervisorState, Holder | None]:
    """The supervisor's state, and the current or last one.

    Args:
        files: the paths of the experiment.
        history: its state by the ledger.
        named: the supervisor that held the lock before the ledger was read.
    """
    holder = history.supervisor
    if history.finished:
        return "ended", holder
    if files.is_replica:  # it has no lock, and the ledger may lag behind
        return "gone" if history.supervisor_is_over else "elsewhere", holder
    if named is not None and (holder is None or holder.is_this_host):
        return "alive", named
    if holder is not None and not holder.is_this_host:
        return "elsewhere", holder
    if not history.supervisor_is_over and supervision.has_lost_its_lock(files, holder):
        return "alive", holder
    return "gone", holder


def _observe(
    files: ExperimentFiles, spec: Spec, history: ExperimentState, home: Path, unasked: Collection[str]
) -> tuple[ExperimentState, int] | None:
    """Make one observing turn; returns the history and the number of live attempts.

    None if another process has acquired the lock. With `unasked` executors, nothing is recorded, and no
    secret is read.
    """
    from nemorun_cli.executors.unobserved import UnobservedExecutor  # noqa: PLC0415 - only if no supervisor is alive
    from nemorun_cli.spec import secret_values  # noqa: PLC0415 - the same
    from nemorun_cli.supervisor.loop import SupervisorLoop  # noqa: PLC0415 - the same
    from nemorun_cli.views import known_secrets  # noqa: PLC0415 - the same

    try:
        # What this process would create in the folder of another user, that user could not read.
        lock = supervision.take_nameless(files) if owners.is_own(files.directory) else -1
        if lock is None:
            return None
    except OSError:
        lock = -1  # a read-only home: the result is shown, but not recorded
    secrets = {} if unasked else known_secrets.of_experiment(files, spec, history)
    # With unknown secrets, an output that contains one would be recorded.
    can_check = not unasked and set(secrets) >= secret_values.of_tasks(spec)
    loop = SupervisorLoop(
        files,
        spec,
        secrets=secrets,
        home=home,
        by=user.author(),
        can_submit=False,
        makers=dict.fromkeys(unasked, UnobservedExecutor),
    )
    before = _size(files)
    try:
        loop.open()
        loop.observe(writes=lock >= 0 and can_check)
    except (LedgerDamagedError, LedgerNewerError, NotFoundError):
        raise
    except LedgerError:
        pass  # the result cannot be recorded now, but is still shown
    finally:
        loop.close()
        if lock >= 0:
            os.close(lock)
    if spec.server is not None and _size(files) != before:
        from nemorun_cli.storage import announcement  # noqa: PLC0415 - only for specs with a server

        announcement.announce(files, spec.server)
    return loop.history, loop.live


def _size(files: ExperimentFiles) -> int | None:
    """The size of the ledger, in bytes; None if it cannot be examined."""
    try:
        return files.ledger.stat().st_size
    except OSError:
        return None
