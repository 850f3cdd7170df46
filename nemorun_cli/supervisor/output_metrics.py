"""Numbers read from the output of a task: each line once, whatever crashes, as rows of the task's record.

A row carries the byte of the log at which its line begins, so that the rows themselves say how far the log
was read: whoever goes on after a crash begins with the last line that has rows and repeats none of them.
"""

from __future__ import annotations

import os
import time
from typing import IO, TYPE_CHECKING, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.system.regex_timeout import PATIENCE, TooSlowError, Watchdog
from nemorun_cli.tracking.store import json_values, row_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.model.metric_patterns import Fields
    from nemorun_cli.tracking.store.record_paths import Place

AT: Final = "_at"  # the field that says where in the log the line begins
CHUNK: Final = 1 << 16  # bytes read at a time
LONGEST: Final = 1 << 14  # bytes of a line that are looked at


class OutputMetrics:
    """How far the output of one attempt was read.

    Args:
        log: the file that the attempt writes.
        place: the task's record.
        opening: under which opening rows are written.
        wanted: by series, its patterns.
        tell: where to say that a pattern was given up.
    """

    def __init__(
        self,
        log: str,
        *,
        place: Place,
        opening: str,
        wanted: Mapping[str, Sequence[str]],
        tell: Callable[[str], None],
    ) -> None:
        self._log = log
        self._tell = tell
        self._finders = [
            (place.metric(name), pattern, metric_patterns.finder(pattern))
            for name, several in wanted.items()
            for pattern in several
        ]
        self._writer = row_files.Writer()
        self._name = f"{opening}.{os.getpid()}-{os.urandom(4).hex()}"  # of files of this process's own
        self._written = {folder: _written(folder, opening) for folder, _, _ in self._finders}
        self._offset = max((at for at, _ in self._written.values()), default=0)
        self._begins = self._offset  # where the line begins whose end was not seen yet
        self._rest = b""
        self._is_skipping = False  # the rest of a line that is too long
        self._watchdog = Watchdog()

    def read(self, *, is_over: bool, until: float) -> bool:
        """Take what was written since the last call; says whether that is all there is by now.

        Args:
            is_over: nothing more will be written, so that a last line without its end counts.
            until: the monotonic time at which to stop for now.

        Raises:
            OSError: the log cannot be read, or a row not be written.
        """
        try:
            if os.stat(self._log).st_size <= self._offset and not (is_over and self._rest):  # noqa: PTH116 - asked each second
                return True
            with open(self._log, "rb") as stream, self._watchdog:  # noqa: PTH123 - the same
                stream.seek(self._offset)
                self._writer.open(self._name)
                return self._take(stream, is_over=is_over, until=until)
        except FileNotFoundError:
            return True
        finally:
            self._writer.close()

    def _take(self, stream: IO[bytes], *, is_over: bool, until: float) -> bool:
        while data := stream.read(CHUNK):
            self._offset += len(data)
            self._split(data)
            if time.monotonic() > until:
                return False
        if is_over and self._rest:
            rest, self._rest = self._rest, b""
            self._line(rest, self._begins)
        return True

    def _split(self, data: bytes) -> None:
        """Take the lines; a carriage return ends one too, for that is how progress bars write."""
        begins = self._begins
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if line and not self._is_skipping:
                self._line(line, begins)
            self._is_skipping = False
            begins += len(line) + 1
        if self._is_skipping or len(rest) > LONGEST:
            if not self._is_skipping:
                self._line(rest, begins)
            self._is_skipping = True
            begins += len(rest)
            rest = b""
        self._begins, self._rest = begins, rest

    def _line(self, data: bytes, begins: int) -> None:
        text = metric_patterns.plain(data[:LONGEST].decode("utf-8", errors="replace"))
        for entry in self._finders.copy():
            folder, pattern, find = entry
            try:
                with self._watchdog.watching():
                    found = list(find(text))
            except TooSlowError:
                self._finders.remove(entry)
                self._tell(f"the pattern {pattern!r} needs more than {PATIENCE:g} s for a line: given up")
                continue
            for fields in found:
                self._append(folder, fields, begins)

    def _append(self, folder: str, fields: Fields, begins: int) -> None:
        """Write a row, unless it is one of those that were found to be written already."""
        at, count = self._written[folder]
        if begins == at and count:
            self._written[folder] = (at, count - 1)
        else:
            self._writer.append(folder, json_values.encode_row(time.time(), {**fields, AT: begins}))


def _written(folder: str, opening: str) -> tuple[int, int]:
    """The line that the last rows of a series are of, and how many these are."""
    places = [
        row[AT]
        for source in row_files.sources(folder, {opening})
        for row in row_files.read(source.path)[0]
        if isinstance(row.get(AT), int)
    ]
    last = max(places, default=0)
    return last, places.count(last)
