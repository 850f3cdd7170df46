"""The frame of the command line: which commands there are, how one is found, and how each of them ends.

A command is a module of `nemorun_cli.cli.commands` with a function `command`, which returns the exit
code (None is 0) and raises what is in `errors`. Only the module of the command that runs is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
import typer.core
import typer.main

from nemorun_cli import __version__
from nemorun_cli.cli import terminal
from nemorun_cli.errors import ExpError, SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# In the order of `exp --help`; the texts are the first lines of the commands' own help.
COMMANDS: Final = {
    "init": "Write a spec to start from.",
    "validate": "Check a spec and tell all of its problems.",
    "run": "Run an experiment from a spec, and watch it.",
    "status": "Show how an experiment stands.",
    "list": "List experiments, the newest first.",
    "logs": "Print what tasks wrote to their standard output and error.",
    "why": "Explain why a task waits, failed or was skipped.",
    "cancel": "End an experiment, or some of its tasks.",
    "wait": "Wait until an experiment is over.",
    "resume": "Continue an experiment that was interrupted, failed or was cancelled.",
    "rerun": "Start a new experiment from an old one's own spec, options and scripts.",
    "diff": "Show what is different between two experiments: their specs, code, environments and results.",
    "params": "Show the params of experiments and their tasks.",
    "metrics": "Show, draw or follow the metrics of experiments and their tasks.",
    "compare": "Compare experiments, the tasks of a sweep, or records.",
    "files": "List the files that were saved in records.",
    "records": "List records by prefix, status and tag.",
    "show": "Show everything that is known of an experiment.",
    "graph": "Draw the tasks and what they depend on.",
    "schema": "Explain the keys of a spec.",
    "events": "Print the events of an experiment's ledger.",
    "doctor": "Check the engines that run tasks, and say how to get them going.",
    "fsck": "Check an experiment's ledger against its attempts.",
    "gc": "Remove leftovers and old experiments.",
}

FAULT: Final = 70  # the exit code of a fault in `exp` itself
BROKEN_PIPE: Final = 141  # what a shell tells of a program that ended because nobody reads its output
ERROR_FORMAT: Final = "exp.error/1"

# Click's classes by way of Typer's public names: newer versions of Typer bring a Click of their own.
_UsageError: Any = typer.BadParameter.__base__


class _NobodyReadsError(Exception):
    """Standard output is a pipe whose reader has left."""


class _AsGiven:
    """Takes the place of a parameter's conversion; see `_unconverted`."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        del ctx
        return () if value is None and (param.multiple or param.nargs == -1) else value


def _unconverted(parameters: list[Any]) -> list[Any]:
    """The parameters, whose values stay what they are: text, lists of text and flags.

    Typer checks even text with pydantic in its newer versions, whose import takes longer than most of
    our commands, and all our parameters are text or flags. Where a version of Typer knows no such
    conversion, nothing is changed.
    """
    for parameter in parameters:
        if hasattr(parameter, "get_runtime_param"):
            parameter.get_runtime_param = _AsGiven
    return parameters


class Command(typer.core.TyperCommand):
    """One command, whose parameters need no conversion."""

    def get_params(self, ctx: Any) -> Any:
        """All parameters, `--help` among them."""
        return _unconverted(super().get_params(ctx))


class CommandGroup(typer.core.TyperGroup):
    """The commands, each a stub with its name and one line of help until it is the one to run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(Command(name, help=line, short_help=line, rich_markup_mode=None))

    def get_params(self, ctx: Any) -> Any:
        """All parameters of the group itself."""
        return _unconverted(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a broken pipe is kept from Click, which would make it exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _NobodyReadsError from error

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """What Click runs: the stub's name, the command itself, and its arguments."""
        name, stub, rest = super().resolve_command(ctx, args)
        return name, build(name) if stub is not None and name in COMMANDS else stub, rest


def build(name: str) -> Any:
    """The command of this name, ready to run; imports its module."""
    module = importlib.import_module(f"nemorun_cli.commands.{name}")
    application = typer.Typer(add_completion=False, rich_markup_mode=None)
    application.command(name, cls=Command, context_settings=_SETTINGS)(module.command)
    return typer.main.get_command(application)


_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}


