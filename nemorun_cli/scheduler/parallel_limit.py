"""The limit of tasks that run at once, and which tasks it counts; for the supervisor and for `exp why`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from nemorun_cli import executors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelLimit:
    """How many tasks of an experiment may run at once.

    Attributes:
        most: the limit.
        is_set: whether it is `run.max_parallel`, and not the number of CPUs.
        counts: by executor, whether its tasks count toward the limit.
    """

    most: int
    is_set: bool
    counts: Mapping[str, bool]

    @classmethod
    def of(cls, spec: Spec) -> Self:
        """The limit of a spec. With `run.max_parallel`, the tasks of all executors count."""
        is_set = spec.run.max_parallel is not None
        names = {task.executor for task in spec.possible_tasks}
        return cls(
            most=spec.run.max_parallel or os.cpu_count() or 1,
            is_set=is_set,
            counts={name: is_set or _counts(name, spec) for name in names},
        )


def _counts(name: str, spec: Spec) -> bool:
    options = spec.executors.get(name, {"type": name})
    return executors.capabilities(name, options).counts_toward_max_parallel
