"""Tasks that wait for other experiments: whatever becomes of these, what waits runs once or is skipped."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import until

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp

FIRST = {
    "a": {"inline": f"{until('go')}; echo x=41 >>$EXP_OUTPUT; exit $(cat code)"},
    "both": {"group": [{"inline": "true", "name": "one"}, {"inline": "exit 3", "name": "two"}]},
}


def spec(exp: Exp, name: str, tasks: dict[str, Any], **keys: Any) -> Path:
    return exp.spec(json.dumps({"name": name, "tasks": tasks, **keys}), f"{name}.yaml")


def start(exp: Exp, name: str, tasks: dict[str, Any], *options: str) -> str:
    return exp("run", spec(exp, name, tasks), "-d", *options).stdout.strip()


def waits(name: str = "first", **entry: str) -> dict[str, Any]:
    return {"command": ["true"], "dependencies": [{"experiment": name, **entry}]}


def now(exp: Exp, experiment: str) -> list[str]:
    return [task["status"] for task in exp("status", experiment, "--json").json["tasks"]]


def ends(exp: Exp, experiment: str) -> dict[str, str]:
    exp("wait", experiment, "--timeout", "60", code=None)
    tasks = exp("status", experiment, "--json").json["tasks"]
    return {task["id"]: task["status"] for task in tasks}


def release(exp: Exp, code: int) -> None:
    (exp.folder / "code").write_text(f"{code}\n")
    (exp.folder / "go").touch()


def test_a_task_waits_for_one_of_another_experiment(exp: Exp) -> None:
    """It runs after the other with its outputs, or is skipped; what waits for the whole waits for its end."""
    first = start(exp, "first", FIRST)
    value = "${{ experiments['first'].tasks.a.outputs.x }}"
    tasks = {
        "b": {"command": ["echo", "got", value], "dependencies": [{"experiment": "first", "task": "a"}]},
        "c": waits(task="both", **{"as": "pair"}),
        "d": {**waits(first, task="both/one", **{"as": "other"}), "dependency_type": "afterany"},
        "e": {**waits(), "dependency_type": "afternotok"},
        "f": {"command": ["true"], "dependencies": ["b"]},
    }
    second = start(exp, "second", tasks)
    eventually(lambda: now(exp, second)[:3] == ["PENDING", "SKIPPED", "SUCCEEDED"])
    running = exp("status", second, "--json").json["tasks"]
    assert running[0]["external"] == [{"experiment": first, "task": "a", "slurm_job": None, "status": None}]
    assert f"waits for a of {first}, which is RUNNING" in exp("why", second, "b").stdout
    assert running[0]["message"] == f"waits for a of {first}"
    assert f"both of {first} is FAILED" in exp("why", second, "c").stdout
    assert f"<- afterok a of {first}" in exp("show", second).stdout
    graph = exp("graph", second, "--json").json
    assert {"from": "first:a", "to": "b", "type": "afterok"} in graph["edges"]
    assert [node["kind"] for node in graph["nodes"] if node["id"] == "first:a"] == ["external"]
    assert f"a of {first}" in exp("graph", second).stdout
    release(exp, 0)
    assert ends(exp, second) == {
        "b": "SUCCEEDED", "c": "SKIPPED", "d": "SUCCEEDED", "e": "SUCCEEDED", "f": "SUCCEEDED"
    }  # fmt: skip
    assert exp("logs", second, "b").stdout == "got 41\n"
    kinds = [event["event"] for event in map(json.loads, exp("events", second, "--json").stdout.splitlines())]
    assert kinds.count("external_ended") == 4
    assert exp("fsck", second).code == 0

    again = exp("rerun", second, "-d").stdout.strip()
    third = start(exp, "first", {"a": {"inline": "echo x=7 >>$EXP_OUTPUT"}, "both": FIRST["both"]})
    assert ends(exp, again)["b"] == "SUCCEEDED"  # all of the first was over already
    exp("wait", third, code=None)
    last = exp("rerun", second, "-q", code=None).stdout.strip()
    assert exp("logs", last, "b").stdout == "got 7\n"
    document = exp("show", last, "--json").json
    assert {each["experiment"] for each in document["spec"]["external"]} == {third, first}


def test_what_fails_first_and_is_mended_counts_after_a_resume(exp: Exp) -> None:
    """A failure skips what waits; once both are resumed, it runs."""
    first = start(exp, "first", FIRST)
    second = start(exp, "second", {"b": waits(task="a")})
    release(exp, 5)
    assert ends(exp, second) == {"b": "SKIPPED"}
    release(exp, 0)
    exp("resume", first, "-d", code=None)
    assert ends(exp, first)["a"] == "SUCCEEDED"
    exp("resume", second, "-d")
    assert ends(exp, second) == {"b": "SUCCEEDED"}


@pytest.mark.parametrize("is_alive", [True, False])
def test_nobody_has_to_look_after_the_other(exp: Exp, is_alive: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """If the other's supervisor was killed, its task is noticed; what it would retry is waited for."""
    retried = {"inline": until("go") + "; exit $(cat code)", "retry": {"limit": 1}}
    first = start(exp, "first", {"a": FIRST["a"], "r": retried})
    eventually(lambda: now(exp, first)[1] == "RUNNING")
    second = start(exp, "second", {"b": waits(task="a"), "c": waits(task="r")})
    os.kill(exp("status", first, "--json").json["supervisor"]["pid"], signal.SIGKILL)
    if not is_alive:
        os.kill(exp("status", second, "--json").json["supervisor"]["pid"], signal.SIGKILL)
    release(exp, 0 if is_alive else 1)
    if is_alive:
        assert ends(exp, second) == {"b": "SUCCEEDED", "c": "SUCCEEDED"}
        return
    eventually(lambda: exp("status", first, "--json").json["status"] == "INTERRUPTED")
    exp("resume", second, "-d")
    eventually(lambda: now(exp, second)[0] == "SKIPPED")
    assert (
        f"(its experiment is INTERRUPTED): nothing continues it; exp resume {first}"
        in exp("why", second, "c").stdout
    )
    release(exp, 0)
    exp("resume", first, "-d")
    assert ends(exp, second) == {"b": "SKIPPED", "c": "SUCCEEDED"}


