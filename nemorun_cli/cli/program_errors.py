"""Ends a Python program with an error of this package as the command line does: place, remedy, exit code."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


def report_from(program: Path) -> None:
    """Report uncaught errors of this package with the line of this program, unless it has its own way."""
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = functools.partial(_end, program)


def _end(program: Path, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End the program; other errors keep their traceback."""
    if not isinstance(error, ExpError):
        sys.__excepthook__(kind, error, trace)
        return
    from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

    run_built.report(error, program)
    raise SystemExit(error.exit_code)
