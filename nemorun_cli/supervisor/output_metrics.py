"""Reads metrics from a task's output into rows of its record: each line once, even after a crash.

A row contains the byte of the log at which its line begins, so the rows show how far the log was read:
after a crash, reading resumes at the last line that has rows and repeats none of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import IO, TYPE_CHECKING, BinaryIO, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.system.files import open_to_read
from nemorun_cli.system.regex_timeout import SlowPatterns, TooSlowError, Watchdog
from nemorun_cli.tracking.store import json_values, row_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.metric_patterns import Fields
    from nemorun_cli.tracking.store.record_paths import Place

AT: Final = "_at"  # the field with the byte of the log at which the line begins
CHUNK: Final = 1 << 16  # bytes read at a time
LONGEST: Final = 1 << 14  # bytes of a line that are searched
COUNTED: Final = 2e-5  # seconds that a search takes before its time counts, as that of few lines does


class OutputMetrics:
    """Reads the output of one attempt and keeps the position.

    Args:
        log: the file that the attempt writes; no link is followed.
        inside: the folder of the experiment; of the path below it no part may be a link.
        place: the task's record.
        opening: the session id under which rows are written.
        wanted: the patterns of each series.
        report: called with a message if a pattern is dropped.
        slow: the patterns that this process has dropped.
    """

    def __init__(
        self,
        log: str,
        *,
        place: Place,
        opening: str,
        wanted: Mapping[str, Sequence[str]],
        report: Callable[[str], None],
        inside: Path | None = None,
        slow: SlowPatterns | None = None,
    ) -> None:
        self._log, self._inside = log, inside
        self._report = report
        self._slow = slow or SlowPatterns()
        self._finders = [
            (place.metric(name), pattern, metric_patterns.finder(pattern))
            for name, patterns in wanted.items()
            for pattern in patterns
        ]
        self._writer = row_files.Writer()
        self._name = f"{opening}.{os.getpid()}-{os.urandom(4).hex()}"  # of the files of this process
        self._written = {folder: written(folder, opening) for folder, _, _ in self._finders}
        self._offset = max((at for at, _ in self._written.values()), default=0)
        self._line_start = self._offset  # where the incomplete line begins
        self._rest = b""
        self._is_skipping = False  # skips the rest of a line that is too long
        self._watchdog = Watchdog()

    def read(self, *, is_over: bool, until: float) -> bool:
        """Read what was written since the last call; returns whether the end of the log was reached.

        Args:
            is_over: nothing more will be written, so an incomplete last line counts.
            until: the monotonic time at which to stop.

        Raises:
            OSError: the log cannot be read, or a row cannot be written.
        """
        try:
            if os.stat(self._log).st_size <= self._offset and not (is_over and self._rest):  # noqa: PTH116 - called each second
                return True
            self._drop_slow()
            with self._open() as stream, self._watchdog:
                stream.seek(self._offset)
                self._writer.open(self._name)
                return self._read_stream(stream, is_over=is_over, until=until)
        except FileNotFoundError:
            return True
        finally:
            self._writer.close()

    def _open(self) -> BinaryIO:
        return open_to_read(self._log, follows_link=False, inside=self._inside)

    def _drop_slow(self) -> None:
        """Drop the patterns that were too slow for another output."""
        self._slow.spent.clear()
        for entry in self._finders.copy():
            if entry[1] in self._slow:
                self._finders.remove(entry)
                self._report(f"the pattern {entry[1]!r} is too slow: dropped")

    def _read_stream(self, stream: IO[bytes], *, is_over: bool, until: float) -> bool:
        while data := stream.read(CHUNK):
            self._offset += len(data)
            self._split(data)
            if time.monotonic() > until:
                return False
        if is_over and self._rest:
            rest, self._rest = self._rest, b""
            self._search(rest, self._line_start)
        return True

    def _split(self, data: bytes) -> None:
        """Search the complete lines; a carriage return also ends a line because progress bars use it."""
        start = self._line_start
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if line and not self._is_skipping:
                self._search(line, start)
            self._is_skipping = False
            start += len(line) + 1
        if self._is_skipping or len(rest) > LONGEST:
            if not self._is_skipping:
                self._search(rest, start)
            self._is_skipping = True
            start += len(rest)
            rest = b""
        self._line_start, self._rest = start, rest

    def _search(self, data: bytes, start: int) -> None:
        """Append a row for each match in a line that begins at byte `start` of the log."""
        text = metric_patterns.plain(data[:LONGEST].decode("utf-8", errors="replace"))
        for entry in self._finders.copy():
            folder, pattern, find = entry
            matches: list[Fields] = []
            begun = time.monotonic()
            with contextlib.suppress(TooSlowError), self._watchdog.watching():
                matches = list(find(text))
            seconds = time.monotonic() - begun
            if seconds > COUNTED and (excess := self._slow.spend(pattern, seconds)):
                self._finders.remove(entry)
                self._report(f"the pattern {pattern!r} needs {excess}: dropped")
            for fields in matches:
                self._append(folder, fields, start)

    def _append(self, folder: str, fields: Fields, start: int) -> None:
        """Write a row, unless it was already written before a crash."""
        at, count = self._written[folder]
        if start == at and count:
            self._written[folder] = (at, count - 1)
        else:
            self._writer.append(folder, json_values.encode_row(time.time(), {**fields, AT: start}))


def written(folder: str, opening: str) -> tuple[int, int]:
    """The start of the last line with rows in a series, and the number of its rows."""
    starts = [
        row[AT]
        for source in row_files.sources(folder, {opening})
        for row in row_files.read(source.path)[0]
        if isinstance(row.get(AT), int)
    ]
    last = max(starts, default=0)
    return last, starts.count(last)
