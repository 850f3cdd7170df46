"""What the loggers share: params from any objects, and the life of a trainer's record."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.documents import ROOT
from support.small_disks import full, mounted

from nemorun_cli import Experiment
from nemorun_cli.errors import NotFoundError
from nemorun_cli.loggers.plain_params import MAX_ITEMS, MAX_LEVELS, MAX_PARAMS, recordable_params
from nemorun_cli.loggers.trainer_record import TrainerRecord

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "alice/tests/trainer"
TIMEOUT = 60.0  # seconds


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def record(**options: Any) -> TrainerRecord:
    return TrainerRecord(PREFIX, options, is_writer=True)


class Broken:
    """An object of a library that is not ready to be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("not ready")


class Settings:
    """Behaves like a mapping and is none, as those of OmegaConf."""

    def keys(self) -> list[str]:  # noqa: D102 - as of a mapping
        return ["lr", "layers"]

    def __getitem__(self, key: str) -> Any:
        return {"lr": 0.1, "layers": [8, 8]}[key]


def test_params_are_made_of_plain_values() -> None:
    """Groups stay nested; a function, a class or an object is a text that is the same in each run."""
    values = argparse.Namespace(
        lr=0.1, settings=Settings(), sizes=(1, 2), kind=Broken, call=print, object=object(), broken=Broken()
    )
    assert recordable_params(values) == {
        "lr": 0.1,
        "settings": {"lr": 0.1, "layers": [8, 8]},
        "sizes": [1, 2],
        "kind": f"{__name__}.Broken",
        "call": "print",
        "object": "<object object>",
        "broken": f"<{__name__}.Broken>",
    }


def test_params_are_bounded() -> None:
    """A large group, a long text, and what is nested too deeply or within itself become short texts."""
    within: dict[str, Any] = {}
    within["itself"] = within
    labels = {number: f"LABEL_{number}" for number in range(MAX_ITEMS + 1)}
    params = recordable_params({"labels": labels, "text": "x" * 100_000, "within": within})
    assert isinstance(params["labels"], str)
    assert all(len(str(value)) < 11_000 for value in params.values())
    level: Any = params["within"]
    for _ in range(MAX_LEVELS - 2):
        level = level["itself"]
    assert isinstance(level["itself"], str)
    many = {f"p{number}": number for number in range(MAX_PARAMS + 1)}
    with pytest.warns(RuntimeWarning, match="only the first 1000 of 1001"):
        assert len(recordable_params(many)) == MAX_PARAMS


def test_what_has_no_fields_is_reported() -> None:
    """Hyperparameters that are no mapping are a warning, and no exception."""
    with pytest.warns(RuntimeWarning, match="hyperparameters are a mapping, not int"):
        assert recordable_params(1) == {}


def test_a_param_that_conflicts_does_not_keep_others_out() -> None:
    """A name that is a group already is a warning, and the other params are set."""
    trainer = record()
    trainer.open().params.set(model={"depth": 3})
    with pytest.warns(RuntimeWarning, match="'model' cannot be set"):
        trainer.set_params({"lr": 0.1, "model": "resnet"})
    trainer.release()
    assert Experiment(PREFIX).params.get() == {"model.depth": 3, "lr": 0.1}


def test_the_time_of_a_row_is_not_a_metric() -> None:
    """A metric named `_ts` is left out with a warning, and the others are recorded."""
    trainer = record()
    with pytest.warns(RuntimeWarning, match="'_ts' was not recorded"):
        trainer.log(None, {"_ts": 1.0, "loss": 2.0}, 3)
    trainer.release()
    row = Experiment(PREFIX).metrics().last()
    assert (row["loss"], row["step"]) == (2.0, 3)
    assert row["_ts"] > 1e9


def test_a_training_that_is_tried_again_after_an_error_names_it() -> None:
    """A trainer that begins while an exception is handled fails the record of the earlier one with it."""
    trainer = record()
    trainer.begin()
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        trainer.begin()
    trainer.finish()
    trainer.release()
    first, second = Experiment(PREFIX).openings()
    assert (first.status, first.end["message"]) == ("FAILED", "ZeroDivisionError: division by zero")
    assert second.status == "COMPLETED"


