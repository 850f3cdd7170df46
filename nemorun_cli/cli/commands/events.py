"""`exp events`: the events of an experiment's ledger, once or continuously."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import terminal, times
from nemorun_cli.cli.options import ExperimentGiven, Json
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage import ledger
from nemorun_cli.storage.ledger import reader_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.events import Event

EVENTS_FORMAT: Final = "exp.events/1"
KIND_WIDTH: Final = 18  # characters of the longest kind of event


def command(
    which: ExperimentGiven,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new events until the experiment finishes.")
    ] = False,
    is_json: Json = False,
) -> None:
    """Print the events of an experiment's ledger.

    Examples:
      exp events latest          print all events so far
      exp events latest -f       print new events as they are written
      exp events training --json
    """
    run = find(which)
    if follow:
        _follow(run, is_json=is_json)
        return
    events, reader = ledger.read_settled(run.files.ledger)
    _write(events, is_json=is_json)
    if reader.torn:
        terminal.warn(f"ignored the last {reader.torn} bytes of {run.files.ledger}: an incomplete batch")


def _follow(run: Run, *, is_json: bool) -> None:
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - only to follow

    reader = reader_of(run.files.ledger)
    with Watch(run.files, run.home) as watching:
        while True:
            snapshot = watching.look()
            if watching.notice:
                terminal.warn(f"{run.id}: {watching.notice}")
            _write(reader.read(), is_json=is_json)
            terminal.flush()
            # The supervisor records its own end after that of the experiment, unless it is killed in between.
            is_last = snapshot.history.supervisor_is_over or not watching.is_supervised
            if snapshot.status is not ExperimentStatus.RUNNING and is_last:
                return
            watching.pause()


def _write(events: Iterable[Event], *, is_json: bool) -> None:
    if not is_json:
        terminal.write_lines(_line(event) for event in events)
        return
    for event in events:
        terminal.write_json({"schema": EVENTS_FORMAT, **event})


def _line(event: Event) -> str:
    parts = [
        times.exact(event["time"]) if "time" in event else "",
        f"{event['event']:<{KIND_WIDTH}}",
        event.get("task", ""),
        kinds.describe(event),
    ]
    return "  ".join(part for part in parts if part)
