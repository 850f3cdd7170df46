"""The frame of the command line: the table of commands, their lookup, and the handling of their errors.

A command is a module of `nemorun_cli.cli.commands` with a function `command`, which returns the exit
code (None is 0) and raises the classes of `errors`. Only the module of the command that runs is imported.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import os
import sys
import time
import warnings
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer
import typer.core
import typer.main

from nemorun_cli.cli import terminal, wrapping
from nemorun_cli.cli.subcommands import SUBCOMMANDS
from nemorun_cli.errors import ExpError, LedgerError, SpecError, UnreadableWarning, UsageError
from nemorun_cli.model.control_characters import LAYOUT, escaped
from nemorun_cli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from nemorun_cli.json_documents import ErrorDocument

# The commands under their headings in `exp --help`; each line is the first line of the command's own help.
SECTIONS: Final = {
    "Start and stop": {
        "init": "Create a starter spec.",
        "schema": "Explain the keys of a spec.",
        "validate": "Check a spec and report all its problems.",
        "run": "Run an experiment from a spec.",
        "resume": "Continue an interrupted, failed or cancelled experiment.",
        "rerun": "Start a new experiment from the spec of an earlier one.",
        "cancel": "Cancel an experiment or some of its tasks.",
    },
    "Inspect": {
        "list": "List experiments, newest first.",
        "status": "Show an experiment's status.",
        "attach": "Watch a running experiment, as `exp run` does.",
        "logs": "Print the output of tasks.",
        "why": "Explain why a task is waiting, failed or was skipped.",
        "wait": "Wait for an experiment to finish.",
        "show": "Show all details of an experiment.",
        "graph": "Draw tasks and their dependencies.",
        "events": "Print the events of an experiment's ledger.",
    },
    "Results": {
        "metrics": "Show, plot or follow metrics.",
        "params": "Show the params of experiments and tasks.",
        "files": "List the files saved in records, or copy them out.",
        "records": "List records by prefix, status and tag.",
        "compare": "Compare experiments, members of a sweep or records.",
        "diff": "Show the differences between two experiments.",
        "report": "Write an experiment into one HTML file.",
    },
    "Organize": {
        "tag": "Add and remove tags of an experiment or record.",
        "note": "Add a note to an experiment or record, or show the notes.",
        "close": "End records whose writer has terminated.",
        "rm": "Move experiments or records to the trash, or restore them.",
    },
    "Share": {
        "login": "Log in to a server.",
        "logout": "Log out of a server.",
        "whoami": "Show who you are on a server.",
        "sync": "Deliver to servers what has not arrived there yet.",
        "serve": "Serve records and experiments to browsers and other machines.",
    },
    "Repair": {
        "doctor": "Check the engines that run tasks and suggest fixes.",
        "fsck": "Check an experiment's ledger and repair it.",
        "gc": "Remove leftovers and old experiments.",
    },
}
COMMANDS: Final = {name: line for section in SECTIONS.values() for name, line in section.items()}

FAULT: Final = 70  # the exit code of a fault in `exp` itself
BROKEN_PIPE: Final = 141  # what a shell reports for a program that SIGPIPE ended
COMPLETION: Final = "_EXP_COMPLETE"  # set by the completion scripts of shells
ERROR_FORMAT: Final = "exp.error/1"
EXAMPLES: Final = "Examples:"  # the heading of the examples in a command's docstring

# Click's class, reached through Typer's public names: newer versions of Typer include a Click of their own.
_UsageError: Any = typer.BadParameter.__base__


class _ReaderClosedError(Exception):
    """Standard output is a pipe whose reader closed it."""


class _AsGiven:
    """Replaces a parameter's conversion; see `_unconverted`."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        del ctx
        return () if value is None and (param.multiple or param.nargs == -1) else value


def _unconverted(parameters: list[Any]) -> list[Any]:
    """The parameters, without conversion of their values: text, lists of text and flags.

    Newer versions of Typer validate even text with pydantic, whose import takes longer than most of
    our commands, and all our parameters are text or flags. Versions of Typer without that conversion
    need no change.
    """
    for parameter in parameters:
        if hasattr(parameter, "get_runtime_param"):
            parameter.get_runtime_param = _AsGiven
    return parameters


