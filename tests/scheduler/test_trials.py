"""Which trial of a search is next, when none is, and which ends of trials are results."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.schedules import C, Drive, F, K, S, schedule, task

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import ParamKind, SearchParam, SearchRule, trial_id, trial_number
from nemorun_cli.model.spec import Group, Task
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
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
