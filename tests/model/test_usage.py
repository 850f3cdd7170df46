"""What attempts have used: measured where it can be, told beside what was asked for, and never made up."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.workspace import attempt, events, kill_supervisor, shim_pid, until

from nemorun_cli.model import usage
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.usage import Usage
from nemorun_cli.storage import attempts

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import ExpWorkspace

MEGA = 1 << 20
LARGE = "python3 -c 'x = bytearray(150 << 20); sum(range(2_000_000))'"  # 150M, and some CPU time


def test_peak_and_time_of_a_local_task_are_told(workspace: ExpWorkspace) -> None:
    """The peak is that of the largest process below the task, and the time that of all of them."""
    tasks = {"a": {"inline": f"{LARGE}; {LARGE}; exit 3", "resources": {"memory": "1G", "cpus": 1}}}
    run = workspace.start(tasks)
    used = run.wait(timeout=60).history.tasks["a"].usage
    assert used
    assert 150 * MEGA <= used["memory"] < 250 * MEGA
    assert used["cpu"] > 0.05
    entry = workspace.exp.task("a")
    assert (entry["usage"], entry["resources"]) == (used, {"cpus": 1, "memory": 1 << 30})
    for command in (("why", run.id, "a"), ("show", run.id), ("status", run.id, "a")):
        assert "requested 1G and 1 CPU, peak 1" in workspace.exp(*command).stdout
    assert "s of CPU time in " in workspace.exp("why", run.id, "a").stdout


def test_a_large_program_may_start_what_is_measured(workspace: ExpWorkspace) -> None:
    """What a notebook holds is not taken for what its experiment's supervisor hands on to tasks."""
    spec = workspace.spec({"a": {"inline": LARGE}})
    program = (
        f"import nemorun_cli; held = bytearray({400 * MEGA}); run = nemorun_cli.run({str(spec)!r})\n"
        "print(run.wait(timeout=60).history.tasks['a'].usage['memory'])\n"
    )
    argv = [sys.executable, "-c", program]
    told = subprocess.run(
        argv, env=workspace.exp.env, cwd=workspace.folder, capture_output=True, text=True, check=True
    )
    assert 150 * MEGA <= int(told.stdout) < 250 * MEGA


def test_each_attempt_has_its_own_usage(workspace: ExpWorkspace) -> None:
    """What the first attempt used stays told of the first when the second has ended."""
    script = f'test "$EXP_ATTEMPT" = 2 || {{ {LARGE}; exit 1; }}'
    run = workspace.start({"a": {"inline": script, "retry": {"limit": 1}}})
    run.wait(timeout=60)
    first, second = (
        one["usage"] for one in workspace.exp("show", run.id, "--json").json["tasks"][0]["attempts"]
    )
    assert first["memory"] >= 150 * MEGA
    assert "memory" not in second
    assert [event["usage"] for event in events(run) if event["event"] == "ended"] == [first, second]


def test_peak_below_that_of_the_supervisor_is_not_known(workspace: ExpWorkspace) -> None:
    """The system tells no less than what the starting process had: such a number is left out, not told."""
    used = workspace.run({"a": "true"}).history.tasks["a"].usage
    assert used
    assert list(used) == ["cpu"]


def test_task_that_was_killed_is_measured_too(workspace: ExpWorkspace) -> None:
    """A timeout that ends in KILL does not lose what was measured."""
    script = f"{LARGE}; trap '' TERM; {until('never')}"
    tasks = {"a": {"inline": script, "timeout": 3, "stop_grace": 1}}
    state = workspace.run(tasks).history.tasks["a"]
    assert state.reason == "timeout"
    assert state.usage
    assert state.usage["cpu"] > 0


