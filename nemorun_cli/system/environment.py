"""The environment that local tasks inherit from the command that started their supervisor."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# Set by an enclosing experiment or allocation: a task that saw them would behave as a part of it.
DROPPED: Final = ("EXP_", "SLURM_")
SUPERVISOR_VARIABLE: Final = "EXP_SUPERVISOR"  # set for a supervisor, which belongs to no task
RECORDED: Final = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LOADEDMODULES", "PYTHONPATH")


def inherited(which: str | tuple[str, ...]) -> dict[str, str]:
    """The variables that a task inherits from this process: `all`, `none` or those with the given names."""
    return dict(_inherited(which))


def names(which: str | tuple[str, ...]) -> Collection[str]:
    """The names of the variables that `inherited` returns."""
    return _inherited(which).keys()


@cache
def _inherited(which: str | tuple[str, ...]) -> dict[str, str]:
    if which == "none":
        return {}
    variables = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    if which == "all":
        return variables
    return {name: variables[name] for name in which if name in variables}


def recorded() -> dict[str, str | None]:
    """The variables that determine which programs a task finds; stored so that a resume can compare them."""
    return {name: os.environ.get(name) for name in RECORDED}


def differences(before: Mapping[str, str | None]) -> list[str]:
    """The names of the recorded variables whose values have changed."""
    return [name for name in RECORDED if name in before and before[name] != os.environ.get(name)]
