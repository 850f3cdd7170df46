"""The rows of one metric as one series: which of them count, in which order, and who logged them.

Of the attempts at a task, and of the openings of a record that follow one another (its generations), a later
one takes effect from its first step on: earlier rows at or after that step are superseded. They stay in their
files. Openings that overlap, such as the ranks of a job, do not supersede each other, nor do different tasks
of one experiment.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, compress, groupby, repeat
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.tracking.store import json_values, row_files
from nemorun_cli.tracking.store.row_files import RowSource, generation_of, merge
from nemorun_cli.tracking.store.row_selection import ORIGIN, number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from nemorun_cli.tracking.store.row_files import Flaw, Row

Attempts = int | Literal["all"] | None
Task = tuple[str, str]  # the ids of an experiment and of a task of it

ALL: Final = "all"
AXES: Final = ("step", "epoch")  # the fields by which rows are superseded, the preferred one first
GROWTH: Final = 4  # how many times as much of a file is read if its end has too few rows that count


class RowOrigin(NamedTuple):
    """The writer of a row: an opening, with its attempt and rank.

    Outside of a task the attempt is the generation. `task` has the ids of the experiment and of the task.
    """

    opening: str
    attempt: int
    rank: int | None = None
    task: Task | None = None
    is_supervised: bool = False


def origin_of(opening: str, facts: Mapping[str, Any]) -> RowOrigin:
    """The origin of an opening's rows, given the first line of its file."""
    experiment, task, attempt = (facts.get(name) for name in ("exp_id", "task", "attempt"))
    rank = facts["rank"] if type(facts.get("rank")) is int else None
    is_supervised = facts.get("supervised") is True
    if not (isinstance(experiment, str) and isinstance(task, str) and type(attempt) is int):
        return RowOrigin(opening, generation_of(opening), rank, is_supervised=is_supervised)
    return RowOrigin(opening, attempt, rank, (experiment, task), is_supervised)


