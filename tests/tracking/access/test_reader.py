from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking import Experiment, prefixes, record

if TYPE_CHECKING:
    from pathlib import Path


def test_records_are_found_by_prefix(root: Path, tmp_path: Path) -> None:
    """Every record is found once, nested ones too, and a glob chooses; links are not followed."""
    for prefix in ("b/x", "a/y", "a/y/deeper", "a"):
        with Experiment(prefix, dash_root=root).run as experiment:
            experiment.metrics(".record/x").log(x=1)
    (root / "loop").symlink_to(root)
    assert list(prefixes(root)) == ["a", "a/y", "a/y/deeper", "b/x"]
    assert list(prefixes(root, "a/*")) == ["a/y", "a/y/deeper"]
    assert list(prefixes(tmp_path / "none")) == []


def test_record_is_read_without_being_opened(root: Path) -> None:
    """Reading makes nothing on disk and opens nothing."""
    assert record(root, "a") is None
    assert Experiment("a", dash_root=root).metrics("m").read() == []
    assert Experiment("a", dash_root=root).params.get() == {}
    assert Experiment("a", dash_root=root).files.list() == []
    assert not root.exists()
    with pytest.raises(UsageError):
        record(root, "../a")


def test_experiment_shows_its_own_openings(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What several experiments wrote to one prefix can be read for one of them alone."""
    for number in (1, 2):
        monkeypatch.setenv("EXP_ID", f"exp_{number}")
        with Experiment("a", dash_root=root, print_logs=False).run as experiment:
            experiment.params.set({f"p{number}": number})
            experiment.metrics("m").log(x=number)
            experiment.log(str(number))
            experiment.files.save_text("x", to=f"{number}.txt")
            experiment.tracks("t").append(x=number)
    told = record(root, "a")
    assert told is not None
    own = told.ids(exp_id="exp_2")
    data = told.data()
    assert data.params.get(openings=own) == {"p2": 2}
    assert data.metrics("m").last("x", openings=told.ids(exp_id="exp_1")) == 1
    assert data.metrics("m").stats(openings=own)["x"]["count"] == 1
    assert [line["message"] for line in data.logs.read(openings=own)] == ["2"]
    assert [file["filename"] for file in data.files.list(openings=own)] == ["2.txt"]
    assert [entry["x"] for entry in data.tracks("t").read(openings=own)] == [2]
    assert data.metrics("m").read(openings=[]) == []
