"""Follows single metrics of the records of one attempt: the values that arrived since the last look.

A look at an attempt that logged nothing costs a few calls of `stat`, for a supervisor may watch a thousand.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.model import metric_keys
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.record_paths import decode_name
from nemorun_cli.tracking.store.row_origins import Origins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.model.stop_rules import WantedMetric
    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row

MOST_BYTES: Final = 1 << 20  # bytes of one file that one look reads
SETTLED: Final = 2.0  # seconds after which a folder's time shows every later change

_UNREADABLE: Final = (LedgerDamagedError, OSError, ValueError)  # the last of a name that is no series


class LoggedValue(NamedTuple):
    """A value of a metric, with the row that has it and the rank that logged it."""

    wanted: WantedMetric
    field: Field
    value: float
    row: Row
    rank: int | None


# The latest time of its file so far, its series, itself, and the rank that logged it.
_LoggedRow = tuple[float, str | None, "Row", int | None]


class ValueFollower:
    """Follows some metrics in all records of one attempt.

    A key means a field as in `exp compare`: by its full name, else by the end of it if only one has that.

    Args:
        wanted: the metrics.
        experiment: the id of the experiment.
        task: the id of the task.
        attempt: the number of the attempt, whose rows alone count.

    Attributes:
        fields: the fields of the records so far.
        numbers: the metrics that had a value.
        not_numbers: the metrics that had a value that is no number.
        problems: why files could not be read by the last look; all others were read.
    """

    def __init__(self, wanted: Sequence[WantedMetric], *, experiment: str, task: str, attempt: int) -> None:
        self.wanted = tuple(dict.fromkeys(wanted))
        self.fields: dict[Field, None] = {}
        self.numbers: set[WantedMetric] = set()
        self.not_numbers: set[WantedMetric] = set()
        self.problems: list[str] = []
        self._task, self._attempt = (experiment, task), attempt
        self._records: dict[tuple[str, str], _FollowedRecord] = {}

    def read(self, places: Iterable[Place]) -> list[LoggedValue]:
        """The values that arrived since the last call, in the order of their times.

        A value is left out if its key meant several fields when it was read, unless all are wanted.

        Args:
            places: the records that the attempt has now.
        """
        rows: list[_LoggedRow] = []
        self.problems = []
        for place in places:
            record = self._records.get((place.root, place.prefix))
            if record is None:
                record = _FollowedRecord(place, self._task, self._attempt)
                self._records[place.root, place.prefix] = record
            rows += record.read(self.problems)
        rows.sort(key=itemgetter(0))
        for _, series, row, _ in rows:
            self.fields.update(((series, name), None) for name in row if not name.startswith("_"))
        return list(self._values(rows)) if rows else []

    @property
    def is_behind(self) -> bool:
        """Whether the last look left something to read."""
        return any(record.is_behind for record in self._records.values())

    def meant(self, key: str) -> list[Field]:
        """The fields that a key means so far."""
        return metric_keys.matching(key, {field: metric_keys.plain(field) for field in self.fields})

    def _values(self, rows: Iterable[_LoggedRow]) -> Iterator[LoggedValue]:
        by_field: dict[Field, list[WantedMetric]] = {}
        for wanted in self.wanted:
            meant = self.meant(wanted.key)
            for field in meant if wanted.takes_all or len(meant) == 1 else ():
                by_field.setdefault(field, []).append(wanted)
        for _, series, row, rank in rows:
            for name in row:
                for wanted in by_field.get((series, name), ()):
                    value = row[name]
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        self.numbers.add(wanted)
                        yield LoggedValue(wanted, (series, name), value, row, rank)
                    else:
                        self.not_numbers.add(wanted)


@dataclass(slots=True)
class _FollowedFolder:
    """A folder whose names are listed again when its time has changed."""

    path: str
    names: list[str] = dataclass_field(default_factory=list)
    _changed: int = -1

    def look(self) -> list[str]:
        try:
            changed = os.stat(self.path, follow_symlinks=False).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return self.names
        if changed != self._changed:
            self.names = sorted(row_files.names(self.path))
            is_settled = time.time() - changed / 1e9 > SETTLED
            self._changed = changed if is_settled else -1
        return self.names


class _FollowedRecord:
    """One record: the files of its series that belong to the attempt, and how far each was read."""

    def __init__(self, place: Place, task: tuple[str, str], attempt: int) -> None:
        self._place, self._task, self._attempt = place, task, attempt
        self._origins = Origins(place.openings)
        self._metrics = _FollowedFolder(place.metrics)
        self._series: dict[str, _FollowedFolder] = {}
        self._files: dict[str, _FollowedRows | None] = {}  # None for those of other attempts

    def read(self, problems: list[str]) -> Iterator[_LoggedRow]:
        """The rows of all series since the last call; adds to `problems` why one could not be read."""
        try:
            folders = self._metrics.look()
        except _UNREADABLE as error:
            problems.append(str(error))
            return
        for folder in folders:
            try:
                yield from self._read_series(folder)
            except _UNREADABLE as error:
                problems.append(str(error))

    def _read_series(self, folder: str) -> Iterator[_LoggedRow]:
        path = f"{self._place.metrics}/{folder}"
        if folder not in self._series:
            self._series[folder] = _FollowedFolder(path)
        name = decode_name(folder)
        for file in self._series[folder].look():
            if (followed := self._followed(path, file)) is not None:
                for row in followed.read():
                    followed.time = max(followed.time, row["_ts"])  # a clock can be set back
                    yield followed.time, name, row, followed.rank

    @property
    def is_behind(self) -> bool:
        """Whether the last look left something to read of a file."""
        return any(rows is not None and rows.is_behind for rows in self._files.values())

    def _followed(self, folder: str, file: str) -> _FollowedRows | None:
        path = f"{folder}/{file}"
        if path in self._files:
            return self._files[path]
        if not file.endswith(row_files.SUFFIX):
            self._files[path] = None
            return None
        opening = file.removesuffix(row_files.SUFFIX).partition(".")[0]
        origin = self._origins[opening]
        if opening not in self._origins:
            return None  # its opening cannot be read yet
        is_ours = (origin.task, origin.attempt) == (self._task, self._attempt)
        self._files[path] = _FollowedRows(path, origin.rank) if is_ours else None
        return self._files[path]


@dataclass(slots=True)
class _FollowedRows:
    """A file of rows, of which one look returns what was appended."""

    path: str
    rank: int | None
    offset: int = 0
    time: float = float("-inf")
    is_behind: bool = False  # whether the last look left something to read

    def read(self) -> list[Row]:
        try:
            if os.stat(self.path, follow_symlinks=False).st_size <= self.offset:
                return []
            with row_files.open_rows(self.path) as stream:
                stream.seek(self.offset)
                data = stream.read(MOST_BYTES)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if not end and len(data) == MOST_BYTES:
            end = len(data)  # part of a line that is too long to be of use
        self.is_behind = len(data) == MOST_BYTES
        self.offset += end
        return row_files.parse(data[:end], self.path)[0]
