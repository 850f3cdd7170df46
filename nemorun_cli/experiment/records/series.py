"""Series of metric rows read from records, with their statistics and their text form."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
HIDDEN: Final = "system"  # the series that is read only for globs that begin with this name


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The rows of one series of a record; `name` is None for the unnamed one."""

    of: TargetRecord
    name: str | None
    rows: list[Row]
    torn: Sequence[IncompleteRow] = ()

    @property
    def title(self) -> str:
        """The name to display."""
        return self.name or "(unnamed)"

    def key(self, field: str) -> str:
        """`train/loss`, or `loss` in the unnamed series."""
        return key_of(self.name, field)

    def statistics(self) -> dict[str, Statistics]:
        """The statistics of each numeric field, without the axes (step, epoch, time)."""
        return {
            field: values
            for field, values in row_selection.statistics(self.rows).items()
            if field not in NOT_PLOTTED
        }

    def to_json(self) -> dict[str, Any]:
        """An entry of `series` in `exp.metrics/1`."""
        return {
            "name": self.name,
            "count": len(self.rows),
            "statistics": self.statistics(),
            "rows": self.rows,
        }


def key_of(series: str | None, field: str) -> str:
    """The full name of a field in a series."""
    return field if series is None else f"{series}/{field}"


def read(
    chosen: TargetRecord, *, wanted: Sequence[str] = (), also: Sequence[str] = (), tail: int | None = None
) -> Iterator[Series]:
    """The series of a record that contain a requested field.

    Args:
        chosen: the record.
        wanted: globs of keys (`train/loss`), fields or series; empty for everything but the hidden series.
        also: globs of hidden fields that are read too.
        tail: only this many of the last rows of each series.
    """
    data = chosen.data
    for name in data.metrics.names():
        globs = [*wanted, *also] if name == HIDDEN else wanted
        if name == HIDDEN and not any(map(_is_for_hidden, globs)):
            continue
        series_rows = data.metrics(name).read(tail=tail, openings=chosen.ids)
        kept = only(series_rows, name, globs)
        if kept:
            yield Series(of=chosen, name=name, rows=kept, torn=series_rows.torn)


def have_hidden(chosen: Iterable[TargetRecord]) -> bool:
    """Whether one of these records has the hidden series."""
    return any(HIDDEN in record.data.metrics.names() for record in chosen)


def only(all_rows: Sequence[Row], series: str | None, wanted: Sequence[str]) -> list[Row]:
    """The rows with the requested fields and the axes, without internal fields."""
    kept = []
    if series == HIDDEN and not any(map(_is_for_hidden, wanted)):
        return []
    for row in all_rows:
        fields = {name: value for name, value in row.items() if name == TIME or not name.startswith("_")}
        if wanted:
            fields = {
                name: value
                for name, value in fields.items()
                if name in NOT_PLOTTED or is_wanted(series, name, wanted)
            }
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


def is_wanted(series: str | None, field: str, wanted: Sequence[str]) -> bool:
    """Whether one of these globs matches a field of a series."""
    names = (key_of(series, field), field, series or "")
    if series == HIDDEN:
        wanted = [glob for glob in wanted if _is_for_hidden(glob)]
        return any(fnmatch.fnmatchcase(name, glob) for glob in wanted for name in names)
    return not wanted or any(fnmatch.fnmatchcase(name, glob) for glob in wanted for name in names)


def _is_for_hidden(glob: str) -> bool:
    """Whether a glob asks for the hidden series, which `*` and the name of a field alone do not."""
    return glob.startswith(HIDDEN)


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
