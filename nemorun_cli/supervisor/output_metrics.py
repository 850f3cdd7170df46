"""Reads metrics from a task's output into rows of its record: each line once, even after a crash.

A row contains the byte of the log at which its line begins, so the rows show how far the log was read:
after a crash, reading resumes at the last line that has rows and repeats none of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.system.files import open_to_read
from nemorun_cli.system.regex_timeout import SlowPatterns, TooSlowError, Watchdog
from nemorun_cli.tracking.store import json_values, row_files, row_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.metric_patterns import Fields, Finder
    from nemorun_cli.tracking.store.presence import Presence
    from nemorun_cli.tracking.store.record_paths import Place

AT: Final = "_at"  # the field with the byte of the log at which the line begins
CHUNK: Final = 1 << 16  # bytes read at a time
SEARCHED_AGAIN: Final = 1 << 16  # bytes of the log in which a text that is no number is looked for
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
        report: called with a message if a pattern is dropped, because it is too slow.
        presence: the file of the opening; without it, rows are written wherever it is.
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
        presence: Presence | None = None,
        slow: SlowPatterns | None = None,
    ) -> None:
        self._log, self._inside, self._presence = log, inside, presence
        self._report = report
        self._slow = slow or SlowPatterns()
        self._finders = [
            (place.metric(name), pattern, metric_patterns.finder(pattern))
            for name, patterns in wanted.items()
            for pattern in patterns
        ]
        self._series = {place.metric(name): name for name in wanted}
        self._slow_ones: list[tuple[str, str]] = []
        self._writer = row_writer.Writer()
        self._name = f"{opening}.{os.getpid()}-{os.urandom(4).hex()}"  # of the files of this process
        self._written = {folder: written(folder, opening) for folder, _, _ in self._finders}
        self._unmatched = {
            (folder, pattern)
            for folder, pattern, _ in self._finders
            if not (self._written[folder][1] and len(wanted[self._series[folder]]) == 1)
        }
        self._offset = max((at for at, _ in self._written.values()), default=0)
        self._begun = self._offset  # what was before is known only by its rows
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
            StateError: the folder of the record was moved or removed.
        """
        try:
            if os.stat(self._log).st_size <= self._offset and not (is_over and self._rest):  # noqa: PTH116 - called each second
                return True
            self._drop_slow()
            with self._open() as stream, self._watchdog:
                stream.seek(self._offset)
                self._writer.open(self._name, self._presence)
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
                self._drop(entry, "is too slow")

    def _drop(self, entry: tuple[str, str, Finder], why: str) -> None:
        self._finders.remove(entry)
        self._slow_ones.append(entry[:2])
        self._report(f"the pattern {entry[1]!r} {why}: dropped")

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
                self._drop(entry, f"needs {excess}")
            if matches:
                self._unmatched.discard((folder, pattern))
            for fields in matches:
                self._append(folder, fields, start)

    def unmatched(self, *, until: float) -> list[dict[str, Any]]:
        """The patterns that gave no row, and those given up, for the field `unmatched` of the event `ended`.

        If there are some, the log is read again: up to where this process began to read it, since only a
        row shows what matched before, and its beginning for texts that are no numbers (`loss=0,5`).

        Args:
            until: the monotonic time at which to stop; what is not known by then is left out.

        Raises:
            OSError: the log cannot be read.
        """
        given_up = dict.fromkeys(self._slow_ones)
        entries = [self._entry(key, "slow") for key in given_up]
        tried = [entry for entry in self._finders if entry[:2] in self._unmatched]
        texts: dict[tuple[str, str], int] = {}
        if not tried:
            return entries
        with contextlib.suppress(FileNotFoundError), self._open() as stream, self._watchdog:
            for start, line in _lines(stream, max(self._begun, SEARCHED_AGAIN)):
                if time.monotonic() > until:
                    tried = [] if start < self._begun else tried
                    break
                tried = self._tried(tried, texts, line, start)
        never = [self._entry(key, "never") for *key, _ in tried if tuple(key) not in texts]
        return [*entries, *never, *(self._entry(key, "text", at) for key, at in texts.items())]

    def _tried(
        self,
        tried: list[tuple[str, str, Finder]],
        texts: dict[tuple[str, str], int],
        line: bytes,
        start: int,
    ) -> list[tuple[str, str, Finder]]:
        """The patterns that give no number for a line either; notes those that match a text in it."""
        text = metric_patterns.plain(line[:LONGEST].decode("utf-8", errors="replace"))
        kept = []
        for folder, pattern, find in tried:
            key = (folder, pattern)
            with contextlib.suppress(TooSlowError), self._watchdog.watching():
                if start < self._begun and next(find(text), None) is not None:
                    texts.pop(key, None)
                    continue
                if key not in texts and metric_patterns.is_text(pattern, text):
                    texts[key] = start
            kept.append((folder, pattern, find))
        return kept

    def _entry(self, key: Sequence[str], reason: str, at: int = 0) -> dict[str, Any]:
        folder, pattern = key
        return {"series": self._series[folder], "pattern": pattern, "reason": reason, "at": at}

    def _append(self, folder: str, fields: Fields, start: int) -> None:
        """Write a row, unless it was already written before a crash."""
        at, count = self._written[folder]
        if start == at and count:
            self._written[folder] = (at, count - 1)
        else:
            self._writer.append(folder, json_values.encode_row(time.time(), {**fields, AT: start}))


def _lines(stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a log up to a byte, each with its first byte; of a long one only the beginning."""
    at, is_rest = 0, False
    while at < limit and (data := stream.readline(LONGEST + 1)):
        start, at = at, at + len(data)
        for line in () if is_rest else data.replace(b"\r", b"\n").split(b"\n"):
            if line:
                yield start, line
            start += len(line) + 1
        is_rest = not data.endswith((b"\n", b"\r")) and b"\r" not in data


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
