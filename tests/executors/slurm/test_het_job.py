"""Groups whose members start together on Slurm: one job, a step for each member."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.slurm_experiments import LONG, QUICK, header, is_running, scripts, soon
from support.workspace import kill_supervisor, log, statuses, until

from nemorun_cli.executors.slurm.het_job import components, step
from nemorun_cli.executors.slurm.job_script import body_text, job_script
from nemorun_cli.executors.slurm.sbatch_options import Request

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run


def asks(*options: str) -> Request:
    """What a member asks for."""
    return Request(options=options)


@pytest.mark.parametrize(
    ("each", "parts"),
    [
        ([["--cpus-per-task=2"]] * 3, [["--cpus-per-task=2", "--ntasks=3"]]),
        ([["--ntasks=2", "--gpus=1"]] * 2, [["--ntasks=4", "--gpus=2"]]),
        ([["--mem=4G"]] * 2, [["--mem-per-cpu=4096M", "--ntasks=2"]]),
        (
            [["--cpus-per-task=4", "--mem=6G", "--gres=gpu:1"]] * 2,
            [["--cpus-per-task=4", "--gpus=2", "--mem-per-cpu=1536M", "--ntasks=2"]],
        ),
        ([["--gpus-per-node=a100:2"]] * 3, [["--gpus=a100:6", "--ntasks=3"]]),
        ([["--gres=gpu:a100"]] * 2, [["--gpus=a100:2", "--ntasks=2"]]),
        ([["--exclusive", "--mem=0"]] * 2, [["--exclusive", "--mem=0", "--nodes=2", "--ntasks-per-node=1"]]),
        ([["--nodes=2", "--ntasks-per-node=8"]] * 2, [["--nodes=4", "--ntasks-per-node=8"]]),
        ([["--time=90"], ["--time=02:00:00"], []], [["--time=02:00:00", "--ntasks=3"]]),
        ([["--nodes=2-4"]] * 2, [["--nodes=2-4"], ["--nodes=2-4"]]),
        ([["--mem=1G"], ["--mem=2G"]], [["--mem=1G"], ["--mem=2G"]]),
    ],
)
def test_equal_members_are_one_request(each: list[list[str]], parts: list[list[str]]) -> None:
    """What can be multiplied is; what nodes have to have gives each member its own; others are components."""
    found = components([asks(*options) for options in each])
    assert [sorted(one) for one in found] == [sorted(one) for one in parts]


def test_a_step_gets_its_part_of_the_allocation() -> None:
    """It has the member's own counts, or its component, and writes down which step it is."""
    argv = ("srun", "--mpi=none", "--", "python", "a b")
    found = step(asks("--cpus-per-task=2"), argv, id_file="/m", component=None)
    assert found[:6] == ("srun", "--nodes=1", "--ntasks=1", "--cpus-per-task=2", "--exact", "--mpi=none")
    assert found[6:9] == ("--", "/bin/sh", "-c")
    assert found[-4:] == ('echo "$SLURM_JOB_ID.$SLURM_STEP_ID" >"$0"; exec "$@"', "/m", "python", "a b")
    found = step(asks("--gres=gpu:2", "--mem=4G"), argv, id_file="/m", component=None)
    assert found[:6] == ("srun", "--nodes=1", "--ntasks=1", "--gpus=2", "--mem-per-cpu=4096M", "--exact")
    found = step(asks("--nodes=2", "--ntasks-per-node=4"), argv, id_file="/m", component=1)
    assert found[:4] == ("srun", "--nodes=2", "--ntasks=8", "--het-group=1")
    assert found[-4].startswith('echo "$SLURM_JOB_ID_HET_GROUP_1.')


def test_the_script_of_several_passes_shellcheck() -> None:
    """Members that differ are components of one heterogeneous job, each with a head of its own."""
    each = [asks("--mem=1G"), asks("--mem=2G")]
    folder = Path("/ho me/it's/slurm/3")
    text = job_script(each[0], name="n", folder=folder, indices=(), news=folder.parent / "news", each=each)
    assert text.count("#SBATCH hetjob") == 1
    assert text.count("#SBATCH --job-name=n\n") == 2
    assert shellcheck(text) == ""
    led = job_script(
        each[0], name="n", folder=folder, indices=(), news=folder.parent / "news", each=each, is_led=True
    )
    body = body_text(each[0], folder=folder, news=folder.parent / "news", index="$1", is_led=True)
    assert shellcheck(led) == ""
    assert shellcheck(f"#!/bin/bash\n{body}", "SC2154") == ""  # variables that a member's file sets


