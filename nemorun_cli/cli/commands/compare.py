"""`exp compare`: records side by side, sorted and filtered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import comparison_text, tables, terminal, text_formats
from nemorun_cli.cli.completion import experiments, one_of
from nemorun_cli.cli.options import (
    AllAttempts,
    Attempt,
    DashRoot,
    Goal,
    Json,
    RawTexts,
    attempts,
    whole_number,
)
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.records import compare, conditions, grouping, record_documents
from nemorun_cli.experiment.records import targets as records
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.cli.text_formats import Cell
    from nemorun_cli.experiment.records.compare import Comparison
    from nemorun_cli.experiment.records.grouping import GroupedComparison

FORMATS: Final = ("table", "csv", "json", "markdown")
NOTHING_QUALIFIES: Final = NotFoundError.exit_code  # of `--best` without a record that can be the best


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="EXP|PREFIX",
            help="Experiments (default: the latest), or record prefixes: arguments that contain `/`.",
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
        typer.Option(
            "--best",
            metavar="KEY[:min|max]",
            help="Only the best record by this metric: by the smallest or largest value of its curve, or, "
            "with --goal, by its last value (KEY) or by KEY:mean.",
        ),
    ] = None,
    goal: Goal = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="Only records matching this condition (lr<=0.1, status=COMPLETED). Repeatable.",
        ),
    ] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            "--group-by",
            metavar="PARAM",
            help="A row for each value of these params: mean, deviation and count. Repeatable.",
        ),
    ] = None,
    over: Annotated[
        list[str] | None,
        typer.Option(
            "--over",
            metavar="PARAM",
            help="The params that may differ within a group (seed); others are refused. Repeatable.",
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
) -> int:
    """Compare experiments, members of a sweep or records.

    Params that differ and metrics become columns; each task of an experiment, or record, is a row.

    Examples:
      exp compare                          compare the tasks of the latest
      exp compare sweep --best loss:min    show the completed record with the lowest loss
      exp compare alice/study/ --group-by model --over seed
      exp compare --sort lr --where 'lr<=0.1'
    """
    limit_number = whole_number("--limit", limit) if limit is not None else None
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: must be one of {', '.join(FORMATS)}")
    form = "json" if is_json else format_
    text_formats.require_csv(form, raw=raw)
    for option, given, needed in (("--goal", goal, best), ("--over", over, group_by)):
        if given and not needed:
            raise UsageError(f"{option} needs {'--best KEY' if option == '--goal' else '--group-by PARAM'}")
    if all_params and group_by:
        raise UsageError("--all-params cannot be combined with --group-by: groups have no other params")
    requested: list[str | None] = [*which] if which else [None]
    targets = [records.target(name, task, dash_root=dash_root) for name in requested]
    numbers = attempts(attempt, all_attempts=all_attempts)
    named = [name for name in (*(key or ()), sort, best, *conditions.keys(where or ())) if name is not None]
    rows = compare.rows(*targets, keys=named, attempts=numbers, report=terminal.warn)
    options: dict[str, Any] = {
        "where": where or (),
        "sort": sort,
        "descending": descending,
        "best": best,
        "goal": goal,
        "keys": key or (),
        "limit": limit_number,
    }
    if group_by:
        grouped = grouping.compare(rows, by=group_by, over=over or (), **options)
        compared = grouped.of
    else:
        grouped, compared = None, compare.compare(rows, **options)
    kept = {sort, compared.best.key.title if compared.best else None}
    if form == "json":
        terminal.write_json(record_documents.comparison(compared, grouped), dump=dump)
    elif grouped is not None:
        _show_groups(grouped, form=form, raw=raw, named=kept)
    else:
        _show(compared, compared.params if all_params else compared.differing, form=form, raw=raw, named=kept)
    terminal.flush()
    _say_notes(compared, grouped, is_over_named=bool(over))
    if not compared.known and records.have_measured(targets):
        terminal.say(f"hint: no metrics but those of the machine; see: -k {records.MEASURED}/memory:max")
    has_best = compared.best is not None and compared.best.winner is not None
    return NOTHING_QUALIFIES if best is not None and not has_best else 0


def _show(
    compared: Comparison, params: list[str], *, form: str, raw: bool, named: Collection[str | None]
) -> None:
    columns = comparison_text.columns_of(compared, params, named=named)
    values = comparison_text.values_of(compared, params)
    if form == "table":
        cells = [[comparison_text.rounded(value) for value in row] for row in comparison_text.apart(values)]
        tables.show_values(columns, cells, remedy="choose with -k, or use --format csv")
    else:
        cells_of = [[text_formats.cell(value) for value in row] for row in values]
        _write([column.title for column in columns], cells_of, form=form, raw=raw)


def _show_groups(grouped: GroupedComparison, *, form: str, raw: bool, named: Collection[str | None]) -> None:
    if form == "table":
        columns, cells = comparison_text.group_table(grouped, named=named)
        tables.show_values(columns, cells, remedy="choose with -k, or use --format csv")
    else:
        _write(*comparison_text.group_values(grouped), form=form, raw=raw)


def _write(titles: list[str], cells: list[list[Cell]], *, form: str, raw: bool) -> None:
    if form == "csv":
        text_formats.write_csv(titles, cells, raw=raw)
    else:
        text_formats.write_markdown(titles, cells)


def _say_notes(compared: Comparison, grouped: GroupedComparison | None, *, is_over_named: bool) -> None:
    """Write what was left out, and what a condition could have meant, to standard error."""
    terminal.say_lines(f"note: {text}" for text in compared.notes)
    if compared.unmet:
        terminal.say(f"hint: {compared.unmet}")
    elif not compared.matching:
        terminal.say("hint: no matching records; see: exp records")
    elif compared.best is not None:
        terminal.say_lines(comparison_text.best_notes(compared.best, is_grouped=grouped is not None))
    if grouped is not None:
        terminal.say_lines(comparison_text.group_notes(grouped, is_named=is_over_named))
