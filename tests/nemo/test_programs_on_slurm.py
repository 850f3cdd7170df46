"""A program of NeMo-Run's documents on a real Slurm cluster."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import Exp

PROGRAM = Path(__file__).parent / "programs" / "p11_slurm_dependencies.py"


def test_a_task_runs_after_any_end_of_another_one_on_slurm(exp: Exp, slurm: Slurm) -> None:
    """`dependency_type` of an executor holds there; the program ends as its experiment, FAILED."""
    del slurm
    program = shutil.copy(PROGRAM, exp.folder)
    done = subprocess.run(
        [sys.executable, program],
        cwd=exp.folder,
        env=exp.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "Task 1: second\n- Status: SUCCEEDED\n- Executor: SlurmExecutor\n- Job id: " in done.stdout
    assert done.stdout.endswith("\nsecond\n")
    assert exp.task("first")["status"] == "FAILED"
