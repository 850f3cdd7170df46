"""`exp wait`: wait for an experiment to finish."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from nemorun_cli.cli import status_text, terminal
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Observe, Quiet, duration
from nemorun_cli.errors import NotOverError
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find

WAIT_FORMAT: Final = "exp.wait/1"


def command(
    which: ExperimentOrLatest = LATEST,
    *,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="DURATION", help="Stop waiting after this time; exit code 4."),
    ] = None,
    observe: Observe = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Wait for an experiment to finish.

    The exit code is that of its status: 0 COMPLETED, 1 FAILED, 5 CANCELLED, 9 INTERRUPTED.

    Examples:
      exp wait latest && exp metrics
      exp wait training --timeout 2h
    """
    seconds = duration("--timeout", timeout) if timeout is not None else None
    run = find(which)
    try:
        snapshot = run.wait(timeout=seconds, report=terminal.warn, others=observe)
    except NotOverError:
        if not is_json:
            raise
        snapshot = run.status(others=observe)
    if is_json:
        document = {
            "schema": WAIT_FORMAT,
            "id": run.id,
            "status": snapshot.status,
            "ended": snapshot.history.finished["time"] if snapshot.history.finished else None,
            "counts": {status: count for status, count in snapshot.history.counts.items() if count},
        }
        terminal.write_json(document)
    elif quiet:
        terminal.write_line(run.id)
    else:
        terminal.write_line(snapshot.status)
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code
