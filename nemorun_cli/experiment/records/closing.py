"""Ends records that are left RUNNING although their writer has terminated, as a person decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerError, NotFoundError, NotOverError, UsageError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import user
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store import record_labels
from nemorun_cli.tracking.store.sessions import ENDS
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.storage.paths import Home
    from nemorun_cli.tracking import Record
    from nemorun_cli.tracking.store.sessions import Session

CLOSED: Final = "closed"  # the reason of a record that a person ended
DEFAULT: Final = "failed"


def status(word: str, *, option: str) -> ExperimentStatus:
    """The final status of a record, in any case; raises UsageError, which names the option, for others."""
    chosen = word.upper()
    if chosen not in ENDS:
        known = ", ".join(sorted(end.lower() for end in ENDS))
        raise UsageError(f"{option} {word}: a record cannot end like that (there are: {known})")
    return ExperimentStatus(chosen)


def left(record: Record) -> list[Session]:
    """The openings of a record that have no recorded end."""
    return [opening for opening in record.openings if opening.state != "ended"]


def close(record: Record, home: Home, end: ExperimentStatus) -> list[str]:
    """Record the end of all openings that have none; returns their ids, none if all have ended.

    The end is a file next to each opening, which names this process as its author; the opening itself stays
    as it is, and so do the data.

    Raises:
        NotOverError: its writer is alive on this machine, or its experiment runs.
        UsageError: the record belongs to another user.
        LedgerError: the folder of the record cannot be written.
    """
    openings = left(record)
    if not openings:
        return []
    refuse_written(record, openings, home)
    record_labels.require_own(record.place)
    try:
        return reader.close_openings(
            record.root,
            record.prefix,
            exp_id=None,
            status=end,
            reason=CLOSED,
            message=f"closed by {user.author()}",
            author="user",
            only=[opening.id for opening in openings],
        )
    except OSError as error:
        raise LedgerError(
            f"cannot write {error.filename or record.place.openings}: {error.strerror}"
        ) from error


def refuse_written(record: Record, openings: Iterable[Session], home: Home) -> None:
    """Refuse if the writer of an opening is alive on this machine, or its experiment runs.

    Raises:
        NotOverError: one of them holds.
    """
    openings = list(openings)
    for exp_id in dict.fromkeys(opening.facts.get("exp_id") for opening in openings):
        if exp_id and is_running(home, exp_id):
            raise NotOverError(
                f"{record.prefix} is a record of {exp_id}, which is running",
                hint=f"cancel it: exp cancel {exp_id}; or wait: exp wait {exp_id}",
            )
    for opening in openings:
        if opening.state == "alive":
            pid = opening.facts.get("pid")
            raise NotOverError(
                f"{record.prefix} is being written by process {pid} of this machine",
                hint=f"end that process first: kill {pid}",
            )


def is_running(home: Home, exp_id: str) -> bool:
    """Whether an experiment of this home runs, as far as can be known; not if it was removed."""
    try:
        files = home.experiment(exp_id)
        if files is None:
            return False
        snapshot = observe.look(files, home=home.directory, observe=False)
    except NotFoundError:
        return False
    return snapshot.status is ExperimentStatus.RUNNING