class Origins(dict[str, RowOrigin]):
    """The origin of each opening of a record, read from the first line of its file when it is needed.

    Of an opening that cannot be read, only the generation is known.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, opening: str) -> RowOrigin:
        path = f"{self.folder}/{opening}{row_files.SUFFIX}"
        try:
            with row_files.open_rows(path) as stream:
                facts = json_values.load(stream.readline(row_files.LARGEST).decode("utf-8"))
        except (FileNotFoundError, LedgerDamagedError, ValueError, RecursionError):
            facts = None
        if not isinstance(facts, dict):
            return RowOrigin(opening, generation_of(opening))
        self[opening] = origin = origin_of(opening, facts)
        return origin


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


class Chain(NamedTuple):
    """The attempts at one task in one generation, oldest first, each with the files of its writers.

    `opening` is one of theirs. Outside of tasks, all openings of a generation are one attempt.
    """

    opening: str
    attempts: list[list[RowSource]]


Generation = list[Chain]  # chains do not supersede each other


def layers(found: Sequence[RowSource], origins: Mapping[str, RowOrigin]) -> list[Generation]:
    """The layers of files that are sorted by generation. Reads the origin of openings that share one."""
    generations: list[Generation] = []
    for _, group in groupby(found, key=lambda source: source.generation):
        files = list(group)
        if len({source.opening for source in files}) == 1:
            generations.append([Chain(files[0].opening, [files])])
            continue
        by_task: dict[Task | None, dict[int, list[RowSource]]] = {}
        for source in files:
            origin = origins[source.opening]
            attempt = origin.attempt if origin.task else 0
            by_task.setdefault(origin.task, {}).setdefault(attempt, []).append(source)
        ordered = [[attempts[key] for key in sorted(attempts)] for attempts in by_task.values()]
        generations.append([Chain(attempts[0][0].opening, attempts) for attempts in ordered])
    return generations


class _LaterLayers:
    """The layers after a generation, by task."""

    def __init__(self) -> None:
        self._by_task: dict[Task | None, Cut] = {}
        self._of_all = Cut()

    def add(self, task: Task | None, layer: Cut) -> None:
        self._by_task[task] = self._by_task.get(task, Cut()).joined(layer)
        self._of_all = self._of_all.joined(layer)

    def cut(self, task: Task | None) -> Cut:
        """The cut for a task: other tasks of its experiment supersede nothing, whichever ran first."""
        others = {
            other for other in self._by_task if task and other and other != task and other[0] == task[0]
        }
        if not others:
            return self._of_all
        cut = Cut()
        for other, layer in self._by_task.items():
            cut = cut if other in others else cut.joined(layer)
        return cut


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
                later.cut(origins[opening].task) if parts and supersedes else Cut(),
                take,
                head,
                count=remaining,
                supersedes=supersedes,
            )
            for opening, attempts in chains
        ]
        rows = merge(by_chain)
        if remaining is not None:
            rows = rows[max(0, len(rows) - remaining) :]
            remaining -= len(rows)
        parts.append(rows)
        if supersedes and len(generations) > len(parts) and remaining != 0:
            for opening, attempts in chains:
                for files in attempts:
                    later.add(origins[opening].task, Cut.of_layer(map(head, files)))
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
    """The rows of the attempts at one task that count."""
    parts: list[list[Row]] = []
    for files in reversed(attempts):
        rows = merge([take(source, cut, count) for source in files])
        parts.append(rows)
        if count is not None and (count := count - len(rows)) <= 0:
            break
        if supersedes and len(attempts) > len(parts):
            cut = cut.joined(Cut.of_layer(map(head, files)))
    return parts[0] if len(parts) == 1 else [*chain.from_iterable(reversed(parts))]


class SeriesRows(NamedTuple):
    """Rows in order, the origin of each if it was asked for, and the lines that were skipped."""

    rows: list[Row]
    origins: list[RowOrigin]
    skipped: Sequence[Flaw] = ()


def marked(row: Row, origin: RowOrigin) -> Row:
    """A row with its origin as `_attempt` and `_rank`; its own field of such a name gets one more `_`."""
    fields = {_beside_origin(name): value for name, value in row.items()}
    return {**fields, **dict(zip(ORIGIN, (origin.attempt, origin.rank), strict=True))}


@lru_cache(maxsize=1024)
def _beside_origin(name: str) -> str:
    return f"_{name}" if name[:1] == "_" and name.lstrip("_") in {"attempt", "rank"} else name


def read(
    folder: str,
    origins: Mapping[str, RowOrigin],
    *,
    openings: Collection[str] | None = None,
    tail: int | None = None,
    attempts: Attempts = None,
    with_origins: bool = False,
) -> SeriesRows:
    """The rows of a metric that count, or the last ones of these.

    Generations are in order, regardless of the clocks of their machines, and so are the attempts at a task.
    Otherwise writers are merged by time, and the rows of each writer keep their order even if its clock was
    set back.

    Args:
        folder: of the metric, with one file for each writer.
        origins: of the openings of the record.
        openings: only rows of these; others supersede nothing.
        tail: only so many of the last rows.
        attempts: `all` for superseded rows too; a number for rows of this attempt, whichever came later.
        with_origins: whether the origin of each row is wanted.

    Raises:
        LedgerDamagedError: a file cannot be read.
        TypeError: `attempts` is something else.
        ValueError: the same.
    """
    found = sources(folder, origins, openings=openings, attempts=attempts)
    reading = _Reading()
    order = layers(found, origins)
    rows = arranged(order, origins, reading.take, reading.head, count=tail, supersedes=attempts != ALL)
    return SeriesRows(rows, reading.origins(rows, origins) if with_origins else [], reading.skipped())


def sources(
    folder: str, origins: Mapping[str, RowOrigin], *, openings: Collection[str] | None, attempts: Attempts
) -> list[RowSource]:
    """The files of a metric, of all openings or of the given ones, and of one attempt if a number is given.

    Raises:
        TypeError: `attempts` is not a number, `all` or None.
        ValueError: it is another text, or a number below one.
    """
    found = row_files.sources(folder, openings)
    if attempts is None or attempts == ALL:
        return found
    if isinstance(attempts, bool) or not isinstance(attempts, (int, str)):
        raise TypeError(f"attempts is 'all' or the number of an attempt, not {attempts!r}")
    if isinstance(attempts, str) or attempts < 1:
        raise ValueError(f"attempts is 'all' or the number of an attempt, from 1 on, not {attempts!r}")
    return [source for source in found if origins[source.opening].attempt == attempts]


class _Reading:
    """The files of one series as they are read."""

    def __init__(self) -> None:
        self._rows: dict[RowSource, list[Row]] = {}  # those that were read last
        self._flaws: dict[RowSource, list[Flaw]] = {}

    def take(self, source: RowSource, cut: Cut, count: int | None) -> list[Row]:
        """The rows of a file that count; of the last ones at least `count`, if it has so many."""
        if cut.is_whole:
            return []
        window = count
        while True:
            rows, self._flaws[source] = (
                row_files.read(source.path) if window is None else row_files.read_tail(source.path, window)
            )
            self._rows[source] = rows
            is_whole = window is None or len(rows) < window
            kept = counted(rows, cut, is_from_start=is_whole)
            if window is None or is_whole or count is None or len(kept) >= count:
                return kept if count is None else kept[max(0, len(kept) - count) :]
            window *= GROWTH

    def head(self, source: RowSource) -> Head:
        """The head of a file, which is read unless `take` did it."""
        if source not in self._rows:
            self._rows[source], self._flaws[source] = row_files.read(source.path)
        return NO_ROWS.then(self._rows[source])

    def origins(self, rows: list[Row], known: Mapping[str, RowOrigin]) -> list[RowOrigin]:
        """The origin of each of these rows."""
        openings = {source.opening for source in self._rows}
        if len(openings) == 1:
            return [known[openings.pop()]] * len(rows)
        owners: dict[int, RowOrigin] = {}
        for source, read_rows in self._rows.items():
            owners.update(zip(map(id, read_rows), repeat(known[source.opening])))
        return [owners[id(row)] for row in rows]

    def skipped(self) -> list[Flaw]:
        """The lines that were skipped."""
        return [*chain.from_iterable(self._flaws.values())]