def negative(parameter: Any) -> str | None:
    """The `--no-…` form of a flag; None for other parameters, for `--help`, and if the flag declares one."""
    if not getattr(parameter, "is_flag", False) or parameter.is_eager or parameter.secondary_opts:
        return None
    name = next(option for option in parameter.opts if option.startswith("--"))
    return f"--no-{name.removeprefix('--')}"


class _FittingHelp:
    """Makes the examples in a help fit the terminal; Click does not wrap them."""

    help: str | None

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write the text of the help."""
        text, begin, examples = (self.help or "").partition(f"{EXAMPLES}\n")
        width = formatter.width - formatter.current_indent - wrapping.INDENT
        lines = [piece for line in examples.splitlines() for piece in wrapping.fitted_example(line, width)]
        whole, self.help = self.help, text + begin + "\n".join(lines)
        try:
            super().format_help_text(ctx, formatter)  # type: ignore[misc]
        finally:
            self.help = whole


class ExpCommand(_FittingHelp, typer.core.TyperCommand):
    """One command, without conversion of parameters; its flags have `--no-…` forms that the help omits.

    Attributes:
        takes_signed_words: whether words with a single dash, such as `-best`, are arguments of it.
    """

    takes_signed_words = False

    def get_params(self, ctx: Any) -> Any:
        """All parameters, including `--help`."""
        return _unconverted(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line; arguments that the command does not take are wrong usage."""
        if self.takes_signed_words:
            from nemorun_cli.cli import signed_words  # noqa: PLC0415 - only for commands that take them

            args = signed_words.behind_dashes(args, self.params)
        words = list(args)  # the parser empties the list
        rest = super().parse_args(ctx, args)
        if ctx.args or ctx.params.get("arguments"):
            from nemorun_cli.cli import extra_arguments  # noqa: PLC0415 - only for wrong usage

            extra_arguments.refuse(ctx, words)
        return rest

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words of the usage line; Typer puts braces around a required argument."""
        pieces = [piece if "|" in piece else piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]
        return [piece.replace("[-- ARGS]...", "[-- ARGS]") for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; Typer adds a type to each argument, which is always text."""
        for kind, heading in (("argument", "Arguments"), ("option", "Options")):
            parameters = [known for known in self.get_params(ctx) if known.param_type_name == kind]
            rows = [row for known in parameters if (row := known.get_help_record(ctx)) is not None]
            if kind == "argument":
                rows = [(name.partition(" <")[0], text) for name, text in rows]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)
        if longer := [(name, line) for name, line in SUBCOMMANDS.items() if name.startswith(f"{self.name} ")]:
            with formatter.section("Commands"):
                formatter.write_dl(longer)

    def make_parser(self, ctx: Any) -> Any:
        """The parser of the options, including the negative form of each flag."""
        parser = super().make_parser(ctx)
        for parameter in self.get_params(ctx):
            if option := negative(parameter):
                parser.add_option(
                    obj=parameter, opts=[option], dest=parameter.name, action="store_const", const=False
                )
        return parser


class CommandGroup(_FittingHelp, typer.core.TyperGroup):
    """The commands, each a stub with its name and one line of help until it runs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, line in COMMANDS.items():
            self.add_command(ExpCommand(name, help=line, short_help=line, rich_markup_mode=None))

    def get_params(self, ctx: Any) -> Any:
        """All parameters of the group itself."""
        return _unconverted(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under their headings, in one column."""
        del ctx
        width = max(map(len, COMMANDS))
        for heading, section in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), line) for name, line in section.items()])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; hides a broken pipe from Click, which would turn it into exit code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderClosedError from error

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The name, the command to run in place of its stub, and its arguments."""
        name, stub, rest = super().resolve_command(ctx, args)
        if stub is None or name not in COMMANDS:
            return name, stub, rest
        for longer in SUBCOMMANDS:
            first, *words = longer.split()
            if first == name and rest[: len(words)] == words:
                return longer, build(longer), rest[len(words) :]
        return name, build(name), rest


@cache
def build(name: str) -> Any:
    """The command of this name, ready to run; imports its module."""
    module = importlib.import_module(f"nemorun_cli.cli.commands.{name.replace(' ', '_')}")
    application = typer.Typer(add_completion=False, rich_markup_mode=None)
    text = _help_text(module.command)
    application.command(name, cls=ExpCommand, help=text, context_settings=_COMMAND_SETTINGS)(module.command)
    command = typer.main.get_command(application)
    command.takes_signed_words = getattr(module, "TAKES_SIGNED_WORDS", False)  # type: ignore[attr-defined]
    return command


def _help_text(function: Any) -> str:
    """The docstring of a command, whose examples Click must not join into one paragraph."""
    text = inspect.getdoc(function) or ""
    return text.replace(f"\n\n{EXAMPLES}\n", f"\n\n\b\n{EXAMPLES}\n")


_SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
_COMMAND_SETTINGS: Final = {**_SETTINGS, "allow_extra_args": True}  # `extra_arguments` refuses them


def _version(is_requested: bool) -> None:  # noqa: FBT001 - how Typer calls back
    if is_requested:
        terminal.write_line(f"exp {__version__}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Run multi-task machine-learning experiments described in YAML.

    Examples:
      exp init hello && exp run hello.yaml    create a spec and run it
      exp status                              show the latest experiment
      exp COMMAND --help                      show a command's options
    """
    del version  # its callback prints it


