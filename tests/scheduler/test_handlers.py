"""Handlers: tasks that run when all others are over, by how those came out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.patience import eventually
from support.schedules import C, Drive, F, K, S, graphs, task
from support.workspace import (
    NOTE,
    events,
    is_running,
    kill_supervisor,
    log,
    shim_pid,
    status,
    statuses,
    until,
)

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.model.handlers import DEFAULT_TIMEOUT, MOST_NAMED, RUN_AFTER
from nemorun_cli.model.spec import Spec
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler.handlers import variables
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.spec import load
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system import crashpoints

if TYPE_CHECKING:
    from support.workspace import Exp, ExpWorkspace

    from nemorun_cli.model.spec import Task

COMPLETED, FAILED = ExperimentStatus.COMPLETED, ExperimentStatus.FAILED
CANCELLED, INTERRUPTED = ExperimentStatus.CANCELLED, ExperimentStatus.INTERRUPTED

ALL: dict[str, Any] = {
    "on_success": {"publish": {"inline": NOTE}},
    "on_failure": {"alarm": {"inline": NOTE}},
    "on_exit": {"clean": {"inline": NOTE}},
}


@pytest.mark.parametrize(
    ("code", "status", "ran"),
    [
        (0, COMPLETED, ["on_success/publish 1", "on_exit/clean 1"]),
        (3, FAILED, ["on_failure/alarm 1", "on_exit/clean 1"]),
    ],
)
def test_outcome_decides_which_handlers_run(
    workspace: ExpWorkspace, code: int, status: ExperimentStatus, ran: list[str]
) -> None:
    """When all tasks are over those for the outcome run, then those of on_exit; the others are SKIPPED."""
    snapshot = workspace.run({"a": f"exit {code}", "b": {"inline": ":", "dependencies": ["a"]}}, **ALL)
    assert snapshot.status is status
    assert workspace.lines() == ran
    skipped = {name for name, state in snapshot.history.tasks.items() if state.reason == Reason.OUTCOME}
    assert skipped == {"on_success/publish", "on_failure/alarm"} - {line.split()[0] for line in ran}


def test_handlers_wait_for_all_tasks_and_on_exit_for_the_other_handlers(workspace: ExpWorkspace) -> None:
    """None starts while a task is not over for good, retries included; on_exit comes last."""
    run = workspace.start(
        {"a": {"inline": f"{NOTE}; exit 1", "retry": {"limit": 1}}, "b": f"{until('go')}; {NOTE}"},
        on_failure={"alarm": {"inline": f"{NOTE}; {until('on')}; {NOTE}"}},
        on_exit={"clean": {"inline": NOTE}},
    )
    eventually(lambda: status(run, "a") == F and len(workspace.lines()) == 2)
    assert {status(run, name) for name in run.status().history.handlers} == {"PENDING"}
    workspace.touch("go")
    eventually(lambda: len(workspace.lines()) == 4)
    assert status(run, "on_exit/clean") == "PENDING"
    workspace.touch("on")
    assert run.wait(timeout=60).status is FAILED
    assert workspace.lines()[2:] == ["b 1", "on_failure/alarm 1", "on_failure/alarm 1", "on_exit/clean 1"]


def test_handler_is_told_the_outcome(workspace: ExpWorkspace) -> None:
    """Status, exit code, what failed and how long it took are in its environment."""
    show = 'echo "$EXP_STATUS $EXP_EXIT_CODE $EXP_FAILED_COUNT [$EXP_FAILED_TASKS] $EXP_DURATION"'
    tasks = {"a": "exit 1", "g": {"group": [{"inline": "exit 2"}, {"inline": ":"}]}}
    run = workspace.start(tasks, on_exit={"show": {"inline": show}})
    run.wait(timeout=60)
    *told, seconds = log(run, "on_exit/show").split()
    assert told == ["FAILED", "1", "2", "[a", "g/0]"]
    assert 0 <= int(seconds) <= 20


def test_failed_tasks_are_named_up_to_a_number() -> None:
    """A variable has to fit into what the kernel passes on, of ten thousand failures a hundred."""
    tasks = tuple(task(f"t{index}", index) for index in range(10_000))
    spec = Spec(name="a", folder="/", tasks=tasks)
    history = ExperimentState.of(spec)
    for state in history.tasks.values():
        state.status = TaskStatus.FAILED
    told = variables(spec, history)
    assert told["EXP_FAILED_COUNT"] == "10000"
    assert len(told["EXP_FAILED_TASKS"].split()) == MOST_NAMED


def test_failure_of_a_handler_is_told_and_changes_no_outcome(exp: Exp) -> None:
    """The status and the exit code are those of the tasks; a handler that failed is shown as such."""
    spec = exp.spec("tasks: {a: {command: 'true'}}\non_exit: {clean: {inline: exit 7}}")
    done = exp("run", spec, code=0)
    assert "COMPLETED" in done.stderr
    assert "on_exit/clean: exit code 7 (a handler: does not change the status)" in done.stderr
    assert exp.task("on_exit/clean")["status"] == "FAILED"
    assert exp.task("on_exit/clean")["handler"] == "on_exit"
    assert exp.status()["outcome"] == "COMPLETED"
    assert "on_exit/clean FAILED; handlers do not change the status" in exp("status").stdout
    assert "exit code 7" in exp("why", "latest", "on_exit/clean").stdout


def test_handler_has_the_keys_of_a_task(workspace: ExpWorkspace) -> None:
    """Retries, env, args, `when` and outputs of tasks work as everywhere."""
    snapshot = workspace.run(
        {"a": 'echo "loss:=0.5" >>"$EXP_OUTPUT"'},
        on_success={
            "again": {"inline": f'{NOTE}; [ "$EXP_ATTEMPT" = 2 ]', "retry": {"limit": 2}},
            "shown": {"inline": 'echo "$1" >>ran', "args": ["${{ tasks.a.outputs.loss }}"]},
            "never": {"inline": NOTE, "when": "${{ tasks.a.outputs.loss > 1 }}"},
        },
    )
    assert snapshot.status is COMPLETED
    assert sorted(workspace.lines()) == ["0.5", "on_success/again 1", "on_success/again 2"]
    assert statuses(snapshot)["on_success/never"] == K


def test_handler_that_wants_what_is_not_there_has_failed(workspace: ExpWorkspace) -> None:
    """Outputs that a failed task did not leave make the handler FAILED, and it says so."""
    snapshot = workspace.run(
        {"a": "exit 1"}, on_failure={"alarm": {"inline": ":", "args": ["${{ tasks.a.outputs.loss }}"]}}
    )
    state = snapshot.history.tasks["on_failure/alarm"]
    assert (state.status, state.reason) == (TaskStatus.FAILED, Reason.TEMPLATE)
    assert snapshot.status is FAILED


def test_limits_of_the_run_stop_no_handler(workspace: ExpWorkspace) -> None:
    """max_failures and the run's timeout end tasks; what handlers do still happens, with its retries."""
    again = {"inline": f'{NOTE}; [ "$EXP_ATTEMPT" = 2 ]', "retry": {"limit": 2}}
    snapshot = workspace.run(
        {"a": "exit 1", "b": "exit 1", "c": "exit 1"},
        run={"max_failures": 1, "max_parallel": 1},
        on_failure={"alarm": again},
    )
    assert snapshot.status is FAILED
    assert workspace.lines() == ["on_failure/alarm 1", "on_failure/alarm 2"]


