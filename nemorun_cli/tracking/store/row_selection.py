"""Choosing among rows, thinning them out for a plot, and what their numbers come to."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict, cast, overload

from nemorun_cli.model import clock

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import SupportsIndex

    from nemorun_cli.tracking.store.row_files import IncompleteRow, Row

    Span = float | tuple[float | None, float | None] | None

NOT_PLOTTED: Final = frozenset({"_ts", "step", "epoch"})  # what rows are plotted over, not what is plotted
MAX_PLOTTED: Final = 8  # fields whose extremes are kept when none are named


class Statistics(TypedDict):
    """What the numbers of one field come to; NaN counts in `count` and `nan` and in nothing else."""

    last: float
    min: float
    max: float
    mean: float
    count: int
    nan: int


class Rows(list["Row"]):
    """Rows that were read, in order.

    It also answers to the keys of the mapping that ML-Dash returns: `data`, `startIndex`, `endIndex`,
    `total`, `hasMore`.

    Attributes:
        start: how many rows lie before the first.
        has_more: whether rows follow the last.
        torn: the files whose last line is not whole; it was passed over.
    """

    def __init__(
        self,
        found: Iterable[Row] = (),
        *,
        start: int = 0,
        has_more: bool = False,
        torn: Sequence[IncompleteRow] = (),
    ) -> None:
        super().__init__(found)
        self.start = start
        self.has_more = has_more
        self.torn = tuple(torn)

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
                    {"index": index, "data": row, "createdAt": clock.stamp(row["_ts"])}
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

    def columns(self) -> dict[str, list[Any]]:
        """Each field with its value in every row, None where a row has none."""
        names = dict.fromkeys(name for row in self for name in row)
        return {name: [row.get(name) for row in self] for name in names}


class Selection(NamedTuple):
    """Which rows, and what of them."""

    keys: Collection[str] | None = None
    step: Span = None
    time: Span = None
    downsample: int | None = None


def select(
    rows: list[Row],
    chosen: Selection = Selection(),  # noqa: B008 - a frozen value
    *,
    start: int = 0,
    limit: int | None = None,
    torn: Sequence[IncompleteRow] = (),
) -> Rows:
    """The rows that were chosen, from the start-th on, at most so many.

    Raises:
        ValueError: a number makes no sense.
    """
    if start < 0 or (limit is not None and limit < 0):
        raise ValueError(f"start_index and limit are not negative, not {start} and {limit}")
    if chosen.step is not None:
        rows = _within(rows, "step", chosen.step)
    if chosen.time is not None:
        rows = _within(rows, "_ts", chosen.time)
    if chosen.keys is not None:
        rows = _only(rows, chosen.keys)
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


def _only(rows: list[Row], keys: Collection[str]) -> list[Row]:
    wanted = (keys,) if isinstance(keys, str) else tuple(keys)
    chosen = ({key: row[key] for key in wanted if key in row} | {"_ts": row["_ts"]} for row in rows)
    return [row for row in chosen if len(row) > 1 or wanted == ("_ts",)]


def number(value: object) -> float | None:
    """The value if it is a number that can be compared; None for all else, NaN, True and False."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - not NaN
    return cast("float", value) if is_number else None


def downsample(rows: list[Row], count: int, *, keys: Collection[str] | None = None) -> list[Row]:
    """At most so many rows: the first, the last, and the extremes of each field in equal stretches.

    So a spike in the loss survives however few are kept.

    Raises:
        ValueError: fewer than two are to be kept.
    """
    if count < 2:  # noqa: PLR2004 - the first and the last
        raise ValueError(f"downsample is 2 or more, not {count}")
    if len(rows) <= count:
        return rows
    plotted = (keys,) if isinstance(keys, str) else tuple(keys or _numeric(rows))
    stretches = (count - 2) // (2 * len(plotted)) if plotted else 0
    if stretches == 0:
        stride = (len(rows) - 1) / (count - 1)
        return [rows[round(index * stride)] for index in range(count)]
    kept = {0, len(rows) - 1}
    for stretch in range(stretches):
        first, end = (stretch * len(rows) // stretches, (stretch + 1) * len(rows) // stretches)
        for key in plotted:
            points = [
                (value, at) for at in range(first, end) if (value := number(rows[at].get(key))) is not None
            ]
            if points:
                kept |= {min(points)[1], max(points)[1]}
    return [rows[index] for index in sorted(kept)]


def _numeric(rows: list[Row]) -> list[str]:
    """The fields of the first and last row that hold numbers and are plotted."""
    names = dict.fromkeys(
        name
        for row in (rows[0], rows[-1])
        for name, value in row.items()
        if number(value) is not None and name not in NOT_PLOTTED
    )
    return list(names)[:MAX_PLOTTED]


def statistics(rows: Iterable[Row]) -> dict[str, Statistics]:
    """What the numbers of each field come to; fields without numbers are left out, and so is `_ts`."""
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
    """The mean, also where the sum is past the largest float or infinities of both signs make it NaN."""
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        return math.fsum(number / len(numbers) for number in numbers)
    except ValueError:  # both infinities are there
        return math.nan
