"""Tracks: rows that are looked up by time, such as poses of a robot."""

from __future__ import annotations

import bisect
import math
from typing import TYPE_CHECKING, Any, Self, overload

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.assignments import CheckedAttributes
from nemorun_cli.tracking.metrics import as_fields
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump, encode_row
from nemorun_cli.tracking.store.record_paths import decode_name
from nemorun_cli.tracking.store.row_selection import Rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Flaw, Row
    from nemorun_cli.tracking.store.row_writer import Writer
    from nemorun_cli.tracking.timestamps import Timestamps


class Track(CheckedAttributes):
    """One topic: `tracks("robot/pose")`."""

    label = "experiment.tracks(…)"
    settable = frozenset({"topic"})
    written = 'experiment.tracks("robot/pose").append({name}=1.0)'

    def __init__(self, topic: str, folder: str, writer: Writer, timestamps: Timestamps) -> None:
        self.topic = topic
        self._folder = folder
        self._append = writer.append
        self._timestamps = timestamps
        self._latest = -math.inf

    def move(self, folder: str) -> None:
        """Append to another folder: the record got another prefix before it was opened."""
        self._folder = folder

    def append(
        self, fields: Mapping[str, Any] | None = None, /, *, _ts: float | None = None, **named: Any
    ) -> Self:
        """Append one entry; it is written to the file before this returns.

        Args:
            fields: the fields as a mapping, a dataclass or the like.
            _ts: the Unix time of the entry; -1 is that of the thread's last row; default now, increased if
                needed so that no two entries have the same time.
            named: the fields by name.

        Raises:
            TypeError: a value cannot be recorded. Nothing is written.
            StateError: the record is not open.
        """
        if fields is not None:
            named = {**as_fields(fields), **named}
        if "timestamp" in named:
            raise TypeError("timestamp is reserved for the time of an entry when read: pass it as _ts")
        timestamp = self._timestamps.take(_ts)
        if _ts is None:
            while timestamp <= self._latest:  # the clock's resolution is coarser than the time between calls
                timestamp = self._timestamps.take(math.nextafter(self._latest, math.inf))
            self._latest = timestamp
        self._append(self._folder, encode_row(timestamp, named))
        return self

    @overload
    def read(
        self,
        start_timestamp: float | None = ...,
        end_timestamp: float | None = ...,
        columns: Collection[str] | None = ...,
        *,
        openings: Collection[str] | None = ...,
    ) -> Entries: ...
    @overload
    def read(
        self,
        start_timestamp: float | None = ...,
        end_timestamp: float | None = ...,
        columns: Collection[str] | None = ...,
        format: str = ...,
        *,
        openings: Collection[str] | None = ...,
    ) -> Entries | bytes: ...
    def read(
        self,
        start_timestamp: float | None = None,
        end_timestamp: float | None = None,
        columns: Collection[str] | None = None,
        format: str = "json",  # noqa: A002 - ML-Dash's name
        *,
        openings: Collection[str] | None = None,
    ) -> Entries | bytes:
        """The entries sorted by time, both bounds included, each with its time as `timestamp`.

        Entries of one process with the same time are merged; for a field in several, the later value is
        used.

        Args:
            start_timestamp: the first Unix time.
            end_timestamp: the last Unix time.
            columns: only these fields.
            format: `json` (Python values) or `jsonl` (bytes, one entry per line).
            openings: only entries of these openings.
        """
        if format not in ("json", "jsonl"):
            raise InvalidValueError(f"there is no format {shown(format)} (there are: json, jsonl)")
        entries = self._entries(openings)
        timestamps = [entry["timestamp"] for entry in entries]
        first = 0 if start_timestamp is None else bisect.bisect_left(timestamps, start_timestamp)
        end = len(entries) if end_timestamp is None else bisect.bisect_right(timestamps, end_timestamp)
        skipped: tuple[Flaw, ...] = (*entries.torn, *entries.damaged)
        chosen = Entries(entries[first:end], torn=skipped)
        if columns is not None:
            wanted = {"timestamp", *columns}
            chosen = Entries(
                ({key: value for key, value in entry.items() if key in wanted} for entry in chosen),
                torn=skipped,
            )
        if format == "jsonl":
            return b"".join(_as_line(entry) for entry in chosen)
        return chosen

    def slice(self, start_timestamp: float | None = None, end_timestamp: float | None = None) -> Slice:
        """The entries between two times, both included, for iteration and lookup."""
        return Slice(self, start_timestamp, end_timestamp)

    def list_entries(self) -> list[Row]:
        """All entries, sorted by time."""
        return list(self.read())

    def flush(self) -> Self:
        """Do nothing, as nothing is buffered; exists for compatibility with ML-Dash."""
        return self

    def _entries(self, openings: Collection[str] | None) -> Entries:
        """All entries, sorted by time; entries with equal times keep the order in which they were written."""
        skipped: list[Flaw] = []
        entries: list[Row] = []
        for source in row_files.sources(self._folder, openings):
            rows, flaws = row_files.read(source.path)
            skipped += flaws
            by_time: dict[float, Row] = {}
            for row in rows:
                timestamp = row.pop("_ts")
                by_time.setdefault(timestamp, {"timestamp": timestamp}).update(row)
            entries += by_time.values()
        entries.sort(key=lambda entry: float(entry["timestamp"]))
        return Entries(entries, torn=skipped)


