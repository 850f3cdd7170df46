"""What holds while this machine lacks open files for the supervisor."""

from __future__ import annotations

import resource
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from support.workspace import Exp

COUNT = 30
SPEC = f"""
name: many
run: {{max_parallel: {COUNT}}}
tasks:
  t:
    matrix: {{i: {list(range(COUNT))}}}
    inline: |
      echo "$(ulimit -n) $(ulimit -Hn)" >>"$EXP_DIR/limits"
      sleep 0.3
"""


def run_within(exp: Exp, text: str, soft: int, hard: int) -> dict[str, Any]:
    """Run a spec with limits of open files; returns its status."""
    path = exp.spec(text)
    done = subprocess.run(
        [*exp.argv, "run", str(path), "--quiet"],
        cwd=exp.folder,
        env=exp.env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
    )
    assert done.returncode == 0, done.stderr
    return exp.status()


@pytest.mark.parametrize(("soft", "hard"), [(24, 24), (200, 4096)])
def test_a_limit_of_open_files_costs_no_task(exp: Exp, soft: int, hard: int) -> None:
    """More tasks than descriptors run at once, each once, and with the limits that the caller had."""
    status = run_within(exp, SPEC, soft, hard)
    assert {(task["status"], task["attempt"]) for task in status["tasks"]} == {("SUCCEEDED", 1)}
    assert (exp.directory() / "limits").read_text().splitlines() == [f"{soft} {hard}"] * COUNT


def test_a_supervisor_may_open_more_files_than_its_caller(exp: Exp) -> None:
    """It raises its own soft limit, for it holds descriptors for each running task."""
    supervisor = '$(cut -d" " -f4 /proc/$PPID/stat)'  # the parent of the shim
    run_within(exp, f"name: one\ntasks: {{t: {{inline: 'cat /proc/{supervisor}/limits'}}}}", 200, 4096)
    lines = exp("logs", "latest", "t").stdout.splitlines()
    assert any(line.split()[:5] == ["Max", "open", "files", "4096", "4096"] for line in lines)
