"""Metrics: named series of rows with the fields they were logged with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self, TypeVar

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.system.files import make_folder, write_whole
from nemorun_cli.tracking import arguments, foreign_calls
from nemorun_cli.tracking.assignments import CheckedAttributes
from nemorun_cli.tracking.metric_buffers import Buffers, SummaryCache
from nemorun_cli.tracking.process import buffered_numbers
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump, encode_row
from nemorun_cli.tracking.store.object_fields import fields_of
from nemorun_cli.tracking.store.record_paths import decode_name
from nemorun_cli.tracking.store.row_selection import (
    Rows,
    Selection,
    Statistics,
    select,
    statistics,
    time_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Row
    from nemorun_cli.tracking.store.row_origins import Origins
    from nemorun_cli.tracking.store.row_selection import Span
    from nemorun_cli.tracking.store.row_series import Attempts, SeriesRows
    from nemorun_cli.tracking.store.row_writer import Writer
    from nemorun_cli.tracking.timestamps import Timestamps

ABOUT: Final = "about.json"  # the description of a metric
CHUNK: Final = 10_000  # rows in a chunk of ML-Dash's server, which it also reports for local records

Value = TypeVar("Value")


class WithMlDashKeys(dict[str, Value]):
    """A mapping that also supports the keys that ML-Dash's has; their values are computed at their use."""

    def __init__(self, values: Mapping[str, Value], facts: Callable[[], dict[str, Any]]) -> None:
        super().__init__(values)
        self._facts = facts

    def __missing__(self, key: str) -> Any:
        return self._facts()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, ML-Dash's included."""
        try:
            return self[key]
        except KeyError:
            return default


class MetricStatistics(WithMlDashKeys[Statistics]):
    """The statistics of each field; also with ML-Dash's keys, such as `totalDataPoints`."""


class MetricDescription(WithMlDashKeys[Any]):
    """The name and description of a metric; also with ML-Dash's keys, such as `totalDataPoints`."""


