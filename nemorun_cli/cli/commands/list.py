"""`exp list`: the experiments in the home directory, newest first."""

from __future__ import annotations

import fnmatch
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.options import Json, Observe, Quiet, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.model import units
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home
from nemorun_cli.views import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

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
      exp list --foreign                      runs of NeMo-Run, read-only
    """
    home = Home.from_environment()
    most = whole_number("--limit", limit) if limit is not None else None
    if is_foreign:
        if status or tag or observe:
            raise UsageError("NeMo-Run's runs have no status and no tags; give --name, --since or --limit")
        _show_foreign(home, names=name, since=_since(since), most=most, is_json=is_json, quiet=quiet)
        return
    matching = _matching(
        home, names=name, statuses=_statuses(status), tags=tag, since=_since(since), others=observe
    )
    is_table = not (is_json or quiet)
    maximum = LIMIT if most is None and is_table else most
    shown: list[Summary] = []
    is_cut = False
    for summary in matching:
        if maximum is not None and len(shown) == maximum:
            is_cut = True
            break
        shown.append(summary)
    for summary in shown:
        if problem := summary.problem or summary.stall or summary.not_observed:
            terminal.warn(f"{summary.id}: {problem}")
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
        if (names is None or _matches(run.title, names)) and (since is None or (run.created or "") >= since)
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


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _matching(
    home: Home,
    *,
    names: list[str] | None,
    statuses: frozenset[str],
    tags: list[str] | None,
    since: str | None,
    others: bool,
) -> Iterator[Summary]:
    """The summaries that match all filters; experiments that are too old are not read."""
    chosen = home.names()
    if names:
        chosen = [name for name in chosen if _matches(name, names)]
    for summary in listing.newest_first(home, names=chosen, since=since, others=others):
        if statuses and summary.status not in statuses:
            continue
        if tags and not set(tags) <= set(summary.tags):
            continue
        yield summary


def _statuses(words: list[str] | None) -> frozenset[str]:
    chosen = frozenset(word.upper() for word in words or ())
    if unknown := chosen - set(ExperimentStatus):
        raise UsageError(
            f"--status {min(unknown)}: unknown status (there are: {', '.join(ExperimentStatus)})"
        )
    return chosen


def _since(text: str | None) -> str | None:
    """The earliest creation time, as a UTC stamp."""
    if text is None:
        return None
    try:
        return stamp(time.time() - units.duration(text))
    except ValueError:
        pass
    from datetime import datetime  # noqa: PLC0415 - only for dates

    try:
        return stamp(datetime.fromisoformat(text).astimezone().timestamp())
    except ValueError:
        raise UsageError(
            f"--since {text}: must be a duration (2h, 3d) or a date (2026-11-22, 2026-11-22T08:00)"
        ) from None


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