def test_timeout_of_the_run_ends_tasks_and_not_handlers(workspace: ExpWorkspace) -> None:
    """The run's timeout is for its tasks: a handler may begin after it, and takes its own time."""
    snapshot = workspace.run(
        {"a": until("never")}, run={"timeout": 1}, on_failure={"alarm": {"inline": f"sleep 1.2; {NOTE}"}}
    )
    assert snapshot.status is FAILED
    assert workspace.lines() == ["on_failure/alarm 1"]


def test_handler_has_a_timeout_though_none_is_given(workspace: ExpWorkspace) -> None:
    """At night nobody ends one that hangs: ten minutes, unless it or the defaults say otherwise."""
    given = {"a": {"command": "true"}, "b": {"command": "true", "timeout": "1h"}}
    spec = load.validate(workspace.spec({"t": ":"}, on_exit=given))
    assert [one.timeout for one in spec.tasks] == [None, DEFAULT_TIMEOUT, 3600.0]
    spec = load.validate(workspace.spec({"t": ":"}, on_exit=given, defaults={"timeout": "5m"}))
    assert [one.timeout for one in spec.tasks] == [300.0, 300.0, 3600.0]


# -- cancel ---------------------------------------------------------------------------------------------


def test_handlers_run_after_a_cancel(workspace: ExpWorkspace) -> None:
    """A cancel of the whole ends the tasks and returns; on_exit runs then, and a second cancel ends that."""
    run = workspace.start(
        {"a": until("never")},
        on_failure={"alarm": {"inline": NOTE}},
        on_exit={
            "clean": {"inline": f'echo "$EXP_STATUS" >>ran; {until("never")}', "stop_grace": 0},
            "other": {"inline": NOTE},
        },
    )
    eventually(lambda: status(run, "a") == "RUNNING")
    after = run.cancel()
    assert (after.status, after.history.outcome) == (ExperimentStatus.RUNNING, CANCELLED)
    eventually(lambda: status(run, "on_exit/other") == S and "CANCELLED" in workspace.lines())
    final = run.cancel()
    assert final.status is CANCELLED
    found = statuses(final)
    assert (found["on_failure/alarm"], found["on_exit/clean"], found["on_exit/other"]) == (K, C, S)


