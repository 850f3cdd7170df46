"""What only Slurm does: arrays, waiting in a queue, outages of its controller, and ends that it decides."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.slurm_experiments import LONG, QUICK, WHOLE, header, is_running, now, scripts, soon
from support.workspace import attempt, events, kill_supervisor, log, statuses, until

from nemorun_cli.executors import make
from nemorun_cli.model.status import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from engines.slurm_cluster import Slurm
    from support.workspace import ExpWorkspace


# -- resources ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slurm")
def test_resources_are_asked_for_and_measured(workspace: ExpWorkspace) -> None:
    """Slurm gives a job what its task asks for, and the CPU time that it used is told."""
    script = (
        'echo "$SLURM_CPUS_PER_TASK $SLURM_MEM_PER_NODE"; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'
    )
    task = {"inline": script, "resources": {"cpus": 1.5, "memory": "64M"}}
    run = workspace.start({"one": task}, **header())
    state = run.wait(timeout=LONG).history.tasks["one"]
    assert log(run, "one").split() == ["2", "64"]
    assert state.usage
    assert state.usage["cpu"] > 0.05


@pytest.mark.usefixtures("slurm")
def test_what_no_node_has_is_refused_with_its_place(workspace: ExpWorkspace) -> None:
    """More than any node can give is a problem of the spec, in Slurm's words; offline nobody is asked."""
    spec = workspace.spec({"one": {"inline": "true", "resources": {"cpus": 4096}}}, **header())
    refused = workspace.exp("validate", spec, "--engines", code=2).stderr
    assert "tasks.one.resources: on cluster: Slurm would not accept a job that requests 4096 CPUs" in refused
    workspace.exp("validate", spec)


# -- plugins and handlers -------------------------------------------------------------------------------


@pytest.mark.usefixtures("slurm")
def test_plugins_and_handlers_are_the_same_in_jobs(workspace: ExpWorkspace) -> None:
    """A plugin's words and variables reach the job, options of one task too; handlers are jobs, the last."""
    (workspace.folder / "mine.py").write_text(
        "class Mine:\n"
        "    def change(self, launch):\n"
        "        found = launch.with_env(WORD='two words').with_prefix('env', 'LED=yes')\n"
        "        return found.with_options(cpus_per_task=2) if launch.task == 'own' else found\n"
    )
    tasks = {
        "own": "echo $SLURM_CPUS_PER_TASK",
        "one": {"inline": "echo $WORD $LED; exit 3", "dependencies": ["own"]},
        "two": {"inline": "true", "dependencies": ["one"]},
    }
    handlers = {"alarm": {"inline": 'echo "$EXP_STATUS $EXP_FAILED_TASKS"'}}
    run = workspace.start(tasks, plugins=[{"uses": "mine:Mine"}], on_failure=handlers, **header())
    snapshot = run.wait(timeout=LONG)
    assert statuses(snapshot) == {
        "own": "SUCCEEDED",
        "one": "FAILED",
        "two": "SKIPPED",
        "on_failure/alarm": "SUCCEEDED",
    }
    assert [log(run, name) for name in ("own", "one", "on_failure/alarm")] == [
        "2\n",
        "two words yes\n",
        "FAILED one\n",
    ]


# -- arrays -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slurm")
def test_members_with_equal_requests_are_one_array(workspace: ExpWorkspace) -> None:
    """Twenty members are one call of sbatch, and each runs its own part once."""
    sweep = {
        "command": ["sh", "-c", 'echo "$1" >>ran', "sh", "${{ matrix.n }}"],
        "matrix": {"n": list(range(20))},
    }
    snapshot = workspace.run({"sweep": sweep}, **header())
    assert set(statuses(snapshot).values()) == {"SUCCEEDED"}
    assert sorted(map(int, workspace.lines())) == list(range(20))
    ids = {state.job_id.partition("_")[0] for state in snapshot.history.tasks.values() if state.job_id}
    assert len(ids) == 1
    assert len(list((snapshot.files.directory / "slurm").glob("*/script"))) == 1


