"""Pages of the rows of a metric, for 0.6.27 by index and for 0.11 by cursor, in the order of their files.

That order does not change while rows are appended: files are in the order of their openings, and each has one
writer. A page reads only its part of the files. Superseded rows are included, as ML-Dash knows none.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_selection import LATEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.tracking.store.row_files import Row, RowSource

FORMAT: Final = "ml-dash.metric-rows.v1"
BLOCK: Final = 1 << 20  # bytes read at a time


class SnapshotChangedError(Exception):
    """Rows were added in front of the position of a cursor."""


class Extent(NamedTuple):
    """How many rows a metric has, and when the first and the last were logged."""

    rows: int
    first: str | None
    last: str | None


def stamp(seconds: float) -> str | None:
    """Unix seconds with microseconds, as ML-Dash writes a time; None if no calendar has it."""
    if not 0 <= seconds <= LATEST:
        return None
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def extent(folder: str) -> Extent:
    """The extent of a metric."""
    count, first, last = 0, None, None
    for source in row_files.sources(folder):
        with row_files.open_rows(source.path) as stream:
            while block := stream.read(BLOCK):
                count += block.count(b"\n")
            if first is None:
                stream.seek(0)
                first = _time(stream.readline(), source)
        tail, _ = row_files.read_tail(source.path, 1)
        last = stamp(tail[-1]["_ts"]) if tail else last
    return Extent(count, first, last)


def _time(line: bytes, source: RowSource) -> str | None:
    rows, _ = row_files.parse(line, source.path) if line.endswith(b"\n") else ([], [])
    return stamp(rows[0]["_ts"]) if rows else None


def by_index(folder: str, begin: int, limit: int) -> dict[str, Any]:
    """The rows from an index on, as 0.6.27 reads them."""
    rows: list[Row] = []
    skipped, has_more = 0, False
    for source in row_files.sources(folder):
        with row_files.open_rows(source.path) as stream:
            skipped += _skip_lines(stream, begin - skipped)
            while skipped == begin:
                line = stream.readline()
                if not line.endswith(b"\n"):
                    break
                if len(rows) == limit:
                    has_more = True
                    break
                rows += row_files.parse(line, source.path)[0]
        if has_more:
            break
    data = [
        {"index": index, "data": row, "createdAt": stamp(row["_ts"])} for index, row in enumerate(rows, begin)
    ]
    return {
        "data": data,
        "startIndex": begin,
        "endIndex": begin + len(rows) - 1,
        "total": len(rows),
        "hasMore": has_more,
    }


def _skip_lines(stream: Any, count: int) -> int:
    """Read past so many complete lines; returns how many there were."""
    skipped = 0
    while skipped < count:
        position = stream.tell()
        block = stream.read(BLOCK)
        if not block:
            break
        lines = block.count(b"\n")
        if skipped + lines < count:
            skipped += lines
            continue
        end = -1
        for _ in range(count - skipped):
            end = block.index(b"\n", end + 1)
        stream.seek(position + end + 1)
        return count
    return skipped


class _Cursor(NamedTuple):
    """A position: the file, the byte in it, and the number and size of the files before it."""

    name: str
    offset: int
    files: int
    size: int

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(self).encode()).decode()


def _parsed(cursor: str) -> _Cursor:
    try:
        values = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
        found = _Cursor(*values)
    except (ValueError, TypeError, binascii.Error, RecursionError):
        found = None
    numbers = found[1:] if found else ()
    if (
        found is None
        or type(found.name) is not str
        or not all(type(each) is int and each >= 0 for each in numbers)
    ):
        raise InvalidValueError("cursor is not one of this server")
    return found


def by_cursor(folder: str, cursor: str | None, limit: int) -> dict[str, Any]:
    """A page of rows in blocks with the same columns, as 0.11 reads them.

    Raises:
        SnapshotChangedError: rows were added in front of the cursor.
        InvalidValueError: the cursor is not one of this server.
    """
    sources = row_files.sources(folder)
    index, offset = _position(sources, cursor) if cursor else (0, 0)
    rows: list[Row] = []
    position: _Cursor | None = None
    while index < len(sources) and position is None:
        source = sources[index]
        with row_files.open_rows(source.path) as stream:
            stream.seek(offset)
            while (line := stream.readline()).endswith(b"\n"):
                if len(rows) == limit:
                    position = _Cursor(os.path.basename(source.path), offset, *_before(sources, index))
                    break
                rows += row_files.parse(line, source.path)[0]
                offset += len(line)
        index, offset = index + 1, 0
    return {
        "format": FORMAT,
        "visibility": "committed",
        "order": "storage",
        "blocks": list(_blocks(rows)),
        "returned": len(rows),
        "hasMore": position is not None,
        "nextCursor": str(position) if position else None,
    }


def _before(sources: list[RowSource], index: int) -> tuple[int, int]:
    return index, sum(os.path.getsize(source.path) for source in sources[:index])


def _position(sources: list[RowSource], cursor: str) -> tuple[int, int]:
    found = _parsed(cursor)
    names = [os.path.basename(source.path) for source in sources]
    if found.name not in names:
        raise SnapshotChangedError("the rows at the cursor do not exist any more: start again")
    index = names.index(found.name)
    if _before(sources, index) != (found.files, found.size):
        raise SnapshotChangedError("rows were added in front of the cursor: start again")
    return index, found.offset


def _blocks(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Runs of rows with the same columns and types."""
    columns: tuple[tuple[str, str], ...] | None = None
    cells: list[list[Any]] = []
    for row in rows:
        fields = [(name, *_cell(value)) for name, value in _fields(row)]
        its_columns = tuple((name, kind) for name, kind, _ in fields)
        if its_columns != columns:
            if columns is not None:
                yield _block(columns, cells)
            columns, cells = its_columns, []
        cells.append([value for _, _, value in fields])
    if columns is not None:
        yield _block(columns, cells)


def _fields(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields of a row, its time last, as the clients send it."""
    for name, value in row.items():
        if name != "_ts":
            yield name, value
    yield "_ts", row["_ts"]


def _block(columns: Iterable[tuple[str, str]], rows: list[list[Any]]) -> dict[str, Any]:
    return {"columns": [{"name": name, "type": kind} for name, kind in columns], "rows": rows}


def _cell(value: Any) -> tuple[str, Any]:
    """The type of a value in the format, and its form there."""
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int):
        if -(1 << 63) <= value < 1 << 63:
            return "int64", str(value)
        return "utf8", str(value)
    if isinstance(value, float):
        return "float64", _float(value)
    if value is None or isinstance(value, str):
        return "utf8", value
    return "utf8", dump(value)


def _float(value: float) -> float | str:
    if value != value:  # noqa: PLR0124 - not a number
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return "-0" if value == 0 and str(value).startswith("-") else value
