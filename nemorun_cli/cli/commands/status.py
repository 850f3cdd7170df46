"""`exp status`: how an experiment, or one of its tasks, stands."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import status_text, terminal
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Quiet, TaskOrNone
from nemorun_cli.cli.status_view import show
from nemorun_cli.experiment.run import LATEST, find


def command(
    which: ExperimentOrLatest = LATEST,
    task: TaskOrNone = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch/--no-watch", help="Show it again and again until it is over.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code/--no-exit-code", help="End with the exit code of its status.")
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show how an experiment stands."""
    run = find(which)
    snapshot = run.status()
    names = snapshot.match_tasks([task]) if task is not None else None
    if watch:
        from nemorun_cli.cli import status_live  # noqa: PLC0415 - not for a single look

        snapshot = status_live.watch(run, names, is_json=is_json, quiet=quiet)
    else:
        show(snapshot, names, is_json=is_json, quiet=quiet)
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code if exit_code else 0