@cache
def application() -> Any:
    """The whole command line as a Click group."""
    app = typer.Typer(
        cls=CommandGroup, rich_markup_mode=None, context_settings=_SETTINGS, no_args_is_help=True
    )
    app.callback(help=_help_text(_root))(_root)
    return typer.main.get_command(app)


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; errors are reported, never raised."""
    is_json = "--json" in itertools.takewhile(lambda word: word != "--", argv)
    terminal.take_any_text()
    with warnings.catch_warnings():
        _show_unreadable()
        return _run(argv, is_json=is_json)


def _show_unreadable() -> None:
    """Report once each thing that cannot be read and is skipped."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        if not issubclass(category, UnreadableWarning):
            text = warnings.formatwarning(message, category, filename, lineno)
            terminal.say_lines(text.rstrip().split("\n"))
        elif str(message) not in shown:
            shown.add(str(message))
            terminal.warn(str(message))

    warnings.showwarning = show  # type: ignore[assignment] # `_` has its other arguments
    warnings.simplefilter("always", UnreadableWarning)


def _run(argv: Sequence[str], *, is_json: bool) -> int:
    try:
        if (instruction := os.environ.get(COMPLETION, "")).startswith("complete_"):
            from nemorun_cli.cli import completion_words  # noqa: PLC0415 - only for completion

            completion_words.complete(instruction, lambda: _main(argv))
        code = _main(argv)
        terminal.flush()
    except SystemExit as ending:  # completion exits directly
        return ending.code if isinstance(ending.code, int) else 0
    except BaseException as error:  # noqa: BLE001 - the end of the process: every error must be reported
        return _end(error, argv, is_json=is_json)
    return code if isinstance(code, int) else 0


def _main(argv: Sequence[str]) -> Any:
    return application().main(list(argv), prog_name=terminal.PROGRAM, standalone_mode=False)


def _end(error: BaseException, argv: Sequence[str], *, is_json: bool) -> int:
    """Report an error and return its exit code."""
    if isinstance(error, (BrokenPipeError, _ReaderClosedError)):
        terminal.forget_output()
        return BROKEN_PIPE
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return terminal.INTERRUPTED
    if isinstance(error, _UsageError):
        if _is_help(error) and not is_json:
            terminal.say_lines(error.format_message().split("\n"))
            return int(error.exit_code)
        error = _usage(error, argv)
    if isinstance(error, FileNotFoundError) and not _has_folder():
        error = UsageError("the working folder was removed", hint="cd to a folder that exists")
    if isinstance(error, OSError) and error.filename is not None:
        error = _inaccessible(error) or error
    if not isinstance(error, ExpError):
        error = _fault(error)
    _report(error, is_json=is_json)
    return error.exit_code


def _inaccessible(error: OSError) -> ExpError | None:
    """The error about a file of an experiment, or of another user; None if it is a fault of `exp`."""
    from nemorun_cli.storage.paths import ANOTHER_HOME, Home  # noqa: PLC0415 - only after an error
    from nemorun_cli.system import user  # noqa: PLC0415 - the same

    path = str(error.filename)
    owner = user.owner(path)
    text = f"cannot access {path}: {error.strerror}" + (f" (it belongs to {owner})" if owner else "")
    try:
        home = Home.from_environment()
    except UsageError as unusable:
        return unusable
    if path.startswith(tuple(f"{root}{os.sep}" for root in home.roots)):
        return LedgerError(text, hint="ask its owner for access" if owner else None)
    if not isinstance(error, PermissionError):
        return None
    return UsageError(text, hint=ANOTHER_HOME if path.startswith(f"{home.directory}") else None)


