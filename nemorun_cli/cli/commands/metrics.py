"""`exp metrics`: metrics of experiments and their tasks as tables, rows or curves, once or continuously."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, tables, terminal, times
from nemorun_cli.cli.metrics_view import pictures
from nemorun_cli.cli.options import DashRoot, ExperimentOrPrefix, Json, RawTexts, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.cli.text_formats import NumberText, require_csv, write_csv
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import documents, targets
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.cli.text_formats import Cell
    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.experiment.records.targets import TargetRecord

FORMATS: Final = ("table", "csv", "json")
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
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new rows until the experiment finishes.")
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Output format: table, csv or json.",
            autocompletion=completion.one_of(FORMATS),
        ),
    ] = "table",
    raw: RawTexts = False,
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> int:
    """Show, plot or follow metrics.

    Examples:
      exp metrics                            summary of the latest experiment
      exp metrics training train -k loss --plot
      exp metrics training -n 5 -f           last 5 rows, then new ones
    """
    tail = whole_number("--last", last) if last is not None else None
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: must be one of {', '.join(FORMATS)}")
    form = "json" if is_json else format_
    require_csv(form, raw=raw)
    if plot and form != "table":
        raise UsageError(f"--plot cannot be combined with {'--json' if is_json else f'--format {form}'}")
    target = targets.target(which, task, dash_root=dash_root)
    if follow:
        from nemorun_cli.cli import metrics_live  # noqa: PLC0415 - not for a single look

        if form == "csv":
            raise UsageError(
                "--format csv cannot be combined with --follow: later rows may add columns",
                hint="use --json",
            )
        return metrics_live.follow(
            target, wanted=key or (), tail=tail, plot=plot, is_json=is_json or form == "json"
        )
    chosen = target.choose()
    all_series = documents.read_series(chosen, wanted=key or (), tail=tail)
    tell_torn(all_series)
    if form == "json":
        terminal.write_json(documents.metrics(all_series), dump=dump)
    elif form == "csv":
        write_csv(*csv_rows(all_series), raw=raw)
    elif not all_series:
        terminal.say(_hint_without_metrics(chosen))
    elif plot:
        terminal.write_picture(pictures(all_series))
    elif tail is not None:
        _show_rows(all_series)
    else:
        tables.show(SUMMARY, summary(all_series))
    return 0


def _hint_without_metrics(chosen: Sequence[TargetRecord]) -> str:
    if measures.have_hidden(chosen):
        return f"hint: no metrics but those of the machine, which -k '{measures.HIDDEN}*' shows"
    return (
        'hint: no metrics; tasks log them with experiment.metrics("train").log(loss=0.5), or have the '
        "key metrics, whose pattern has to match a line of their output"
    )


def tell_torn(all_series: Sequence[Series]) -> None:
    """Warn of files that end with an incomplete row."""
    for series in all_series:
        for torn in series.torn:
            terminal.warn(f"ignored the last {torn.bytes} bytes of {torn.path}: an incomplete row")


def summary(all_series: Sequence[Series]) -> list[list[str]]:
    """The cells of SUMMARY."""
    return [
        [
            series.of.label,
            series.key(field),
            str(values["count"]),
            *(measures.text(values[name]) for name in ("last", "min", "max", "mean")),
            str(values["nan"] or ""),
        ]
        for series in all_series
        for field, values in series.statistics().items()
    ]


def csv_rows(all_series: Sequence[Series]) -> tuple[list[str], list[list[Cell]]]:
    """The titles, and each row with its record, task, series, time and a cell for each field of any row."""
    fields = measures.columns([row for series in all_series for row in series.rows])
    rows: list[list[Cell]] = []
    for series in all_series:
        origin = [series.of.record.prefix, series.of.task or "", series.name or ""]
        rows += (
            [*origin, measures.time_of(row), *(_cell(row.get(field)) for field in fields)]
            for row in series.rows
        )
    return ["prefix", "task", "series", "time", *fields], rows


def _cell(value: Any) -> Cell:
    return value if isinstance(value, (str, float)) or value is None else NumberText(dump(value))


def _show_rows(all_series: Sequence[Series]) -> None:
    """A table of rows for each series."""
    for number, series in enumerate(all_series):
        terminal.write_lines([*([""] if number else []), f"{series.title} of {series.of.label}"])
        names = measures.columns(series.rows)
        columns = [Column("TIME"), *tables.values(names)]
        rows = [
            [times.exact(measures.time_of(row)), *(measures.text(row.get(name)) for name in names)]
            for row in series.rows
        ]
        tables.show_values(columns, rows, remedy="choose with -k, or use --format csv")
