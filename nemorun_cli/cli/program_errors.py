"""Ends a Python program with an error of this package as the command line does: place, remedy, exit code."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from types import TracebackType


def report_from(program: str) -> None:
    """Report uncaught errors of this package with the line of this program, unless it has its own way."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = functools.partial(_end, program)


def _end(program: str, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End the program; other errors keep their traceback."""
    if not isinstance(error, ExpError):
        sys.__excepthook__(kind, error, trace)
        return
    from pathlib import Path  # noqa: PLC0415 - only for an error

    from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

    run_built.report(error, Path(program))
    raise SystemExit(error.exit_code)
