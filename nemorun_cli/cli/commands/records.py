"""`exp records`: the tracking records, by prefix, status and tag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import DashRoot, Json, Quiet, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.experiment.records import record_documents, targets
from nemorun_cli.model import units, wording
from nemorun_cli.model.bounded_text import bounded
from nemorun_cli.model.status import ExperimentStatus, status_named
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox.delivery import Outboxes
from nemorun_cli.tracking.store import sessions as opened
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_files import warn_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.outbox.delivery import Delivery

ENDS: Final = opened.ENDS | {ExperimentStatus.RUNNING}
COLUMNS: Final = (
    Column("PREFIX"),
    Column("STATUS"),
    Column("OPENED", spare=2),
    Column("OPENINGS", is_number=True, spare=4),
    Column("EXPERIMENT", spare=3),
    Column("TAGS", is_flexible=True, spare=1),
    Column("REASON", is_flexible=True),
)
UNSENT: Final = Column("UNSENT", is_number=True)  # shown if anything has not arrived on its server


def command(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="PREFIX|EXP",
            help="Record prefix (it contains `/`), glob of prefixes, or experiment (default: all).",
            autocompletion=completion.experiments,
        ),
    ] = None,
    task: TaskOrNone = None,
    *,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only records with this status. Repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only records with this tag. Repeatable."),
    ] = None,
    limit: Annotated[str | None, typer.Option("--limit", metavar="N", help="Show at most N.")] = None,
    dash_root: DashRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List records by prefix, status and tag.

    Examples:
      exp records                     list all records
      exp records 'sweeps/*' --status failed
      exp records training train      list the records of a task
    """
    statuses = _statuses(status)
    most = whole_number("--limit", limit) if limit is not None else None
    matching: list[TargetRecord] = []
    for chosen in _chosen(which, task, dash_root):
        if (statuses and chosen.status not in statuses) or not set(tag or ()) <= set(chosen.record.tags):
            continue
        matching.append(chosen)
        if most is not None and len(matching) >= most:
            break
    matching = matching[:most]
    deliveries = _Deliveries()
    if is_json:
        entries = [record_documents.of_record(chosen, deliveries.of(chosen)) for chosen in matching]
        terminal.write_json({"schema": record_documents.RECORDS_FORMAT, "records": entries}, dump=dump)
    elif quiet:
        terminal.write_lines(dict.fromkeys(chosen.record.prefix for chosen in matching))
    else:
        _show(matching, deliveries)
        if not matching and (local := targets.local_hint(which or "*", dash_root)):
            terminal.flush()
            terminal.say(f"hint: {local}")


def _chosen(which: str | None, task: str | None, dash_root: str | None) -> Iterator[TargetRecord]:
    """The records; an unreadable one below a prefix is reported and skipped."""
    folder = targets.root(dash_root)
    if task is None and (which is None or targets.is_glob(which.strip("/"), folder)):
        for prefix in reader.prefixes(folder, which or "*"):
            try:
                record = reader.record(folder, prefix)
            except (LedgerError, UsageError) as error:
                terminal.warn(f"{prefix}: {error.message}")
                continue
            if record is not None:
                warn_of(record.damaged)
                yield targets.under(record)
    else:
        yield from targets.target(which, task, dash_root=dash_root).choose()


def _statuses(words: list[str] | None) -> frozenset[str]:
    statuses = frozenset(str(status_named(word) or word.upper()) for word in words or ())
    if unknown := statuses - ENDS:
        known = ", ".join(sorted(ENDS))
        raise UsageError(f"--status {min(unknown)}: unknown status (there are: {known})")
    return statuses


def _show(matching: Sequence[TargetRecord], deliveries: _Deliveries) -> None:
    """Write the table; what has not arrived on a server has a column only if there is any."""
    rows = [_row(chosen) for chosen in matching]
    unsent = [deliveries.of(chosen) for chosen in matching]
    if all(each is None or each.is_complete for each in unsent):
        tables.show(COLUMNS, rows)
        return
    for row, each in zip(rows, unsent, strict=True):
        row.insert(2, "" if each is None or each.is_complete else _unsent(each))
    tables.show((*COLUMNS[:2], UNSENT, *COLUMNS[2:]), rows)
    for url, error in sorted({(each.url, each.error) for each in unsent if each and each.error}):
        terminal.flush()
        terminal.warn(error if error and url in error else f"{url}: {error}")


def _unsent(delivery: Delivery) -> str:
    """How much is known to be missing; of a program that was killed, no sender may have looked yet."""
    return units.size_text(delivery.pending) if delivery.pending else "unconfirmed"


class _Deliveries:
    """How much of records their servers do not have; the markers of each folder of records are read once."""

    def __init__(self) -> None:
        self._outboxes: dict[str, Outboxes] = {}

    def of(self, chosen: TargetRecord) -> Delivery | None:
        """Of one record; None if it is not shipped."""
        root = chosen.record.root
        if root not in self._outboxes:
            self._outboxes[root] = Outboxes(root)
        return self._outboxes[root].delivery(chosen.record.place)


def _row(chosen: TargetRecord) -> list[str]:
    last = chosen.decisive
    return [
        chosen.record.prefix,
        str(chosen.status),
        times.brief(chosen.openings[0].opened),
        str(len(chosen.openings)),
        str(last.facts.get("exp_id") or ""),
        ", ".join(chosen.record.tags),
        bounded(wording.why(last.reason, last.message, (last.verdict or {}).get("exit_code"))),
    ]
