from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.tracking import record

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.tracking import Record

# The programs of ML-Dash's guide to experiments, as they stand there.
CONTEXT = """
from ml_dash import Experiment

with Experiment(
    prefix="alice/my-project/my-experiment",
    dash_root=".dash"
).run as experiment:
    experiment.log("Training started")
    experiment.params.set(learning_rate=0.001)
"""
DECORATOR = """
from ml_dash import ml_dash_experiment

@ml_dash_experiment(prefix="alice/my-project/my-experiment")
def train_model(experiment):
    experiment.params.set(learning_rate=0.001)
    for epoch in range(10):
        experiment.metrics("train").log(loss=0.5, epoch=epoch)
    return "Training complete!"

result = train_model()
"""
DIRECT = """
from ml_dash import Experiment

experiment = Experiment(
    prefix="alice/my-project/my-experiment",
    dash_root=".dash"
)
experiment.run.start()

try:
    experiment.params.set(learning_rate=0.001)
finally:
    experiment.run.complete()
"""
METADATA = """
from ml_dash import Experiment

with Experiment(
    prefix="alice/computer-vision/resnet50-imagenet",
    dash_root=".dash",
    description="ResNet-50 training with new augmentation",
    tags=["resnet", "imagenet", "baseline"],
    bindrs=["gpu-cluster", "team-a"]
).run as experiment:
    pass
"""
RESUMED = """
from ml_dash import Experiment

# First run
with Experiment(
    prefix="alice/ml/long-training",
    dash_root=".dash"
).run as experiment:
    experiment.metrics("train").log(loss=0.5, epoch=1)

# Later - continues same experiment
with Experiment(
    prefix="alice/ml/long-training",
    dash_root=".dash"
).run as experiment:
    experiment.metrics("train").log(loss=0.3, epoch=2)
"""
REMOTE = """
from ml_dash import Experiment

with Experiment(
    prefix="alice/my-project/my-experiment",
    dash_url="https://api.dash.ml"
).run as experiment:
    experiment.log("Using remote server")
"""
# The guide shows these with a server; here with a folder.
FAILING = """
from ml_dash import Experiment

with Experiment(
    prefix="alice/ml/training",
    dash_root=".dash"
).run as experiment:
    raise ValueError("Training failed!")
"""
MANUAL = """
from ml_dash import Experiment

experiment = Experiment(
    prefix="alice/ml/training",
    dash_root=".dash"
)
experiment.run.start()

try:
    # training...
    experiment.run.complete()
except KeyboardInterrupt:
    experiment.run.cancel()
except Exception as e:
    experiment.run.fail()
"""


def run(program: str, folder: Path, *, code: int = 0) -> str:
    """Run the program with nothing but its import changed; gives what it said on standard error."""
    text = program.replace("from ml_dash import", "from nemorun_cli import")
    argv = [sys.executable, "-W", "error", "-c", text]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


def recorded(folder: Path, prefix: str) -> Record:
    """The record that it left."""
    found = record(folder / ".dash", prefix)
    assert found is not None
    return found


@pytest.mark.parametrize("program", [CONTEXT, DECORATOR, DIRECT], ids=["context", "decorator", "direct"])
def test_each_of_the_three_styles_completes(program: str, tmp_path: Path) -> None:
    """A context, a decorator and manual control track the same and leave a completed record."""
    run(program, tmp_path)
    found = recorded(tmp_path, "alice/my-project/my-experiment")
    assert found.status == "COMPLETED"
    assert found.data().params.get() == {"learning_rate": 0.001}
    if program is DECORATOR:
        assert found.data().metrics("train").read().columns()["epoch"] == list(range(10))


def test_what_describes_an_experiment_is_kept(tmp_path: Path) -> None:
    """Description, tags and bindrs are there to be read."""
    run(METADATA, tmp_path)
    found = recorded(tmp_path, "alice/computer-vision/resnet50-imagenet")
    assert found.description == "ResNet-50 training with new augmentation"
    assert found.tags == ["resnet", "imagenet", "baseline"]
    assert found.bindrs == ["gpu-cluster", "team-a"]


def test_the_same_prefix_continues(tmp_path: Path) -> None:
    """A second run under a prefix adds to what the first one left."""
    run(RESUMED, tmp_path)
    rows = recorded(tmp_path, "alice/ml/long-training").data().metrics("train").read()
    assert [(row["epoch"], row["loss"]) for row in rows] == [(1, 0.5), (2, 0.3)]


def test_an_exception_fails_and_manual_control_completes(tmp_path: Path) -> None:
    """An exception is FAILED and goes on its way; complete() is COMPLETED."""
    assert "ValueError: Training failed!" in run(FAILING, tmp_path, code=1)
    assert recorded(tmp_path, "alice/ml/training").status == "FAILED"
    run(MANUAL, tmp_path)
    assert recorded(tmp_path, "alice/ml/training").status == "COMPLETED"


def test_a_server_that_is_away_changes_nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with `dash_url` runs without its server, and says in one line what has not arrived there."""
    monkeypatch.setenv("EXP_DRAIN", "0.1")
    told = run(REMOTE.replace("https://api.dash.ml", "http://127.0.0.1:9"), tmp_path)
    assert told.count("\n") == 1
    assert "exp sync" in told
    assert recorded(tmp_path, "alice/my-project/my-experiment").status == "COMPLETED"
    shutil.rmtree(tmp_path / ".dash" / ".outbox", ignore_errors=True)  # its sender ends