@pytest.mark.usefixtures("slurm")
def test_trials_that_can_start_together_are_one_array(workspace: ExpWorkspace) -> None:
    """They get their values one after the other, and are submitted in waves of as many as may run."""
    rule = {"params": {"x": {"type": "int", "low": 0, "high": 99}}, "sampler": "random", "trials": 5}
    train = {
        "inline": 'echo "$EXP_TASK $1" >>ran; echo "n:=$1" >>"$EXP_OUTPUT"',
        "args": ["${{ search.x }}"],
        "search": {**rule, "metric": "outputs.n", "goal": "minimize", "max_parallel": 4, "seed": 1},
    }
    history = workspace.run({"train": train}, **header()).history
    arrays = Counter((state.job_id or "").partition("_")[0] for state in history.tasks.values())
    assert sorted(arrays.values()) == [1, 4]
    suggested = history.studies["train"].suggestions.items()
    lines = [f"train/trial-{number:04d} {suggestion.params['x']}" for number, suggestion in suggested]
    assert sorted(workspace.lines()) == lines


@pytest.mark.usefixtures("slurm")
def test_a_wave_of_trials_goes_on_after_a_cached_one(workspace: ExpWorkspace) -> None:
    """Trials are one array, too, where the run has a limit, and one whose result was kept is among them."""

    def study(*values: int, trials: int) -> dict[str, Any]:
        return {
            "inline": 'echo "n:=$1" >>"$EXP_OUTPUT"',
            "args": ["${{ search.x }}"],
            "cache": True,
            "search": {
                "params": {"x": {"type": "int", "low": 0, "high": 99}},
                "start_with": [{"x": value} for value in values],
                "metric": "outputs.n",
                "goal": "minimize",
                "trials": trials,
                "sampler": "random",
            },
        }

    workspace.run({"train": study(1, trials=1)}, **header())
    history = workspace.run(
        {"train": study(0, 1, 2, 3, 4, 5, trials=6)}, run={"max_parallel": 4}, **header()
    ).history
    assert history.tasks["train/trial-0002"].reason == "cached"
    arrays = Counter((state.job_id or "").partition("_")[0] for state in history.tasks.values())
    assert arrays.pop("") == 1
    assert sorted(arrays.values()) == [1, 4]


@pytest.mark.usefixtures("slurm")
def test_a_trial_requests_what_its_values_decide(workspace: ExpWorkspace) -> None:
    """The request of a trial is that of its suggestion, which its job gets."""
    study = {
        "params": {"n": [1, 2]},
        "metric": "outputs.n",
        "goal": "minimize",
        "trials": 2,
        "sampler": "grid",
    }
    script = 'echo "n:=${{ search.n }}" >> "$EXP_OUTPUT"; echo "$SLURM_CPUS_PER_TASK"'
    task = {"inline": script, "resources": {"cpus": "${{ search.n }}"}, "search": study}
    run = workspace.start({"train": task}, **header())
    history = run.wait(timeout=LONG).history
    for name, state in history.tasks.items():
        assert log(run, name).split() == [str(state.outputs["n"])]


@pytest.mark.usefixtures("slurm")
def test_trials_run_on_the_executor_that_their_values_decide(workspace: ExpWorkspace) -> None:
    """Trials of one search are jobs of several executors, with arrays of their own, and local processes."""
    study = {
        "params": {"where": ["cluster", "two", "local"], "n": [1, 2]},
        "metric": "outputs.n",
        "goal": "minimize",
        "trials": 6,
        "sampler": "grid",
    }
    for n in (1, 2):
        told = f"{n} ${{SLURM_JOB_ID:+job}} ${{SLURM_CPUS_PER_TASK:-none}}"
        text = f'echo "n:={n}" >> "$EXP_OUTPUT"; echo "{told}"'
        (workspace.folder / f"run-{n}.sh").write_text(text)
    task = {"script": "run-${{ search.n }}.sh", "executor": "${{ search.where }}", "search": study}
    run = workspace.start({"train": task}, **header(two={**QUICK, "cpus_per_task": 2}))
    history = run.wait(timeout=LONG).history
    places = {"cluster": ["job", "none"], "two": ["job", "2"], "local": ["none"]}
    arrays: dict[str, set[str]] = {}
    for number, suggestion in history.studies["train"].suggestions.items():
        name, values = f"train/trial-{number:04d}", suggestion.params
        assert log(run, name).split() == [str(values["n"]), *places[values["where"]]]
        arrays.setdefault(values["where"], set()).add((history.tasks[name].job_id or "").partition("_")[0])
    assert arrays["cluster"].isdisjoint(arrays["two"])


@pytest.mark.usefixtures("slurm")
def test_unequal_requests_are_jobs_of_their_own(workspace: ExpWorkspace) -> None:
    """Only what asks for the same shares an array."""
    tasks = {"a": "true", "b": "true", "c": {"inline": "true", "executor": "two"}}
    run = workspace.start(tasks, **header(two={**QUICK, "cpus_per_task": 2}))
    run.wait(timeout=LONG)
    texts = [path.read_text(encoding="utf-8") for path in scripts(run)]
    assert sorted("--array=0-1" in text for text in texts) == [False, True]


