"""Removes experiments and records: checks what refuses it, then moves them to the trash."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import EngineError, ExpError, LedgerError, NotFoundError, NotOverError, UsageError
from nemorun_cli.experiment import abandoned, externals
from nemorun_cli.experiment.maintenance import sending
from nemorun_cli.experiment.records import closing, targets
from nemorun_cli.experiment.trash import (
    Removal,
    TrashItem,
    keep_moved,
    move,
    refuse_link,
    write_origin,
)
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import supervision
from nemorun_cli.storage.paths import ANOTHER_HOME, ExperimentFiles, TrashFiles
from nemorun_cli.system import crashpoints, owners, user
from nemorun_cli.system.files import make_folder, sync
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox.delivery import of_record
from nemorun_cli.tracking.store import presence, record_labels, record_paths
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.storage.paths import Home
    from nemorun_cli.tracking import Record
    from nemorun_cli.views.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRecord:
    """A record that was not removed with its experiment, and why."""

    prefix: str
    path: str
    message: str

    def to_json(self) -> dict[str, Any]:
        """An entry of `kept` in `exp.rm/1`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPlan:
    """What a removal would move, after everything that refuses it was checked."""

    items: tuple[TrashItem, ...]
    kept: tuple[KeptRecord, ...] = ()
    copies: tuple[str, ...] = ()  # the servers that keep a copy of an item


def plan_experiment(
    home: Home,
    files: ExperimentFiles,
    *,
    records: bool,
    waited_for: Mapping[str, str] | None = None,
    is_forced: bool = False,
) -> RemovalPlan:
    """What removing an experiment would move; nothing is changed, but what ended meanwhile is recorded.

    Args:
        home: the home that contains it.
        files: of the experiment.
        records: whether the records that it alone wrote are removed, too.
        waited_for: what `externals.waited_for` returns, if it is known already.
        is_forced: whether also what has not arrived on its server is removed.

    Raises:
        NotOverError: it runs, or may run; another experiment waits for it; a record is being written; or not
            all of it has arrived on its server.
        UsageError: its folder is behind a symbolic link; it, or a record, belongs to another user; or it is a
            server's copy.
        LedgerError: it, or a record, cannot be read.
    """
    files.require_original()
    refuse_link(files.directory, inside=home.directory)
    _require_own(files.directory)
    snapshot = observe.look(files, home=home.directory)
    _refuse_running(snapshot)
    if waiting := (externals.waited_for(home) if waited_for is None else waited_for).get(files.id):
        raise NotOverError(
            f"{waiting} waits for {files.id}",
            hint=f"wait until it has finished, or cancel it: exp cancel {waiting}",
        )
    unsent = None if is_forced else sending.unsent_experiments(home).get(str(files.directory))
    if unsent is not None:
        raise sending.not_arrived(files.id, unsent)
    own = TrashItem(kind="experiment", id=files.id, path=str(files.directory), trash="")
    server = snapshot.spec.server
    copies = (server,) if server is not None and not is_forced else ()
    if not records:
        return RemovalPlan(items=(own,), copies=copies)
    taken, kept = _records_of(snapshot, home)
    items = [replace(_record_item(record, home, is_forced=is_forced), id=files.id) for record in taken]
    return RemovalPlan(
        items=(*items, own), kept=tuple(kept), copies=copies
    )  # the last one can then be found until the end


def plan_record(home: Home, record: Record, *, is_forced: bool = False) -> RemovalPlan:
    """What removing a record would move; nothing is changed.

    Args:
        home: whose trash it would be in.
        record: the record.
        is_forced: whether it is removed also if not all of it has arrived on its server.

    Raises:
        NotOverError: it is being written, or RUNNING for all that is known; or not all of it has arrived on
            its server.
        UsageError: its folder is behind a symbolic link, or belongs to another user; it is a server's copy.
    """
    delivery = of_record(record.place)
    copies = (delivery.url,) if delivery is not None and delivery.is_complete else ()
    return RemovalPlan(items=(_record_item(record, home, is_forced=is_forced),), copies=copies)


def _record_item(record: Record, home: Home, *, is_forced: bool) -> TrashItem:
    record_labels.require_original(record.place)
    _refuse_open(record, home)
    delivery = None if is_forced else of_record(record.place)
    if delivery is not None and not delivery.is_complete:
        raise sending.not_arrived(record.prefix, delivery.url, root=record.root)
    refuse_link(Path(record.place.record), inside=Path(record.root))
    _require_own(Path(record.place.record))
    return TrashItem(
        kind="record", prefix=record.prefix, root=record.root, path=record.place.record, trash=""
    )


