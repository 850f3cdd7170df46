"""What `exp gc` can remove from the home: leftovers, and experiments that finished long ago."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli import executors
from nemorun_cli.errors import LedgerError, NotFoundError
from nemorun_cli.model.clock import unix
from nemorun_cli.packagers import content_store
from nemorun_cli.storage import run_keys, supervision
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import locks
from nemorun_cli.system.files import FOLDER_MODE, sync
from nemorun_cli.views import listing, observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.storage.paths import Home

GC_FORMAT: Final = "exp.gc/1"

RemovableKind = Literal["experiment", "collected", "wake", "rebuilt", "key", "fault", "code", "container"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removable:
    """One removable item; `id` is the experiment that it is or belongs to."""

    kind: RemovableKind
    path: Path
    size: int  # bytes
    id: str | None = None
    executor: str = ""  # of an object of an engine, whose name is the path

    def to_json(self) -> dict[str, Any]:
        """An entry of `removed` in `exp.gc/1`."""
        return {"kind": self.kind, "id": self.id, "path": str(self.path), "bytes": self.size}


def leftovers(home: Home) -> Iterator[Removable]:
    """Items that no experiment needs any more, regardless of age."""
    for path in home.collected():
        yield Removable(kind="collected", path=path, size=_size(path))
    for files in _experiments(home):
        if not (locks.is_held(files.supervisor_lock) or supervision.is_listening(files)):
            if _is_fifo(files.wake):
                yield Removable(kind="wake", path=files.wake, size=0, id=files.id)
            if files.rebuilt_ledger.is_file():
                size = files.rebuilt_ledger.stat().st_size
                yield Removable(kind="rebuilt", path=files.rebuilt_ledger, size=size, id=files.id)
    for path in run_keys.leftovers(home):
        yield Removable(kind="key", path=path, size=path.stat().st_size)
    yield from _unused_code(home)
    for executor, left in executors.leftovers(home.directory):
        if _is_over(home, left.experiment):
            path = Path(left.name)
            yield Removable(kind=left.kind, path=path, size=0, id=left.experiment, executor=executor)


def _is_over(home: Home, experiment: str) -> bool:
    """Whether nothing is tracked of an experiment any more: it has finished, or was removed."""
    files = home.experiment(experiment)
    if files is None:
        return True
    if locks.is_held(files.supervisor_lock):
        return False
    try:
        return observe.look(files, home=home.directory, observe=False).is_over
    except (LedgerError, NotFoundError):
        return False


def expired(home: Home, *, older: float) -> Iterator[Removable]:
    """Experiments that finished more than `older` seconds ago, and fault tracebacks of that age."""
    limit = time.time() - older
    for entry in listing.newest_first(home, names=home.names()):
        files = home.experiment(entry.id)
        if files is None or files.directory.is_symlink() or not entry.ended:
            continue
        if unix(entry.ended) < limit:
            yield Removable(kind="experiment", path=files.directory, size=_size(files.directory), id=files.id)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(home.faults.iterdir()):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < limit:
                yield Removable(kind="fault", path=path, size=status.st_size)


def remove(home: Home, item: Removable) -> str | None:
    """Remove one item if it is still removable; returns None if it no longer exists, else why it stays."""
    if item.executor:
        return executors.remove_leftover(item.executor, item.path.name)
    try:
        if item.kind == "experiment":
            return _remove_experiment(home, ExperimentFiles(item.path))
        if item.kind == "collected":
            _delete(item.path)
        elif item.kind in ("code", "key"):
            return _discard(home, item)
        elif item.kind == "fault":
            item.path.unlink(missing_ok=True)
        else:
            return _remove_file(ExperimentFiles(item.path.parent), item.path)
    except OSError as error:
        return f"it cannot be removed: {error.strerror}: {error.filename or item.path}"
    return None


def _discard(home: Home, item: Removable) -> str | None:
    if item.kind == "code":
        return None if content_store.discard(home, item.path) else "an experiment is being created"
    return None if run_keys.discard(item.path) else "it is held"


def _unused_code(home: Home) -> Iterator[Removable]:
    """Code that was shipped for experiments that no longer exist."""
    if not home.code.is_dir():
        return
    referenced: set[str] = set()
    for files in _experiments(home):
        with contextlib.suppress(FileNotFoundError):
            referenced.update(path.name for path in files.code.iterdir())
    for path in content_store.unused(home, referenced):
        yield Removable(kind="code", path=path, size=_size(path))


def _experiments(home: Home) -> Iterator[ExperimentFiles]:
    """The experiments of the home that are real folders, not symbolic links."""
    for name in home.names():
        for experiment_id in sorted(home.ids(name)):
            files = home.experiment(experiment_id)
            if files is not None and not files.directory.is_symlink():
                yield files


def _remove_experiment(home: Home, files: ExperimentFiles) -> str | None:
    lock = supervision.take(files)
    if lock is None:
        return "it is supervised"
    try:
        # From here on, no other process can resume it.
        snapshot = observe.look(files, home=home.directory, observe=False)
        if not snapshot.is_over:
            return "it was resumed"
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


def _remove_file(files: ExperimentFiles, path: Path) -> str | None:
    lock = supervision.take(files)
    if lock is None:
        return "it is supervised"
    try:
        path.unlink(missing_ok=True)
    finally:
        os.close(lock)
    return None


def _delete(folder: Path) -> None:
    """Remove a folder renamed for removal; the ledger goes last, as it marks the folder as an experiment."""
    ledger = ExperimentFiles(folder).ledger
    _make_writable(folder)
    for path in list(folder.iterdir()):
        if path == ledger:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    ledger.unlink()
    folder.rmdir()
    with contextlib.suppress(OSError):  # other experiments have the same name
        folder.parent.rmdir()


def _make_writable(folder: Path) -> None:
    """Make folders writable whose permissions tasks restricted, so that their content can be removed."""
    if folder.stat().st_mode & FOLDER_MODE != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _make_writable(path)


def _size(folder: Path | str) -> int:
    """The bytes of all files in a folder, as far as it is readable; links are not followed."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            total += _size(entry.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _is_fifo(path: Path) -> bool:
    try:
        return stat.S_ISFIFO(path.lstat().st_mode)
    except FileNotFoundError:
        return False
