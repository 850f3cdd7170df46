"""`exp status --watch`: the status, updated until the experiment finishes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import status_text, table_layout, terminal, wrapping
from nemorun_cli.cli.status_view import document_of, show
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.views.follow import Watch
from nemorun_cli.views.transitions import Transitions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.cli.table_layout import Line
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.views.snapshot import Snapshot

ROWS_BESIDES: Final = 14  # rows of the terminal that are not available for tasks
ROWS_AROUND: Final = 4  # of these, rows that are not of the header
FEWEST_ROWS: Final = 3


def watch(
    run: Run, names: Sequence[str] | None, *, is_json: bool, quiet: bool, others: bool = False
) -> Snapshot:
    """Show the status until the experiment is no longer running; returns the last snapshot."""
    with Watch(run.files, run.home, others=others) as watching:
        if quiet:
            snapshot = _until_over(watching)
            show(snapshot, names, is_json=is_json, quiet=quiet)
            return snapshot
        if is_json:
            return _documents(watching, names)
        if terminal.can_draw(sys.stdout):
            return _drawing(watching, names)
        return _lines(watching, names)


def _look(watching: Watch) -> Snapshot:
    """The current state; reports a supervisor that does not respond, where no table shows it."""
    snapshot = watching.look()
    if watching.notice:
        terminal.warn(f"{snapshot.files.id}: {watching.notice}")
    return snapshot


def _until_over(watching: Watch) -> Snapshot:
    while (snapshot := _look(watching)).status is ExperimentStatus.RUNNING:
        watching.pause()
    return snapshot


def _documents(watching: Watch, names: Sequence[str] | None) -> Snapshot:
    """Write a document after each change."""
    while True:
        snapshot = _look(watching)
        is_over = snapshot.status is not ExperimentStatus.RUNNING
        if watching.news or is_over:
            terminal.write_json(document_of(snapshot, names))
            terminal.flush()
        if is_over:
            return snapshot
        watching.pause()


def _lines(watching: Watch, names: Sequence[str] | None) -> Snapshot:
    """Write the status once, then a line for each change of a task, and of what is the best so far."""
    changes = Transitions(folds=names is None)
    snapshot = watching.look()
    changes.since(snapshot, watching.news)
    show(snapshot, names, is_json=False, quiet=False)
    terminal.flush()
    written = set(status_text.best_lines(snapshot))
    while snapshot.status is ExperimentStatus.RUNNING:
        watching.pause()
        snapshot = _look(watching)
        for change in changes.since(snapshot, watching.news):
            if names is None or change.task in names:
                terminal.write_line(change.text)
        if names is None and watching.news:
            new = [line for line in status_text.best_lines(snapshot) if line not in written]
            written.update(new)
            terminal.write_lines(new)
        terminal.flush()
    terminal.write_line(f"{snapshot.files.id}: {snapshot.status}")
    return snapshot


def _drawing(watching: Watch, names: Sequence[str] | None) -> Snapshot:
    """Redraw the table in place; if it does not fit, running tasks come first."""
    from nemorun_cli.cli import live_text  # noqa: PLC0415 - only for terminals

    console = live_text.console()
    with live_text.live(console, auto_refresh=False) as live:
        while True:
            snapshot = watching.look()
            live.update(
                _picture(snapshot, names, height=console.size.height, width=console.size.width), refresh=True
            )
            if snapshot.status is not ExperimentStatus.RUNNING:
                return snapshot
            watching.pause()


def _picture(snapshot: Snapshot, names: Sequence[str] | None, *, height: int, width: int) -> Any:
    from nemorun_cli.cli import live_text  # noqa: PLC0415 - imported already

    header = [
        piece
        for line in status_text.header(snapshot)
        for piece in wrapping.fitted(escaped(line), width, hang=status_text.LABELLED)
    ]
    notes = [] if names is not None else status_text.notes(snapshot)
    below = [piece for line in notes for piece in wrapping.fitted(escaped(line), width)]
    rows = status_text.rows(snapshot, names)
    most = max(FEWEST_ROWS, height - len(below) - max(ROWS_BESIDES, len(header) + ROWS_AROUND))
    left = len(rows) - most
    if left > 0:
        tasks = snapshot.history.tasks
        chosen = names if names is not None else list(tasks)
        first = [name for name in chosen if tasks[name].is_live] + [
            name for name in chosen if not tasks[name].is_live
        ]
        rows = status_text.rows(snapshot, first[:most])[:most]
    table = table_layout.fit(status_text.COLUMNS, rows, width=width).lines(rows)
    lines: list[Line] = [*([(piece, "")] for piece in header), *table]
    if left > 0:
        lines.append([(f"… and {left} more that do not fit", "dim")])
    lines += [[(piece, "")] for piece in ("", *below)] if below else []
    return live_text.lines(lines)
