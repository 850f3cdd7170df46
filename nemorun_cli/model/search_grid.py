"""The points of a grid: every combination of the values of a search's params."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.search import ParamKind

if TYPE_CHECKING:
    from nemorun_cli.model.search import SearchParam, SearchRule


MOST_POINTS: Final = 1_000_000


def count(param: SearchParam) -> int:
    """How many values a param has: choices, whole numbers, or numbers with a step."""
    if param.kind is ParamKind.CHOICES:
        return len(param.choices)
    if param.low == param.high:
        return 1
    low, high, step = (Decimal(str(number)) for number in (param.low, param.high, param.step or 1))
    return int((high - low) // step) + 1


def size(rule: SearchRule) -> int:
    """How many points the grid of a search has, without regard to conditions."""
    return math.prod(map(count, rule.params))
