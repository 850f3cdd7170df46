"""Sweeps through the real command: their limits, how they are shown, and what a part of one is."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.extent import amount
from support.patience import eventually
from support.schedules import Drive, schedule, task
from support.workspace import ExpWorkspace, is_running, kill, statuses, until

from nemorun_cli.model.spec import Group
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.spec.schema import walk
from nemorun_cli.views import sweeps

if TYPE_CHECKING:
    from support.workspace import Exp

SPECS = Path(__file__).parents[2] / "examples" / "specs"
PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # as in an active venv
FITS = amount(16, long=200)  # 200, as in the example, take two CPUs some minutes

FAILING = """
name: failing
run: {max_parallel: 4}
tasks:
  train:
    inline: |
      import os
      x = int(os.environ["X"])
      assert x % 3, f"CUDA out of memory: {x} GB"
    entrypoint: python3
    env: {X: "${{ matrix.x }}"}
    matrix: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9]}
  after:
    command: [echo, "${{ matrix.x }}"]
    matrix: {x: [1, 2, 3]}
    dependencies: [{task: train, same: matrix}]
"""


@pytest.fixture(scope="module")
def failing(shared: Exp) -> tuple[Exp, str]:
    """The command with a sweep that has ended, and what was reported while it was watched."""
    return shared, shared("run", shared.spec(FAILING), code=1).stderr


def at_once(name: str) -> str:
    """Shell text that notes how many run at the same time."""
    return f"mkdir -p {name}; touch {name}/$$; ls {name} | wc -l >>seen; {until('go')}; rm {name}/$$"


def of_group(snapshot: Any, group: str) -> dict[str, str]:
    """The statuses of its members by the rest of their ids."""
    found = statuses(snapshot)
    return {name.partition("/")[2]: status for name, status in found.items() if name.startswith(f"{group}/")}


def test_members_run_with_their_values_and_twins_follow_them(workspace: ExpWorkspace) -> None:
    """A member waits for its twin only, and reads what that put out."""
    run = workspace.start(
        {
            "a": {
                "inline": f'[ "$X" = 1 ] || {until("go")}; echo "square:=$((X * X))" >>"$EXP_OUTPUT"',
                "env": {"X": "${{ matrix.x }}"},
                "matrix": {"x": [1, 2]},
            },
            "b": {
                "inline": 'echo "$SQUARE" >>squares',
                "env": {"SQUARE": "${{ tasks.a.outputs.square + matrix.x }}"},
                "matrix": {"x": [1, 2]},
                "dependencies": [{"task": "a", "same": "matrix"}],
            },
        },
        run={"max_parallel": 4},
    )
    eventually(lambda: workspace.lines("squares") == ["2"])
    assert run.status().history.tasks["a/x=2"].status is TaskStatus.RUNNING
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert workspace.lines("squares") == ["2", "6"]


def test_max_parallel_of_a_sweep_holds_its_members_only(workspace: ExpWorkspace) -> None:
    """No more members than `max_parallel` run at once, while other tasks go on."""
    run = workspace.start(
        {
            "s": {"inline": at_once("now"), "matrix": {"x": list(range(6)), "max_parallel": 2}},
            "other": "touch done",
        },
        run={"max_parallel": 8},
    )
    eventually(lambda: statuses(run.status())["other"] == "SUCCEEDED" and len(workspace.lines("seen")) == 2)
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=60)).values()) == {"SUCCEEDED"}
    assert max(map(int, workspace.lines("seen"))) <= 2


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 12), st.data())
def test_limits_hold_whatever_ends_when(most: int, slots: int, count: int, data: st.DataObject) -> None:
    """Whatever ends in which order: limits hold, nothing that may start waits, and all comes to run."""
    tasks = [task(f"s/{number}", number, group="s") for number in range(count)]
    tasks += [task(f"t{number}", count + number) for number in range(3)]
    group = Group(id="s", members=tuple(one.id for one in tasks[:count]), axes=("x",), max_parallel=most)
    drive = Drive(schedule(*tasks, groups=(group,)), slots)
    drive.begin()
    while True:
        drive.start()
        members = sum(name.startswith("s/") for name in drive.running)
        assert members <= most
        assert len(drive.running) <= slots
        waiting = [one.id for one in tasks if drive.status(one.id) is TaskStatus.PENDING]
        free = [name for name in waiting if not name.startswith("s/") or members < most]
        assert not free or len(drive.running) == slots
        if not drive.running:
            break
        drive.end(data.draw(st.sampled_from(sorted(drive.running))), TaskStatus.SUCCEEDED)
    assert sorted(drive.started) == sorted(one.id for one in tasks)


def test_max_failures_of_a_sweep_skips_its_rest(workspace: ExpWorkspace) -> None:
    """After so many failures the rest of the sweep is skipped with reason limit; other tasks are not."""
    after = workspace.run(
        {
            "s": {
                "inline": "exit ${{ matrix.x }}",
                "matrix": {"x": list(range(10)), "max_failures": "20%"},
                "retry": {"limit": 1, "on": [1]},
            },
            "twin": {
                "inline": ":",
                "matrix": {"x": [0, 1, 9]},
                "dependencies": [{"task": "s", "same": "matrix"}],
            },
            "always": {"inline": ":", "dependencies": ["s"], "dependency_type": "afterany"},
        },
        run={"max_parallel": 1},
    )
    found = of_group(after, "s")
    assert [found[f"x={number}"] for number in range(3)] == ["SUCCEEDED", "FAILED", "FAILED"]
    assert {found[f"x={number}"] for number in range(3, 10)} == {"SKIPPED"}
    skipped = after.history.tasks["s/x=3"]
    assert (skipped.reason, skipped.message) == ("limit", "2 members of s failed, which is its max_failures")
    assert of_group(after, "twin") == {"x=0": "SUCCEEDED", "x=1": "SKIPPED", "x=9": "SKIPPED"}
    assert after.history.tasks["twin/x=9"].reason == "dependency"
    assert statuses(after)["always"] == "SUCCEEDED"
    assert after.exit_code == 1


def test_fail_fast_of_a_matrix_stops_the_others(workspace: ExpWorkspace) -> None:
    """With `fail_fast` the first failure of a member ends the others."""
    after = workspace.run(
        {
            "s": {
                "inline": f'[ "$X" = 2 ] && exit 1; {until("never")}',
                "env": {"X": "${{ matrix.x }}"},
                "matrix": {"x": [1, 2, 3, 4], "fail_fast": True},
            }
        },
        run={"max_parallel": 2},
    )
    assert of_group(after, "s") == {
        "x=1": "CANCELLED",
        "x=2": "FAILED",
        "x=3": "CANCELLED",
        "x=4": "CANCELLED",
    }


def test_a_false_condition_skips_single_members(workspace: ExpWorkspace) -> None:
    """`when` is decided for each member by its own values."""
    after = workspace.run({"s": {"inline": ":", "when": "${{ matrix.x < 2 }}", "matrix": {"x": [1, 2]}}})
    assert of_group(after, "s") == {"x=1": "SUCCEEDED", "x=2": "SKIPPED"}
    assert after.exit_code == 0


def test_a_sweep_is_one_row_that_can_be_opened(failing: tuple[Exp, str]) -> None:
    """`status` shows a sweep in one row, and its members and the kinds of its failures when it is named."""
    exp, _ = failing
    shown = exp("status").stdout
    assert "train  6/9 done · 3 failed" in shown
    assert "after  2/3 done · 1 skipped" in shown
    assert "train/x=1" not in shown
    opened = exp("status", "latest", "train").stdout
    assert "train/x=9" in opened
    assert "after" not in opened
    kind = "3 × AssertionError: CUDA out of memory: 3 GB  (train/x=3, train/x=6, train/x=9)"  # noqa: RUF001
    assert f"3 failed:\n  {kind}\n" in opened
    part = exp("status", "latest", "train/x=[12]").stdout
    assert "train/x=2" in part
    assert "train/x=3" not in part


def test_failures_are_told_by_what_they_say(failing: tuple[Exp, str]) -> None:
    """While it is watched the first failure is shown at once, and all of a kind are one line at the end."""
    exp, told = failing
    assert "the first failure of train, further ones are only counted\n  | " in told
    assert told.count("Traceback (most recent call last)") == 1
    assert "train: 6/9 done · 3 failed\n" in told
    assert told.count("3 × AssertionError: CUDA out of memory") == 1  # noqa: RUF001
    assert "train/x=1: " not in told
    why = exp("why", "latest", "train").stdout
    assert why.startswith("train: 6/9 done · 3 failed\n  3 × AssertionError: CUDA out of memory: 3 GB")  # noqa: RUF001
    assert exp("why", "latest", "after").stdout.endswith("  1 SKIPPED: dependency: train/x=3 is FAILED\n")


def test_documents_keep_all_members(failing: tuple[Exp, str]) -> None:
    """The JSON lists each member with its values, and the sweeps besides; the schemas know them."""
    exp, _ = failing
    document = exp.status()
    assert [one["id"] for one in document["tasks"]][:2] == ["train/x=1", "train/x=2"]
    assert [one["matrix"] for one in document["tasks"]][:2] == [{"x": 1}, {"x": 2}]
    assert document["sweeps"][0] == {
        "id": "train",
        "axes": ["x"],
        "members": 9,
        "counts": {"SUCCEEDED": 6, "FAILED": 3},
        "seconds_left": None,
    }
    why = exp("why", "latest", "train", "--json").json
    assert [(one["count"], one["tasks"]) for one in why["failures"]] == [
        (3, ["train/x=3", "train/x=6", "train/x=9"])
    ]
    assert len(why["tasks"]) == 9
    for form, found in (("status", document), ("why", why)):
        text = (walk.folder() / f"{form}.schema.json").read_text(encoding="utf-8")
        jsonschema.Draft202012Validator(json.loads(text)).validate(found)


def test_parts_of_a_sweep_are_cancelled_shown_and_run_again(exp: Exp) -> None:
    """`cancel`, `logs` and `resume` take a sweep, a glob of its members, or a combination of a group."""
    exp.spec(
        "name: parts\nrun: {max_parallel: 8}\ntasks:\n"
        "  s:\n"
        f"    group: [{{inline: 'echo ${{{{ matrix.a }}}}; {until('go')}'}}, {{inline: 'echo two'}}]\n"
        "    matrix: {a: [1, 2], b: ['x y', z]}\n"
    )
    which = exp("run", "-d", "spec.yaml").stdout.strip()
    eventually(lambda: exp.status()["counts"].get("RUNNING") == 4)
    exp("cancel", which, "s/a=1,*")
    running = [one["id"] for one in exp.status()["tasks"] if one["status"] == "RUNNING"]
    assert [name.rpartition("~")[0] or name for name in running] == ["s/a=2,b=x_y", "s/a=2,b=z/0"]
    (exp.folder / "go").touch()
    exp("wait", which, code=1)
    assert exp("logs", which, "s/a=2,b=z").stdout == "s/a=2,b=z/0 | 2\ns/a=2,b=z/1 | two\n"
    plan = exp("resume", which, "--from", "s/a=2,b=z/*", "--dry-run", "--json").json["tasks"]
    again = [one["id"] for one in plan if one["action"] == "run"]
    assert len(again) == 4
    exp("resume", which, "--from", "s/a=2,b=z/*")
    assert exp.status()["status"] == "COMPLETED"
    assert exp.task("s/a=2,b=z/1")["attempt"] == 2


def test_time_left_is_told_by_what_members_took(exp: Exp) -> None:
    """As soon as members have ended, the row says how long the rest may take at this rate."""
    exp.spec(
        "name: timed\nrun: {max_parallel: 1}\ntasks:\n"
        f"  s: {{inline: '[ $X = 1 ] || {{ {until('go')}; }}',\n"
        "    env: {X: '${{ matrix.x }}'}, matrix: {x: [1, 2, 3]}}\n"
    )
    which = exp("run", "-d", "spec.yaml").stdout.strip()
    eventually(lambda: exp.task("s/x=2")["status"] == "RUNNING")
    assert re.search(r"1/3 done( · ~\d+s left)?  ", exp("status", which).stdout)
    assert exp.status()["sweeps"][0]["seconds_left"] >= 0
    (exp.folder / "go").touch()
    exp("wait", which)
    assert " left" not in exp("status", which).stdout


@pytest.mark.parametrize(
    ("seconds", "told"), [(None, "1/2 done"), (0.4, "1/2 done"), (45.0, "1/2 done · ~45s left")]
)
def test_no_time_left_is_told_of_members_that_take_longer(seconds: float | None, told: str) -> None:
    """They are not over because others were by then."""
    group = Group(id="s", members=("s/a=1", "s/a=2"))
    counts = {TaskStatus.SUCCEEDED: 1, TaskStatus.RUNNING: 1}
    assert sweeps.Progress(group=group, counts=counts, seconds_left=seconds).line == told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (45.4, "45s"), (90, "2m"), (3599, "60m"), (7800, "2h10"), (3600, "1h00"), (273600, "3d4h")],
)
def test_estimates_are_told_in_few_words(seconds: float, text: str) -> None:
    """What is only estimated is told in at most two units."""
    assert sweeps.left_text(seconds) == text


def test_fits_survive_a_kill_and_are_resumed(exp: Exp) -> None:
    """Of many fits eight fail; the supervisor is killed on the way, and a resume runs no ended one twice."""
    alphas = list(range(1, (FITS - 8) // 8 + 1))
    sets = ["--set", f"params.alphas={alphas}", "--set", "tasks.fit.matrix.max_failures=100%"]
    sets += ["--set", "run.max_parallel=2"]  # the last ones have not begun when it is killed
    which = exp("run", "-d", SPECS / "sweep_failures.yaml", *sets, env=PATH).stdout.strip()
    eventually(lambda: exp.status()["counts"].get("SUCCEEDED", 0) >= 4, within=60 + FITS)
    supervisor = exp.status()["supervisor"]["pid"]
    kill(supervisor)
    assert not is_running(supervisor)
    eventually(lambda: exp.status()["status"] == "INTERRUPTED", within=30)
    ended = {one["id"] for one in exp.status()["tasks"] if one["status"] == "SUCCEEDED"}
    resumed = exp.start("resume", which, env=PATH)
    _, told = resumed.communicate(timeout=60 + 5 * FITS)

    assert resumed.returncode == 1, told
    after = {one["id"]: one for one in exp.status()["tasks"]}
    failed = [name for name, one in after.items() if one["status"] == "FAILED"]
    assert failed == [f"fit/alpha={alpha},seed={seed}" for alpha in (-1, -2) for seed in range(4)]
    assert sum(one["status"] == "SUCCEEDED" for name, one in after.items() if name != "table") == FITS - 8
    assert {after[name]["attempt"] for name in ended} == {1}
    assert all(0 < one["outputs"]["score"] < 1 for one in after.values() if one["outputs"])
    assert f" {FITS - 8}/{FITS} done · 8 failed" in exp("status", which).stdout
    assert "8 × numpy.linalg.LinAlgError: Matrix is not positive definite" in told  # noqa: RUF001


def test_a_large_sweep_is_planned_and_shown(exp: Exp) -> None:
    """Three thousand members are checked, cancelled and shown, and their plan stays small."""
    exp.spec(
        "name: large\nrun: {max_parallel: 1}\ntasks:\n"
        f"  first: {{inline: '{until('go')}'}}\n"
        "  s: {command: [echo, '${{ matrix.a }}'], dependencies: [first],\n"
        f"    matrix: {{b: [1, 2, 3], a: [{', '.join(map(str, range(1000)))}]}}}}\n"
    )
    which = exp("run", "-d", "spec.yaml").stdout.strip()
    assert "0/3000 done" in exp("status", which).stdout
    assert (exp.directory() / "resolved.json").stat().st_size < 3000 * 200
    exp("cancel", which)
    assert exp.status()["counts"] == {"CANCELLED": 3001}