def _has_folder() -> bool:
    """Whether the working folder still exists."""
    try:
        os.getcwd()  # noqa: PTH109 - the same, and only to see whether it works
    except FileNotFoundError:
        return False
    return True


def _is_help(error: Any) -> bool:
    """Whether Click asks for the help to be shown, because there were no arguments."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _usage(error: Any, argv: Sequence[str]) -> ExpError:
    """Click's error about wrong usage, as one of our errors."""
    words = [terminal.PROGRAM, *(name for name in argv[:1] if name in COMMANDS)]
    command = error.ctx.command_path if error.ctx and error.ctx.parent else " ".join(words)
    text = error.format_message()
    if _is_help(error):
        text = "no command was given"
    usage_error = ExpError(text[:1].lower() + text[1:].rstrip("."), hint=f"{command} --help")
    usage_error.exit_code = error.exit_code
    return usage_error


def _report(error: ExpError, *, is_json: bool) -> None:
    from nemorun_cli.model import masking  # noqa: PLC0415 - only after an error

    if is_json:
        try:
            terminal.write_json(masking.mask_document(error_document(error)))
            terminal.flush()
        except (ExpError, BrokenPipeError):
            terminal.forget_output()
    else:
        terminal.say_lines(f"{terminal.PROGRAM}: {masking.mask_known(describe(error))}".split("\n"))


def describe(error: ExpError) -> str:
    """An error for people: the message, all problems with their lines, and a hint."""
    parts = [error.message]
    if isinstance(error, SpecError):
        from nemorun_cli.model import problems  # noqa: PLC0415 - only for specs with problems

        parts.append(problems.render(error.problems, width=terminal.width(sys.stderr)))
    if error.hint:
        parts.append(f"hint: {error.hint}")
    return "\n".join(parts)


def error_document(error: ExpError) -> ErrorDocument:
    """The document `exp.error/1`."""
    problems = [problem.to_json() for problem in error.problems] if isinstance(error, SpecError) else []
    return cast(
        "ErrorDocument",
        {
            "schema": ERROR_FORMAT,
            "code": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "problems": problems,
        },
    )


def _fault(error: BaseException) -> ExpError:
    """An unexpected error; its traceback is saved in a file that the message names."""
    import traceback  # noqa: PLC0415 - only after a fault

    from nemorun_cli.model import masking  # noqa: PLC0415 - the same

    text = masking.mask_known("".join(traceback.format_exception(error)))
    path = _save(text)
    summary = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    summary = masking.mask_known(summary)
    where = f"traceback saved in {path}" if path else f"traceback:\n{text}"
    return ExpError(f"internal error in exp: {summary} ({where})", hint="please report it with the traceback")


def _without_values(argv: Sequence[str]) -> Iterator[str]:
    """The command line without values of params and arguments of programs, which may be secret.

    The file that it is written to is meant to be sent.
    """
    is_value = is_of_program = False
    for word in argv:
        if is_of_program:
            yield "***"
            continue
        is_of_program = word == "--"
        is_joined = word.startswith(("-p", "--param=", "--set="))
        name, equals, _ = word.removeprefix("--param=").removeprefix("--set=").partition("=")
        lead = word[: word.index(name)] if name else ""
        yield f"{lead}{name}=***" if (is_value or is_joined) and equals else word
        is_value = word in ("-p", "--param", "--set")


def _save(text: str) -> Path | None:
    """The file in which the traceback was saved; None if no folder is writable."""
    import tempfile  # noqa: PLC0415 - only after a fault
    from pathlib import Path  # noqa: PLC0415 - the same

    from nemorun_cli.storage.paths import Home  # noqa: PLC0415 - the same
    from nemorun_cli.system.files import FILE_MODE, make_folder  # noqa: PLC0415 - the same

    name = f"{int(time.time())}-{os.getpid()}.txt"
    folders = []
    with contextlib.suppress(ExpError, OSError, RuntimeError):  # the home may have caused the fault
        folders.append(Home.from_environment().faults)
    folders.append(Path(tempfile.gettempdir()))
    for folder in folders:
        try:
            make_folder(folder)
            path = folder / (name if folder.name == "faults" else f"exp-fault-{name}")
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
                stream.write(escaped(f"{' '.join(_without_values(sys.argv))}\n\n{text}", kept=LAYOUT))
        except OSError:
            continue
        else:
            return path
    return None