def test_what_is_waited_for_is_not_removed(exp: Exp) -> None:
    """`exp gc` keeps it, with the reason, until what waits is over; what is removed by hand is told."""
    first = exp("run", spec(exp, "first", {"a": {"command": ["true"]}}), "-q").stdout.strip()
    tasks = {"b": {"inline": until("go")}, "c": {**waits(first, task="a"), "dependencies": ["b"]}}
    tasks["c"]["dependencies"] = ["b", {"experiment": first, "task": "a"}]
    second = start(exp, "second", tasks)
    for option in ("--dry-run", "--json"):
        kept = exp("gc", "--older", "0", "--json", option).json["kept"]
        assert [(item["id"], item["message"]) for item in kept] == [(first, f"{second} waits for it")]
    (exp.folder / "go").touch()
    assert ends(exp, second) == {"b": "SUCCEEDED", "c": "SUCCEEDED"}
    removed = exp("gc", "--older", "0", "--json").json["removed"]
    assert {first, second} <= {item["id"] for item in removed}


def test_wrong_dependencies_have_their_place(exp: Exp) -> None:
    """What does not exist, contradicts, or uses what is not waited for, is a problem before anything runs."""
    exp("run", spec(exp, "first", {"train": {"command": ["true"]}}), "-q")
    use = {"command": ["echo", "${{ experiments['first'].tasks.train.outputs.x }}"]}
    wrong = {
        "tasks.t.dependencies.0: there is no experiment 'firsd'": waits("firsd"),
        "has no task 'trian' ": waits(task="trian"),
        "is named twice": {"dependencies": [{"experiment": "first"}] * 2, "command": ["true"]},
        "in another dependency": {
            "dependencies": [{"experiment": "first"}, {"experiment": "other", "as": "first"}],
            "command": ["true"],
        },
        "knows nothing of the job 4711": {"dependencies": [{"slurm_job": 4711}], "command": ["true"]},
        "dependencies.0.as: must be a name of letters": waits(**{"as": "1 2"}),
        "dependencies.0.slurm_job: must be the id of a job": {
            "dependencies": [{"slurm_job": "x"}],
            "command": ["true"],
        },
        "dependencies.0.tsk: unknown key 'tsk' (did you mean task?": waits(tsk="train"),
        "experiments: no dependency on another experiment is called 'first'": use,
        "no dependency is on 'train' of first": {**use, "dependencies": [{"experiment": "first"}]},
    }
    for message, task in wrong.items():
        for command in ("validate", "run"):
            shown = exp(command, spec(exp, "second", {"t": task}), code=2).stderr
            assert message in shown, shown
    assert exp("list", "--name", "second", "-q").stdout == ""


def test_only_drops_them(exp: Exp) -> None:
    """A task that `--only` selects waits for nothing outside; if it uses what is there, that is a problem."""
    start(exp, "first", FIRST)
    used = {"command": ["echo", "${{ experiments['first'].tasks.a.outputs.x }}"]}
    path = spec(exp, "second", {"b": waits(task="a"), "c": {**waits(task="a"), **used}})
    assert exp("run", path, "--only", "b", "-q").code == 0
    assert "which --only leaves out" in exp("run", path, "--only", "c", code=2).stderr
    exp("cancel", "first", code=None)


def test_a_group_that_ended_with_its_leader_has_succeeded(exp: Exp) -> None:
    """Also if members of it never started, which are SKIPPED, or were stopped."""
    sweep = {"inline": "test ${{ matrix.x }} = 2", "matrix": {"x": [2, 3], "max_parallel": 1}, "until": "any"}
    exp("run", spec(exp, "led", {"s": sweep}))
    second = start(exp, "second", {"after": waits("led", task="s")})
    assert ends(exp, second) == {"after": "SUCCEEDED"}
    assert now(exp, "led") == ["SUCCEEDED", "SKIPPED"]
