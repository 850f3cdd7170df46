"""Tasks of a stored spec, of which the members of sweeps are made from its text when they are needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

# Fields in which a member that is not kept may differ from its kin.
OWN_FIELDS: Final = frozenset(("id", "index", "args", "env", "matrix", "twins", "body", "when"))
KEPT: Final = 0  # the number in `forms` of tasks that are in memory
RECENT: Final = 512  # members that stay in memory after they were used

# That of `model.spec`, which imports this module.
Task = TypeVar("Task")

_decode: Final = json.JSONDecoder().raw_decode


class StoredTasks(Sequence[Task]):
    """The tasks of a spec, of which a sweep may have a hundred thousand; iterating makes each again.

    Attributes:
        ids: their ids.

    Args:
        text: the stored spec.
        ids: see above.
        starts: where the entry of each task begins in the text.
        forms: the number of what each task has in common with others, or KEPT.
        kin: by that number, the first task that has this in common.
        kept: tasks that are in memory, by position.
        make: makes a task from its entry.
    """

    def __init__(
        self,
        text: str,
        *,
        ids: tuple[str, ...],
        starts: array[int],
        forms: array[int],
        kin: Mapping[int, Task],
        kept: Mapping[int, Task],
        make: Callable[[dict[str, Any]], Task],
    ) -> None:
        self.ids = ids
        self._text, self._starts, self._forms = text, starts, forms
        self._kin, self._kept, self._make = kin, kept, make
        self._positions: dict[str, int] | None = None
        self._recent = lru_cache(maxsize=RECENT)(self._made)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, position: int) -> Task: ...
    @overload
    def __getitem__(self, position: slice) -> tuple[Task, ...]: ...
    def __getitem__(self, position: int | slice) -> Task | tuple[Task, ...]:
        if isinstance(position, slice):
            return tuple(map(self._recent, range(*position.indices(len(self)))))
        count = len(self)
        if not -count <= position < count:
            raise IndexError(position)
        return self._recent(position % count)

    def __iter__(self) -> Iterator[Task]:
        return map(self._made, range(len(self)))

    def __eq__(self, other: object) -> bool:
        """Whether the other value has equal tasks."""
        if not isinstance(other, (StoredTasks, tuple)):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # tasks have no hash either

    def _made(self, position: int) -> Task:
        if self._forms[position] == KEPT:
            return self._kept[position]
        return self._make(_decode(self._text, self._starts[position])[0])

    @property
    def kin(self) -> Iterator[Task]:
        """For each task, one that is equal to it in all fields but OWN_FIELDS, without making it."""
        for position, form in enumerate(self._forms):
            yield self._kin[form] if form != KEPT else self._kept[position]

    @property
    def distinct(self) -> Iterator[Task]:
        """Tasks among which every task has its kin: the values of all fields but OWN_FIELDS."""
        yield from self._kept.values()
        yield from self._kin.values()

    def by_id(self) -> MutableMapping[str, Task]:
        """The tasks by their ids, in their order; others can be set for an id."""
        return _ById(self)

    def position(self, task_id: str) -> int:
        """The position of a task; raises KeyError for an unknown id."""
        if self._positions is None:
            self._positions = {name: position for position, name in enumerate(self.ids)}
        return self._positions[task_id]

    def named(self, task_id: str) -> Task:
        """The task of an id; raises KeyError for an unknown id."""
        return self._recent(self.position(task_id))

    def kin_of(self, task_id: str) -> Task:
        """One task of `kin`; raises KeyError for an unknown id."""
        position = self.position(task_id)
        form = self._forms[position]
        return self._kin[form] if form != KEPT else self._kept[position]


class _ById(MutableMapping[str, Task]):
    """The tasks of a stored spec by their ids."""

    def __init__(self, tasks: StoredTasks[Task]) -> None:
        self._tasks = tasks
        self._set: dict[str, Task] = {}

    def __getitem__(self, task_id: str) -> Task:
        return self._set[task_id] if task_id in self._set else self._tasks.named(task_id)

    def __setitem__(self, task_id: str, task: Task) -> None:
        self._tasks.position(task_id)
        self._set[task_id] = task

    def __delitem__(self, task_id: str) -> None:
        raise TypeError(f"a stored spec keeps its tasks, such as {task_id}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks.ids)

    def __len__(self) -> int:
        return len(self._tasks)
