"""Reads records: finds them by prefix, reads them without opening, and closes openings from outside."""

from __future__ import annotations

import fnmatch
import os
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from nemorun_cli.errors import UnreadableWarning, UsageError
from nemorun_cli.model import clock, labels
from nemorun_cli.model.bounded_text import bounded
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.system import user
from nemorun_cli.system.files import write_whole
from nemorun_cli.tracking import label_rules
from nemorun_cli.tracking.outbox import changes
from nemorun_cli.tracking.store import json_values, record_labels, record_paths, row_files
from nemorun_cli.tracking.store import sessions as opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from nemorun_cli.tracking.experiment import Experiment
    from nemorun_cli.tracking.store.row_files import DamagedRow, IncompleteRow
    from nemorun_cli.tracking.store.sessions import Session


class Record(NamedTuple):
    """A record: the status of its latest opening, and the latest description, tags and metadata.

    The tags are those of the latest opening that declares any, with those added and removed since then and
    before; `notes` are in the order in which they were added. `torn` are the openings that contain only an
    incomplete line, and `damaged` the lines of openings that cannot be read; both were skipped.
    """

    root: str
    prefix: str
    status: Status
    reason: str | None
    message: str | None
    opened: str
    ended: str | None
    description: str | None
    tags: list[str]
    bindrs: list[str]
    metadata: Any
    openings: tuple[Session, ...]
    torn: tuple[IncompleteRow, ...]
    damaged: tuple[DamagedRow, ...] = ()
    notes: tuple[labels.Note, ...] = ()

    def ids(
        self, *, exp_id: str | None = None, task: str | None = None, attempt: int | None = None
    ) -> list[str]:
        """The ids of the openings of an experiment, task or attempt, as readers take them as `openings`."""
        return [
            opening.id
            for opening in self.openings
            if belongs(opening, exp_id=exp_id, task=task, attempt=attempt)
        ]

    def tag(
        self, add: str | Iterable[str] = (), remove: str | Iterable[str] = (), *, by: str | None = None
    ) -> list[str]:
        """Add and remove tags, also while the record is open; returns the tags that it has then.

        Args:
            add: a tag, or several.
            remove: a tag, or several; those that it does not have are left out.
            by: the author; by default this process.

        Raises:
            InvalidValueError: a tag cannot be added, or none is given.
            LedgerError: the folder of the record cannot be written.
        """
        change = label_rules.tag_change(add, remove)
        tags = record_labels.retag(self.place, change, by=by or user.author())
        changes.changed(self.place)
        return tags

    def latest(self) -> Record:
        """The record as it is now; as it was, if it was removed."""
        return record(self.root, self.prefix) or self

    @property
    def place(self) -> record_paths.Place:
        """Where its files are."""
        return record_paths.Place(self.root, self.prefix)

    def note(self, text: str, *, by: str | None = None) -> None:
        """Add a note, also while the record is open; `by` is the author, by default this process.

        Raises:
            InvalidValueError: it is empty, or longer than 1 MiB.
            LedgerError: the folder of the record cannot be written.
        """
        record_labels.note(self.place, label_rules.note_text(text), by=by or user.author())
        changes.changed(self.place)

    def data(self) -> Experiment:
        """The params, metrics, logs, files and tracks, for reading."""
        from nemorun_cli.tracking.experiment import Experiment  # noqa: PLC0415 - not needed by supervisors

        return Experiment.at(record_paths.Place(self.root, self.prefix))


def belongs(
    opening: Session, *, exp_id: str | None = None, task: str | None = None, attempt: int | None = None
) -> bool:
    """Whether an opening belongs to this experiment, task and attempt; None matches any."""
    criteria = (("exp_id", exp_id), ("task", task), ("attempt", attempt))
    return all(value is None or opening.facts.get(name) == value for name, value in criteria)


def record(dash_root: str | os.PathLike[str], prefix: str) -> Record | None:
    """The record at a prefix, or None.

    Raises:
        InvalidValueError: the prefix could leave the root.
        LedgerDamagedError: an opening cannot be read.
    """
    place = record_paths.Place(
        record_paths.absolute(dash_root, what="dash_root"), record_paths.check_prefix(prefix)
    )
    openings, skipped = opened.read_all(place)
    decisive = opened.status_of(openings)
    if decisive is None:
        return None
    changes, notes = record_labels.read(place)
    return Record(
        root=place.root,
        prefix=prefix,
        status=decisive.status,
        reason=decisive.reason,
        message=decisive.message,
        opened=openings[0].opened,
        ended=decisive.ended,
        description=_latest(openings, "description"),
        tags=labels.current(record_labels.declared_tags(openings), changes),
        bindrs=_latest(openings, "bindrs") or [],
        metadata=_latest(openings, "metadata"),
        openings=tuple(openings),
        torn=tuple(flaw for flaw in skipped if isinstance(flaw, row_files.IncompleteRow)),
        damaged=row_files.damaged(skipped),
        notes=tuple(notes),
    )


def openings_at(folder: str, prefix: str) -> list[Session]:
    """The openings in the folder of a record that was moved to another place."""
    return opened.read_all(_MovedPlace(folder, prefix))[0]


