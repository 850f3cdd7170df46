"""Programs in the style of ML-Dash's guides, with another import."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from nemorun_cli.dash import RUN
from nemorun_cli.tracking import prefixes, record

if TYPE_CHECKING:
    from pathlib import Path

SINGLETON = """
from ml_dash.auto_start import dxp
from ml_dash.run import RUN

RUN.prefix = "alice/scratch/my-experiment"

with dxp.run:
    dxp.log("Training started", level="info")
    dxp.params.set(learning_rate=0.001, batch_size=32)
    for epoch in range(10):
        loss = 1.0 - epoch * 0.08
        dxp.metrics("train").log(loss=loss, epoch=epoch)
    dxp.logs.info("Training completed")
"""
SWEEP = """
from itertools import product
from ml_dash import RUN, Experiment

RUN.user = "alice"
RUN.entry = "sweeps/train.py"
RUN.job_name = "{job_counter:02d}"
RUN.prefix = "{user}/search/{path_stem}/{job_name}"
for rate, size in product([0.1, 0.01], [16, 32]):
    with Experiment(readme=f"lr={rate}, bs={size}", tags=["grid", f"lr-{rate}"]).run as experiment:
        experiment.params.set(learning_rate=rate, batch_size=size)
        experiment.metrics("eval").log(accuracy=rate * size)
"""
CONFIGURATION = """
import argparse
from dataclasses import asdict, dataclass
from ml_dash import Experiment

class TrainingArgs:
    learning_rate = 0.001
    batch_size = 32
    _cache = {}

    def schedule(self):
        return None

@dataclass
class Data:
    workers: int = 4

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)

with Experiment(prefix="alice/ml/configuration").run as experiment:
    experiment.params.log(training=TrainingArgs, model={"name": "resnet50", "layers": 50}, run_id="exp-001")
    experiment.params.set(**asdict(Data()))
    experiment.params.set(**vars(parser.parse_args([])))
    experiment.params.log(**{"training.learning_rate": 0.0001})
    rate = experiment.params.get()["training.learning_rate"]
    layers = experiment.params.get(flatten=False)["model"]["layers"]
"""
BUFFERED = """
from ml_dash import Experiment

experiment = Experiment(prefix="alice/ml/buffered", dash_root=".dash")
with experiment.run:
    for epoch in range(3):
        for batch in range(10):
            experiment.metrics("train").buffer(loss=batch / 10, accuracy=0.5)
            experiment.metrics("eval").buffer(loss=batch / 5)
        experiment.metrics.buffer.log_summary("mean", "std", "p95")
        experiment.metrics.log(epoch=epoch).flush()
    experiment.flush()
    result = experiment.metrics("train").read(start_index=0, limit=2)
    points = [(point["index"], round(point["data"]["loss.mean"], 2)) for point in result["data"]]
    more = result["hasMore"]
"""
CHECKPOINTS = """
from ml_dash import Experiment

with Experiment(prefix="alice/cv/resnet-training").run as dxp:
    for epoch in range(3):
        snapshot = dxp.files("models").save_blob(bytes([epoch]), to=f"model_{epoch:05d}.pt")
        dxp.files().duplicate(snapshot, to="models/latest.pt")
        dxp.files("checkpoints", tags=["checkpoint"], bindrs=["v1"]).save({"n": epoch}, to=f"{epoch}.json")
    best = next(file for file in dxp.files().list() if "checkpoint" in file.get("tags", []))
    path = dxp.files(file_id=best["id"], dest_path="best.json").download()
    count = len(dxp.files("models").download("*.pt", to="local_models"))
    if dxp.files("latest.pt").exists():
        dxp.files(file_id=best["id"], description="the best").update()
    members = [file["filename"] for file in dxp.bindrs("v1").list()]
    dxp.files.delete("checkpoints/*.json")
"""
ROBOT = """
from ml_dash import Experiment

