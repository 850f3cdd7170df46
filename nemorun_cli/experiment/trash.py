"""The trash: experiments and records that were removed, until `exp gc` deletes them or they are restored.

Each removal is a folder in the home's `trash`. Its `origin.json` is written first and names all that belongs
to the removal; then each item is renamed, so that at any moment it is in one place: its own, or the trash.
Records on another file system than the home are renamed to `.trash` in their folder of records. Such a file
system can be unmounted: an item that is neither in its own place nor in the trash is then unreachable, and
its removal is kept. If the file `deleting` exists, it was deleted.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import time
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import (
    AmbiguousError,
    ExpError,
    LedgerError,
    NotFoundError,
    UnreadableWarning,
    UsageError,
)
from nemorun_cli.model.clock import unix
from nemorun_cli.storage import announcement
from nemorun_cli.storage.paths import TRASH_OF_RECORDS, ExperimentFiles, TrashFiles, skip
from nemorun_cli.system import trees
from nemorun_cli.system.files import is_behind_link, make_folder, read_bytes, sync, write_whole
from nemorun_cli.tracking.outbox import changes
from nemorun_cli.tracking.store import record_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.storage.paths import Home

FORMAT: Final = "exp.trash/1"
KEPT_FOR: Final = 30 * 86400.0  # seconds until `exp gc` deletes what was removed
EMPTY_FOR: Final = 3600.0  # seconds until a removal without items counts as interrupted
_UNREADABLE: Final = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError),
    ExpError,
)
"""What reading an origin can raise, which anybody may have written."""
LARGEST: Final = 1 << 26  # bytes that are read of an origin


@dataclass(frozen=True, slots=True, kw_only=True)
class TrashItem:
    """One thing that was removed.

    Attributes:
        kind: `experiment` or `record`.
        path: the folder that it had, and gets back.
        trash: the folder that it has now.
        id: the experiment, or None for a record that was removed by its prefix.
        prefix: of a record.
        root: the folder of the records, for a record.
    """

    kind: str
    path: str
    trash: str
    id: str | None = None
    prefix: str | None = None
    root: str | None = None

    @property
    def label(self) -> str:
        """Its name for people: the id, or the prefix."""
        return self.prefix or self.id or self.path

    @property
    def is_there(self) -> bool:
        """Whether it is in the trash: a crash may have come before it was moved."""
        return os.path.isdir(self.trash) and not os.path.islink(self.trash)  # noqa: PTH112, PTH114 - it is text

    @property
    def is_beside_records(self) -> bool:
        """Whether its folder in the trash is next to the records, which may be on another file system."""
        return self.root is not None and self.trash.startswith(f"{self.root}/{TRASH_OF_RECORDS}/")

    @property
    def is_unreachable(self) -> bool:
        """Whether it is in none of its places, although nobody deleted it as far as is known."""
        return self.is_beside_records and not os.path.lexists(self.trash) and not os.path.lexists(self.path)

    @property
    def obstacle(self) -> str | None:
        """Why it can be neither restored nor deleted now, if it cannot."""
        if not self.is_unreachable:
            return None
        return f"{self.label} is in {self.trash}, which cannot be reached: is its file system mounted?"

    def to_json(self) -> dict[str, Any]:
        """An entry of `removed` and `restored` in `exp.rm/1`."""
        fields = asdict(self)
        del fields["root"]
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """One removal in the trash: when, by whom, and the items that are still in it, or cannot be reached."""

    files: TrashFiles
    time: str
    by: str
    items: tuple[TrashItem, ...]

    def to_json(self) -> dict[str, Any]:
        """An entry of `trash` in `exp.rm/1`."""
        return {"time": self.time, "by": self.by, "items": [item.to_json() for item in self.items]}


def refuse_link(path: Path, *, inside: Path) -> None:
    """Refuse a path of which a part below `inside` is a symbolic link.

    Raises:
        UsageError: one is.
    """
    if is_behind_link(str(path), inside=str(inside)):
        raise UsageError(
            f"{path} is behind a symbolic link, and what it leads to is not moved",
            hint="remove the link, and what it leads to, yourself",
        )


def move(source: str, target: str) -> None:
    """Rename a folder, and sync the folders that contain it."""
    os.rename(source, target)  # noqa: PTH104 - it is text
    for folder in {os.path.dirname(source), os.path.dirname(target)}:  # noqa: PTH120 - the same
        sync(folder)


def removals(home: Home) -> list[Removal]:
    """The removals in the trash, oldest first; one that cannot be read is skipped with a warning."""
    found = []
    for files in home.removals():
        try:
            found.append(_read(home, files))
        except FileNotFoundError:
            continue  # it is being made or removed
        except _UNREADABLE as error:
            skip(LedgerError(f"{files.origin} cannot be read: {error}"))
    return sorted((removal for removal in found if removal.items), key=lambda each: each.time)


def _read(home: Home, files: TrashFiles) -> Removal:
    """A removal with the items that are in the trash, or cannot be reached."""
    removal = _read_all(home, files)
    is_deleted = files.deleting.exists()
    left = tuple(
        item
        for item in removal.items
        if item.is_there or (item.is_unreachable and not (is_deleted and os.path.isdir(item.root or "")))  # noqa: PTH112 - it is text
    )
    return replace(removal, items=left)


def _read_all(home: Home, files: TrashFiles) -> Removal:
    """A removal with all items that it had."""
    origin = json.loads(read_bytes(files.origin, limit=LARGEST, inside=home.directory))
    unix(origin["time"])
    before = str(origin["home"])
    items = tuple(
        TrashItem(
            kind=item["kind"],
            id=item["id"],
            prefix=item["prefix"],
            path=_relocated(item["path"], before, home),
            trash=_relocated(item["trash"], before, home),
            root=None if item["root"] is None else _relocated(item["root"], before, home),
        )
        for item in origin["items"]
    )
    for item in items:
        _check(item, home, files)
    return Removal(files=files, time=origin["time"], by=str(origin["by"]), items=items)


def write_origin(home: Home, removal: Removal) -> None:
    """Write what restores a removal, durably.

    Raises:
        OSError: it cannot be written.
    """
    origin = {
        "format": FORMAT,
        "time": removal.time,
        "by": removal.by,
        "home": str(home.directory),
        "items": [asdict(item) for item in removal.items],
    }
    write_whole(removal.files.origin, f"{json.dumps(origin)}\n".encode(), is_durable=True)


def _check(item: TrashItem, home: Home, files: TrashFiles) -> None:
    """Refuse an origin by which something else could be moved or deleted.

    Raises:
        ValueError: it names another folder.
    """
    trash = Path(item.trash)
    if item.kind == "experiment":
        place = ExperimentFiles(Path(item.path))
        is_right = place.directory.parent.parent in home.roots and place.id == item.id
        is_right = is_right and trash == files.experiment(item.id or "") and ".." not in place.directory.parts
    else:
        root, prefix = Path(item.root or ""), record_paths.check_prefix(item.prefix or "")
        number = trash.name
        is_right = (
            item.kind == "record"
            and item.path == record_paths.Place(str(root), prefix).record
            and number.isdecimal()
            and trash in (files.record(int(number)), files.record_beside(root, int(number)))
        )
    if not is_right or _is_behind_link(trash, item, home):
        raise ValueError("it names a folder that no removal has")


def _is_behind_link(trash: Path, item: TrashItem, home: Home) -> bool:
    inside = home.directory if trash.is_relative_to(home.directory) else Path(item.root or "")
    return is_behind_link(str(trash), inside=str(inside))


def _relocated(path: str, before: str, home: Home) -> str:
    """A path in the home, which may have been moved since."""
    return f"{home.directory}{path[len(before) :]}" if path.startswith(f"{before}/") else path


def choose(home: Home, which: str) -> Removal:
    """The latest removal of an experiment, by its id or unique name, or of a record, by its prefix.

    Raises:
        NotFoundError: none exists.
        AmbiguousError: several experiments of this name are in the trash.
    """
    wanted = which.strip("/")
    found = removals(home)
    exact = [each for each in found if any(wanted in (item.id, item.prefix) for item in each.items)]
    if exact:
        return exact[-1]
    named = [
        each for each in found if any((item.id or "").rpartition("_")[0] == wanted for item in each.items)
    ]
    if len(named) > 1:
        ids = ", ".join(sorted({item.id or "" for each in named for item in each.items}))
        raise AmbiguousError(f"{which!r} matches several experiments in the trash: {ids}")
    if named:
        return named[0]
    raise NotFoundError(f"{which!r} is not in the trash", hint="list it with: exp rm --restore")


def matching(home: Home, pattern: str) -> list[Removal]:
    """The removals of what a glob, or a prefix with / at its end, matches; of one place only the latest.

    What has exactly this name is meant before what the glob matches.

    Raises:
        NotFoundError: none exists.
    """
    if any(pattern in (item.id, item.prefix) for each in removals(home) for item in each.items):
        return [choose(home, pattern)]
    glob = f"{pattern.lstrip('/')}*" if pattern.endswith("/") else pattern
    chosen: dict[str, Removal] = {}
    for removal in removals(home):
        for item in removal.items:
            names = (item.id or "", (item.id or "").rpartition("_")[0], item.prefix or "")
            if any(name and fnmatch.fnmatchcase(name, glob) for name in names):
                chosen[item.path] = removal
    if not chosen:
        raise NotFoundError(
            f"{pattern!r} matches nothing in the trash", hint="list it with: exp rm --restore"
        )
    return list({each.files: each for each in chosen.values()}.values())


def restore(home: Home, removal: Removal) -> list[TrashItem]:
    """Put everything of a removal back that can be reached; returns these items, and warns of the others.

    Raises:
        UsageError: something has the place of one of them; then none is moved.
        LedgerError: none can be reached; or one of them cannot be moved, and those before it are back.
    """
    away = [item for item in removal.items if item.is_unreachable]
    items = [item for item in removal.items if item not in away]
    if not items and away:
        raise LedgerError(f"{away[0].obstacle}", hint="restore it when the file system is mounted again")
    for item in items:
        inside = home.directory if item.kind == "experiment" else Path(item.root or "")
        refuse_link(Path(item.path), inside=inside)
        if _is_taken(item.path):
            raise UsageError(
                f"{item.label} cannot be restored: {item.path} exists",
                hint="remove or rename what is there first",
            )
    for item in items:
        try:
            if not item.is_there:
                raise NotFoundError(f"{item.label} was restored or deleted meanwhile")
            make_folder(os.path.dirname(item.path))  # noqa: PTH120 - it is text
            move(item.trash, item.path)
            if item.prefix is not None and item.root is not None:
                changes.changed(record_paths.Place(item.root, item.prefix))
            else:
                announcement.changed(ExperimentFiles(Path(item.path)))  # it may have been removed unsent
        except OSError as error:
            raise LedgerError(f"cannot move {item.trash} to {item.path}: {error.strerror}") from error
    for item in away:
        warnings.warn(f"{item.obstacle} It stays in the trash", UnreadableWarning, stacklevel=2)
    forget_if_empty(home, removal.files)
    return items


def _is_taken(path: str) -> bool:
    """Whether something has a path; an empty folder is replaced."""
    try:
        return bool(os.listdir(path))  # noqa: PTH208 - it is text
    except FileNotFoundError:
        return False
    except OSError:
        return True


def forget_if_empty(home: Home, files: TrashFiles) -> None:
    """Remove the folder of a removal, unless one of its items is in it or cannot be reached."""
    try:
        items = _read_all(home, files).items
        if _read(home, files).items:
            return
    except FileNotFoundError:
        items = ()
    except _UNREADABLE:
        return
    for folder in dict.fromkeys(Path(item.trash).parent for item in items if item.is_beside_records):
        _remove_empty(folder)
        _remove_empty(folder.parent)
    with contextlib.suppress(OSError):
        for path in files.directory.iterdir():
            if path.is_dir():
                _remove_empty(path)
        if not any(path.is_dir() for path in files.directory.iterdir()):
            files.origin.unlink(missing_ok=True)
            files.deleting.unlink(missing_ok=True)
            files.directory.rmdir()


def keep_moved(home: Home, removal: Removal) -> None:
    """After an error, keep of a removal only what is in the trash."""
    moved = tuple(item for item in removal.items if item.is_there)
    for item in removal.items:
        if item.is_beside_records and item not in moved:
            _remove_empty(Path(item.trash).parent)
            _remove_empty(Path(item.trash).parent.parent)
    with contextlib.suppress(OSError):  # then its origin names more than was moved
        write_origin(home, replace(removal, items=moved))
    if not moved:
        forget_if_empty(home, removal.files)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is not empty, or does not exist
        folder.rmdir()


def trace(home: Home, which: str) -> str | None:
    """The command that restores an experiment or a record, if it is in the trash."""
    with contextlib.suppress(ExpError, OSError):
        if home.trash.is_dir():
            removal = choose(home, which)
            label = next(
                (item.id for item in removal.items if item.kind == "experiment"), removal.items[0].prefix
            )
            return f"exp rm --restore {label}"
    return None


def expired(home: Home, *, older: float = KEPT_FOR) -> Iterator[TrashFiles]:
    """The removals that are older than so many seconds, and those of which nothing is left."""
    limit = time.time() - older
    kept = set()
    for removal in removals(home):
        if unix(removal.time) <= limit:
            yield removal.files
        kept.add(removal.files)
    for files in set(home.removals()) - kept:
        with contextlib.suppress(OSError):
            is_empty = not any(path.is_dir() and any(path.iterdir()) for path in files.directory.iterdir())
            if is_empty and time.time() - files.directory.stat().st_mtime > EMPTY_FOR:
                yield files


def folders(home: Home, files: TrashFiles) -> list[Path]:
    """The folders of a removal's items, also of those that are not in the home."""
    try:
        return [Path(item.trash) for item in _read(home, files).items]
    except _UNREADABLE:
        return []


def obstacle(home: Home, files: TrashFiles) -> str | None:
    """Why a removal cannot be deleted: its origin cannot be read, or an item cannot be reached."""
    try:
        items = _read(home, files).items
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        return f"{files.origin} cannot be read: {error}"
    return next((why for item in items if (why := item.obstacle)), None)


def delete(home: Home, files: TrashFiles) -> str | None:
    """Delete a removal; returns None if it no longer exists, else why it stays."""
    if why := obstacle(home, files):
        return why
    items = folders(home, files)
    if items:
        write_whole(files.deleting, b"")
    for folder in items:
        trees.remove(folder)
    forget_if_empty(home, files)
    if not items and files.directory.exists():  # what a crash left of a removal, or of its deletion
        trees.remove(files.directory)
    left = next((path for path in (*items, files.directory) if os.path.lexists(path)), None)
    return None if left is None else f"{left} could not be removed"
