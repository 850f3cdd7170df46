"""Values of single metrics of an attempt, as they arrive in its records."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from nemorun_cli import Experiment
from nemorun_cli.model.stop_rules import WantedMetric
from nemorun_cli.supervisor.metric_watch import metric_value, unjudged
from nemorun_cli.tracking.access.value_follower import ValueFollower
from nemorun_cli.tracking.store.record_paths import Place

PREFIX = "me/exp/train"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The record of the task `train`, whose first attempt this process is."""
    for name, value in (("EXP_ID", "exp_1"), ("EXP_TASK", "train"), ("EXP_ATTEMPT", "1")):
        monkeypatch.setenv(name, value)
    return Place(str(tmp_path), PREFIX)


def record(place: Place) -> Experiment:
    """The record, to be written to."""
    return Experiment(prefix=place.prefix, dash_root=place.root)


def follower(*keys: str, attempt: int = 1) -> ValueFollower:
    """A follower of these metrics of an attempt at `train`."""
    wanted = [WantedMetric(key) for key in keys]
    return ValueFollower(wanted, experiment="exp_1", task="train", attempt=attempt)


def test_each_value_is_returned_once(place: Place) -> None:
    """A look returns the values since the last one, whatever series, writer or type they have."""
    followed = follower("train/loss", "accuracy")
    assert followed.read([place]) == []
    with record(place).run as experiment:
        experiment.metrics("train").log(loss=2, epoch=1)
        experiment.metrics.log(accuracy=0.5, loss="none")
        experiment.metrics("train").log(loss=math.nan, epoch=2)
        assert [(each.wanted.key, each.value) for each in followed.read([place])][:2] == [
            ("train/loss", 2),
            ("accuracy", 0.5),
        ]
        assert followed.read([place]) == []
        experiment.metrics("train").log(loss=10**400, epoch=3)
        (last,) = followed.read([place])
        assert (metric_value(last).value, metric_value(last).epoch) == (math.inf, 3)
    assert unjudged(followed) == []


def test_rows_of_other_attempts_and_tasks_are_left_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry is judged by its own rows, with the rank of each."""
    with record(place).run as experiment:
        experiment.metrics.log(loss=1)
    monkeypatch.setenv("EXP_ATTEMPT", "2")
    monkeypatch.setenv("RANK", "3")
    with record(place).run as experiment:
        experiment.metrics.log(loss=2)
    values = [(each.value, each.rank) for each in follower("loss", attempt=2).read([place])]
    assert values == [(2, 3)]
    assert [each.value for each in follower("loss").read([place])] == [1]
    monkeypatch.setenv("EXP_TASK", "other")
    with record(place).run as experiment:
        experiment.metrics.log(loss=3)
    assert [each.value for each in follower("loss", attempt=2).read([place])] == [2]


def test_a_key_means_one_metric(place: Place) -> None:
    """The full name, else the end of the only one; several are none, and what is missing is named."""
    followed = follower("loss", "step_time", "word")
    with record(place).run as experiment:
        experiment.metrics("train").log(loss=1, word="x")
        assert [each.field for each in followed.read([place])] == [("train", "loss")]
        experiment.metrics("val").log(loss=2)
        assert followed.read([place]) == []
        assert unjudged(followed) == [
            {"metric": "loss", "reason": "ambiguous", "names": ["train/loss", "val/loss"]},
            {"metric": "step_time", "reason": "never", "names": ["train/loss", "train/word", "val/loss"]},
            {"metric": "word", "reason": "text", "names": ["train/word"]},
        ]
        experiment.metrics.log(loss=3)
        assert [each.field for each in followed.read([place])] == [(None, "loss")]


def test_all_metrics_of_a_name_can_be_wanted(place: Place) -> None:
    """Then a key that means several is not ambiguous."""
    followed = ValueFollower(
        [WantedMetric("loss", takes_all=True), WantedMetric("loss")],
        experiment="exp_1",
        task="train",
        attempt=1,
    )
    with record(place).run as experiment:
        experiment.metrics("train").log(loss=1)
        experiment.metrics("val").log(loss=2)
    values = [(each.wanted.takes_all, each.value) for each in followed.read([place])]
    assert values == [(True, 1), (True, 2)]
    assert [entry["reason"] for entry in unjudged(followed)] == ["ambiguous"]


def test_an_incomplete_row_is_read_when_it_is_whole(place: Place) -> None:
    """A torn line is not lost, and a damaged one is skipped."""
    followed = follower("loss")
    with record(place).run as experiment:
        experiment.metrics.log(loss=1)
        assert [each.value for each in followed.read([place])] == [1]
        (path,) = Path(place.metric(None)).iterdir()
        with path.open("ab") as file:
            file.write(b'broken\n{"_ts": 9.0, "lo')
        assert followed.read([place]) == []
        with path.open("ab") as file:
            file.write(b'ss": 4}\n')
        assert [each.value for each in followed.read([place])] == [4]


def test_a_file_that_cannot_be_read_hides_no_other(place: Place, tmp_path: Path) -> None:
    """A link in place of a file is named, and the rows of all other files count, each once."""
    followed = follower("train/loss", "val/loss")
    with record(place).run as experiment:
        experiment.metrics("train").log(loss=1)
        experiment.metrics("val").log(loss=2)
    (path,) = Path(place.metric("train")).iterdir()
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    odd = Path(place.metrics, "%FF")
    odd.mkdir()
    (odd / path.name).touch()
    assert [each.value for each in followed.read([place])] == [2]
    assert len(followed.problems) == 2
    assert path.name in followed.problems[1]
    assert followed.read([place]) == []
    path.unlink()
    shutil.rmtree(odd)
    (tmp_path / "moved").rename(path)
    assert ([each.value for each in followed.read([place])], followed.problems) == ([1], [])
