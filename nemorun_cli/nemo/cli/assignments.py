"""Splits a `key=value` argument into the place of the value, the operator and the value's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.cli import literals

if TYPE_CHECKING:
    from nemorun_cli.nemo.cli.literals import Written

Step: TypeAlias = "str | int"
"""From a value to one in it: the name of an attribute or a key, or an index."""

_NAME: Final = r"[^\W\d]\w*"
_INDEX: Final = r"""\[\s*(?:-?\d+|'[^']*'|"[^"]*")\s*\]"""
_PATH: Final = rf"{_NAME}(?:\.\w+|{_INDEX})*"
_ASSIGNMENT: Final = re.compile(rf"({_PATH})(\s*)(\+=|-=|\*=|/=|\|=|&=|=)(.*)", re.DOTALL)
_STEP: Final = re.compile(rf"\.?(\w+)|({_INDEX})")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenValue:
    """One argument: `model.hidden*=2` changes the value at ("model", "hidden") by "*=" and 2."""

    argument: str
    steps: tuple[Step, ...]
    operator: str
    value: Written
    is_positional: bool = False

    def below(self) -> WrittenValue:
        """The same one without its first step."""
        return replace(self, steps=self.steps[1:])

    @property
    def path(self) -> str:
        """The place as it was written."""
        return path_of(self.steps)


def split(argument: str) -> WrittenValue | None:
    """The assignment that an argument is; None if it has no operator: it is given by position.

    Raises:
        UsageError: what is left of the operator is no place of a value.
    """
    match = _ASSIGNMENT.fullmatch(argument)
    if match is None:
        if re.match(r"[\w.\[\]'\"-]+\s*[-+*/|&]?=", argument):
            name = re.split(r"[-+*/|&]?=", argument, maxsplit=1)[0]
            raise UsageError(
                f"{argument}: {name!r} is no name of an argument", hint="write name=value or name.field=value"
            )
        return None
    path, space, operator, text = match.groups()
    steps = tuple(_step(*found) for found in _STEP.findall(path))
    # `key = value`, one argument with spaces around the sign, means the value without them.
    value = literals.read(text.strip() if space else text)
    return WrittenValue(argument=argument, steps=steps, operator=operator, value=value)


def _step(name: str, index: str) -> Step:
    if name:
        return name
    inner = index[1:-1].strip()
    return inner[1:-1] if inner[0] in "'\"" else int(inner)


def path_of(steps: tuple[Step, ...]) -> str:
    """A place in the form of an argument: `models[0].hidden`."""
    parts = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps]
    return "".join(parts).removeprefix(".")
