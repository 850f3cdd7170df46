"""`exp status`: the status of an experiment or of some of its tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nemorun_cli import experiment, rendering, sweeps, tables, terminal
from nemorun_cli.commands.options import ExperimentOrLatest, Json, Quiet, TaskOrNone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.observation import Snapshot


def command(
    which: ExperimentOrLatest = experiment.LATEST,
    task: TaskOrNone = None,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Update until the experiment finishes.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with the status's exit code, as `exp wait` does.")
    ] = False,
    is_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show an experiment's status.

    Examples:
      exp status                  the latest experiment
      exp status training train   one task or group
      exp status --watch          update until the experiment finishes
    """
    run = experiment.find(which)
    snapshot = run.status()
    names = snapshot.match_tasks([task]) if task is not None else None
    if watch:
        from nemorun_cli.commands import status_watch  # noqa: PLC0415 - only to watch

        snapshot = status_watch.watch(run, names, is_json=is_json, quiet=quiet)
    else:
        show(snapshot, names, is_json=is_json, quiet=quiet)
    terminal.suggest(rendering.next_commands(snapshot), is_wanted=not (quiet or is_json))
    return snapshot.exit_code if exit_code else 0


def document_of(snapshot: Snapshot, names: Sequence[str] | None) -> dict[str, Any]:
    """The document `exp.status/1`, with only the named tasks if names are given."""
    document = snapshot.to_json()
    if names is not None:
        document["tasks"] = [entry for entry in document["tasks"] if entry["id"] in set(names)]
    return document


def show(snapshot: Snapshot, names: Sequence[str] | None, *, is_json: bool, quiet: bool) -> None:
    """Write a snapshot, or its named tasks, in the requested format."""
    if snapshot.torn:
        terminal.warn(
            f"ignored the last {snapshot.torn} bytes of {snapshot.files.ledger}: an incomplete batch"
        )
    for text in snapshot.history.ignored:
        terminal.warn(f"ignored in the ledger: {text}")
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
    """Write the failures among the named members of sweeps, grouped by cause."""
    swept = {name for group in sweeps.of(snapshot.spec) for name in group.members}
    failed = [name for name in names if name in swept and snapshot.history.tasks[name].status == "FAILED"]
    if not failed:
        return
    from nemorun_cli import failures, secret_values  # noqa: PLC0415 - only where something failed

    known = secret_values.known(snapshot.spec).values()
    lines = [kind.line for kind in failures.kinds(snapshot, failed, secrets=known)]
    terminal.write_lines(["", f"{len(failed)} failed:", *(f"  {line}" for line in lines)])
