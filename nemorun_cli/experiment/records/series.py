"""Series of metric rows read from records, with their statistics and their text form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.experiment.records import metric_keys
from nemorun_cli.model.clock import stamp
from nemorun_cli.tracking.store import row_selection
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_selection import NOT_PLOTTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.store.row_files import IncompleteRow, Row
    from nemorun_cli.tracking.store.row_selection import Statistics

DIGITS: Final = 6  # significant digits of a number in a table
TIME: Final = "_ts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The rows of one series of a record; `name` is None for the unnamed one.

    `asked` are the keys by which its fields were selected; a field is shown by its exact key if it is one.
    """

    of: TargetRecord
    name: str | None
    rows: list[Row]
    torn: Sequence[IncompleteRow] = ()
    asked: Sequence[str] = ()

    @property
    def title(self) -> str:
        """The name to display."""
        return self.name or "(unnamed)"

    def statistics(self) -> dict[str, Statistics]:
        """The statistics of each numeric field, without the axes (step, epoch, time)."""
        return {
            field: values
            for field, values in row_selection.statistics(self.rows).items()
            if field not in NOT_PLOTTED
        }

    def ending_without_number(self, names: Iterable[str]) -> list[str]:
        """Those of these fields whose last value is no number: None, a text, true or a list."""
        pending = set(names)
        found = []
        for row in reversed(self.rows):
            if not pending:
                break
            for name in [name for name in pending if name in row]:
                pending.remove(name)
                if type(row[name]) not in {int, float}:
                    found.append(name)
        return found

    def to_json(self) -> dict[str, Any]:
        """An entry of `series` in `exp.metrics/1`."""
        return {
            "name": self.name,
            "count": len(self.rows),
            "statistics": self.statistics(),
            "rows": self.rows,
        }


def keys_of(all_series: Sequence[Series]) -> dict[tuple[str | None, str], str]:
    """The key to show for each pair of series and field: `train/loss`, or `loss` in the unnamed series."""
    titled = metric_keys.titles(fields(all_series))
    asked = {key for series in all_series for key in series.asked}
    return {field: key if (key := metric_keys.exact(field)) in asked else titled[field] for field in titled}


def read(chosen: TargetRecord, *, wanted: Sequence[str] = (), tail: int | None = None) -> Iterator[Series]:
    """The series of a record that contain a requested field.

    Args:
        chosen: the record.
        wanted: keys (`train/loss`), fields or series, or globs of them; empty for everything.
        tail: only this many of the last rows of each series.
    """
    data = chosen.data
    for name in data.metrics.names():
        series_rows = data.metrics(name).read(tail=tail, openings=chosen.ids)
        kept = only(series_rows, name, wanted)
        if kept:
            yield Series(of=chosen, name=name, rows=kept, torn=series_rows.torn, asked=wanted)


def only(all_rows: Sequence[Row], series: str | None, wanted: Sequence[str]) -> list[Row]:
    """The rows with the requested fields and the axes, without internal fields."""
    kept = []
    names = dict.fromkeys(name for row in all_rows for name in row) if wanted else ()
    chosen = {name for name in names if name in NOT_PLOTTED or metric_keys.is_wanted((series, name), wanted)}
    for row in all_rows:
        fields = {name: value for name, value in row.items() if name == TIME or not name.startswith("_")}
        if wanted:
            fields = {name: value for name, value in fields.items() if name in chosen}
        if fields.keys() - NOT_PLOTTED or not wanted:
            kept.append(fields)
    return kept


def fields(all_series: Sequence[Series]) -> list[tuple[str | None, str]]:
    """Every pair of series and field, each once, without the axes."""
    names = [
        (series.name, field)
        for series in all_series
        for field in columns(series.rows)
        if field not in NOT_PLOTTED
    ]
    return list(dict.fromkeys(names))


def text(value: Any) -> str:
    """A value as text in a table: floats with `DIGITS` digits, texts unchanged, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return dump(value)


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The fields of rows, the axes first, without the time."""
    names = dict.fromkeys(name for row in rows for name in row if name != TIME)
    return sorted(names, key=lambda name: (name not in NOT_PLOTTED, list(names).index(name)))


def line(row: Row) -> str:
    """A row on one line: `epoch=3 loss=0.5`."""
    return " ".join(f"{name}={text(row[name])}" for name in columns([row]))


def time_of(row: Row) -> str:
    """When a row was logged, as a stamp."""
    return stamp(row[TIME])
