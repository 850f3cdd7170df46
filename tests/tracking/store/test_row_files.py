from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount

from nemorun_cli.errors import LedgerDamagedError, StateError, UnreadableWarning
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access.reader import record
from nemorun_cli.tracking.store import row_files, row_writer
from nemorun_cli.tracking.store.json_values import encode_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.programs import Program


def _file(root: Path, kind: str, prefix: str = "owner/project/name") -> Path:
    (found,) = (root / prefix / ".record" / kind).glob("*.jsonl")
    return found


def _write(folder: Path, name: str, moments: list[float]) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    lines = (encode_row(moment, {"of": f"{name}:{index}"}) for index, moment in enumerate(moments))
    (folder / f"{name}.jsonl").write_bytes(b"".join(lines))


def test_torn_tail_is_passed_over_and_told(experiment: Experiment, root: Path) -> None:
    """A line cut off by a crash costs that line alone, and reading says so."""
    for step in range(3):
        experiment.metrics("m").log(loss=step)
    path = _file(root, "metrics/m")
    os.truncate(path, path.stat().st_size - 4)
    read = experiment.metrics("m").read()
    assert [row["loss"] for row in read] == [0, 1]
    assert [torn.path for torn in read.torn] == [str(path)]
    assert experiment.metrics("m").read(tail=1)[0]["loss"] == 1


def test_torn_tail_harms_no_later_row(program: Program, root: Path) -> None:
    """The next opening writes after a torn line without touching it."""
    program.run("with Experiment('a', dash_root=root).run as e: e.metrics('m').log(x=1).log(x=2)")
    path = _file(root, "metrics/m", "a")
    os.truncate(path, path.stat().st_size - 4)
    program.run("with Experiment('a', dash_root=root).run as e: e.metrics('m').log(x=3)")
    assert [row["x"] for row in Experiment("a", dash_root=root).metrics("m").read(attempts="all")] == [1, 3]


