"""`exp doctor`: the problems that prevent experiments from running on this machine, and their remedies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli import executors
from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import Json, Observe
from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.experiment import run
from nemorun_cli.experiment.records import targets
from nemorun_cli.replication import login_checks, outbox_checks
from nemorun_cli.replication.sender import known_roots
from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import Home
from nemorun_cli.views.reports import doctor_report, owner_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.views.reports.doctor_report import Check
    from nemorun_cli.views.snapshot import Snapshot

SIGNS: Final = {"well": "ok", "warning": "!!", "trouble": "XX"}


def command(
    which: Annotated[
        str | None,
        typer.Argument(
            metavar="EXP",
            help="Check only this experiment's executors, and its supervisor.",
            autocompletion=completion.experiments,
            show_default=False,
        ),
    ] = None,
    *,
    observe: Observe = False,
    is_json: Json = False,
) -> int:
    """Check the engines that run tasks and suggest fixes.

    Also checks the home directory, the tools, this machine, the servers that you are logged in to, and what
    has not arrived there.

    Examples:
      exp doctor             check every engine
      exp doctor latest      check the executors of an experiment
    """
    home = Home.configured()
    snapshot, problem = _look(which, home, others=observe) if which is not None else (None, None)
    roots = [str(targets.root(None, home=home)), *known_roots.known()]
    checks = [
        *(doctor_report.of_engines() if snapshot is None else _of_engines(snapshot, home, others=observe)),
        *doctor_report.of_home(home),
        *owner_checks.of_owners(home, Path.cwd()),
        *doctor_report.of_tools(),
        *doctor_report.of_environments(home),
        *doctor_report.of_step_cache(home),
        doctor_report.of_machine(),
        doctor_report.of_session(),
        *login_checks.of_servers(roots, str(home.directory)),
        *outbox_checks.of_outboxes(roots, str(home.directory)),
        *([doctor_report.of_experiment(snapshot)] if snapshot is not None else []),
        *([problem] if problem is not None else []),
    ]
    if is_json:
        terminal.write_json(
            {
                "schema": doctor_report.DOCTOR_FORMAT,
                "id": snapshot.files.id if snapshot is not None else None,
                "home": str(home.directory),
                "is_well": all(check.state == "well" for check in checks),
                "checks": [check.to_json() for check in checks],
            }
        )
    else:
        _show(checks)
    return doctor_report.exit_code(checks)


def _of_engines(snapshot: Snapshot, home: Home, *, others: bool) -> Iterator[Check]:
    """The checks of the executors of an experiment; those of one from elsewhere may name any host."""
    spec = snapshot.spec
    used = {
        task.executor: spec.executors.get(task.executor, {"type": task.executor})
        for task in spec.possible_tasks
    }
    known = set(executors.types())
    foreign = {name for name, kind in creation_mark.backends(spec).items() if kind in known}
    if others or creation_mark.is_own(home, snapshot.files, spec, snapshot.history.supervisor):
        foreign = set()
    asked = {name: used[name] for name in sorted(used.keys() - foreign)}
    if asked:
        yield from doctor_report.of_engines(asked)
    yield from map(doctor_report.of_unasked, sorted(foreign))


def _look(which: str, home: Home, *, others: bool) -> tuple[Snapshot | None, Check | None]:
    """The state of an experiment; if it, or the home, cannot be read, the check that reports it."""
    try:
        return run.find(which, home=home).status(others=others), None
    except (LedgerError, UsageError) as error:
        return None, doctor_report.of_unreadable(f"experiment {which}", error)


def _show(checks: list[Check]) -> None:
    width = max(len(check.subject) for check in checks)
    lines = []
    for check in checks:
        lines.append(f"{SIGNS[check.state]}  {check.subject:<{width}}  {check.message}")
        if check.remedy:
            lines.append(f"{'':<{width + 4}}  -> {check.remedy}")
    terminal.write_lines(lines, hang=width + 7)