class _MovedPlace(record_paths.Place):
    """The place of a record whose own files are in another folder."""

    __slots__ = ()

    @property
    def record(self) -> str:
        return self.root


def _latest(openings: list[Session], name: str) -> Any:
    return next(
        (opening.facts[name] for opening in reversed(openings) if opening.facts.get(name) is not None), None
    )


def prefixes(dash_root: str | os.PathLike[str], pattern: str = "*") -> Iterator[str]:
    """The prefixes of records, sorted, that match a glob, in which `*` also matches `/`.

    Symbolic links to other folders are not followed. Folders that cannot be read are skipped with a warning.

    Raises:
        UsageError: the root cannot be read.
    """
    root = record_paths.absolute(dash_root, what="dash_root")

    def report(error: OSError) -> None:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            return
        text = f"cannot read {error.filename}: {error.strerror}"
        if error.filename == root:
            raise UsageError(
                text, hint="ask its owner for access, or use another folder of records"
            ) from error
        warnings.warn(text, UnreadableWarning, stacklevel=2)

    found = [""]
    while found:
        prefix = found.pop()
        try:
            inner = _folders(os.path.join(root, prefix) if prefix else root)
        except OSError as error:
            report(error)
            continue
        if prefix and record_paths.RECORD in inner and fnmatch.fnmatchcase(prefix, pattern):
            yield prefix
        below = (os.path.join(prefix, name) for name in inner if name != record_paths.RECORD)
        found += sorted((path for path in below if len(path) <= record_paths.MAX_PREFIX), reverse=True)


def _folders(folder: str) -> list[str]:
    with os.scandir(folder) as entries:
        return [
            entry.name for entry in entries if entry.is_dir(follow_symlinks=entry.name == record_paths.RECORD)
        ]


def environment(
    dash_root: str | os.PathLike[str], prefix: str, opening: str
) -> tuple[dict[str, str], str | None]:
    """The packages of an opening, and its uncommitted changes if they were recorded completely."""
    place = record_paths.Place(
        record_paths.absolute(dash_root, what="dash_root"), record_paths.check_prefix(prefix)
    )
    try:
        with row_files.open_rows(place.packages(opening)) as stream:
            packages = json_values.load(row_files.read_whole(stream, place.packages(opening)).decode("ascii"))
    except FileNotFoundError:
        packages = {}
    try:
        with row_files.open_rows(place.diff(opening)) as stream:
            diff = row_files.read_whole(stream, place.diff(opening)).decode("utf-8", errors="replace")
    except FileNotFoundError:
        diff = None
    return packages, diff


def _later(than: object) -> str:
    """The time, but after another one, also if the clock was set back: of two verdicts the later holds."""
    now = clock.stamp()
    if not isinstance(than, str) or than < now:
        return now
    try:
        return clock.stamp(clock.unix(than) + 0.0015)  # a stamp is cut to milliseconds
    except (ValueError, OverflowError):
        return now


def close_openings(
    dash_root: str | os.PathLike[str],
    prefix: str,
    *,
    exp_id: str | None,
    status: Status | str,
    task: str | None = None,
    attempt: int | None = None,
    reason: str | None = None,
    message: str | None = None,
    exit_code: int | None = None,
    only: Collection[str] | None = None,
    author: str = "supervisor",
) -> list[str]:
    """Write a supervisor's verdict on openings of an experiment, task or attempt; it overrides their own end.

    Call this only when the writing processes are known to have terminated. Repeating it changes nothing.

    Args:
        dash_root: the folder of all records.
        prefix: the record.
        exp_id: the experiment's id; None for openings of any, or of none.
        status: COMPLETED, FAILED or CANCELLED.
        task: only openings of this task.
        attempt: only openings of this attempt at the task.
        reason: a word, such as `lost` or `timeout`.
        message: a text to display.
        exit_code: of the attempt, if there was one.
        only: only these openings.
        author: who decides: `supervisor`, or `user` for a person.

    Returns:
        The ids of the openings that are now closed; empty if there is no record.
    """
    status = Status(status)
    if status not in opened.ENDS:
        raise ValueError(f"{status} is not a final status of a record")
    place = record_paths.Place(
        record_paths.absolute(dash_root, what="dash_root"), record_paths.check_prefix(prefix)
    )
    outcome = {
        "status": str(status),
        "reason": reason,
        "message": None if message is None else bounded(message),
        "exit_code": exit_code,
        "author": author,
    }
    closed = []
    for opening in opened.read_all(place)[0]:
        chosen = only is None or opening.id in only
        if chosen and belongs(opening, exp_id=exp_id, task=task, attempt=attempt):
            current = opening.verdict or {}
            if any(current.get(name) != value for name, value in outcome.items()):
                verdict = {**outcome, "time": _later(current.get("time"))}
                write_whole(place.verdict(opening.id), f"{json_values.dump(verdict)}\n".encode("ascii"))
            closed.append(opening.id)
    if closed:
        changes.changed(place, starts_sender=author != "supervisor")
    return closed
