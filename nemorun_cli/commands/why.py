"""`exp why`: why a task waits, failed, was skipped or was cancelled, and what a resume would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nemorun_cli import (
    completion,
    experiment,
    explanation,
    ledger,
    rendering,
    secret_values,
    tables,
    terminal,
)
from nemorun_cli.commands.options import ExperimentGiven, Json
from nemorun_cli.tables import Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.explanation import Explanation
    from nemorun_cli.observation import Snapshot

COLUMNS = (
    Column("ATTEMPT", is_number=True),
    Column("STATUS"),
    Column("STARTED"),
    Column("DURATION", is_number=True),
    Column("EXIT", is_number=True),
    Column("REASON"),
)


def command(
    which: ExperimentGiven,
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="Id, group, glob, unique beginning, or number in `exp status`.",
            autocompletion=completion.tasks,
        ),
    ],
    *,
    is_json: Json = False,
) -> None:
    """Explain why a task waits, failed or was skipped."""
    run = experiment.find(which)
    events, _ = ledger.read_settled(run.files.ledger)
    snapshot = run.status()
    secrets = secret_values.known(snapshot.spec).values()
    found = explanation.explain(snapshot, snapshot.match_tasks([task]), events, secrets=secrets)
    if is_json:
        terminal.write_json(
            {
                "schema": explanation.WHY_FORMAT,
                "id": snapshot.files.id,
                "name": snapshot.spec.name,
                "status": snapshot.status,
                "tasks": [one.to_json() for one in found],
            }
        )
        return
    for index, one in enumerate(found):
        if index:
            terminal.write_line("")
        _show(snapshot, one)


def _show(snapshot: Snapshot, one: Explanation) -> None:
    lines = [f"{one.task.id} is {one.state.status}"]
    lines += [f"  {cause.message}" for cause in one.causes]
    lines += [f"{'    ' * depth}  because {link.message}" for depth, link in enumerate(one.chain)]
    terminal.write_lines(lines)
    _show_log(one)
    if len(one.attempts) > 1:
        terminal.write("\n")
        tables.show(COLUMNS, _rows(one))
    if one.resume is not None:
        terminal.write(f"\n{_resumption(snapshot, one)}\n")


def _show_log(one: Explanation) -> None:
    excerpt = one.excerpt
    if excerpt is None:
        return
    if excerpt.error:
        terminal.write(f"\nmost likely: {excerpt.error}\n")
    if excerpt.lines:
        terminal.write(f"\nthe end of {excerpt.path}:\n")
        terminal.write("".join(f"  | {line}\n" for line in excerpt.lines))
    elif not excerpt.error:
        terminal.write(f"\nits log is empty: {excerpt.path}\n")


def _rows(one: Explanation) -> Sequence[Sequence[str]]:
    return [
        [
            str(past.attempt),
            past.status,
            past.started or "",
            rendering.seconds(past.duration),
            "" if past.exit_code is None else str(past.exit_code),
            ": ".join(part for part in (past.reason, past.message) if part),
        ]
        for past in one.attempts
    ]


def _resumption(snapshot: Snapshot, one: Explanation) -> str:
    decision = one.resume
    assert decision is not None  # noqa: S101 - asked only where there is one
    what = {
        "keep": "keeps it",
        "adopt": "takes it up where it is",
        "wait": "lets it wait its turn",
        "run": f"runs it again, as attempt {decision.attempt}",
    }[decision.action]
    when = ", once the experiment is over," if snapshot.supervisor == "alive" else ""
    return f"exp resume {snapshot.files.id}{when} {what}: {decision.reason}"
