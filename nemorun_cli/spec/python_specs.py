"""Python programs in the place of a spec: run up to where they would run or show an experiment."""

from __future__ import annotations

import contextlib
import runpy
import sys
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class BuiltSpec(Protocol):
    """What a program hands over: the data of a spec, as a `nemorun_cli.Builder` holds it."""

    path: Path

    @property
    def spec(self) -> dict[str, Any]:
        """What a YAML file would hold."""

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """Plugins that were made, each with the tasks that it is for; None for all."""


class Built(BaseException):
    """What a program builds, on its way to the command that asked; no `except Exception` keeps it."""

    def __init__(self, builder: BuiltSpec, sets: list[str]) -> None:
        super().__init__("built")
        self.builder, self.sets = builder, sets


_asked: ContextVar[bool] = ContextVar("asked", default=False)


def hand_over(builder: BuiltSpec, sets: list[str]) -> None:
    """Leave the program here, if a command only wants to know what it builds."""
    if _asked.get():
        raise Built(builder, sets)


def run(path: Path) -> tuple[BuiltSpec, list[str]]:
    """What a Python program builds: it is run up to where it would run or show an experiment.

    Raises:
        UsageError: it fails, or ends without that.
    """
    token = _asked.set(True)
    try:
        with _as_main(path), contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(path), run_name="__main__")
    except Built as built:
        return built.builder, built.sets
    except SystemExit:
        pass
    except Exception as error:  # the user's own program may raise anything
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f":{own[-1].lineno}" if own else ""
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}{line}: {message}", hint=getattr(error, "hint", None)) from error
    finally:
        _asked.reset(token)
    raise UsageError(
        f"{path} runs no experiment", hint="make a nemorun_cli.Builder, add tasks to it, and call its run()"
    )


@contextlib.contextmanager
def _as_main(path: Path) -> Iterator[None]:
    argv, search = list(sys.argv), list(sys.path)
    sys.argv[:] = [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.argv[:], sys.path[:] = argv, search
