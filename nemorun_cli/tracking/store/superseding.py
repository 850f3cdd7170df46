"""Which rows of a series a later attempt supersedes, and in which order the others are.

Of the attempts at a task, and of the openings of a record that follow one another (its generations), a later
one takes effect from its first step on: earlier rows at or after that step are superseded. They stay in their
files. Openings that overlap, such as the ranks of a job, do not supersede each other, nor do different tasks
of one experiment, nor the openings of one attempt at a task, such as a program that trains and one that
evaluates: whenever they began, they count as one.
"""

from __future__ import annotations

from itertools import chain, compress, groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from nemorun_cli.tracking.store.row_files import RowSource, merge
from nemorun_cli.tracking.store.row_selection import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.tracking.store.row_files import Row
    from nemorun_cli.tracking.store.row_origins import RowOrigin, Task

AXES: Final = ("step", "epoch")  # the fields by which rows are superseded, the preferred one first


class Head(NamedTuple):
    """The first step and the first epoch of rows, and whether there are any rows."""

    step: float | None = None
    epoch: float | None = None
    has_rows: bool = False

    def then(self, rows: Sequence[Row]) -> Head:
        """The head of these rows after the ones before."""
        if not rows or (self.step is not None and self.epoch is not None):
            return self
        step = _first(rows, "step") if self.step is None else self.step
        epoch = _first(rows, "epoch") if self.epoch is None else self.epoch
        return Head(step, epoch, has_rows=True)


NO_ROWS: Final = Head()


class Cut(NamedTuple):
    """Which rows of earlier layers are superseded: those at or after a step or an epoch, or all."""

    step: float | None = None
    epoch: float | None = None
    is_whole: bool = False

    @classmethod
    def of_layer(cls, heads: Iterable[Head]) -> Self:
        """The cut that a layer makes whose writers have these heads; without rows, it supersedes nothing."""
        heads = [head for head in heads if head.has_rows]
        if steps := [head.step for head in heads if head.step is not None]:
            return cls(step=min(steps))
        if epochs := [head.epoch for head in heads if head.epoch is not None]:
            return cls(epoch=min(epochs))
        return cls(is_whole=bool(heads))

    def joined(self, other: Cut) -> Cut:
        """The cut of two layers."""
        return Cut(
            _least(self.step, other.step), _least(self.epoch, other.epoch), self.is_whole or other.is_whole
        )