@pytest.mark.parametrize(
    "damage",
    [
        b"{}x\n",
        b"\0\0\0\n",
        b"[1]\n",
        b"\n",
        b'{"a":1}{"b":2}\n',
        b"1,2\n",
        b"\xff\xfe\n",
        b'{"_ts":1.0,"lo\n',
        b'{"loss":1}\n',
        b'{"_ts":"now","loss":1}\n',
        b'{"_ts":null}\n',
        b'{"_ts":true}\n',
        b'{"_ts":1.0,"x":{"$text":5}}\n',
        b'{"_ts":1' + b"0" * 400 + b"}\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_line_that_is_no_row_spoils_only_itself(damage: bytes, experiment: Experiment, root: Path) -> None:
    """The rows around it are read, from the start and from the end, and it is reported with its number."""
    metric = experiment.metrics("m").log(x=1, step=1)
    path = _file(root, "metrics/m")
    path.write_bytes(path.read_bytes() + damage + path.read_bytes())
    metric.log(x=2, step=2)
    for read in (metric.read(), metric.read(tail=3), metric.read(tail=3, attempts="all")):
        assert [row["x"] for row in read][-2:] == [1, 2]
        assert [(flaw.path, flaw.line) for flaw in read.damaged] == [(str(path), 2)]
        assert read.torn == ()
    assert (len(metric.read(tail=1)), metric.read(tail=1).damaged) == (1, ())
    with pytest.warns(UnreadableWarning, match=f"{path}:2: not a row: "):
        assert metric.stats()["x"]["count"] == 3
    assert metric.last("x") == 2


def test_reports_of_damaged_lines_are_bounded(experiment: Experiment, root: Path) -> None:
    """A file full of damage costs no more reports than the first ones, and keeps its rows."""
    experiment.metrics("m").log(x=1)
    path = _file(root, "metrics/m")
    path.write_bytes(b"?\n" * 1000 + path.read_bytes())
    read = experiment.metrics("m").read()
    assert (len(read), len(read.damaged)) == (1, row_files.MOST_REPORTED)


def test_a_row_of_another_program_may_have_any_text(experiment: Experiment, root: Path) -> None:
    """UTF-8 that is not ASCII, and a time without fraction, are read; this package writes neither."""
    experiment.metrics("m").log(x=1)
    path = _file(root, "metrics/m")
    path.write_bytes('{"_ts":5,"note":"é"}\n'.encode() + path.read_bytes())
    read = experiment.metrics("m").read()
    assert (read[0], read.damaged) == ({"_ts": 5, "note": "é"}, ())


def test_damage_in_each_kind_of_file_spoils_only_its_line(experiment: Experiment, root: Path) -> None:
    """Params, logs, tracks and the index of files are read without the damaged line, which is reported."""
    for number in range(2):
        experiment.params.set(**{f"p{number}": number})
        experiment.log(f"line {number}")
        experiment.tracks("t").append(x=number, _ts=number)
        experiment.files.save_text("text", to=f"{number}.txt")
    for kind in ("params", "logs", "tracks/t", "files"):
        path = _file(root, kind)
        first, second = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(first + b"\0\0" + second + second)
    assert [line["message"] for line in experiment.logs.read()] == ["line 0", "line 1"]
    assert [flaw.line for flaw in experiment.logs.read().damaged] == [2]
    entries = experiment.tracks("t").read(0, 5)
    assert ([entry["x"] for entry in entries], [flaw.line for flaw in entries.damaged]) == ([0, 1], [2])
    with pytest.warns(UnreadableWarning, match="params.*:2"):
        assert experiment.params.get() == {"p0": 0, "p1": 1}
    with pytest.warns(UnreadableWarning, match="files.*:2"):
        assert [file["filename"] for file in experiment.files.list()] == ["0.txt", "1.txt"]


def test_a_damaged_later_line_of_an_opening_hides_no_record(experiment: Experiment, root: Path) -> None:
    """The record is read without it, and it is reported; without its first line an opening is an error."""
    experiment.run.complete()
    path = _file(root, "openings")
    first, end = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\0\0\n" + end)
    found = record(root, "owner/project/name")
    assert found is not None
    assert (found.status, [flaw.line for flaw in found.damaged]) == ("COMPLETED", [2])
    path.write_bytes(first + end[:5] + b"\n")
    assert (lost := record(root, "owner/project/name"))
    assert (lost.status, lost.reason) == ("FAILED", "lost")
    path.write_bytes(b"\0" + first + end)
    with pytest.raises(LedgerDamagedError, match=f"{path}:1"):
        record(root, "owner/project/name")


def test_generations_follow_one_another_whatever_the_clocks_say(tmp_path: Path) -> None:
    """A second opening on a machine whose clock is a day slow still comes after the first."""
    folder = tmp_path / "m"
    _write(folder, "0001-fast-1-a", [100_000.0, 100_001.0])
    _write(folder, "0002-slow-1-b", [5.0, 6.0])
    found, _ = row_files.series(str(folder))
    assert [row["of"] for row in found] == [
        "0001-fast-1-a:0",
        "0001-fast-1-a:1",
        "0002-slow-1-b:0",
        "0002-slow-1-b:1",
    ]
    found, _ = row_files.series(str(folder), tail=3)
    assert [row["of"] for row in found] == ["0001-fast-1-a:1", "0002-slow-1-b:0", "0002-slow-1-b:1"]


def test_writers_of_one_generation_are_merged_by_time_and_keep_their_order(tmp_path: Path) -> None:
    """Rows of two ranks interleave by time; a clock that goes back in one changes nothing in its order."""
    folder = tmp_path / "m"
    _write(folder, "0001-x-1-a", [1.0, 3.0, 2.0, 5.0])
    _write(folder, "0001-x-2-b", [2.5, 4.0])
    found, _ = row_files.series(str(folder))
    assert [row["of"][-3:] for row in found] == ["a:0", "b:0", "a:1", "a:2", "b:1", "a:3"]


@settings(max_examples=amount(50, long=1000))
@given(st.lists(st.lists(st.integers(0, 9), max_size=30), max_size=4), st.integers(0, 40), st.integers(1, 60))
def test_tail_is_the_end_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, writers: list[list[int]], count: int, block: int
) -> None:
    """The last rows read from the end of the files are the last rows of all that is there."""
    folder = tmp_path_factory.mktemp("rows") / "m"
    for number, moments in enumerate(writers):
        _write(folder, f"{number // 2:04d}-x-{number}-a", sorted(map(float, moments)))
    whole, _ = row_files.series(str(folder))
    before, row_files.BLOCK = row_files.BLOCK, block  # type: ignore[misc] # so that a few rows span many blocks
    try:
        tail, _ = row_files.series(str(folder), tail=count)
    finally:
        row_files.BLOCK = before  # type: ignore[misc] # the same
    assert tail == (whole[-count:] if count else [])


def test_more_metrics_than_descriptors(experiment: Experiment) -> None:
    """A thousand metrics keep few files open and lose nothing."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(2):
        for number in range(row_writer.MAX_OPEN * 2):
            experiment.metrics(f"m{number}").log(x=number)
    assert len(list(Path("/proc/self/fd").iterdir())) - before < row_writer.MAX_OPEN + 50
    assert len(experiment.metrics("m3").read()) == 2
    assert len(experiment.metrics.names()) == row_writer.MAX_OPEN * 2


def test_writing_to_what_is_not_open_is_an_error(root: Path) -> None:
    """Before the start and after the end nothing is taken, and nothing is made on disk."""
    experiment = Experiment("a/b", dash_root=root)
    for write in (
        lambda: experiment.metrics("m").log(x=1),
        lambda: experiment.params.set(x=1),
        lambda: experiment.log("x"),
        lambda: experiment.files.save_text("x", to="x"),
        lambda: experiment.tracks("t").append(x=1),
        lambda: experiment.metrics("m", description="x"),
    ):
        with pytest.raises(StateError, match="not open"):
            write()
    assert not root.exists()
    with experiment.run:
        experiment.metrics("m").log(x=1)
    with pytest.raises(StateError, match="not open"):
        experiment.metrics("m").log(x=2)
    assert experiment.metrics("m").stats()["x"]["count"] == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("A FULL DISK IS NOT TRIED: mounting a small file system needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_full_disk_fails_the_call_and_tears_nothing(small_disk: Path) -> None:
    """On a full disk `log` raises, keeps the rows before it, and works again when there is room."""
    experiment = Experiment("a", dash_root=small_disk / "dash", print_logs=False)
    experiment.run.start()
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 100_000)
    written = 0
    with pytest.raises(OSError, match="No space left"):  # noqa: PT012 - the first that fails ends it
        for written in range(10_000):  # noqa: B007 - how far it came
            experiment.metrics("m").log(text="x" * 997)
    with pytest.raises(OSError, match="No space left"):
        experiment.files.save_blob(b"x" * 300_000, to="big.bin")
    read = experiment.metrics("m").read()
    assert (len(read), read.torn) == (written, ())
    ballast.unlink()
    experiment.metrics("m").log(text="after")
    assert experiment.metrics("m").last("text") == "after"
    experiment.run.complete()
    assert experiment.status == "COMPLETED"
    assert not list((small_disk / "dash").rglob("staged-*"))