with Experiment("robotics/training").run as experiment:
    for step in range(5):
        experiment.tracks("robot/position").append(step=step, q=[step * 0.1, 0.0], _ts=float(step))
        experiment.tracks("camera/left").append(frame=f"frame_{step:05d}.jpg", _ts=-1)
    experiment.tracks.flush()
    poses = experiment.tracks("robot/position").slice(1.0, 3.0)
    steps = [pose["step"] for pose in poses]
    frame = experiment.tracks("camera/left").slice().findByTime(2.5)["frame"]
    lines = experiment.tracks("robot/position").read(format="jsonl").splitlines()
"""


def run(program: str) -> dict[str, Any]:
    """Run a program with `ml_dash` replaced, as a user would; its names afterwards."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(re.sub(r"\bml_dash\b", "nemorun_cli.dash", program), names)  # noqa: S102 - our own programs
    return names


def stored(folder: Path, prefix: str) -> Any:
    """The record that a program left, which has completed."""
    found = record(folder / ".dash", prefix)
    assert found is not None
    assert found.status == "COMPLETED"
    return found


def test_the_singleton_is_configured_before_it_starts(tmp_path: Path) -> None:
    """`RUN.prefix` is where `dxp` records, and the settings of the process are kept."""
    dxp = run(SINGLETON)["dxp"]
    data = record(dxp.dash_root, "alice/scratch/my-experiment").data()  # type: ignore[union-attr]
    assert data.metrics("train").read().columns()["epoch"] == list(range(10))
    assert [line["message"] for line in data.logs.read()] == ["Training started", "Training completed"]
    assert RUN.prefix == "alice/scratch/my-experiment"
    assert tmp_path.is_dir()


def test_a_sweep_has_a_record_for_each_job(tmp_path: Path) -> None:
    """The counter of jobs is in the prefix of each, and no two share one."""
    RUN.job_counter = 0
    run(SWEEP)
    found = sorted(prefixes(tmp_path / ".dash"))
    assert found == [f"alice/search/sweeps/train/{number:02d}" for number in range(4)]
    last = stored(tmp_path, found[-1])
    assert (last.description, last.tags) == ("lr=0.01, bs=32", ["grid", "lr-0.01"])


def test_configurations_become_parameters(tmp_path: Path) -> None:
    """Classes, mappings, dataclasses and arguments of the command line are flattened and merged."""
    names = run(CONFIGURATION)
    assert (names["rate"], names["layers"]) == (0.0001, 50)
    params = stored(tmp_path, "alice/ml/configuration").data().params.get()
    assert (params["training.batch_size"], params["workers"], params["seed"]) == (32, 4, 1)
    assert not [name for name in params if "schedule" in name or "_cache" in name]


def test_buffers_are_summarised(tmp_path: Path) -> None:
    """One call logs the aggregates of all series; a page of rows is read back."""
    names = run(BUFFERED)
    assert (names["points"], names["more"]) == ([(0, 0.45), (1, 0.45)], True)
    data = stored(tmp_path, "alice/ml/buffered").data()
    assert len(data.metrics("eval").read()) == len(data.metrics().read()) == 3
    assert data.metrics("eval").last("loss.p95") == pytest.approx(1.71)


def test_checkpoints_are_saved_found_and_deleted(tmp_path: Path) -> None:
    """Snapshots have real ids, so they are duplicated, downloaded and updated by them."""
    names = run(CHECKPOINTS)
    assert (tmp_path / "best.json").read_text(encoding="utf-8") == '{"n":0}\n'
    assert (names["count"], names["members"]) == (4, ["0.json", "1.json", "2.json"])
    files = stored(tmp_path, "alice/cv/resnet-training").data().files
    assert [file["filename"] for file in files.list()][-1] == "model_00002.pt"
    assert (
        next(file for file in files.versions() if file["filename"] == "0.json")["description"] == "the best"
    )
    assert files("models/latest.pt").read_bytes() == b"\x02"


def test_tracks_are_aligned_by_time(tmp_path: Path) -> None:
    """A frame is found by the time of the pose before it."""
    names = run(ROBOT)
    assert (names["steps"], names["frame"], len(names["lines"])) == ([1, 2, 3], "frame_00002.jpg", 5)
    stored(tmp_path, "robotics/training")
