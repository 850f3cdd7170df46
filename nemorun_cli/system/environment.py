"""The environment that local tasks inherit from the command that started their supervisor."""

from __future__ import annotations

import contextlib
import errno
import os
from functools import cache
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import tracking_switch
from nemorun_cli.system import owners

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

# Set by an enclosing experiment or allocation: a task that saw them would behave as a part of it.
DROPPED: Final = ("EXP_", "SLURM_")
SUPERVISOR_VARIABLE: Final = "EXP_SUPERVISOR"  # set for a supervisor, which belongs to no task
POINTER: Final = 9  # bytes that each text needs in addition to its own
SLACK: Final = 16 << 10  # bytes for what launchers and login files add
LONGEST_STRING: Final = 128 << 10  # bytes of one variable that Linux accepts
RECORDED: Final = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LOADEDMODULES", "PYTHONPATH")


@contextlib.contextmanager
def withholding(variables: Mapping[str, str]) -> Iterator[None]:
    """Keep variables with secrets out of the environment of this process, and of those it starts, meanwhile.

    Args:
        variables: the values by name.
    """
    present = {name: os.environ.pop(name) for name in variables if name in os.environ}
    _withheld.update(variables)
    _inherited.cache_clear()
    try:
        yield
    finally:
        os.environ.update(present)
        _withheld.clear()
        _inherited.cache_clear()


_withheld: dict[str, str] = {}


def inherited(which: str | tuple[str, ...], *, secrets: Collection[str] = ()) -> dict[str, str]:
    """The variables that a task inherits from this process: `all`, `none` or those with the given names.

    Of the variables that secrets come from, these are the ones that it names, or with `all` those whose
    value is among its own `secrets`.
    """
    own = {name: value for name, value in _withheld.items() if value in secrets} if which == "all" else {}
    return {**_inherited(which), **own, **withheld(which)}


def withheld(which: str | tuple[str, ...]) -> dict[str, str]:
    """The variables that secrets come from and that a task names in `env_inherit`."""
    return {name: _withheld[name] for name in which if name in _withheld} if isinstance(which, tuple) else {}


def names(which: str | tuple[str, ...]) -> Collection[str]:
    """The names of the variables that `inherited` returns."""
    return _inherited(which).keys()


@cache
def _inherited(which: str | tuple[str, ...]) -> dict[str, str]:
    if which == "none":
        return {}
    if which == "all":
        return {name: value for name, value in os.environ.items() if not _is_dropped(name)}
    # A local driver inside of an allocation names SLURM_JOB_ID, by which its srun finds the allocation.
    return {
        name: os.environ[name]
        for name in which
        if name in os.environ and (not name.startswith("EXP_") or name == tracking_switch.VARIABLE)
    }


def _is_dropped(name: str) -> bool:
    """Whether a variable is of the enclosing experiment; trust and the switch of tracking are the user's."""
    return name.startswith(DROPPED) and name not in {owners.VARIABLE, tracking_switch.VARIABLE}


def require_fit(env: Mapping[str, str], argv: Iterable[str]) -> None:
    """Check that the system can start a program with this environment and these arguments.

    Raises:
        OSError: E2BIG; the message has the sizes.
    """
    texts = [*(f"{name}={value}" for name, value in env.items()), *argv]
    size = sum(len(os.fsencode(text)) + POINTER for text in texts)
    most = os.sysconf("SC_ARG_MAX") - SLACK
    longest = max(env, key=lambda name: len(env[name]), default="")
    if size > most:
        sizes = f"{size >> 10} KiB, of which the system takes {most >> 10}"
        reason = f"{len(env)} variables and the arguments have {sizes}"
    elif len(os.fsencode(env.get(longest, ""))) + len(longest) >= LONGEST_STRING:
        reason = f"{longest} has more than {LONGEST_STRING >> 10} KiB, which the system does not take"
    else:
        return
    raise OSError(errno.E2BIG, f"its environment is too big: {reason}; pass large values in files")


def recorded() -> dict[str, str | None]:
    """The variables that determine which programs a task finds; stored so that a resume can compare them."""
    return {name: os.environ.get(name) for name in RECORDED}


def differences(before: Mapping[str, str | None]) -> list[str]:
    """The names of the recorded variables whose values have changed."""
    return [name for name in RECORDED if name in before and before[name] != os.environ.get(name)]
