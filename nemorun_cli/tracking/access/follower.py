"""Rows as they come: what was appended to the metrics of a record since the last look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.record_paths import decode_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row


class MetricFollower:
    """The metrics of one record; each look reads only what is new."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._offsets: dict[str, int] = {}

    def read(self, openings: Collection[str] | None = None) -> dict[str | None, list[Row]]:
        """By series the rows that were completed since the last call, of all openings or of those given.

        Raises:
            LedgerDamagedError: a whole line is no row.
        """
        found: dict[str | None, list[Row]] = {}
        for folder in sorted(row_files.names(self._place.metrics)):
            together = [
                self._rest_of(source.path)
                for source in row_files.sources(f"{self._place.metrics}/{folder}", openings)
            ]
            if fresh := row_files.merge(together):
                found[decode_name(folder)] = fresh
        return found

    def _rest_of(self, path: str) -> list[Row]:
        offset = self._offsets.get(path, 0)
        with open(path, "rb") as stream:
            stream.seek(offset)
            data = stream.read()
        end = data.rfind(b"\n") + 1
        self._offsets[path] = offset + end
        return row_files.parse(data[:end], path)
