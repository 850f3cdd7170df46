"""Reads row files: one JSON object per line, appended by a single writer, readable at any time.

As no two writers (see `row_writer`) share a file, only the last line of a file can be incomplete,
unless the machine lost its power or a foreign program wrote to the file. A line that is not a row spoils only
itself: it is skipped and reported.
"""

from __future__ import annotations

import errno
import gc
import io
import os
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from nemorun_cli.errors import LedgerDamagedError, UnreadableWarning
from nemorun_cli.system.file_end import last_lines
from nemorun_cli.system.files import (
    IS_LINK,
    RefusedFileError,
    at_most,
    is_behind_link,
    open_to_read,
)
from nemorun_cli.tracking.store import fast_json, json_values
from nemorun_cli.tracking.store.record_paths import parent_of_record

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from nemorun_cli.tracking.store.row_forms import Kind

Row = dict[str, Any]

LARGEST: Final = 1 << 29  # bytes that are read at once: some ten million rows of one writer
BLOCK: Final = 1 << 16  # bytes read at a time from the end of a file
MOST_REPORTED: Final = 100  # damaged lines of one file that are reported
LARGEST_TIME: Final = 1e300  # of a row, in seconds: it can be converted to a float
SUFFIX: Final = ".jsonl"


class IncompleteRow(NamedTuple):
    """A file with an incomplete last line: its writer died while writing it, or is still writing."""

    path: str
    bytes: int


class DamagedRow(NamedTuple):
    """A line that is not a row; `line` counts from 1."""

    path: str
    line: int
    problem: str

    @property
    def message(self) -> str:
        """What is wrong, with the path and the line."""
        return f"{self.path}:{self.line}: not a row: {self.problem}"


Flaw = IncompleteRow | DamagedRow


def damaged(flaws: Iterable[Flaw]) -> tuple[DamagedRow, ...]:
    """The damaged lines among the flaws of files."""
    return tuple(flaw for flaw in flaws if isinstance(flaw, DamagedRow))


def warn_of(flaws: Iterable[Flaw]) -> None:
    """Warn of damaged lines, for readers whose result has no place for them."""
    for flaw in damaged(flaws):
        import warnings  # noqa: PLC0415 - rarely needed

        warnings.warn(f"ignored {flaw.message}", UnreadableWarning, stacklevel=3)


class RowSource(NamedTuple):
    """One writer's file in a folder."""

    path: str
    generation: int
    opening: str


def sources(folder: str, openings: Collection[str] | None = None) -> list[RowSource]:
    """The files of a folder sorted by generation and opening, of all openings or of the given ones."""
    files = []
    for name in names(folder):
        if name.endswith(SUFFIX):
            opening = name.removesuffix(SUFFIX).partition(".")[0]
            if openings is None or opening in openings:
                files.append(RowSource(f"{folder}/{name}", generation_of(opening), opening))
    return sorted(files, key=lambda source: (source.generation, source.path))


def names(folder: str) -> list[str]:
    """The names in a folder, unsorted; empty if the folder does not exist.

    Raises:
        LedgerDamagedError: it, or a folder above it in its record, is a symbolic link.
    """
    if (parent := parent_of_record(f"{folder}/")) is not None and is_behind_link(folder, inside=parent):
        raise LedgerDamagedError(f"{folder} cannot be read: {IS_LINK}")
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise LedgerDamagedError(f"{folder} cannot be read: {error.strerror}") from error
        raise


def generation_of(opening: str) -> int:
    """The generation at the start of an opening's id; 0 for other names."""
    first = opening.partition("-")[0]
    return int(first) if first.isdecimal() else 0


