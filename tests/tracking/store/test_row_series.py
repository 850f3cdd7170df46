from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.tracking.access.follower import MetricFollower
from nemorun_cli.tracking.store import row_series
from nemorun_cli.tracking.store.json_values import dump, encode_row
from nemorun_cli.tracking.store.record_paths import Place
from nemorun_cli.tracking.store.row_origins import Origins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nemorun_cli.tracking.store.row_files import Row

STEPS = st.one_of(st.none(), st.integers(0, 9), st.sampled_from([2.5, math.nan, "3", True]))
ROWS = st.lists(
    st.fixed_dictionaries({}, optional={"step": STEPS, "epoch": STEPS}).map(
        lambda fields: {name: value for name, value in fields.items() if value is not None}
    ),
    max_size=8,
)


class Written(NamedTuple):
    """One writer: a generation, the experiment, task and attempt of its opening, and its rows.

    It may be supervised: an opening that a supervisor created for what it records of the attempt.
    """

    generation: int
    task: tuple[str, str] | None
    attempt: int
    rows: list[Row]
    is_supervised: bool = False

    def is_of(self, other: Written) -> bool:
        """Whether both are of one attempt at a task."""
        return self.task is not None and (self.task, self.attempt) == (other.task, other.attempt)

    def placed(self, writers: Sequence[Written]) -> Written:
        """It in the generation in which it counts: the latest one of its attempt at a task."""
        generations = [other.generation for other in writers if other.rows and other.is_of(self)]
        return self._replace(generation=max(generations)) if generations else self

    def supersedes(self, other: Written) -> bool:
        """Whether its rows supersede those of another writer."""
        if self.task and other.task and self.task != other.task and self.task[0] == other.task[0]:
            return False
        if self.is_of(other):
            return False
        is_same_task = self.task is not None and self.task == other.task
        return (self.generation, self.attempt if is_same_task else 0) > (
            other.generation,
            other.attempt if is_same_task else 0,
        )


WRITERS = st.lists(
    st.builds(
        Written,
        generation=st.integers(1, 3),
        task=st.sampled_from([None, ("e", "a"), ("e", "b"), ("f", "a")]),
        attempt=st.integers(1, 3),
        rows=ROWS,
        is_supervised=st.booleans(),
    ).map(lambda writer: writer if writer.task else writer._replace(is_supervised=False)),
    max_size=5,
)


class Disk:
    """A record on disk whose only metric is `m`."""

    def __init__(self, root: Path, writers: Sequence[Written]) -> None:
        self.place = Place(str(root), "a")
        self.folder = root / "a" / ".record" / "metrics" / "m"
        self.clock = 0.0
        self.names = [f"{writer.generation:04d}-x-{index}" for index, writer in enumerate(writers)]
        openings = root / "a" / ".record" / "openings"
        openings.mkdir(parents=True)
        self.folder.mkdir(parents=True)
        for index, (name, writer) in enumerate(zip(self.names, writers, strict=True)):
            facts: Row = {"attempt": writer.attempt, "rank": index}
            if writer.task:
                facts |= {"exp_id": writer.task[0], "task": writer.task[1]}
            if writer.is_supervised:
                facts["supervised"] = True
            (openings / f"{name}.jsonl").write_text(f"{dump(facts)}\n")

    def append(self, writer: int, row: Row) -> None:
        """Write a row of a writer."""
        self.clock += 1.0
        with (self.folder / f"{self.names[writer]}.jsonl").open("ab") as stream:
            stream.write(encode_row(self.clock, row))

    def read(self, tail: int | None = None, attempts: Any = None) -> list[Any]:
        """The values of `of` in the rows that count."""
        found = row_series.read(
            str(self.folder), Origins(self.place.openings), tail=tail, attempts=attempts, with_origins=True
        )
        assert len(found.origins) == len(found.rows)
        return [row["of"] for row in found.rows]


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and not math.isnan(value)


def _positions(rows: list[Row], axis: str) -> list[float | None]:
    """The position of each row: its own, else that of the row before it, else the first one of its file."""
    own = [row[axis] if _is_number(row.get(axis)) else None for row in rows]
    known = [position for position in own if position is not None]
    positions: list[float | None] = []
    for position in own:
        before = positions[-1] if positions else (known[0] if known else None)
        positions.append(before if position is None else position)
    return positions


def expected(writers: Sequence[Written]) -> set[tuple[int, int]]:
    """The rows that count, by writer and index, straight from the rule."""
    writers = [writer.placed(writers) for writer in writers]
    kept = {(number, index) for number, writer in enumerate(writers) for index in range(len(writer.rows))}
    for number, writer in enumerate(writers):
        later = [other for other in writers if other.rows and other.supersedes(writer)]
        layers: dict[Any, list[Written]] = {}
        for other in later:
            key = (other.generation, other.task, other.attempt if other.task else 0)
            layers.setdefault(key, []).append(other)
        for layer in layers.values():
            axis = next(
                (
                    name
                    for name in ("step", "epoch")
                    if any(_is_number(row.get(name)) for other in layer for row in other.rows)
                ),
                None,
            )
            if axis is None:
                kept -= {(number, index) for index in range(len(writer.rows))}
                continue
            firsts = [
                next(row[axis] for row in other.rows if _is_number(row.get(axis)))
                for other in layer
                if any(_is_number(row.get(axis)) for row in other.rows)
            ]
            for index, position in enumerate(_positions(writer.rows, axis)):
                if position is None or position >= min(firsts):
                    kept.discard((number, index))
    return kept


