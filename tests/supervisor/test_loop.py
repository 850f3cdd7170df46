"""What a supervisor makes of a spec: order, limits, retries, timeouts and ends, on real processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually
from support.workspace import (
    NOTE,
    attempt,
    events,
    is_running,
    kill_supervisor,
    log,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.model.status import EXIT_CODES, ExperimentStatus

if TYPE_CHECKING:
    from support.workspace import ExpWorkspace

S, F, C, K = "SUCCEEDED", "FAILED", "CANCELLED", "SKIPPED"
COMPLETED, FAILED = ExperimentStatus.COMPLETED, ExperimentStatus.FAILED

SPAN = """
echo "+ $EXP_TASK" >>spans
{body}
echo "- $EXP_TASK" >>spans
"""


def most_at_once(lines: list[str]) -> int:
    """How many were between their + and their - at the same time."""
    running = most = 0
    for line in lines:
        running += 1 if line.startswith("+") else -1
        most = max(most, running)
    return most


# -- dependencies -------------------------------------------------------------------------------------

OK, BAD, ALLOWED = {"inline": "exit 0"}, {"inline": "exit 3"}, {"inline": "exit 3", "allow_failure": True}
NEVER = {"inline": "exit 0", "when": False}
BELOW_BAD = {"inline": "exit 0", "dependencies": ["bad"]}


@pytest.mark.parametrize(
    ("parents", "afterok", "afterany", "afternotok", "ends"),
    [
        ({"p": OK}, S, S, K, COMPLETED),
        ({"p": BAD}, K, S, S, FAILED),
        ({"p": ALLOWED}, S, S, S, COMPLETED),
        ({"p": NEVER}, K, S, K, COMPLETED),
        ({"p": OK, "q": BAD}, K, S, S, FAILED),
        ({"p": OK, "q": NEVER}, K, S, K, COMPLETED),
        ({"p": OK, "q": OK}, S, S, K, COMPLETED),
        ({"bad": BAD, "p": BELOW_BAD}, K, S, S, FAILED),
    ],
)
def test_dependency_types(  # noqa: PLR0917 - one column of the table each
    workspace: ExpWorkspace,
    parents: dict[str, Any],
    afterok: str,
    afterany: str,
    afternotok: str,
    ends: ExperimentStatus,
) -> None:
    """What depends on a task runs or is skipped as its `dependency_type` says, and the exit code follows."""
    wanted = {"afterok": afterok, "afterany": afterany, "afternotok": afternotok}
    children = {
        name: {"inline": NOTE, "dependencies": list(parents), "dependency_type": name} for name in wanted
    }
    snapshot = workspace.run({**parents, **children})
    found = statuses(snapshot)
    assert {name: found[name] for name in wanted} == wanted
    assert sorted(workspace.lines()) == sorted(f"{name} 1" for name, end in wanted.items() if end == S)
    assert snapshot.status is ends
    assert snapshot.exit_code == EXIT_CODES[ends]


def test_skipped_task_says_why(workspace: ExpWorkspace) -> None:
    """A task that can no longer run names what it failed by; one whose `when` is false says that."""
    tasks = workspace.run(
        {"bad": "exit 1", "b": {"inline": ":", "dependencies": ["bad"]}, "w": {"inline": ":", "when": False}}
    ).history.tasks
    assert (tasks["b"].reason, tasks["b"].message) == ("dependency", "bad is FAILED")
    assert tasks["w"].reason == "when"


def test_independent_branch_goes_on_after_a_failure(workspace: ExpWorkspace) -> None:
    """A failure takes along what needs it and nothing else."""
    snapshot = workspace.run(
        {
            "bad": "exit 3",
            "below": {"inline": NOTE, "dependencies": ["bad"]},
            "deeper": {"inline": NOTE, "dependencies": ["below"]},
            "other": NOTE,
            "beside": {"inline": NOTE, "dependencies": ["other"]},
        }
    )
    assert statuses(snapshot) == {"bad": F, "below": K, "deeper": K, "other": S, "beside": S}
    assert workspace.lines() == ["other 1", "beside 1"]
    assert workspace.exp("status", snapshot.files.id, "--exit-code", code=1)


def test_there_are_no_level_barriers(workspace: ExpWorkspace) -> None:
    """A task starts when its own dependencies are done, whatever else of their level still runs."""
    run = workspace.start(
        {"slow": until("gate"), "quick": ":", "next": {"inline": NOTE, "dependencies": ["quick"]}},
        run={"max_parallel": 2},
    )
    eventually(workspace.lines)
    assert status(run, "slow") == "RUNNING"
    workspace.touch("gate")
    assert run.wait(timeout=60).status is COMPLETED


# -- slots --------------------------------------------------------------------------------------------


def test_max_parallel_is_never_exceeded_and_used_up(workspace: ExpWorkspace) -> None:
    """As many tasks run at once as there are slots, and never more."""
    body = "sleep 0.05"
    workspace.run({f"t{number}": SPAN.format(body=body) for number in range(9)}, run={"max_parallel": 3})
    assert most_at_once(workspace.lines("spans")) == 3


def test_max_parallel_holds_across_a_new_supervisor(workspace: ExpWorkspace) -> None:
    """Adopted tasks keep their slots."""
    run = workspace.start(
        {f"t{n}": SPAN.format(body=until("gate")) for n in range(4)}, run={"max_parallel": 2}
    )
    eventually(lambda: len(workspace.lines("spans")) == 2)
    kill_supervisor(run)
    run.resume()
    workspace.touch("gate")
    assert run.wait(timeout=60).status is COMPLETED
    assert most_at_once(workspace.lines("spans")) == 2


def test_an_experiment_that_began_without_a_shared_folder_gets_one(workspace: ExpWorkspace) -> None:
    """A resume makes `$EXP_SHARED` for tasks that run again, as experiments of earlier versions have none."""
    run = workspace.start({"one": 'test -e go && echo well >"$EXP_SHARED/well"'})
    run.wait(timeout=60)
    run.files.shared.rmdir()
    workspace.touch("go")
    run.resume()
    assert run.wait(timeout=60).status is COMPLETED
    assert (run.files.shared / "well").exists()


def test_group_that_is_together_starts_at_once(workspace: ExpWorkspace) -> None:
    """Members that must run together do: each waits here for the other, which would never come."""
    meet = ': >"here.${EXP_TASK#*/}"; until [ -e here.0 ] && [ -e here.1 ]; do sleep 0.01; done'
    tasks = {"first": ":", "g": {"group": [{"inline": meet}, {"inline": meet}], "together": True}, "z": ":"}
    assert workspace.run(tasks, run={"max_parallel": 2}).status is COMPLETED


def test_group_that_is_together_and_too_large_does_not_wait_for_ever(workspace: ExpWorkspace) -> None:
    """More members than slots: it is refused, or they run together all the same; it never hangs."""
    tasks = {
        "g": {"group": [{"inline": ":"}] * 3, "together": True},
        "z": {"inline": ":", "dependencies": ["g"]},
    }
    done = workspace.exp("run", workspace.spec(tasks, run={"max_parallel": 2}), code=None)
    assert done.code in {0, 2}
    if done.code == 2:
        assert "together" in done.stderr


# -- retries ------------------------------------------------------------------------------------------


def test_task_is_retried_until_it_succeeds(workspace: ExpWorkspace) -> None:
    """Each attempt has its own number, folder and log; what counts is the last one."""
    script = (
        f'{NOTE}; echo "attempt $EXP_ATTEMPT"; echo "n:=$EXP_ATTEMPT" >>"$EXP_OUTPUT"; [ "$EXP_ATTEMPT" = 3 ]'
    )
    run = workspace.start(
        {
            "a": {"inline": script, "retry": {"limit": 5}},
            "b": {"inline": 'echo "$1" >got', "args": ["${{ tasks.a.outputs.n }}"], "dependencies": ["a"]},
        }
    )
    state = run.wait(timeout=60).history.tasks["a"]
    assert (state.status, state.attempt, state.outputs) == (S, 3, {"n": 3})
    assert workspace.lines() == ["a 1", "a 2", "a 3"]
    assert [log(run, "a", number) for number in (1, 2, 3)] == [f"attempt {n}\n" for n in (1, 2, 3)]
    assert workspace.lines("got") == ["3"]


def test_outputs_of_a_failed_attempt_do_not_count(workspace: ExpWorkspace) -> None:
    """Only what the last attempt wrote is an output."""
    script = '[ "$EXP_ATTEMPT" = 2 ] || { echo old=1 >>"$EXP_OUTPUT"; exit 1; }; echo new=2 >>"$EXP_OUTPUT"'
    snapshot = workspace.run({"a": {"inline": script, "retry": {"limit": 1}}})
    assert snapshot.history.tasks["a"].outputs == {"new": "2"}


def test_retries_come_to_an_end(workspace: ExpWorkspace) -> None:
    """After `limit` retries the failure stands, and dependents are skipped only then."""
    snapshot = workspace.run(
        {
            "a": {"inline": f"{NOTE}; exit 4", "retry": {"limit": 2}},
            "b": {"inline": NOTE, "dependencies": ["a"]},
        }
    )
    assert workspace.lines() == ["a 1", "a 2", "a 3"]
    assert statuses(snapshot) == {"a": F, "b": K}
    assert snapshot.history.tasks["a"].exit_code == 4


@pytest.mark.parametrize(
    ("on", "attempts"), [([75], 1), ([4], 2), (["timeout"], 1), (["exit"], 2), (["any"], 2)]
)
def test_retry_only_on_what_was_asked_for(workspace: ExpWorkspace, on: list[Any], attempts: int) -> None:
    """`retry.on` decides which failures are tried again."""
    workspace.run({"a": {"inline": f"{NOTE}; exit 4", "retry": {"limit": 1, "on": on}}})
    assert len(workspace.lines()) == attempts


def test_retry_waits_for_its_delay(workspace: ExpWorkspace) -> None:
    """The next attempt starts no earlier than `delay` times `backoff` says, and others run meanwhile."""
    run = workspace.start(
        {
            "a": {"inline": "date +%s.%N >>times; exit 1", "retry": {"limit": 2, "delay": 0.2, "backoff": 2}},
            "b": NOTE,
        },
        run={"max_parallel": 1},
    )
    run.wait(timeout=60)
    first, second, third = map(float, workspace.lines("times"))
    assert second - first >= 0.2
    assert third - second >= 0.4
    assert workspace.lines() == ["b 1"]


# -- timeouts -----------------------------------------------------------------------------------------

DEAF = """
trap '' TERM
echo $$ >>pids
setsid sh -c 'trap "" TERM; echo $$ >>pids; while :; do sleep 0.1; done' &
while :; do sleep 0.1; done
"""


@pytest.mark.parametrize("supervised", [True, False])
def test_timeout_ends_a_deaf_task_and_its_tree(workspace: ExpWorkspace, supervised: bool) -> None:  # noqa: FBT001
    """What does not hear the stop signal is killed after its grace period, supervised or not."""
    run = workspace.start(
        {
            "a": {"inline": DEAF, "timeout": 0.4, "stop_grace": 0.3},
            "b": {"inline": NOTE, "dependencies": ["a"]},
        }
    )
    eventually(lambda: len(workspace.lines("pids")) == 2)
    if not supervised:
        kill_supervisor(run)
    snapshot = eventually(lambda: (found := run.status()).is_over and found)
    state = snapshot.history.tasks["a"]
    assert (state.status, state.reason, state.exit_code) == (F, "timeout", None)
    assert "had to be killed" in (state.message or "")
    assert snapshot.history.tasks["b"].status == K
    assert not any(is_running(int(pid)) for pid in workspace.lines("pids"))


def test_timeout_lets_a_task_end_in_its_own_way(workspace: ExpWorkspace) -> None:
    """A task that hears the signal may save its work; its exit code is kept, and it still is a timeout."""
    script = f"trap 'echo saved >>ran; exit 7' USR1; {until('never')}"
    state = workspace.run({"a": {"inline": script, "timeout": 0.3, "stop_signal": "USR1"}}).history.tasks["a"]
    assert (state.reason, state.exit_code) == ("timeout", 7)
    assert workspace.lines() == ["saved"]


def test_timeout_can_be_retried(workspace: ExpWorkspace) -> None:
    """Each attempt has the whole time for itself."""
    script = f'{NOTE}; [ "$EXP_ATTEMPT" = 2 ] || exec sleep 600'
    snapshot = workspace.run(
        {"a": {"inline": script, "timeout": 0.5, "retry": {"limit": 1, "on": ["timeout"]}}}
    )
    assert statuses(snapshot) == {"a": S}


def test_timeout_of_the_experiment_ends_it(workspace: ExpWorkspace) -> None:
    """After `run.timeout` what runs is ended, the rest is skipped, and the experiment is FAILED."""
    snapshot = workspace.run(
        {"a": until("never"), "b": {"inline": NOTE, "dependencies": ["a"]}}, run={"timeout": 1.5}
    )
    assert statuses(snapshot) == {"a": C, "b": K}
    assert {state.reason for state in snapshot.history.tasks.values()} == {"limit"}
    assert snapshot.status is FAILED


# -- limits -------------------------------------------------------------------------------------------


def test_max_failures_counts_what_fails_before_it_begins(workspace: ExpWorkspace) -> None:
    """Tasks whose templates fail stop the rest as others do, although none of them ever ran."""
    late = {"inline": NOTE, "args": ["${{ tasks.parent.outputs.nope }}"], "dependencies": ["parent"]}
    tasks = {"parent": "true", **{f"t{number}": late for number in range(12)}}
    ended = statuses(workspace.run(tasks, run={"max_failures": 3, "max_parallel": 2}))
    assert sorted(ended.values()).count(K) >= 8
    assert 3 <= sorted(ended.values()).count(F) <= 4, "two begin at once: one may fail beside the third"
    assert workspace.lines() == []


def test_max_failures_lets_what_runs_finish_and_skips_the_rest(workspace: ExpWorkspace) -> None:
    """Once so many tasks failed nothing new starts."""
    run = workspace.start(
        {
            "runs": f"{until('gate')}; {NOTE}",
            "bad": "exit 1",
            "rest": NOTE,
            "below": {"inline": NOTE, "dependencies": ["rest"]},
        },
        run={"max_failures": 1, "max_parallel": 2},
    )
    eventually(lambda: status(run, "rest") == K)
    workspace.touch("gate")
    final = run.wait(timeout=60)
    assert statuses(final) == {"runs": S, "bad": F, "rest": K, "below": K}
    assert final.history.tasks["rest"].reason == "limit"
    assert workspace.lines() == ["runs 1"]
    assert final.status is FAILED


def test_member_that_fails_stops_the_others_only_if_asked(workspace: ExpWorkspace) -> None:
    """With `fail_fast` the rest of the group is cancelled, without it everyone finishes."""
    for fail_fast, other in ((True, C), (False, S)):
        name = f"g{other}"
        members = [
            {"inline": "exit 1"},
            {"inline": until(f"gate{other}")},
            {"inline": ":", "dependencies": []},
        ]
        run = workspace.start({name: {"group": members[:2], "fail_fast": fail_fast}}, run={"max_parallel": 2})
        eventually(lambda run=run, name=name: status(run, f"{name}/0") == F)
        if not fail_fast:
            workspace.touch(f"gate{other}")
        final = run.wait(timeout=60)
        assert statuses(final) == {f"{name}/0": F, f"{name}/1": other}
        assert final.status is FAILED


# -- outputs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "echo rubbish >>$EXP_OUTPUT",
        "echo 'k:={' >>$EXP_OUTPUT",
        r"printf '\377=1\n' >>$EXP_OUTPUT",
        "head -c 2000000 /dev/zero >>$EXP_OUTPUT",
        "mkdir $EXP_OUTPUT",
        "mkfifo $EXP_OUTPUT",
        "ln -s /dev/zero $EXP_OUTPUT",
        "ln -s /no/such/place $EXP_OUTPUT",
    ],
)
def test_outputs_that_cannot_be_used_cost_only_their_task(workspace: ExpWorkspace, script: str) -> None:
    """Whatever lies at `$EXP_OUTPUT`, the supervisor lives on, and the task says what is wrong with it."""
    snapshot = workspace.run({"a": script, "b": NOTE})
    state = snapshot.history.tasks["a"]
    assert (state.status, state.reason) == (F, "outputs")
    assert workspace.lines() == ["b 1"]


# -- the record ---------------------------------------------------------------------------------------


def test_ledger_tells_everything_in_order(workspace: ExpWorkspace) -> None:
    """Of every task it is written when it was submitted, started and ended, by whom, in times that agree."""
    run = workspace.start({"a": "exit 0", "b": {"inline": "exit 0", "dependencies": ["a"]}})
    snapshot = run.wait(timeout=60)
    eventually(lambda: events(run)[-1]["event"] == "supervisor_ended")
    kinds = [(event["event"], event.get("task")) for event in events(run)]
    expected = [("created", None), ("supervisor_started", None)]
    expected += [(kind, task) for task in "ab" for kind in ("submitted", "started", "ended")]
    assert kinds == [*expected, ("finished", None), ("supervisor_ended", None)]
    for state in snapshot.history.tasks.values():
        assert state.started is not None
        assert state.ended is not None
        assert state.started <= state.ended
    assert all(event["by"] and event["time"].endswith("Z") for event in events(run))


def test_intent_is_on_disk_before_the_act(workspace: ExpWorkspace) -> None:
    """When a task runs, its submission already stands in the ledger."""
    script = 'grep -c "submitted.*\\"task\\":\\"a\\"" "$EXP_DIR/ledger.jsonl" >seen'
    workspace.run({"a": script})
    assert workspace.lines("seen") == ["1"]


def test_environment_of_a_task(workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task inherits the caller's environment less `EXP_*` and `SLURM_*`, and gets its own `EXP_*`."""
    for name in ("EXP_SECRET_OF_OUTER", "SLURM_JOB_ID"):
        monkeypatch.setenv(name, "outer")
    monkeypatch.setenv("CALLERS", "kept")
    run = workspace.start({"a": {"inline": "env", "env": {"OWN": "a b\n'c' $d"}}})
    run.wait(timeout=60)
    text = log(run, "a")
    found = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
    assert "OWN=a b\n'c' $d\n" in text
    assert found["CALLERS"] == "kept"
    assert not {"EXP_SECRET_OF_OUTER", "SLURM_JOB_ID", "EXP_SUPERVISOR"} & found.keys()
    assert {name: value for name, value in found.items() if name.startswith(("EXP_", "NEMORUN"))} == {
        "EXP_ID": run.id,
        "EXP_NAME": "tried",
        "EXP_DIR": str(run.directory),
        "EXP_TASK": "a",
        "EXP_TASK_DIR": str(run.files.task("a")),
        "EXP_ATTEMPT": "1",
        "EXP_OUTPUT": str(attempt(run, "a").outputs),
        "NEMORUN_HOME": str(workspace.home.directory),
        "EXP_PREFIX": found["EXP_PREFIX"],
        "EXP_DASH_ROOT": found["EXP_DASH_ROOT"],
    }
    monkeypatch.delenv("EXP_SECRET_OF_OUTER")
    monkeypatch.delenv("SLURM_JOB_ID")


