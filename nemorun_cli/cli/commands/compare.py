"""`exp compare`: records side by side, sorted and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import tables, terminal, text_formats
from nemorun_cli.cli.completion import experiments, one_of
from nemorun_cli.cli.options import AllAttempts, Attempt, DashRoot, Json, RawTexts, attempts, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import compare, series
from nemorun_cli.experiment.records import targets as records
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.experiment.records.compare import Comparison

COMPARE_FORMAT: Final = "exp.compare/1"
FORMATS: Final = ("table", "csv", "json", "markdown")


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXP|PREFIX",
            help="Experiments (default: the latest), or record prefixes ending in `/`.",
            autocompletion=experiments,
        ),
    ] = None,
    *,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only the matching task, group or glob.")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="KEY",
            help="Only this metric (loss, train/loss, loss:min). Repeatable.",
        ),
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="KEY", help="Sort by a metric or a param.")
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="Sort descending.")] = False,
    best: Annotated[
        str | None,
        typer.Option("--best", metavar="KEY:min|max", help="Only the best record by this metric."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only records matching this condition (lr<=0.1, status=COMPLETED). Repeatable.",
        ),
    ] = None,
    all_params: Annotated[
        bool, typer.Option("--all-params", help="Also show params that are equal in all records.")
    ] = False,
    limit: Annotated[str | None, typer.Option("--limit", metavar="N", help="Show at most N.")] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Output format: table, csv, json or markdown.",
            autocompletion=one_of(FORMATS),
        ),
    ] = "table",
    attempt: Attempt = None,
    all_attempts: AllAttempts = False,
    raw: RawTexts = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> None:
    """Compare experiments, members of a sweep or records.

    Params that differ and metrics become columns; each record is a row.

    Examples:
      exp compare                          compare the tasks of the latest
      exp compare sweep --best loss:min    show the record with the lowest loss
      exp compare --sort lr --where 'lr<=0.1'
    """
    limit_number = whole_number("--limit", limit) if limit is not None else None
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: must be one of {', '.join(FORMATS)}")
    text_formats.require_csv("json" if is_json else format_, raw=raw)
    requested: list[str | None] = [*which] if which else [None]
    targets = [records.target(name, task, dash_root=dash_root) for name in requested]
    keys = [name for name in (*(key or ()), sort, best) if name is not None]
    chosen = attempts(attempt, all_attempts=all_attempts)
    rows = [row for target in targets for row in compare.rows(target, keys=keys, attempts=chosen)]
    compared = compare.compare(
        rows,
        where=where or (),
        sort=sort,
        descending=descending,
        best=best,
        keys=key or (),
        limit=limit_number,
    )
    params = compared.params if all_params else compared.differing
    form = "json" if is_json else format_
    if form == "json":
        terminal.write_json(_document(compared), dump=dump)
        return
    titles, cells = _cells(compared, params, named={sort, *(best or "").rsplit(":", 1)})
    if form == "table":
        tables.show_values(titles, cells, remedy="choose with -k, or use --format csv")
        if not cells:
            terminal.say("hint: no matching records; see: exp records")
        return
    names = [column.title for column in titles]
    if form == "csv":
        text_formats.write_csv(names, cells, raw=raw)
    else:
        text_formats.write_markdown(names, cells)


def _document(compared: Comparison) -> dict[str, Any]:
    """The document `exp.compare/1`."""
    return {
        "schema": COMPARE_FORMAT,
        "differing": compared.differing,
        "rows": [row.to_json() for row in compared.rows],
    }


def _cells(
    compared: Comparison, params: list[str], *, named: Collection[str | None]
) -> tuple[list[Column], list[list[str]]]:
    """The columns, params before metrics, and the cells; a column that is `named` is never dropped."""
    is_several = len({row.of.experiment for row in compared.rows}) > 1
    titles = [
        *([Column("EXPERIMENT")] if is_several else []),
        Column("RECORD"),
        Column("STATUS"),
        *tables.values(params, kept=named, before=len(compared.metrics)),
        *tables.values(compared.metrics, kept=named),
    ]
    cells = [
        [
            *([row.of.experiment or ""] if is_several else []),
            row.of.label,
            str(row.of.status),
            *(_cell(row.params.get(name)) for name in params),
            *(_cell(row.value(name)) for name in compared.metrics),
        ]
        for row in compared.rows
    ]
    return titles, cells


def _cell(value: Any) -> str:
    text = series.text(value)
    return text if isinstance(value, str) else text_formats.NumberText(text)
