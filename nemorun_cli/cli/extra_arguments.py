"""Arguments that a command does not have, and the options that were probably meant."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][\w.-]*=", re.ASCII)  # as in `lr=3` or `train.lr=3`


def refuse(ctx: Any, words: Sequence[str]) -> None:
    """Raise UsageError if the words of a command contain more arguments than the command takes.

    For an assignment, such as `lr=3` after a spec, the hint is the whole command with the right option.
    """
    extra = list(ctx.args)
    if not extra or ctx.resilient_parsing:
        return
    s = "s" if len(extra) > 1 else ""
    message = f"got unexpected extra argument{s} ({' '.join(extra)})"
    raise UsageError(message, hint=_corrected(ctx, words, extra) or f"{ctx.command_path} --help")


def _corrected(ctx: Any, words: Sequence[str], extra: Sequence[str]) -> str | None:
    """The command with an option before each assignment; None if some extra argument is not one."""
    names = {option for parameter in ctx.command.params for option in parameter.opts}
    if not {"-p", "--set"} <= names or not all(map(_ASSIGNMENT.match, extra)):
        return None
    corrected: list[str] = []
    left = list(extra)
    for word in reversed(words):  # the extra arguments are the last ones
        corrected.append(word)
        if left and word == left[-1]:
            corrected.append(_option(left.pop()))
    return f"{ctx.command_path} {shlex.join(reversed(corrected))}"


def _option(assignment: str) -> str:
    """`--set` for a field of the spec, such as `run.max_parallel=2`, and `-p` for a param."""
    from nemorun_cli.spec.schema import walk  # noqa: PLC0415 - only after wrong usage

    first, dot, _ = assignment.partition("=")[0].partition(".")
    return "--set" if dot and first in walk.properties(walk.experiment()) else "-p"