def _least(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


class Positions(NamedTuple):
    """The step and the epoch of the last row of a writer that had one."""

    step: float | None = None
    epoch: float | None = None

    def after(self, rows: Sequence[Row]) -> Positions:
        """The positions after more rows of the writer."""
        step, epoch = (_first(reversed(rows), axis) for axis in AXES)
        return Positions(self.step if step is None else step, self.epoch if epoch is None else epoch)


START: Final = Positions()


def counted(rows: list[Row], cut: Cut, *, after: Positions = START, is_from_start: bool = True) -> list[Row]:
    """The rows of one writer that are not superseded.

    A row without the field goes with the row before it in its file, and the first rows of a file with the
    first one that has the field; a file without the field is superseded.

    Args:
        rows: consecutive rows of the writer.
        cut: of the later layers.
        after: where the rows before them were.
        is_from_start: whether no rows are before them, or `after` is known. If not, the first rows are left
            out as long as they lack the field.
    """
    if cut.is_whole:
        return []
    flags = [
        _are_below(rows, axis, limit, before, is_from_start=is_from_start)
        for axis, limit, before in zip(AXES, (cut.step, cut.epoch), after, strict=True)
        if limit is not None
    ]
    return list(compress(rows, map(all, zip(*flags, strict=True)))) if flags else rows


def _are_below(
    rows: list[Row], axis: str, limit: float, before: float | None, *, is_from_start: bool
) -> list[bool]:
    """Whether the position of each row on an axis is below the limit."""
    start = _first(rows, axis) if before is None and is_from_start else before
    is_below = start is not None and start < limit
    flags = []
    for row in rows:
        value = row.get(axis)
        if type(value) is int or (type(value) is float and value == value):  # noqa: PLR0124 - `number`, inlined
            is_below = value < limit
        flags.append(is_below)
    return flags


def _first(rows: Iterable[Row], axis: str) -> float | None:
    return next((value for row in rows if (value := number(row.get(axis))) is not None), None)


Chain = list[list[RowSource]]
"""The attempts at one task in one generation, oldest first, each with the files of its writers.

Outside of tasks, all openings of a generation are one attempt.
"""

Generation = list[Chain]  # chains do not supersede each other


def layers(found: Sequence[RowSource], origins: Mapping[str, RowOrigin]) -> list[Generation]:
    """The layers of files that are sorted by generation. Reads the origins unless all are of one opening."""
    generations: list[Generation] = []
    for _, group in groupby(_placed(found, origins), key=itemgetter(0)):
        files = [source for _, source in group]
        if len({source.opening for source in files}) == 1:
            generations.append([[files]])
            continue
        by_task: dict[Task | None, dict[int, list[RowSource]]] = {}
        for source in files:
            origin = origins[source.opening]
            attempt = origin.attempt if origin.task else 0
            by_task.setdefault(origin.task, {}).setdefault(attempt, []).append(source)
        generations.append([[attempts[key] for key in sorted(attempts)] for attempts in by_task.values()])
    return generations


def _placed(found: Sequence[RowSource], origins: Mapping[str, RowOrigin]) -> list[tuple[int, RowSource]]:
    """The files with the generations in which they count; those of an attempt at a task in its latest one."""
    if not found or found[0].generation == found[-1].generation:
        return [(source.generation, source) for source in found]
    latest: dict[tuple[Task, int], int] = {}
    of_files = [origins[source.opening] for source in found]
    keys = [(origin.task, origin.attempt) for origin in of_files]
    for (task, attempt), source in zip(keys, found, strict=True):
        if task:
            latest[task, attempt] = source.generation
    placed = [
        (latest[task, attempt] if task else source.generation, source)
        for (task, attempt), source in zip(keys, found, strict=True)
    ]
    return sorted(placed, key=itemgetter(0))


class _LaterLayers:
    """The layers after a generation, by task."""

    def __init__(self) -> None:
        self._by_task: dict[Task | None, Cut] = {}

    def add(self, task: Task | None, layer: Cut) -> None:
        """Add what an attempt at a task wrote, or, outside of tasks, a generation."""
        self._by_task[task] = self._by_task.get(task, Cut()).joined(layer)

    def cut(self, task: Task | None) -> Cut:
        """The cut for a task: other tasks of its experiment supersede nothing, whichever ran first."""
        cut = Cut()
        for other, layer in self._by_task.items():
            if not (task and other and other != task and other[0] == task[0]):
                cut = cut.joined(layer)
        return cut


def cuts(
    generations: list[Generation], origins: Mapping[str, RowOrigin], head: Callable[[RowSource], Head]
) -> dict[RowSource, Cut]:
    """The cut of each file by all later layers: what `arranged` leaves out of it.

    Args:
        generations: the files, by `layers`.
        origins: of the openings; not used for a single generation.
        head: returns the head of a file.
    """
    later = _LaterLayers()
    found: dict[RowSource, Cut] = {}
    for chains in reversed(generations):
        are_last = not found
        for attempts in chains:
            cut = Cut() if are_last else later.cut(origins[attempts[0][0].opening].task)
            for files in reversed(attempts):
                found |= dict.fromkeys(files, cut)
                cut = cut.joined(Cut.of_layer(map(head, files)))
        if len(generations) > 1:
            for files in chain.from_iterable(chains):
                later.add(origins[files[0].opening].task, Cut.of_layer(map(head, files)))
    return found


def arranged(
    generations: list[Generation],
    origins: Mapping[str, RowOrigin],
    take: Callable[[RowSource, Cut, int | None], list[Row]],
    head: Callable[[RowSource], Head],
    *,
    count: int | None = None,
    supersedes: bool = True,
) -> list[Row]:
    """The rows that count, in order.

    Args:
        generations: the files, by `layers`.
        origins: of the openings; not used for the rows of a single generation.
        take: returns the rows of a file that are not superseded; of the last ones at least the given number,
            if the file has so many.
        head: returns the head of a file.
        count: only this many of the last rows.
        supersedes: whether later layers supersede rows.
    """
    later = _LaterLayers()
    parts: list[list[Row]] = []
    remaining = count
    for chains in reversed(generations):
        if remaining is not None and remaining <= 0:
            break
        by_chain = [
            _chain(
                attempts,
                later.cut(origins[attempts[0][0].opening].task) if parts and supersedes else Cut(),
                take,
                head,
                count=remaining,
                supersedes=supersedes,
            )
            for attempts in chains
        ]
        rows = merge(by_chain)
        if remaining is not None:
            rows = rows[max(0, len(rows) - remaining) :]
            remaining -= len(rows)
        parts.append(rows)
        if supersedes and len(generations) > len(parts) and remaining != 0:
            for files in chain.from_iterable(chains):
                later.add(origins[files[0].opening].task, Cut.of_layer(map(head, files)))
    return parts[0] if len(parts) == 1 else [*chain.from_iterable(reversed(parts))]


def _chain(
    attempts: list[list[RowSource]],
    cut: Cut,
    take: Callable[[RowSource, Cut, int | None], list[Row]],
    head: Callable[[RowSource], Head],
    *,
    count: int | None,
    supersedes: bool,
) -> list[Row]:
    """The rows of the attempts at one task that count, given the cut of later generations."""
    parts: list[list[Row]] = []
    of_later_attempts = Cut()
    for files in reversed(attempts):
        rows = merge([take(source, cut.joined(of_later_attempts), count) for source in files])
        parts.append(rows)
        if count is not None and (count := count - len(rows)) <= 0:
            break
        if supersedes and len(attempts) > len(parts):
            of_later_attempts = of_later_attempts.joined(Cut.of_layer(map(head, files)))
    return parts[0] if len(parts) == 1 else [*chain.from_iterable(reversed(parts))]
