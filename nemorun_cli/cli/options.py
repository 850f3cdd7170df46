"""The arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

from nemorun_cli.cli import completion, sweep_completion
from nemorun_cli.errors import UsageError
from nemorun_cli.model import units

ExperimentOrLatest = Annotated[
    str,
    typer.Argument(
        metavar="EXP",
        help="Experiment name, id, id prefix, or `latest` (the default).",
        autocompletion=completion.experiments,
        show_default=False,
    ),
]
ExperimentGiven = Annotated[
    str,
    typer.Argument(
        metavar="EXP",
        help="Experiment name, id, id prefix, or `latest`.",
        autocompletion=completion.experiments,
    ),
]
ExperimentOrPrefix = Annotated[
    str | None,
    typer.Argument(
        metavar="EXP|PREFIX",
        help="Experiment (default: the latest), or record prefix: an argument that contains `/`.",
        autocompletion=completion.experiments,
    ),
]
ExperimentOrRecord = Annotated[
    str,
    typer.Argument(
        metavar="EXP|PREFIX",
        help="Experiment name, id, id prefix or `latest`, or the prefix of a record.",
        autocompletion=completion.experiments,
    ),
]
DashRoot = Annotated[
    str | None,
    typer.Option("--dash-root", metavar="FOLDER", help="Read records from this folder, by prefix."),
]
ServerRoot = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="Collect what other machines send in this folder (default: serve this machine's own).",
    ),
]
TokensRoot = Annotated[
    str | None,
    typer.Option(
        "--root",
        metavar="FOLDER",
        help="The folder of the server, as for `exp serve` (default: the server of this machine's own).",
    ),
]
Goal = Annotated[
    str | None,
    typer.Option(
        "--goal",
        metavar="minimize|maximize",
        help="Which values of the metric of --best are better.",
        autocompletion=completion.one_of(("minimize", "maximize")),
    ),
]
TaskOrNone = Annotated[
    str | None,
    typer.Argument(
        metavar="TASK",
        help="Task id, id prefix, group, glob, or number in `exp status`.",
        autocompletion=completion.tasks,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TASK",
        help="Task ids, id prefixes, groups, globs, or numbers in `exp status`.",
        autocompletion=completion.tasks,
    ),
]
SpecPath = Annotated[
    str, typer.Argument(metavar="SPEC", help="The spec file.", autocompletion=completion.specs)
]
PROGRAM_ARGUMENTS: Final = "arguments"  # the parameter of a command that is filled only by what follows `--`
ProgramArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- ARGS", help="Arguments of a SPEC that is a Python program.", show_default=False
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "-p",
        "--param",
        metavar="NAME=VALUE|@FILE",
        help="Set a spec parameter, or all of a YAML, JSON or TOML file. Repeatable.",
        autocompletion=completion.param_files,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH.TO.KEY=VALUE", help="Set any field of the spec. Repeatable."),
]
Sweeps = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep",
        metavar="PARAM=V,V",
        help="Run the tasks that use a param once for each value; A..B are whole numbers. Repeatable.",
        autocompletion=sweep_completion.values,
    ),
]
RawTexts = Annotated[
    bool, typer.Option("--raw", help="In CSV, leave texts as they are, also those that begin like formulas.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print ids only.")]
TABLE_FORMATS: Final = ("table", "csv", "json")
TableFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="Output format: table, csv or json.",
        autocompletion=completion.one_of(TABLE_FORMATS),
    ),
]
Attempt = Annotated[
    str | None,
    typer.Option(
        "--attempt",
        metavar="N",
        help="Only rows of attempt N, whichever came later; outside of a task, of generation N.",
    ),
]
AllAttempts = Annotated[
    bool, typer.Option("--all-attempts", help="Also rows that a later attempt has superseded.")
]
Observe = Annotated[
    bool,
    typer.Option(
        "--observe", help="Ask Slurm, Docker and remote hosts also about experiments of other homes."
    ),
]

Detach = Annotated[
    bool | None, typer.Option("-d", "--detach", help="Print the id and return once the experiment runs.")
]
Sequential = Annotated[bool | None, typer.Option("--sequential", help="Run one task at a time.")]
TailLogs = Annotated[bool | None, typer.Option("--tail-logs", help="Show the output of tasks.")]
Direct = Annotated[
    bool | None,
    typer.Option("--direct", help="Run all tasks in this process and terminal."),
]
NoCache = Annotated[
    bool | None,
    typer.Option("--no-cache", help="Take no earlier results of tasks with `cache`, and keep none."),
]
Refresh = Annotated[
    list[str] | None,
    typer.Option(
        "--refresh",
        metavar="TASK",
        help="Run this task with `cache`, and replace its earlier result. Repeatable.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run; create nothing.")]
PlanFormat = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="With --dry-run: text, or yaml for the whole spec in one file.",
        autocompletion=completion.one_of(("text", "yaml")),
    ),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="KEY", help="Key of the logical run, e.g. nightly-2026-11-22."),
]
IfRunning = Annotated[
    str | None,
    typer.Option(
        "--if-running",
        metavar="fail|skip|replace",
        help="What to do if an experiment with this key (or name) is running.",
        autocompletion=completion.if_running,
    ),
]


def attempts(attempt: str | None, *, all_attempts: bool) -> int | Literal["all"] | None:
    """The attempts that the options `--attempt` and `--all-attempts` select; None for the rows that count.

    Raises:
        UsageError: both are given, or the number is none.
    """
    if attempt is None:
        return "all" if all_attempts else None
    if all_attempts:
        raise UsageError("--attempt cannot be combined with --all-attempts")
    return attempt_number(attempt)


def attempt_number(text: str) -> int:
    """The value of `--attempt`; raises UsageError if no attempt can have it."""
    return positive_number("--attempt", text, rule="attempts are numbered from 1")


def positive_number(option: str, text: str, *, rule: str = "must be a whole number, 1 or more") -> int:
    """The value of an option as a whole number that is not 0.

    Raises:
        UsageError: the value is 0, negative or no whole number; the message states the rule.
    """
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UsageError(f"{option} {text}: {rule}")
    return int(text)


def whole_number(option: str, text: str) -> int:
    """The value of an option as a whole number.

    Raises:
        UsageError: the value is negative or no whole number.
    """
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"{option} {text}: must be a whole number, 0 or more")
    return int(text)


def duration(option: str, text: str) -> float:
    """The value of an option (`90s`, `10m`, `2h` or a plain number) in seconds.

    Raises:
        UsageError: the value is not a duration.
    """
    try:
        return units.duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def table_format(format_: str, *, is_json: bool) -> str:
    """The format of a command with `--format` and `--json`.

    Raises:
        UsageError: there is no such format.
    """
    if format_ not in TABLE_FORMATS:
        raise UsageError(f"--format {format_}: must be one of {', '.join(TABLE_FORMATS)}")
    return "json" if is_json else format_
