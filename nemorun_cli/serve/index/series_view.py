"""One series of a record as columns: the rows that count, and their statistics."""

from __future__ import annotations

import bisect
import json
import math
import os
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.serve.index.columns import TIME, FileColumns, NumberColumn
from nemorun_cli.tracking.store.row_selection import NOT_PLOTTED, mean
from nemorun_cli.tracking.store.superseding import AXES, Cut

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nemorun_cli.tracking.store.row_origins import RowOrigin
    from nemorun_cli.tracking.store.row_selection import Statistics

AT: Final = "_at"  # what a supervisor adds to rows; no reader shows it
ORDER_TIME: Final = 4  # of `Piece.order`: the time
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of one file that count.

    Attributes:
        columns: of the file.
        ranges: the rows, in order.
        place: of its generation, chain and attempt in the series, and of the file among those that are
            merged with it by time.
        origin: of its rows.
        after: the latest time in the earlier attempts of its chain.
    """

    columns: FileColumns
    ranges: Sequence[Range]
    place: tuple[int, int, int, int]
    origin: RowOrigin
    after: float = -math.inf

    def order(self, row: int) -> tuple[float, ...]:
        """The place of a row among all rows of the series, as `superseding.arranged` puts them."""
        generation, chain, attempt, file = self.place
        time = self.columns.latest(row)
        return generation, max(self.after, time), chain, attempt, time, file, row

    @property
    def is_whole(self) -> bool:
        """Whether all rows of the file count."""
        return list(self.ranges) == [(0, self.columns.rows)]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(end - first for first, end in self.ranges)

    @property
    def latest(self) -> float:
        """The latest time of its rows."""
        return max((self.columns.latest(end - 1) for _, end in self.ranges), default=-math.inf)

    def spans(self, column: NumberColumn) -> list[Range]:
        """The indices of the numbers of a column that count."""
        found = (column.at(first, end) for first, end in self.ranges)
        return [(first, end) for first, end in found if first < end]


def position_of(pieces: Sequence[Piece]) -> dict[str, list[int]]:
    """How far a series is read: for each file how many rows it has, and how many of these count."""
    return {
        os.path.basename(piece.columns.path): [piece.columns.rows, piece.count]  # noqa: PTH119 - as text
        for piece in pieces
    }


def kept_rows(columns: FileColumns, cut: Cut) -> list[Range]:
    """The rows of a file that a cut leaves, as `superseding.counted` chooses them."""
    if cut.is_whole or not columns.rows:
        return []
    ranges = [(0, columns.rows)]
    for axis, limit in zip(AXES, (cut.step, cut.epoch), strict=True):
        if limit is not None:
            ranges = _common(ranges, _below(columns, axis, limit))
    return ranges


def _below(columns: FileColumns, axis: str, limit: float) -> list[Range]:
    """The rows whose step or epoch, or that of the row before, is below the limit."""
    column = columns.columns.get(axis)
    first = columns.head.step if axis == "step" else columns.head.epoch
    if column is None or first is None:
        return []
    if column.is_sorted and column.rows is None and len(column.values) == columns.rows:
        end = bisect.bisect_left(column.values, limit)
        return [(0, end)] if end else []
    is_below, begin = first < limit, 0
    ranges: list[Range] = []
    for index, value in enumerate(column.values):
        if value == value and (value < limit) != is_below:  # noqa: PLR0124 - NaN
            row = column.row(index)
            if is_below and begin < row:
                ranges.append((begin, row))
            is_below, begin = not is_below, row
    return [*ranges, (begin, columns.rows)] if is_below else ranges


def _common(left: Sequence[Range], right: Sequence[Range]) -> list[Range]:
    found = ((max(a, c), min(b, d)) for a, b in left for c, d in right)
    return sorted((first, end) for first, end in found if first < end)


def _needs_rows(piece: Piece) -> bool:
    columns = piece.columns
    if columns.is_odd or piece.is_whole:
        return columns.is_odd
    is_prefix = len(piece.ranges) <= 1 and all(first == 0 for first, _ in piece.ranges)
    return bool(columns.others) or not (is_prefix or columns.columns[TIME].is_sorted)


@dataclass(frozen=True, slots=True)
class SeriesView:
    """The rows of one series that count; `name` is None for the unnamed one.

    Attributes:
        measured: the fields that are shown of what a supervisor recorded; None for all.
    """

    name: str | None
    pieces: Sequence[Piece]
    measured: Collection[str] | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(piece.count for piece in self.pieces)

    @property
    def needs_rows(self) -> bool:
        """Whether columns are not enough: numbers that are no floats, or other values in superseded files."""
        return any(_needs_rows(piece) for piece in self.pieces)

    def fields(self) -> list[str]:
        """All fields but the axes."""
        names = dict.fromkeys(name for piece in self.pieces for name in self._names(piece))
        return [name for name in names if name not in NOT_PLOTTED]

    def _names(self, piece: Piece) -> list[str]:
        return [name for name in piece.columns.fields if self._is_shown(piece, name)]

    def _is_shown(self, piece: Piece, field: str) -> bool:
        if not piece.origin.is_supervised:
            return True
        return field != AT and (self.measured is None or field in self.measured)

    def columns(self, field: str) -> list[tuple[Piece, NumberColumn]]:
        """The numbers of a field, with the rows that count."""
        return [
            (piece, column)
            for piece in self.pieces
            if self._is_shown(piece, field) and (column := piece.columns.columns.get(field)) is not None
        ]

    def statistics(self) -> dict[str, Statistics]:
        """The statistics of each numeric field, as `Series.statistics` of the commands computes them.

        Raises:
            OverflowError: the sum of a field is no float.
        """
        found = {field: self._statistics(field) for field in self.fields()}
        return {field: values for field, values in found.items() if values is not None}

    def _statistics(self, field: str) -> Statistics | None:
        count = nan = 0
        low, high = math.inf, -math.inf
        sums: list[float] = []
        is_whole = True
        for piece, column in self.columns(field):
            for first, end in piece.spans(column):
                count += end - first
                least, largest = column.extremes(first, end)
                low, high = min(low, least), max(high, largest)
                if first == 0 and end == len(column.values):
                    nan += column.nan
                    sums += column.sums
                else:
                    part = column.values[first:end]
                    nan += sum(map(math.isnan, part)) if column.nan else 0
                    sums += filter(math.isfinite, part)
                is_whole = is_whole and column.is_whole
        if not count:
            return None
        last = self.last(field)
        assert last is not None  # noqa: S101 - there is a number
        clean = count - nan
        has_infinity = math.isinf(low) or math.isinf(high)

        def whole(value: float) -> float:
            return int(value) if is_whole else value

        if not clean:
            low = high = average = math.nan
        elif has_infinity:
            average = mean([value for value in (low, high) if math.isinf(value)])
        else:
            average = math.fsum(sums) / clean
        return {
            "last": whole(last),
            "min": whole(low) if clean else low,
            "max": whole(high) if clean else high,
            "mean": average,
            "count": count,
            "nan": nan,
        }

    def last(self, field: str) -> float | None:
        """The last number of a field."""
        ends = []
        for piece, column in self.columns(field):
            if spans := piece.spans(column):
                index = spans[-1][1] - 1
                ends.append((piece.order(column.row(index)), column.values[index]))
        return max(ends)[1] if ends else None

    def fields_with_others(self) -> list[str]:
        """The fields with values that are no numbers, such as lists, mappings and texts."""
        found = {
            name
            for piece in self.pieces
            for name in piece.columns.others
            if self._is_shown(piece, name) and name not in NOT_PLOTTED
        }
        return [name for name in self.fields() if name in found]

    def ending_without_number(self) -> dict[str, Any]:
        """The last value of each field with numbers whose last value is none."""
        found = {}
        for field in {name for piece in self.pieces for name in piece.columns.others}:
            ends: list[tuple[tuple[float, ...], str | None]] = []
            for piece, column in self.columns(field):
                if spans := piece.spans(column):
                    ends.append((piece.order(column.row(spans[-1][1] - 1)), None))
            has_numbers = bool(ends)
            for piece in self.pieces:
                if field in piece.columns.others and self._is_shown(piece, field):
                    row, text = piece.columns.others[field]
                    ends.append((piece.order(row), text))
            last = max(ends, key=itemgetter(0))[1] if has_numbers else None
            if last is not None:
                found[field] = json.loads(last)
        return found
