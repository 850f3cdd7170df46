"""Tasks that wait in Slurm's own queue for those they depend on: with a supervisor, and without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.slurm_experiments import LONG, QUICK, header, is_running, now, scripts, soon
from support.workspace import NOTE, attempt, events, kill_supervisor, statuses, until

if TYPE_CHECKING:
    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace

    from nemorun_cli.experiment.run import Run


def behind(*parents: str, **fields: Any) -> dict[str, Any]:
    """A task that notes that it ran, behind others."""
    return {"inline": NOTE, "dependencies": list(parents), **fields}


def are_queued(run: Run, *names: str) -> bool:
    """Whether these wait in Slurm's queue for their parents."""
    states = run.status(observe=False).history.tasks
    return all(states[name].is_queued_early and states[name].job_id for name in names)


def ends(run: Run) -> list[str]:
    """Which tasks ended in which order, and how."""
    return [
        f"{event['task']} {event.get('status', 'SKIPPED')}"
        for event in events(run)
        if event["event"] in ("ended", "skipped")
    ]


@pytest.mark.usefixtures("slurm")
def test_the_experiment_goes_on_without_its_supervisor(workspace: ExpWorkspace) -> None:
    """What is queued early runs to the end after the supervisor was killed, and a look writes it all down."""
    tasks = {
        "one": f"{until('go')}; {NOTE}",
        "two": behind("one"),
        "three": behind("two", executor="other"),
        "last": behind("three", dependency_type="afterany"),
    }
    run = workspace.start(tasks, **header(other={**QUICK, "cpus_per_task": 2}))
    soon(lambda: are_queued(run, "two", "three", "last"))
    kill_supervisor(run)
    workspace.touch("go")
    snapshot = soon(lambda: (found := run.status()).is_over and found)
    assert set(statuses(snapshot).values()) == {"SUCCEEDED"}
    assert workspace.lines() == ["one 1", "two 1", "three 1", "last 1"]
    assert str(snapshot.status) == "COMPLETED"
    assert [event["event"] for event in events(run)].count("finished") == 1


def test_a_task_that_ends_at_once_lets_its_children_go(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """What is over before Slurm was asked again is left to end there too, so that nothing is given back."""
    tasks = {
        "first": {"inline": NOTE, "matrix": {"n": [1, 2, 3, 4]}},
        "second": behind("first"),
        "third": behind("second", dependency_type="afterany"),
    }
    run = workspace.start(tasks, **header())
    snapshot = run.wait(timeout=LONG)
    assert set(statuses(snapshot).values()) == {"SUCCEEDED"}
    assert workspace.lines()[4:] == ["second 1", "third 1"]
    assert [event for event in events(run) if event["event"] == "returned"] == []
    ids = [str(state.job_id) for state in snapshot.history.tasks.values()]
    soon(lambda: {slurm.state(job_id) for job_id in ids} == {"COMPLETED"})


@pytest.mark.parametrize("is_supervised", [True, False])
def test_children_of_a_failure_are_skipped(
    workspace: ExpWorkspace, slurm: Slurm, *, is_supervised: bool
) -> None:
    """What can no longer run leaves the queue and is SKIPPED; what waits for any end, or a failure, runs."""
    tasks = {
        "one": f"{until('go')}; exit 3",
        "child": behind("one"),
        "grandchild": behind("child"),
        "cleanup": behind("child", dependency_type="afterany"),
        "mend": behind("one", dependency_type="afternotok"),
        "unneeded": behind("mend", dependency_type="afternotok"),
    }
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, *list(tasks)[1:]))
    if not is_supervised:
        kill_supervisor(run)
    workspace.touch("go")
    snapshot = soon(lambda: (found := run.status()).is_over and found)
    assert statuses(snapshot) == {
        "one": "FAILED",
        "child": "SKIPPED",
        "grandchild": "SKIPPED",
        "cleanup": "SUCCEEDED",
        "mend": "SUCCEEDED",
        "unneeded": "SKIPPED",
    }
    assert {line.split()[0] for line in workspace.lines()} == {"cleanup", "mend"}
    assert all(snapshot.history.tasks[name].reason == "dependency" for name in ("child", "grandchild"))
    assert soon(lambda: slurm.jobs(workspace.home.directory) == [])


