"""The series of the index equal what the commands compute from the rows."""

from __future__ import annotations

import json
import math
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from support.extent import amount
from support.patience import eventually

from nemorun_cli.experiment.records import compare, targets
from nemorun_cli.experiment.records import series as measures
from nemorun_cli.serve.index import background, row_cache
from nemorun_cli.serve.index.cache_file import CacheFile
from nemorun_cli.serve.index.curves import Window, curve
from nemorun_cli.serve.index.row_cache import CHUNK, SMALLEST, RowCache
from nemorun_cli.serve.index.series_index import SeriesIndex, drawn_by_rows
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.store.json_values import dump, encode_row

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.records.targets import TargetRecord

PLAIN = (0, 1, 2.5, -3, math.nan, math.inf)
VALUES = (*PLAIN, -math.inf, 1e308, -1e308, 2**60, 10**400, 0.1, "text", None, True)
TASKS = (None, ("e", "a"), ("e", "b"), ("f", "a"))


class Written:
    """A record on disk with the series `m` and `system`, to which random writers append."""

    def __init__(self, root: Path, chance: random.Random, *, hard: float) -> None:
        self.root = root
        self.chance = chance
        self.hard = hard
        self.clock = 1000.0
        self.folder = root / "a" / ".record"
        (self.folder / "openings").mkdir(parents=True)
        self.names = [self._opening(number) for number in range(chance.randint(1, 5))]

    def _opening(self, number: int) -> str:
        name = f"{self.chance.randint(1, 3):04d}-x-{number}"
        facts: dict[str, Any] = {
            "event": "opened",
            "format": "exp.record/1",
            "time": "2026-01-01T00:00:00.000Z",
            "prefix": "a",
            "host": "elsewhere",
            "pid": 1,
            "rank": number,
            "attempt": self.chance.randint(1, 3),
        }
        if task := self.chance.choice(TASKS):
            facts |= {"exp_id": task[0], "task": task[1], "supervised": self.chance.random() < 0.3}
        (self.folder / "openings" / f"{name}.jsonl").write_text(f"{dump(facts)}\n")
        return name

    def append(self) -> None:
        """Append some rows of some writers, perhaps with a torn or damaged line."""
        for _ in range(self.chance.randint(1, 12)):
            name = self.chance.choice(self.names)
            series = self.folder / "metrics" / self.chance.choice(["m", "m", "m", "system"])
            series.mkdir(parents=True, exist_ok=True)
            with (series / f"{name}.jsonl").open("ab") as stream:
                stream.write(self._row())

    def _row(self) -> bytes:
        chance = self.chance
        self.clock += chance.choice([1.0, 1.0, 0.0, -2.5])
        fields: dict[str, Any] = {}
        if chance.random() < 0.8:
            fields["step"] = chance.choice([*range(9), 2.5])
        if chance.random() < 0.3:
            fields["epoch"] = chance.choice([0, 1, 2, math.nan])
        for name in ("loss", "acc", "_at"):
            if chance.random() < 0.7:
                fields[name] = chance.choice(VALUES if chance.random() < self.hard else PLAIN)
        if chance.random() < 0.02:
            return b"damaged\n"
        return encode_row(self.clock, fields)

    def record(self) -> TargetRecord:
        """The record as the commands see it."""
        found = reader.record(self.root, "a")
        assert found is not None
        return targets.under(found)


def same(left: Any, right: Any) -> bool:
    """Whether two documents are equal, NaN included."""
    return json.loads(dump(left)) == json.loads(dump(right))


def statistics(measured: compare.Measured) -> Any:
    return {f"{series}/{field}": dict(values) for (series, field), values in measured.statistics.items()}


