"""Axes that are computed: `{range: [0, 10, 2]}` and `{logspace: [1e-5, 1e-1, 5]}` become lists of values."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import Finding, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.model.problems import Place

MOST_VALUES: Final = 100_000  # as members of a sweep
DIGITS: Final = 12  # significant digits of a value of `logspace`, so that 1e-3 is not 0.0010000000000000002


class AxisError(ValueError):
    """An axis cannot be computed; `hint` is what to write."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def listed(section: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], list[Finding]]:
    """Return a matrix in which computed axes are lists, and the errors; such axes stay as they are.

    Args:
        section: the matrix, its expressions filled in; it has passed the schema.
        place: its place in the spec.
    """
    axes = dict(section)
    findings = []
    for axis, value in section.items():
        if not isinstance(value, dict):
            continue
        for name, compute in _FORMS.items():
            if name not in value:
                continue
            try:
                axes[axis] = compute(value[name])
            except AxisError as fault:
                where = (*place, axis, name)
                findings.append(Finding(place=where, message=fault.message, hint=fault.hint))
    return axes, findings


def range_of(bounds: Sequence[float]) -> list[float]:
    """Return the numbers from the first bound up to, but without, the second one, as Python's `range`.

    Decimal steps are exact: `[0, 1, 0.1]` has 0.3.

    Raises:
        AxisError: a bound is not finite, the step is zero, or there are no such numbers, or too many.
    """
    _require_finite(bounds)
    first, end, step = (Fraction(str(number)) for number in (*bounds, 1)[:3])
    if not step:
        raise AxisError("has a step of 0")
    count = max(0, math.ceil((end - first) / step))
    if not count:
        raise AxisError(
            f"has no values: from {shown(bounds[0])} to {shown(bounds[1])} in steps of {float(step):g}",
            "write [start, stop, step]; stop itself is left out",
        )
    _require_few(count)
    are_whole = all(type(number) is not float and isinstance(number, int) for number in bounds)
    numbers = (first + index * step for index in range(count))
    return [int(number) if are_whole else float(number) for number in numbers]


def logspace_of(bounds: Sequence[float]) -> list[float]:
    """Return so many numbers from the first bound to the second, both included, each the same factor apart.

    Raises:
        AxisError: a bound is not positive and finite, or the number of values is not from 2 on.
    """
    low, high, count = bounds
    _require_finite(bounds)
    if not isinstance(count, int) or isinstance(count, bool) or count < 2:  # noqa: PLR2004 - both ends
        raise AxisError(f"has {shown(count)} values", "the third number is how many values, from 2 on")
    if low <= 0 or high <= 0:
        hint = "write [low, high, count] with the values themselves, such as [1e-5, 1e-1, 5]"
        raise AxisError(f"has the bound {shown(low if low <= 0 else high)}, which has no logarithm", hint)
    _require_few(count)
    start, width = math.log10(low), math.log10(high) - math.log10(low)
    between = (10 ** (start + width * index / (count - 1)) for index in range(1, count - 1))
    are_whole = isinstance(low, int) and isinstance(high, int)
    values = [low, *(_rounded(number, are_whole=are_whole) for number in between), high]
    return [int(value) if are_whole and value == int(value) else float(value) for value in values]


def _rounded(number: float, *, are_whole: bool) -> float:
    value = float(f"{number:.{DIGITS}g}")
    return int(value) if are_whole and value.is_integer() else value


def _require_finite(bounds: Sequence[float]) -> None:
    for number in bounds:
        if not math.isfinite(number):
            raise AxisError(f"has the bound {shown(number)}, which is not finite")


def _require_few(count: int) -> None:
    if count > MOST_VALUES:
        raise AxisError(f"has {count:,} values, which is more than {MOST_VALUES:,}")


_FORMS: Final[Mapping[str, Callable[[Sequence[float]], list[float]]]] = {
    "range": range_of,
    "logspace": logspace_of,
}
