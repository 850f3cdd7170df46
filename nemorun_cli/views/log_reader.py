"""Reads the logs of tasks (standard output and error) line by line, once or while they grow."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import NotFoundError
from nemorun_cli.model import masking
from nemorun_cli.model.spec import task_named
from nemorun_cli.system.file_end import last_lines
from nemorun_cli.system.files import RefusedFileError
from nemorun_cli.views.line_filter import line_filter

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState, TaskState
    from nemorun_cli.views.snapshot import Snapshot

LOGS_FORMAT: Final = "exp.logs/1"
CHUNK: Final = 1 << 18  # bytes read at a time
LONGEST: Final = 1 << 20  # bytes of an incomplete line that are buffered


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a log, without its newline; `offset` is the byte of the file where it begins.

    Bytes that are no UTF-8 are surrogates in `text`, so that they can be written again (`surrogateescape`).
    A line that is longer than LONGEST comes in parts, of which each but the last `is_unfinished`.
    """

    task: str
    attempt: int
    offset: int
    text: str
    is_unfinished: bool = False

    def to_json(self) -> dict[str, Any]:
        """One document `exp.logs/1`."""
        return {
            "schema": LOGS_FORMAT,
            "task": self.task,
            "attempt": self.attempt,
            "offset": self.offset,
            "text": self.text if self.text.isascii() else _valid(self.text),
        }