@pytest.mark.usefixtures("slurm")
def test_arrays_wait_for_arrays(workspace: ExpWorkspace) -> None:
    """Members that each wait for their own twin are one array; what waits for a whole sweep names it once."""
    matrix = {"n": [1, 2, 3]}
    tasks = {
        "first": {"inline": f"{until('go')}; test ${{{{ matrix.n }}}} != 2", "matrix": matrix},
        "second": {"inline": NOTE, "matrix": matrix, "dependencies": [{"task": "first", "same": "matrix"}]},
        "all": behind("second"),
        "any": behind("first", "second", dependency_type="afterany"),
    }
    run = workspace.start(tasks, **header())
    members = [f"second/n={n}" for n in (1, 2, 3)]
    soon(lambda: are_queued(run, *members, "all", "any"))
    texts = [path.read_text(encoding="utf-8") for path in scripts(run)]
    waits = [line for text in texts for line in text.splitlines() if "--dependency=" in line]
    ids = {name: str(state.job_id) for name, state in run.status().history.tasks.items()}
    first, second = (ids[name].partition("_")[0] for name in ("first/n=1", "second/n=1"))
    assert sorted(waits) == [
        f"#SBATCH --dependency=afterany:{first}:{second}",
        f"#SBATCH --dependency=aftercorr:{first}",
        f"#SBATCH --dependency=afterok:{second}",
    ]
    kill_supervisor(run)
    workspace.touch("go")
    snapshot = soon(lambda: (found := run.status()).is_over and found)
    assert statuses(snapshot) == {
        "first/n=1": "SUCCEEDED",
        "first/n=2": "FAILED",
        "first/n=3": "SUCCEEDED",
        "second/n=1": "SUCCEEDED",
        "second/n=2": "SKIPPED",
        "second/n=3": "SUCCEEDED",
        "all": "SKIPPED",
        "any": "SUCCEEDED",
    }
    assert sorted(workspace.lines()) == ["any 1", "second/n=1 1", "second/n=3 1"]


