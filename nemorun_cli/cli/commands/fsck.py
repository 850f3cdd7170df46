"""`exp fsck`: whether an experiment's ledger can be believed, and a new one where it cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nemorun_cli.cli import terminal
from nemorun_cli.cli.options import ExperimentGiven, Json
from nemorun_cli.errors import LedgerError
from nemorun_cli.experiment.maintenance import fsck
from nemorun_cli.experiment.run import find

if TYPE_CHECKING:
    from nemorun_cli.experiment.maintenance.fsck import Examination
    from nemorun_cli.experiment.maintenance.repair import Repair
    from nemorun_cli.experiment.run import Run


def command(
    which: ExperimentGiven,
    *,
    wants_repair: Annotated[
        bool,
        typer.Option("--repair/--no-repair", help="Set a damaged ledger aside and rebuild it."),
    ] = False,
    is_json: Json = False,
) -> int:
    """Check an experiment's ledger against its attempts."""
    run = find(which)
    done: Repair | None = None
    if wants_repair:
        from nemorun_cli.experiment.maintenance import repair  # noqa: PLC0415 - loads what a check does not need

        found, done = repair.repair(run.files, home=run.home.directory)
    else:
        found = fsck.examine(run.files, run.spec())
    if is_json:
        terminal.write_json(_document(run, found, done))
    else:
        _show(run, found, done)
    return 0 if found.is_sound or done else LedgerError.exit_code


def _document(run: Run, found: Examination, done: Repair | None) -> dict[str, Any]:
    return {
        "schema": fsck.FSCK_FORMAT,
        "id": run.id,
        "ledger": str(run.files.ledger),
        "is_sound": found.is_sound,
        "is_repaired": done is not None,
        "events": len(found.events),
        "doubtful": len(found.read.doubtful),
        "findings": [finding.to_json() for finding in found.findings],
        "set_aside": str(done.set_aside) if done else None,
        "added": done.added if done else 0,
    }


def _show(run: Run, found: Examination, done: Repair | None) -> None:
    terminal.write_lines(
        f"{'damage' if finding.is_damage else 'note'}: {finding.kind}: {finding.message}"
        for finding in found.findings
    )
    if found.is_sound:
        terminal.write_line(f"{run.id}: the ledger is sound, {len(found.events)} events")
        return
    if done is None:
        count = len(found.read.doubtful)
        doubtful = f", {count} of them with no marker to vouch for them" if count else ""
        terminal.write_line(f"{run.id}: the ledger is damaged; {len(found.events)} events are left{doubtful}")
        terminal.suggest(f"exp fsck {run.id} --repair", is_wanted=True)
        return
    terminal.write_line(
        f"{run.id}: the ledger was rebuilt from {done.kept} events and {done.added} that the attempts prove; "
        f"the damaged one is {done.set_aside}"
    )
    terminal.suggest(f"exp status {run.id} · exp resume {run.id}", is_wanted=True)