@pytest.mark.filterwarnings("ignore::nemorun_cli.errors.UnreadableWarning")
@pytest.mark.parametrize("seed", range(amount(25, long=2000)))
def test_columns_equal_the_rows_of_the_commands(tmp_path: Path, seed: int) -> None:
    """Whatever writers append, and whichever attempts supersede others, columns equal `exp compare`."""
    chance = random.Random(seed)  # noqa: S311 - seeded
    written = Written(tmp_path / "dash", chance, hard=chance.choice([0, 0, 0.1]))
    index = SeriesIndex(CacheFile(tmp_path / "cache.sqlite"))
    for _ in range(6):
        written.append()
        record = written.record()
        for attempts in (None, "all", 1, 2):
            for also in ((), ("system/loss",), ("system*",)):
                parts = targets.of_attempts([record], attempts)
                for part in parts:
                    kept = index.measured(part, also, attempts)
                    fresh = compare.measured(part, also, attempts)
                    assert same(statistics(kept), statistics(fresh))
                    assert {key: dump(value) for key, value in kept.no_number.items()} == {
                        key: dump(value) for key, value in fresh.no_number.items()
                    }


@pytest.mark.filterwarnings("ignore::nemorun_cli.errors.UnreadableWarning")
@pytest.mark.parametrize("seed", range(amount(10, long=500)))
def test_points_of_a_curve_that_fit_are_the_rows(tmp_path: Path, seed: int) -> None:
    """A curve with a point for each row has their values in the order of the commands."""
    written = Written(tmp_path / "dash", random.Random(seed), hard=0)  # noqa: S311 - seeded
    index = SeriesIndex(CacheFile(tmp_path / "cache.sqlite"))
    for _ in range(4):
        written.append()
        record = written.record()
        rows = {series.name: series.rows for series in measures.read(record)}
        with index.reading(record) as kept:
            views = drawn_by_rows(record, (), None) if any(view.needs_rows for view in kept) else kept
            for view in views:
                for field in view.fields():
                    found = curve(view, field, Window(axis="time"))
                    values = [row[field] for row in rows[view.name] if type(row.get(field)) in {int, float}]
                    assert same(found.last, values)
                    sampled = curve(view, field, Window(axis="time", points=3))
                    assert sum(sampled.counts) == len(values)
                    clean = [value for value in values if not math.isnan(value)]
                    least = min((value for value in sampled.low if not math.isnan(value)), default=math.nan)
                    assert same(least, min(clean, default=math.nan))


def test_only_appended_bytes_are_read(tmp_path: Path) -> None:
    """A kept file is read from where it was read before, by a new process too; a replaced file from zero."""
    folder = tmp_path / "dash" / "a" / ".record"
    (folder / "openings").mkdir(parents=True)
    (folder / "metrics" / "m").mkdir(parents=True)
    facts = {"event": "opened", "format": "exp.record/1", "time": "2026-01-01T00:00:00.000Z", "prefix": "a"}
    (folder / "openings" / "0001-x.jsonl").write_text(dump({**facts, "host": "elsewhere", "pid": 1}) + "\n")
    path = folder / "metrics" / "m" / "0001-x.jsonl"
    lines = [encode_row(float(step), {"step": step, "loss": step / 7}) for step in range(4000)]
    path.write_bytes(b"".join(lines[:3000]))
    assert path.stat().st_size > SMALLEST
    record = reader.record(tmp_path / "dash", "a")
    assert record is not None
    chosen = targets.under(record)
    index = SeriesIndex(CacheFile(tmp_path / "cache.sqlite"))
    index.measured(chosen, (), None)
    assert index.rows.parsed == path.stat().st_size
    with path.open("ab") as stream:
        stream.write(b"".join(lines[3000:]) + b'{"_ts":1.0,"to')
    again = SeriesIndex(CacheFile(tmp_path / "cache.sqlite"))
    kept = again.measured(chosen, (), None)
    assert again.rows.parsed == sum(map(len, lines[3000:]))
    fresh = SeriesIndex(CacheFile(tmp_path / "other.sqlite")).measured(chosen, (), None)
    assert statistics(kept) == statistics(fresh) == statistics(compare.measured(chosen, (), None))
    assert again.measured(chosen, (), None) is kept  # nothing has changed, so nothing is read
    path.write_bytes(b"".join(lines[:10]))
    assert statistics(again.measured(chosen, (), None)) == statistics(compare.measured(chosen, (), None))