def test_shim_measures_who_was_adopted(workspace: ExpWorkspace) -> None:
    """Of a task whose supervisor was killed its shim tells the CPU time; its peak nobody knows."""
    script = f"{until('go')}; {LARGE}"
    run = workspace.start({"a": {"inline": script, "resources": {"memory": "512M"}}})
    shim_pid(run, "a")
    kill_supervisor(run)
    assert run.resume()
    workspace.touch("go")
    used = run.wait(timeout=60).history.tasks["a"].usage
    assert used
    assert list(used) == ["cpu"]
    assert used["cpu"] > 0.02
    assert "requested 512M; " in workspace.exp("status", run.id, "a").stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("memory 1048576\n0m0.01s 0m0.00s\n1m2.50s 0m1.25s\n", Usage(memory=MEGA, cpu=63.75)),
        ("0m0.002000s 0m0.001000s\n0m0.010000s 0m0.020000s\n", Usage(cpu=0.03)),
        ("memory 5\n", Usage(memory=5)),
        ("memory many\nnonsense\n", None),
        ("", None),
        ("memory 99999999999999999999999\n", None),
    ],
)
def test_what_a_shim_wrote_is_read(tmp_path: Path, text: str, found: Usage | None) -> None:
    """Where a shim measured, its file tells; what is no number there is nothing."""
    (tmp_path / "usage").write_text(text)
    assert attempts.read_usage(tmp_path / "usage") == found


@pytest.mark.parametrize(
    ("measured", "other", "combined"),
    [
        (Usage(memory=1), Usage(memory=2, gpu_memory=3), Usage(memory=1, gpu_memory=3)),
        (Usage(cpu=1.0, gpu_memory=0), Usage(gpu_memory=3), Usage(cpu=1.0, gpu_memory=0)),
        (None, Usage(gpu_memory=3), Usage(gpu_memory=3)),
        (Usage(cpu=1.0), None, Usage(cpu=1.0)),
        (None, None, None),
    ],
)
def test_measuredof_two_sources_is_combined(
    measured: Usage | None, other: Usage | None, combined: Usage | None
) -> None:
    """What an executor measured counts, also zero; what it did not is taken from the other source."""
    assert Usage.combined(measured, other) == combined


def test_no_file_is_no_usage(tmp_path: Path) -> None:
    """Where nobody wrote anything, nothing is known."""
    assert attempts.read_usage(tmp_path / "usage") is None


def test_shim_in_a_job_writes_down_what_it_used(workspace: ExpWorkspace) -> None:
    """In a job of Slurm the shim itself writes the CPU time of all that the task did."""
    tasks = {"a": {"inline": LARGE, "env": {"SLURM_JOB_ID": "7"}}}
    run = workspace.start(tasks)
    run.wait(timeout=60)
    found = attempts.read_usage(attempt(run, "a").usage)
    assert found
    assert found.cpu
    assert found.cpu > 0.02


@pytest.mark.parametrize(
    ("wanted", "used", "wall", "text"),
    [
        (Resources(memory=64 << 30), {"memory": 9 << 30}, None, "requested 64G, peak 9G"),
        (
            Resources(cpus=2, gpus=1),
            {"cpu": 12.34},
            20.0,
            "requested 2 CPUs and 1 GPU; 12.3s of CPU time in 20.0s",
        ),
        (Resources(), {"memory": 300 * MEGA, "cpu": 600.0}, 310.0, "peak 300M; 10m of CPU time in 5m10s"),
        (
            Resources(memory=64 << 30, gpus=1),
            {"memory": 9 << 30, "cpu": 812.4, "gpu_memory": 12 << 30},
            900.0,
            "requested 64G and 1 GPU, peak 9G and 12G of GPU memory; 13m32s of CPU time in 15m",
        ),
        (Resources(gpus=1), {"gpu_memory": 0}, None, "requested 1 GPU, peak 0B of GPU memory"),
        (Resources(), None, 3.0, ""),
        (Resources(gpus=0), {}, None, ""),
    ],
)
def test_asked_and_used_stand_side_by_side(
    wanted: Resources, used: dict[str, float] | None, wall: float | None, text: str
) -> None:
    """What was asked for is told beside what was used, each only where it is known."""
    assert usage.summary(wanted, used, wall) == text


def test_peak_is_compared_with_that_of_this_process() -> None:
    """A child that never had more than its parent has no peak of its own that anybody knows."""
    ballast = bytearray(80 * MEGA)
    pid = os.posix_spawn("/bin/true", ["true"], {})
    assert Usage.of_child(os.wait4(pid, 0)[2]).memory is None
    del ballast
