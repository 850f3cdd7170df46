"""`exp list`: the experiments in the home directory, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import Json, Observe, Quiet, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import user
from nemorun_cli.views import listing

if TYPE_CHECKING:
    from nemorun_cli.views.listing import Summary

LIMIT: Final = 50  # experiments in a table without `--limit`; scripts get all
COLUMNS: Final = (
    Column("ID"),
    Column("STATUS"),
    Column("CREATED", spare=1),
    Column("DURATION", is_number=True, spare=2),
    Column("TASKS", spare=3),
    Column("TAGS", is_flexible=True, spare=4),
    Column("KEY", is_flexible=True, spare=5),
)
FOREIGN: Final = (
    Column("ID"),
    Column("CREATED", spare=1),
    Column("TASKS", is_number=True, spare=2),
    Column("FOLDER", is_flexible=True, spare=3),
)
TITLE: Final = Column("TITLE", is_flexible=True, spare=6)  # only if an experiment has one


def command(
    *,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="Only experiments with this name or glob. Repeatable.",
            autocompletion=completion.names,
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS",
            help="Only experiments with this status. Repeatable.",
            autocompletion=completion.statuses,
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only experiments with this tag. Repeatable."),
    ] = None,
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", metavar="USER", help="Only experiments of this user. Repeatable."),
    ] = None,
    executor: Annotated[
        list[str] | None,
        typer.Option(
            "--executor", metavar="NAME", help="Only experiments with a task on this executor. Repeatable."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Only with this text in id, title, description or tags."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DURATION|DATE",
            help="Only experiments created within a duration (2h) or since a date.",
        ),
    ] = None,
    limit: Annotated[
        str | None,
        typer.Option("--limit", metavar="N", help=f"Show at most N (default: {LIMIT} in a table)."),
    ] = None,
    is_foreign: Annotated[
        bool,
        typer.Option("--foreign", help="Instead, the runs of NeMo-Run in the same home."),
    ] = False,
    observe: Observe = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List experiments, newest first.

    Examples:
      exp list --since 2d                     created in the last two days
      exp list --status failed --tag nightly
      exp list --name 'train*' -q             print only the ids
      exp list --executor cluster --text vit
      exp list --foreign                      runs of NeMo-Run, read-only
    """
    home = Home.from_environment()
    most = whole_number("--limit", limit) if limit is not None else None
    earliest = None if since is None else listing.since(since, option="--since")
    if is_foreign:
        if status or tag or observe or owner or executor or text:
            raise UsageError("NeMo-Run's runs have no status and no tags; give --name, --since or --limit")
        _show_foreign(home, names=name, since=earliest, most=most, is_json=is_json, quiet=quiet)
        return
    is_mine = not owner or user.name() in owner  # all in a home are of one user; servers have several
    matching = listing.matching(
        home,
        names=name or (),
        statuses=listing.statuses(status or (), option="--status"),
        tags=tag or (),
        executors=executor or (),
        text=text,
        since=earliest,
        others=observe,
    )
    is_table = not (is_json or quiet)
    maximum = LIMIT if most is None and is_table else most
    shown: list[Summary] = []
    is_cut = False
    for summary in matching if is_mine else ():
        if maximum is not None and len(shown) == maximum:
            is_cut = True
            break
        shown.append(summary)
    for summary in shown:
        if summary.warning:
            terminal.warn(f"{summary.id}: {summary.warning}")
    if is_json:
        experiments = [summary.to_json() for summary in shown]
        terminal.write_json({"schema": listing.LIST_FORMAT, "experiments": experiments})
    elif quiet:
        terminal.write("".join(f"{summary.id}\n" for summary in shown))
    else:
        _show(shown, is_cut=is_cut)


def _show(shown: list[Summary], *, is_cut: bool) -> None:
    titles = [summary.title or "" for summary in shown]
    columns = (*COLUMNS, TITLE) if any(titles) else COLUMNS
    rows = [(*_row(summary), title)[: len(columns)] for summary, title in zip(shown, titles, strict=True)]
    tables.show(columns, rows)
    if is_cut:
        terminal.say(f"only the newest {len(shown)} are shown; for more: exp list --limit {len(shown) * 10}")
    elif not shown:
        terminal.say("hint: no matching experiments; start one with: exp run SPEC")


def _show_foreign(
    home: Home, *, names: list[str] | None, since: str | None, most: int | None, is_json: bool, quiet: bool
) -> None:
    """The runs of NeMo-Run: its own commands show, and change, them."""
    from nemorun_cli.views import foreign  # noqa: PLC0415 - rarely asked for

    found = [
        run
        for run in foreign.newest_first(home)
        if (names is None or listing.has_name(run.title, names))
        and (since is None or (run.created or "") >= since)
    ][:most]
    if is_json:
        rows = [run.to_json() for run in found]
        terminal.write_json({"schema": listing.LIST_FORMAT, "experiments": [], "foreign": rows})
    elif quiet:
        terminal.write("".join(f"{run.id}\n" for run in found))
    else:
        tables.show(
            FOREIGN,
            [
                (
                    run.id,
                    times.brief(run.created),
                    "" if run.tasks is None else str(run.tasks),
                    str(run.directory),
                )
                for run in found
            ],
        )
        if not found:
            terminal.say(f"hint: NeMo-Run has no runs under {home.directory}")


def _row(summary: Summary) -> list[str]:
    total = sum(summary.counts.values())
    done = summary.counts.get("SUCCEEDED", 0)
    return [
        summary.id,
        summary.status or "UNREADABLE",
        times.brief(summary.created),
        listing.duration_text(summary),
        f"{done}/{total}" if total else "",
        ", ".join(summary.tags),
        summary.key or "",
    ]
