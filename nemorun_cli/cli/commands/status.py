"""`exp status`: the status of an experiment or of some of its tasks."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import status_text, terminal
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Observe, Quiet, TaskOrNone
from nemorun_cli.cli.status_view import show
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find


def command(
    which: ExperimentOrLatest = LATEST,
    task: TaskOrNone = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Update until the experiment finishes.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with the status's exit code, as `exp wait` does.")
    ] = False,
    observe: Observe = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show an experiment's status.

    Examples:
      exp status                  the latest experiment
      exp status training train   one task or group
      exp status --watch          update until the experiment finishes
    """
    run = find(which)
    snapshot = run.status(others=observe)
    names = snapshot.match_tasks([task]) if task is not None else None
    if watch:
        from nemorun_cli.cli import status_live  # noqa: PLC0415 - only to watch

        snapshot = status_live.watch(run, names, is_json=is_json, quiet=quiet, others=observe)
    else:
        show(snapshot, names, is_json=is_json, quiet=quiet)
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code if exit_code else 0
