"""Conditions over the values of a trial: the key `when` of a param of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import shown
from nemorun_cli.spec.expressions.evaluate import TrialValues, evaluate
from nemorun_cli.spec.expressions.syntax import ROOTS, Expression, TemplateError, parsed, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping


def names_in(condition: str) -> list[str]:
    """The params that a condition uses, in the order of their first use; raises TemplateError."""
    return list(
        dict.fromkeys(
            reference.keys[0]
            for part in pieces(condition)
            if isinstance(part, Expression)
            for reference in parsed(part.code, {}).references
            if reference.root == "search" and reference.keys
        )
    )


def holds(condition: str, values: Mapping[str, Any]) -> bool:
    """Whether a condition is true for the values of the params above it.

    A condition that uses a param without a value in this trial is false, unless it has a default for it, as
    in `search.momentum | default(0) > 0.5`.

    Args:
        condition: the text of `when`, with its braces.
        values: by name; without the params whose own condition is false.

    Raises:
        TemplateError: it cannot be evaluated for these values, or is neither true nor false.
    """
    parts = pieces(condition)
    if len(parts) != 1 or not isinstance(parts[0], Expression):
        raise TemplateError(f"{condition} is not one expression", hint="write ${{ … }} around the whole")
    missing = dict.fromkeys(name for name in names_in(condition) if name not in values)
    names: dict[str, Any] = {root: {} for root in ROOTS}
    names["search"] = TrialValues(values, missing)
    try:
        value = evaluate(parts[0], names, _refuse)
    except TemplateError:
        if missing:
            return False
        raise
    if isinstance(value, bool):
        return value
    raise TemplateError(f"{condition} evaluates to {shown(value)}, not true or false")


def _refuse(code: str, _: Mapping[str, Any]) -> Any:
    """Refuse what would need a process of its own: a sampler evaluates conditions for each trial."""
    raise TemplateError(f"{code} is too complex for a condition", hint="compare params with values")
