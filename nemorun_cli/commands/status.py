"""`exp status`: how an experiment, or one of its tasks, stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nemorun_cli import rendering, tables, terminal
from nemorun_cli.commands.options import ExperimentOrLatest, Json, Quiet, TaskOrNone
from nemorun_cli.experiment.run import LATEST, find
from nemorun_cli.views import sweeps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.views.snapshot import Snapshot


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
        from nemorun_cli.commands import status_watch  # noqa: PLC0415 - not for a single look

        snapshot = status_watch.watch(run, names, is_json=is_json, quiet=quiet)
    else:
        show(snapshot, names, is_json=is_json, quiet=quiet)
    terminal.suggest(rendering.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code if exit_code else 0


def document_of(snapshot: Snapshot, names: Sequence[str] | None) -> dict[str, Any]:
    """The document `exp.status/1`, of some tasks only if they are named."""
    document = snapshot.to_json()
    if names is not None:
        document["tasks"] = [entry for entry in document["tasks"] if entry["id"] in set(names)]
    return document


def show(snapshot: Snapshot, names: Sequence[str] | None, *, is_json: bool, quiet: bool) -> None:
    """Write a snapshot, or what it says of some tasks, in the form that was asked for."""
    if snapshot.torn:
        terminal.warn(
            f"the last {snapshot.torn} bytes of {snapshot.files.ledger} were never completed; passed over"
        )
    for text in snapshot.history.ignored:
        terminal.warn(f"passed over in the ledger: {text}")
    if is_json:
        terminal.write_json(document_of(snapshot, names))
    elif quiet:
        terminal.write("".join(f"{name}\n" for name in (names if names is not None else [snapshot.files.id])))
    elif names is not None and len(names) == 1:
        task = next(task for task in snapshot.spec.tasks if task.id == names[0])
        terminal.write("".join(f"{line}\n" for line in rendering.task_details(snapshot, task)))
    else:
        terminal.write("".join(f"{line}\n" for line in rendering.header(snapshot)) + "\n")
        tables.show(rendering.COLUMNS, rendering.rows(snapshot, names))
        _show_failures(snapshot, names or ())


def _show_failures(snapshot: Snapshot, names: Sequence[str]) -> None:
    """What failed of the sweeps that were opened, by what ended it."""
    swept = {name for group in sweeps.of(snapshot.spec) for name in group.members}
    failed = [name for name in names if name in swept and snapshot.history.tasks[name].status == "FAILED"]
    if not failed:
        return
    from nemorun_cli.spec import secret_values  # noqa: PLC0415 - the same
    from nemorun_cli.views.reports import failure_groups  # noqa: PLC0415 - only where something failed

    known = secret_values.known(snapshot.spec).values()
    lines = [kind.line for kind in failure_groups.kinds(snapshot, failed, secrets=known)]
    terminal.write_lines(["", f"{len(failed)} failed:", *(f"  {line}" for line in lines)])
