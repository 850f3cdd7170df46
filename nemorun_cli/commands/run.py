"""`exp run`: start an experiment from a spec, and watch it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nemorun_cli import terminal
from nemorun_cli.commands.options import Json, Params, Quiet, Sets, SpecPath
from nemorun_cli.home import Home


def command(
    spec: SpecPath,
    *,
    params: Params = None,
    sets: Sets = None,
    detach: Annotated[
        bool | None, typer.Option("-d", "--detach/--no-detach", help="Return at once and print the id.")
    ] = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Run an experiment from a spec, and watch it."""
    from nemorun_cli import executors, experiment, load, start

    home = Home.from_environment()
    supervisor = start.Supervisor()
    try:
        document = load.read(
            spec,
            params=params or (),
            sets=sets or (),
            executor_schemas=executors.options_schema,
            executor_types=executors.types(),
        )
        run = experiment.launch(document, supervisor=supervisor, home=home)
    except BaseException:
        supervisor.abandon()
        raise
    if detach:
        terminal.write_line(run.id)
        return 0
    snapshot = run.wait()
    return snapshot.exit_code
