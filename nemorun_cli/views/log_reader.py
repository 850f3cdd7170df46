"""Reads the logs of tasks (standard output and error) line by line, once or while they grow."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import NotFoundError
from nemorun_cli.model.masking import mask
from nemorun_cli.system.file_end import last_lines
from nemorun_cli.system.files import is_regular, open_to_read

if TYPE_CHECKING:
    import re
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState, TaskState
    from nemorun_cli.views.snapshot import Snapshot

LOGS_FORMAT: Final = "exp.logs/1"
CHUNK: Final = 1 << 18  # bytes read at a time
LONGEST: Final = 1 << 20  # bytes of an incomplete line that are buffered


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a log, without its newline; `offset` is the byte of the file where it begins."""

    task: str
    attempt: int
    offset: int
    text: str

    def to_json(self) -> dict[str, Any]:
        """One document `exp.logs/1`."""
        return {
            "schema": LOGS_FORMAT,
            "task": self.task,
            "attempt": self.attempt,
            "offset": self.offset,
            "text": self.text,
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
    """

    files: ExperimentFiles
    tasks: Sequence[str]
    attempt: int | None = None
    secrets: Collection[str] = ()
    pattern: re.Pattern[str] | None = None
    last: int | None = None
    _cursors: dict[str, _Cursor] = field(default_factory=dict)

    def read(self, history: ExperimentState) -> Iterator[LogLine]:
        """The lines since the last call; an incomplete last line is included once its attempt is finished."""
        for task in self.tasks:
            state = history.tasks[task]
            cursor = self._cursors.get(task)
            if cursor is None:
                if (cursor := self._begin(task, state)) is None:
                    continue
                yield from self._first(cursor, is_over=self._is_over(cursor, state))
            else:
                yield from self._filtered(cursor.read(is_over=self._is_over(cursor, state)))
            while self.attempt is None and cursor.attempt < state.attempt:
                following = self.files.attempt(task, cursor.attempt + 1)
                if not is_regular(following.log):
                    break
                cursor = self._open(task, cursor.attempt + 1, following)
                yield from self._filtered(cursor.read(is_over=self._is_over(cursor, state)))

    def skip(self, history: ExperimentState) -> None:
        """Skip all existing lines."""
        for task in self.tasks:
            if cursor := self._begin(task, history.tasks[task]):
                cursor.go_to(cursor.path.stat().st_size)

    def _begin(self, task: str, state: TaskState) -> _Cursor | None:
        number = self.attempt or latest_attempt(self.files, task, state)
        if number is None:
            return None
        attempt_files = self.files.attempt(task, number)
        return self._open(task, number, attempt_files) if is_regular(attempt_files.log) else None

    def _open(self, task: str, number: int, attempt_files: AttemptFiles) -> _Cursor:
        cursor = self._cursors[task] = _Cursor(task, number, attempt_files.log)
        return cursor

    def _first(self, cursor: _Cursor, *, is_over: bool) -> Iterable[LogLine]:
        if self.last is None:
            return self._filtered(cursor.read(is_over=is_over))
        if self.pattern is None:
            with open_to_read(cursor.path) as stream:
                cursor.go_to(last_lines(stream, self.last))
            return self._filtered(cursor.read(is_over=is_over))
        return deque(self._filtered(cursor.read(is_over=is_over)), maxlen=self.last)

    def _filtered(self, lines: Iterable[LogLine]) -> Iterator[LogLine]:
        for line in lines:
            if self.secrets:
                line = LogLine(  # noqa: PLW2901 - the same line, masked
                    task=line.task,
                    attempt=line.attempt,
                    offset=line.offset,
                    text=mask(line.text, self.secrets),
                )
            if self.pattern is None or self.pattern.search(line.text):
                yield line

    @staticmethod
    def _is_over(cursor: _Cursor, state: TaskState) -> bool:
        return state.is_over or cursor.attempt < state.attempt


@dataclass(slots=True)
class _Cursor:
    """The read position in one log."""

    task: str
    attempt: int
    path: Path
    _offset: int = 0  # where the next read begins
    _rest: bytes = b""  # read, but not yet a complete line
    _is_done: bool = False

    def go_to(self, offset: int) -> None:
        """Continue at this byte."""
        self._offset = offset

    def read(self, *, is_over: bool) -> Iterator[LogLine]:
        """The lines since the last call; `is_over` includes an incomplete last line and ends the reading."""
        if self._is_done:
            return
        with open_to_read(self.path) as stream:
            stream.seek(self._offset)
            while data := stream.read(CHUNK):
                self._offset += len(data)
                yield from self._split(data)
        if is_over:
            self._is_done = True
            if self._rest:
                rest, self._rest = self._rest, b""
                yield self._line(rest, self._offset - len(rest))

    def _split(self, data: bytes) -> Iterator[LogLine]:
        data = self._rest + data
        begin = self._offset - len(data)
        *complete, self._rest = data.split(b"\n")
        for line in complete:
            yield self._line(line, begin)
            begin += len(line) + 1
        if len(self._rest) > LONGEST:
            rest, self._rest = self._rest, b""
            yield self._line(rest, begin)

    def _line(self, data: bytes, offset: int) -> LogLine:
        return LogLine(
            task=self.task, attempt=self.attempt, offset=offset, text=data.decode("utf-8", errors="replace")
        )


def latest_attempt(files: ExperimentFiles, task: str, state: TaskState) -> int | None:
    """The number of the latest attempt that has a log, or None."""
    for number in (state.attempt, state.attempt - 1):
        if number > 0 and files.attempt(task, number).log.exists():
            return number
    return None


def demand(snapshot: Snapshot, task: str, *, attempt: int | None) -> None:
    """Check that a task has a log to show.

    Raises:
        NotFoundError: the task, or this attempt, has not started; the message contains the reason.
    """
    state = snapshot.history.tasks[task]
    number = attempt or latest_attempt(snapshot.files, task, state)
    if number is not None and (log := snapshot.files.attempt(task, number).log).exists():
        if not is_regular(log):
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