class Metric(CheckedAttributes):
    """One series: `metrics("train")`. Reading needs no open record and includes the rows of all processes."""

    label = "experiment.metrics(…)"
    settable = frozenset({"name", "summary_cache", "folder"})
    written = 'experiment.metrics("train").log({name}=0.5, step=1)'

    def __init__(
        self, name: str | None, folder: str, writer: Writer, timestamps: Timestamps, metrics: Metrics
    ) -> None:
        self.name = name
        self.summary_cache = SummaryCache(name, self.log, writer, metrics._summarise)  # noqa: SLF001 - of this module
        self.folder = folder
        self._append = writer.append
        self._require_open = writer.require_open
        self._timestamp = timestamps.take
        self._metrics = metrics

    def log(
        self,
        fields: Mapping[str, Any] | None = None,
        /,
        *foreign: Any,
        step: float | None = None,
        _ts: float | None = None,
        **named: Any,
    ) -> Self:
        """Append one row; it is written to the file before this returns. Without fields, nothing is written.

        Args:
            fields: the fields as a mapping, a dataclass or the like.
            foreign: nothing: `log("loss", 0.5)` of MLflow is refused.
            step: the field `step`, by which `read(step=…)` selects; it overrides that of the mapping.
            _ts: the row's Unix time; -1 is that of the thread's last row; default now.
            named: the fields by name; they override those of the mapping.

        Raises:
            TypeError: a value cannot be recorded. Nothing is written.
            StateError: the record is not open.
        """
        if fields is not None:
            named = {**as_fields(fields, *foreign), **named}
        if step is not None:
            named["step"] = step
        if not named:
            self._require_open()
            return self
        self._append(self.folder, encode_row(self._timestamp(_ts), named, is_metric=True))
        return self

    def buffer(self, /, **named: float | None) -> Self:
        """Buffer numbers for `metrics.buffer.log_summary()`; closing the record logs the remaining ones.

        Raises:
            TypeError: a value is not a number. None of them is kept.
            StateError: the record is not open.
        """
        self._metrics.buffer.store(self.name, named)
        return self

    def read(
        self,
        start_index: int = 0,
        limit: int | None = None,
        *,
        keys: Collection[str] | None = None,
        step: Span = None,
        time: Span = None,
        tail: int | None = None,
        downsample: int | None = None,
        openings: Collection[str] | None = None,
        attempts: Attempts = None,
    ) -> Rows:
        """The rows of all processes that logged here, in order, without those that are superseded.

        Of the attempts at a task, and of openings that follow one another, a later one takes effect from its
        first `step` on (else its first `epoch`): earlier rows at or after it are superseded. If it has
        neither, all earlier rows are.

        Args:
            start_index: how many rows to skip.
            limit: the maximum number of rows.
            keys: only these fields (and `_ts`); rows with none of them are left out.
            step: one step, or (first, last), both included, None for no bound.
            time: the same for Unix times.
            tail: only this many of the last rows; applied first.
            downsample: at most this many rows, keeping the extremes.
            openings: only rows of these openings; others supersede nothing.
            attempts: `"all"` for superseded rows too, or a number for rows of this attempt, whichever came
                later. Each row then also has the fields `_attempt` (outside of a task the generation) and
                `_rank` (None if unknown); a field of its own with such a name gets another `_` before it.

        Raises:
            LedgerDamagedError: a file cannot be read. A line that is no row is skipped and reported in
                `damaged`, an incomplete last line in `torn`.
            TypeError: `attempts` is neither a number nor `"all"`.
            ValueError: a number is out of range.
        """
        series = self._series(openings, attempts, tail=tail, with_origins=attempts is not None)
        rows = series.rows
        if attempts is not None:
            from nemorun_cli.tracking.store.row_origins import marked  # noqa: PLC0415 - it is loaded

            rows = [*map(marked, rows, series.origins)]
        chosen = Selection(
            keys=keys, step=step, time=time, downsample=downsample, with_origin=attempts is not None
        )
        return select(rows, chosen, start=start_index, limit=limit, torn=series.skipped)

    def _series(
        self,
        openings: Collection[str] | None,
        attempts: Attempts,
        *,
        tail: int | None = None,
        with_origins: bool = False,
    ) -> SeriesRows:
        from nemorun_cli.tracking.store import row_series  # noqa: PLC0415 - programs rarely read

        return row_series.read(
            self.folder,
            self._metrics.origins(),
            openings=openings,
            tail=tail,
            attempts=attempts,
            with_origins=with_origins,
        )

    def _rows(
        self, openings: Collection[str] | None, attempts: Attempts, *, tail: int | None = None
    ) -> list[Row]:
        """The rows that count; warns of damaged lines."""
        series = self._series(openings, attempts, tail=tail)
        row_files.warn_of(series.skipped)
        return series.rows

    def last(
        self,
        key: str | None = None,
        default: Any = None,
        *,
        openings: Collection[str] | None = None,
        attempts: Attempts = None,
    ) -> Any:
        """The last row, or the last value of one field, of the rows that count; the default if none exists.

        `openings` and `attempts` are those of `read`.
        """
        if key is None:
            rows = self._rows(openings, attempts, tail=1)
            return rows[-1] if rows else default
        count = 1
        while True:
            rows = self._rows(openings, attempts, tail=count)
            for row in reversed(rows):
                if key in row:
                    return row[key]
            if len(rows) < count:
                return default
            count *= 16

    def stats(
        self, *, openings: Collection[str] | None = None, attempts: Attempts = None
    ) -> MetricStatistics:
        """The last, min, max, mean and count of each numeric field, and how many values are NaN.

        `openings` and `attempts` are those of `read`.
        """
        rows = self._rows(openings, attempts)
        extent = _extent(rows)
        return MetricStatistics(statistics(rows), lambda: self._facts(*extent))

    def described(self) -> MetricDescription:
        """The name and the description of the metric."""
        values = {"name": self.name, **self.about()}
        return MetricDescription(values, lambda: self._facts(*_extent(self._rows(None, None))))

    def _facts(self, count: int, first: str | None, last: str | None) -> dict[str, Any]:
        """What ML-Dash reports about a metric: its description, and the number and times of its rows."""
        about = {"description": None, "tags": [], "metadata": None, **self.about()}
        return {
            "metricId": f"local-metric-{self.name}",
            "name": self.name,
            **about,
            "tags": about["tags"] or [],
            "totalDataPoints": count,
            "bufferedDataPoints": count,
            "chunkedDataPoints": 0,
            "totalChunks": 0,
            "chunkSize": CHUNK,
            "firstDataAt": first,
            "lastDataAt": last,
            "createdAt": first,
            "updatedAt": last,
        }

    def about(self) -> dict[str, Any]:
        """The latest description, tags and metadata of the metric."""
        path = f"{self.folder}/{ABOUT}"
        try:
            with row_files.open_rows(path) as stream:
                description = json.loads(row_files.read_whole(stream, path))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise LedgerDamagedError(f"{path} is not the description of a metric: {error}") from error
        return description if isinstance(description, dict) else {}

    def describe(self, about: Mapping[str, Any]) -> None:
        """Store a description, tags and metadata."""
        text = dump(arguments.description(about))
        if self._metrics.is_off:
            return
        make_folder(self.folder)
        write_whole(f"{self.folder}/{ABOUT}", f"{text}\n".encode("ascii"))

    def list_all(self) -> list[MetricDescription]:
        """The same as `metrics.list_all()`; ML-Dash has it here."""
        return self._metrics.list_all()

    def flush(self) -> Self:
        """Do nothing, as nothing is buffered on disk; exists for compatibility with ML-Dash."""
        return self


