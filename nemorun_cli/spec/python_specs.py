"""Python programs as specs: runs one until it would run or show an experiment."""

from __future__ import annotations

import contextlib
import runpy
import sys
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from nemorun_cli.errors import ExpError, SpecError, UsageError
from nemorun_cli.executors import run_partial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class BuiltSpec(Protocol):
    """The data of a spec that a program built; a `nemorun_cli.Builder` has this form.

    Attributes:
        path: the program.
        lines: by the place of a value in the spec, the line of the program that set it, counted from 1.
        wanted_id: the id that the experiment gets unless it is taken; None for one of its creation time.
        key: the logical run that the program names, if it does.
    """

    path: Path
    lines: dict[tuple[str, ...], int]
    wanted_id: str | None
    key: str | None

    @property
    def spec(self) -> dict[str, Any]:
        """The content of an equivalent YAML file."""

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """Plugin objects, each with its tasks; None for all tasks."""


class Built(BaseException):
    """Carries a built spec to the command that runs the program; `except Exception` does not catch it."""

    def __init__(self, builder: BuiltSpec, sets: list[str]) -> None:
        super().__init__("built")
        self.builder, self.sets = builder, sets


_only_build: ContextVar[bool] = ContextVar("only_build", default=False)


def only_builds() -> bool:
    """Whether a command runs the program only for what it builds."""
    return _only_build.get()


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Within the block a program that would run or show an experiment raises Built instead.

    It can import `nemo_run`, which leads to NeMo-Run if that is installed.
    """
    token, finder = _only_build.set(True), run_partial.NemoRunName
    sys.meta_path.append(finder)  # last: it is asked for what no other has
    try:
        yield
    finally:
        _only_build.reset(token)
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if finder.is_own(module)]:
            del sys.modules[name]


def is_building() -> bool:
    """Whether the program is run by a command that only needs the built spec."""
    return _only_build.get()


def hand_over(builder: BuiltSpec, sets: list[str]) -> None:
    """Leave the program by raising Built, if the command only needs the built spec."""
    if is_building():
        raise Built(builder, sets)


def run(path: Path, arguments: Sequence[str] = ()) -> tuple[BuiltSpec, list[str]]:
    """Run a Python program until it would run or show an experiment, and return what it built.

    Args:
        path: the program.
        arguments: its `sys.argv[1:]`.

    Raises:
        UsageError: the program fails, or ends before that.
        SpecError: the program checks or starts a spec that has problems.
    """
    code: object = None
    try:
        with building(), _as_main(path, arguments), contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(path), run_name="__main__")
    except Built as built:
        return built.builder, built.sets
    except SystemExit as stop:
        code = stop.code
    except SpecError:
        raise  # its problems have their own places
    except Exception as error:  # a user's program may raise anything
        raise UsageError(f"{place_of(error, path)}: {_text_of(error)}", hint=_remedy(error, path)) from error
    if code not in (None, 0):
        ended = f"exit code {code}" if isinstance(code, int) else str(code)
        raise UsageError(f"{path} ended before it ran an experiment: {ended}", hint=_ARGUMENTS_HINT)
    raise UsageError(
        f"{path} runs no experiment", hint="create a nemorun_cli.Builder, add tasks to it, and call its run()"
    )


_ARGUMENTS_HINT: Final = "a program gets the arguments that follow --: exp run PROGRAM -- ARGS"


def _text_of(error: Exception) -> str:
    """An error in one line: an error of ours by its message alone, any other with its class."""
    if isinstance(error, ExpError):
        return error.message
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _remedy(error: Exception, path: Path) -> str:
    if isinstance(error, ExpError) and error.hint:
        return error.hint
    if isinstance(error, ModuleNotFoundError):
        return f"install it for {sys.executable}, or run the program with its own Python: python {path}"
    return f"to see the traceback: python {path}"


def place_of(error: BaseException, program: Path) -> str:
    """The program, with the line that was at work when an error was raised in it.

    For a syntax error, that line is the one that cannot be parsed, also of a module that it imports.
    """
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}:{error.lineno}"
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(program)]
    return f"{program}:{own[-1].lineno}" if own else str(program)


@contextlib.contextmanager
def _as_main(path: Path, arguments: Sequence[str]) -> Iterator[None]:
    argv, search = list(sys.argv), list(sys.path)
    sys.argv[:] = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.argv[:], sys.path[:] = argv, search
