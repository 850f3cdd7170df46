"""Numbers that are kept in memory for a while and logged as their mean, extremes and the like."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.store.row_selection import mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Numbers = dict[str, list[float]]

DEFAULT: Final = ("mean",)
AT_CLOSE: Final = ("mean", "min", "max", "count")  # of what was forgotten
CACHED: Final = ("mean", "min", "max", "count", "std")  # of the summary cache, as ML-Dash has it


class Buffers:
    """What `metrics(name).buffer(…)` collected, until `metrics.buffer.log_summary()`."""

    def __init__(self, log: Callable[[str | None, Mapping[str, Any]], object]) -> None:
        """Summaries are logged by `log`, which takes the name of a series and the fields of a row."""
        self._log = log
        self._kept: dict[str | None, Numbers] = {}

    def store(self, name: str | None, fields: Mapping[str, float | None]) -> None:
        """Keep one number of each field; None counts as NaN.

        Raises:
            TypeError: one is no number. None of them is kept.
        """
        _keep(self._kept.setdefault(name, {}), fields)

    def log_summary(self, *aggregations: str, **extra: Any) -> None:
        """Log one row to each series with something buffered, with fields like `loss.mean`; start afresh.

        Args:
            aggregations: mean (the default), std, min, max, count, median, sum, first, last, p50, p90, p95,
                p99.
            extra: more fields, such as `step`.

        Raises:
            ValueError: an aggregation is not known; those that are, are listed.
        """
        chosen = aggregations or DEFAULT
        for aggregation in chosen:
            if aggregation not in AGGREGATIONS:
                known = ", ".join(AGGREGATIONS)
                raise ValueError(f"there is no aggregation {aggregation!r} (there are: {known})")
        for name, kept in list(self._kept.items()):
            fields = {**extra, **_summary(kept, chosen)}
            if fields:
                self._log(name, fields)
            self._kept.pop(name)

    def peek(self, name: str | None = None, *keys: str, limit: int = 5) -> Numbers:
        """The last buffered numbers of a series; without a name those of all, as `train/loss`."""
        if name is not None:
            return _last(self._kept.get(name, {}), keys, limit)
        return {
            f"{series or '(default)'}/{key}": numbers
            for series, kept in self._kept.items()
            for key, numbers in _last(kept, keys, limit).items()
        }

    def finish(self) -> None:
        """Log what was never summarised."""
        self.log_summary(*AT_CLOSE)

    def clear(self) -> None:
        """Forget what is buffered."""
        self._kept.clear()


class SummaryCache:
    """ML-Dash's older way to the same, for one series: `metrics("train").summary_cache`."""

    def __init__(self, log: Callable[[Mapping[str, Any]], object]) -> None:
        """Summaries are logged by `log`, which takes the fields of a row."""
        self._log = log
        self._kept: Numbers = {}
        self._extra: dict[str, Any] = {}

    def store(self, **fields: float | None) -> None:
        """Keep one number of each field; None counts as NaN."""
        _keep(self._kept, fields)

    def set(self, **extra: Any) -> None:
        """Fields of the next summary that are taken as they are."""
        self._extra.update(extra)

    def summarize(self, *, clear: bool = True) -> None:
        """Log one row with fields like `loss.mean`; without `clear` the numbers stay for the next one."""
        fields = {**self._extra, **_summary(self._kept, CACHED)}
        if fields:
            self._log(fields)
        if clear:
            self.clear()

    def peek(self, *keys: str, limit: int = 5) -> Numbers:
        """The last numbers that are kept."""
        return _last(self._kept, keys, limit)

    def clear(self) -> None:
        """Forget what is kept."""
        self._kept.clear()
        self._extra.clear()


def _keep(kept: Numbers, fields: Mapping[str, float | None]) -> None:
    numbers = {}
    for key, value in fields.items():
        try:
            numbers[key] = math.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise TypeError(f"{key}: only numbers can be buffered, not {value!r}") from None
    for key, number in numbers.items():
        kept.setdefault(key, []).append(number)


def _last(kept: Numbers, keys: tuple[str, ...], limit: int) -> Numbers:
    return {key: kept[key][-limit:] for key in keys or kept if kept.get(key)}


def _summary(kept: Numbers, aggregations: tuple[str, ...]) -> dict[str, float]:
    """`key.aggregation` of the numbers that are not NaN."""
    fields: dict[str, float] = {}
    for key, numbers in kept.items():
        clean = [number for number in numbers if number == number]  # noqa: PLR0124 - only NaN differs from itself
        if clean:
            fields |= {f"{key}.{name}": AGGREGATIONS[name](clean) for name in aggregations}
    return fields


def _deviation(numbers: list[float]) -> float:
    """The standard deviation of a sample; 0 of a single number."""
    if len(numbers) == 1:
        return 0.0
    middle = mean(numbers)
    return math.sqrt(math.fsum((number - middle) ** 2 for number in numbers) / (len(numbers) - 1))


def _percentile(percent: int) -> Callable[[list[float]], float]:
    """Linear between the two nearest ranks, as NumPy does by default."""

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
