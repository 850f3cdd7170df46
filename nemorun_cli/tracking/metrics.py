"""Metrics: named series of rows with the fields they were logged with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from nemorun_cli.tracking.metric_buffers import Buffers, SummaryCache
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump, encode_row, fields_of, plain
from nemorun_cli.tracking.store.record_paths import decode_name, make_folder, write_aside
from nemorun_cli.tracking.store.row_selection import Rows, Selection, select, statistics

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Writer
    from nemorun_cli.tracking.store.row_selection import Span, Statistics
    from nemorun_cli.tracking.timestamps import Timestamps

ABOUT = "about.json"  # what a metric was described as


class Metric:
    """One series: `metrics("train")`. Reading needs no open record and sees all processes' rows."""

    def __init__(
        self, name: str | None, folder: str, writer: Writer, moments: Timestamps, metrics: Metrics
    ) -> None:
        self.name = name
        self.summary_cache = SummaryCache(self.log)
        self.folder = folder
        self._append = writer.append
        self._moment = moments.take
        self._metrics = metrics

    def log(
        self,
        fields: Mapping[str, Any] | None = None,
        /,
        *,
        step: float | None = None,
        _ts: float | None = None,
        **named: Any,
    ) -> Self:
        """Append one row; it is in the file when this returns.

        Args:
            fields: the fields as a mapping, a dataclass or the like.
            step: becomes the field `step`, which `read(step=…)` selects by.
            _ts: the row's Unix time; -1 is that of the thread's last row; default now.
            named: the fields by name; they win over those of the mapping.

        Raises:
            TypeError: a value cannot be recorded. Nothing is written.
            StateError: the record is not open.
        """
        if fields is not None:
            named = {**as_fields(fields), **named}
        if step is not None:
            named["step"] = step
        self._append(self.folder, encode_row(self._moment(_ts), named))
        return self

    def buffer(self, **named: float | None) -> Self:
        """Keep numbers for `metrics.buffer.log_summary()`, which closing the record does if nobody did."""
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
    ) -> Rows:
        """The rows of all processes that logged here, in order.

        Args:
            start_index: how many rows to leave out.
            limit: how many to give at most.
            keys: only these fields (and `_ts`); rows with none of them are left out.
            step: one step, or (first, last), both included, None for no bound.
            time: the same for Unix times.
            tail: only so many of the last rows; taken first.
            downsample: at most so many rows, keeping the extremes.
            openings: only rows of these openings.

        Raises:
            LedgerDamagedError: a file is damaged in the midst. A torn last line is passed over and told in
                `torn`.
        """
        chosen = Selection(keys=keys, step=step, time=time, downsample=downsample)
        found, torn = row_files.series(self.folder, openings=openings, tail=tail)
        return select(found, chosen, start=start_index, limit=limit, torn=torn)

    def last(
        self, key: str | None = None, default: Any = None, *, openings: Collection[str] | None = None
    ) -> Any:
        """The last row, or the last value of one field, or the default where there is none."""
        if key is None:
            found, _ = row_files.series(self.folder, openings=openings, tail=1)
            return found[-1] if found else default
        count = 1
        while True:
            found, _ = row_files.series(self.folder, openings=openings, tail=count)
            for row in reversed(found):
                if key in row:
                    return row[key]
            if len(found) < count:
                return default
            count *= 16

    def stats(self, *, openings: Collection[str] | None = None) -> dict[str, Statistics]:
        """Of each field that holds numbers: last, min, max, mean, count, and how many are NaN."""
        found, _ = row_files.series(self.folder, openings=openings)
        return statistics(found)

    def about(self) -> dict[str, Any]:
        """The description, tags and metadata the metric was last given."""
        try:
            with open(f"{self.folder}/{ABOUT}", encoding="ascii") as stream:
                found = json.load(stream)
        except FileNotFoundError:
            return {}
        return found if isinstance(found, dict) else {}

    def describe(self, about: Mapping[str, Any]) -> None:
        """Keep a description, tags and metadata."""
        text = dump(plain(about, "metrics"))
        make_folder(self.folder)
        write_aside(f"{self.folder}/{ABOUT}", f"{text}\n".encode("ascii"))

    def list_all(self) -> list[dict[str, Any]]:
        """As `metrics.list_all()`, where ML-Dash has it."""
        return self._metrics.list_all()

    def flush(self) -> Self:
        """Nothing is held back; kept for ML-Dash's sake."""
        return self


class Metrics:
    """All series of a record: `metrics("train").log(…)`, `metrics.log(epoch=1, train={…})`."""

    def __init__(self, place: Place, writer: Writer, moments: Timestamps) -> None:
        self.buffer = Buffers(lambda name, fields: self(name).log(fields))
        self._place = place
        self._writer = writer
        self._moments = moments
        self._known: dict[str | None, Metric] = {}

    def __call__(
        self,
        name: str | None = None,
        description: str | None = None,
        tags: list[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Metric:
        """The series of this name; without one, the unnamed series.

        Raises:
            UsageError: the name is empty or too long.
        """
        metric = self._known.get(name)
        if metric is None:
            folder = self._place.metric(name)
            metric = self._known[name] = Metric(name, folder, self._writer, self._moments, self)
        if description is not None or tags is not None or metadata is not None:
            self._writer.require_open()
            metric.describe({"description": description, "tags": tags, "metadata": metadata})
        return metric

    def log(
        self,
        fields: Mapping[str, Any] | None = None,
        /,
        *,
        step: float | None = None,
        _ts: float | None = None,
        _flush: bool = False,
        **named: Any,
    ) -> Self:
        """Log each mapping to the series it is named after, with the plain fields; those also alone.

        `metrics.log(epoch=3, train={"loss": 0.1})` is a row of `train` and one of the unnamed series.

        Raises:
            TypeError: a value cannot be recorded. Nothing is written.
            StateError: the record is not open.
        """
        if fields is not None:
            named = {**as_fields(fields), **named}
        if step is not None:
            named["step"] = step
        nested = {name: value for name, value in named.items() if isinstance(value, Mapping)}
        shared = {name: value for name, value in named.items() if name not in nested}
        moment = self._moments.take(_ts)
        lines = [(self(name), encode_row(moment, {**shared, **inner})) for name, inner in nested.items()]
        if shared:
            lines.insert(0, (self(), encode_row(moment, shared)))
        for metric, line in lines:
            self._writer.append(metric.folder, line)
        return self

    def names(self) -> list[str | None]:
        """The series that somebody logged to, sorted; None is the unnamed one."""
        found = [decode_name(folder) for folder in row_files.names(self._place.metrics)]
        return sorted(found, key=lambda name: (name is not None, name or ""))

    def list_all(self) -> list[dict[str, Any]]:
        """Each series with its name and what it was described as."""
        return [{"name": name, **self(name).about()} for name in self.names()]

    def flush(self) -> Self:
        """Nothing is held back; kept for ML-Dash's sake."""
        return self

    def finish(self) -> None:
        """Before the record closes: summarise what was buffered and never summarised."""
        self.buffer.finish()
        for metric in self._known.values():
            metric.summary_cache.summarize()

    def forked(self) -> None:
        """In a child process: what the parent buffered is for the parent to summarise."""
        self.buffer.clear()
        for metric in self._known.values():
            metric.summary_cache.clear()


def as_fields(given: Any) -> Mapping[str, Any]:
    """The fields of a row that were given as one value.

    Raises:
        TypeError: it has no fields.
    """
    fields = fields_of(given)
    if fields is None:
        raise TypeError(f"the fields of a row are a mapping, not {type(given).__qualname__}: {given!r:.80}")
    return fields
