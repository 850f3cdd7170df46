"""An experiment's status as `exp status` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.cli import status_text, tables, terminal
from nemorun_cli.model.spec import task_named
from nemorun_cli.views import stop_progress, sweeps, unmatched_metrics, valueless_trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.json_documents import StatusDocument
    from nemorun_cli.views.snapshot import Snapshot


def document_of(snapshot: Snapshot, names: Sequence[str] | None) -> StatusDocument:
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
        task = task_named(snapshot.tasks, names[0])
        terminal.write_lines(status_text.task_details(snapshot, task), hang=status_text.LABELLED)
        _warn_of_metrics(snapshot, names)
    else:
        terminal.write_lines([*status_text.header(snapshot), ""], hang=status_text.LABELLED)
        tables.show(status_text.COLUMNS, status_text.rows(snapshot, names))
        if names is None:
            notes = status_text.notes(snapshot)
            terminal.write_lines(["", *notes] if notes else [])
        _show_failures(snapshot, names or ())
        _warn_of_metrics(snapshot, names)


def _warn_of_metrics(snapshot: Snapshot, names: Sequence[str] | None) -> None:
    """Write a line each about patterns that matched nothing, and about metrics that had no value."""
    for report in (unmatched_metrics, stop_progress, valueless_trials):
        if text := report.warning(snapshot, names):
            terminal.flush()
            terminal.warn(text)


def _show_failures(snapshot: Snapshot, names: Sequence[str]) -> None:
    """Write the failures among the named members of sweeps, grouped by cause."""
    swept = {name for group in sweeps.of(snapshot.spec) for name in group.members}
    failed = [name for name in names if name in swept and snapshot.history.tasks[name].status == "FAILED"]
    if not failed:
        return
    from nemorun_cli.views import known_secrets  # noqa: PLC0415 - the same
    from nemorun_cli.views.reports import failure_groups  # noqa: PLC0415 - only where something failed

    known = known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history).values()
    lines = [kind.line for kind in failure_groups.kinds(snapshot, failed, secrets=known)]
    terminal.write_lines(["", f"{len(failed)} failed:", *(f"  {line}" for line in lines)])
