"""`exp cancel`: cancel an experiment or some of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import ExperimentGiven, Json, Observe, Quiet, Tasks, duration
from nemorun_cli.experiment import abandoned
from nemorun_cli.experiment import cancel as cancelling
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
            help="Signal to send (default: each task's stop_signal).",
            autocompletion=completion.signals,
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace", metavar="DURATION", help="Time until KILL (default: each task's stop_grace)."
        ),
    ] = None,
    abandon: Annotated[
        bool,
        typer.Option("--abandon", help="Record CANCELLED without confirmation from the engine."),
    ] = False,
    observe: Observe = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cancel an experiment or some of its tasks.

    Returns once the cancelled tasks have terminated.

    Examples:
      exp cancel latest                   cancel the latest experiment
      exp cancel training 'train/*'       cancel the members of a group
      exp cancel training --grace 10s     send KILL after 10 seconds
    """
    seconds = duration("--grace", grace) if grace is not None else None
    run = find(which)
    before = run.status(observe=False)
    names = before.match_tasks(tasks) if tasks else before.spec.ids
    over = {name for name in names if before.history.tasks[name].is_over}
    snapshot = cancelling.cancel(
        run.files,
        run.home,
        tasks or (),
        signal=signal,
        grace=seconds,
        abandon=abandon,
        others=observe,
        earlier=before,
    )
    states = snapshot.history.tasks
    ended = [name for name in names if name not in over and states[name].is_over]
    if is_json:
        terminal.write_json(_document(snapshot, ended))
    elif quiet:
        terminal.write("".join(f"{name}\n" for name in ended))
    else:
        _report(snapshot, ended)
    then = f"exp resume {run.id}" if snapshot.is_over else f"exp logs {run.id} -f"
    terminal.suggest(f"exp status {run.id} · {then}", is_wanted=bool(ended) and not (quiet or is_json))


def _document(snapshot: Snapshot, ended: list[str]) -> dict[str, Any]:
    """The document `exp.cancel/1`; `tasks` are those that had not finished before."""
    return {
        "schema": CANCEL_FORMAT,
        "id": snapshot.files.id,
        "status": snapshot.status,
        "tasks": [{"id": name, "status": snapshot.history.tasks[name].status} for name in ended],
    }


def _report(snapshot: Snapshot, ended: list[str]) -> None:
    if not ended:
        why = f"already finished ({snapshot.status})" if snapshot.is_over else "these have already finished"
        terminal.warn(f"{snapshot.files.id}: nothing to cancel, {why}")
        return
    numbers = wording.counts(snapshot.history.counts)
    unconfirmed = abandoned.names(snapshot, ended)
    terminated = f"{len(ended) - len(unconfirmed)} task(s) terminated"
    terminal.warn(f"{snapshot.files.id} {snapshot.status}: {terminated} ({numbers})")
    if unconfirmed:
        terminal.warn(
            f"recorded as CANCELLED without confirmation from the engine; {len(unconfirmed)} may still run: "
            f"{abandoned.description(snapshot, unconfirmed)}"
        )
    if snapshot.history.outcome and not snapshot.is_over:
        terminal.warn("its handlers are running now; run exp cancel again to cancel them too")