def _version(wanted: bool) -> None:  # noqa: FBT001 - how Typer calls back
    if wanted:
        terminal.write_line(f"exp {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Run multi-task machine-learning experiments described in YAML, and keep an honest ledger of them."""
    del version  # its callback did the work


def application() -> Any:
    """The whole command line as a Click group."""
    app = typer.Typer(
        cls=CommandGroup, rich_markup_mode=None, context_settings=_SETTINGS, no_args_is_help=True
    )
    app.callback()(_root)
    return typer.main.get_command(app)


def run(argv: Sequence[str]) -> int:
    """Run the command line and give its exit code; whatever happens is told to who asked."""
    is_json = "--json" in argv
    terminal.take_any_text()
    try:
        code = application().main(list(argv), prog_name=terminal.PROGRAM, standalone_mode=False)
        terminal.flush()
    except SystemExit as ending:  # completion ends the process in the middle
        return ending.code if isinstance(ending.code, int) else 0
    except BaseException as error:  # noqa: BLE001 - the end of the process: whatever it is, it is told
        return _end(error, argv, is_json=is_json)
    return code if isinstance(code, int) else 0


def _end(error: BaseException, argv: Sequence[str], *, is_json: bool) -> int:
    """Tell of an error; gives the exit code that stands for it."""
    if isinstance(error, (BrokenPipeError, _NobodyReadsError)):
        terminal.forget_output()
        return BROKEN_PIPE
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return terminal.INTERRUPTED
    if isinstance(error, _UsageError):
        if _is_help(error) and not is_json:
            terminal.say(error.format_message())
            return int(error.exit_code)
        error = _usage(error, argv)
    if not isinstance(error, ExpError):
        error = _fault(error)
    _tell(error, is_json=is_json)
    return error.exit_code


def _is_help(error: Any) -> bool:
    """Whether Click asks for the help to be shown, because nothing else was said."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _usage(error: Any, argv: Sequence[str]) -> ExpError:
    """What Click says of wrong usage, as one of our errors."""
    named = [terminal.PROGRAM, *(name for name in argv[:1] if name in COMMANDS)]
    command = error.ctx.command_path if error.ctx and error.ctx.parent else " ".join(named)
    text = error.format_message()
    if _is_help(error):
        text = "no command was given"
    told = ExpError(text[:1].lower() + text[1:].rstrip("."), hint=f"{command} --help")
    told.exit_code = error.exit_code
    return told


def _tell(error: ExpError, *, is_json: bool) -> None:
    if is_json:
        try:
            terminal.write_json(error_document(error))
            terminal.flush()
        except (ExpError, BrokenPipeError):
            terminal.forget_output()
    else:
        terminal.warn(describe(error))


def describe(error: ExpError) -> str:
    """An error for people: what is wrong, all problems with their lines, and what to do."""
    parts = [error.message]
    if isinstance(error, SpecError):
        from nemorun_cli.model import problems  # noqa: PLC0415 - only for specs with problems

        parts.append(problems.render(error.problems))
    if error.hint:
        parts.append(f"hint: {error.hint}")
    return "\n".join(parts)


def error_document(error: ExpError) -> dict[str, Any]:
    """The document `exp.error/1`."""
    problems = [problem.to_json() for problem in error.problems] if isinstance(error, SpecError) else []
    return {
        "schema": ERROR_FORMAT,
        "code": error.exit_code,
        "message": error.message,
        "hint": error.hint,
        "problems": problems,
    }


def _fault(error: BaseException) -> ExpError:
    """An error that nobody foresaw: its traceback is kept where it can be found."""
    import traceback  # noqa: PLC0415 - only after a fault

    text = "".join(traceback.format_exception(error))
    kept = _keep(text)
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    where = f"its traceback is in {kept}" if kept else f"its traceback:\n{text}"
    return ExpError(
        f"a fault in exp itself: {summary} ({where})", hint="please report it with that traceback"
    )


def _keep(text: str) -> Path | None:
    import tempfile  # noqa: PLC0415 - only after a fault
    from pathlib import Path  # noqa: PLC0415 - the same

    from nemorun_cli.storage.paths import Home  # noqa: PLC0415 - the same
    from nemorun_cli.system.files import FILE_MODE, make_folder  # noqa: PLC0415 - the same

    name = f"{int(time.time())}-{os.getpid()}.txt"
    folders = []
    with contextlib.suppress(ExpError, OSError, RuntimeError):  # the home may be what the fault is about
        folders.append(Home.from_environment().faults)
    folders.append(Path(tempfile.gettempdir()))
    for folder in folders:
        try:
            make_folder(folder)
            path = folder / (name if folder.name == "faults" else f"exp-fault-{name}")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(f"{' '.join(sys.argv)}\n\n{text}")
        except OSError:
            continue
        else:
            return path
    return None
