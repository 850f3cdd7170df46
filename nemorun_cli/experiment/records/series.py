"""Series of metric rows read from records, with their statistics and their text form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError
from nemorun_cli.experiment.records.targets import MEASURED, warn_or_raise
from nemorun_cli.model import metric_keys
from nemorun_cli.tracking.store import row_files, row_origins, row_selection, row_series
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_selection import NOT_PLOTTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.store.row_files import IncompleteRow, Row
    from nemorun_cli.tracking.store.row_origins import RowOrigin
    from nemorun_cli.tracking.store.row_selection import Statistics
    from nemorun_cli.tracking.store.row_series import Attempts, SeriesRows

DIGITS: Final = 6  # significant digits of a number in a table
TIME: Final = "_ts"
AT: Final = "_at"  # in rows that a supervisor recorded: the byte of the output


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The rows of one series of a record; `name` is None for the unnamed one.

    Attributes:
        rows: with the fields that were logged and the time.
        origins: the attempt and rank of each row.
        torn: the files whose incomplete last line was skipped.
        asked: the keys by which its fields were selected; a field is shown by its exact key if it is one.
    """

    of: TargetRecord
    name: str | None
    rows: list[Row]
    origins: list[RowOrigin]
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

    def ending_without_number(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of these fields whose last value is no number, with this value: None, a text or a list."""
        return row_selection.ends_without_number(self.rows, names)

    def to_json(self) -> dict[str, Any]:
        """An entry of `series` in `exp.metrics/1`."""
        return {
            "name": self.name,
            "count": len(self.rows),
            "statistics": self.statistics(),
            "rows": [*map(row_origins.marked, self.rows, self.origins)],
        }


def keys_of(all_series: Sequence[Series]) -> dict[tuple[str | None, str], str]:
    """The key to show for each pair of series and field: `train/loss`, or `loss` in the unnamed series."""
    titled = metric_keys.titles(fields(all_series))
    asked = {key for series in all_series for key in series.asked}
    return {field: key if (key := metric_keys.exact(field)) in asked else titled[field] for field in titled}


def read(
    chosen: TargetRecord,
    *,
    wanted: Sequence[str] = (),
    also: Sequence[str] = (),
    tail: int | None = None,
    attempts: Attempts = None,
) -> Iterator[Series]:
    """The series of a record that contain a requested field; warns of damaged lines, and of unreadable files.

    Args:
        chosen: the record.
        wanted: keys (`train/loss`), fields or series, or globs of them; empty for everything but what
            supervisors measured.
        also: keys or globs of what supervisors measured that is read too.
        tail: only this many of the last rows of each series.
        attempts: `all` for superseded rows too, or the number of an attempt; default the rows that count.

    Raises:
        LedgerError: no series can be read.
    """
    unreadable: list[LedgerError] = []
    has_read = False
    metrics = chosen.data.metrics
    origins = metrics.origins()
    origins |= {opening.id: row_origins.origin_of(opening.id, opening.facts) for opening in chosen.openings}
    for name in metrics.names():
        try:
            found = row_series.read(
                metrics(name).folder,
                origins,
                openings=chosen.ids,
                tail=tail,
                attempts=attempts,
                with_origins=True,
            )
        except LedgerError as error:
            unreadable.append(error)
            continue
        has_read = True
        row_files.warn_of(found.skipped)
        rows, writers = only(found, name, wanted, also=also)
        if rows:
            torn = [flaw for flaw in found.skipped if isinstance(flaw, row_files.IncompleteRow)]
            yield Series(of=chosen, name=name, rows=rows, origins=writers, torn=torn, asked=wanted)
    warn_or_raise(unreadable, has_others=has_read)


def narrowed(all_series: Iterable[Series], wanted: Sequence[str]) -> list[Series]:
    """What keys select of series that contain it; those of which nothing is selected are left out."""
    kept = []
    for series in all_series:
        rows, origins = only(row_series.SeriesRows(series.rows, series.origins), series.name, wanted)
        if rows:
            kept.append(replace(series, rows=rows, origins=origins, asked=wanted))
    return kept


def have_measured(chosen: Iterable[TargetRecord]) -> bool:
    """Whether one of these records has a series of what supervisors measured."""
    return any(MEASURED in record.data.metrics.names() for record in chosen)


def only(
    found: SeriesRows, series: str | None, wanted: Sequence[str], *, also: Sequence[str] = ()
) -> tuple[list[Row], list[RowOrigin]]:
    """The rows with the requested fields and the axes, without what a supervisor added, and their origins."""
    if not wanted and not any(origin.is_supervised for origin in set(found.origins)):
        return found.rows, found.origins
    names = {name for row in found.rows for name in row}
    is_shown = {name: name in NOT_PLOTTED or metric_keys.is_wanted((series, name), wanted) for name in names}
    is_measured_shown = is_shown
    if series == MEASURED:
        globs = [glob for glob in (*wanted, *also) if glob.startswith(MEASURED)]
        is_measured_shown = {
            name: bool(globs) and (name in NOT_PLOTTED or metric_keys.is_wanted((series, name), globs))
            for name in names
        }
    rows, origins = [], []
    for row, origin in zip(found.rows, found.origins, strict=True):
        chosen = is_measured_shown if origin.is_supervised else is_shown
        fields = {
            name: value
            for name, value in row.items()
            if chosen[name] and not (name == AT and origin.is_supervised)
        }
        if fields.keys() - NOT_PLOTTED or (fields and not wanted):
            rows.append(fields)
            origins.append(origin)
    return rows, origins


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
    """When a row was logged, as a stamp; empty if no calendar has that time."""
    return row_selection.time_of(row) or ""