class Metrics(CheckedAttributes):
    """All series of a record: `metrics("train").log(…)`, `metrics.log(epoch=1, train={…})`."""

    label = "experiment.metrics"
    settable = frozenset({"buffer"})
    written = "experiment.metrics.log({name}=0.5, step=1)"

    def __init__(self, place: Place, writer: Writer, timestamps: Timestamps) -> None:
        self.buffer = Buffers(self._log_summary, writer, self._summarise)
        self._place = place
        self._writer = writer
        self._timestamps = timestamps
        self._series: dict[str | None, Metric] = {}
        self._origins: Origins | None = None

    def _log_summary(self, name: str | None, fields: Mapping[str, Any]) -> None:
        self(name).log(fields)

    def __call__(
        self,
        name: str | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Metric:
        """The series of this name; without one, the unnamed series.

        Raises:
            InvalidValueError: the name is empty or too long.
        """
        metric = self._series.get(name)
        if metric is None:
            folder = self._place.metric(name)
            metric = self._series[name] = Metric(name, folder, self._writer, self._timestamps, self)
        if description is not None or tags is not None or metadata is not None:
            self._writer.require_present()
            metric.describe({"description": description, "tags": tags, "metadata": metadata})
        return metric

    def log(
        self,
        fields: Mapping[str, Any] | None = None,
        /,
        *foreign: Any,
        step: float | None = None,
        _ts: float | None = None,
        _flush: bool = False,
        **named: Any,
    ) -> Self:
        """Log each mapping with the plain fields to the series of its name, and the plain fields alone too.

        `metrics.log(epoch=3, train={"loss": 0.1})` adds a row to `train` and one to the unnamed series.

        Raises:
            TypeError: a value cannot be recorded. Nothing is written.
            StateError: the record is not open.
        """
        if fields is not None:
            named = {**as_fields(fields, *foreign), **named}
        if step is not None:
            named["step"] = step
        nested = {name: value for name, value in named.items() if isinstance(value, Mapping)}
        shared = {name: value for name, value in named.items() if name not in nested}
        timestamp = self._timestamps.take(_ts)
        lines = [
            (self(name), encode_row(timestamp, {**shared, **inner}, is_metric=True))
            for name, inner in nested.items()
            if shared or inner
        ]
        if shared:
            lines.insert(0, (self(), encode_row(timestamp, shared, is_metric=True)))
        if not lines:
            self._writer.require_open()
        for metric, line in lines:
            self._writer.append(metric.folder, line)
        return self

    def __getitem__(self, name: object) -> NoReturn:
        raise foreign_calls.metrics_item(name)

    def __setitem__(self, name: object, value: object) -> NoReturn:
        raise foreign_calls.metrics_item(name)

    @property
    def is_off(self) -> bool:
        """Whether tracking is off, so that nothing is written."""
        return self._writer.is_off

    def move(self) -> None:
        """Follow the record to its new prefix."""
        for name, metric in self._series.items():
            metric.folder = self._place.metric(name)

    def origins(self) -> Origins:
        """The attempts and ranks of the openings of the record."""
        if self._origins is None or self._origins.folder != self._place.openings:
            from nemorun_cli.tracking.store.row_origins import Origins  # noqa: PLC0415 - programs rarely read

            self._origins = Origins(self._place.openings)
        return self._origins

    def names(self) -> list[str | None]:
        """The names of the series with rows, sorted; None is the unnamed series."""
        names = [decode_name(folder) for folder in row_files.names(self._place.metrics)]
        return sorted(names, key=lambda name: (name is not None, name or ""))

    def list_all(self) -> list[MetricDescription]:
        """Each series with its name and description."""
        return [self(name).described() for name in self.names()]

    def flush(self) -> Self:
        """Do nothing, as nothing is buffered on disk; exists for compatibility with ML-Dash."""
        return self

    def _summarise(self) -> None:
        """Log a summary of the numbers that the writer of these metrics has buffered.

        Raises:
            StateError: the record was ended before.
        """
        writer = self._writer.name
        try:
            self.buffer.finish()
            for name in list(buffered_numbers.of(writer).caches):
                self(name).summary_cache.finish()
        finally:
            buffered_numbers.forget(writer)

    def finish(self) -> None:
        """Log a summary of the remaining buffered numbers, those of copies in this process too.

        Called before the record closes.
        """
        if self._writer.name is not None:  # None in a copy, whose record was ended
            buffered_numbers.summarise_all(self._writer.name)


def _extent(rows: list[Row]) -> tuple[int, str | None, str | None]:
    """The number of rows, and the times of the first and last."""
    first, last = (time_of(rows[index]) if rows else None for index in (0, -1))
    return len(rows), first, last


def as_fields(value: Any, *foreign: Any) -> Mapping[str, Any]:
    """The fields of a row, given as one value.

    Raises:
        TypeError: it has no fields.
    """
    if foreign or isinstance(value, str):
        raise foreign_calls.metric_given_by_position((value, *foreign))
    fields = fields_of(value)
    if fields is None:
        raise TypeError(f"the fields of a row are a mapping, not {type(value).__qualname__}: {shown(value)}")
    return fields