def test_an_array_is_split_at_the_limit_of_the_cluster(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """No array is longer than MaxArraySize allows."""
    slurm_alone.run("stop-controller")
    slurm_alone.run("start-controller", SLURM_MAX_ARRAY="4")
    sweep = {"inline": "echo ${{ matrix.n }} >>ran", "matrix": {"n": list(range(10))}}
    run = workspace.start({"sweep": sweep}, **header())
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}
    assert sorted(map(int, workspace.lines())) == list(range(10))
    assert len(scripts(run)) == 3


@pytest.mark.usefixtures("slurm")
def test_max_parallel_limits_an_array(workspace: ExpWorkspace) -> None:
    """The executor's max_parallel is Slurm's own limit of an array, and the reason for waiting."""
    sweep = {"inline": until("go"), "matrix": {"n": [1, 2, 3]}}
    run = workspace.start({"sweep": sweep}, **header(cluster={**QUICK, "max_parallel": 1}))
    waiting = soon(
        lambda: [
            state for state in run.status().history.tasks.values() if "TaskLimit" in (state.message or "")
        ]
    )
    assert len(waiting) == 2
    workspace.touch("go")
    assert set(statuses(run.wait(timeout=LONG)).values()) == {"SUCCEEDED"}


# -- waiting ----------------------------------------------------------------------------------------------


