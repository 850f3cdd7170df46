"""Follows the metrics of a record: returns the rows appended since the last read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.record_paths import decode_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row


class MetricFollower:
    """Follows the metrics of one record; each read returns only new rows."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._offsets: dict[str, int] = {}

    def read(self, openings: Collection[str] | None = None) -> dict[str | None, list[Row]]:
        """The rows completed since the last call, by series, of all openings or of the given ones.

        Raises:
            LedgerDamagedError: a file cannot be read, or a complete line is not a row.
        """
        new_rows: dict[str | None, list[Row]] = {}
        for folder in sorted(row_files.names(self._place.metrics)):
            by_writer = [
                self._read_new(source.path)
                for source in row_files.sources(f"{self._place.metrics}/{folder}", openings)
            ]
            if rows := row_files.merge(by_writer):
                new_rows[decode_name(folder)] = rows
        return new_rows

    def _read_new(self, path: str) -> list[Row]:
        offset = self._offsets.get(path, 0)
        with row_files.open_rows(path) as stream:
            stream.seek(offset)
            data = row_files.read_whole(stream, path)
        end = data.rfind(b"\n") + 1
        self._offsets[path] = offset + end
        return row_files.parse(data[:end], path)
