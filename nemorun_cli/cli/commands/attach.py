"""`exp attach`: watch an experiment that runs, as the command that started it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.cli import status_text, terminal
from nemorun_cli.cli.commands.run import document_of
from nemorun_cli.cli.options import ExperimentOrLatest, Json, Quiet
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.views.snapshot import Snapshot


def command(which: ExperimentOrLatest = LATEST, *, is_json: Json = False, quiet: Quiet = False) -> int:
    """Watch a running experiment, as `exp run` does.

    Exits with the experiment's exit code once it finishes, at once if it already has. Ctrl-C ends only the
    watching: the experiment continues.

    Examples:
      exp attach                      the latest experiment
      exp run train.yaml -d && exp attach
    """
    run = find(which)
    if quiet:
        terminal.write_line(run.id)
        terminal.flush()
    try:
        snapshot = _watch(run, is_json=is_json, quiet=quiet)
    except KeyboardInterrupt:
        if not quiet:
            terminal.warn(f"{run.id} continues")
        then = "" if run.files.is_replica else f" · exp cancel {run.id}"
        terminal.suggest(f"exp attach {run.id}{then}", is_wanted=not (quiet or is_json))
        raise
    if is_json:
        terminal.write_json(document_of(snapshot, ()))  # no spec was read
    terminal.suggest(status_text.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code


def _watch(run: Run, *, is_json: bool, quiet: bool) -> Snapshot:
    from nemorun_cli.cli import watch  # noqa: PLC0415 - not for the help
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - the same

    with Watch(run.files, run.home) as watching:
        if run.status().status is not ExperimentStatus.RUNNING:
            watching.look()  # only the summary is left to show
        elif not quiet:
            terminal.warn(f"watching {run.id}; Ctrl-C ends only the watching")
        return watch.watch(run, watching, interrupts=None, is_json=is_json, quiet=quiet)
