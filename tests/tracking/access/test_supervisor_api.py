from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from nemorun_cli.model.status import ExperimentStatus as Status
from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.access import reader, supervisor_api
from nemorun_cli.tracking.access.supervisor_api import TrackedAttempt
from nemorun_cli.tracking.store import row_writer
from nemorun_cli.tracking.store.json_values import encode_row
from nemorun_cli.tracking.store.record_paths import Place

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "a/t"


class Attempts(NamedTuple):
    """The attempts at a task, which this process makes one after the other."""

    root: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def place(self) -> Place:
        """Of the record."""
        return Place(str(self.root), PREFIX)

    def supervise(self, number: int) -> str:
        """The supervisor's opening of an attempt, in which the program runs from then on."""
        for name, value in (("EXP_ID", "e"), ("EXP_TASK", "t"), ("EXP_ATTEMPT", str(number))):
            self.monkeypatch.setenv(name, value)
        return supervisor_api.open_attempt(self.place, TrackedAttempt("e", "t", number), {"lr": number})

    def log(self, *steps: int) -> None:
        """Open the record, log rows, and end it."""
        with Experiment(PREFIX, dash_root=self.root).run as experiment:
            for step in steps:
                experiment.metrics("m").log(step=step)

    def record_output(self, opening: str, *steps: int) -> None:
        """Add rows of the supervisor."""
        writer = row_writer.Writer()
        writer.open(opening)
        for step in steps:
            writer.append(self.place.metric("m"), encode_row(float(step), {"step": step, "of": "supervisor"}))
        writer.close()

    def end(self, number: int) -> None:
        """End the attempt."""
        status = Status.FAILED
        reader.close_openings(self.root, PREFIX, exp_id="e", task="t", attempt=number, status=status)

    def rows(self) -> list[tuple[int, str]]:
        """The rows that count, sorted: the step, and whose they are."""
        found = Experiment(PREFIX, dash_root=self.root).metrics("m").read()
        return sorted((row["step"], row.get("of", "program")) for row in found)


@pytest.fixture
def attempts(root: Path, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    """Attempts at one task."""
    return Attempts(root, monkeypatch)


def test_openings_of_one_attempt_supersede_nothing(attempts: Attempts) -> None:
    """Not one after the other either, as ranks that do not overlap, or an evaluation after the training."""
    opening = attempts.supervise(1)
    attempts.log(0, 1, 2)
    attempts.log(1)
    with Experiment(PREFIX, dash_root=attempts.root).run as experiment:
        experiment.metrics("m").log(accuracy=0.9)
    attempts.record_output(opening, 0)
    openings = Experiment(PREFIX, dash_root=attempts.root).openings()
    assert [each.generation for each in openings] == [1, 1, 2, 3]
    steps = [row.get("step") for row in Experiment(PREFIX, dash_root=attempts.root).metrics("m").read()]
    assert sorted(steps, key=str) == [0, 0, 1, 1, 2, None]


def test_an_attempt_counts_as_a_whole(attempts: Attempts) -> None:
    """What it evaluates without a step replaces no rows of the attempt that its training continues."""
    attempts.supervise(1)
    attempts.log(0, 1, 2)
    attempts.end(1)
    attempts.supervise(2)
    attempts.log(2, 3)
    with Experiment(PREFIX, dash_root=attempts.root).run as experiment:
        experiment.metrics("m").log(accuracy=0.9)
    steps = [row.get("step") for row in Experiment(PREFIX, dash_root=attempts.root).metrics("m").read()]
    assert steps == [0, 1, 2, 3, None]


def test_rows_of_a_supervisor_are_superseded_by_the_next_attempt(attempts: Attempts) -> None:
    """They count with those of their attempt, however often its program opened the record."""
    opening = attempts.supervise(1)
    attempts.log(0, 1)
    attempts.record_output(opening, 0, 1, 2)
    attempts.log(1)
    attempts.end(1)
    attempts.supervise(2)
    attempts.log(1, 2)
    assert attempts.rows() == [(0, "program"), (0, "supervisor"), (1, "program"), (2, "program")]


def test_a_record_is_running_as_long_as_its_attempt(attempts: Attempts) -> None:
    """So it is after the second opening of the program has ended, until the verdict of the supervisor."""
    attempts.supervise(1)
    attempts.log(0)
    attempts.log(1)
    record = Experiment(PREFIX, dash_root=attempts.root)
    assert record.status == "RUNNING"
    attempts.end(1)
    assert record.status == "FAILED"