def test_a_task_that_waits_tells_why(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """`exp why` of a task in the queue gives its job, and Slurm's reason."""
    run = workspace.start({"one": "true"}, **header(cluster={**QUICK, "begin": "now+1hour"}))
    soon(lambda: "BeginTime" in (now(run).message or ""))
    (found,) = json.loads(workspace.exp("why", run.id, "one", "--json", code=None).stdout)["tasks"]
    assert "BeginTime" in json.dumps(found["causes"])
    assert (now(run).job_id or "") in json.dumps(found["causes"])
    assert statuses(run.cancel()) == {"one": "CANCELLED"}
    assert slurm.jobs(workspace.home.directory) == []


def test_jobs_of_an_array_are_cancelled_one_by_one(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """What waits is taken back alone: the other members of its array stay."""
    sweep = {"inline": "true", "matrix": {"n": [1, 2, 3]}}
    run = workspace.start({"sweep": sweep}, **header(cluster={**QUICK, "begin": "now+1hour"}))
    soon(lambda: len(slurm.jobs(workspace.home.directory)) == 3)
    run.cancel(["sweep/n=2"])
    assert statuses(run.status())["sweep/n=2"] == "CANCELLED"
    assert len(slurm.jobs(workspace.home.directory)) == 2
    run.cancel()
    assert slurm.jobs(workspace.home.directory) == []


def test_a_drained_node_is_told(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """A task for which there is no node waits, and says so."""
    node = slurm_alone.node
    slurm_alone.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        run = workspace.start({"one": "true"}, **header())
        assert soon(lambda: "DRAINED" in (now(run).message or "") or "NotAvail" in (now(run).message or ""))
    finally:
        slurm_alone.resume(node)
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}


def test_a_refusal_of_sbatch_is_told(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """What Slurm takes no more when a task's turn comes fails as a launch, in Slurm's words."""
    name = f"for{os.getpid()}"
    slurm_alone.ask("scontrol", "create", f"PartitionName={name}", "Nodes=ALL", "State=UP")
    tasks = {
        "first": until("go"),
        "second": {"inline": "true", "dependencies": ["first"], "executor": "away", "when": True},
    }
    try:
        run = workspace.start(tasks, **header(away={**QUICK, "partition": name}))
        soon(lambda: is_running(run, "first"))
    finally:
        slurm_alone.ask("scontrol", "delete", f"PartitionName={name}")
    workspace.touch("go")
    state = run.wait(timeout=LONG).history.tasks["second"]
    assert (state.status, state.reason) == ("FAILED", Reason.LAUNCH)
    assert "partition" in (state.message or "")


# -- ends that Slurm decides ------------------------------------------------------------------------------


def test_scancel_from_outside_is_a_cancel(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """A job that somebody cancelled in Slurm, while it ran or waited, is CANCELLED, and says by whom not."""
    late = {**QUICK, "begin": "now+1hour"}
    tasks = {
        "one": until("never"),
        "two": {"inline": "true", "executor": "late"},
        "three": f"trap '' TERM; {until('never')}",
    }
    run = workspace.start(tasks, **header(late=late))
    soon(lambda: is_running(run) and is_running(run, "three") and now(run, "two").job_id)
    for task in tasks:
        slurm.ask("scancel", str(now(run, task).job_id))
    snapshot = run.wait(timeout=LONG)
    assert set(statuses(snapshot).values()) == {"CANCELLED"}
    assert all("not by exp" in (state.message or "") for state in snapshot.history.tasks.values())


def test_preemption_is_told_and_retried(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """A job that has to make room is PREEMPTED; with `retry.on: [preempted]` it is tried again."""
    script = f"echo $EXP_ATTEMPT >>ran; test $EXP_ATTEMPT = 2 || {until('never')}"
    task = {"inline": script, "retry": {"limit": 1, "on": ["preempted"]}}
    run = workspace.start({"one": task}, **header(cluster={**WHOLE, "partition": "main"}))
    soon(lambda: workspace.lines() == ["1"] and is_running(run))
    slurm_alone.submit("true", "--partition=urgent", "--cpus-per-task=8")
    assert statuses(run.wait(timeout=LONG)) == {"one": "SUCCEEDED"}
    assert workspace.lines() == ["1", "2"]
    assert [event.get("reason") for event in events(run) if event["event"] == "ended"] == ["preempted", None]


def test_a_failed_node_is_told(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """A job whose node goes down ends as node_fail."""
    node = slurm_alone.node
    run = workspace.start({"one": until("never")}, **header())
    soon(lambda: is_running(run))
    slurm_alone.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    try:
        state = run.wait(timeout=LONG).history.tasks["one"]
    finally:
        slurm_alone.resume(node)
    assert (state.status, state.reason) == ("FAILED", Reason.NODE_FAIL)


def test_the_notice_of_the_end_reaches_the_task(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """Slurm's notice becomes the signal that the spec chose; an end that follows it is a timeout.

    Options of the shell that setup_lines set do not end the job script at the notice.
    """
    script = f"trap 'sleep 0.5; echo told; exit 5' USR1; touch up; {until('never')}"
    options = {"time": "1:00:00", "signal": "USR1@60", "setup_lines": "set -euo pipefail"}
    run = workspace.start({"one": script}, **header(cluster={**QUICK, **options}))
    soon((workspace.folder / "up").exists)
    soon(lambda: is_running(run))
    slurm.ask("scancel", "--batch", "--signal=XCPU", str(now(run).job_id))  # as Slurm does near the limit
    state = run.wait(timeout=LONG).history.tasks["one"]
    assert (state.exit_code, state.reason) == (5, Reason.TIMEOUT)
    assert log(run, "one").endswith("told\n")


def test_an_id_that_is_anothers_is_not_believed(workspace: ExpWorkspace, slurm: Slurm) -> None:
    """After Slurm has lost its memory an id may be somebody else's: its name tells."""
    run = workspace.start({"one": until("never")}, **header())
    soon(lambda: is_running(run))
    job_id = str(now(run).job_id)
    kill_supervisor(run)
    slurm.ask("scancel", job_id)
    other = slurm.submit("sleep 300")
    try:
        soon(lambda: slurm.state(job_id) == "CANCELLED")
        attempt(run, "one").exit.unlink(missing_ok=True)
        (scripts(run)[0].parent / "job").write_text(other)
        old = 1_000_000_000
        for path in (attempt(run, "one").claim, attempt(run, "one").log):
            os.utime(path, (old, old))
        record = scripts(run)[0].parent / "members.json"
        record.write_text(json.dumps({**json.loads(record.read_text()), "made": old}))
        state = now(run)
        assert (state.status, state.reason) == ("FAILED", Reason.LOST)
        assert slurm.state(other) in ("PENDING", "RUNNING")
    finally:
        slurm.ask("scancel", other)


# -- outages ----------------------------------------------------------------------------------------------


def test_an_outage_of_slurm_ends_nothing(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """While Slurm does not answer tasks are UNKNOWN; what ends is seen all the same; then comes the truth."""
    note = 'echo "$EXP_TASK $EXP_ATTEMPT" >>ran'
    tasks = {
        "short": f"{until('go')}; {note}",
        "long": f"{until('on')}; {note}",
        "late": {"inline": note, "executor": "late"},
        "child": {"inline": note, "dependencies": ["short"]},
    }
    run = workspace.start(tasks, **header(late={**QUICK, "begin": "now+1hour"}))
    soon(lambda: is_running(run, "short") and is_running(run, "long") and now(run, "late").job_id)
    slurm_alone.run("stop-controller")
    soon(lambda: now(run, "long").status == now(run, "late").status == "UNKNOWN")
    assert "Slurm does not answer" in (now(run, "long").message or "")
    workspace.touch("go")
    soon(lambda: now(run, "short").status == "SUCCEEDED")
    soon(lambda: now(run, "child").status == "UNKNOWN")
    slurm_alone.run("start-controller")
    soon(lambda: is_running(run, "long") and now(run, "late").status == "SUBMITTED")
    workspace.touch("on")
    soon(lambda: now(run, "child").status == now(run, "long").status == "SUCCEEDED")
    run.cancel(["late"])
    assert statuses(run.wait(timeout=LONG)) == {
        "short": "SUCCEEDED",
        "long": "SUCCEEDED",
        "late": "CANCELLED",
        "child": "SUCCEEDED",
    }
    assert sorted(workspace.lines()) == ["child 1", "long 1", "short 1"]


def test_a_look_during_an_outage_says_so(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """Without a supervisor and without Slurm a status is UNKNOWN, and afterwards it is the truth."""
    run = workspace.start({"one": until("go")}, **header())
    soon(lambda: is_running(run))
    kill_supervisor(run)
    slurm_alone.run("stop-controller")
    assert now(run).status == "UNKNOWN"
    slurm_alone.run("start-controller")
    soon(lambda: is_running(run))
    workspace.touch("go")
    soon(lambda: now(run).status == "SUCCEEDED")


def test_a_controller_that_has_just_begun_takes_jobs(workspace: ExpWorkspace, slurm_alone: Slurm) -> None:
    """Until its nodes have reported to a new controller jobs wait; that is no fault of the request."""
    slurm_alone.run("stop-controller")
    slurm_alone.run("start-controller-alone")
    assert doctor({}) == []
    assert statuses(workspace.run({"one": "true"}, **header())) == {"one": "SUCCEEDED"}


# -- environment ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("slurm")
def test_a_task_gets_a_login_environment(workspace: ExpWorkspace, tmp_path: Path) -> None:
    """Login files and setup_lines make the environment; that of the command does not get there."""
    home = tmp_path / "login home"
    home.mkdir()
    login = "export FROM_LOGIN=yes PYTHONUNBUFFERED=0; echo noise; echo noise >&2\n"
    (home / ".bash_profile").write_text(login)
    setup = ['export FROM_SETUP="$GIVEN it\'s"', "false", "echo ready"]  # what fails does not end it
    executor = {"type": "slurm", "setup_lines": setup}
    env = {"HOME": str(home), "NOT_FOR_TASKS": "1"}
    spec = workspace.spec(
        {"one": 'echo "$FROM_LOGIN $FROM_SETUP ${NOT_FOR_TASKS-none} $GIVEN $PYTHONUNBUFFERED"'},
        env={"GIVEN": "by the spec"},
        **header(cluster=executor),
    )
    workspace.exp("run", spec, env=env)
    found = workspace.exp("logs", "latest", "one").stdout
    assert found == "ready\nyes by the spec it's none by the spec 0\n"
    printed = workspace.exp.directory() / "tasks" / "one" / "attempt-1" / "backend-output"
    assert printed.read_text() == "noise\nnoise\n"


@pytest.mark.usefixtures("slurm")
def test_setup_lines_that_fail_are_a_launch(workspace: ExpWorkspace) -> None:
    """If setup_lines end the job script, or its environment is too big, the task never began."""
    executors = {
        "cluster": {**QUICK, "setup_lines": "echo no modules here\nexit 3"},
        "strict": {**QUICK, "setup_lines": "set -e\necho no modules here\nfalse\necho wrong"},
    }
    run = workspace.start(
        {"one": "true", "two": {"inline": "true", "executor": "strict"}}, **header(**executors)
    )
    states = run.wait(timeout=LONG).history.tasks
    assert {(state.status, state.reason) for state in states.values()} == {("FAILED", Reason.LAUNCH)}
    assert all("setup_lines" in (state.message or "") for state in states.values())
    assert {log(run, name) for name in states} == {"no modules here\n"}
    big = {"inline": "true", "env": {f"V{n}": "x" * 30_000 for n in range(100)}}
    state = workspace.run({"one": big}, **header()).history.tasks["one"]
    assert (state.status, state.reason) == ("FAILED", Reason.LAUNCH)
    assert "its environment is too big: " in (state.message or "")


@pytest.mark.usefixtures("slurm")
def test_srun_runs_a_task_once_for_each_of_slurms(workspace: ExpWorkspace) -> None:
    """`ntasks` runs the command under srun, and its exit code is the worst one."""
    task = "echo $SLURM_PROCID of $SLURM_NTASKS >>ran; exit $((SLURM_PROCID * 3))"
    state = workspace.run({"one": task}, **header(cluster={**QUICK, "ntasks": 2})).history.tasks["one"]
    assert sorted(workspace.lines()) == ["0 of 2", "1 of 2"]
    assert state.exit_code == 3


@pytest.mark.usefixtures("slurm")
def test_a_secret_is_gone_when_its_job_was_never_run(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that a job would have read is deleted when the job is taken back."""
    with monkeypatch.context() as patch:
        patch.setenv("A_SECRET", "very hush hush")
        task = {"inline": "true", "secrets": {"TOKEN": {"env": "A_SECRET"}}}
        run = workspace.start({"one": task}, **header(cluster={**QUICK, "begin": "now+1hour"}))
    soon(lambda: now(run).job_id)
    holding = [path for path in run.directory.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]
    assert [path.stat().st_mode & 0o777 for path in holding] == [0o600]
    run.cancel()
    assert not holding[0].exists()


@pytest.mark.usefixtures("slurm")
def test_a_secret_that_is_inherited_by_name_is_in_no_script(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable with a secret of another task reaches the task as its own secrets do, in a private file."""
    with monkeypatch.context() as patch:
        patch.setenv("A_SECRET", "very hush hush")
        patch.setenv("PLAIN", "no secret")
        tasks = {
            "one": {"inline": 'echo "$A_SECRET, $PLAIN" >>"$SEEN"', "env_inherit": ["A_SECRET", "PLAIN"]},
            "two": {"inline": "true", "secrets": {"TOKEN": {"env": "A_SECRET"}}},
        }
        env = {"SEEN": str(workspace.folder / "seen")}
        run = workspace.start(tasks, env=env, **header(cluster={"type": "slurm"}))
        assert run.wait(timeout=120).status == "COMPLETED"
    assert workspace.lines("seen") == ["very hush hush, no secret"]
    assert json.loads(attempt(run, "one").plan.read_text())["secrets"] == ["A_SECRET"]
    assert not [path for path in run.directory.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


# -- doctor -----------------------------------------------------------------------------------------------


def doctor(options: dict[str, Any]) -> list[dict[str, Any]]:
    """What `exp doctor` finds ill with an executor of these options."""
    executor = make("cluster", {"type": "slurm", **options}, {})
    try:
        return [{"message": one.message, "remedy": one.remedy} for one in executor.check() if not one.is_ok]
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("options", "said", "remedy"),
    [
        ({}, None, None),
        ({"partition": "nowhere"}, "no partition 'nowhere'", "main"),
        ({"cpus_per_task": 4096}, "would not accept", "options"),
    ],
)
@pytest.mark.usefixtures("slurm")
def test_the_check_finds_what_is_wrong(options: dict[str, Any], said: str | None, remedy: str | None) -> None:
    """What keeps Slurm from running a request is told with what to do about it."""
    ill = doctor(options)
    if said is None:
        assert ill == []
    else:
        (found,) = ill
        assert said in found["message"]
        assert str(remedy) in found["remedy"]


def test_what_only_has_to_wait_is_well(slurm_alone: Slurm) -> None:
    """A partition that is down, or a drained node, keeps nobody from queueing; it is said all the same."""
    assert doctor({"partition": "closed"}) == []
    node = slurm_alone.node
    slurm_alone.ask("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        assert doctor({}) == []
    finally:
        slurm_alone.resume(node)


def test_the_check_finds_a_controller_that_is_down(slurm_alone: Slurm) -> None:
    """A Slurm that does not answer is told as that."""
    slurm_alone.run("stop-controller")
    (found,) = doctor({})
    assert "controller" in found["message"]
    assert "slurmctld" in found["remedy"]


def test_the_check_finds_a_munge_that_is_down(slurm_alone: Slurm) -> None:
    """Without munge nobody may ask Slurm anything, and that is what is told."""
    slurm_alone.run("stop-munge")
    try:
        (found,) = doctor({})
    finally:
        slurm_alone.run("start-munge")
    assert "munge" in found["message"]
    assert "start munged" in found["remedy"]
