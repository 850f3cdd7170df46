"""The points of a grid in the order in which its trials take them.

Optuna's own grid knows no conditions, and writes the whole grid for each trial.
"""

from __future__ import annotations

import json
import math
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from optuna.distributions import CategoricalDistribution

from nemorun_cli.scheduler.search.faults import ExhaustedFault, SearchFault
from nemorun_cli.scheduler.search.samplers import WHOLE_STUDY, seed_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.scheduler.search.spaces import SearchSpace

LARGEST: Final = 1_000_000  # points


class Grid:
    """The grid of a rule: its points are shuffled by the seed, so that a part of them covers the space.

    Args:
        rule: the rule.
        space: its space.

    Raises:
        SearchFault: a param has any number of values, or the grid is too large.
    """

    def __init__(self, rule: SearchRule, space: SearchSpace) -> None:
        self._space = space
        self._values = {name: _values(space, name) for name in space.params}
        self.size = math.prod(map(len, self._values.values()))
        if self.size > LARGEST:
            raise SearchFault(f"the grid has {self.size:,} points, and at most {LARGEST:,} are supported")
        self._order = np.random.RandomState(seed_of(rule, WHOLE_STUDY)).permutation(self.size)
        self._taken: set[str] = set()
        self._next = 0  # all points before it are taken

    def take(self, params: Mapping[str, Any]) -> None:
        """Take a point out of the grid."""
        self._taken.add(_exact(params))

    def point(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The first point that is not taken; some values can be given, which need not be of the grid.

        Raises:
            ExhaustedFault: no point is left.
        """
        for name, value in given.items():
            self._space.inner(name, value)
        if given:
            points = (self._at(index, given) for index in range(self.size))
            free = (point for point in points if _exact(point) not in self._taken)
            return next(free, None) or self._at(0, given)
        while self._next < self.size:
            point = self._at(self._next, {})
            if _exact(point) not in self._taken:
                return point
            self._next += 1
        raise ExhaustedFault(f"the grid has no point left: all of its {len(self._taken)} are taken")

    def _at(self, index: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """A point in the shuffled order, without the params whose condition is false."""
        rest = int(self._order[index])
        chosen: dict[str, Any] = {}
        for name, values in self._values.items():
            rest, digit = divmod(rest, len(values))
            if self._space.is_active(name, chosen):
                chosen[name] = given.get(name, values[digit])
        return chosen


def _values(space: SearchSpace, name: str) -> Sequence[Any]:
    distribution = space.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        return [space.outer(name, index) for index in range(len(distribution.choices))]
    if distribution.low == distribution.high:
        return [space.outer(name, distribution.low)]
    if distribution.step is None or distribution.log:
        raise SearchFault(f"a grid needs the values of {name}: give it choices, or a step without log")
    return list(_steps(space, name, distribution.low, distribution.high, distribution.step))


def _steps(space: SearchSpace, name: str, low: float, high: float, step: float) -> Iterator[Any]:
    for index in count():
        value = low + index * step
        if value > high or index > LARGEST:
            return
        yield space.outer(name, value)


def _exact(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