def test_a_full_disk_does_not_end_a_training(tmp_path: Path) -> None:
    """A row and params that cannot be written are warnings; what follows when there is room is recorded."""
    disk = tmp_path / "disk"
    with mounted(disk, 512):
        trainer = record(dash_root=disk)
        trainer.log(None, {"loss": 1.0}, 1)
        with full(disk), pytest.warns(RuntimeWarning, match="was not written"):
            trainer.log("full", {"loss": 2.0}, 2)
        with full(disk), pytest.warns(RuntimeWarning, match="were not written"):
            trainer.set_params({"lr": 0.1})
        trainer.log(None, {"loss": 3.0}, 3)
        trainer.release()
        assert [row["step"] for row in Experiment(PREFIX, dash_root=disk).metrics().read()] == [1, 3]


def test_a_record_that_was_moved_does_not_end_a_training(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """What a moved record does not take is one warning, and its end is written where it is."""
    trainer = record(dash_root=tmp_path / "dash")
    trainer.begin()
    trainer.log(None, {"loss": 1.0}, 1)
    (tmp_path / "dash").rename(tmp_path / "moved")
    for step in range(3):
        trainer.log("validate", {"loss": 1.0}, step)
    trainer.set_params({"lr": 0.1})
    trainer.finish()
    trainer.release()
    assert _warned(recwarn) == ["a row of the record", "params of the record"]
    assert Experiment(PREFIX, dash_root=tmp_path / "moved").status == "COMPLETED"


def test_a_record_that_was_removed_does_not_end_a_training(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """Its end is a warning, and the exception of a trainer that fails stays what it is."""
    trainer = record(dash_root=tmp_path / "dash")
    error = ZeroDivisionError("of the trainer")
    trainer.begin()
    shutil.rmtree(tmp_path / "dash")
    trainer.fail(error)
    assert "could not be closed" in error.__notes__[0]
    trainer.begin()
    trainer.log(None, {"loss": 1.0}, 1)
    shutil.rmtree(tmp_path / "dash")
    trainer.finish()
    trainer.release()
    assert _warned(recwarn) == ["the end of the record"]


def _warned(recwarn: pytest.WarningsRecorder) -> list[str]:
    """What each warning is about."""
    return [str(warning.message).partition(" '")[0] for warning in recwarn]


def test_a_record_that_cannot_be_opened_is_an_error_before_the_training() -> None:
    """A training without the record that it must have does not begin."""
    with pytest.raises(NotFoundError):
        record(resume="must").set_params({"lr": 0.1})


@pytest.mark.parametrize("series", ["", "x" * 400])
def test_a_series_that_cannot_be_named_does_not_end_a_training(series: str) -> None:
    """Its rows are a warning, and others are recorded."""
    trainer = record()
    with pytest.warns(RuntimeWarning, match="a row of the record"):
        trainer.log(series, {"loss": 1.0}, 1)
    trainer.log(None, {"loss": 1.0}, 1)
    trainer.release()
    assert Experiment(PREFIX).metrics.names() == [None]


@pytest.mark.parametrize(
    ("program", "status", "reason"),
    [
        ("record.begin(); record.finish()", "COMPLETED", None),
        ("record.begin(); record.finish(); record.log(None, {'loss': 1}, 1)", "COMPLETED", None),
        ("record.begin()", "FAILED", "the program ended before the training did"),
        ("record.begin(); sys.exit(3)", "FAILED", "the program ended before the training did"),
        ("record.begin(); raise KeyboardInterrupt", "CANCELLED", "interrupted"),
        ("record.begin(); record.finish(); 1 / 0", "FAILED", "ZeroDivisionError: division by zero"),
        ("record.begin(); record.fail(ValueError('x')); record.begin(); record.finish()", "COMPLETED", None),
    ],
)
def test_the_end_of_the_program_ends_the_record(program: str, status: str, reason: str | None) -> None:
    """A record that is open at the end of the program gets the status of its last training."""
    head = (
        "import sys\nfrom nemorun_cli.loggers.trainer_record import TrainerRecord\n"
        f"record = TrainerRecord({PREFIX!r}, {{}}, is_writer=True)\n"
    )
    subprocess.run([sys.executable, "-c", head + program], check=False, timeout=TIMEOUT, capture_output=True)
    last = Experiment(PREFIX).openings()[-1]
    assert (last.status, last.end.get("message")) == (status, reason)


@pytest.mark.parametrize(("module", "extra"), [("lightning", "lightning"), ("transformers", "transformers")])
def test_a_missing_library_is_named_with_its_extra(module: str, extra: str) -> None:
    """Without the library, importing its logger says what to install; nothing else needs it."""
    program = (
        "import sys; from nemorun_cli import Experiment; assert 'nemorun_cli.loggers' not in sys.modules;"
        f" import nemorun_cli.loggers.{module}"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],  # without what is installed
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"not installed: pip install 'nemorun-cli[{extra}]'" in done.stderr