def _require_own(folder: Path) -> None:
    """Refuse to move what belongs to another user, who could not restore it.

    Raises:
        UsageError: it does.
        NotFoundError: it was removed meanwhile.
    """
    try:
        is_own = owners.is_own(folder)
    except FileNotFoundError:
        raise NotFoundError(f"{folder} was removed meanwhile") from None
    if not is_own:
        raise UsageError(
            f"{folder} belongs to another user, who could not restore what you remove",
            hint="run the command as its owner",
        )


def _refuse_open(record: Record, home: Home) -> None:
    closing.refuse_written(record, record.openings, home)
    for opening in record.openings:
        if opening.status is ExperimentStatus.RUNNING:
            host = opening.facts.get("host")
            raise NotOverError(
                f"{record.prefix} is RUNNING: it was opened on {host}; is its writer alive?",
                hint=f"if it is not, close the record first: exp close {record.prefix}",
            )


def _refuse_running(snapshot: Snapshot) -> None:
    """Refuse an experiment of which something runs, or may run."""
    exp_id = snapshot.files.id
    if snapshot.supervisor == "elsewhere" and not snapshot.is_over:
        host = snapshot.holder.host if snapshot.holder else "another host"
        raise NotOverError(
            f"{exp_id} runs on {host}",
            hint=f"cancel it there, or give up on it: exp cancel {exp_id} --abandon",
        )
    if snapshot.status is ExperimentStatus.RUNNING or snapshot.supervisor == "alive":
        state = (
            f"{snapshot.live} of its tasks may still run"
            if snapshot.supervisor == "gone"
            else "it is running"
        )
        raise NotOverError(
            f"{exp_id} cannot be removed: {state}",
            hint=f"cancel it: exp cancel {exp_id}; or wait: exp wait {exp_id}",
        )
    try:
        abandoned.refuse_alive(snapshot, host_is_gone=False)
    except (UsageError, EngineError) as error:
        raise NotOverError(f"{exp_id} cannot be removed: {error.message}") from None


def _records_of(snapshot: Snapshot, home: Home) -> tuple[list[Record], list[KeptRecord]]:
    """The records that only this experiment wrote, and the others of its records with the reason."""
    exp_id = snapshot.files.id
    found: dict[tuple[str, str], Record] = {}
    for target in targets.of_experiment(snapshot, home=home.directory):
        found[target.record.root, target.record.prefix] = target.record
    own = snapshot.history.created.get("prefix")
    for root in [root for root, prefix in found if prefix == own]:
        found |= {(root, record.prefix): record for record in targets.records(Path(root), str(own))}
    taken: list[Record] = []
    kept: list[KeptRecord] = []
    for record in found.values():
        others = [opening for opening in record.openings if opening.facts.get("exp_id") != exp_id]
        if others:
            writer = others[-1].facts.get("exp_id") or f"process {others[-1].facts.get('pid')}"
            kept.append(
                KeptRecord(prefix=record.prefix, path=record.place.record, message=f"{writer} wrote it, too")
            )
        else:
            taken.append(record)
    return taken, kept


def carry_out(home: Home, plan: RemovalPlan) -> Removal:
    """Move all items of a plan to the trash.

    Raises:
        NotOverError: one of them was started meanwhile; those before it are in the trash.
        NotFoundError: it was removed meanwhile.
        UsageError: the home cannot be written.
        LedgerError: its disk is full, or an item cannot be moved.
    """
    now = time.time()
    lead = plan.items[-1].id or (plan.items[-1].prefix or "").rpartition("/")[2]
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{os.urandom(3).hex()}-{lead}"
    files = TrashFiles(home.trash / name)
    refuse_link(home.trash, inside=home.directory)
    if home.directory.exists():
        _require_own(home.directory)
    try:
        make_folder(home.trash)
        make_folder(files.directory)
        items = [_placed(item, files, number) for number, item in enumerate(plan.items, 1)]
        removed = Removal(files=files, time=stamp(now), by=user.author(), items=tuple(items))
        write_origin(home, removed)
        sync(home.trash)
        crashpoints.point("trash.origin")
    except OSError as error:
        with contextlib.suppress(OSError):
            files.directory.rmdir()
        if isinstance(error, FileNotFoundError) and error.filename in [item.path for item in plan.items]:
            raise NotFoundError(f"{error.filename} was removed meanwhile") from None
        raise _unwritable(error, home) from error
    try:
        for item in items:
            _move(home, item)
            crashpoints.point("trash.moved")
    except BaseException:
        keep_moved(home, removed)
        raise
    return removed