def shellcheck(text: str, *excluded: str) -> str:
    """What shellcheck says about a script of bash."""
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin") or "shellcheck"
    argv = [program, "--shell=bash", f"--exclude={','.join(['SC2329', *excluded])}", "-"]  # called by traps
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False).stdout


def group(*scripts: str, **fields: Any) -> dict[str, Any]:
    """A group of these inline tasks, which start together."""
    return {"group": [{"inline": script} for script in scripts], "together": True, **fields}


PLACES = 'echo "$EXP_GROUP_HOSTS $SLURM_STEP_NODELIST"'


def places(run: Run, task: str, attempt: int = 1) -> tuple[dict[str, list[str]], str]:
    """What a member printed by PLACES: the hosts that it knows, and the one of its own step."""
    line = next(line for line in log(run, task, attempt).splitlines() if line.startswith("{"))
    known, _, own = line.rpartition(" ")
    return json.loads(known), own


def meets(own: str, other: str) -> str:
    """Shell text that waits until another member does the same."""
    return f"touch {own}; {until(other)}"


@pytest.mark.usefixtures("slurm")
def test_members_are_steps_of_one_job(workspace: ExpWorkspace) -> None:
    """They run at the same time in one allocation; each has its own log and exit code."""
    member = 'echo "$EXP_TASK of $SLURM_NTASKS in $SLURM_JOB_ID"'
    pair = group(f"{meets('a', 'b')}; {member}", f"{meets('b', 'a')}; {member}; exit 3")
    run = workspace.start({"pair": pair}, **header(cluster={**QUICK, "cpus_per_task": 2}))
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {"pair/0": "SUCCEEDED", "pair/1": "FAILED"}
    assert snapshot.history.tasks["pair/1"].exit_code == 3
    job_id = snapshot.history.tasks["pair/0"].job_id
    assert f"pair/0 of 1 in {job_id}" in log(run, "pair/0")
    assert f"pair/1 of 1 in {job_id}" in log(run, "pair/1")
    (script,) = scripts(run)
    assert "--ntasks=2\n" in script.read_text(encoding="utf-8")


@pytest.mark.usefixtures("slurm")
def test_members_that_differ_are_components_of_one_job(workspace: ExpWorkspace) -> None:
    """Each has what it asked for; they meet, and one of them alone is cancelled."""
    tells = 'echo "$SLURM_HET_SIZE components, $SLURM_CPUS_PER_TASK CPUs"; ' + PLACES
    members = [
        {"inline": f"{tells}; {meets('a', 'b')}; {until('go')}; exit 3", "resources": {"cpus": 1}},
        {"inline": f"{tells}; {meets('b', 'a')}; {until('never')}", "resources": {"cpus": 2}},
    ]
    cluster = {**QUICK, "partition": "pair"}  # of two nodes, for Slurm gives components nodes of their own
    run = workspace.start({"duo": {"group": members, "together": True}}, **header(cluster=cluster))
    soon(lambda: is_running(run, "duo/1") and (workspace.folder / "b").exists())
    kill_supervisor(run)
    run.resume()
    assert statuses(run.cancel(["duo/1"])) == {"duo/0": "RUNNING", "duo/1": "CANCELLED"}
    workspace.touch("go")
    found = run.wait(timeout=LONG).history.tasks["duo/0"]
    assert (found.status, found.exit_code) == ("FAILED", 3)
    assert log(run, "duo/0").startswith("2 components, 1 CPUs")
    assert log(run, "duo/1").startswith("2 components, 2 CPUs")
    (known, first), (same, second) = (places(run, name) for name in ("duo/0", "duo/1"))
    assert known == same == {"0": [first], "1": [second]}
    (script,) = scripts(run)
    assert script.read_text(encoding="utf-8").count("#SBATCH hetjob\n") == 1


