"""Experiments on a Slurm cluster: the headers of their specs, and waiting for Slurm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.patience import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.storage.state import TaskState

QUICK: dict[str, Any] = {"type": "slurm", "env_inherit": "none"}
WHOLE = {**QUICK, "cpus_per_task": 8}
LONG = 120.0  # seconds until something that takes several turns of Slurm has failed to come to pass


def header(**executors: Any) -> dict[str, Any]:
    """Executors of a spec, of which `cluster` is the default."""
    return {"executors": {"cluster": QUICK, **executors}, "executor": "cluster"}


def now(run: Run, task: str = "one") -> TaskState:
    """How a task stands by what its supervisor wrote."""
    return run.status().history.tasks[task]


def scripts(run: Run) -> list[Path]:
    """What sbatch was given, one file a call."""
    return sorted((run.directory / "slurm").glob("*/script"))


def is_running(run: Run, task: str = "one") -> bool:
    """Whether a task has begun."""
    return now(run, task).status == "RUNNING"


def soon(condition: Any) -> Any:
    """The first true value of what Slurm may take its time for."""
    return eventually(condition, within=LONG)
