"""The values that the params of a grid take, and how many points it has. Pure functions."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.search import ParamKind

if TYPE_CHECKING:
    from nemorun_cli.model.search import SearchParam, SearchRule

LARGEST: Final = 1_000_000  # points of a grid


def count(param: SearchParam) -> int | None:
    """How many values a param of a grid takes; None if any number of them."""
    if param.kind is ParamKind.CHOICES:
        return len(param.choices)
    assert param.low is not None  # noqa: S101 - a number has a range
    assert param.high is not None  # noqa: S101 - the same
    if param.low == param.high:
        return 1
    if param.log or (param.kind is ParamKind.FLOAT and param.step is None):
        return None
    return int((_exactly(param.high) - _exactly(param.low)) / _step(param)) + 1


def value(param: SearchParam, index: int) -> Any:
    """One of the values of a param of a grid, in the order of the spec; `index` is less than its `count`."""
    if param.kind is ParamKind.CHOICES:
        return param.choices[index]
    assert param.low is not None  # noqa: S101 - a number has a range
    number = _exactly(param.low) + index * _step(param)
    return int(number) if param.kind is ParamKind.INT else float(number)


def size(rule: SearchRule) -> int | None:
    """How many points a grid has; fewer, where conditions make some of them equal.

    None if some param can take any number of values, for which there is no grid.
    """
    counts = [count(param) for param in rule.params]
    return None if None in counts else math.prod(number for number in counts if number is not None)


def _step(param: SearchParam) -> Decimal:
    return Decimal(1) if param.step is None else _exactly(param.step)


def _exactly(number: float) -> Decimal:
    """A number as it is written: three times 0.1 is 0.3."""
    return Decimal(str(number))