def test_readers_of_a_growing_series_see_whole_rows(tmp_path: Path) -> None:
    """Threads that read while rows are appended see a growing beginning of the series, each number once."""
    folder = tmp_path / "dash" / "a" / ".record"
    for part in ("openings", "metrics/m"):
        (folder / part).mkdir(parents=True)
    facts = {"event": "opened", "format": "exp.record/1", "time": "2026-01-01T00:00:00.000Z", "prefix": "a"}
    (folder / "openings" / "0001-x.jsonl").write_text(dump({**facts, "host": "elsewhere", "pid": 1}) + "\n")
    path = folder / "metrics" / "m" / "0001-x.jsonl"
    path.write_bytes(b"")
    record = reader.record(tmp_path / "dash", "a")
    assert record is not None
    chosen = targets.under(record)
    index = SeriesIndex(CacheFile(tmp_path / "cache.sqlite"))
    total = amount(6000, long=200_000)
    wrong: list[Any] = []

    def read() -> None:
        seen = 0
        while seen < total:
            with index.reading(chosen) as views:
                for view in views:
                    found = curve(view, "loss", Window(points=50))
                    statistics = view.statistics()["loss"]
                    if not seen <= found.total == statistics["count"] == statistics["last"] + 1 == view.count:
                        wrong.append((seen, found, statistics))
                        return
                    seen = found.total

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    with path.open("ab", buffering=0) as stream:
        for first in range(0, total, 250):
            data = b"".join(
                encode_row(float(row), {"step": row, "loss": row}) for row in range(first, first + 250)
            )
            stream.write(data[:100])
            stream.write(data[100:])
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_replaced_file_is_kept_as_it_is_now(tmp_path: Path) -> None:
    """Of a file that another, larger one has replaced, the cache has the numbers of the new one alone."""
    cache = CacheFile(tmp_path / "cache.sqlite")
    path, staged = tmp_path / "m.jsonl", tmp_path / "staged"
    rows, counts = RowCache(cache), (CHUNK + 10, CHUNK + CHUNK // 3)
    for value, count in zip((1.0, 2.0), counts, strict=True):
        staged.write_bytes(b"".join(encode_row(float(row), {"loss": value}) for row in range(count)))
        staged.replace(path)
        with rows.reading([str(path)]) as columns:
            assert list(columns[str(path)].columns["loss"].values) == [value] * count
    again = RowCache(cache)
    with again.reading([str(path)]) as columns:
        assert list(columns[str(path)].columns["loss"].values) == [2.0] * counts[1]
    assert again.parsed == 0
    cache.close()


def test_nothing_is_kept_of_files_that_are_read_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files are read one after the other, little is remembered of them."""
    monkeypatch.setattr(row_cache, "MOST_STORED", 2)
    monkeypatch.setattr(row_cache, "SMALLEST", 1)
    cache = CacheFile(tmp_path / "cache.sqlite")
    rows = RowCache(cache)
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        for count in (3, 30):
            path.write_bytes(b"".join(encode_row(float(row), {"loss": float(row)}) for row in range(count)))
            with rows.reading([str(path)]) as columns:
                assert columns[str(path)].rows == count
    assert len(rows._stored) == 2
    assert len(rows._locks) == 0
    for number in range(5):
        with RowCache(cache).reading([str(tmp_path / f"{number}.jsonl")]) as columns:
            (found,) = columns.values()
            assert list(found.columns["loss"].values) == [*range(30)]
    cache.close()


def test_a_fault_does_not_end_reading_ahead(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file at which reading ahead fails in any way is logged, and the next ones are read."""
    monkeypatch.setattr(background, "DELAY", 0.01)
    read: list[str] = []

    class Rows(RowCache):
        def __init__(self) -> None:
            pass

        def read_ahead(self, path: str, *, least: int) -> None:
            read.append(path)
            if path == "bad":
                raise ZeroDivisionError(least)

    ahead = background.BackgroundReader(Rows())
    ahead.changed("bad")
    assert eventually(lambda: read == ["bad"])
    ahead.changed("good")
    assert eventually(lambda: read == ["bad", "good"])
    ahead.close()
    assert "bad cannot be read ahead" in caplog.text