@pytest.mark.usefixtures("slurm")
def test_members_with_nodes_of_their_own_know_them(workspace: ExpWorkspace) -> None:
    """Each runs on the part of the allocation that the others find it at, also those of a retry."""
    again = f"{PLACES}; [ $EXP_ATTEMPT = 1 ] || touch done; {meets('b', 'a')}; [ $EXP_ATTEMPT = 2 ]"
    pair = group(f"{PLACES}; {meets('a', 'b')}; {until('done')}", again, retry={"limit": 1})
    run = workspace.start({"pair": pair}, **header(cluster={**QUICK, "partition": "pair", "nodes": 1}))
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    (known, first), (same, second) = (places(run, name) for name in ("pair/0", "pair/1"))
    assert known == same == {"0": [first], "1": [second]}
    assert first != second
    known, again_at = places(run, "pair/1", 2)  # on any node with room
    assert known == {"0": [first], "1": [again_at]}


@pytest.mark.usefixtures("slurm")
def test_one_of_several_members_is_cancelled(workspace: ExpWorkspace) -> None:
    """Its own step gets the signal; the others go on, with and without a supervisor."""
    stubborn = "trap 'echo told; exit 7' TERM; touch up; while :; do sleep 0.1; done"
    trio = group(stubborn, until("go"), f"trap '' TERM; {until('never')}")
    run = workspace.start({"trio": trio}, **header())
    names = ["trio/0", "trio/1", "trio/2"]
    soon(lambda: all(is_running(run, name) for name in names) and (workspace.folder / "up").exists())
    assert statuses(run.cancel(["trio/0"]))["trio/0"] == "CANCELLED"
    assert "told\n" in log(run, "trio/0")
    kill_supervisor(run)
    assert statuses(run.cancel(["trio/2"], grace=1))["trio/2"] == "CANCELLED"
    assert is_running(run, "trio/1")
    workspace.touch("go")
    soon(lambda: run.status().is_over)
    assert statuses(run.status())["trio/1"] == "SUCCEEDED"


def test_a_group_that_waits_is_taken_back_whole(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """A cancel of all members takes their job out of the queue, or ends it."""
    late = {**QUICK, "begin": "now+1hour"}
    tasks = {
        "waits": group("true", "true", executor="late"),
        "runs": group(until("never"), f"trap '' TERM; {until('never')}"),
    }
    run = workspace.start(tasks, **header(late=late))
    soon(lambda: is_running(run, "runs/0") and is_running(run, "runs/1"))
    soon(lambda: run.status().history.tasks["waits/1"].job_id)
    assert set(statuses(run.cancel(grace=1)).values()) == {"CANCELLED"}
    assert soon(lambda: slurm.jobs(workspace.home.directory) == [])


@pytest.mark.usefixtures("slurm")
def test_a_member_has_its_own_timeout(workspace: ExpWorkspace) -> None:
    """What takes too long is ended alone, and what depends on the group is told so."""
    pair = {
        "group": [{"inline": until("never"), "timeout": "2s"}, {"inline": until("go")}],
        "together": True,
    }
    tasks = {"pair": pair, "after": {"inline": "true", "dependencies": ["pair"]}}
    run = workspace.start(tasks, **header())
    state = soon(lambda: (found := run.status().history.tasks["pair/0"]).is_over and found)
    assert (state.status, state.reason) == ("FAILED", "timeout")
    workspace.touch("go")
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {"pair/0": "FAILED", "pair/1": "SUCCEEDED", "after": "SKIPPED"}


@pytest.mark.usefixtures("slurm")
def test_a_job_ends_its_members_with_the_leader(workspace: ExpWorkspace) -> None:
    """Without a supervisor too: its script stops the others, and their results tell why."""
    members = [
        {"name": "server", "inline": f"trap 'echo told; exit 3' TERM; touch up-0; {until('never')}"},
        {"name": "deaf", "inline": f"trap '' TERM; touch up-1; {until('never')}", "stop_grace": "0.2s"},
        {"name": "client", "inline": until("go")},
    ]
    tasks = {"g": {"group": members, "together": True, "until": "client"}}
    run = workspace.start(tasks, **header())
    soon(lambda: all((workspace.folder / f"up-{number}").exists() for number in (0, 1)))
    kill_supervisor(run)
    workspace.touch("go")
    soon(lambda: run.status().is_over)
    states = run.status().history.tasks
    assert {state.status for state in states.values()} == {"SUCCEEDED"}
    assert {name: state.reason for name, state in states.items()} == {
        "g/server": "until",
        "g/deaf": "until",
        "g/client": None,
    }
    assert (states["g/server"].exit_code, states["g/client"].exit_code) == (3, 0)
    assert "told\n" in log(run, "g/server")
