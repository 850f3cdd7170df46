"""The arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import completion
from nemorun_cli.errors import UsageError
from nemorun_cli.model import units

ExperimentOrLatest = Annotated[
    str,
    typer.Argument(
        metavar="EXP",
        help="Id, name, unique beginning of an id, or `latest`.",
        autocompletion=completion.experiments,
        show_default=False,
    ),
]
ExperimentGiven = Annotated[
    str,
    typer.Argument(
        metavar="EXP",
        help="Id, name, unique beginning of an id, or `latest`.",
        autocompletion=completion.experiments,
    ),
]
ExperimentOrPrefix = Annotated[
    str | None,
    typer.Argument(
        metavar="EXP|PREFIX",
        help="An experiment (default: the latest), or a prefix with its `/`, and all below it.",
        autocompletion=completion.experiments,
    ),
]
DashRoot = Annotated[
    str | None,
    typer.Option(
        "--dash-root", metavar="FOLDER", help="Where records are kept; what is asked for is a prefix then."
    ),
]
TaskOrNone = Annotated[
    str | None,
    typer.Argument(
        metavar="TASK",
        help="Id, group, glob, unique beginning, or number in `exp status`.",
        autocompletion=completion.tasks,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TASK",
        help="Ids, groups, globs, unique beginnings, or numbers in `exp status`.",
        autocompletion=completion.tasks,
    ),
]
SpecPath = Annotated[
    str, typer.Argument(metavar="SPEC", help="The spec file.", autocompletion=completion.specs)
]
Params = Annotated[
    list[str] | None,
    typer.Option("-p", "--param", metavar="NAME=VALUE", help="Give a param of the spec a value."),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Change any field of the spec.")
]
Json = Annotated[bool, typer.Option("--json/--no-json", help="Print JSON for scripts.", show_default=False)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet/--no-quiet", help="Print ids only.", show_default=False)]

Detach = Annotated[
    bool | None,
    typer.Option("-d", "--detach/--no-detach", help="Return as soon as it has begun; print the id."),
]
Sequential = Annotated[
    bool | None, typer.Option("--sequential/--no-sequential", help="One task after the other.")
]
TailLogs = Annotated[
    bool | None, typer.Option("--tail-logs/--no-tail-logs", help="Show what the tasks write.")
]
Direct = Annotated[
    bool | None,
    typer.Option("--direct/--no-direct", help="Run it in this very process, on this terminal."),
]
DryRun = Annotated[bool, typer.Option("--dry-run/--no-dry-run", help="Print what would run; create nothing.")]
Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Name the logical run, as nightly-2026-11-22.")
]
IfRunning = Annotated[
    str | None,
    typer.Option(
        "--if-running",
        metavar="fail|skip|replace",
        help="If one of the same key (or name) is not over.",
        autocompletion=completion.if_running,
    ),
]


def whole_number(option: str, text: str) -> int:
    """The number that an option was given.

    Raises:
        UsageError: it is none, or negative.
    """
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{option} {text}: it must be a whole number")
    return int(text)


def duration(option: str, text: str) -> float:
    """The seconds that an option was given as `90s`, `10m`, `2h` or a plain number.

    Raises:
        UsageError: it is no duration.
    """
    try:
        return units.duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
