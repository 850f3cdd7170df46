"""Reads the rows of one metric as one series: those that count, or also those that are superseded."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.superseding import NO_ROWS, arranged, counted, layers

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nemorun_cli.tracking.store.row_files import Flaw, Row, RowSource
    from nemorun_cli.tracking.store.row_origins import RowOrigin
    from nemorun_cli.tracking.store.superseding import Cut, Head

Attempts = int | Literal["all"] | None

ALL: Final = "all"
GROWTH: Final = 4  # how many times as much of a file is read if its end has too few rows that count


class SeriesRows(NamedTuple):
    """Rows in order, the origin of each if it was asked for, and the lines that were skipped."""

    rows: list[Row]
    origins: list[RowOrigin]
    skipped: Sequence[Flaw] = ()


def read(
    folder: str,
    origins: Mapping[str, RowOrigin],
    *,
    openings: Collection[str] | None = None,
    tail: int | None = None,
    attempts: Attempts = None,
    with_origins: bool = False,
) -> SeriesRows:
    """The rows of a metric that count, or the last ones of these.

    Generations are in order, regardless of the clocks of their machines, and so are the attempts at a task.
    Otherwise writers are merged by time, and the rows of each writer keep their order even if its clock was
    set back.

    Args:
        folder: of the metric, with one file for each writer.
        origins: of the openings of the record.
        openings: only rows of these; others supersede nothing.
        tail: only so many of the last rows.
        attempts: `all` for superseded rows too; a number for rows of this attempt, whichever came later.
        with_origins: whether the origin of each row is wanted.

    Raises:
        LedgerDamagedError: a file cannot be read.
        TypeError: `attempts` is something else.
        ValueError: the same.
    """
    found = sources(folder, origins, openings=openings, attempts=attempts)
    reading = _Reading()
    order = layers(found, origins)
    rows = arranged(order, origins, reading.take, reading.head, count=tail, supersedes=attempts != ALL)
    return SeriesRows(rows, reading.origins(rows, origins) if with_origins else [], reading.skipped())


def sources(
    folder: str, origins: Mapping[str, RowOrigin], *, openings: Collection[str] | None, attempts: Attempts
) -> list[RowSource]:
    """The files of a metric, of all openings or of the given ones, and of one attempt if a number is given.

    Raises:
        TypeError: `attempts` is not a number, `all` or None.
        ValueError: it is another text, or a number below one.
    """
    found = row_files.sources(folder, openings)
    if attempts is None or attempts == ALL:
        return found
    if isinstance(attempts, bool) or not isinstance(attempts, (int, str)):
        raise TypeError(f"attempts is 'all' or the number of an attempt, not {attempts!r}")
    if isinstance(attempts, str) or attempts < 1:
        raise ValueError(f"attempts is 'all' or the number of an attempt, from 1 on, not {attempts!r}")
    return [source for source in found if origins[source.opening].attempt == attempts]


class _Reading:
    """The files of one series as they are read."""

    def __init__(self) -> None:
        self._rows: dict[RowSource, list[Row]] = {}  # those that were read last
        self._flaws: dict[RowSource, list[Flaw]] = {}

    def take(self, source: RowSource, cut: Cut, count: int | None) -> list[Row]:
        """The rows of a file that count; of the last ones at least `count`, if it has so many."""
        if cut.is_whole:
            return []
        window = count
        while True:
            rows, self._flaws[source] = (
                row_files.read(source.path) if window is None else row_files.read_tail(source.path, window)
            )
            self._rows[source] = rows
            is_whole = window is None or len(rows) < window
            kept = counted(rows, cut, is_from_start=is_whole)
            if window is None or is_whole or count is None or len(kept) >= count:
                return kept if count is None else kept[max(0, len(kept) - count) :]
            window *= GROWTH

    def head(self, source: RowSource) -> Head:
        """The head of a file, which is read unless `take` did it."""
        if source not in self._rows:
            self._rows[source], self._flaws[source] = row_files.read(source.path)
        return NO_ROWS.then(self._rows[source])

    def origins(self, rows: list[Row], known: Mapping[str, RowOrigin]) -> list[RowOrigin]:
        """The origin of each of these rows."""
        openings = {source.opening for source in self._rows}
        if len(openings) == 1:
            return [known[openings.pop()]] * len(rows)
        owners: dict[int, RowOrigin] = {}
        for source, read_rows in self._rows.items():
            owners.update(zip(map(id, read_rows), repeat(known[source.opening])))
        return [owners[id(row)] for row in rows]

    def skipped(self) -> list[Flaw]:
        """The lines that were skipped."""
        return [*chain.from_iterable(self._flaws.values())]
