"""`exp metrics`: metrics of experiments and their tasks as tables, rows or curves, once or continuously."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import comparison_text, tables, terminal, times, unmatched_text
from nemorun_cli.cli import plot_file as plotted
from nemorun_cli.cli.metrics_view import not_drawn, pictures
from nemorun_cli.cli.options import (
    TABLE_FORMATS,
    AllAttempts,
    Attempt,
    DashRoot,
    ExperimentOrPrefix,
    Goal,
    Json,
    RawTexts,
    TableFormat,
    TaskOrNone,
    attempts,
    positive_number,
    whole_number,
)
from nemorun_cli.cli.tables import Column
from nemorun_cli.cli.text_formats import NumberText, cell, require_csv, write_csv
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import documents, leading, targets
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.model.units import size_text
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.cli.text_formats import Cell
    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.experiment.records.targets import TargetRecord

MOST_EXPLAINED: Final = 3  # tasks or series for which it is explained why nothing is shown
SUMMARY: Final = (
    Column("RECORD"),
    Column("METRIC"),
    Column("COUNT", is_number=True, spare=3),
    Column("LAST", is_number=True),
    Column("MIN", is_number=True, spare=1),
    Column("MAX", is_number=True, spare=1),
    Column("MEAN", is_number=True, spare=4),
    Column("NAN", is_number=True, spare=2),
)
IDENTIFYING: Final = (
    "prefix",
    "task",
    "series",
    "attempt",
    "rank",
    "time",
)  # the first columns of CSV


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k",
            "--key",
            metavar="GLOB",
            help="Only this field (loss), series (train) or both (train/loss). Repeatable.",
        ),
    ] = None,
    last: Annotated[
        str | None,
        typer.Option("-n", "--last", metavar="N", help="Show the last N rows instead of a summary."),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Plot curves in the terminal.")] = False,
    plot_file: Annotated[
        str | None,
        typer.Option(
            "--plot-file", metavar="FILE", help="Draw curves into a file: .svg, .html, or .png with [plot]."
        ),
    ] = None,
    is_log: Annotated[
        bool, typer.Option("--log", help="With --plot-file: logarithmic axes for values.")
    ] = False,
    best: Annotated[
        str | None,
        typer.Option(
            "--best",
            metavar="KEY[:min|max]",
            help="With --plot or --plot-file: the curves of the records that lead by this metric.",
        ),
    ] = None,
    goal: Goal = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new rows until the experiment finishes.")
    ] = False,
    format_: TableFormat = "table",
    attempt: Attempt = None,
    all_attempts: AllAttempts = False,
    raw: RawTexts = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> int:
    """Show, plot or follow metrics.

    Examples:
      exp metrics                            summary of the latest experiment
      exp metrics training train -k loss --plot
      exp metrics sweep --plot --best loss:min
      exp metrics sweep -k loss --plot-file loss.svg
      exp metrics training -n 5 -f           last 5 rows, then new ones
    """
    tail = _tail(last, follow=follow)
    if format_ not in TABLE_FORMATS:
        raise UsageError(f"--format {format_}: must be one of {', '.join(TABLE_FORMATS)}")
    form = "json" if is_json else format_
    require_csv(form, raw=raw)
    if (option := _drawing(plot, plot_file)) and form != "table":
        raise UsageError(f"{option} cannot be combined with {'--json' if is_json else f'--format {form}'}")
    _require_plot_file(plot_file, is_log=is_log, others={"--plot": plot, "--follow": follow, "--last": tail})
    chosen = attempts(attempt, all_attempts=all_attempts)
    _require_plot(best, goal, plot=option is not None)
    target = targets.target(which, task, dash_root=dash_root)
    if follow:
        from nemorun_cli.cli import metrics_live  # noqa: PLC0415 - not for a single look

        if form == "csv":
            raise UsageError(
                "--format csv cannot be combined with --follow: later rows may add columns",
                hint="use --json",
            )
        feed = metrics_live.MetricFeed(wanted=key or (), tail=tail, attempts=chosen, keeps=plot)
        return metrics_live.follow(
            target, feed, plot=plot, is_json=is_json or form == "json", best=best, goal=goal
        )
    snapshot = target.look()
    read = target.choose() if snapshot is None else target.choose_of(snapshot)
    names = snapshot.match_tasks([task]) if snapshot is not None and task is not None else None
    all_series = documents.read_series(
        read,
        wanted=key or (),
        tail=tail,
        attempts=chosen,
        explain=lambda wanted: unmatched_text.why_missing(wanted, snapshot, names),
    )
    tell_torn(all_series)
    if form == "json":
        terminal.write_json(documents.metrics(all_series), dump=dump)
    elif form == "csv":
        write_csv(*csv_rows(all_series), raw=raw)
    elif not all_series:
        terminal.say(_hint_without_metrics(read))
        terminal.say_lines(unmatched_text.hints(snapshot, names))
    elif option:
        judged = (
            documents.read_series(read, attempts=chosen) if best and (key or tail is not None) else all_series
        )
        drawn = _leading(all_series, judged, best=best, goal=goal)
        _plot(all_series, drawn, best=best, by_attempt=all_attempts, path=plot_file, is_log=is_log)
    elif tail is not None:
        _show_rows(all_series, with_attempts=all_attempts)
    else:
        tables.show(SUMMARY, summary(all_series))
        _tell_without_numbers(all_series)
        unmatched_text.say_others(snapshot, names, keys=key or ())
    return 0


def _tail(last: str | None, *, follow: bool) -> int | None:
    """The number of rows; None for all. 0 has a meaning only if later rows follow."""
    if last is None:
        return None
    return (whole_number if follow else positive_number)("--last", last)


def _require_plot(best: str | None, goal: str | None, *, plot: bool) -> None:
    if (best is not None and not plot) or (goal is not None and best is None):
        option, needed = ("--best", "--plot") if best is not None else ("--goal", "--best KEY")
        raise UsageError(f"{option} needs {needed}", hint="to choose a record: exp compare --best KEY:min")


def _drawing(plot: bool, plot_file: str | None) -> str | None:  # noqa: FBT001 - private
    """The option that draws curves, if one is given."""
    return "--plot" if plot else "--plot-file" if plot_file is not None else None


def _require_plot_file(path: str | None, *, is_log: bool, others: Mapping[str, object]) -> None:
    if path is None:
        if is_log:
            raise UsageError("--log needs --plot-file FILE")
        return
    if other := next((name for name, value in others.items() if value), None):
        raise UsageError(f"--plot-file cannot be combined with {other}")
    plotted.require_kind(path)


def _leading(
    all_series: Sequence[Series], judged: Sequence[Series], *, best: str | None, goal: str | None
) -> Sequence[Series]:
    """The series, those of the best records first if that is wanted; also notes which these are."""
    if best is None:
        return all_series
    ordered, leader = leading.in_order(all_series, judged, best=best, goal=goal)
    terminal.say_lines(comparison_text.best_notes(leader, is_drawn=True) if leader else ())
    return ordered


def _plot(
    requested: Sequence[Series],
    drawn: Sequence[Series],
    *,
    best: str | None,
    by_attempt: bool,
    path: str | None,
    is_log: bool,
) -> None:
    """Draw the curves, into a file if one is named, and write which are left out."""
    if path is not None:
        title = drawn[0].of.experiment or drawn[0].of.record.prefix
        size = plotted.write(path, title, drawn, by_attempt=by_attempt, is_log=is_log)
        terminal.write_line(path)
        terminal.flush()
        terminal.say(size_text(size))
    else:
        terminal.write_picture(pictures(drawn, by_attempt=by_attempt))
        if note := not_drawn(drawn, best=best):
            terminal.flush()
            terminal.say(note)
    _tell_without_numbers(requested)


def _hint_without_metrics(chosen: Sequence[TargetRecord]) -> str:
    if measures.have_measured(chosen):
        return f"hint: no metrics but those of the machine, which -k '{targets.MEASURED}*' shows"
    return (
        'hint: no metrics; tasks log them with experiment.metrics("train").log(loss=0.5), or have the '
        "key metrics, whose pattern has to match a line of their output"
    )


def _tell_without_numbers(all_series: Sequence[Series]) -> None:
    """Name the series of which summaries and curves show nothing, and what shows their rows."""
    without = [f"{series.title} of {series.of.label}" for series in all_series if not series.statistics()]
    if without:
        more = f" and {len(without) - MOST_EXPLAINED} more" if len(without) > MOST_EXPLAINED else ""
        terminal.flush()
        terminal.say(f"note: there are rows without numbers: {', '.join(without[:MOST_EXPLAINED])}{more}")
        terminal.say("hint: -n 5 shows the last rows, --format csv all of them")


def tell_torn(all_series: Sequence[Series]) -> None:
    """Warn of files that end with an incomplete row."""
    for series in all_series:
        for torn in series.torn:
            terminal.warn(f"ignored the last {torn.bytes} bytes of {torn.path}: an incomplete row")


def summary(all_series: Sequence[Series]) -> list[list[str]]:
    """The cells of SUMMARY."""
    keys = measures.keys_of(all_series)
    return [
        [
            series.of.label,
            keys[series.name, field],
            str(values["count"]),
            *(measures.text(values[name]) for name in ("last", "min", "max", "mean")),
            str(values["nan"] or ""),
        ]
        for series in all_series
        for field, values in series.statistics().items()
    ]


def csv_rows(all_series: Sequence[Series]) -> tuple[list[str], list[list[Cell]]]:
    """The titles, and each row with what identifies it, and a cell for each field of any row."""
    fields = measures.columns([row for series in all_series for row in series.rows])
    rows: list[list[Cell]] = []
    for series in all_series:
        record = [series.of.record.prefix, series.of.task or "", series.name or ""]
        rows += (
            [
                *record,
                NumberText(origin.attempt),
                "" if origin.rank is None else NumberText(origin.rank),
                measures.time_of(row) or NumberText(dump(row[measures.TIME])),
                *(cell(row.get(field)) for field in fields),
            ]
            for row, origin in zip(series.rows, series.origins, strict=True)
        )
    return [*IDENTIFYING, *map(_title, fields)], rows


def _title(field: str, *, beside: Sequence[str] = IDENTIFYING) -> str:
    """The title of a field's column; an underscore keeps it apart from a column that identifies the row."""
    return f"{field}_" if field.rstrip("_") in beside else field


def _show_rows(all_series: Sequence[Series], *, with_attempts: bool) -> None:
    """A table of rows for each series."""
    for number, series in enumerate(all_series):
        terminal.write_lines([*([""] if number else []), f"{series.title} of {series.of.label}"])
        names = measures.columns(series.rows)
        columns = [
            Column("TIME"),
            *([Column("ATTEMPT", is_number=True)] if with_attempts else []),
            *tables.values([_title(name, beside=("TIME", "ATTEMPT")) for name in names]),
        ]
        rows = [
            [
                _exact(measures.time_of(row)),
                *([str(origin.attempt)] if with_attempts else []),
                *(measures.text(row.get(name)) for name in names),
            ]
            for row, origin in zip(series.rows, series.origins, strict=True)
        ]
        tables.show_values(columns, rows, remedy="choose with -k, or use --format csv")


def _exact(stamp: str) -> str:
    return times.exact(stamp) if stamp else ""
