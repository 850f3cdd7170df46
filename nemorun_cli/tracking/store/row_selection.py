"""Selects rows, downsamples them for a plot, and computes statistics of their fields."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, cast, overload

from nemorun_cli.model import clock
from nemorun_cli.tracking.store import row_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import SupportsIndex

    from nemorun_cli.tracking.store.row_files import Flaw, Row

    Span = float | tuple[float | None, float | None] | None

NOT_PLOTTED: Final = frozenset({"_ts", "step", "epoch"})  # the axes of a plot
ORIGIN: Final = ("_attempt", "_rank")  # fields of rows that are read with `attempts`
LATEST: Final = 253_402_300_799  # Unix seconds that a stamp can show, in the year 9999
MAX_PLOTTED: Final = 8  # fields whose extremes are kept if no keys are given


class Statistics(TypedDict):
    """The statistics of one numeric field; NaN is included only in `last`, `count` and `nan`."""

    last: float
    min: float
    max: float
    mean: float
    count: int
    nan: int


class Rows(list["Row"]):
    """Rows that were read, in order.

    It also supports the keys of the mapping that ML-Dash returns: `data`, `startIndex`, `endIndex`,
    `total`, `hasMore`.

    Attributes:
        start: the number of rows before the first.
        has_more: whether more rows follow the last.
        torn: the files whose incomplete last line was skipped.
        damaged: the other lines that were skipped, as they are no rows: each with `path`, `line` (from 1)
            and `problem`.
    """

    def __init__(
        self,
        rows: Iterable[Row] = (),
        *,
        start: int = 0,
        has_more: bool = False,
        torn: Sequence[Flaw] = (),
    ) -> None:
        super().__init__(rows)
        self.start = start
        self.has_more = has_more
        self.torn = tuple(flaw for flaw in torn if isinstance(flaw, row_files.IncompleteRow))
        self.damaged = row_files.damaged(torn)

    @overload
    def __getitem__(self, index: str) -> Any: ...
    @overload
    def __getitem__(self, index: SupportsIndex) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: str | SupportsIndex | slice) -> Any:
        return self._as_ml_dash(index) if isinstance(index, str) else super().__getitem__(index)

    def _as_ml_dash(self, key: str) -> Any:
        match key:
            case "data":
                return [
                    {"index": index, "data": row, "createdAt": time_of(row)}
                    for index, row in enumerate(self, self.start)
                ]
            case "startIndex":
                return self.start
            case "endIndex":
                return self.start + len(self) - 1
            case "total":
                return len(self)
            case "hasMore":
                return self.has_more
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key of ML-Dash's mapping."""
        try:
            return self._as_ml_dash(key)
        except KeyError:
            return default

    def columns(self) -> dict[str, list[Any]]:
        """Each field with its values in all rows, None where a row lacks it."""
        names = dict.fromkeys(name for row in self for name in row)
        return {name: [row.get(name) for row in self] for name in names}


class Selection(NamedTuple):
    """Which rows to select, and which of their fields; those of their origin are kept if they have one."""

    keys: Collection[str] | None = None
    step: Span = None
    time: Span = None
    downsample: int | None = None
    with_origin: bool = False


def select(
    rows: list[Row],
    chosen: Selection = Selection(),  # noqa: B008 - a frozen value
    *,
    start: int = 0,
    limit: int | None = None,
    torn: Sequence[Flaw] = (),
) -> Rows:
    """The selected rows, from index `start`, at most `limit`.

    Raises:
        ValueError: a number is out of range.
    """
    if start < 0 or (limit is not None and limit < 0):
        raise ValueError(f"start_index and limit must not be negative, not {start} and {limit}")
    if chosen.step is not None:
        rows = _within(rows, "step", chosen.step)
    if chosen.time is not None:
        rows = _within(rows, "_ts", chosen.time)
    if chosen.keys is not None:
        rows = _only(rows, chosen.keys, always=("_ts", *ORIGIN) if chosen.with_origin else ("_ts",))
    end = len(rows) if limit is None else min(len(rows), start + limit)
    has_more = end < len(rows)
    rows = rows[start:end] if start or has_more else rows
    if chosen.downsample is not None:
        rows = downsample(rows, chosen.downsample, keys=chosen.keys)
    return Rows(rows, start=start, has_more=has_more, torn=torn)


def _within(rows: list[Row], key: str, span: Span) -> list[Row]:
    first, last = span if isinstance(span, tuple) else (span, span)
    low = -math.inf if first is None else first
    high = math.inf if last is None else last
    return [row for row in rows if (value := number(row.get(key))) is not None and low <= value <= high]


