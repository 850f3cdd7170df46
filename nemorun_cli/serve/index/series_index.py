"""The series of records as columns, with what later attempts supersede left out."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from nemorun_cli.experiment.records import compare, metric_keys
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.experiment.records.compare import Measured
from nemorun_cli.experiment.records.targets import MEASURED
from nemorun_cli.serve.index.columns import EXACT, FileColumns
from nemorun_cli.serve.index.record_memory import RecordMemory, version_of
from nemorun_cli.serve.index.row_cache import RowCache
from nemorun_cli.serve.index.series_view import Piece, SeriesView, kept_rows
from nemorun_cli.tracking.store import row_origins, row_series
from nemorun_cli.tracking.store.superseding import Cut, cuts, layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.experiment.records.metric_keys import Field
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.serve.index.cache_file import CacheFile
    from nemorun_cli.tracking.store.row_files import RowSource
    from nemorun_cli.tracking.store.row_origins import RowOrigin
    from nemorun_cli.tracking.store.row_selection import Statistics
    from nemorun_cli.tracking.store.row_series import Attempts


class SeriesIndex:
    """The series of records, whose files are read from where they were read before."""

    def __init__(self, cache: CacheFile) -> None:
        self.rows = RowCache(cache)
        self._measured = RecordMemory[Measured](_size_of)

    def measured(self, chosen: TargetRecord, also: Sequence[str], attempts: Attempts) -> Measured:
        """What `exp compare` shows of the metrics of a record; for the arguments see `series.read`.

        Raises:
            LedgerError: a file cannot be read.
        """
        key = (chosen.identity, tuple(chosen.ids or ()), tuple(also), attempts)
        version = version_of(chosen)  # before reading: what is appended meanwhile is another state
        found = self._measured.find(key, version)
        if found is None:
            found = self._measure(chosen, also, attempts)
            self._measured.keep(key, version, found)
        return found

    def _measure(self, chosen: TargetRecord, also: Sequence[str], attempts: Attempts) -> Measured:
        with self.reading(chosen, also=also, attempts=attempts) as views:
            try:
                if not any(view.needs_rows for view in views):
                    return _measured(views)
            except OverflowError:
                pass
        return compare.measured(chosen, also, attempts)

    @contextlib.contextmanager
    def reading(
        self,
        chosen: TargetRecord,
        *,
        also: Sequence[str] = (),
        attempts: Attempts = None,
        only: Sequence[str | None] | None = None,
    ) -> Iterator[list[SeriesView]]:
        """The series of a record with rows that count, whose files do not change meanwhile.

        Args:
            chosen: the record.
            also: keys or globs of what supervisors measured that is read too.
            attempts: `all` for superseded rows too, or the number of an attempt.
            only: the names of series; None for all.
        """
        metrics = chosen.data.metrics
        origins: dict[str, RowOrigin] = metrics.origins()
        origins |= {each.id: row_origins.origin_of(each.id, each.facts) for each in chosen.openings}
        names = [name for name in metrics.names() if only is None or name in only]
        sources = {
            name: row_series.sources(metrics(name).folder, origins, openings=chosen.ids, attempts=attempts)
            for name in names
        }
        with self.rows.reading({each.path for found in sources.values() for each in found}) as columns:
            views = [
                _view(name, found, origins, columns, also=also, attempts=attempts)
                for name, found in sources.items()
            ]
            yield [view for view in views if view.count]


def drawn_by_rows(chosen: TargetRecord, also: Sequence[str], attempts: Attempts) -> list[SeriesView]:
    """The series from their rows, as the command reads them; numbers that are no floats are the nearest."""
    views = []
    for series in measures.read(chosen, also=also, attempts=attempts):
        columns = FileColumns("")
        columns.add([{name: _drawn(value) for name, value in row.items()} for row in series.rows])
        piece = Piece(columns, [(0, columns.rows)], (0, 0, 0, 0), row_origins.RowOrigin("", 1))
        views.append(SeriesView(series.name, [piece]))
    return views


def _drawn(value: Any) -> Any:
    try:
        return float(value) if type(value) is int and abs(value) > EXACT else value
    except OverflowError:
        return math.copysign(math.inf, value)


def _view(
    name: str | None,
    found: Sequence[RowSource],
    origins: Mapping[str, RowOrigin],
    columns: Mapping[str, FileColumns],
    *,
    also: Sequence[str],
    attempts: Attempts,
) -> SeriesView:
    generations = layers(found, origins)
    of_files = (
        {}
        if attempts == row_series.ALL
        else cuts(generations, origins, lambda source: columns[source.path].head)
    )
    pieces = []
    for generation, chains in enumerate(generations):
        for chain, tries in enumerate(chains):
            after = -math.inf
            for attempt, files in enumerate(tries):
                added = [
                    Piece(
                        columns[source.path],
                        kept_rows(columns[source.path], of_files.get(source, Cut())),
                        (generation, chain, attempt, file),
                        origins[source.opening],
                        after,
                    )
                    for file, source in enumerate(files)
                ]
                after = max([after, *(piece.latest for piece in added)])
                pieces += [piece for piece in added if piece.count]
    if name != MEASURED:
        return SeriesView(name, pieces)
    globs = [glob for glob in also if glob.startswith(MEASURED)]
    fields = dict.fromkeys(field for piece in pieces for field in piece.columns.fields)
    shown = {field for field in fields if globs and metric_keys.is_wanted((name, field), globs)}
    return SeriesView(
        name, [piece for piece in pieces if shown or not piece.origin.is_supervised], measured=shown
    )


def _size_of(measured: Measured) -> int:
    """Bytes of memory, about."""
    return 500 + 600 * (len(measured.statistics) + len(measured.no_number))


def _measured(views: Sequence[SeriesView]) -> Measured:
    statistics: dict[Field, Statistics] = {}
    no_number: dict[Field, Any] = {}
    for view in views:
        of_series = view.statistics()
        statistics |= {(view.name, field): values for field, values in of_series.items()}
        ends = view.ending_without_number()
        no_number |= {(view.name, field): value for field, value in ends.items() if field in of_series}
    return Measured(statistics, no_number)
