"""How an experiment is shown while it runs: live on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from nemorun_cli.cli import status_text, terminal
from nemorun_cli.cli.tables import STYLES
from nemorun_cli.model import wording
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views import sweeps
from nemorun_cli.views.transitions import Changes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from types import TracebackType

    from nemorun_cli.storage.ledger import Event
    from nemorun_cli.views.log_reader import Line
    from nemorun_cli.views.snapshot import Snapshot

MARKS: Final = {"SUCCEEDED": "✓", "FAILED": "✗", "CANCELLED": "■", "SKIPPED": "-"}
ROWS_BESIDES: Final = 6  # of the terminal's height, not used for running tasks
FEWEST_ROWS: Final = 3
REFRESHES: Final = 8  # of a live display, a second


class Display(Protocol):
    """What is told while an experiment runs: on standard error, except logs."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Take note of how things stand, and of the events that led there."""
        ...

    def log(self, line: Line) -> None:
        """Show a line that a task wrote."""
        ...

    def note(self, text: str) -> None:
        """Say something."""
        ...


def choose(
    *, quiet: bool, write_log: Callable[[str], None], shares_terminal: bool, secrets: Collection[str]
) -> Display:
    """The display that fits where standard error goes.

    Args:
        quiet: say nothing but logs.
        write_log: where lines of logs go.
        shares_terminal: whether that is the terminal on which the live display is drawn.
        secrets: values that are hidden in what logs say.
    """
    if quiet:
        return Silence(write_log)
    if terminal.can_draw(sys.stderr):
        return LiveDisplay(None if shares_terminal else write_log, secrets=secrets)
    return Lines(write_log, secrets=secrets)


class Silence:
    """Only the logs."""

    def __init__(self, write_log: Callable[[str], None]) -> None:
        self._write_log = write_log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Nothing is told."""

    def log(self, line: Line) -> None:
        """The line, led by its task."""
        self._write_log(led(line))

    def note(self, text: str) -> None:
        """Nothing is told."""


class Lines(Silence):
    """One line for each change."""

    def __init__(self, write_log: Callable[[str], None], *, secrets: Collection[str]) -> None:
        super().__init__(write_log)
        self._changes = Changes(secrets=secrets)

    def update(self, snapshot: Snapshot, news: Sequence[Event]) -> None:
        """Tell each task that stands otherwise than before."""
        for change in self._changes.tell(snapshot, news):
            terminal.say(change.text)
            for line in change.lines:
                terminal.say(f"  | {line}")

    def note(self, text: str) -> None:
        """Said at once."""
        terminal.warn(text)


class LiveDisplay:
    """What runs, for how long, and how many are over, redrawn by rich; what ended stays above it."""

    def __init__(self, write_log: Callable[[str], None] | None, *, secrets: Collection[str]) -> None:
        # rich takes longer to import than an experiment to start; here it has started already.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        self._write_log = write_log
        self._console = Console(stderr=True)
        self._changes = Changes(secrets=secrets)
        self._snapshot: Snapshot | None = None
        self._live = Live(
            console=self._console,
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
        """Redraw, and leave a line for each task that ended."""
        self._snapshot = snapshot
        for change in self._changes.tell(snapshot, news):
            if change.status in MARKS:
                self._print(f"{MARKS[change.status]} {change.text}", STYLES[change.status])
                for line in change.lines:
                    self._print(f"  | {line}", "dim")

    def log(self, line: Line) -> None:
        """The line, led by its task, above what is drawn."""
        if self._write_log is not None:
            self._write_log(led(line))
            return
        from rich.text import Text  # noqa: PLC0415 - loaded by now

        shown = Text(f"{line.task} | ", style="dim")
        self._console.print(shown + Text.from_ansi(line.text), soft_wrap=True)

    def note(self, text: str) -> None:
        """Said above what is drawn."""
        self._print(f"{terminal.PROGRAM}: {text}", "bold")

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text  # noqa: PLC0415 - loaded by now

        self._console.print(Text(text, style=style), soft_wrap=True)

    def _draw(self) -> Any:
        from rich.table import Table  # noqa: PLC0415 - loaded by now
        from rich.text import Text  # noqa: PLC0415 - the same

        grid = Table.grid(padding=(0, 2))
        snapshot = self._snapshot
        if snapshot is None:
            return grid
        history = snapshot.history
        most = max(FEWEST_ROWS, self._console.size.height - ROWS_BESIDES)
        running = [task for task in snapshot.spec.tasks if history.tasks[task.id].is_live]
        for task in running[:most]:
            state = history.tasks[task.id]
            lasting = status_text.running_for(state, time.time())
            tries = f"attempt {state.attempt}" if state.attempt > 1 else ""
            grid.add_row(
                Text("▸ " + task.id, style=STYLES[state.status]), lasting, state.status, task.executor, tries
            )
        if len(running) > most:
            grid.add_row(Text(f"… and {len(running) - most} more", style="dim"))
        for group in sweeps.of(snapshot.spec):
            grid.add_row(Text(self._changes.line(snapshot, group), style="bold"))
        over = sum(history.counts[status] for status in MARKS_OF)
        line = f"{over} of {len(history.tasks)} over · {wording.counts(history.counts)}"
        outer = Table.grid()
        outer.add_row(grid)
        outer.add_row(Text(f"{line} · {status_text.elapsed(snapshot)}", style="bold"))
        return outer


MARKS_OF: Final = tuple(TaskStatus(name) for name in MARKS)


def led(line: Line) -> str:
    """A line of a log, led by its task."""
    return f"{line.task} | {line.text}\n"
