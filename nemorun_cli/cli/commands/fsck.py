"""`exp fsck`: check an experiment's ledger, and rebuild it if it is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nemorun_cli.cli import terminal
from nemorun_cli.cli.options import ExperimentGiven, Json
from nemorun_cli.errors import LedgerError
from nemorun_cli.experiment.maintenance import fsck
from nemorun_cli.experiment.run import find

if TYPE_CHECKING:
    from nemorun_cli.experiment.maintenance.fsck import LedgerCheck
    from nemorun_cli.experiment.maintenance.repair import Repair
    from nemorun_cli.experiment.run import Run


def command(
    which: ExperimentGiven,
    *,
    wants_repair: Annotated[
        bool,
        typer.Option("--repair", help="Rebuild a damaged ledger; a copy of the old one is kept."),
    ] = False,
    is_json: Json = False,
) -> int:
    """Check an experiment's ledger and repair it.

    Compares the ledger with the files that the attempts left.

    Examples:
      exp fsck latest                report damage; exit code 7 if any
      exp fsck training --repair     rebuild a damaged ledger
    """
    run = find(which)
    done: Repair | None = None
    if wants_repair:
        from nemorun_cli.experiment.maintenance import repair  # noqa: PLC0415 - imports modules that a check does not need

        examination, done = repair.repair(run.files, home=run.home.directory)
    else:
        examination = fsck.examine(run.files, run.spec())
    if is_json:
        terminal.write_json(_document(run, examination, done))
    else:
        _show(run, examination, done)
    return 0 if examination.is_sound or done else LedgerError.exit_code


def _document(run: Run, examination: LedgerCheck, done: Repair | None) -> dict[str, Any]:
    return {
        "schema": fsck.FSCK_FORMAT,
        "id": run.id,
        "ledger": str(run.files.ledger),
        "is_sound": examination.is_sound,
        "is_repaired": done is not None,
        "events": len(examination.events),
        "doubtful": len(examination.read.unconfirmed),
        "findings": [finding.to_json() for finding in examination.findings],
        "set_aside": str(done.set_aside) if done else None,
        "added": done.added if done else 0,
    }


def _show(run: Run, examination: LedgerCheck, done: Repair | None) -> None:
    terminal.write_lines(
        f"{'damage' if finding.is_damage else 'note'}: {finding.kind}: {finding.message}"
        for finding in examination.findings
    )
    count = len(examination.events)
    if examination.is_sound:
        terminal.write_lines([f"{run.id}: the ledger is sound, {count} events"])
        return
    if done is None:
        unconfirmed = len(examination.read.unconfirmed)
        note = f", {unconfirmed} of them without a batch marker" if unconfirmed else ""
        terminal.write_lines([f"{run.id}: the ledger is damaged; {count} events are readable{note}"])
        terminal.suggest(f"exp fsck {run.id} --repair", is_wanted=True)
        return
    counts = f"{done.kept} events and {done.added} recovered from attempts"
    terminal.write_lines(
        [f"{run.id}: rebuilt the ledger from {counts}; the damaged ledger is kept in {done.set_aside}"]
    )
    terminal.suggest(f"exp status {run.id} · exp resume {run.id}", is_wanted=True)
