"""The points of a grid in the order in which its trials take them.

Optuna's own grid knows no conditions, and writes the whole grid for each trial.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nemorun_cli.model import search_grid
from nemorun_cli.scheduler.search.faults import ExhaustedFault, SearchFault
from nemorun_cli.scheduler.search.samplers import WHOLE_STUDY, seed_of
from nemorun_cli.scheduler.search.spaces import exact_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.scheduler.search.spaces import OptunaSpace


class Grid:
    """The grid of a rule: its points are shuffled by the seed, so that a part of them covers the space.

    Args:
        rule: the rule.
        space: its space.

    Raises:
        SearchFault: a param can take any number of values, or the grid is too large.
    """

    def __init__(self, rule: SearchRule, space: OptunaSpace) -> None:
        self._space = space
        size = search_grid.size(rule)
        if size is None:
            names = [name for name, param in space.params.items() if search_grid.count(param) is None]
            raise SearchFault(f"a grid needs choices, or a step without log, for {', '.join(names)}")
        if size > search_grid.LARGEST:
            raise SearchFault(f"the grid has {size:,} points, and can have at most {search_grid.LARGEST:,}")
        self._counts = {name: search_grid.count(param) or 1 for name, param in space.params.items()}
        # Not a Generator: what that draws can change with the version of NumPy.
        self._order = np.random.RandomState(seed_of(rule, WHOLE_STUDY)).permutation(size)
        self._taken: set[str] = set()
        self._next = 0  # all points before it are taken

    def take(self, params: Mapping[str, Any]) -> None:
        """Take a point out of the grid."""
        self._taken.add(exact_text(params))

    def point(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The first point that is not taken.

        Args:
            given: values that it has instead of those of the grid, by name; may be empty.

        Raises:
            ExhaustedFault: no point is left.
            SearchFault: a param cannot have a value that is given.
        """
        if given:
            given = {
                name: self._space.outer(name, self._space.inner(name, value)) for name, value in given.items()
            }
            points = (self._at(index, given) for index in range(len(self._order)))
            free = (point for point in points if exact_text(point) not in self._taken)
            return next(free, None) or self._at(0, given)
        while self._next < len(self._order):
            point = self._at(self._next, {})
            if exact_text(point) not in self._taken:
                return point
            self._next += 1
        raise ExhaustedFault(f"the grid has no point left: its {len(self._taken)} points are taken")

    def _at(self, index: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """A point in the shuffled order, without the params whose condition is false."""
        rest = int(self._order[index])
        chosen: dict[str, Any] = {}
        for name, count in self._counts.items():
            rest, digit = divmod(rest, count)
            if self._space.is_active(name, chosen):
                chosen[name] = (
                    given[name] if name in given else search_grid.value(self._space.params[name], digit)
                )
        return chosen
