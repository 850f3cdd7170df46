"""Buffers of numbers in memory, logged as their mean, extremes and other aggregates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.process import buffered_numbers
from nemorun_cli.tracking.process.buffered_numbers import Cached
from nemorun_cli.tracking.store.json_values import only_number, plain
from nemorun_cli.tracking.store.row_selection import mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.tracking.process.buffered_numbers import Numbers, RowWriter

DEFAULT: Final = ("mean",)
AT_CLOSE: Final = ("mean", "min", "max", "count")  # of numbers that were never summarised
CACHED: Final = ("mean", "min", "max", "count", "std")  # of the summary cache, as in ML-Dash


class Buffers:
    """The numbers that `metrics(name).buffer(…)` collects until `metrics.buffer.log_summary()`."""

    def __init__(
        self,
        log: Callable[[str | None, Mapping[str, Any]], object],
        writer: RowWriter,
        finish: Callable[[], None],
    ) -> None:
        """Create buffers that pass each summary to `log`, as the name of a series and the fields of a row.

        The writer knows whether rows can be logged: numbers that never could be are refused at once. `finish`
        summarises what it has buffered, at its end.
        """
        self._log = log
        self._writer = writer
        self._finish = finish

    def store(self, name: str | None, fields: Mapping[str, float | None]) -> None:
        """Keep one number of each field; None counts as NaN.

        Raises:
            TypeError: a value is not a number. None of them is kept.
            StateError: the record is not open.
        """
        self._writer.require_open()
        new = _as_numbers(fields)
        buffered = buffered_numbers.kept(self._writer.name or "", self._finish)
        _keep(buffered.series.setdefault(name, {}), new)

    def log_summary(self, /, *aggregations: str, **extra: Any) -> None:
        """Log one row to each buffered series, with fields like `loss.mean`, and clear the buffers.

        Args:
            aggregations: mean (the default), std, min, max, count, median, sum, first, last, p50, p90, p95,
                p99.
            extra: additional fields, such as `step`.

        Raises:
            ValueError: an aggregation is unknown; the message lists the known ones.
            StateError: the record is not open.
        """
        self._writer.require_open()
        chosen = aggregations or DEFAULT
        for aggregation in chosen:
            if aggregation not in AGGREGATIONS:
                known = ", ".join(AGGREGATIONS)
                raise ValueError(f"there is no aggregation {shown(aggregation)} (there are: {known})")
        series = buffered_numbers.of(self._writer.name).series
        for name, numbers in list(series.items()):
            fields = {**extra, **_summary(numbers, chosen)}
            if fields:
                self._log(name, fields)
            series.pop(name)
        buffered_numbers.forget(self._writer.name, if_empty=True)

    def peek(self, name: str | None = None, *keys: str, limit: int | None = 5) -> Numbers:
        """The last buffered numbers of a series; without a name, those of all series, as `train/loss`.

        Without a limit (None), all of them.
        """
        all_series = buffered_numbers.of(self._writer.name).series
        if name is not None:
            return _last(all_series.get(name, {}), keys, limit)
        return {
            f"{series or '(default)'}/{key}": last
            for series, fields in all_series.items()
            for key, last in _last(fields, keys, limit).items()
        }

    def finish(self) -> None:
        """Log a summary of the numbers that were never summarised."""
        self.log_summary(*AT_CLOSE)


class SummaryCache:
    """ML-Dash's older buffer of one series: `metrics("train").summary_cache`."""

    def __init__(
        self,
        name: str | None,
        log: Callable[[Mapping[str, Any]], object],
        writer: RowWriter,
        finish: Callable[[], None],
    ) -> None:
        """Create the cache of a series that passes each summary to `log`, as the fields of a row.

        `writer` and `finish` are those of `Buffers`.
        """
        self._name = name
        self._log = log
        self._writer = writer
        self._finish = finish

    @property
    def _cached(self) -> Cached:
        """What is cached, to read it."""
        return buffered_numbers.of(self._writer.name).caches.get(self._name) or Cached()

    def _kept(self) -> Cached:
        """What is cached, to add to it."""
        buffered = buffered_numbers.kept(self._writer.name or "", self._finish)
        return buffered.caches.setdefault(self._name, Cached())

    def store(self, /, **fields: float | None) -> None:
        """Keep one number of each field; None counts as NaN.

        Raises:
            TypeError: a value is not a number. None of them is kept.
            StateError: the record is not open.
        """
        self._writer.require_open()
        new = _as_numbers(fields)
        cached = self._kept()
        _keep(cached.numbers, new)
        cached.is_summarised = False

    def set(self, /, **extra: Any) -> None:
        """Add fields to the next summary unchanged.

        Raises:
            TypeError: a value cannot be recorded. None of them is kept.
            StateError: the record is not open.
        """
        self._writer.require_open()
        if "_ts" in extra:
            raise TypeError("_ts is the time of the row: a summary has that of its call")
        values = {name: plain(value, name) for name, value in extra.items()}
        cached = self._kept()
        cached.extra.update(values)
        cached.is_summarised = False

    def summarize(self, *, clear: bool = True) -> None:
        """Log one row with fields like `loss.mean`; without `clear`, keep the numbers for the next one.

        Raises:
            StateError: the record is not open.
        """
        self._writer.require_open()
        cached = self._cached
        fields = {**cached.extra, **_summary(cached.numbers, CACHED)}
        if fields:
            self._log(fields)
        cached.is_summarised = True
        if clear:
            self.clear()

    def finish(self) -> None:
        """Log a summary, unless the last one already contains all numbers."""
        if not self._cached.is_summarised:
            self.summarize()
        self.clear()

    def peek(self, *keys: str, limit: int | None = 5) -> Numbers:
        """The last buffered numbers of each field; without a limit (None), all of them."""
        return _last(self._cached.numbers, keys, limit)

    def clear(self) -> None:
        """Discard the buffered numbers and extra fields."""
        buffered_numbers.of(self._writer.name).caches.pop(self._name, None)
        buffered_numbers.forget(self._writer.name, if_empty=True)