@settings(max_examples=amount(60, long=3000), deadline=None)
@given(WRITERS, st.data())
def test_rows_count_by_the_rule(
    tmp_path_factory: pytest.TempPathFactory, writers: list[Written], data: st.DataObject
) -> None:
    """Whatever is written in whatever order: all readers agree with the rule, at any moment of following."""
    disk = Disk(tmp_path_factory.mktemp("series"), writers)
    pending = [iter(enumerate(writer.rows)) for writer in writers]
    turns = data.draw(st.permutations([n for n, writer in enumerate(writers) for _ in writer.rows]))
    keeping = MetricFollower(disk.place, keeps=True)
    drawn: list[Any] = []
    for number in turns:
        index, row = next(pending[number])
        disk.append(number, {"of": [number, index], **row})
        if data.draw(st.booleans()):
            drawn = _of(keeping, drawn)
    counted = disk.read()
    assert {tuple(of) for of in counted} == expected(writers)
    assert len(counted) == len(expected(writers))
    for tail in range(len(counted) + 2) if _is_in_time_order(counted, turns, writers) else ():
        assert disk.read(tail=tail) == counted[max(0, len(counted) - tail) :]
    assert len(disk.read(attempts="all")) == len(turns)
    assert _of(MetricFollower(disk.place), []) == counted
    assert _of(keeping, drawn) == counted


def _is_in_time_order(counted: list[Any], turns: list[int], writers: list[Written]) -> bool:
    """Whether no attempt at a task wrote before an earlier attempt in its generation ended.

    Its rows come after those all the same, but between which rows of others depends on all rows before them.
    """
    latest: dict[tuple[int, tuple[str, str] | None], int] = {}
    moments = {}
    writers = [writer.placed(writers) for writer in writers]
    for moment, number in enumerate(turns):
        moments[number, sum(1 for other in turns[:moment] if other == number)] = moment
    for number, index in counted:
        key = (writers[number].generation, writers[number].task)
        if moments[number, index] < latest.get(key, 0):
            return False
        latest[key] = moments[number, index]
    return True


def _of(follower: MetricFollower, before: list[Any]) -> list[Any]:
    """The rows that a follower returns; those before, if nothing is new."""
    news = follower.read().get("m")
    return before if news is None else [row["of"] for row in news.rows]


@pytest.fixture
def disk_of(tmp_path: Path) -> Callable[..., Disk]:
    """Writes one generation after the other and returns the disk."""

    def write(*generations: list[Row]) -> Disk:
        writers = [Written(number, None, 1, rows) for number, rows in enumerate(generations, 1)]
        disk = Disk(tmp_path, writers)
        for number, rows in enumerate(generations):
            for index, row in enumerate(rows):
                disk.append(number, {"of": [number, index], **row})
        return disk

    return write


def test_a_resume_from_a_checkpoint_replaces_the_rows_after_it(disk_of: Callable[..., Disk]) -> None:
    """Killed at step 15 and resumed from step 10: each step is there once."""
    disk = disk_of([{"step": step} for step in range(16)], [{"step": step} for step in range(10, 20)])
    assert disk.read() == [[0, step] for step in range(10)] + [[1, step] for step in range(10)]


def test_rows_of_one_attempt_never_supersede_each_other(disk_of: Callable[..., Disk]) -> None:
    """Steps that start again in each epoch are all there."""
    assert len(disk_of([{"step": step % 5} for step in range(15)]).read()) == 15


def test_a_row_without_the_field_goes_with_the_row_before_it(disk_of: Callable[..., Disk]) -> None:
    """The first rows of a file go with the first row that has it."""
    disk = disk_of([{}, {"step": 1}, {}, {"step": 5}, {}, {"step": "x"}, {"step": 2}, {}], [{"step": 3}])
    assert disk.read() == [[0, 0], [0, 1], [0, 2], [0, 6], [0, 7], [1, 0]]


def test_without_a_step_in_the_earlier_attempt_it_is_replaced_whole(disk_of: Callable[..., Disk]) -> None:
    """So it is if only the later one has no step; an epoch is looked at if it has none."""
    assert disk_of([{}, {"epoch": 1}], [{"step": 5}]).read() == [[1, 0]]


def test_without_a_step_an_attempt_replaces_all_before_it(disk_of: Callable[..., Disk]) -> None:
    """NaN, texts and booleans are no steps."""
    steps: list[Row] = [{"step": math.nan}, {"step": "7"}, {"step": True}]
    assert disk_of([{"step": 1}, {"step": 9}], steps).read() == [[1, 0], [1, 1], [1, 2]]


def test_the_end_of_a_series_is_read_without_the_rest(disk_of: Callable[..., Disk], tmp_path: Path) -> None:
    """Of an earlier generation no more is read than the superseded end and the rows that are wanted."""
    disk = disk_of([{"step": step} for step in range(2000)], [{"step": step} for step in range(1990, 1995)])
    first = tmp_path / "a" / ".record" / "metrics" / "m" / f"{disk.names[0]}.jsonl"
    first.write_bytes(b"no row\n" + first.read_bytes())  # reading it would be reported
    found = row_series.read(str(disk.folder), Origins(disk.place.openings), tail=20)
    assert [row["step"] for row in found.rows] == [*range(1975, 1990), *range(1990, 1995)]
    assert found.skipped == []


@pytest.mark.parametrize(("attempts", "error"), [(0, ValueError), ("every", ValueError), (True, TypeError)])
def test_what_is_no_choice_of_attempts_is_refused(
    attempts: Any, error: type[Exception], disk_of: Callable[..., Disk]
) -> None:
    """The message shows the choices."""
    with pytest.raises(error, match="'all' or the number of an attempt"):
        disk_of([{}]).read(attempts=attempts)