@pytest.mark.parametrize(
    ("inherit", "expected"), [("none", []), (["ONE"], ["ONE=1"]), ("all", ["ONE=1", "TWO=2"])]
)
def test_inherited_is_what_was_asked_for(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, inherit: Any, expected: list[str]
) -> None:
    """`env_inherit` is all, none, or names."""
    monkeypatch.setenv("ONE", "1")
    monkeypatch.setenv("TWO", "2")
    task = {"command": ["/usr/bin/env"]}
    run = workspace.start({"a": task}, env_inherit=inherit)
    run.wait(timeout=60)
    assert sorted(line for line in log(run, "a").splitlines() if line in {"ONE=1", "TWO=2"}) == expected


def test_supervisor_that_is_terminated_leaves_tasks_alone(workspace: ExpWorkspace) -> None:
    """A TERM ends the supervisor and nothing else; it writes that it left, and a resume goes on."""
    run = workspace.start({"a": f"{NOTE}; {until('gate')}", "b": {"inline": NOTE, "dependencies": ["a"]}})
    shim = shim_pid(run, "a")
    holder = run.status().holder
    assert holder is not None
    os.kill(holder.pid, 15)
    eventually(lambda: events(run)[-1]["event"] == "supervisor_ended")
    eventually(lambda: run.status().supervisor == "gone")
    assert is_running(shim)
    run.resume()
    workspace.touch("gate")
    assert run.wait(timeout=60).status is COMPLETED
    assert workspace.lines() == ["a 1", "b 1"]