def _as_numbers(fields: Mapping[str, float | None]) -> dict[str, float]:
    """The fields as numbers.

    Raises:
        TypeError: a value is not a number, or too large for one; the message names it.
    """
    numbers = {}
    for key, value in fields.items():
        try:
            if isinstance(value, (str, bytes, bytearray)):  # `float` would take "0.5"
                raise TypeError  # noqa: TRY301 - one message for all
            number = value if type(value) is float else only_number(value, key)
            numbers[key] = math.nan if number is None else float(number)
        except Exception:  # noqa: BLE001 - the value's own __float__ may raise anything
            kind = type(value).__qualname__
            raise TypeError(f"{key}: only numbers can be buffered, not {kind}: {shown(value)}") from None
    return numbers


def _keep(numbers: Numbers, new: Mapping[str, float]) -> None:
    for key, number in new.items():
        numbers.setdefault(key, []).append(number)


def _last(numbers: Numbers, keys: tuple[str, ...], limit: int | None) -> Numbers:
    return {key: numbers[key][-(limit or 0) :] for key in keys or numbers if numbers.get(key)}


def _summary(numbers: Numbers, aggregations: tuple[str, ...]) -> dict[str, float]:
    """The aggregates of the numbers that are not NaN, as `key.aggregation`."""
    fields: dict[str, float] = {}
    for key, values in numbers.items():
        clean = [number for number in values if number == number]  # noqa: PLR0124 - only NaN differs from itself
        if clean:
            fields |= {f"{key}.{name}": AGGREGATIONS[name](clean) for name in aggregations}
    return fields


def _deviation(numbers: list[float]) -> float:
    """The sample standard deviation; 0 for a single number."""
    if len(numbers) == 1:
        return 0.0
    middle = mean(numbers)
    # hypot scales the differences: the square of a large one would overflow
    return math.hypot(*(number - middle for number in numbers)) / math.sqrt(len(numbers) - 1)


def _percentile(percent: int) -> Callable[[list[float]], float]:
    """A percentile function that interpolates linearly between ranks, as NumPy does by default."""

    def of(numbers: list[float]) -> float:
        ordered = sorted(numbers)
        rank = (len(ordered) - 1) * percent / 100
        below = math.floor(rank)
        above = min(below + 1, len(ordered) - 1)
        return (
            ordered[below] + (rank - below) * (ordered[above] - ordered[below])
            if rank > below
            else ordered[below]
        )

    return of


AGGREGATIONS: Final[dict[str, Callable[[list[float]], float]]] = {
    "mean": mean,
    "std": _deviation,
    "min": min,
    "max": max,
    "count": len,
    "median": _percentile(50),
    "sum": sum,
    "first": lambda numbers: numbers[0],
    "last": lambda numbers: numbers[-1],
    "p50": _percentile(50),
    "p90": _percentile(90),
    "p95": _percentile(95),
    "p99": _percentile(99),
}
