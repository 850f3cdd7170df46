from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.tracking.tracks import Track


def test_entries_come_back_by_time(experiment: Experiment) -> None:
    """Entries written out of order are read in order, and found by time as if they had been in order."""
    track = experiment.tracks("robot/pose")
    for moment in (100.0, 5.0, 50.0, 1.0):
        track.append(x=moment, _ts=moment)
    assert [entry["timestamp"] for entry in track.read()] == [1.0, 5.0, 50.0, 100.0]
    part = track.slice(2.0, 60.0)
    assert [entry["x"] for entry in part] == [5.0, 50.0]
    assert (len(part), part[1]["x"]) == (2, 50.0)
    assert track.slice().findByTime(49.9)["x"] == 5.0
    assert [entry["x"] for entry in track.slice().findByTime([1.0, 1000.0])] == [1.0, 100.0]
    with pytest.raises(NotFoundError, match=r"at or before 0.5 \(the earliest is at 1.0\)"):
        track.slice().findByTime(0.5)
    with pytest.raises(NotFoundError, match="it is empty"):
        experiment.tracks("empty").slice().findByTime(1)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.floats(-1e9, 1e9))
def test_lookup_is_the_last_entry_that_is_not_later(
    tmp_path_factory: pytest.TempPathFactory, moments: list[float], wanted: float
) -> None:
    """Looking up gives what a walk over all entries gives."""
    root = tmp_path_factory.mktemp("dash")
    with Experiment("a", dash_root=root).run as experiment:
        track: Track = experiment.tracks("t")
        for moment in moments:
            track.append(x=moment, _ts=moment + 2e9)
    earlier = [moment for moment in moments if moment + 2e9 <= wanted + 2e9]
    if earlier:
        assert track.slice().find_by_time(wanted + 2e9)["timestamp"] == max(earlier) + 2e9
    else:
        with pytest.raises(NotFoundError):
            track.slice().find_by_time(wanted + 2e9)


def test_entries_of_one_time_are_one(experiment: Experiment) -> None:
    """What one process appends at one time is one entry; automatic times are never the same."""
    track = experiment.tracks("t")
    track.append(q=[1, 2], _ts=2.0).append(e=np.float32(0.5), _ts=2.0)
    assert track.read() == [{"timestamp": 2.0, "q": [1, 2], "e": 0.5}]
    for _ in range(500):
        track.append(x=1)
    assert len(track.read()) == 501
    experiment.tracks("camera").append(width=640, _ts=-1)
    assert experiment.tracks("camera").read()[0]["timestamp"] == track.read()[-1]["timestamp"]


def test_two_processes_at_one_time_stay_two(root: Path) -> None:
    """Entries of different writers are never put together."""
    one, two = Experiment("a", dash_root=root), Experiment("a", dash_root=root)
    with one.run, two.run:
        one.tracks("t").append(x=1, _ts=1.0)
        two.tracks("t").append(y=2, _ts=1.0)
    assert len(one.tracks("t").read()) == 2


def test_reading_selects_and_exports(experiment: Experiment) -> None:
    """Times, columns and JSON Lines, and ML-Dash's `entries` and `count`."""
    track = experiment.tracks("t")
    for number in range(5):
        track.append({"x": number, "y": float("nan")}, _ts=float(number))
    assert [entry["x"] for entry in track.read(1, 3)] == [1, 2, 3]
    assert track.read(columns=["x"])[0] == {"timestamp": 0.0, "x": 0}
    found = track.read()
    assert (found["count"], len(found["entries"])) == (5, 5)
    lines = track.read(format="jsonl")
    assert isinstance(lines, bytes)
    assert [json.loads(line)["y"] for line in lines.splitlines()] == ["NaN"] * 5
    with pytest.raises(UsageError, match=r"parquet.*json, jsonl"):
        track.read(format="parquet")
    assert track.list_entries() == found
    assert experiment.tracks.names() == ["t"]
    assert experiment.tracks.flush() is experiment.tracks
    assert track.flush() is track


def test_field_cannot_hide_the_time(experiment: Experiment) -> None:
    """A field called timestamp is refused: it would be taken for the time."""
    with pytest.raises(TypeError, match="_ts"):
        experiment.tracks("t").append(timestamp=3)
    assert experiment.tracks("t").read() == []
