"""`exp sync`: delivers to servers what has not arrived there yet."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import LedgerError, NotFoundError, UsageError
from nemorun_cli.experiment import lookup
from nemorun_cli.experiment.records import targets
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.units import size_text
from nemorun_cli.replication import address
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from nemorun_cli.replication.sender.delivery import OutboxReport, SyncChoice

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
            help="Deliver to this server only. It is asked what it has of PREFIX or ID, and gets the rest.",
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
    from nemorun_cli.tracking.outbox import notes  # noqa: PLC0415 - the same

    root = str(targets.root(dash_root))
    server = None if url is None else address.normalized(url, what="--url")
    home = Home.from_environment()
    if dash_root and not Path(root).is_dir():
        raise NotFoundError(f"there is no folder {root}", hint="name a folder of records")
    roots = [root] if dash_root else [root, str(Path(targets.LOCAL).absolute()), *known_roots.known()]
    roots = list(dict.fromkeys(roots))
    choice = delivery.SyncChoice()
    if which:
        in_home = notes.roots_in_home(str(home.directory))
        choice, named = _choose(which, list(dict.fromkeys([*roots, *in_home])), home)
        if server is not None and not status:
            _mark(named, home, server)
    if not status:
        for folder in roots:
            missed_records.mark(folder)
    chosen = [
        outbox
        for outbox in delivery.every_outbox(roots, str(home.directory))
        if server is None or outbox.url == server
    ]
    if server is not None and not chosen:
        raise NotFoundError(
            f"nothing here is sent to {server}",
            hint=f"name what to send: exp sync PREFIX --url {server}; or the folder: --dash-root FOLDER",
        )
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


class _NamedThings(NamedTuple):
    """What names stand for: pairs of a folder of records and a prefix, and folders of experiments."""

    records: list[tuple[str, str]]
    experiments: list[str]

    @property
    def labels(self) -> list[str]:
        """The prefixes and the ids."""
        return [*(prefix for _, prefix in self.records), *(Path(folder).name for folder in self.experiments)]


def _choose(which: list[str], roots: list[str], home: Home) -> tuple[SyncChoice, _NamedThings]:
    """The records in these folders, and the experiments of the home, that are named.

    Raises:
        NotFoundError: a name stands for nothing.
    """
    from nemorun_cli.replication.sender import delivery  # noqa: PLC0415 - not needed to complete words
    from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - rarely needed

    names = {name: _also(name.strip("/"), home) for name in which}
    choice = delivery.SyncChoice(name for alike in names.values() for name in alike)
    found = [
        (root, prefix)
        for root in roots
        if Path(root).is_dir()
        for prefix in reader.prefixes(root)
        if choice.takes(prefix)
    ]
    experiments = [
        str(files.directory)
        for name in home.names()
        for each in home.ids(name)
        if choice.takes(each) and (files := home.experiment(each)) is not None
    ]
    named = _NamedThings(found, experiments)
    searched = [*filter(os.path.isdir, roots), str(home.directory)]
    for name, alike in names.items():
        if not any(map(delivery.SyncChoice(alike).takes, named.labels)):
            raise NotFoundError(
                f"there is no record or experiment {name!r} in {', '.join(searched)}",
                hint="name the folder of the records: --dash-root FOLDER",
            )
    return choice, named


def _also(name: str, home: Home) -> list[str]:
    """A name as it is given, and the id of the experiment that other commands find by it."""
    if "/" in name or not targets.GLOB.isdisjoint(name):
        return [name]
    try:
        return [name, lookup.find_files(name, home).id]
    except (NotFoundError, LedgerError):
        return [name]


def _mark(named: _NamedThings, home: Home, url: str) -> None:
    """Mark what is named: a server that may not know it, or has lost it, is asked what it has.

    Raises:
        UsageError: no server takes such a prefix, or the experiment is sent to another one.
        LedgerError: the spec of an experiment cannot be read.
    """
    from nemorun_cli.replication import experiment_files  # noqa: PLC0415 - rarely needed
    from nemorun_cli.replication.sender import outbox_files  # noqa: PLC0415 - the same
    from nemorun_cli.tracking.outbox import markers  # noqa: PLC0415 - the same
    from nemorun_cli.tracking.store import record_paths  # noqa: PLC0415 - the same

    owned = [(root, prefix) for root, prefix in named.records if "/" in prefix]
    servers = {folder: experiment_files.settings_of(Path(folder)).url for folder in named.experiments}
    sent = [folder for folder, server in servers.items() if server == url]
    if not owned and not sent:
        if servers:
            folder, server = next(iter(servers.items()))
            where = "sent nowhere" if server is None else f"sent to {server}"
            raise UsageError(
                f"{Path(folder).name} is {where} by its spec",
                hint=f"send it there: exp resume ID --set tracking.dash_url={url}",
            )
        raise UsageError(
            f"{named.records[0][1]}: on a server the first part of a prefix is its owner, and this one has"
            " one part"
        )
    for root, prefix in owned:
        name = f"{outbox_files.ASKED}{record_paths.unique()}"
        markers.mark(markers.of_records(root, url), name, prefix=prefix)
    for folder in sent:
        name = f"{outbox_files.ASKED}{record_paths.unique()}"
        markers.mark(markers.of_home(str(home.directory), url), name, experiment=folder)


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
                    Path(entry.label).name if entry.label.startswith("/") else entry.label,
                    size_text(entry.bytes) if entry.bytes or entry.files else "unconfirmed",
                    str(entry.files),
                    report.outbox.url,
                    times.brief(report.last),
                    _reason(problem, report),
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
        hints = [_hint(report, entry.error or report.error) for report in reports for entry in report.entries]
        for hint in dict.fromkeys(hints):
            terminal.say(f"hint: {hint}")


def _reason(problem: dict[str, Any] | None, report: OutboxReport) -> str:
    """Why something is left, without the address, which has a column."""
    if problem is None:
        return "being sent" if report.is_sending else ""
    text = str(problem["message"]).removeprefix(f"{report.outbox.url} ")
    for noise in (f" for {report.outbox.url}", "Failed to establish a new connection: "):
        text = text.replace(noise, "")
    return text


def _hint(report: OutboxReport, problem: dict[str, Any] | None) -> str:
    """What to do about a problem: another delivery does not help against everything."""
    from nemorun_cli.replication import outbox_checks  # noqa: PLC0415 - rarely needed

    remedy = outbox_checks.remedy(report._replace(error=problem, entries=[]))
    return "deliver it now: exp sync" if remedy.startswith(("exp sync", "nothing")) else remedy