def test_a_queued_child_is_cancelled_alone(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """A cancel takes it out of the queue; its parent goes on, and what waits for it is skipped."""
    tasks = {"one": until("go"), "two": behind("one"), "three": behind("two"), "four": behind("one")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three", "four"))
    assert statuses(run.cancel(["two"]))["two"] == "CANCELLED"
    soon(lambda: is_running(run))
    workspace.touch("go")
    assert statuses(run.wait(timeout=LONG)) == {
        "one": "SUCCEEDED",
        "two": "CANCELLED",
        "three": "SKIPPED",
        "four": "SUCCEEDED",
    }
    soon(lambda: not slurm.jobs(workspace.home.directory))  # a task's record is written before its job ends


def test_a_child_is_skipped_though_its_parent_leaves_no_record(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """Slurm cancels it before the parent's end is known here; its own verdict waits for that end."""
    tasks = {"one": until("go"), "two": behind("one"), "three": behind("two"), "four": behind("one")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three", "four") and is_running(run))
    slurm.ask("scancel", "--full", "--signal=KILL", str(now(run).job_id))
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {"one": "CANCELLED", "two": "SKIPPED", "three": "SKIPPED", "four": "SKIPPED"}
    assert ends(run)[0] == "one CANCELLED"
    assert workspace.lines() == []


def test_scancel_of_a_queued_child_is_its_end(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """It is CANCELLED at once, not when its parent has ended, and does not run again."""
    tasks = {"one": until("go"), "two": behind("one"), "three": behind("two")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three") and is_running(run))
    slurm.ask("scancel", str(now(run, "two").job_id))
    soon(lambda: now(run, "three").status == "SKIPPED")
    assert statuses(run.status()) == {"one": "RUNNING", "two": "CANCELLED", "three": "SKIPPED"}
    workspace.touch("go")
    assert statuses(run.wait(timeout=LONG))["one"] == "SUCCEEDED"
    assert workspace.lines() == []


@pytest.mark.usefixtures("slurm")
def test_what_a_cancelled_parent_leaves_is_skipped(workspace: ExpWorkspace) -> None:
    """A cancelled parent takes along what waits for its success, even if it ended with exit code 0."""
    script = f"trap 'exit 0' TERM; touch up; {until('never')}"
    tasks = {"one": script, "two": behind("one"), "three": behind("one", dependency_type="afterany")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three") and (workspace.folder / "up").exists())
    run.cancel(["one"])
    assert statuses(run.wait(timeout=LONG)) == {"one": "CANCELLED", "two": "SKIPPED", "three": "SUCCEEDED"}
    assert workspace.lines() == ["three 1"]


@pytest.mark.usefixtures("slurm")
def test_a_cancel_of_the_whole_reaches_what_is_queued(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """All that waits in Slurm's queue is gone with the rest, and CANCELLED."""
    run = workspace.start({"one": until("never"), "two": behind("one"), "three": behind("two")}, **header())
    soon(lambda: are_queued(run, "two", "three") and is_running(run))
    kill_supervisor(run)
    assert set(statuses(run.cancel()).values()) == {"CANCELLED"}
    assert slurm.jobs(workspace.home.directory) == []


@pytest.mark.parametrize("ending", ["exit 0", "exit 3"])
@pytest.mark.usefixtures("slurm")
def test_a_parent_that_may_fail_lets_its_child_run(workspace: ExpWorkspace, ending: str) -> None:
    """Behind `allow_failure` a task runs whether its parent succeeded or failed, without a supervisor too."""
    tasks = {"one": {"inline": f"{until('go')}; {ending}", "allow_failure": True}, "two": behind("one")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two"))
    kill_supervisor(run)
    workspace.touch("go")
    assert str(soon(lambda: (found := run.status()).is_over and found).status) == "COMPLETED"
    assert workspace.lines() == ["two 1"]


@pytest.mark.usefixtures("slurm")
def test_what_slurm_cannot_tell_is_decided_by_the_supervisor(workspace: ExpWorkspace) -> None:
    """Exit code 0 with outputs that cannot be used is a failure, and no dependent of it runs."""
    tasks = {
        "bad": f"{until('go')}; echo 'x:={{' >>$EXP_OUTPUT",
        "good": f"{until('go')}; echo 'x:={{\"a\": 1}}' >>$EXP_OUTPUT",
        "plain": f"{until('go')}; echo x=1 >>$EXP_OUTPUT; echo y:=2.5 >>$EXP_OUTPUT",
        "after_bad": behind("bad"),
        "after_good": behind("good"),
        "after_plain": behind("plain"),
    }
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "after_bad", "after_good", "after_plain"))
    workspace.touch("go")
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {
        "bad": "FAILED",
        "good": "SUCCEEDED",
        "plain": "SUCCEEDED",
        "after_bad": "SKIPPED",
        "after_good": "SUCCEEDED",
        "after_plain": "SUCCEEDED",
    }
    assert sorted(workspace.lines()) == ["after_good 1", "after_plain 1"]
    assert len(list(attempt(run, "after_plain").directory.parent.iterdir())) == 1


@pytest.mark.usefixtures("slurm")
def test_what_stood_back_runs_after_a_resume(workspace: ExpWorkspace) -> None:
    """In doubt, and without a supervisor, a task waits; the next supervisor decides, and runs it once."""
    tasks = {
        "one": f"{until('go')}; echo 'x:={{\"a\": 1}}' >>$EXP_OUTPUT",
        "two": behind("one"),
        "three": behind("two", dependency_type="afterany"),
    }
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three"))
    kill_supervisor(run)
    workspace.touch("go")
    soon(lambda: set(statuses(run.status()).values()) == {"SUCCEEDED", "PENDING"})
    assert str(run.status().status) == "INTERRUPTED"
    run.resume()
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    assert workspace.lines() == ["two 1", "three 1"]


@pytest.mark.usefixtures("slurm")
def test_a_timeout_that_ends_well_is_a_failure(workspace: ExpWorkspace) -> None:
    """A parent whose time was over has failed, even with exit code 0, and its child is SKIPPED."""
    tasks = {
        "one": {"inline": f"trap 'exit 0' TERM; {until('never')}", "timeout": "2s"},
        "two": behind("one"),
    }
    snapshot = workspace.start(tasks, **header()).wait(timeout=LONG)
    assert statuses(snapshot) == {"one": "FAILED", "two": "SKIPPED"}
    assert workspace.lines() == []


@pytest.mark.usefixtures("slurm")
def test_what_needs_the_supervisor_waits_for_it(workspace: ExpWorkspace) -> None:
    """Outputs of others, `when`, and parents that are tried again keep a task from being queued early."""
    tasks = {
        "one": f"{until('go')}; echo x=1 >>$EXP_OUTPUT",
        "reads": {"command": ["echo", "${{ tasks.one.outputs.x }}"], "dependencies": ["one"]},
        "decides": behind("one", when="${{ tasks.one.outputs.x == '1' }}"),
        "again": {"inline": until("go"), "retry": {"limit": 1}},
        "late": behind("again", dependency_type="afterany"),
        "early": behind("one"),
    }
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "early"))
    states = run.status().history.tasks
    assert {str(states[name].status) for name in ("reads", "decides", "late")} == {"PENDING"}
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}


@pytest.mark.usefixtures("slurm")
def test_a_resume_takes_up_what_is_queued(workspace: ExpWorkspace) -> None:
    """A new supervisor finds the queue as it is, and submits nothing a second time."""
    tasks = {"one": f"{until('go')}; {NOTE}", "two": behind("one"), "three": behind("two")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two", "three"))
    kill_supervisor(run)
    run.resume()
    soon(lambda: run.status().supervisor == "alive" and are_queued(run, "two", "three"))
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    assert workspace.lines() == ["one 1", "two 1", "three 1"]
    assert len(scripts(run)) == 3


@pytest.mark.usefixtures("slurm")
def test_a_failed_parent_runs_again_with_its_children(workspace: ExpWorkspace) -> None:
    """After a resume the parent is tried again, and what was skipped is queued behind it once more."""
    tasks = {"one": f"{until('go')}; test -e mended", "two": behind("one")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two"))
    workspace.touch("go")
    assert statuses(run.wait(timeout=LONG)) == {"one": "FAILED", "two": "SKIPPED"}
    workspace.touch("mended")
    run.resume()
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED", "two": "SUCCEEDED"}
    assert len(workspace.lines()) == 1


@pytest.mark.usefixtures("slurm")
def test_a_parent_that_is_tried_again_keeps_its_child_waiting(workspace: ExpWorkspace) -> None:
    """The child of a failed attempt is given back by Slurm, and runs after the attempt that succeeds."""
    script = f"{until('go')}; {NOTE}; test $EXP_ATTEMPT = 2"
    tasks = {"one": {"inline": script, "retry": {"limit": 1, "delay": "5s"}}, "two": behind("one")}
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two"))
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    assert workspace.lines() == ["one 1", "one 2", "two 1"]
    assert [event["task"] for event in events(run) if event["event"] == "returned"] == ["two"]


@pytest.mark.usefixtures("slurm")
def test_why_and_dry_run_tell_of_the_queue(workspace: ExpWorkspace) -> None:
    """`exp why` says at which engine a task waits, and for whom; the dry run says so before."""
    tasks = {"one": until("go"), "two": behind("one")}
    spec = workspace.spec(tasks, **header())
    plans = json.loads(workspace.exp("run", spec, "--dry-run", "--json").stdout)["tasks"]
    assert [task["queued_early"] for task in plans] == [None, {"behind": ["one"], "after": []}]
    assert "queued early, with a dependency on one" in workspace.exp("run", spec, "--dry-run").stdout
    run = workspace.start(tasks, **header())
    soon(lambda: are_queued(run, "two") and "Dependency" in (now(run, "two").message or ""))
    said = workspace.exp("why", run.id, "two", code=None).stdout
    assert "it is queued with a dependency on one" in said
    assert str(now(run, "two").job_id) in said
    workspace.touch("go")
    run.wait(timeout=LONG)