def test_cancel_tells_of_the_handlers_that_run_now(exp: Exp) -> None:
    """Only what is gone is counted, and how to end the rest is said."""
    spec = exp.spec(
        f"tasks: {{a: {{inline: '{until('never')}'}}}}\non_exit: {{x: {{inline: '{until('go')}'}}}}"
    )
    experiment_id = exp("run", spec, "-d").stdout.strip()
    eventually(lambda: exp.task("a")["status"] == "RUNNING")
    done = exp("cancel", experiment_id)
    assert "1 task(s) terminated" in done.stderr
    assert "its handlers are running now; run exp cancel again to cancel them too" in done.stderr
    assert "1 handler(s) have not" in exp("status").stdout
    (exp.folder / "go").touch()
    exp("wait", experiment_id, code=5)


def test_cancel_of_handlers_leaves_the_outcome(workspace: ExpWorkspace) -> None:
    """Once the tasks are over how they came out is settled: COMPLETED stays COMPLETED."""
    run = workspace.start({"a": NOTE}, on_exit={"clean": {"inline": until("never")}})
    eventually(lambda: status(run, "on_exit/clean") == "RUNNING")
    assert run.cancel().status is COMPLETED
    assert status(run, "on_exit/clean") == C


def test_handler_is_cancelled_by_name_before_its_time(workspace: ExpWorkspace) -> None:
    """One that is not wanted after all is ended like any task, and the others go on."""
    run = workspace.start(
        {"a": until("go")}, on_success={"x": {"inline": NOTE}}, on_exit={"y": {"inline": NOTE}}
    )
    run.cancel(["on_success"])
    workspace.touch("go")
    assert run.wait(timeout=60).status is COMPLETED
    assert (status(run, "on_success/x"), workspace.lines()) == (C, ["on_exit/y 1"])


def test_cancel_without_a_supervisor_starts_no_handler(workspace: ExpWorkspace) -> None:
    """What nobody supervises is over when its tasks are gone; its handlers are CANCELLED and say why."""
    run = workspace.start({"a": until("never")}, **ALL)
    shim_pid(run, "a")
    kill_supervisor(run)
    assert run.cancel().status is CANCELLED
    state = run.status().history.tasks["on_exit/clean"]
    assert state.status is TaskStatus.CANCELLED
    assert "no supervisor" in (state.message or "")
    assert workspace.lines() == []


# -- resume ---------------------------------------------------------------------------------------------


def test_handler_runs_again_at_the_new_end(workspace: ExpWorkspace) -> None:
    """A resume that runs tasks again leads to another end, which has handlers of its own."""
    run = workspace.start({"a": f"{NOTE}; [ -e mended ]", "b": NOTE}, **ALL)
    assert run.wait(timeout=60).status is FAILED
    workspace.touch("mended")
    assert run.resume()
    assert run.wait(timeout=60).status is COMPLETED
    assert sorted(workspace.lines()) == [
        "a 1",
        "a 2",
        "b 1",
        "on_exit/clean 1",
        "on_exit/clean 2",
        "on_failure/alarm 1",
        "on_success/publish 1",
    ]
    assert not run.resume(), "then all is well"


def test_resume_runs_only_the_handler_that_failed(workspace: ExpWorkspace) -> None:
    """Where no task runs again the end is the same, and what was done for it is kept."""
    run = workspace.start(
        {"a": NOTE},
        on_success={"x": {"inline": NOTE}, "y": {"inline": f"{NOTE}; [ -e mended ]"}},
        on_failure=ALL["on_failure"],
    )
    assert run.wait(timeout=60).status is COMPLETED
    actions = {one.task: one.action for one in run.plan_resume()}
    assert actions == {
        "a": "keep",
        "on_success/x": "keep",
        "on_success/y": "run",
        "on_failure/alarm": "keep",
    }
    workspace.touch("mended")
    assert run.resume()
    assert run.wait(timeout=60).status is COMPLETED
    assert sorted(workspace.lines()) == ["a 1", "on_success/x 1", "on_success/y 1", "on_success/y 2"]