def _placed(item: TrashItem, files: TrashFiles, number: int) -> TrashItem:
    """An item with its place in the trash; of a record on another file system, next to its records."""
    if item.kind == "experiment":
        return replace(item, trash=str(files.experiment(item.id or "")))
    assert item.root is not None  # noqa: S101 - a record has one
    is_near = os.stat(item.path).st_dev == os.stat(files.directory).st_dev  # noqa: PTH116 - it is text
    target = files.record(number) if is_near else files.record_beside(Path(item.root), number)
    return replace(item, trash=str(target))


def _unwritable(error: OSError, home: Home) -> ExpError:
    text = f"cannot write the trash: {error.strerror}: {error.filename or home.trash}; nothing was removed"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UsageError(text, hint=ANOTHER_HOME)
    return LedgerError(text)


def _move(home: Home, item: TrashItem) -> None:
    try:
        make_folder(os.path.dirname(item.trash))  # noqa: PTH120 - it is text
        if item.kind == "experiment":
            _move_experiment(home, item)
        else:
            _move_record(item)
    except (OSError, LedgerError) as error:
        reason = error.message if isinstance(error, LedgerError) else error.strerror
        if os.path.lexists(item.trash):
            raise LedgerError(
                f"{item.label} is in the trash, {item.trash}, but then: {reason}",
                hint=f"put it back: exp rm --restore {item.label}",
            ) from error
        if not os.path.lexists(item.path):
            raise NotFoundError(f"{item.label} was removed meanwhile") from error
        if isinstance(error, LedgerError):
            raise
        raise LedgerError(f"cannot move {item.path} to {item.trash}: {reason}; it is where it was") from error


def _move_experiment(home: Home, item: TrashItem) -> None:
    files = ExperimentFiles(Path(item.path))
    is_over = observe.look(files, home=home.directory, observe=False).is_over
    lock = supervision.take(files) if is_over else supervision.take_nameless(files)
    if lock is None:
        raise NotOverError(f"{files.id} is running, or another command works on it", hint="try again later")
    try:
        # From here on, no other process can resume it.
        snapshot = observe.look(files, home=home.directory, observe=False)
        if not snapshot.is_over and snapshot.status is not ExperimentStatus.INTERRUPTED:
            raise NotOverError(f"{files.id} was resumed meanwhile")
        move(item.path, item.trash)
    finally:
        os.close(lock)
    with contextlib.suppress(OSError):  # other experiments have the same name
        files.directory.parent.rmdir()


def _move_record(item: TrashItem) -> None:
    assert item.root is not None  # noqa: S101 - a record has one
    assert item.prefix is not None  # noqa: S101 - the same
    try:
        held = presence.hold(record_paths.Place(item.root, item.prefix).openings, is_removal=True)
    except BlockingIOError:
        raise _opened(item) from None
    try:
        if _is_open(item, item.path):
            raise _opened(item)
        move(item.path, item.trash)
        if _is_open(item, item.trash):  # possible without a lock; a later opening notices the move itself
            _move_back(item)
            raise _opened(item)
    finally:
        if held is not None:
            os.close(held)
    _remove_empty(os.path.dirname(item.path), root=item.root)  # noqa: PTH120 - it is text


def _is_open(item: TrashItem, folder: str) -> bool:
    """Whether a process of this machine has opened a record since the check; its files are in the folder."""
    return any(opening.state == "alive" for opening in reader.openings_at(folder, item.prefix or ""))


def _opened(item: TrashItem) -> NotOverError:
    return NotOverError(f"{item.prefix} was opened meanwhile, and stays", hint="try again when it has ended")


def _move_back(item: TrashItem) -> None:
    """Undo the move of a record that is open.

    Raises:
        NotOverError: another record is in its place already.
    """
    try:
        move(item.trash, item.path)
    except OSError as error:
        raise NotOverError(
            f"{item.prefix} was opened meanwhile, is in the trash, {item.trash}, and cannot be put back:"
            f" {item.path}: {error.strerror}",
            hint=f"when it has ended, remove what has its place, then: exp rm --restore {item.prefix}",
        ) from error


def _remove_empty(folder: str, *, root: str) -> None:
    """Remove the folders of a prefix that contain nothing any more."""
    with contextlib.suppress(OSError):
        while len(folder) > len(root):
            os.rmdir(folder)  # noqa: PTH106 - it is text
            folder = os.path.dirname(folder)  # noqa: PTH120 - the same