def _only(rows: list[Row], keys: Collection[str], *, always: Sequence[str]) -> list[Row]:
    wanted = (keys,) if isinstance(keys, str) else tuple(keys)
    chosen = (
        {key: row[key] for key in wanted if key in row} | {key: row[key] for key in always} for row in rows
    )
    return [row for row in chosen if len(row) > len(always) or wanted == ("_ts",)]


def number(value: object) -> float | None:
    """The value if it is a comparable number; None for all others, including NaN, True and False."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - not NaN
    return cast("float", value) if is_number else None


def time_of(row: Row) -> str | None:
    """When a row was logged, as a stamp; None if no calendar has that time."""
    seconds = number(row.get("_ts"))
    return clock.stamp(seconds) if seconds is not None and 0 <= seconds <= LATEST else None


def downsample(rows: list[Row], count: int, *, keys: Collection[str] | None = None) -> list[Row]:
    """Reduce rows to at most `count`: the first, the last, and the extremes of each field in equal segments.

    A spike in the loss is kept however small `count` is.

    Raises:
        ValueError: `count` is less than two.
    """
    if count < 2:  # noqa: PLR2004 - the first and the last
        raise ValueError(f"downsample must be 2 or more, not {count}")
    if len(rows) <= count:
        return rows
    names = (keys,) if isinstance(keys, str) else tuple(keys or _numeric(rows))
    segments = (count - 2) // (2 * len(names)) if names else 0
    if segments == 0:
        stride = (len(rows) - 1) / (count - 1)
        return [rows[round(index * stride)] for index in range(count)]
    kept = {0, len(rows) - 1}
    for segment in range(segments):
        first, end = (segment * len(rows) // segments, (segment + 1) * len(rows) // segments)
        for key in names:
            points = [
                (value, index)
                for index in range(first, end)
                if (value := number(rows[index].get(key))) is not None
            ]
            if points:
                kept |= {min(points)[1], max(points)[1]}
    return [rows[index] for index in sorted(kept)]


def _numeric(rows: list[Row]) -> list[str]:
    """The plotted numeric fields of the first and last row."""
    names = dict.fromkeys(
        name
        for row in (rows[0], rows[-1])
        for name, value in row.items()
        if number(value) is not None and name not in NOT_PLOTTED
    )
    return list(names)[:MAX_PLOTTED]


def statistics(rows: Iterable[Row]) -> dict[str, Statistics]:
    """The statistics of each numeric field, without `_ts`."""
    numbers: dict[str, list[float]] = {}
    for row in rows:
        for key, value in row.items():
            if type(value) is float or type(value) is int:
                series = numbers.get(key)
                if series is None:
                    numbers[key] = [value]
                else:
                    series.append(value)
    numbers.pop("_ts", None)
    return {key: _statistics(series) for key, series in numbers.items()}


def ends_without_number(rows: Sequence[Row], names: Iterable[str]) -> dict[str, Any]:
    """Those of these fields whose last value is no number, with this value: None, a text or a list."""
    pending = set(names)
    found = {}
    for row in reversed(rows):
        if not pending:
            break
        for name in [name for name in pending if name in row]:
            pending.remove(name)
            if type(row[name]) not in {int, float}:
                found[name] = row[name]
    return found


def _statistics(series: list[float]) -> Statistics:
    clean = [value for value in series if value == value]  # noqa: PLR0124 - only NaN differs from itself
    return {
        "last": series[-1],
        "min": min(clean, default=math.nan),
        "max": max(clean, default=math.nan),
        "mean": mean(clean) if clean else math.nan,
        "count": len(series),
        "nan": len(series) - len(clean),
    }


def mean(numbers: Sequence[float]) -> float:
    """The mean, also of integers and sums beyond the largest float; infinities of both signs make it NaN."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return _exact_mean(numbers)
    except ValueError:  # infinities of both signs
        return math.nan


def _exact_mean(numbers: Sequence[float]) -> float:
    """The nearest float; the nearest integer if it is beyond the largest float."""
    if infinities := {number for number in numbers if number in {math.inf, -math.inf}}:
        return infinities.pop() if len(infinities) == 1 else math.nan
    from fractions import Fraction  # noqa: PLC0415 - rarely needed, and slow to import

    exact = sum(map(Fraction, numbers), Fraction()) / len(numbers)
    try:
        return float(exact)
    except OverflowError:
        return round(exact)
