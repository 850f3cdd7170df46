"""Records as commands and the supervisor see them: found by prefix, read unopened, closed from outside."""

from __future__ import annotations

import fnmatch
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from nemorun_cli.model import clock
from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.tracking.store import json_values, record_paths
from nemorun_cli.tracking.store import sessions as opened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nemorun_cli.tracking.experiment import Experiment
    from nemorun_cli.tracking.store.row_files import IncompleteRow
    from nemorun_cli.tracking.store.sessions import Session


class Record(NamedTuple):
    """What is known of a record: status of its latest opening, the rest as it was last said."""

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

    def ids(
        self, *, exp_id: str | None = None, task: str | None = None, attempt: int | None = None
    ) -> list[str]:
        """The openings of an experiment, a task, an attempt: what readers take as `openings`."""
        return [
            opening.id
            for opening in self.openings
            if belongs(opening, exp_id=exp_id, task=task, attempt=attempt)
        ]

    def data(self) -> Experiment:
        """The params, metrics, logs, files and tracks, for reading."""
        from nemorun_cli.tracking.experiment import Experiment  # noqa: PLC0415 - a supervisor needs none of it

        return Experiment(self.prefix, dash_root=self.root)


def belongs(
    opening: Session, *, exp_id: str | None = None, task: str | None = None, attempt: int | None = None
) -> bool:
    """Whether an opening is of this experiment, task and attempt; None asks nothing."""
    asked = (("exp_id", exp_id), ("task", task), ("attempt", attempt))
    return all(value is None or opening.facts.get(name) == value for name, value in asked)


def record(dash_root: str | os.PathLike[str], prefix: str) -> Record | None:
    """The record at a prefix, or None.

    Raises:
        UsageError: the prefix could leave the root.
        LedgerDamagedError: an opening cannot be read.
    """
    place = record_paths.Place(os.path.abspath(os.fspath(dash_root)), record_paths.check_prefix(prefix))
    found, torn = opened.read_all(place)
    decisive = opened.status_of(found)
    if decisive is None:
        return None
    return Record(
        root=place.root,
        prefix=prefix,
        status=decisive.status,
        reason=decisive.reason,
        message=decisive.message,
        opened=found[0].opened,
        ended=decisive.ended,
        description=_latest(found, "description"),
        tags=_latest(found, "tags") or [],
        bindrs=_latest(found, "bindrs") or [],
        metadata=_latest(found, "metadata"),
        openings=tuple(found),
        torn=tuple(torn),
    )


def _latest(found: list[Session], name: str) -> Any:
    return next(
        (opening.facts[name] for opening in reversed(found) if opening.facts.get(name) is not None), None
    )


def prefixes(dash_root: str | os.PathLike[str], pattern: str = "*") -> Iterator[str]:
    """The prefixes under which there are records, sorted; those that fit a glob, in which `*` also spans `/`.

    What cannot be a prefix of ours (a link to elsewhere, say) is passed over.
    """
    root = os.path.abspath(os.fspath(dash_root))
    for folder, inner, _ in os.walk(root):
        inner.sort()
        if record_paths.RECORD in inner:
            inner.remove(record_paths.RECORD)
            prefix = os.path.relpath(folder, root)
            if prefix != "." and fnmatch.fnmatchcase(prefix, pattern):
                yield prefix


def environment(
    dash_root: str | os.PathLike[str], prefix: str, opening: str
) -> tuple[dict[str, str], str | None]:
    """The packages of an opening, and its uncommitted changes if they could be taken whole."""
    place = record_paths.Place(os.path.abspath(os.fspath(dash_root)), record_paths.check_prefix(prefix))
    try:
        with open(place.packages(opening), encoding="ascii") as stream:
            packages = json_values.load(stream.read())
    except FileNotFoundError:
        packages = {}
    try:
        with open(place.diff(opening), encoding="utf-8", errors="replace") as stream:
            diff = stream.read()
    except FileNotFoundError:
        diff = None
    return packages, diff


def close_openings(
    dash_root: str | os.PathLike[str],
    prefix: str,
    *,
    exp_id: str,
    status: Status | str,
    task: str | None = None,
    attempt: int | None = None,
    reason: str | None = None,
    message: str | None = None,
    exit_code: int | None = None,
    only: Collection[str] | None = None,
) -> list[str]:
    """Write a supervisor's verdict about openings of an experiment, task or attempt: it wins.

    It is for when what wrote them is known to be over. Repeating it changes nothing.

    Args:
        dash_root: the folder of all records.
        prefix: the record.
        exp_id: the experiment's id.
        status: COMPLETED, FAILED or CANCELLED.
        task: only openings of this task.
        attempt: only those of this attempt at it.
        reason: a word, such as `lost` or `timeout`.
        message: the same for people.
        exit_code: of the attempt, if there was one.
        only: only these openings.

    Returns:
        The ids of the openings it is about; none where there is no record.
    """
    status = Status(status)
    if status not in opened.ENDS:
        raise ValueError(f"{status} is no end of a record")
    place = record_paths.Place(os.path.abspath(os.fspath(dash_root)), record_paths.check_prefix(prefix))
    told = {
        "status": str(status),
        "reason": reason,
        "message": message,
        "exit_code": exit_code,
        "author": "supervisor",
    }
    closed = []
    for opening in opened.read_all(place)[0]:
        chosen = only is None or opening.id in only
        if chosen and belongs(opening, exp_id=exp_id, task=task, attempt=attempt):
            known = opening.verdict or {}
            if any(known.get(name) != value for name, value in told.items()):
                verdict = {**told, "time": clock.stamp()}
                record_paths.write_aside(
                    place.verdict(opening.id), f"{json_values.dump(verdict)}\n".encode("ascii")
                )
            closed.append(opening.id)
    return closed
