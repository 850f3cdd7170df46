"""The built-in plugins that change tasks: what comes of them in the dry run, and on this machine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from support.workspace import log

from nemorun_cli.errors import UsageError
from nemorun_cli.model.status import ExperimentStatus

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

SWEEP: dict[str, Any] = {"command": "true", "matrix": {"lr": [0.1, 0.01]}}


def planned(
    workspace: ExpWorkspace, tasks: dict[str, Any], *, uses: str, **header: Any
) -> dict[str, dict[str, Any]]:
    """The tasks of a dry run by their ids; `options` are what the plugin is given."""
    options = header.pop("options", None)
    entry = {"uses": uses, **({"with": options} if options else {})}
    spec = workspace.spec(tasks, plugins=[entry], **header)
    return {task["id"]: task for task in workspace.exp("run", spec, "--dry-run", "--json").json["tasks"]}


def test_env_names_each_task(workspace: ExpWorkspace) -> None:
    """What stands in braces is what the task is; other braces and the shell's own are left alone."""
    options = {"set": {"NAME": "{name}/{task} {other} ${HOME}", "LR": "{matrix.lr}", "N": 3}}
    found = planned(workspace, {"train": SWEEP}, uses="env", options=options)
    env = found["train/lr=0.1"]["env"]
    assert (env["NAME"], env["LR"], env["N"]) == ("tried/train/lr=0.1 {other} ${HOME}", "0.1", "3")


def test_env_of_an_axis_that_is_not_there_stops_the_launch(workspace: ExpWorkspace) -> None:
    """A mistyped axis is told with the task and the axes that it has."""
    plugin = {"uses": "env", "with": {"set": {"LR": "{matrix.rl}"}}}
    with pytest.raises(UsageError, match=r"train/lr=0\.1: .*has no such axis \(there are: lr\)"):
        workspace.start({"train": SWEEP}, plugins=[plugin])


@pytest.mark.parametrize(
    ("threads", "resources", "wanted"),
    [
        (True, {"cpus": 2}, "2"),
        (True, {"cpus": 0.5}, "1"),
        (True, {}, None),
        (3, {}, "3"),
        (False, {"cpus": 2}, None),
    ],
)
def test_env_lets_libraries_use_what_the_task_has(
    workspace: ExpWorkspace, threads: Any, resources: dict[str, Any], wanted: str | None
) -> None:
    """As many threads as CPUs, and what the spec says of one of the variables stays."""
    task = {"command": "true", "resources": resources, "env": {"MKL_NUM_THREADS": "7"}}
    env = planned(workspace, {"a": task}, uses="env", options={"threads": threads})["a"]["env"]
    assert (env.get("OMP_NUM_THREADS"), env["MKL_NUM_THREADS"]) == (wanted, "7")


def test_wandb_gives_each_task_a_run_of_its_own(workspace: ExpWorkspace) -> None:
    """Named after the task, grouped by experiment, with an id that no other task has."""
    found = planned(
        workspace, {"train": SWEEP}, uses="wandb", options={"tags": ["a", "b"], "mode": "offline"}
    )
    first, second = (one["env"] for one in found.values())
    assert first["WANDB_RUN_GROUP"] == first["EXP_ID"]
    assert first["WANDB_NAME"] == "train/lr=0.1"
    assert (first["WANDB_PROJECT"], first["WANDB_JOB_TYPE"]) == ("tried", "train")
    assert (first["WANDB_TAGS"], first["WANDB_MODE"], first["WANDB_RESUME"]) == ("a,b", "offline", "allow")
    assert len({first["WANDB_RUN_ID"], second["WANDB_RUN_ID"]}) == 2


def test_wandb_goes_on_with_its_run_after_a_resume(workspace: ExpWorkspace) -> None:
    """Attempts of one task have one id: a run that was interrupted is continued."""
    run = workspace.start({"a": "echo $WANDB_RUN_ID; [ -e mended ]"}, plugins=[{"uses": "wandb"}])
    run.wait(timeout=60)
    workspace.touch("mended")
    run.resume()
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert len(log(run, "a").strip()) == 16
    assert log(run, "a") == log(run, "a", 2)


def test_defaults_give_way_to_the_spec_and_wishes_do_not(workspace: ExpWorkspace) -> None:
    """What `with` names wins; what it does not is only set where the spec says nothing."""
    env = {"WANDB_PROJECT": "spec", "WANDB_ENTITY": "spec"}
    found = planned(workspace, {"a": "true"}, uses="wandb", options={"entity": "with"}, env=env)["a"]["env"]
    assert (found["WANDB_PROJECT"], found["WANDB_ENTITY"]) == ("spec", "with")