def test_experiment_with_handlers_to_come_is_interrupted(workspace: ExpWorkspace) -> None:
    """Killed while its last task runs, it is not over when that is: a resume runs the handlers, once."""
    run = workspace.start({"a": f"{NOTE}; {until('go')}"}, **ALL)
    shim_pid(run, "a")
    kill_supervisor(run)
    workspace.touch("go")
    assert run.wait(timeout=60).status is INTERRUPTED
    assert run.status().history.outcome is COMPLETED
    run.resume()
    assert run.wait(timeout=60).status is COMPLETED
    assert workspace.lines() == ["a 1", "on_success/publish 1", "on_exit/clean 1"]


def test_running_handler_is_adopted(workspace: ExpWorkspace) -> None:
    """Killed while a handler runs, a resume takes that up where it is."""
    run = workspace.start({"a": NOTE}, on_exit={"clean": {"inline": f"{NOTE}; {until('go')}"}})
    shim_pid(run, "on_exit/clean")
    kill_supervisor(run)
    assert run.resume()
    workspace.touch("go")
    assert run.wait(timeout=60).status is COMPLETED
    assert workspace.lines() == ["a 1", "on_exit/clean 1"]


def test_handler_of_the_last_end_must_be_over_before_another(workspace: ExpWorkspace) -> None:
    """A handler that still runs since an end that will not stand is told, with what to do about it."""
    run = workspace.start({"a": "exit 1"}, on_exit={"clean": {"inline": until("go")}})
    pid = shim_pid(run, "on_exit/clean")
    kill_supervisor(run)
    with pytest.raises(UsageError, match="handlers of the previous outcome are still alive: on_exit/clean"):
        run.resume()
    workspace.touch("go")
    eventually(lambda: not is_running(pid))


MOMENTS = [
    f"{point}:{number}"
    for point in ("ledger.before", "ledger.written", "ledger.synced", "attempt.spawned", "attempt.over")
    for number in (2, 3, 4, 5)
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_write_each_handler_runs_once(
    workspace: ExpWorkspace, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """However the supervisor dies, the outcome stands once it is written, and its handlers run once."""
    monkeypatch.setenv(crashpoints.VARIABLE, moment)
    run = workspace.start({"a": NOTE}, **ALL)
    monkeypatch.delenv(crashpoints.VARIABLE)
    assert run.wait(timeout=60).status in {INTERRUPTED, COMPLETED}
    run.resume()
    final = run.wait(timeout=60)
    assert final.status is COMPLETED, statuses(final)
    assert workspace.lines() == ["a 1", "on_success/publish 1", "on_exit/clean 1"]
    assert final.history.ignored == []
    assert [one["status"] for one in events(run) if one["event"] == "concluded"] == [COMPLETED]


# -- the schedule ---------------------------------------------------------------------------------------


def _with_handlers(tasks: list[Task]) -> list[Task]:
    sections = {"on_success": (), "on_failure": (), "on_exit": ("on_success/x", "on_failure/x")}
    return [
        *tasks,
        *(
            task(
                f"{section}/x",
                len(tasks) + index,
                handler=section,
                dependencies=needs,
                dependency_type="afterany",
            )
            for index, (section, needs) in enumerate(sections.items())
        ),
    ]


@given(graphs(), st.data())
def test_any_graph_ends_with_the_handlers_of_its_outcome(tasks: list[Task], data: st.DataObject) -> None:
    """No handler starts before all tasks are over, and just those of the outcome run, on_exit last."""
    spec = Spec(name="a", folder="/", tasks=tuple(_with_handlers(tasks)))
    schedule = Schedule(spec, ExperimentState.of(spec, strict=True))
    drive = Drive(schedule)
    drive.begin()
    while True:
        if schedule.tasks_are_over and schedule.history.outcome is None:
            schedule.history.outcome = schedule.final_status()
            drive.judge(schedule.concluded())
        for name in drive.start():
            if "/" in name:
                assert all(drive.status(one.id) in {S, F, C, K} for one in tasks)
        if not drive.running:
            break
        name = data.draw(st.sampled_from(sorted(drive.running)))
        drive.end(name, data.draw(st.sampled_from([S, F, C])))
    outcome = schedule.history.outcome
    assert schedule.history.is_settled
    assert outcome is not None
    assert schedule.final_status() is outcome, "what handlers do changes nothing about it"
    ran = [name for name in drive.started if "/" in name]
    assert ran == [f"{section}/x" for section, wanted in RUN_AFTER.items() if outcome in wanted]


# -- the spec -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("on_exit: {x: {command: 'true', dependencies: [a]}}", "on_exit.x.dependencies: unknown key"),
        ("on_exit: {x: {command: 'true', matrix: {a: [1]}}}", "on_exit.x.matrix: unknown key"),
        ("on_exit: {x: {group: [{command: 'true'}]}}", "on_exit.x.group: unknown key"),
        (
            "on_exit: {x: {command: 'true', allow_failure: true}}",
            "on_exit.x.allow_failure: does not apply to handlers",
        ),
        ("on_exit: {x: {command: 'true', executor: moon}}", "no executor is called 'moon'"),
        ("on_exit: {'../x': {command: 'true'}}", "is not a name"),
        ("on_exit: {x: {command: '${{ tasks.b.outputs.k }}'}}", "tasks.b"),
        ("on_exit: {x: {}}", "has nothing to run"),
        ("on_exits: {x: {command: 'true'}}", "did you mean on_exit?"),
    ],
)
def test_problems_of_handlers_are_told_with_their_place(exp: Exp, text: str, wanted: str) -> None:
    """A handler is checked like a task; what is not for it is refused."""
    done = exp("validate", exp.spec(f"tasks: {{a: {{command: 'true'}}}}\n{text}\n"), code=2)
    assert wanted in done.stderr
    assert "spec.yaml:2:" in done.stderr


