"""The numbers of one writer's file of metric rows, as columns that grow with the file."""

from __future__ import annotations

import bisect
import math
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.superseding import NO_ROWS, Head

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.tracking.store.row_files import DamagedRow, Row

BLOCK: Final = 256  # numbers of which the least and the largest are kept
TIME: Final = "_ts"
EXACT: Final = 1 << 53  # integers up to it are floats without a loss
TAIL: Final = 64  # bytes


@dataclass(slots=True)
class NumberColumn:
    """The numbers of one field, in the order of the rows.

    Attributes:
        values: as floats, also those of integers.
        rows: the row of each; None if it is the index.
        lows: the least number of each block of BLOCK, without NaN; infinity without one.
        highs: the largest.
        nan: how many are NaN.
        is_whole: whether all are integers.
        sums: floats whose exact sum is that of all finite numbers.
        is_sorted: whether no number is less than the one before, and none is NaN.
    """

    values: array[float] = field(default_factory=lambda: array("d"))
    rows: array[int] | None = None
    lows: array[float] = field(default_factory=lambda: array("d"))
    highs: array[float] = field(default_factory=lambda: array("d"))
    nan: int = 0
    is_whole: bool = True
    sums: list[float] = field(default_factory=list)
    is_sorted: bool = True

    def extend(self, numbers: Sequence[float], rows: Sequence[int] | None, *, before: int) -> None:
        """Add numbers; `rows` are theirs, None for all rows from `before` on.

        Raises:
            OverflowError: a number, or the sum, is no float.
        """
        count = len(self.values)
        if self.rows is None and (rows is not None or before != count):
            self.rows = array("q", range(count))
        if self.rows is not None:
            self.rows.extend(range(before, before + len(numbers)) if rows is None else rows)
        added = array("d", numbers)
        kinds = set(map(type, numbers))
        self.is_whole = self.is_whole and kinds <= {int}
        if not kinds <= {float} and max(map(abs, filter(_is_integer, numbers)), default=0) > EXACT:
            raise OverflowError("an integer is no float")
        finite: Iterable[float] = added
        if not math.isfinite(sum(added)):  # a faster test than one of each
            self.nan += sum(map(math.isnan, added))
            finite = filter(math.isfinite, added)
        self.is_sorted = self.is_sorted and not self.nan and _is_sorted(self.values[-1:] + added)
        self.sums = exact_sums([*self.sums, *finite])
        self.values.extend(added)
        del self.lows[count // BLOCK :], self.highs[count // BLOCK :]
        for first in range(count // BLOCK * BLOCK, len(self.values), BLOCK):
            block: Iterable[float] = self.values[first : first + BLOCK]
            if self.nan:
                block = [value for value in block if value == value]  # noqa: PLR0124 - NaN
            self.lows.append(min(block, default=math.inf))
            self.highs.append(max(block, default=-math.inf))

    def at(self, first: int, end: int) -> tuple[int, int]:
        """The indices of the numbers of rows from `first` to before `end`."""
        if self.rows is None:
            return min(first, len(self.values)), min(end, len(self.values))
        return bisect.bisect_left(self.rows, first), bisect.bisect_left(self.rows, end)

    def row(self, index: int) -> int:
        """The row of a number."""
        return index if self.rows is None else self.rows[index]

    def extremes(self, first: int, end: int) -> tuple[float, float]:
        """The least and the largest of the numbers from index `first` to before `end`, without NaN."""
        begin, stop = -(-first // BLOCK), end // BLOCK
        edges = [(first, end)] if begin >= stop else [(first, begin * BLOCK), (stop * BLOCK, end)]
        lows, highs = self.lows[begin:stop], self.highs[begin:stop]
        for left, right in edges:
            values: Iterable[float] = self.values[left:right]
            if self.nan:
                values = [value for value in values if value == value]  # noqa: PLR0124 - NaN
            lows.append(min(values, default=math.inf))
            highs.append(max(values, default=-math.inf))
        return min(lows), max(highs)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return 8 * (len(self.values) * (1 if self.rows is None else 2) + 2 * len(self.lows))


def _is_integer(value: float) -> bool:
    return type(value) is int


def _is_sorted(values: Sequence[float]) -> bool:
    return all(map(float.__le__, values, values[1:])) if len(values) > 1 else True


def exact_sums(numbers: Sequence[float]) -> list[float]:
    """A few floats with exactly the sum of many.

    Raises:
        OverflowError: it is beyond the largest float.
    """
    sums: list[float] = []
    rest = list(numbers)
    while rest and (total := math.fsum(rest)) != 0.0:
        sums.append(total)
        rest.append(-total)
    return sums


@dataclass(slots=True)
class FileColumns:
    """What is known about the rows of one file up to its last complete line that was read.

    Attributes:
        path: of the file.
        inode: of the file; another one has taken its place if it differs.
        offset: bytes that were read.
        rows: how many there are.
        fields: all fields in the order in which they occur first.
        columns: the numbers by field.
        others: the fields that also have values that are no numbers: the last row with one, and the value
            as JSON.
        is_odd: whether it has numbers that are no floats, or rows without a time: what is computed from
            columns would be wrong.
        lines: how many there are, with those that are no rows.
        tail: the last bytes that were read, by which a file that was replaced is recognized.
        torn: bytes of an incomplete last line.
        damaged: lines that are no rows.
    """

    path: str
    inode: int = 0
    offset: int = 0
    rows: int = 0
    fields: dict[str, None] = field(default_factory=dict)
    columns: dict[str, NumberColumn] = field(default_factory=dict)
    others: dict[str, tuple[int, str]] = field(default_factory=dict)
    is_odd: bool = False
    lines: int = 0
    tail: bytes = b""
    torn: int = 0
    damaged: list[DamagedRow] = field(default_factory=list)
    _latest: Sequence[float] = ()

    def extend(self, data: bytes) -> None:
        """Add complete lines."""
        rows, damaged = row_files.parse(data, self.path, first=self.lines + 1)
        self.lines += data.count(b"\n")
        self.tail = (self.tail + data[-TAIL:])[-TAIL:]
        self.damaged += damaged[: max(0, row_files.MOST_REPORTED - len(self.damaged))]
        self.offset += len(data)
        self.add(rows)

    def add(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        if rows:
            names, by_name = _transposed(rows)
            self.fields.update(dict.fromkeys(names))
            for name, values in by_name.items():
                self._add(name, values, rows)
        self.rows += len(rows)
        time = self.columns.get(TIME)
        self.is_odd |= time is None or len(time.values) != self.rows

    def _add(self, name: str, values: Sequence[Any], rows: Sequence[Row]) -> None:
        kinds = set(map(type, values))
        where: list[int] | None = None
        if not kinds <= {int, float}:
            present = [index for index, row in enumerate(rows) if name in row]
            numbers = [index for index in present if type(values[index]) in {int, float}]
            if len(numbers) < len(present):
                last = max(set(present).difference(numbers))
                self.others[name] = (self.rows + last, dump(values[last]))
            values = [values[index] for index in numbers]
            where = [self.rows + index for index in numbers]
        if not values:
            return
        try:
            self.columns.setdefault(name, NumberColumn()).extend(values, where, before=self.rows)
        except OverflowError:
            self.is_odd = True

    @property
    def head(self) -> Head:
        """The first step and epoch of its rows."""
        if not self.rows:
            return NO_ROWS
        return Head(self._first("step"), self._first("epoch"), has_rows=True)

    def _first(self, axis: str) -> float | None:
        column = self.columns.get(axis)
        if column is None:
            return None
        return next((value for value in column.values if value == value), None)  # noqa: PLR0124 - NaN

    def latest(self, row: int) -> float:
        """The latest time up to a row."""
        column = self.columns.get(TIME)
        if column is None or column.rows is not None or row >= len(column.values):
            return -math.inf  # a row has no time
        if column.is_sorted:
            return column.values[row]
        if len(self._latest) != len(column.values):
            self._latest = array("d", accumulate(column.values, max))
        return self._latest[row]

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return sum(column.size for column in self.columns.values()) + 8 * len(self._latest) + 1000


def _transposed(rows: Sequence[Row]) -> tuple[Iterable[str], Mapping[str, Sequence[Any]]]:
    """The fields in the order in which they occur, and the values of each; None where a row lacks it."""
    names = list(rows[0])
    if set(map(len, rows)) == {len(names)} and len(names) > 1:
        try:
            return names, dict(zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True))
        except KeyError:
            pass
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    return names, {name: [row.get(name) for row in rows] for name in names}
