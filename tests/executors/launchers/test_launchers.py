"""Launched tasks: the stand-in for torchrun in `programs` takes its options and starts its processes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import Exp

PROGRAMS = Path(__file__).parent / "programs"
PATH = {"PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}
SAY = 'echo "$RANK/$WORLD_SIZE local $LOCAL_RANK: $1"'


def run(exp: Exp, task: dict[str, Any], code: int = 0, **header: Any) -> list[str]:
    """Run a task; gives the lines of its output, sorted, for processes write at once."""
    exp("run", exp.spec(json.dumps({**header, "tasks": {"train": task}})), env=PATH, code=code)
    return sorted(exp("logs", "latest", "train").stdout.splitlines())


@pytest.mark.parametrize("kind", ["inline", "script", "command"])
def test_every_process_knows_its_rank(exp: Exp, kind: str) -> None:
    """Torchrun starts the processes of scripts, inline scripts and commands, with their arguments."""
    (exp.folder / "say.sh").write_text(SAY, encoding="utf-8")
    body = {"inline": SAY, "script": "say.sh", "command": ["bash", "say.sh"]}[kind]
    launcher = {"torchrun": {"nproc_per_node": 3}}
    lines = run(exp, {kind: body, "args": ["a 'b' $c"], "launcher": launcher})
    assert lines == [f"{rank}/3 local {rank}: a 'b' $c" for rank in range(3)]


def test_a_partial_is_called_in_every_process(exp: Exp) -> None:
    """Each process calls the function; what the first one returns are the outputs."""
    code = (
        "import os\ndef main(lr):\n    print(os.environ['RANK'], lr)\n    return {'is': os.environ['RANK']}\n"
    )
    (exp.folder / "train.py").write_text(code, encoding="utf-8")
    launcher = {"torchrun": {"nproc_per_node": 2}}
    task = {"partial": "train:main", "args": {"lr": 0.1}, "launcher": launcher}
    assert run(exp, task) == ["0 0.1", "1 0.1"]
    assert exp.task("train")["outputs"] == {"is": "0"}
    run(exp, task, run={"direct": True})
    assert exp.task("train")["outputs"] == {"is": "0"}


def test_restarts_are_torchruns(exp: Exp) -> None:
    """max_restarts starts the processes again within one attempt; the last exit code is the task's."""
    fails_once = 'echo "$TORCHELASTIC_RESTART_COUNT"; test "$TORCHELASTIC_RESTART_COUNT" = 1'
    assert run(exp, {"inline": fails_once, "launcher": {"torchrun": {"max_restarts": 1}}}) == ["0", "1"]
    assert exp.task("train")["attempt"] == 1
    run(exp, {"inline": "exit 7", "launcher": "torchrun"}, code=1)
    assert exp.task("train")["exit_code"] == 7


def test_any_program_can_lead(exp: Exp) -> None:
    """Wrap puts arguments in front, and a value in them stays one argument."""
    wrap = "env GREETING=${{ params.text }}"
    task = {"inline": 'echo "$GREETING"', "launcher": {"wrap": wrap}}
    assert run(exp, task, params={"text": "a b; c"}) == ["a b; c"]


def test_the_dry_run_shows_the_command_line(exp: Exp) -> None:
    """What a launcher makes of the command is seen before anything runs; defaults can be switched off."""
    spec = exp.spec(
        """
        defaults: {launcher: torchrun}
        tasks:
          train: {command: python train.py}
          plain: {command: python plot.py, launcher: none}
        """
    )
    tasks = exp("run", spec, "--dry-run", "--json").json["tasks"]
    assert tasks[0]["argv"] == ["torchrun", "--standalone", "train.py"]
    assert tasks[1]["argv"] == ["python", "plot.py"]


@pytest.mark.parametrize(
    ("launcher", "path", "message"),
    [
        ("torchrn", "launcher", "no launcher is called 'torchrn'"),
        ({"torchrun": {"nproc": 2}}, "launcher.torchrun.nproc", "unknown key 'nproc'"),
        ({"torchrun": {"nproc_per_node": "many"}}, "launcher.torchrun.nproc_per_node", "must be a number"),
        ({"torchrun": {"max_restarts": -1}}, "launcher.torchrun.max_restarts", "must be a whole number"),
        ({"wrap": []}, "launcher.wrap", "must be an argument list"),
        ({"wrap": {"nsys": 1}}, "launcher.wrap", "must be an argument list"),
    ],
)
def test_what_is_wrong_with_a_launcher_is_told(exp: Exp, launcher: Any, path: str, message: str) -> None:
    """Unknown launchers, unknown options and wrong values are problems at their place."""
    spec = exp.spec(json.dumps({"tasks": {"train": {"command": "x", "launcher": launcher}}}))
    (problem,) = exp("validate", spec, "--json", code=2).json["problems"]
    assert problem["path"] == f"tasks.train.{path}"
    assert message in problem["message"]


def test_an_executor_that_does_not_fit_is_told(exp: Exp) -> None:
    """Torchrun on an executor that starts several tasks on a node is a problem of the spec."""
    header = {"executors": {"cluster": {"type": "slurm", "ntasks_per_node": 8}}, "executor": "cluster"}
    task = {"command": "python train.py", "launcher": "torchrun"}
    spec = exp.spec(json.dumps({**header, "tasks": {"train": task}}))
    assert "use nproc_per_node" in exp("validate", spec, code=2).stderr


def test_slurm_tells_where_to_meet(exp: Exp, slurm: Slurm) -> None:
    """In a real job the rendezvous is at its first node, by its number, on a port of its own."""
    port = "$((MASTER_PORT - 29500 - SLURM_JOB_ID % 1000))"
    say = f'echo "$RANK/$WORLD_SIZE $MASTER_ADDR {port} $TORCHELASTIC_RUN_ID"'
    launcher = {"torchrun": {"nnodes": "1:2", "nproc_per_node": 2}}
    task = {"inline": say, "launcher": launcher}
    setup = f"PATH={PROGRAMS}:$PATH"
    lines = run(exp, task, executors={"cluster": {"type": "slurm", "setup_lines": setup}}, executor="cluster")
    job_id = exp.task("train")["job_id"]
    assert lines == [f"{rank}/2 {slurm.node} 0 {job_id}" for rank in range(2)]
