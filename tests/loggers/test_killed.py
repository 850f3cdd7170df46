"""Real trainings with PyTorch, Lightning and transformers, killed with -9 and resumed; a sweep compared."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from support.documents import ROOT, blocks
from support.patience import eventually

from nemorun_cli import Experiment
from nemorun_cli.contract.fixtures import processes_of

if TYPE_CHECKING:
    from support.workspace import Exp


STEPS, HELD_AT = 16, 10
EPOCHS, HELD_IN = 8, 3
SEEDS = (1, 2)
PATIENCE = 150.0  # seconds; programs import PyTorch on a machine that others use
pytestmark = [pytest.mark.torch_tasks, pytest.mark.timeout(3 * PATIENCE)]
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
PAGE = {
    block.mark.removeprefix("torch: "): block.text
    for block in blocks(ROOT / "docs" / "guides" / "frameworks.md")
    if block.mark.startswith("torch: ")
}
TRAINERS = ROOT / "tests" / "support" / "tiny_trainers.py"
HOLD = f"""
# Runs a program. The first attempt of the first seed waits to be killed, after a row, before its checkpoint.
import os, runpy, sys, time, torch

save = torch.save

def held(state, path):
    while os.environ["EXP_ATTEMPT"] == sys.argv[-1] == "1" and state.get("epoch") == {HELD_IN}:
        time.sleep(60)
    save(state, path)

torch.save = held
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
SPEC = f"""
name: trainers
tasks:
  train:
    command: "python3 '{TRAINERS}' {STEPS} {HELD_AT}"
    env: {{PYTHONPATH: '{ROOT / "tests"}'}}
    retry: {{limit: 1}}
"""


def kill_all(exp: Exp) -> None:
    """End supervisors, shims and tasks as a crash of the machine would."""
    found = processes_of(exp.home)
    for action in (
        psutil.Process.suspend,
        psutil.Process.kill,
    ):  # no supervisor sees a task that ended before it
        for process in found:
            with contextlib.suppress(psutil.Error):
                action(process)
    psutil.wait_procs(found)


def record(exp: Exp, name: str, task: str) -> Experiment:
    """The record of a task, for reading."""
    prefix = exp.status(name)["prefix"]
    return Experiment(f"{prefix}/{task}", dash_root=exp.home / "dash")


def by_attempt(experiment: Experiment, series: str | None, key: str, field: str) -> list[list[int]]:
    """For each attempt, the steps or epochs of the rows that have this key."""
    metric = experiment.metrics(series)
    openings = experiment.openings()  # those of the supervisor, which records the matrix, have no rows
    rows = ([row for row in metric.read(openings=[opening.id]) if key in row] for opening in openings)
    return [[row[field] for row in attempt] for attempt in rows if attempt]


def counted(experiment: Experiment, series: str | None, key: str, field: str) -> list[int]:
    """The steps or epochs of the rows with this key that count; those of the last attempt have its values."""
    metric = experiment.metrics(series)
    rows = [row for row in metric.read(attempts="all") if key in row]
    expected = {row[field]: row[key] for row in rows}  # the rows of the last attempt come last
    found = [row for row in metric.read() if key in row]
    assert {row[field]: row[key] for row in found} == expected
    return [row[field] for row in found]


def test_trainings_survive_being_killed(exp: Exp) -> None:
    """Killed with -9, and their supervisors too, all go on from their checkpoints, and no step is lost."""
    (exp.folder / "hold.py").write_text(HOLD)
    (exp.folder / "train_seed.py").write_text(PAGE["train_seed.py"])
    exp.spec(
        PAGE["seeds.yaml"].replace("train_seed.py", f"hold.py train_seed.py --epochs {EPOCHS}"),
        name="seeds.yaml",
    )
    exp.spec(SPEC, name="trainers.yaml")
    exp("run", "trainers.yaml", "-d", env=PATH)
    exp("run", "seeds.yaml", "-d", env=PATH)
    lightning, transformers = (record(exp, "trainers", task) for task in ("train", "transformers"))
    seeds = [record(exp, "seeds", f"train/seed={seed}") for seed in SEEDS]
    eventually(
        lambda: (
            [one.metrics("train").last("epoch") for one in seeds] == [HELD_IN, EPOCHS - 1]
            and exp.task("train/seed=2", "seeds")["status"] == "SUCCEEDED"
            and transformers.metrics().last("step") == HELD_AT - 1
        ),
        within=PATIENCE,
    )
    kill_all(exp)
    assert {exp.status(name)["status"] for name in ("seeds", "trainers")} == {"INTERRUPTED"}
    assert [one.status for one in (lightning, transformers, seeds[0])] == ["FAILED"] * 3

    exp("resume", "seeds", "-d", env=PATH)
    exp("resume", "trainers", "-d", env=PATH)
    eventually(
        lambda: {exp.status(name)["status"] for name in ("seeds", "trainers")} == {"COMPLETED"},
        within=PATIENCE,
    )
    # An attempt goes on with the step after its checkpoint: one that was logged and not saved is there twice.
    assert by_attempt(lightning, None, "train/loss", "step") == [list(range(9)), list(range(8, STEPS))]
    assert by_attempt(transformers, None, "loss", "step") == [list(range(1, 10)), list(range(9, STEPS + 1))]
    assert by_attempt(seeds[0], "train", "loss", "epoch") == [list(range(4)), list(range(3, EPOCHS))]
    assert by_attempt(seeds[1], "train", "loss", "epoch") == [list(range(EPOCHS))]
    assert counted(lightning, None, "train/loss", "step") == list(range(STEPS))
    assert counted(transformers, None, "loss", "step") == list(range(1, STEPS + 1))
    assert counted(seeds[0], "train", "loss", "epoch") == list(range(EPOCHS))
    losses = [row["loss"] for row in seeds[0].metrics("train").read()]
    assert sorted(losses, reverse=True) == losses  # it learns on, as if never killed
    assert [one.status for one in (lightning, transformers, *seeds)] == ["COMPLETED"] * 4
    check_the_sweep(exp, seeds)


def check_the_sweep(exp: Exp, seeds: list[Experiment]) -> None:
    """`exp compare` has a row for each seed, sorts them, and finds the best one, whose model is there."""
    rows = exp("compare", "seeds", "--sort", "train/loss", "--json").json["rows"]
    assert {row["params"]["seed"] for row in rows} == set(SEEDS)
    final = [row["metrics"]["train/loss"]["last"] for row in rows]
    assert final == sorted(one.metrics("train").last("loss") for one in seeds)
    assert len(set(final)) == len(SEEDS)
    best = exp("compare", "seeds", "--best", "train/loss:min", "--json").json["rows"]
    assert best[0]["task"] == rows[0]["task"]
    assert "seed" in exp("compare", "seeds").stdout.splitlines()[0].split()
    model = exp("files", "seeds", best[0]["task"], "--name", "model.pt", "--path").stdout.strip()
    assert Path(model).stat().st_size > 0
