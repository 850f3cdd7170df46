"""Follows the metrics of a record: returns the rows appended since the last read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nemorun_cli.tracking.store import row_files, row_series, superseding
from nemorun_cli.tracking.store.record_paths import decode_name
from nemorun_cli.tracking.store.row_origins import Origins
from nemorun_cli.tracking.store.row_series import SeriesRows
from nemorun_cli.tracking.store.superseding import NO_ROWS, START, Head, Positions

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import DamagedRow, Row, RowSource
    from nemorun_cli.tracking.store.row_series import Attempts
    from nemorun_cli.tracking.store.superseding import Cut


class MetricFollower:
    """Follows the metrics of one record; each read returns only new rows, and only those that count.

    Args:
        place: the record.
        attempts: see `Metric.read`.
        keeps: whether each read returns all rows of the series that have new ones: those that count now.
    """

    def __init__(self, place: Place, *, attempts: Attempts = None, keeps: bool = False) -> None:
        self._place = place
        self._attempts = attempts
        self._keeps = keeps
        self._origins = Origins(place.openings)
        self._files: dict[str, _FollowedFile] = {}

    def read(self, openings: Collection[str] | None = None) -> dict[str | None, SeriesRows]:
        """The rows completed since the last call, by series, of all openings or of the given ones.

        Raises:
            LedgerDamagedError: a file cannot be read.
        """
        changed: dict[str | None, SeriesRows] = {}
        for folder in sorted(row_files.names(self._place.metrics)):
            sources = row_series.sources(
                f"{self._place.metrics}/{folder}", self._origins, openings=openings, attempts=self._attempts
            )
            if (series := self._read_series(sources)).rows or series.skipped:
                changed[decode_name(folder)] = series
        return changed

    def _read_series(self, sources: list[RowSource]) -> SeriesRows:
        followed = {source: self._followed(source) for source in sources}
        skipped = [flaw for file in followed.values() for flaw in file.read(keeps=self._keeps)]
        if not any(file.has_news for file in followed.values()):
            return SeriesRows([], [], skipped)
        rows = superseding.arranged(
            superseding.layers(sources, self._origins),
            self._origins,
            lambda source, cut, _: followed[source].counted(cut),
            lambda source: followed[source].head,
            supersedes=self._attempts != row_series.ALL,
        )
        owners = {
            id(row): self._origins[source.opening] for source, file in followed.items() for row in file.rows
        }
        return SeriesRows(rows, [owners[id(row)] for row in rows], skipped)

    def _followed(self, source: RowSource) -> _FollowedFile:
        return self._files.setdefault(source.path, _FollowedFile(source.path))


@dataclass(slots=True)
class _FollowedFile:
    """A file and how far it was read.

    Attributes:
        rows: those of the last read, or all if they are kept.
        head: the first step and epoch of all rows.
        before: the step and epoch before `rows`.
        has_news: whether the last read returned rows.
    """

    path: str
    offset: int = 0
    lines: int = 0
    rows: list[Row] = field(default_factory=list)
    head: Head = NO_ROWS
    before: Positions = START
    has_news: bool = False

    def read(self, *, keeps: bool) -> list[DamagedRow]:
        """Read the complete lines after those read before; returns the damaged ones."""
        with row_files.open_rows(self.path) as stream:
            stream.seek(self.offset)
            data = row_files.read_whole(stream, self.path)
        end = data.rfind(b"\n") + 1
        rows, damaged = row_files.parse(data[:end], self.path, first=self.lines + 1)
        self.offset += end
        self.lines += data.count(b"\n", 0, end)
        self.has_news = bool(rows)
        self.head = self.head.then(rows)
        if keeps:
            self.rows += rows
        else:
            self.before = self.before.after(self.rows)
            self.rows = rows
        return damaged

    def counted(self, cut: Cut) -> list[Row]:
        """The rows that are not superseded."""
        return superseding.counted(self.rows, cut, after=self.before)
