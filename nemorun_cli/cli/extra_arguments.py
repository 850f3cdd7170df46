"""Arguments that a command does not take, and the options that were probably meant."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli.options import PROGRAM_ARGUMENTS
from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][\w.-]*=", re.ASCII)  # as in `lr=3` or `train.lr=3`


def refuse(ctx: Any, words: Sequence[str]) -> None:
    """Raise UsageError if the words of a command contain more arguments than the command takes.

    A command for programs takes any that follow `--`.
    For an assignment, such as `lr=3` after a spec, the hint is the whole command with the right option.
    """
    extra = list(ctx.args or ctx.params.get(PROGRAM_ARGUMENTS) or ())
    if not extra or ctx.resilient_parsing or (not ctx.args and _follow_dashes(words, len(extra))):
        return
    s = "s" if len(extra) > 1 else ""
    message = f"got unexpected extra argument{s} ({' '.join(extra)})"
    corrected = _corrected(ctx, words, extra) or _with_dashes(ctx, words, extra)
    raise UsageError(message, hint=corrected or f"{ctx.command_path} --help")


def _follow_dashes(words: Sequence[str], count: int) -> bool:
    """Whether the last words, so many, are all that follows `--`."""
    return len(words) > count and words[-count - 1] == "--"


def _with_dashes(ctx: Any, words: Sequence[str], extra: Sequence[str]) -> str | None:
    """The command with `--` before the arguments of a program; None if it has no program."""
    own = list(words)[: -len(extra)]
    if PROGRAM_ARGUMENTS not in ctx.params or [*own, *extra] != list(words) or "--" in words:
        return None
    if not any(word.endswith(".py") for word in own):
        return None
    return f"for arguments of the program: {ctx.command_path} {shlex.join([*own, '--', *extra])}"


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
