"""`exp cancel`: end an experiment, or some of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import ExperimentGiven, Json, Quiet, Tasks, duration
from nemorun_cli.experiment import abandoned
from nemorun_cli.experiment.run import find
from nemorun_cli.model import wording

if TYPE_CHECKING:
    from nemorun_cli.views.snapshot import Snapshot

CANCEL_FORMAT: Final = "exp.cancel/1"


def command(
    which: ExperimentGiven,
    tasks: Tasks = None,
    *,
    signal: Annotated[
        str | None,
        typer.Option(
            "--signal",
            metavar="SIGNAL",
            help="Instead of each task's stop_signal.",
            autocompletion=completion.signals,
        ),
    ] = None,
    grace: Annotated[
        str | None, typer.Option("--grace", metavar="DURATION", help="Until KILL, instead of stop_grace.")
    ] = None,
    abandon: Annotated[
        bool,
        typer.Option("--abandon/--no-abandon", help="Record CANCELLED without the engine's word."),
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """End an experiment, or some of its tasks.

    Returns when what was cancelled is gone.
    """
    seconds = duration("--grace", grace) if grace is not None else None
    run = find(which)
    before = run.status(observe=False)
    names = before.match_tasks(tasks) if tasks else [task.id for task in before.spec.tasks]
    over = {name for name in names if before.history.tasks[name].is_over}
    snapshot = run.cancel(tasks or (), signal=signal, grace=seconds, abandon=abandon)
    states = snapshot.history.tasks
    ended = [name for name in names if name not in over and states[name].is_over]
    if is_json:
        terminal.write_json(_document(snapshot, ended))
    elif quiet:
        terminal.write("".join(f"{name}\n" for name in ended))
    else:
        _tell(snapshot, ended)
    then = f"exp resume {run.id}" if snapshot.is_over else f"exp logs {run.id} -f"
    terminal.suggest(f"exp status {run.id} · {then}", is_wanted=bool(ended) and not (quiet or is_json))


def _document(snapshot: Snapshot, ended: list[str]) -> dict[str, Any]:
    """The document `exp.cancel/1`; `tasks` are those that were not over before."""
    return {
        "schema": CANCEL_FORMAT,
        "id": snapshot.files.id,
        "status": snapshot.status,
        "tasks": [{"id": name, "status": snapshot.history.tasks[name].status} for name in ended],
    }


def _tell(snapshot: Snapshot, ended: list[str]) -> None:
    if not ended:
        terminal.warn(f"{snapshot.files.id}: nothing to cancel, it was over already ({snapshot.status})")
        return
    numbers = wording.counts(snapshot.history.counts)
    given_up = abandoned.names(snapshot, ended)
    gone = f"{len(ended) - len(given_up)} task(s) gone"
    terminal.warn(f"{snapshot.files.id} {snapshot.status}: {gone} ({numbers})")
    if given_up:
        terminal.warn(
            f"recorded as CANCELLED without the engine's word; {len(given_up)} may still run: "
            f"{abandoned.told(snapshot, given_up)}"
        )
    if snapshot.history.outcome and not snapshot.is_over:
        terminal.warn("its handlers run now; exp cancel once more ends them too")
