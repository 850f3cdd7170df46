"""`exp metrics`: what experiments and their tasks measured, as tables, rows, curves, or as it comes."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, tables, terminal
from nemorun_cli.cli.metrics_view import document, pictures
from nemorun_cli.cli.options import DashRoot, ExperimentOrPrefix, Json, TaskOrNone, whole_number
from nemorun_cli.cli.tables import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.experiment.records import targets
from nemorun_cli.tracking.store.json_values import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.experiment.records.series import Series
    from nemorun_cli.experiment.records.targets import Chosen

FORMATS: Final = ("table", "csv", "json")
SUMMARY: Final = (
    Column("RECORD"),
    Column("METRIC", is_whole=True),
    Column("COUNT", is_number=True),
    Column("LAST", is_number=True),
    Column("MIN", is_number=True),
    Column("MAX", is_number=True),
    Column("MEAN", is_number=True),
    Column("NAN", is_number=True),
)
MOST_NAMED: Final = 20  # metrics, where one is not known


def command(
    which: ExperimentOrPrefix = None,
    task: TaskOrNone = None,
    *,
    key: Annotated[
        list[str] | None,
        typer.Option(
            "-k", "--key", metavar="GLOB", help="Only this field (loss), series (train) or both (train/loss)."
        ),
    ] = None,
    last: Annotated[
        str | None, typer.Option("-n", "--last", metavar="N", help="The last N rows instead of a summary.")
    ] = None,
    plot: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw the curves.")] = False,
    follow: Annotated[
        bool, typer.Option("-f", "--follow/--no-follow", help="Go on until the experiment is over.")
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, csv or json.",
            autocompletion=completion.one_of(FORMATS),
        ),
    ] = "table",
    dash_root: DashRoot = None,
    is_json: Json = False,
) -> int:
    """Show, draw or follow the metrics of experiments and their tasks."""
    tail = whole_number("--last", last) if last is not None else None
    if format_ not in FORMATS:
        raise UsageError(f"--format {format_}: it is one of {', '.join(FORMATS)}")
    form = "json" if is_json else format_
    if plot and form != "table":
        raise UsageError(f"--plot draws, and --format {form} is for scripts: give one of them")
    target = targets.target(which, task, dash_root=dash_root)
    if follow:
        from nemorun_cli.cli import metrics_live  # noqa: PLC0415 - not for a single look

        if form == "csv":
            raise UsageError("--format csv cannot be followed: fields may come later", hint="--json can")
        return metrics_live.follow(
            target, wanted=key or (), tail=tail, plot=plot, is_json=is_json or form == "json"
        )
    chosen = target.choose()
    found = [series for one in chosen for series in measures.read(one, wanted=key or (), tail=tail)]
    _check_keys(key or (), found, chosen)
    tell_torn(found)
    if form == "json":
        terminal.write_line(dump(document(found)))
    elif form == "csv":
        terminal.write(as_csv(found))
    elif not found:
        terminal.say('hint: nothing was measured; tasks do it with experiment.metrics("train").log(loss=0.5)')
    elif plot:
        terminal.write(pictures(found))
    elif tail is not None:
        _show_rows(found)
    else:
        tables.show(SUMMARY, summary(found))
    return 0


def _check_keys(keys: Sequence[str], found: Sequence[Series], chosen: Sequence[Chosen]) -> None:
    """See that each key selects something of what was measured, unless nothing was.

    Raises:
        UsageError: one does not.
    """
    if not (missing := _missing(keys, measures.fields(found))):
        return
    known = measures.fields([series for one in chosen for series in measures.read(one)])
    if known and (missing := _missing(missing, known)):
        listed = ", ".join(measures.key_of(*one) for one in known[:MOST_NAMED])
        raise UsageError(f"there is no metric {missing[0]!r}", hint=f"there are: {listed}")


def _missing(keys: Sequence[str], known: Sequence[tuple[str | None, str]]) -> list[str]:
    return [key for key in keys if not any(measures.is_wanted(*one, [key]) for one in known)]


def tell_torn(found: Sequence[Series]) -> None:
    """Tell of files that end in the midst of a row."""
    for one in found:
        for torn in one.torn:
            terminal.warn(f"the last {torn.bytes} bytes of {torn.path} are no whole row yet; passed over")


def summary(found: Sequence[Series]) -> list[list[str]]:
    """The cells of SUMMARY."""
    return [
        [
            one.of.label,
            one.key(field),
            str(told["count"]),
            *(measures.text(number) for number in (told["last"], told["min"], told["max"], told["mean"])),
            str(told["nan"] or ""),
        ]
        for one in found
        for field, told in one.statistics().items()
    ]


def as_csv(found: Sequence[Series]) -> str:
    """Every row with its record, task, series and time, and a column for each field that there is."""
    fields = measures.columns([row for one in found for row in one.rows])
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["prefix", "task", "series", "time", *fields])
    for one in found:
        for row in one.rows:
            told = [row.get(field) for field in fields]
            cells = [
                value if isinstance(value, (str, float)) or value is None else dump(value) for value in told
            ]
            writer.writerow(
                [one.of.record.prefix, one.of.task or "", one.name or "", measures.time_of(row), *cells]
            )
    return stream.getvalue()


def _show_rows(found: Sequence[Series]) -> None:
    """A table of rows for each series."""
    for number, one in enumerate(found):
        terminal.write_lines([*([""] if number else []), f"{one.title} of {one.of.label}"])
        names = measures.columns(one.rows)
        columns = [Column("TIME", is_whole=True), *(Column(name, is_number=True) for name in names)]
        rows = [
            [measures.time_of(row), *(measures.text(row.get(name)) for name in names)] for row in one.rows
        ]
        tables.show(columns, rows)