def open_rows(path: str) -> BinaryIO:
    """Open a file of a record, which anybody may have put there; never waits.

    Raises:
        FileNotFoundError: it does not exist.
        LedgerDamagedError: it cannot be read, or is not a regular file.
    """
    try:
        return open_to_read(path, follows_link=False, inside=parent_of_record(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error.strerror}") from error


def read_whole(stream: BinaryIO, path: str) -> bytes:
    """The rest of a file of a record.

    Raises:
        LedgerDamagedError: it is larger than LARGEST.
    """
    try:
        return at_most(LARGEST, stream, path)
    except RefusedFileError as error:
        raise LedgerDamagedError(f"{path} cannot be read: {error.strerror}") from error


def read(path: str, kind: Kind | None = None) -> tuple[list[Row], list[Flaw]]:
    """All rows of a file, and its lines that are none: the incomplete last one, and damaged ones.

    Args:
        path: of the file.
        kind: of the rows; it decides the forms of their fields, which are checked, except those of openings.

    Raises:
        LedgerDamagedError: the file cannot be read.
    """
    with open_rows(path) as stream:
        data = read_whole(stream, path)
    end = data.rfind(b"\n") + 1
    rows, flaws = parse(data[:end], path, kind)
    return rows, [*flaws, *_incomplete(data, end, path)]


def _incomplete(data: bytes, end: int, path: str) -> list[Flaw]:
    return [IncompleteRow(path, len(data) - end)] if end < len(data) else []


def parse(
    data: bytes, path: str, kind: Kind | None = None, *, first: int = 1
) -> tuple[list[Row], list[DamagedRow]]:
    """The rows among complete lines, and the other lines; `first` is the number of the first line."""
    if not data:
        return [], []
    try:
        # parsed as one array: half the time of one call per line
        text = data[:-1].decode("ascii").replace("\n", ",")
        with _collector_paused():
            rows: list[Row] = fast_json.loads(f"[{text}]")
            are_rows = len(rows) == data.count(b"\n") and _are_objects(rows, are_timed=kind != "opening")
            if are_rows and json_values.needs_unwrapping(text):
                rows = cast("list[Row]", json_values.unwrap(rows))
            if are_rows and kind not in {None, "opening"}:
                are_rows = all(_form_problem(row, kind) is None for row in rows)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        are_rows = False
    return (rows, []) if are_rows else _parse_lines(data, path, kind, first)


def _are_objects(rows: list[Row], *, are_timed: bool) -> bool:
    """Whether all are objects with a time as this package writes it; raises an error for some others."""
    if not are_timed:
        return set(map(type, rows)) <= {dict}
    return set(map(type, map(_TIME_OF, rows))) == {float}


_TIME_OF: Final = itemgetter("_ts")


def _form_problem(row: Row, kind: Kind) -> str | None:
    from nemorun_cli.tracking.store import row_forms  # noqa: PLC0415 - programs rarely read

    return row_forms.flaw(row, kind)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: rows contain no cycles, and it takes a third of the reading time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse_lines(data: bytes, path: str, kind: Kind | None, first: int) -> tuple[list[Row], list[DamagedRow]]:
    """Parse one line at a time, to keep the rows and to report the other lines."""
    rows: list[Row] = []
    flaws: list[DamagedRow] = []
    for number, line in enumerate(io.BytesIO(data), first):
        try:
            row = json_values.load(line[:-1].decode("utf-8"))
            problem = _problem(row, kind)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            problem = str(error)
        if problem is None:
            rows.append(row)
        elif len(flaws) < MOST_REPORTED:
            flaws.append(DamagedRow(path, number, problem))
    return rows, flaws


def _problem(row: Any, kind: Kind | None) -> str | None:
    """Why a JSON value is not a row of this kind, or None."""
    if not isinstance(row, dict):
        return "not a JSON object"
    if kind == "opening":
        return None
    timestamp = row.get("_ts")
    if not isinstance(timestamp, (int, float)) or isinstance(timestamp, bool):
        return "it has no time in _ts"
    if not -LARGEST_TIME <= timestamp <= LARGEST_TIME:
        return "its time in _ts is not a number of seconds"
    return None if kind is None else _form_problem(row, kind)


def read_tail(path: str, count: int, kind: Kind | None = None) -> tuple[list[Row], list[Flaw]]:
    """The last rows of a file; only its end is read, unless that has damaged lines."""
    with open_rows(path) as stream:
        stream.seek(last_lines(stream, count + 1, chunk=BLOCK))  # the last one may be incomplete
        data = read_whole(stream, path)
    end = data.rfind(b"\n") + 1
    lines = data[:end].split(b"\n")[:-1]
    rows, flaws = parse(b"".join(line + b"\n" for line in lines[max(0, len(lines) - count) :]), path, kind)
    if flaws:
        rows, all_flaws = read(path, kind)  # its lines are numbered from the start
        return rows[max(0, len(rows) - count) :], all_flaws
    return rows, _incomplete(data, end, path)


def series(
    folder: str,
    *,
    openings: Collection[str] | None = None,
    tail: int | None = None,
    kind: Kind | None = None,
) -> tuple[list[Row], list[Flaw]]:
    """The rows of a folder as one series, or the last ones, and the lines that were skipped.

    Generations are in order, regardless of the clocks of their machines. Within a generation, writers are
    merged by time, and the rows of each writer keep their order even if its clock was set back.

    Args:
        folder: of the rows, one file for each writer.
        openings: only rows of these.
        tail: only so many of the last rows.
        kind: of the rows; it decides the forms of their fields, which are checked.

    Raises:
        LedgerDamagedError: a file cannot be read.
    """
    generations: dict[int, list[RowSource]] = {}
    for source in sources(folder, openings):
        generations.setdefault(source.generation, []).append(source)
    parts: list[list[Row]] = []
    skipped: list[Flaw] = []
    remaining = tail
    for generation in sorted(generations, reverse=True):
        if remaining is not None and remaining <= 0:
            break
        by_writer = []
        for source in generations[generation]:
            rows, flaws = (
                read(source.path, kind) if remaining is None else read_tail(source.path, remaining, kind)
            )
            by_writer.append(rows)
            skipped += flaws
        merged = merge(by_writer)
        if remaining is not None:
            merged = merged[-remaining:]
            remaining -= len(merged)
        parts.append(merged)
    return [row for part in reversed(parts) for row in part] if len(parts) != 1 else parts[0], skipped


def merge(by_writer: list[list[Row]]) -> list[Row]:
    """Merge the rows of concurrent writers by time; the rows of each writer keep their order."""
    by_writer = [rows for rows in by_writer if rows]
    if len(by_writer) <= 1:
        return by_writer[0] if by_writer else []
    timed = [pair for rows in by_writer for pair in _timed(rows)]
    timed.sort(key=itemgetter(0))
    return [row for _, row in timed]


def _timed(rows: list[Row]) -> Iterator[tuple[float, Row]]:
    """Each row with the latest time up to it: sorting by that time keeps the order of the rows."""
    latest = float("-inf")
    for row in rows:
        timestamp = row.get("_ts")
        if isinstance(timestamp, (int, float)) and timestamp > latest:
            latest = timestamp
        yield latest, row
