"""Which trial of a search is next, when none is, and which ends of trials are results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.extent import amount
from support.schedules import C, Drive, F, K, S, schedule, task

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import (
    ParamKind,
    SearchParam,
    SearchRule,
    id_of_trial,
    tasks_of_trials,
    trial_id,
    trial_number,
)
from nemorun_cli.model.spec import Group, Task, with_forms
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.scheduler import resume_plan, trials
from nemorun_cli.storage import events
from nemorun_cli.storage.state import TaskState


def rule(count: int) -> SearchRule:
    """A search of so many trials."""
    params = (SearchParam(name="x", kind=ParamKind.FLOAT, low=0, high=1),)
    return SearchRule(params=params, metrics=("loss",), goals=(Goal.MINIMIZE,), trials=count)


def searching(count: int, *others: Task, slots: int = 8, needs: tuple[str, ...] = (), **keys: Any) -> Drive:
    """A schedule with the search `t`, and other tasks, at its start."""
    names = [trial_id("t", number) for number in range(1, count + 1)]
    members = [task(name, index, group="t", dependencies=needs) for index, name in enumerate(names)]
    group = Group(id="t", members=tuple(names), search=rule(count), **keys)
    drive = Drive(schedule(*members, *others, groups=(group,)), slots)
    drive.begin()
    return drive


def wanted(drive: Drive) -> str | None:
    """The trial that takes capacity, and has no suggestion; others that are taken start."""
    taken = drive.schedule.take_ready(0.0, drive.slots, needs_slot={"local": True}, most=drive.slots)
    named = [name for name in taken if drive.schedule.trials.needs_suggestion(drive.schedule.tasks[name])]
    for name in set(taken).difference(named):
        drive.note(events.SUBMITTED, name)
        drive.running.add(name)
    assert len(named) <= 1, "one at a time"
    return named[0] if named else None


def suggest(drive: Drive, name: str) -> None:
    """Let a suggestion come."""
    drive.note(events.SUGGESTED, name, number=trial_number(name), params={"x": 0.5})
    drive.schedule.add_ready(name)


def run_to(drive: Drive, *ends: TaskStatus) -> None:
    """Run one trial after the other, which end so."""
    for end in ends:
        name = wanted(drive)
        assert name is not None
        suggest(drive, name)
        assert wanted(drive) != name
        drive.end(name, end)


def test_the_number_of_a_trial_is_in_its_id() -> None:
    """Other tasks have none, whatever they are called."""
    assert [trial_number(name) for name in (trial_id("t", 7), "t/trial-12345", "t/a=1", "t/x-²")] == [
        7,
        12345,
        0,
        0,
    ]


def test_one_trial_at_a_time_waits_for_a_suggestion() -> None:
    """The first that could start does; the next once the suggestion is there, while there is capacity."""
    drive = searching(3, max_parallel=2)
    assert wanted(drive) == "t/trial-0001"
    assert wanted(drive) is None, "it waits already"
    suggest(drive, "t/trial-0001")
    assert wanted(drive) == "t/trial-0002"
    assert drive.running == {"t/trial-0001"}
    suggest(drive, "t/trial-0002")
    assert wanted(drive) is None, "two are running"
    drive.end("t/trial-0001", S)
    assert wanted(drive) == "t/trial-0003"


def test_a_trial_whose_result_may_be_kept_comes_before_the_next_suggestion() -> None:
    """The next suggestion uses its result: no other trial is offered while that is looked for."""
    drive = searching(2, max_parallel=1)
    drive.schedule.reuse(drive.schedule.tasks)
    for name in drive.schedule.tasks:
        drive.schedule.look_first(name)
    assert wanted(drive) == "t/trial-0001"
    suggest(drive, "t/trial-0001")
    assert wanted(drive) is None
    assert drive.schedule.take_to_look() == ["t/trial-0001"]
    drive.note(events.SUBMITTED, "t/trial-0001")
    drive.note(events.ENDED, "t/trial-0001", status=S, reason="cached")
    assert wanted(drive) == "t/trial-0002"
    suggest(drive, "t/trial-0002")
    drive.schedule.pass_look("t/trial-0002")
    assert wanted(drive) is None
    assert drive.running == {"t/trial-0002"}


def test_other_tasks_start_while_a_trial_waits() -> None:
    """A search that waits for a suggestion takes no capacity from others."""
    drive = searching(2, task("other", 5), slots=1)
    assert wanted(drive) == "t/trial-0001"
    assert wanted(drive) is None
    assert drive.running == {"other"}


def test_a_trial_that_is_cancelled_while_it_waits_is_passed_over() -> None:
    """Its place goes to the next one."""
    drive = searching(2)
    assert wanted(drive) == "t/trial-0001"
    drive.schedule.trials.ask(drive.schedule.tasks["t/trial-0001"])
    drive.note(events.ENDED, "t/trial-0001", status=C, reason="cancelled")
    assert drive.schedule.trials.take_wanted("t") is None
    assert wanted(drive) == "t/trial-0002"


def test_trials_wait_for_what_their_task_depends_on() -> None:
    """No suggestion is wanted before that; then an adopted one starts with the suggestion that it has."""
    drive = searching(2, task("first", 9), needs=("first",))
    assert wanted(drive) is None
    drive.end("first", S)
    assert wanted(drive) == "t/trial-0001"
    suggest(drive, "t/trial-0001")
    again = Drive(type(drive.schedule)(drive.schedule.spec, drive.schedule.history), 8)
    again.begin()
    assert wanted(again) == "t/trial-0002"
    assert again.running == {"t/trial-0001"}


@pytest.mark.parametrize(("fails", "status"), [(1, ExperimentStatus.COMPLETED), (2, ExperimentStatus.FAILED)])
def test_fewer_failed_trials_than_max_failures_are_no_failure(fails: int, status: ExperimentStatus) -> None:
    """With them the experiment and what depends on the search continue; with as many, nothing does."""
    after = task("after", 9, dependencies=tuple(trial_id("t", number) for number in (1, 2, 3)))
    drive = searching(3, after, max_failures=2, max_parallel=1)
    run_to(drive, *[F] * fails)
    exhausted = drive.schedule.take_exhausted_groups()
    assert len(exhausted) == fails - 1
    run_to(drive, *[S] * (3 - fails))
    if fails == 1:
        assert drive.start() == ["after"]
        drive.end("after", S)
    else:
        assert drive.status("after") is K
    assert drive.schedule.final_status() is status
    assert drive.schedule.failures == (2 if fails == 2 else 0)


@given(st.sampled_from([S, F, C, K]), st.sampled_from(["exit", "lost", "launch", "pruned", "until", "when"]))
def test_an_interrupted_trial_has_no_result(status: TaskStatus, reason: str) -> None:
    """What the machine, a person or a limit ended has no meaning for later suggestions."""
    has_result = trials.has_result(TaskState(status=status, reason=reason))
    interrupted = status is C or (status is not S and reason in {"lost", "launch", "until"})
    assert has_result is not interrupted


def test_a_resume_keeps_the_results_of_trials() -> None:
    """Failed trials and those that were not needed are kept, unless they are named; interrupted ones run."""
    drive = searching(4, max_parallel=1)
    run_to(drive, S, F, C)
    drive.note(events.TRIAL_ENDED, "t/trial-0002", number=2, outcome="failed")
    drive.note(events.SKIPPED, "t/trial-0004", reason="until", message="not needed")
    decided = resume_plan.decide(drive.schedule)
    assert [each.action for each in decided] == ["keep", "keep", "run", "keep"]
    assert decided[1].reason == "it is FAILED, and that is its result; --from t/trial-0002 runs it again"
    named = resume_plan.decide(drive.schedule, below=["t/trial-0002", "t/trial-0004"])
    assert [each.action for each in named] == ["keep", "run", "run", "run"]


TASKS = ("a", "b", "c")  # of a trial: c waits for a


def grouped(count: int, *, slots: int = 8, **keys: Any) -> Drive:
    """A schedule with the search `t` of a group, at its start."""
    named = [(trial_id("t", number), name) for number in range(1, count + 1) for name in TASKS]
    members = [
        task(f"{trial}/{name}", index, group="t", dependencies=(f"{trial}/a",) if name == "c" else ())
        for index, (trial, name) in enumerate(named)
    ]
    group = Group(id="t", members=tuple(each.id for each in members), search=rule(count), **keys)
    drive = Drive(schedule(*members, groups=(group,)), slots)
    drive.begin()
    return drive


def release(drive: Drive, name: str) -> None:
    """Let the tasks of a trial start that waited for its suggestion."""
    for each in drive.schedule.take_suggestion(name):
        drive.schedule.add_ready(each)


def suggest_next(drive: Drive) -> str:
    """Let the suggestion come that is wanted now; returns its trial."""
    name = wanted(drive)
    assert name is not None
    drive.note(events.SUGGESTED, name, number=trial_number(name), params={"x": 0.5})
    release(drive, name)
    return id_of_trial(name)


def test_the_tasks_of_a_trial_share_a_suggestion_and_a_place() -> None:
    """One suggestion starts all that can; max_parallel counts trials, which keep their place to their end."""
    drive = grouped(3, max_parallel=1)
    first = suggest_next(drive)
    assert wanted(drive) is None
    assert drive.running == {f"{first}/a", f"{first}/b"}
    drive.end(f"{first}/a", S)
    drive.end(f"{first}/b", S)
    assert drive.schedule.readiness(f"{first}/c") is not None
    assert wanted(drive) is None, "its last task goes before the next trial"
    assert drive.running == {f"{first}/c"}
    drive.end(f"{first}/c", S)
    assert suggest_next(drive) == "t/trial-0002"


def test_a_trial_that_waits_for_its_retry_keeps_its_place() -> None:
    """A search that runs one trial at a time does not begin another one between the tasks of a trial."""
    drive = grouped(2, max_parallel=1)
    first = suggest_next(drive)
    wanted(drive)
    drive.end(f"{first}/b", S)
    assert wanted(drive) is None
    drive.end(f"{first}/a", F)
    assert drive.status(f"{first}/c") is K
    assert suggest_next(drive) == "t/trial-0002"


def test_a_failed_task_stops_its_trial_however_many_may_fail() -> None:
    """A search that tolerates failed trials does not run what depends on a failed task of one."""
    drive = grouped(2, max_failures=2)
    trial = suggest_next(drive)
    wanted(drive)
    drive.end(f"{trial}/a", F)
    assert drive.status(f"{trial}/c") is K
    assert drive.schedule.is_ok(f"{trial}/a"), "for what depends on the search"
    drive.end(f"{trial}/b", F)
    assert drive.schedule.take_exhausted_groups() == [], "one trial has failed"


@settings(max_examples=amount(15, long=200))
@given(st.data())
def test_no_more_trials_run_than_their_limit(data: st.DataObject) -> None:
    """Whatever ends first, at most max_parallel trials have begun and not ended, and all of them run."""
    limit, slots = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    drive = grouped(5, slots=slots, max_parallel=limit)
    names = list(drive.schedule.tasks)
    for _ in range(200):
        drive.slots = slots - len(drive.running)
        name = wanted(drive)
        if name is not None:
            drive.note(events.SUGGESTED, name, number=trial_number(name), params={"x": 0.5})
            release(drive, name)
            continue
        states = drive.schedule.history.tasks
        open_trials = {
            trial
            for trial, tasks in tasks_of_trials(names).items()
            if any(states[each].submitted for each in tasks)
            and not all(states[each].is_over for each in tasks)
        }
        assert len(open_trials) <= limit
        if not drive.running:
            break
        drive.end(data.draw(st.sampled_from(sorted(drive.running))), data.draw(st.sampled_from([S, S, F])))
    assert all(drive.schedule.history.tasks[name].is_over for name in names)


@pytest.mark.parametrize(
    ("ends", "has_result", "decides"),
    [
        ([(S, None), (S, None), (S, None)], True, 0),
        ([(S, None), (F, "exit"), (K, "dependency")], True, 1),
        ([(F, "lost"), (S, None), (K, "dependency")], False, 0),
        ([(F, "exit"), (C, "cancelled"), (K, "dependency")], True, 0),
        ([(S, None), (C, "cancelled"), (S, None)], False, 1),
        ([(S, "pruned"), (C, "cancelled"), (K, "pruned")], True, 1),
        ([(K, "when"), (S, None), (K, "dependency")], True, 1),
        ([(K, "when"), (K, "when"), (K, "dependency")], True, 0),
        ([(S, None), (TaskStatus.RUNNING, None), (S, None)], False, 1),
    ],
)
def test_the_ends_of_its_tasks_are_that_of_a_trial(
    ends: list[tuple[TaskStatus, str | None]], *, has_result: bool, decides: int
) -> None:
    """One that failed by itself or was pruned decides; one that was interrupted leaves it open."""
    states = [TaskState(status=status, reason=reason) for status, reason in ends]
    assert trials.has_result(*states) is has_result
    assert trials.deciding(states) == decides


def test_a_resume_continues_a_trial_with_what_is_left() -> None:
    """Of an interrupted trial only the tasks run that have not succeeded; one with a result is kept whole."""
    drive = grouped(3, max_parallel=1)
    for number, ends in ((1, {"a": S, "b": S, "c": C}), (2, {"a": F, "b": S})):
        trial = suggest_next(drive)
        assert trial_number(trial) == number
        for name, end in ends.items():
            wanted(drive)
            drive.end(f"{trial}/{name}", end)
    drive.note(events.TRIAL_ENDED, "t/trial-0002/a", number=2, outcome="failed")
    decided = {each.task: each for each in resume_plan.decide(drive.schedule)}
    assert [decided[f"t/trial-0001/{name}"].action for name in TASKS] == ["keep", "keep", "run"]
    assert [decided[f"t/trial-0002/{name}"].action for name in TASKS] == ["keep", "keep", "keep"]
    assert decided["t/trial-0002/c"].reason == (
        "it is SKIPPED, and its trial has a result; --from t/trial-0002/c runs it again"
    )


def test_a_pruned_trial_runs_again_as_a_whole() -> None:
    """Whichever of its tasks is named: another one that was pruned would prune it again."""
    drive = grouped(1)
    trial = suggest_next(drive)
    wanted(drive)
    drive.note(events.STOP_REQUESTED, f"{trial}/a", reason="pruned", pruned_at=3, pruned_value=9)
    drive.note(events.SKIPPED, f"{trial}/c", reason="pruned", pruned_at=3, pruned_value=9)
    drive.note(events.ENDED, f"{trial}/a", status=S, reason="pruned")
    drive.end(f"{trial}/b", S)
    assert drive.schedule.is_ok(f"{trial}/c")
    assert drive.schedule.history.studies["t"].prunes[1].at == 3
    named = {each.task: each for each in resume_plan.decide(drive.schedule, below=[f"{trial}/c"])}
    assert [named[f"{trial}/{name}"].action for name in TASKS] == ["run", "keep", "run"]


def with_choices(key: str, *values: Any, needs: tuple[str, ...] = ()) -> Drive:
    """A schedule with a search whose trials differ in a field, by the choices of a param, and `first`."""
    drive = searching(len(values), task("first", len(values)), needs=needs)
    forms = [({"x": number}, replace(task("t/x", 0), **{key: value})) for number, value in enumerate(values)]
    variants = with_forms(forms).variants
    members = [
        replace(each, variants=variants, searched={f"/{key}": "${{ search.x }}"} if each.group else {})
        for each in drive.schedule.spec.tasks
    ]
    drive = Drive(schedule(*members, groups=drive.schedule.spec.groups), drive.slots)
    drive.schedule.reuse([each.id for each in members if each.group])
    return drive


def take(drive: Drive, number: int, value: int) -> Task:
    """Give a trial the suggestion of a choice."""
    name = trial_id("t", number)
    drive.note(events.SUGGESTED, name, number=number, params={"x": value})
    drive.schedule.take_suggestion(name)
    return drive.schedule.tasks[name]


def test_a_trial_without_cache_by_its_values_is_not_reused() -> None:
    """Its result is neither looked for nor kept; one with `cache` waits for the look."""
    drive = with_choices("cache", CacheRule(), None)
    assert all(each.may_be_cached for each in drive.schedule.spec.tasks if each.group)
    assert [take(drive, number + 1, number).cache for number in (0, 1)] == [CacheRule(), None]
    assert [drive.schedule.is_reusable(trial_id("t", number)) for number in (1, 2)] == [True, False]


@pytest.mark.parametrize(("end", "allowed"), [(S, [True, True, False]), (F, [False, True, True])])
def test_the_values_of_a_trial_decide_whether_it_may_run(end: TaskStatus, allowed: list[bool]) -> None:
    """Trials get values as soon as some let them run; then those count that they have."""
    drive = with_choices("dependency_type", "afterok", "afterany", "afternotok", needs=("first",))
    assert drive.schedule.readiness(trial_id("t", 1)) is None
    drive.begin()
    drive.start()
    drive.end("first", end)
    found = []
    for number in (1, 2, 3):
        readiness = drive.schedule.readiness(trial_id("t", number))
        assert readiness is not None
        assert readiness.may_run
        take(drive, number, number - 1)
        readiness = drive.schedule.readiness(trial_id("t", number))
        found.append(readiness is not None and readiness.may_run)
    assert found == allowed
