"""Ends records that are left RUNNING although their writer has terminated, as a person decides."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError, LedgerError, NotFoundError, NotOverError, UsageError
from nemorun_cli.experiment.lookup import trusted
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.system import user
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.process import process_info
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
        NotOverError: its writer is alive on this machine, or its experiment runs, or may run.
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
    """Refuse if the writer of an opening is alive on this machine, or its experiment runs, or may run.

    An experiment of another home is looked up there, if the opening names it. What a supervisor of this
    machine writes for an experiment that is not found may still be written. Of what another machine writes,
    which may be lost, a person decides.

    Raises:
        NotOverError: one of them holds.
    """
    states: dict[tuple[str, str | None], bool | None] = {}
    openings = list(openings)
    for opening in openings:
        if not (exp_id := opening.facts.get("exp_id")):
            continue
        its_home = opening.facts.get("home")
        if (exp_id, its_home) not in states:
            states[exp_id, its_home] = _is_running(exp_id, home, its_home)
        is_running = states[exp_id, its_home]
        chosen = f"NEMORUN_HOME={shlex.quote(its_home or 'FOLDER')}"
        if is_running:
            exp = "exp" if _state_in(home, exp_id) is not None else f"{chosen} exp"
            raise NotOverError(
                f"{record.prefix} is a record of {exp_id}, which is running",
                hint=f"cancel it: {exp} cancel {exp_id}; or wait: {exp} wait {exp_id}",
            )
        if is_running is None and _may_be_supervised(opening):
            raise NotOverError(
                f"{record.prefix} is a record of {exp_id}, an experiment of another home than"
                f" {home.directory}, and may be running",
                hint=f"run the command with the home of that experiment: {chosen} exp …",
            )
    for opening in openings:
        if opening.state == "alive":
            pid = opening.facts.get("pid")
            raise NotOverError(
                f"{record.prefix} is being written by process {pid} of this machine",
                hint=f"end that process first: kill {pid}",
            )


def _is_running(exp_id: str, home: Home, its_home: str | None) -> bool | None:
    """Whether an experiment runs, as this home or its own one knows; None if neither knows it."""
    if (state := _state_in(home, exp_id)) is not None:
        return state
    if its_home == str(home.directory):
        return False  # it was removed, and deleted
    if its_home and os.path.isabs(its_home) and os.path.isdir(its_home):  # noqa: PTH112, PTH117 - it is text
        try:
            return bool(_state_in(trusted(its_home), exp_id))
        except ExpError:  # another user may change it, or it cannot be read
            return None
    return None


def _state_in(home: Home, exp_id: str) -> bool | None:
    """Whether an experiment of this home runs, which none in the trash does; None if it has none."""
    try:
        files = home.experiment(exp_id)
        if files is not None:
            snapshot = observe.look(files, home=home.directory, observe=False)
            return snapshot.status is ExperimentStatus.RUNNING
    except NotFoundError:
        return False
    return False if exp_id in home.removed_ids() else None


def _may_be_supervised(opening: Session) -> bool:
    """Whether a supervisor of this machine may write to an opening, whose experiment was not found."""
    if opening.state != "supervised" or not process_info.is_this_machine(opening.facts):
        return False
    its_home, pid = opening.facts.get("home"), opening.facts.get("pid")
    if its_home and not os.path.isdir(its_home) and isinstance(pid, int):  # noqa: PTH112 - it is text
        return process_info.started(pid) == opening.facts.get("process_started")
    return True
