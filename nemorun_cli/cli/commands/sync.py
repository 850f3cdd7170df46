"""`exp sync`: delivers to servers what has not arrived there yet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.units import size_text
from nemorun_cli.replication import address
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from nemorun_cli.replication.sender.delivery import OutboxReport, SyncChoice
    from nemorun_cli.tracking.outbox.markers import Outbox

SYNC_FORMAT: Final = "exp.sync/1"
COLUMNS: Final = (
    Column("NAME"),
    Column("BYTES", is_number=True),
    Column("FILES", is_number=True, spare=3),
    Column("SERVER", is_flexible=True, spare=1),
    Column("LAST", spare=2),
    Column("PROBLEM", is_flexible=True),
)
CODES: Final = {"delivered": 0, "left": 4, "away": 6, "refused": 2}  # of several, the first of these counts:
WORST: Final = ("refused", "away", "left", "delivered")


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PREFIX|ID]...",
            help="Record prefixes, globs of prefixes, or ids of experiments (default: all).",
            autocompletion=completion.experiments,
            show_default=False,
        ),
    ] = None,
    *,
    dash_root: Annotated[
        str | None,
        typer.Option("--dash-root", metavar="FOLDER", help="Deliver the records of this folder."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--url",
            metavar="URL",
            help="Deliver to this server only, also records that PREFIX names and no program sent there.",
        ),
    ] = None,
    status: Annotated[
        bool, typer.Option("--status", help="Print what has not arrived; send nothing.")
    ] = False,
    is_json: Json = False,
) -> int:
    """Deliver to servers what has not arrived there yet.

    Delivers what programs and experiments with a `dash_url` have left, from all folders of records that a
    sender has noted in the home, and from .dash. If a background sender is at work, waits for it. May run at
    any time, also from cron.

    Examples:
      exp sync                       deliver all
      exp sync --status              what has not arrived, and why
      exp sync 'alice/sweeps/*'      deliver some records
      exp sync alice/p/old --url https://exp.example.org    send a record that was written without a server
    """
    from nemorun_cli.replication.sender import delivery, known_roots  # noqa: PLC0415 - not needed to complete words
    from nemorun_cli.tracking.access import missed_records  # noqa: PLC0415 - the same

    choice = delivery.SyncChoice(which or ())
    root = str(targets.root(dash_root))
    server = None if url is None else address.normalized(url, what="--url")
    if server is not None and which and not status:
        _mark(root, server, choice)
    home = Home.from_environment()
    roots = [root] if dash_root else [root, str(Path(targets.LOCAL).absolute()), *known_roots.known()]
    if not status:
        for folder in dict.fromkeys(roots):
            missed_records.mark(folder)
    chosen = [
        outbox
        for outbox in delivery.every_outbox(roots, str(home.directory))
        if server is None or outbox.url == server
    ]
    if status:
        reports = [delivery.report(outbox, choice) for outbox in chosen]
    else:
        display = _Display()
        reports = [delivery.deliver(outbox, choice, show=display.show) for outbox in chosen]
        display.clear()
    if is_json:
        terminal.write_json({"schema": SYNC_FORMAT, "outboxes": [report.to_json() for report in reports]})
    else:
        _show(reports, is_status=status)
    states = [str(report.state) for report in reports]
    return CODES[min(states, key=WORST.index, default="delivered")]


def _mark(root: str, url: str, choice: SyncChoice) -> None:
    """Mark the records that are named, so that they are sent to a server that their programs did not know."""
    from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - rarely needed
    from nemorun_cli.tracking.outbox import markers  # noqa: PLC0415 - the same
    from nemorun_cli.tracking.store import record_paths  # noqa: PLC0415 - the same

    prefixes = [prefix for prefix in reader.prefixes(root) if choice.takes(prefix)]
    if not prefixes:
        raise NotFoundError(f"no record in {root} has such a prefix", hint=f"exp records --dash-root {root}")
    owned = [prefix for prefix in prefixes if "/" in prefix]
    if not owned:
        raise UsageError(
            f"{prefixes[0]}: on a server the first part of a prefix is its owner, and this one has one part"
        )
    outbox: Outbox = markers.of_records(root, url)
    for prefix in owned:
        markers.mark(outbox, f"sync-{record_paths.unique()}", prefix=prefix)


class _Display:
    """A line on the terminal with how much is left; nothing elsewhere."""

    def __init__(self) -> None:
        self._draws = terminal.can_draw(sys.stderr)

    def show(self, report: OutboxReport) -> None:
        if self._draws:
            size = size_text(sum(each.bytes for each in report.entries))
            reason = f": {report.error['message']}" if report.error else ""
            terminal.say_unchanged(f"\r\x1b[K{size} left for {report.outbox.url}{escaped(reason)}"[:160])

    def clear(self) -> None:
        if self._draws:
            terminal.say_unchanged("\r\x1b[K")


def _show(reports: list[OutboxReport], *, is_status: bool) -> None:
    rows = []
    for report in reports:
        for entry in report.entries:
            problem = entry.error or report.error
            rows.append(
                [
                    entry.label,
                    size_text(entry.bytes),
                    str(entry.files),
                    report.outbox.url,
                    times.brief(report.last),
                    problem["message"] if problem else ("being sent" if report.is_sending else ""),
                ]
            )
    if rows:
        tables.show(COLUMNS, rows)
        terminal.flush()
    servers = ", ".join(dict.fromkeys(report.outbox.url for report in reports)) or "a server"
    if not reports:
        terminal.say("nothing here is sent to a server")
    elif not rows:
        failed = next((report.error for report in reports if report.error), None)
        terminal.say(failed["message"] if failed else f"all has arrived at {servers}")
    elif is_status:
        terminal.say("hint: deliver it now: exp sync")