@dataclass(slots=True)
class LogFeed:
    """The log lines of the given tasks, each returned once; later attempts of a task follow earlier ones.

    Args:
        files: the paths of the experiment.
        tasks: the ids of the tasks, in the order in which they are read.
        attempt: only this attempt; None starts with the latest attempt of each task at the first read.
        secrets: values to mask.
        pattern: only lines that match it.
        last: at the first read, only this many last lines of each task.
        completes: whether a last line without a newline counts as one with it.
        is_error: whether the standard error of tasks that have it apart is read, instead of their logs.
    """

    files: ExperimentFiles
    tasks: Sequence[str]
    attempt: int | None = None
    secrets: Collection[str] = ()
    pattern: re.Pattern[str] | None = None
    last: int | None = None
    completes: bool = True
    is_error: bool = False
    _cursors: dict[str, _Cursor] = field(default_factory=dict)

    def read(self, history: ExperimentState) -> Iterator[LogLine]:
        """The lines since the last call; an incomplete last line is included once its attempt is finished."""
        for cursor, is_first in self._logs(history):
            lines = self._filtered(cursor.read(is_over=self._is_over(cursor, history)))
            if is_first and self.last is not None:
                yield from deque(lines, maxlen=self.last)
            else:
                yield from lines

    def read_text(self, history: ExperimentState) -> Iterator[tuple[str, str]]:
        """The same lines many at a time, each with its newline, and their task; several times as fast."""
        hidden = masking.forms_in_line(self.secrets)
        matching = line_filter(self.pattern)
        for cursor, is_first in self._logs(history):
            texts: Iterator[str] = (
                matching(masking.hide(text, hidden) if hidden else text).removesuffix(
                    "\n" if is_unfinished else ""
                )
                for text, is_unfinished in cursor.texts(is_over=self._is_over(cursor, history))
            )
            if is_first and self.last is not None:
                texts = iter(["".join(deque((line for text in texts for line in _lines(text)), self.last))])
            yield from ((cursor.task, text) for text in texts if text)

    def _logs(self, history: ExperimentState) -> Iterator[tuple[_Cursor, bool]]:
        """The logs to read now, each once the former is read, and whether it is the first log of its task."""
        for task in self.tasks:
            state = history.tasks[task]
            cursor, is_first = self._cursors.get(task), False
            if cursor is None:
                cursor, is_first = self._begin(task, state), True
                if cursor is None:
                    continue
                self._skip_to_last(cursor)
            yield cursor, is_first
            while self.attempt is None and cursor.attempt < state.attempt:
                following = self.files.attempt(task, cursor.attempt + 1)
                if not _is_readable(following, is_error=self.is_error):
                    break
                cursor = self._open(task, cursor.attempt + 1, following)
                yield cursor, False

    def skip(self, history: ExperimentState) -> None:
        """Skip all existing lines."""
        for task in self.tasks:
            if cursor := self._begin(task, history.tasks[task]):
                cursor.skip()

    def _begin(self, task: str, state: TaskState) -> _Cursor | None:
        number = self.attempt or latest_attempt(self.files, task, state, is_error=self.is_error)
        if number is None:
            return None
        attempt_files = self.files.attempt(task, number)
        is_readable = _is_readable(attempt_files, is_error=self.is_error)
        return self._open(task, number, attempt_files) if is_readable else None

    def _open(self, task: str, number: int, attempt_files: AttemptFiles) -> _Cursor:
        hidden = masking.forms_in_line(self.secrets)
        cursor = self._cursors[task] = _Cursor(
            task,
            number,
            attempt_files,
            _path(attempt_files, is_error=self.is_error),
            are_lines=self.pattern is not None,
            completes=self.completes,
            whole=tuple(form.encode(errors="surrogateescape") for form in hidden),
        )
        return cursor

    def _skip_to_last(self, cursor: _Cursor) -> None:
        """Skip what precedes the last lines, if it is known which these are without reading the log."""
        if self.last is not None and self.pattern is None:
            with cursor.open() as stream:
                cursor.go_to(last_lines(stream, self.last))

    def _filtered(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        for line in lines:
            if self.secrets:
                line = LogLine(  # noqa: PLW2901 - the same line, masked
                    task=line.task,
                    attempt=line.attempt,
                    offset=line.offset,
                    text=masking.mask(line.text, self.secrets),
                    is_unfinished=line.is_unfinished,
                )
            if self.pattern is None or self.pattern.search(line.text):
                yield line

    @staticmethod
    def _is_over(cursor: _Cursor, history: ExperimentState) -> bool:
        state = history.tasks[cursor.task]
        return state.is_over or cursor.attempt < state.attempt


@dataclass(slots=True)
class _Cursor:
    """The read position in one log."""

    task: str
    attempt: int
    files: AttemptFiles
    path: Path
    are_lines: bool  # whether each part of a very long line counts as a line, as for a search
    completes: bool
    whole: Sequence[bytes]  # texts that no part of a long line ends within
    _offset: int = 0  # where the next read begins
    _rest: bytes = b""  # read, but not yet a complete line
    _is_done: bool = False

    def open(self) -> BinaryIO:
        """The log as a stream."""
        return self.files.open(self.path)

    def go_to(self, offset: int) -> None:
        """Continue at this byte."""
        self._offset = offset

    def skip(self) -> None:
        """Continue at the present end of the log."""
        self.go_to(self.path.lstat().st_size)

    def read(self, *, is_over: bool) -> Iterator[LogLine]:
        """The lines since the last call; `is_over` includes an incomplete last line and ends the reading."""
        for begin, data, is_unfinished in self._blocks(is_over=is_over):
            offset = begin
            for line in data.split(b"\n"):
                text = line.decode("utf-8", errors="surrogateescape")
                yield LogLine(
                    task=self.task,
                    attempt=self.attempt,
                    offset=offset,
                    text=text,
                    is_unfinished=is_unfinished,
                )
                offset += len(line) + 1

    def texts(self, *, is_over: bool) -> Iterator[tuple[str, bool]]:
        """The same lines as texts of several, separated by newlines, and whether the last is unfinished."""
        for _, data, is_unfinished in self._blocks(is_over=is_over):
            yield data.decode("utf-8", errors="surrogateescape"), is_unfinished

    def _blocks(self, *, is_over: bool) -> Iterator[tuple[int, bytes, bool]]:
        """Lines without the last newline, the byte where they begin, and whether there is no such newline."""
        if self._is_done:
            return
        with self.open() as stream:
            stream.seek(self._offset)
            while data := stream.read(CHUNK):
                self._offset += len(data)
                yield from self._complete(self._rest + data if self._rest else data)
        if is_over:
            self._is_done = True
            if self._rest:
                rest, self._rest = self._rest, b""
                yield self._offset - len(rest), rest, not (self.completes or self.are_lines)

    def _complete(self, data: bytes) -> Iterator[tuple[int, bytes, bool]]:
        begin, end = self._offset - len(data), data.rfind(b"\n")
        self._rest = data[end + 1 :]
        if end >= 0:
            yield begin, data[:end], False
        longest = max(map(len, self.whole), default=0)
        if len(self._rest) > LONGEST + longest:
            begin, cut = self._offset - len(self._rest), _division(self._rest, self.whole, longest)
            part, self._rest = self._rest[:cut], self._rest[cut:]
            yield begin, part, not self.are_lines


def _division(data: bytes, whole: Sequence[bytes], longest: int) -> int:
    """Where to divide the data, near its end, so that none of these texts and no character is divided."""
    cut = _whole_characters(data[: len(data) - longest] if longest else data)
    while True:
        around = (data.rfind(text, max(0, cut - len(text) + 1), cut + len(text) - 1) for text in whole)
        first = min((start for start in around if start >= 0), default=cut)
        if not 0 < first < cut:
            return cut
        cut = first


def _whole_characters(data: bytes) -> int:
    """The number of bytes without a character of UTF-8 that is incomplete at the end."""
    for back in range(1, 4):
        lead = data[-back]
        if lead >= 0xC0:  # noqa: PLR2004 - the first byte of a character of several
            return len(data) - (back if back < 2 + (lead >= 0xE0) + (lead >= 0xF0) else 0)  # noqa: PLR2004
        if lead < 0x80:  # noqa: PLR2004 - ASCII
            break
    return len(data)


def _valid(text: str) -> str:
    """The text with U+FFFD for bytes that are no UTF-8."""
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, each with its newline; of the last one also a part without it."""
    *lines, rest = text.split("\n")
    yield from (f"{line}\n" for line in lines)
    if rest:
        yield rest


def _path(files: AttemptFiles, *, is_error: bool) -> Path:
    return files.stderr if is_error else files.log


def _is_readable(files: AttemptFiles, *, is_error: bool) -> bool:
    """Whether an attempt has a log that is a file of its own."""
    try:
        files.open(_path(files, is_error=is_error)).close()
    except (FileNotFoundError, NotADirectoryError, RefusedFileError):
        return False
    except OSError:  # the read reports it
        return True
    return True


def latest_attempt(
    files: ExperimentFiles, task: str, state: TaskState, *, is_error: bool = False
) -> int | None:
    """The number of the latest attempt that has a log, or None."""
    for number in (state.attempt, state.attempt - 1):
        if number > 0 and os.path.lexists(_path(files.attempt(task, number), is_error=is_error)):
            return number
    return None


NOT_SHIPPED: Final = "not shipped (tracking.logs)"


def are_shipped(snapshot: Snapshot) -> bool:
    """Whether the logs of the tasks are here: a server gets them only if the spec says so."""
    return not snapshot.is_replica or snapshot.spec.tracking.get("logs") is True


def demand_shipped(snapshot: Snapshot, tasks: Iterable[str]) -> None:
    """Check that a server's copy of an experiment has the logs of tasks.

    Raises:
        NotFoundError: none was shipped.
    """
    states = snapshot.history.tasks
    if are_shipped(snapshot) or any(latest_attempt(snapshot.files, name, states[name]) for name in tasks):
        return
    raise NotFoundError(
        f"the logs of {snapshot.files.id} are {NOT_SHIPPED}",
        hint="read them where it runs; tracking: {logs: true} in a spec ships them",
    )


def demand(snapshot: Snapshot, task: str, *, attempt: int | None, is_error: bool = False) -> None:
    """Check that a task has a log to show.

    Raises:
        NotFoundError: the task, or this attempt, has not started; the message contains the reason.
    """
    state = snapshot.history.tasks[task]
    if is_error and task_named(snapshot.tasks, task).stderr_to_stdout:
        raise NotFoundError(
            f"the standard error of {task} is in its log", hint="stderr_to_stdout: false writes it to a file"
        )
    number = attempt or latest_attempt(snapshot.files, task, state, is_error=is_error)
    own = None if number is None else snapshot.files.attempt(task, number)
    if own is not None and os.path.lexists(log := _path(own, is_error=is_error)):
        if not _is_readable(own, is_error=is_error):
            raise NotFoundError(
                f"the log of attempt {number} of {task} is not a regular file any more: {log}",
                hint="the task, or something else that can write there, has replaced it",
            )
        return
    if attempt is not None:
        raise NotFoundError(
            f"{snapshot.files.id} has no log of attempt {attempt} of {task}",
            hint=f"its current attempt is {state.attempt}",
        )
    raise NotFoundError(
        f"{task} is {state.status} and has no log",
        hint=f"see why with: exp why {snapshot.files.id} {task}"
        if state.is_over
        else f"wait for it with: exp logs {snapshot.files.id} {task} -f",
    )
