"""`exp rerun`: start a new experiment from an earlier one's copies of its spec and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nemorun_cli.cli import completion
from nemorun_cli.cli.commands import run as running
from nemorun_cli.cli.options import (
    Detach,
    Direct,
    DryRun,
    ExperimentGiven,
    IfRunning,
    Json,
    Key,
    NoCache,
    Params,
    PlanFormat,
    Quiet,
    Refresh,
    Sequential,
    Sets,
    Sweeps,
    TailLogs,
)
from nemorun_cli.experiment import run

if TYPE_CHECKING:
    from nemorun_cli.spec.document import Document


def command(
    which: ExperimentGiven,
    *,
    params: Params = None,
    sets: Sets = None,
    sweeps: Sweeps = None,
    detach: Detach = None,
    sequential: Sequential = None,
    tail_logs: TailLogs = None,
    direct: Direct = None,
    no_cache: NoCache = None,
    refresh: Refresh = None,
    dry_run: DryRun = False,
    form: PlanFormat = "text",
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="TASK",
            help="Run only this task, whatever the earlier run chose. Repeatable.",
            autocompletion=completion.tasks,
        ),
    ] = None,
    key: Key = None,
    if_running: IfRunning = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Start a new experiment from the spec of an earlier one.

    Uses the earlier experiment's own copies of its spec and scripts and its -p, --set and --sweep options.
    Options given now override them.

    Examples:
      exp rerun latest
      exp rerun training -p lr=0.01      change a param
      exp rerun training --sweep lr=1,2   once for each value
      exp rerun training --only train    run only one task
    """
    old = run.find(which)
    flags = {"sequential": sequential, "tail_logs": tail_logs, "direct": direct, "detach": detach}
    changes = [*(sets or ()), *running.as_sets(flags), *running.reuse_sets(no_cache, refresh)]

    def read() -> Document:
        from nemorun_cli import executors  # noqa: PLC0415 - heavy, imported while the supervisor starts
        from nemorun_cli.spec import load  # noqa: PLC0415 - the same

        return load.again(
            old.files,
            params=params or (),
            sets=changes,
            sweeps=sweeps or (),
            only=only or (),
            executors=executors.known(ask=not dry_run),
            for_later=form == "yaml",
        )

    how = running.StartOptions(
        is_dry=dry_run, is_direct=bool(direct), key=key, if_running=if_running, form=form
    )
    return running.start(read, how, is_json=is_json, quiet=quiet)
