"""A real training run: swept, followed live, killed half-way, resumed from its checkpoints, compared."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from support.patience import eventually
from support.terminals import Terminal

from nemorun_cli.contract.fixtures import processes_of

if TYPE_CHECKING:
    from support.workspace import Exp

SPEC = Path(__file__).parents[2] / "examples" / "specs" / "training.yaml"
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
EPOCHS = 30
PATIENCE = 120.0  # seconds; several networks learn on a machine that others use
MEMBERS = [f"train/hidden={hidden},lr={lr}" for hidden in (16, 64) for lr in (0.05, 0.5)]


def epochs(exp: Exp, key: str, prefix: str = "train") -> dict[str, list[int]]:
    """By task the epochs of which a metric was logged."""
    series = exp("metrics", "training", "-k", key, "--json").json["series"]
    return {one["task"]: [row["epoch"] for row in one["rows"]] for one in series if prefix in one["task"]}


def kill_all(exp: Exp) -> None:
    """End the supervisor, the shims and the tasks as a crash of the machine would."""
    found = [
        process for process in processes_of(exp.home) if "metrics" not in (process.info["cmdline"] or [])
    ]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found)


def test_training_survives_being_killed_half_way(exp: Exp) -> None:
    """Killed with -9 in the midst, a sweep goes on from its checkpoints, and no epoch is lost or twice."""
    exp("run", SPEC, "-d", env=PATH)
    live = Terminal(
        [*exp.argv, "metrics", "training", "-f", "--plot", "-k", "accuracy"], env=exp.env, cwd=exp.folder
    )
    live.until("digits/accuracy")
    eventually(lambda: any(len(one) > 4 for one in epochs(exp, "accuracy").values()), within=PATIENCE)
    live.until("(epoch)")
    kill_all(exp)
    assert live.end() == 9
    assert exp.status()["status"] == "INTERRUPTED"
    before = epochs(exp, "accuracy")
    assert before
    assert any(0 < len(one) < EPOCHS for one in before.values())
    assert {one["status"] for one in exp("records", "training", "train", "--json").json["records"]} <= {
        "FAILED",
        "COMPLETED",
    }

    exp("resume", "training", "-d", env=PATH)
    eventually(lambda: exp.status()["status"] == "COMPLETED", within=PATIENCE)
    assert epochs(exp, "loss") == {member: list(range(EPOCHS)) for member in MEMBERS}
    printed = epochs(exp, "seconds")  # one may have been killed between logging and printing
    assert all(len(set(one)) == len(one) >= EPOCHS - 1 for one in printed.values())
    killed = next(task for task, one in before.items() if 0 < len(one) < EPOCHS)
    done = len(before[killed])  # one may have been killed between logging and its checkpoint
    log = exp("logs", "training", killed).stdout
    assert any(f"begins with epoch {epoch}\n" in log for epoch in (done - 1, done))
    (entry,) = exp("records", "training", killed, "--json").json["records"]
    ends = {(opening["attempt"], opening["status"]) for opening in entry["openings"]}
    assert ends == {(1, "FAILED"), (2, "COMPLETED")}

    report = (exp.directory() / "shared" / "report.txt").read_text().splitlines()
    assert report[0].split() == [
        *("RECORD", "STATUS", "hidden", "lr"),
        *("clock/seconds", "digits/loss", "digits/accuracy"),
    ]
    accuracies = [float(line.split()[6]) for line in report[1:]]
    assert accuracies == sorted(accuracies, reverse=True)
    assert min(accuracies) > 0.9
    best = exp("compare", "training", "--best", "accuracy:max", "--json").json["rows"][0]
    assert best["task"] in MEMBERS
    model = exp("files", "training", best["task"], "--name", "best.pkl", "--path").stdout.strip()
    assert Path(model).stat().st_size > 10_000
