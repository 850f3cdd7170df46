"""Find, close, remove and restore records and experiments from Python, as `exp close` and `exp rm` do."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.errors import NotFoundError
from nemorun_cli.experiment import trash
from nemorun_cli.experiment.lookup import trusted
from nemorun_cli.experiment.maintenance import removal
from nemorun_cli.experiment.records import closing, targets
from nemorun_cli.tracking.access import reader

if TYPE_CHECKING:
    from os import PathLike

    from nemorun_cli.experiment.trash import Removal
    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.tracking import Record


def find_record(
    prefix: str,
    *,
    dash_root: str | PathLike[str] | None = None,
    home: Home | str | PathLike[str] | None = None,
) -> Record:
    """Find the record with exactly this prefix; it has a status, tags and notes, and can be tagged.

    Args:
        prefix: of the record, as in `owner/project/name`.
        dash_root: the folder of records; by default `$EXP_DASH_ROOT`, or that of the home.
        home: a folder, instead of `$NEMORUN_HOME`.

    Raises:
        NotFoundError: none exists.
        LedgerDamagedError: it cannot be read.
    """
    root = dash_root or (None if home is None else trusted(home).dash)
    return targets.single(prefix, None if root is None else os.fspath(root))


def close_record(
    record: Record, status: str = "failed", *, home: Home | str | PathLike[str] | None = None
) -> Record:
    """End a record that is left RUNNING although its writer has terminated; returns it as it is then.

    Args:
        record: from `find_record`; if all its openings have ended, nothing changes.
        status: `failed`, `completed` or `cancelled`.
        home: a folder, instead of `$NEMORUN_HOME`: the home of the experiment that wrote it.

    Raises:
        NotOverError: its writer is alive on this machine, or its experiment runs.
        UsageError: there is no such status.
        TypeError: it is no record.
    """
    _require_record(record)
    closing.close(record.latest(), trusted(home), closing.status(status, option="status"))
    return record.latest()


def remove_record(record: Record, *, home: Home | str | PathLike[str] | None = None) -> Removal:
    """Move a record to the trash of the home, from which `restore` puts it back; those below it stay.

    Raises:
        NotOverError: it is being written, or RUNNING for all that is known.
        NotFoundError: it was removed meanwhile.
        UsageError: the home cannot be written.
        TypeError: it is no record.
    """
    _require_record(record)
    home = trusted(home)
    return removal.carry_out(home, removal.plan_record(home, record.latest()))


def _require_record(record: object) -> None:
    if not isinstance(record, reader.Record):
        raise TypeError(
            f"a record is needed, as find_record(prefix) returns it, not {type(record).__qualname__}"
        )


def remove_experiment(home: Home, files: ExperimentFiles, *, records: bool) -> Removal:
    """See `Run.remove`."""
    if not files.ledger.exists():
        raise NotFoundError(f"there is no experiment {files.id} under {home.directory}")
    return removal.carry_out(home, removal.plan_experiment(home, files, records=records))


def restore(which: str, *, home: Home | str | PathLike[str] | None = None) -> Removal:
    """Put back what was removed last: an experiment, by its id or name, or a record, by its prefix.

    Returns the removal, whose `items` have a `kind`, a `path`, an `id` and a `prefix`: those that are back.
    It warns of a record whose file system cannot be reached, which stays in the trash.

    Raises:
        NotFoundError: it is not in the trash.
        AmbiguousError: several experiments of this name are.
        UsageError: something else has its place.
        LedgerError: nothing of it can be reached.
        TypeError: it is no text.
    """
    if not isinstance(which, str):
        raise TypeError(f"an id, a name or a prefix is needed, not {type(which).__qualname__}")
    home = trusted(home)
    chosen = trash.choose(home, which)
    return replace(chosen, items=tuple(trash.restore(home, chosen)))