def test_task_cannot_take_the_ids_of_handlers(workspace: ExpWorkspace) -> None:
    """A group called like the section of handlers that are there would have members of the same ids."""
    group = {"group": [{"name": "x", "inline": ":"}]}
    with pytest.raises(SpecError) as caught:
        load.validate(workspace.spec({"on_exit": group}, on_exit={"x": {"inline": ":"}}))
    assert "cannot be called 'on_exit'" in caught.value.problems[0].message
    assert load.validate(workspace.spec({"on_exit": group})).tasks[0].handler is None


def test_only_leaves_handlers_out_unless_they_are_named(exp: Exp) -> None:
    """`--only` runs the named alone; a section or a handler can be named too."""
    spec = exp.spec("tasks: {a: {command: 'true'}, b: {command: 'true'}}\non_exit: {x: {command: 'true'}}")
    exp("run", spec, "--only", "a")
    assert [one["id"] for one in exp.status()["tasks"]] == ["a"]
    exp("run", spec, "--only", "a", "--only", "on_exit")
    assert [(one["id"], one["status"]) for one in exp.status()["tasks"]] == [("a", S), ("on_exit/x", S)]
    exp("run", spec, "--only", "on_exit/x")
    assert [(one["id"], one["status"]) for one in exp.status()["tasks"]] == [("on_exit/x", S)]


def test_direct_run_has_handlers(exp: Exp) -> None:
    """They run in the foreground too, after a failure as after success."""
    spec = exp.spec("tasks: {a: {command: 'false'}}\non_exit: {x: {inline: echo $EXP_STATUS}}")
    assert "FAILED" in exp("run", spec, "--direct", code=1).stdout


def test_dry_run_and_graph_show_handlers(exp: Exp) -> None:
    """The dry run says when they run, and the graph draws them below everything else."""
    spec = exp.spec("tasks: {a: {command: 'true'}, b: {command: 'true'}}\non_exit: {x: {command: 'true'}}")
    assert "runs:     when all tasks are finished (on_exit)" in exp("run", spec, "--dry-run").stdout
    found = exp("graph", spec, "--json").json
    assert [node["id"] for node in found["nodes"]] == ["a", "b", "on_exit/x"]
    assert [(edge["from"], edge["to"], edge["type"]) for edge in found["edges"]] == [
        ("a", "on_exit/x", "on_exit"),
        ("b", "on_exit/x", "on_exit"),
    ]


def test_handlers_come_back_from_the_resolved_spec(workspace: ExpWorkspace) -> None:
    """What is read back is what was written."""
    spec = load.validate(workspace.spec({"a": ":"}, **ALL))
    assert Spec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
