"""Curves with few points: the least, the largest and the last number of each part of an axis."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, field
from itertools import accumulate, compress
from operator import le
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.serve.index.columns import TIME, NumberColumn
from nemorun_cli.serve.index.series_view import ORDER_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.serve.index.series_view import Piece, Range, SeriesView

AXES: Final = ("step", "epoch", "time", "relative")


class Window(NamedTuple):
    """What is drawn of a curve.

    Attributes:
        axis: one of AXES.
        first: the least position; None for all.
        last: the largest.
        points: how many there are at most.
        begin: the Unix time at which `relative` is 0.
        has_times: whether the time of each point is wanted, too.
    """

    axis: str = "step"
    first: float | None = None
    last: float | None = None
    points: int = 1000
    begin: float = 0.0
    has_times: bool = False


@dataclass(slots=True)
class SampledCurve:
    """The points of one field, as columns in the order of the axis.

    Attributes:
        x: the position of the last number of each point.
        low: the least number, NaN without one.
        high: the largest.
        last: the last one.
        counts: how many numbers a point stands for.
        nan: how many of these are NaN.
        is_sampled: whether a point stands for more than one number.
        total: how many numbers there are in the window.
        is_numbered: whether the rows lack the axis, so that it is their number.
        times: the Unix time of the last number of each point, if they were wanted.
    """

    x: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    nan: list[int] = field(default_factory=list)
    is_sampled: bool = False
    total: int = 0
    is_numbered: bool = False
    times: list[float] | None = None

    def to_json(self) -> dict[str, Any]:
        """The columns of an entry of `curves` in `exp.curve/1`; NaN is null."""
        return {
            "x": [*map(_plain, self.x)],
            "min": [*map(_plain, self.low)],
            "max": [*map(_plain, self.high)],
            "last": [*map(_plain, self.last)],
            "count": self.counts,
            "nan": self.nan,
            "sampled": self.is_sampled,
            "total": self.total,
            "numbered": self.is_numbered,
            **({} if self.times is None else {"times": [*map(_plain_time, self.times)]}),
        }


def _plain_time(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _plain(value: float) -> float | None:
    return None if value != value else int(value) if value.is_integer() and abs(value) < 1 << 53 else value  # noqa: PLR0124 - NaN


class _Part(NamedTuple):
    """The numbers of one file in the window; `positions` is theirs on the axis."""

    piece: Piece
    column: NumberColumn
    positions: Sequence[float]
    is_sorted: bool
    spans: list[Range]


def curve(view: SeriesView, name: str, window: Window) -> SampledCurve:
    """The curve of a field in a window."""
    shift = window.begin if window.axis == "relative" else 0.0
    low = -math.inf if window.first is None else window.first + shift
    high = math.inf if window.last is None else window.last + shift
    parts, is_numbered, rows_before = [], False, 0
    for piece, column in view.columns(name):
        positions, is_sorted = _positions(piece, column, window.axis)
        if positions is None:
            is_numbered = True
            positions, is_sorted = _numbers(column, rows_before), True
        rows_before += piece.columns.rows
        if spans := _inside(positions, piece.spans(column), low, high, is_sorted=is_sorted):
            parts.append(_Part(piece, column, positions, is_sorted, spans))
    total = sum(end - first for part in parts for first, end in part.spans)
    found = _points(parts) if total <= window.points else _buckets(parts, window.points)
    found.total, found.is_numbered = total, is_numbered
    found.x = [value - shift for value in found.x] if shift else found.x
    found.times = found.times if window.has_times else None
    return found


def _numbers(column: NumberColumn, before: int) -> Sequence[float]:
    """The number of the row of each number, for a million rows without an object for each."""
    if column.rows is None:
        return range(before, before + len(column.values))
    return [before + row for row in column.rows] if before else column.rows


def _positions(piece: Piece, column: NumberColumn, axis: str) -> tuple[Sequence[float] | None, bool]:
    """The position of each number of a column, and whether they rise; None if the rows have none."""
    source = piece.columns.columns.get(TIME if axis in {"time", "relative"} else axis)
    if source is None or source.nan == len(source.values):
        return None, False
    is_everywhere = source.rows is None and len(source.values) == piece.columns.rows
    if is_everywhere and column.rows is None and len(column.values) == piece.columns.rows and not source.nan:
        return source.values, source.is_sorted
    carried = _carried(source, piece.columns.rows)
    values = carried if column.rows is None else [carried[row] for row in column.rows]
    return values, all(map(le, values, values[1:]))


def _carried(source: NumberColumn, rows: int) -> list[float]:
    """The number of each row, that of the row before where it has none, and the first one at the start."""
    values = [math.nan] * rows
    for index, value in enumerate(source.values):
        values[source.row(index)] = value
    first = next(value for value in source.values if value == value)  # noqa: PLR0124 - NaN
    return [*accumulate(values, lambda last, value: value if value == value else last, initial=first)][1:]  # noqa: PLR0124 - NaN


def _inside(
    positions: Sequence[float], spans: Sequence[Range], low: float, high: float, *, is_sorted: bool
) -> list[Range]:
    """The parts of spans with positions between two bounds, both included."""
    if low == -math.inf and high == math.inf:
        return list(spans)
    if is_sorted:
        found = [
            (bisect.bisect_left(positions, low, *span), bisect.bisect_right(positions, high, *span))
            for span in spans
        ]
        return [(first, end) for first, end in found if first < end]
    return [
        run
        for first, end in spans
        for run in _runs(
            compress(range(first, end), (low <= value <= high for value in positions[first:end]))
        )
    ]


def _runs(indices: Iterator[int]) -> Iterator[Range]:
    """Rising indices as ranges."""
    begin = end = -1
    for index in indices:
        if index != end:
            if begin >= 0:
                yield begin, end
            begin = index
        end = index + 1
    if begin >= 0:
        yield begin, end


def _points(parts: Sequence[_Part]) -> SampledCurve:
    """Each number as a point, in the order of the series."""
    found = [
        (part.piece.order(part.column.row(index)), part.positions[index], part.column.values[index])
        for part in parts
        for first, end in part.spans
        for index in range(first, end)
    ]
    if len(parts) > 1:
        found.sort(key=lambda point: point[0])
    values = [value for _, _, value in found]
    return SampledCurve(
        x=[float(x) for _, x, _ in found],
        low=values,
        high=values,
        last=values,
        counts=[1] * len(values),
        nan=[int(value != value) for value in values],  # noqa: PLR0124 - NaN
        times=[order[ORDER_TIME] for order, _, _ in found],
    )


class _Bucket(NamedTuple):
    x: float
    low: float
    high: float
    order: tuple[float, ...]
    last: float
    numbers: int
    nan: int

    def joined(self, other: _Bucket) -> _Bucket:
        later = max(self, other, key=lambda each: each.order)
        return _Bucket(
            max(self.x, other.x),
            min(self.low, other.low),
            max(self.high, other.high),
            later.order,
            later.last,
            self.numbers + other.numbers,
            self.nan + other.nan,
        )


def _buckets(parts: Sequence[_Part], points: int) -> SampledCurve:
    """At most so many points, each for an equal part of the axis."""
    ends = [end for part in parts for end in _ends(part)]
    least, largest = min(ends), max(ends)
    edges = [least + (largest - least) * number / points for number in range(1, points)]
    found: dict[int, _Bucket] = {}
    for part in parts:
        for first, end in part.spans:
            for number, begin, stop in _divided(part, first, end, edges):
                bucket = _bucket(part, begin, stop)
                found[number] = bucket.joined(found[number]) if number in found else bucket
    ordered = [found[number] for number in sorted(found)]
    return SampledCurve(
        x=[float(each.x) for each in ordered],
        low=[each.low if each.numbers > each.nan else math.nan for each in ordered],
        high=[each.high if each.numbers > each.nan else math.nan for each in ordered],
        last=[each.last for each in ordered],
        counts=[each.numbers for each in ordered],
        nan=[each.nan for each in ordered],
        is_sampled=True,
        times=[each.order[ORDER_TIME] for each in ordered],
    )


def _ends(part: _Part) -> Iterator[float]:
    """The least and the largest position of a part."""
    for first, end in part.spans:
        values = (part.positions[first], part.positions[end - 1])
        if not part.is_sorted:
            values = (min(part.positions[first:end]), max(part.positions[first:end]))
        yield from values


def _divided(part: _Part, first: int, end: int, edges: Sequence[float]) -> Iterator[tuple[int, int, int]]:
    """The ranges of a span by the number of their bucket."""
    if part.is_sorted:
        number = bisect.bisect_right(edges, part.positions[first])
        while first < end:
            stop = end
            if number < len(edges):
                stop = bisect.bisect_left(part.positions, edges[number], first, end)
            if first < stop:
                yield number, first, stop
            first, number = stop, number + 1
        return
    begin, current = first, bisect.bisect_right(edges, part.positions[first])
    for index in range(first + 1, end):
        number = bisect.bisect_right(edges, part.positions[index])
        if number != current:
            yield current, begin, index
            begin, current = index, number
    yield current, begin, end


def _bucket(part: _Part, first: int, end: int) -> _Bucket:
    column = part.column
    low, high = column.extremes(first, end)
    return _Bucket(
        part.positions[end - 1] if part.is_sorted else max(part.positions[first:end]),
        low,
        high,
        part.piece.order(column.row(end - 1)),
        column.values[end - 1],
        end - first,
        sum(map(math.isnan, column.values[first:end])) if column.nan else 0,
    )