def test_mlflow_runs_lead_back_to_the_task(workspace: ExpWorkspace) -> None:
    """Experiment, run name and tags are where MLflow and Transformers look for them."""
    options = {"uri": "http://127.0.0.1:1", "tags": {"why": "{name} of {matrix.lr}"}}
    found = planned(workspace, {"train": SWEEP}, uses="mlflow", options=options)["train/lr=0.01"]["env"]
    assert (found["MLFLOW_EXPERIMENT_NAME"], found["MLFLOW_TRACKING_URI"]) == ("tried", "http://127.0.0.1:1")
    tags = json.loads(found["MLFLOW_TAGS"])
    assert tags["exp.task"] == "train/lr=0.01"
    assert (tags["exp.matrix.lr"], tags["why"], tags["exp.id"]) == ("0.01", "tried of 0.01", found["EXP_ID"])
    assert json.loads(found["MLFLOW_RUN_CONTEXT"]) == {"mlflow.runName": "train/lr=0.01", **tags}


def test_preemption_lets_a_task_go_on_from_its_checkpoint(workspace: ExpWorkspace) -> None:
    """At its timeout it gets the signal and time to save; the next attempt finds what it saved."""
    script = """
    mkdir -p "$CHECKPOINT_DIR"
    step=$(cat "$CHECKPOINT_DIR/step" 2>/dev/null || echo 0)
    echo "attempt $EXP_ATTEMPT from step $step"
    trap 'echo $((step + 1)) > "$CHECKPOINT_DIR/step"; exit 85' USR1
    [ "$step" -ge 2 ] && exit 0
    while :; do sleep 0.05; done
    """
    plugin = {"uses": "preemption", "with": {"before": "5s"}}
    run = workspace.start({"train": {"inline": script, "timeout": 1}}, plugins=[plugin])
    assert run.wait(timeout=60).status is ExperimentStatus.COMPLETED
    assert [log(run, "train", number).splitlines()[0] for number in (1, 2, 3)] == [
        f"attempt {number} from step {number - 1}" for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("retry", "limit", "on"),
    [
        ({}, 4, ["timeout", "preempted", "node_fail"]),
        ({"limit": 9, "on": [75]}, 9, [75, "timeout", "preempted", "node_fail"]),
        ({"limit": 2}, 4, ["any"]),
    ],
)
def test_preemption_keeps_the_retries_of_the_spec(
    workspace: ExpWorkspace, retry: dict[str, Any], limit: int, on: list[Any]
) -> None:
    """Its causes come to those of the spec, and the larger number of retries counts."""
    task = {"command": "true", "retry": retry} if retry else {"command": "true"}
    found = planned(workspace, {"a": task}, uses="preemption", options={"retries": 4})["a"]
    assert (found["retry"]["limit"], found["retry"]["on"]) == (limit, on)


def test_nsys_is_in_front_of_the_command(workspace: ExpWorkspace) -> None:
    """Its options as nsys wants them, and a report for each attempt in the task's folder."""
    options = {"capture": "cuda", "delay": "1m", "trace": ["cuda"], "options": ["--stats=true"]}
    found = planned(workspace, {"a": "true"}, uses="nsys", options=options)["a"]
    folder = found["env"]["EXP_TASK_DIR"]
    assert found["argv"][:-1] == [
        "nsys",
        "profile",
        f"--output={folder}/nsys-%q{{EXP_ATTEMPT}}",
        "--force-overwrite=true",
        "--trace=cuda",
        "--capture-range=cudaProfilerApi",
        "--capture-range-end=stop",
        "--delay=60",
        "--stats=true",
        *("bash", "-e", "-o", "pipefail"),
    ]


def test_nsys_starts_the_task(workspace: ExpWorkspace) -> None:
    """The program that is called like it gets the task's command behind its own options."""
    stand_in = workspace.folder / "nsys"
    stand_in.write_text(
        '#!/bin/sh\nwhile [ "${1#-}" != "$1" ] || [ "$1" = profile ]; do shift; done\nexec "$@"\n'
    )
    stand_in.chmod(0o755)
    plugin = {"uses": "nsys", "with": {"program": str(stand_in)}}
    run = workspace.start({"a": {"inline": "echo profiled; exit 3"}}, plugins=[plugin])
    run.wait(timeout=60)
    assert log(run, "a") == "profiled\n"
    assert run.status().history.tasks["a"].exit_code == 3


def test_partial_with_words_in_front_runs_behind_them(workspace: ExpWorkspace) -> None:
    """Also with --direct, where it would be called in the command's own process."""
    (workspace.folder / "mine.py").write_text("import os\ndef main(): print('niceness', os.nice(0))\n")
    (workspace.folder / "led.py").write_text(
        "class Led:\n    def change(self, launch): return launch.with_prefix('nice', '-n', '4')\n"
    )
    spec = workspace.spec({"a": {"partial": "mine:main"}}, plugins=[{"uses": "led:Led"}])
    wanted = f"niceness {min(19, os.nice(0) + 4)}\n"
    assert wanted in workspace.exp("run", spec, "--direct").stdout
    workspace.exp("run", spec)
    assert workspace.exp("logs", "latest", "a").stdout == wanted
