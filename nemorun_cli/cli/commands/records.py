"""`exp records`: the records there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, tables, terminal
from nemorun_cli.cli.options import DashRoot, Json, Quiet, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store import sessions as opened
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.experiment.records.targets import Chosen

RECORDS_FORMAT: Final = "exp.records/1"
ENDS: Final = opened.ENDS | {ExperimentStatus.RUNNING}
COLUMNS: Final = (
    Column("PREFIX"),
    Column("STATUS", is_whole=True),
    Column("OPENED", is_whole=True),
    Column("OPENINGS", is_number=True),
    Column("EXPERIMENT"),
    Column("TAGS"),
    Column("REASON"),
)


def command(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="PREFIX|EXP",
            help="A prefix with its `/` and all below it, a glob of prefixes, or an experiment; default all.",
            autocompletion=completion.experiments,
        ),
    ] = None,
    task: TaskOrNone = None,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status", metavar="STATUS", help="In this status.", autocompletion=completion.statuses
        ),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="With this tag.")] = None,
    limit: Annotated[str | None, typer.Option("--limit", metavar="N", help="At most so many.")] = None,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List records by prefix, status and tag."""
    wanted = _statuses(status)
    most = whole_number("--limit", limit) if limit is not None else None
    found = []
    for one in _chosen(which, task, dash_root):
        if (wanted and one.status not in wanted) or not set(tag or ()) <= set(one.record.tags):
            continue
        found.append(one)
        if most is not None and len(found) >= most:
            break
    found = found[:most]
    if is_json:
        entries = [_entry(one) for one in found]
        terminal.write_line(dump({"schema": RECORDS_FORMAT, "records": entries}))
    elif quiet:
        terminal.write_lines(dict.fromkeys(one.record.prefix for one in found))
    else:
        tables.show(COLUMNS, [_row(one) for one in found])


def _chosen(which: str | None, task: str | None, dash_root: str | None) -> Iterator[Chosen]:
    """The records; of many under a prefix one that cannot be read hides no other."""
    is_glob = which is None or bool(targets.GLOB & set(which))
    if is_glob and task is None:
        folder = targets.root(dash_root)
        for prefix in reader.prefixes(folder, which or "*"):
            try:
                record = reader.record(folder, prefix)
            except (LedgerError, UsageError) as error:
                terminal.warn(f"{prefix}: {error.message}")
                continue
            if record is not None:
                yield targets.under(record)
    else:
        yield from targets.target(which, task, dash_root=dash_root).choose()


def _statuses(words: list[str] | None) -> frozenset[str]:
    wanted = frozenset(word.upper() for word in words or ())
    if unknown := wanted - ENDS:
        known = ", ".join(sorted(ENDS))
        raise UsageError(f"--status {min(unknown)}: no record is ever that (there are: {known})")
    return wanted


def _entry(one: Chosen) -> dict[str, Any]:
    last, record = one.decisive, one.record
    return {
        **one.to_json(),
        "reason": last.reason,
        "message": last.message,
        "opened": one.openings[0].opened,
        "ended": last.ended,
        "description": record.description,
        "tags": record.tags,
        "bindrs": record.bindrs,
        "metadata": record.metadata,
        "openings": [
            {
                "id": opening.id,
                "generation": opening.generation,
                "status": str(opening.status),
                "state": opening.state,
                "opened": opening.opened,
                "ended": opening.ended,
                "experiment": opening.facts.get("exp_id"),
                "task": opening.facts.get("task"),
                "attempt": opening.facts.get("attempt"),
                "host": opening.facts.get("host"),
                "pid": opening.facts.get("pid"),
            }
            for opening in one.openings
        ],
    }


def _row(one: Chosen) -> list[str]:
    last = one.decisive
    return [
        one.record.prefix,
        str(one.status),
        one.openings[0].opened,
        str(len(one.openings)),
        str(last.facts.get("exp_id") or ""),
        ", ".join(one.record.tags),
        ": ".join(part for part in (last.reason, last.message) if part),
    ]
