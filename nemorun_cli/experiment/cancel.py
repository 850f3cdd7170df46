"""Cancelling tasks: a request in the ledger, carried out by the supervisor or, without one, here."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import EngineError, NotOverError, UsageError
from nemorun_cli.executors.unobserved import UnobservedExecutor
from nemorun_cli.model.attempt_end import signal_number
from nemorun_cli.storage import announcement, supervision
from nemorun_cli.storage.requests import request
from nemorun_cli.supervisor.loop import SupervisorLoop
from nemorun_cli.system import user
from nemorun_cli.system.locks import HeldLock
from nemorun_cli.views import known_secrets, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.views.snapshot import Snapshot

SLACK: Final = 20.0  # seconds after the longest grace period until survivors are reported
STALL_WAIT: Final = 3.0  # seconds that the supervisor may fail to respond until that is reported
LOOK_EVERY: Final = 0.02  # seconds between looks at the ledger while waiting


def cancel(
    files: ExperimentFiles,
    home: Home,
    tasks: Sequence[str],
    *,
    signal: str | None,
    grace: float | None,
    abandon: bool,
    others: bool,
    earlier: Snapshot | None = None,
) -> Snapshot:
    """See `Run.cancel`; `earlier` is a snapshot of the experiment, which this continues."""
    files.require_original()
    snapshot = observe.look(files, home=home.directory, others=others, earlier=earlier)
    names = snapshot.match_tasks(tasks) if tasks else None
    if signal is not None:
        try:
            signal_number(signal)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if snapshot.is_over:
        return snapshot
    if snapshot.supervisor == "elsewhere" and not abandon:
        host = snapshot.holder.host if snapshot.holder else "another host"
        raise EngineError(
            f"{files.id} runs on {host}",
            hint="cancel it on that host, or give up on it with --abandon",
        )
    if snapshot.not_observed and not abandon:
        raise UsageError(
            f"{files.id}: {snapshot.not_observed}",
            hint="if you trust it, cancel it with --observe, which asks where it runs; or use --abandon",
        )
    targets = _targets_of_whole(snapshot) if names is None else names
    ask = partial(request, files, names, signal=signal, grace=grace, abandon=abandon)
    ask()
    patience = (
        SLACK + max((task.stop_grace for task in snapshot.tasks), default=0.0)
        if grace is None
        else SLACK + grace
    )
    after = _wait(snapshot, home, targets, patience, is_whole=names is None, ask=ask, others=others)
    announcement.changed(files)  # without a supervisor, this process has recorded the ends
    return after


def _targets_of_whole(snapshot: Snapshot) -> list[str]:
    """The tasks that cancelling the whole experiment affects; the handlers once all tasks have finished."""
    history = snapshot.history
    return sorted(history.handlers) if history.outcome else list(history.tasks.keys() - history.handlers)


def _wait(
    before: Snapshot,
    home: Home,
    names: Sequence[str],
    patience: float,
    *,
    is_whole: bool,
    ask: Callable[[], object],
    others: bool,
) -> Snapshot:
    files, resumed = before.files, before.history.resumed
    deadline = limit = time.monotonic() + patience
    snapshot, survivors, counts = before, names, None
    while True:
        now = time.monotonic()
        snapshot = observe.look(files, home=home.directory, observe=False, earlier=snapshot)
        is_resumed = snapshot.history.resumed != resumed  # what had ended may run again
        if counts != snapshot.history.counts or is_resumed:
            survivors = _survivors(snapshot, names if is_resumed else survivors)
            counts = snapshot.history.counts.copy()
        took = time.monotonic() - now
        if not survivors and (not is_whole or snapshot.is_over or _has_handlers_left(snapshot, names)):
            return snapshot
        if is_resumed:  # by somebody who did not know of the request
            resumed, deadline = snapshot.history.resumed, now + patience
            ask()
        # A silent supervisor may only be busy, as with a slow engine; one that is stopped will do nothing.
        is_halted = snapshot.stall in ("stopped", "frozen")
        limit = min(limit, now + STALL_WAIT) if is_halted else deadline
        if now > limit:
            raise _not_over(snapshot, survivors, patience)
        if snapshot.supervisor != "alive":
            _cancel_without_supervisor(home, snapshot, names, deadline, others=others)
        time.sleep(max(LOOK_EVERY, took))  # a look at a hundred thousand tasks takes a while


def _not_over(snapshot: Snapshot, survivors: Sequence[str], patience: float) -> NotOverError:
    experiment_id = snapshot.files.id
    named = ", ".join(survivors[:10]) or experiment_id
    if snapshot.stall_text:
        return NotOverError(
            f"{experiment_id}: {snapshot.stall_text}; the cancel is recorded, but not carried out: {named}",
            hint=f"{snapshot.stall_remedy}; then cancel again: exp cancel {experiment_id}",
        )
    return NotOverError(
        f"still running after {patience:g} s: {named}",
        hint=f"see why with: exp why {experiment_id} TASK; abandon them with --abandon",
    )


def _has_handlers_left(snapshot: Snapshot, names: Sequence[str]) -> bool:
    """Whether a live supervisor continues with handlers, which the request does not cancel."""
    history = snapshot.history
    return bool(history.outcome) and snapshot.supervisor == "alive" and history.handlers.isdisjoint(names)


def _cancel_without_supervisor(
    home: Home, snapshot: Snapshot, names: Sequence[str], deadline: float, *, others: bool
) -> None:
    """Act as the supervisor, holding its lock until all tasks have terminated."""
    lock = supervision.take_nameless(snapshot.files)
    if lock is None:
        return
    held = HeldLock(snapshot.files.supervisor_lock, lock)
    files, spec = snapshot.files, snapshot.spec
    unasked = () if others else observe.unasked_executors(files, spec, snapshot.history, home.directory)
    secrets = {} if unasked else known_secrets.of_experiment(files, spec, snapshot.history)
    loop = SupervisorLoop(
        snapshot.files,
        snapshot.spec,
        secrets=secrets,
        home=home.directory,
        by=user.author(),
        can_submit=False,
        makers=dict.fromkeys(unasked, UnobservedExecutor),
        lock=held,
    )
    try:
        loop.open()
        while time.monotonic() < deadline:
            loop.turn()
            loop.journal.flush()
            if all(not loop.history.tasks[name].is_live or _was_never_started(loop, name) for name in names):
                break
            loop.sleep()
        loop.remove_shared()
    finally:
        loop.close()
        held.close()


def _was_never_started(loop: SupervisorLoop, name: str) -> bool:
    return not loop.live and loop.history.tasks[name].is_live


def _survivors(snapshot: Snapshot, names: Sequence[str]) -> list[str]:
    return [name for name in names if not snapshot.history.tasks[name].is_over]
