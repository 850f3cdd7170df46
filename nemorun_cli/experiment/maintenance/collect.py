"""What `exp gc` can remove from the home: leftovers, and experiments that finished long ago."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import executors
from nemorun_cli.errors import EngineError, ExpError, LedgerError, NotFoundError, UsageError
from nemorun_cli.executors.remote_hosts import remote_folders
from nemorun_cli.experiment import externals, trash
from nemorun_cli.experiment.maintenance import sending
from nemorun_cli.model.clock import unix
from nemorun_cli.packagers import content_store
from nemorun_cli.packagers.environments import store
from nemorun_cli.storage import run_keys, spec_copies, supervision
from nemorun_cli.storage.paths import ExperimentFiles, TrashFiles, creator, skip
from nemorun_cli.storage.step_cache.collecting import StepCacheCollector
from nemorun_cli.system import locks, pids, trees, user
from nemorun_cli.system.files import sync
from nemorun_cli.views import listing, observe
from nemorun_cli.views.reports.doctor_report import SHARED, file_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nemorun_cli.executors.remote_hosts.remote_folders import RemoteFolder, RemoteItem
    from nemorun_cli.storage.paths import Home

GC_FORMAT: Final = "exp.gc/1"

SHARED_AGE: Final = 3600.0  # seconds: on a shared file system, a pid may be that of another host

RemovableKind = Literal[
    "experiment",
    "collected",
    "unfinished",
    "wake",
    "rebuilt",
    "key",
    "fault",
    "code",
    "environment",
    "result",
    "trash",
    "container",
    "network",
    "delivered",
    "remote_experiment",
    "remote_environment",
    "remote_code",
    "remote_folder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removable:
    """One removable item; `id` is the experiment that it is or belongs to."""

    kind: RemovableKind
    path: Path
    size: int  # bytes
    id: str | None = None
    executor: str = ""  # of an object of an engine, whose name is the path
    obstacle: str | None = None  # why it stays
    remote: tuple[RemoteFolder, RemoteItem] | None = None  # on another host

    def to_json(self) -> dict[str, Any]:
        """An entry of `removed` in `exp.gc/1`."""
        return {"kind": self.kind, "id": self.id, "path": str(self.path), "bytes": self.size}


def leftovers(home: Home) -> Iterator[Removable]:
    """Items that no experiment needs any more, regardless of age."""
    for path in home.collected():
        yield Removable(kind="collected", path=path, size=trees.size(path))
    for path in home.unfinished():
        if _is_abandoned(path):
            yield Removable(kind="unfinished", path=path, size=trees.size(path))
    for files in _experiments(home):
        try:
            yield from list(_leftovers_of(files))
        except OSError as error:
            skip(LedgerError(f"cannot read {error.filename or files.directory}: {error.strerror}"))
    for path in run_keys.leftovers(home):
        yield Removable(kind="key", path=path, size=trees.size(path))
    yield from _unused_code(home)
    yield from _unused_environments(home)
    yield from _unneeded_contents(home)
    for place, size in sending.delivered(home):
        yield Removable(kind="delivered", path=Path(place.record), size=size)
    for executor, left in executors.leftovers(home.directory):
        if _is_over(home, left.experiment):
            path = Path(left.name)
            yield Removable(kind=left.kind, path=path, size=0, id=left.experiment, executor=executor)


def undelivered(home: Home) -> Iterator[Removable]:
    """Records that are kept until their server has them, which it has not: they stay."""
    for place, url in sending.undelivered(home):
        path = Path(place.record)
        obstacle = f"not all of it has arrived on {url}; what is missing: exp sync --status"
        yield Removable(kind="delivered", path=path, size=trees.size(path), obstacle=obstacle)


def remote(home: Home) -> Iterator[list[Removable]]:
    """What this home has on remote hosts for experiments that it has no more, nor in its trash.

    One folder of it after the other: two hosts may share one.
    """
    for folder in remote_folders.noted(home):
        if isinstance(folder, EngineError):
            obstacle = folder.message
            yield [Removable(kind="remote_folder", path=home.remote_folders, size=0, obstacle=obstacle)]
            continue
        try:
            yield list(_unused_there(home, folder))
        except (EngineError, LedgerError, UsageError, OSError) as error:
            obstacle = error.message if isinstance(error, ExpError) else str(error)
            yield [Removable(kind="remote_folder", path=Path(folder.text), size=0, obstacle=obstacle)]


def _unused_there(home: Home, folder: RemoteFolder) -> Iterator[Removable]:
    """The items of a remote folder that nothing in the home refers to."""
    if (mark := remote_folders.mark_of(home)) is None:
        return
    content = remote_folders.content(folder, mark)
    used = {remote_folders.EXPERIMENT: _known_ids(home)}  # later: uploads continue meanwhile
    with contextlib.suppress(LedgerError, OSError):  # another step has warned about it
        if not content.is_shared:
            used[remote_folders.ENVIRONMENT] = _referenced_environments(home)
            used[remote_folders.CODE] = _referenced_code(home)
    for item in content.items:
        is_experiment = item.kind == remote_folders.EXPERIMENT
        if item.kind not in used or item.name in used[item.kind]:
            continue
        yield Removable(
            kind=_REMOTE_KINDS[item.kind],
            path=Path(f"{folder.text}/{item.path}"),
            size=item.size,
            id=item.name if is_experiment else None,
            obstacle=_BUSY_THERE if item.is_busy else None,
            remote=(folder, item),
        )


def _known_ids(home: Home) -> set[str]:
    """The ids of all experiments, also of those in the trash and of those that cannot be read."""
    return {name for each in home.names() for name in home.ids(each)} | home.removed_ids()


def _is_over(home: Home, experiment: str) -> bool:
    """Whether nothing is tracked of an experiment any more: it has finished, or was removed."""
    try:
        files = home.experiment(experiment)
        if files is None:
            return True
        if locks.is_held(files.supervisor_lock):
            return False
        return observe.look(files, home=home.directory, observe=False).is_over
    except (LedgerError, NotFoundError):
        return False


def _leftovers_of(files: ExperimentFiles) -> Iterator[Removable]:
    for path in files.unfinished():
        if _is_abandoned(path):
            yield Removable(kind="unfinished", path=path, size=trees.size(path), id=files.id)
    if not (locks.is_held(files.supervisor_lock) or supervision.is_listening(files)):
        if _is_fifo(files.wake):
            yield Removable(kind="wake", path=files.wake, size=0, id=files.id)
        if files.rebuilt_ledger.is_file():
            size = trees.size(files.rebuilt_ledger)
            yield Removable(kind="rebuilt", path=files.rebuilt_ledger, size=size, id=files.id)


def _is_abandoned(path: Path) -> bool:
    """Whether the process that began to create this has terminated."""
    pid = creator(path)
    if pid is None or pids.exists(pid):
        return False
    try:
        age = time.time() - path.lstat().st_mtime
    except OSError:  # just completed
        return False
    return age > SHARED_AGE or file_system(path.parent) not in SHARED


def expired(home: Home, *, older: float) -> Iterator[Removable]:
    """Experiments that finished more than `older` seconds ago, and fault tracebacks of that age."""
    limit = time.time() - older
    waited_for = externals.waited_for(home)
    unsent = sending.unsent_experiments(home)
    for entry in listing.newest_first(home, names=home.names()):
        if not _ended_before(entry, limit):
            continue
        for files in home.readable([entry.id]):
            if not files.directory.is_symlink():
                size = trees.size(files.directory)
                waiting = waited_for.get(files.id)
                url = unsent.get(str(files.directory))
                obstacle = f"not all of it has arrived on {url}" if url else None
                obstacle = f"{waiting} waits for it" if waiting else obstacle
                yield Removable(
                    kind="experiment", path=files.directory, size=size, id=files.id, obstacle=obstacle
                )
    with contextlib.suppress(OSError):  # it does not exist, or belongs to another user
        for path in sorted(home.faults.iterdir()):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < limit:
                yield Removable(kind="fault", path=path, size=status.st_size)


def unused_results(home: Home, *, older: float) -> Iterator[Removable]:
    """Results of tasks with `cache` that were neither kept nor taken for `older` seconds."""
    for unused in StepCacheCollector(home).unused(older=older):
        yield Removable(kind="result", path=unused.path, size=unused.size)


def trashed(home: Home, *, older: float = trash.KEPT_FOR) -> Iterator[Removable]:
    """What was removed more than `older` seconds ago."""
    for files in trash.expired(home, older=older):
        size = sum(map(trees.size, trash.folders(home, files)))
        obstacle = trash.obstacle(home, files)
        yield Removable(kind="trash", path=files.directory, size=size, obstacle=obstacle)
    for copy in StepCacheCollector(home).replaced(older=older):
        yield Removable(kind="result", path=copy.path, size=copy.size)


def remove(home: Home, item: Removable) -> str | None:
    """Remove one item if it is still removable; returns None if it no longer exists, else why it stays."""
    if item.obstacle:
        return item.obstacle
    if item.remote is not None:
        return _remove_remote(home, *item.remote)
    if item.executor:
        return executors.remove_leftover(item.executor, item.path.name)
    try:
        return _REMOVALS[item.kind](home, item.path)
    except OSError as error:
        return f"it cannot be removed: {error.strerror}: {error.filename or item.path}"


def _unused_code(home: Home) -> Iterator[Removable]:
    """Code that was shipped for experiments that no longer exist; none if an experiment cannot be read."""
    if not home.code.is_dir():
        return
    try:
        referenced = _referenced_code(home)
    except (LedgerError, OSError):  # another step has warned about it
        return
    for path in content_store.unused(home, referenced):
        yield Removable(kind="code", path=path, size=trees.size(path))


def _referenced_code(home: Home) -> set[str]:
    """The names of the code that was shipped for experiments, also for those in the trash."""
    referenced: set[str] = set()
    for name in home.names():
        for experiment_id in home.ids(name):
            if files := home.experiment(experiment_id):
                referenced.update(_shipped(files))
    for removed in home.removed_experiments():
        referenced.update(_shipped(removed))
    return referenced


def _unused_environments(home: Home) -> Iterator[Removable]:
    """Python environments of experiments that no longer exist; none if an experiment cannot be read."""
    known = store.ids(home)
    if not known:
        return
    try:
        referenced = _referenced_environments(home)
    except (LedgerError, OSError):  # another step has warned about it
        return
    for name in known:
        if name not in referenced:
            path = store.place(home, name)
            obstacle = store.BUSY if store.is_busy(home, name) else None
            yield Removable(kind="environment", path=path, size=trees.size(path), obstacle=obstacle)


def _unneeded_contents(home: Home) -> Iterator[Removable]:
    """Files of results of tasks with `cache` that no result names."""
    for orphan in StepCacheCollector(home).orphans():
        yield Removable(kind="result", path=orphan.path, size=orphan.size)


def _referenced_environments(home: Home) -> set[str]:
    """The ids of the Python environments that experiments refer to, also those in the trash."""
    referenced: set[str] = set()
    for name in home.names():
        for experiment_id in home.ids(name):
            if files := home.experiment(experiment_id):
                referenced.update(_environments_of(files))
    for removed in home.removed_experiments():
        referenced.update(_environments_of(removed))
    return referenced


def _environments_of(files: ExperimentFiles) -> set[str]:
    entries = spec_copies.read_document(files).get("environments", ())
    return {str(entry["id"]) for entry in entries}


def _experiments(home: Home) -> Iterator[ExperimentFiles]:
    """The readable experiments of the home that are real folders, not symbolic links."""
    ids = sorted(home.readable_ids(home.names()))
    for files in home.readable(experiment_id for _, experiment_id in ids):
        if not files.directory.is_symlink():
            yield files


def _shipped(files: ExperimentFiles) -> list[str]:
    """The names of the shipped packages of an experiment."""
    try:
        return [path.name for path in files.code.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _ended_before(entry: listing.Summary, limit: float) -> bool:
    """Whether an experiment ended before `limit`, in Unix seconds; not if its end is no time."""
    try:
        return entry.ended is not None and unix(entry.ended) < limit
    except (ValueError, TypeError):
        return False


def _remove_experiment(home: Home, folder: Path) -> str | None:
    files = ExperimentFiles(folder)
    lock = supervision.take(files)
    if lock is None:
        return "it is supervised"
    try:
        # From here on, no other process can resume it.
        snapshot = observe.look(files, home=home.directory, observe=False)
        if not snapshot.is_over:
            return "it was resumed"
        if (obstacle := _obstacle(files.directory)) is not None:
            return _text_of(obstacle)
        renamed = files.collected
        files.directory.rename(renamed)
        sync(renamed.parent)
        _delete(renamed)
    except NotFoundError:
        return None
    except LedgerError as error:
        return error.message
    finally:
        os.close(lock)
    return None


def _remove_file(home: Home, path: Path) -> str | None:
    del home
    lock = supervision.take(ExperimentFiles(path.parent))
    if lock is None:
        return "it is supervised"
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(lock)
    return None


def _remove_code(home: Home, path: Path) -> str | None:
    return None if content_store.discard(home, path) else "an experiment is being created"


def _remove_environment(home: Home, path: Path) -> str | None:
    try:
        return store.discard(home, path.name, lambda: _referenced_environments(home))
    except LedgerError as error:
        return error.message


def _remove_result(home: Home, path: Path) -> str | None:
    return _collector(home).remove(path)


@lru_cache(maxsize=1)
def _collector(home: Home) -> StepCacheCollector:
    """What knows the entries of the step cache, of which each is read once."""
    return StepCacheCollector(home)


def _remove_key(home: Home, path: Path) -> str | None:
    del home
    return None if run_keys.discard(path) else "it is held"


def _remove_trash(home: Home, folder: Path) -> str | None:
    files = TrashFiles(folder)
    for path in filter(Path.exists, trash.folders(home, files)):
        if (obstacle := _obstacle(path)) is not None:
            return _text_of(obstacle)
    return trash.delete(home, files)


def _remove_delivered(home: Home, folder: Path) -> str | None:
    return sending.remove_delivered(home, folder)


def _remove_remote(home: Home, folder: RemoteFolder, item: RemoteItem) -> str | None:
    mark = remote_folders.mark_of(home)
    try:
        with store.none_created(home):
            if mark is None or item.name in _REMOTE_USES[item.kind](home):
                return "it is used again"
            remote_folders.remove(folder, item, mark)
    except BlockingIOError:
        return store.CREATING
    except ExpError as error:
        return error.message
    return None


def _remove_fault(home: Home, path: Path) -> str | None:
    del home
    path.unlink(missing_ok=True)
    return None


def _remove_collected(home: Home, folder: Path) -> str | None:
    del home
    _delete(folder)
    return None


def _delete(folder: Path) -> None:
    """Remove a folder renamed for removal; the ledger goes last, as it marks the folder as an experiment."""
    ledger = ExperimentFiles(folder).ledger
    trees.permit(folder)
    for path in list(folder.iterdir()):
        if path != ledger:
            _delete_entry(path)
    ledger.unlink(missing_ok=True)
    folder.rmdir()
    with contextlib.suppress(OSError):  # other experiments have the same name
        folder.parent.rmdir()


def _delete_entry(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        trees.remove(path)
    else:
        path.unlink(missing_ok=True)


def _remove_unfinished(home: Home, path: Path) -> str | None:
    del home
    if not _is_abandoned(path):
        return None if not path.exists() else "it is being created"
    _delete_entry(path)
    return None


def _obstacle(top: Path) -> Path | None:
    """The first folder whose entries this user can neither remove nor be allowed to; None without one."""
    if _is_closed(top, top.stat()):
        return top
    for visit in trees.walk(top):
        for entry in visit.entries:
            if entry.is_dir(follow_symlinks=False) and _is_closed(
                entry.name, entry.stat(follow_symlinks=False), folder=visit.descriptor
            ):
                return Path(visit.path(entry.name))
    return None


def _text_of(obstacle: Path) -> str:
    owner = user.owner(obstacle) or "another user"
    return f"it cannot be removed: {obstacle} belongs to {owner}"


def _is_closed(name: Path | str, status: os.stat_result, *, folder: int | None = None) -> bool:
    if status.st_uid == os.geteuid():
        return False
    return not os.access(name, os.R_OK | os.W_OK | os.X_OK, dir_fd=folder)


def _is_fifo(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.lstat().st_mode)
    except FileNotFoundError:
        return False


_BUSY_THERE: Final = "a task of it may still run there; if none does, remove the folder"
_REMOTE_USES: Final[Mapping[str, Callable[[Home], set[str]]]] = {
    remote_folders.EXPERIMENT: _known_ids,
    remote_folders.ENVIRONMENT: _referenced_environments,
    remote_folders.CODE: _referenced_code,
}
_REMOTE_KINDS: Final[Mapping[str, RemovableKind]] = {
    remote_folders.EXPERIMENT: "remote_experiment",
    remote_folders.ENVIRONMENT: "remote_environment",
    remote_folders.CODE: "remote_code",
}
_REMOVALS: Final[Mapping[RemovableKind, Callable[[Home, Path], str | None]]] = {
    "experiment": _remove_experiment,
    "collected": _remove_collected,
    "unfinished": _remove_unfinished,
    "wake": _remove_file,
    "rebuilt": _remove_file,
    "key": _remove_key,
    "fault": _remove_fault,
    "code": _remove_code,
    "environment": _remove_environment,
    "result": _remove_result,
    "trash": _remove_trash,
    "delivered": _remove_delivered,
}
