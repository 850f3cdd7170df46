"""Shows an experiment while it runs: live on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from nemorun_cli.cli import terminal, wrapping
from nemorun_cli.cli.live_frame import MARKS, Frame
from nemorun_cli.cli.table_layout import STYLES
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.storage.events import ENVIRONMENT_STARTED
from nemorun_cli.views.transitions import Transitions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import TracebackType

    from nemorun_cli.storage.events import Event
    from nemorun_cli.views.log_reader import LogLine
    from nemorun_cli.views.snapshot import Snapshot

ROWS_BESIDES: Final = 6  # rows of the terminal that are not available for running tasks
FEWEST_ROWS: Final = 3
REFRESHES: Final = 8  # of a live display, per second
BUSY: Final = 0.05  # the part of the time that making frames may take


class Display(Protocol):
    """Output while an experiment runs: on standard error, except logs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Show a new snapshot and the events since the last one."""
        ...

    def log(self, line: LogLine) -> None:
        """Show a line of a task's log."""
        ...

    def note(self, text: str) -> None:
        """Show a message."""
        ...


def choose(
    *, quiet: bool, write_log: Callable[[LogLine], None], shares_terminal: bool, secrets: Collection[str]
) -> Display:
    """The display for the kind of standard error: terminal or not.

    Args:
        quiet: show only logs.
        write_log: writes a line of a log.
        shares_terminal: whether `write_log` writes to the terminal on which the live display is drawn.
        secrets: values to hide in excerpts of logs.
    """
    if quiet:
        return LogsOnlyDisplay(write_log)
    if terminal.can_draw(sys.stderr):
        return LiveDisplay(None if shares_terminal else write_log, secrets=secrets)
    return LineDisplay(write_log, secrets=secrets)


class LogsOnlyDisplay:
    """Shows only logs."""

    def __init__(self, write_log: Callable[[LogLine], None]) -> None:
        self._write_log = write_log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Show nothing."""

    def log(self, line: LogLine) -> None:
        """Show the line, prefixed with its task."""
        self._write_log(line)

    def note(self, text: str) -> None:
        """Show nothing."""


class LineDisplay(LogsOnlyDisplay):
    """Shows a line for each change."""

    def __init__(self, write_log: Callable[[LogLine], None], *, secrets: Collection[str]) -> None:
        super().__init__(write_log)
        self._changes = Transitions(secrets=secrets)
        self._shown: set[str] = set()  # lines about Python environments

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Show a line for each task whose status changed, and for what tasks wait for."""
        if any(event["event"] == ENVIRONMENT_STARTED for event in news):
            for text in snapshot.making:
                if text not in self._shown:
                    self._shown.add(text)
                    terminal.say(text)
        for change in self._changes.since(snapshot, news):
            terminal.say(change.text)
            for line in change.lines:
                terminal.say(f"  | {line}")

    def note(self, text: str) -> None:
        """Show the message at once."""
        terminal.warn(text)


class LiveDisplay:
    """Shows running tasks, their durations and the counts, redrawn by rich; finished tasks remain above.

    rich redraws from a thread of its own, whereas the state changes in this one: each picture is drawn from a
    frame, which never changes.
    """

    def __init__(self, write_log: Callable[[LogLine], None] | None, *, secrets: Collection[str]) -> None:
        # rich takes longer to import than an experiment to start; by this time it has started.
        from nemorun_cli.cli import live_text  # noqa: PLC0415

        self._text = live_text
        self._write_log = write_log
        self._console = live_text.console(stderr=True)
        self._changes = Transitions(secrets=secrets)
        self._frame: Frame | None = None
        self._next = 0.0  # the monotonic time at which the next frame is due
        self._live = live_text.live(
            self._console,
            get_renderable=self._draw,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Redraw, and print a line for each task that finished."""
        changes = [change for change in self._changes.since(snapshot, news) if change.status in MARKS]
        begin = time.monotonic()
        if changes or begin >= self._next:  # a line about a task never appears above a frame without its end
            self._frame = Frame.of(snapshot, rows=max(FEWEST_ROWS, self._console.size.height - ROWS_BESIDES))
            took = time.monotonic() - begin
            self._next = begin + max(1 / REFRESHES, took / BUSY)
        if changes:
            self._live.refresh()  # what rich redraws below a printed line is otherwise the last frame
        for change in changes:
            self._print(f"{MARKS[change.status]} {change.text}", STYLES[change.status])
            for line in change.lines:
                self._print(f"  | {line}", "dim")

    def log(self, line: LogLine) -> None:
        """Show the line, prefixed with its task, above the display."""
        if self._write_log is not None:
            self._write_log(line)
            return
        self._text.write(self._console, self._text.log_line(f"{line.task} | ", line.text))

    def note(self, text: str) -> None:
        """Show the message above the display."""
        self._print(f"{terminal.PROGRAM}: {text}", "bold")

    def _print(self, text: str, style: str) -> None:
        for line in wrapping.fitted(escaped(text, kept="\t"), self._console.size.width):
            self._text.write(self._console, self._text.lines([[(line, style)]]))

    def _draw(self) -> Any:
        frame = self._frame
        lines = frame.lines(time.time(), width=self._console.size.width) if frame is not None else []
        return self._text.lines(lines)
