"""The errors that `exp` raises, each with its exit code.

ExpError                     70
├── UsageError                2   wrong usage
│   ├── SpecError             2   problems in a spec, all of them at once
│   └── InvalidValueError     2   a value that tracking refuses; also a ValueError
├── NotFoundError             3   no such experiment, task, attempt or file
│   └── AmbiguousError        2   a name that matches several
├── NotOverError              4   not finished yet, or tasks that survived a cancel
├── EngineError               6   docker, slurm, ssh: absent, down, refusing
├── LedgerError               7   the ledger cannot be read or written
│   ├── LedgerDamagedError    7   a damaged line that is not part of a torn tail
│   ├── LedgerNewerError      7   written by a newer version
│   ├── UntrustedError         2   another user, or everybody, may change the experiment
│   └── LockHeldError         7   its lock is held too long
├── RunningError              8   an experiment with the same key is running
├── InterruptedExperimentError  9   not finished, and nothing runs
└── StateError               70   an illegal move: a bug in the writer; a record that is not open
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.model.control_characters import LAYOUT, escaped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.problems import Problem


class UnreadableWarning(UserWarning):
    """One of several things cannot be read and is skipped; the message names it and the reason."""

    def __str__(self) -> str:
        """The message, without what could rewrite a terminal: Python prints it."""
        return escaped(super().__str__(), kept=LAYOUT)


class ExpError(Exception):
    """The base class of the errors that `exp` raises; `hint` is the suggested remedy."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None:
            self.add_note(f"hint: {escaped(hint, kept=LAYOUT)}")  # for a traceback in a notebook

    def __str__(self) -> str:
        """The message, without what could rewrite a terminal: Python prints it in a traceback."""
        return escaped(self.message, kept=LAYOUT)


class UsageError(ExpError):
    """A command or a function was used incorrectly."""

    exit_code = 2


class SpecError(UsageError):
    """A spec has problems; `problems` holds all of them, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__(f"the spec has {count} problem{'' if count == 1 else 's'}")
        self.problems = tuple(problems)

    def __str__(self) -> str:
        from nemorun_cli.model import problems  # noqa: PLC0415 - only needed when the error is printed

        return f"{self.message}\n{problems.render(self.problems)}"


class InvalidValueError(UsageError, ValueError):
    """A call of tracking refuses a value, such as a prefix or a name; nothing is recorded."""


class NotFoundError(ExpError):
    """An experiment, task, attempt or file does not exist."""

    exit_code = 3


class AmbiguousError(NotFoundError):
    """A name matches several experiments or tasks; the message lists them."""

    exit_code = 2


class NotOverError(ExpError):
    """The experiment is not finished yet, or in use, or tasks survived a cancel."""

    exit_code = 4


class EngineError(ExpError):
    """An engine is absent, down or refuses."""

    exit_code = 6


class LedgerError(ExpError):
    """The ledger cannot be read or written."""

    exit_code = 7


class LedgerDamagedError(LedgerError):
    """A ledger has a damaged line that is not part of a torn tail; nothing is overwritten."""


class LedgerNewerError(LedgerError):
    """A ledger was written by a newer version than this one."""


class UntrustedError(LedgerError):
    """An experiment belongs to another user, or everybody may write to it: it is not read."""

    exit_code = 2


class LockHeldError(LedgerError):
    """A lock is held too long; the message names the holder."""


class RunningError(ExpError):
    """An experiment with the same key (or name) is not finished."""

    exit_code = 8


class InterruptedExperimentError(ExpError):
    """The experiment is not finished, and no process is left that could finish it."""

    exit_code = 9


class StateError(ExpError, RuntimeError):
    """An illegal move between states: a bug in the ledger's writer, or a record that is not open."""