class Entries(Rows):
    """Entries of a track; also supports the keys `entries` and `count` of ML-Dash."""

    def _as_ml_dash(self, key: str) -> Any:
        return (
            {"entries": self, "count": len(self)}[key]
            if key in {"entries", "count"}
            else super()._as_ml_dash(key)
        )


class Slice:
    """A time range of a track, read at its first use."""

    def __init__(self, track: Track, start_timestamp: float | None, end_timestamp: float | None) -> None:
        self._track = track
        self._bounds = (start_timestamp, end_timestamp)
        self._entries: Entries | None = None

    def __iter__(self) -> Iterator[Row]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())

    def __getitem__(self, index: int) -> Row:
        return self._load()[index]

    def _load(self) -> Entries:
        if self._entries is None:
            self._entries = self._track.read(*self._bounds)
        return self._entries

    @overload
    def find_by_time(self, timestamp: float, neighborhood_size: int = ...) -> Row: ...
    @overload
    def find_by_time(self, timestamp: list[float], neighborhood_size: int = ...) -> list[Row]: ...
    def find_by_time(
        self,
        timestamp: float | list[float],
        neighborhood_size: int = 10,  # noqa: ARG002 - ML-Dash's, of a search that is not needed
    ) -> Row | list[Row]:
        """The last entry at or before a time; for a list of times, a list of entries.

        Raises:
            NotFoundError: all entries are later, or the track is empty.
        """
        if isinstance(timestamp, (list, tuple)):
            return [self.find_by_time(moment) for moment in timestamp]
        entries = self._load()
        index = bisect.bisect_right(entries, timestamp, key=lambda entry: float(entry["timestamp"]))
        if index == 0:
            earliest = f"the earliest is at {entries[0]['timestamp']}" if entries else "it is empty"
            raise NotFoundError(
                f"track {self._track.topic!r} has no entry at or before {timestamp} ({earliest})"
            )
        return entries[index - 1]

    findByTime = find_by_time  # noqa: N815 - ML-Dash's name


class Tracks(CheckedAttributes):
    """The tracks of a record."""

    label = "experiment.tracks"
    written = 'experiment.tracks("robot/pose").append({name}=1.0)'

    def __init__(self, place: Place, writer: Writer, timestamps: Timestamps) -> None:
        self._place = place
        self._writer = writer
        self._timestamps = timestamps
        self._tracks: dict[str, Track] = {}

    def __call__(self, topic: str) -> Track:
        """The track of this topic.

        Raises:
            InvalidValueError: the topic is empty or too long.
        """
        track = self._tracks.get(topic)
        if track is None:
            track = self._tracks[topic] = Track(
                topic, self._place.track(topic), self._writer, self._timestamps
            )
        return track

    def move(self) -> None:
        """Follow the record to its new prefix."""
        for topic, track in self._tracks.items():
            track.move(self._place.track(topic))

    def names(self) -> list[str]:
        """The topics with entries, sorted."""
        return sorted(name for folder in row_files.names(self._place.tracks) if (name := decode_name(folder)))

    def flush(self) -> Self:
        """Do nothing, as nothing is buffered; exists for compatibility with ML-Dash."""
        return self


def _as_line(entry: Row) -> bytes:
    return f"{dump(entry)}\n".encode("ascii")
