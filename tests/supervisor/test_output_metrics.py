from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.supervisor.output_metrics import AT, LONGEST, SEARCHED_AGAIN, OutputMetrics
from nemorun_cli.system.regex_timeout import SlowPatterns
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access import supervisor_api
from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
from nemorun_cli.tracking.store import record_paths

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOSS = {"train": (r"loss=(?P<loss>\S+)",)}


class Log:
    """The output of an attempt, and readings of it by one supervisor after another."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log"
        self.path.touch()
        self.place = record_paths.place(folder / "dash", "a")
        self.opening = supervisor_api.open_attempt(self.place, TrackedAttempt("exp_1", "t", 1), {})
        self.told: list[str] = []

    def write(self, text: str) -> None:
        """Write as the task would."""
        with self.path.open("a") as stream:
            stream.write(text)

    def readings(self, wanted: Mapping[str, Sequence[str]] = LOSS) -> OutputMetrics:
        """What a new supervisor reads with."""
        return OutputMetrics(
            str(self.path), place=self.place, opening=self.opening, wanted=wanted, report=self.told.append
        )

    def losses(self, series: str = "train") -> list[float]:
        """What was found."""
        rows = Experiment("a", dash_root=self.place.root).metrics(series).read()
        return [row["loss"] for row in rows]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """An empty output."""
    return Log(tmp_path)


def read(readings: OutputMetrics, *, is_over: bool = False) -> bool:
    """Read all that is there."""
    return readings.read(is_over=is_over, until=time.monotonic() + 60)


def test_a_line_is_read_once_when_it_is_whole(log: Log) -> None:
    """A line counts when its end was written, or at the end of the task; none counts twice."""
    readings = log.readings()
    log.write("loss=1\nloss=")
    assert read(readings)
    assert log.losses() == [1]
    log.write("2\nnothing\nloss=3")
    read(readings)
    read(readings)
    assert log.losses() == [1, 2]
    read(readings, is_over=True)
    read(readings, is_over=True)
    assert log.losses() == [1, 2, 3]


def test_progress_bars_are_lines(log: Log) -> None:
    """What a carriage return ends is a line, so each state of a progress bar counts."""
    log.write("10% loss=3\r50% loss=2\r\n100% loss=1\r\n")
    read(log.readings())
    assert log.losses() == [3, 2, 1]


def test_rows_say_where_their_line_begins(log: Log) -> None:
    """A row names the byte of the log where its line begins, also past what is not ASCII."""
    log.write("é\r\nloss=1\n")
    read(log.readings())
    (row,) = Experiment("a", dash_root=log.place.root).metrics("train").read()
    assert log.path.read_bytes()[row[AT] :] == b"loss=1\n"


@pytest.mark.parametrize("kept", range(5))
def test_a_successor_goes_on_exactly_where_rows_end(log: Log, kept: int) -> None:
    """Wherever a supervisor was killed between two rows, the next one repeats none and leaves none out."""
    wanted = {"train": (r"loss=(?P<loss>\S+)", r"last (?P<loss>\S+)"), "eval": (r"loss=(?P<loss>4)",)}
    log.write("loss=1 loss=2\nloss=3\nloss=4 loss=4 last 5\n")
    read(log.readings(wanted))
    (path,) = (log.path.parent / "dash").glob("a/.record/metrics/train/*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    path.write_bytes(b"".join(lines[:kept]) + lines[kept][:10])
    for found in (log.path.parent / "dash").glob("a/.record/metrics/eval/*.jsonl"):
        if kept < 4:  # rows of a line are written series by series
            found.unlink()
    log.write("loss=6\n")
    read(log.readings(wanted))
    assert log.losses() == [1, 2, 3, 4, 4, 5, 6]
    assert log.losses("eval") == [4, 4]


def test_long_lines_are_cut_and_binary_ones_borne(log: Log) -> None:
    """Of a line past all bounds only its beginning is looked at, and no byte stops the reading."""
    with log.path.open("ab") as stream:
        stream.write(b"loss=1 " + b"x" * (LONGEST * 20) + b" loss=2\n\xff\x00loss=3\n")
    read(log.readings())
    assert log.losses() == [1, 3]


def test_reading_stops_when_its_time_is_over(log: Log) -> None:
    """A look at a log takes no longer than it may; the next one goes on."""
    log.write("loss=1\n" * 50_000)
    readings = log.readings()
    assert not readings.read(is_over=False, until=time.monotonic())
    assert 0 < len(log.losses()) < 50_000
    assert read(readings)
    assert len(log.losses()) == 50_000


def test_a_pattern_that_never_ends_is_given_up(log: Log) -> None:
    """A pattern that takes for ever on a line is given up and told, and others go on."""
    log.write("loss=1 " + "a" * 60 + "!\nloss=2\n")
    read(log.readings({"slow": (r"(?P<x>(a+)+)$",), **LOSS}))
    assert log.losses() == [1, 2]
    assert "dropped" in log.told[0]


def test_what_is_not_there_is_nothing(log: Log) -> None:
    """A task that has no log yet, or whose log is gone, has no numbers."""
    log.path.unlink()
    assert read(log.readings())
    assert log.losses() == []


def test_numbers_that_are_not_finite_come_back(log: Log) -> None:
    """NaN in the output is NaN in the record."""
    log.write("loss=nan\n")
    read(log.readings())
    assert math.isnan(log.losses()[0])


def unmatched(readings: OutputMetrics) -> list[tuple[str, str, int]]:
    """The pattern, the reason and the place of each pattern that gave no row, once all is read."""
    read(readings, is_over=True)
    entries = readings.unmatched(until=time.monotonic() + 60)
    return [(entry["pattern"], entry["reason"], entry["at"]) for entry in entries]


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"loss=(?P<loss>\S+)", "loss=0.5\nloss=x\n", []),
        (r"loss=(?P<loss>\S+)", "first\nsecond\n", [("never", 0)]),
        (r"loss=(?P<loss>\S+)", "first\rloss=0,5\nloss=0,4", [("text", 6)]),
        (r"step (?P<step>\d+) loss=(?P<loss>\d+)?", "step 1 loss=\n", [("never", 0)]),
        (r"loss=(?P<loss>\S+)", "", [("never", 0)]),
        ("json", '{"loss": "0,5"}\n', [("text", 0)]),
        ("json", '{"loss": 0.5}\n{"a": "b"}\n', []),
        ("json", "no object\n", [("never", 0)]),
    ],
)
def test_a_pattern_without_rows_has_a_reason(
    log: Log, pattern: str, text: str, expected: list[tuple[str, int]]
) -> None:
    """It matched no line, or only a text that is no number, at a byte of the log."""
    log.write(text)
    assert unmatched(log.readings({"t": (pattern,)})) == [(pattern, *each) for each in expected]


@pytest.mark.parametrize("before", ["loss=1\nacc=2\n", "loss=1\n", "acc=x\n", ""])
def test_what_matched_before_a_restart_counts(log: Log, before: str) -> None:
    """A pattern that matched for an earlier supervisor is not reported by the next one."""
    wanted = {"t": (r"loss=(?P<loss>\S+)", r"acc=(?P<acc>\d+)", r"never=(?P<never>\d+)")}
    log.write(before)
    read(log.readings(wanted))
    log.write("loss=3\n")
    names = [pattern[:3] for pattern, _, _ in unmatched(log.readings(wanted))]
    assert names == (["nev"] if "acc=2" in before else ["acc", "nev"])


def test_a_pattern_that_is_given_up_is_reported(log: Log) -> None:
    """One that another output showed to be too slow is listed as such."""
    slow = SlowPatterns()
    slow.spend(LOSS["train"][0], 60.0)
    log.write("loss=1\n")
    readings = OutputMetrics(
        str(log.path), place=log.place, opening=log.opening, wanted=LOSS, report=log.told.append, slow=slow
    )
    assert unmatched(readings) == [(LOSS["train"][0], "slow", 0)]


def test_a_long_log_is_not_read_again_without_need(log: Log) -> None:
    """Only the beginning of a log is searched for texts that are no numbers, and of a long line its begin."""
    log.write(f"{'x' * 3 * LONGEST}\n" * (SEARCHED_AGAIN // LONGEST))
    log.write("loss=x\n")
    assert unmatched(log.readings()) == [(LOSS["train"][0], "never", 0)]
