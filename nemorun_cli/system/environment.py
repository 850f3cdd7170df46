"""The environment that local tasks inherit from the command that started their supervisor."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of an outer experiment or allocation: a task that saw them would take itself for a part of it.
DROPPED: Final = ("EXP_", "SLURM_")
RECORDED: Final = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LOADEDMODULES", "PYTHONPATH")


def inherited(which: str | tuple[str, ...]) -> dict[str, str]:
    """What a task gets of this process's environment: `all`, `none` or the variables of these names."""
    return dict(_inherited(which))


@cache
def _inherited(which: str | tuple[str, ...]) -> dict[str, str]:
    if which == "none":
        return {}
    everything = {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)}
    if which == "all":
        return everything
    return {name: everything[name] for name in which if name in everything}


def recorded() -> dict[str, str | None]:
    """What decides which programs a task finds; kept so that a resume can tell when it differs."""
    return {name: os.environ.get(name) for name in RECORDED}


def differences(before: Mapping[str, str | None]) -> list[str]:
    """The names of the recorded variables that are not what they were."""
    return [name for name in RECORDED if name in before and before[name] != os.environ.get(name)]
