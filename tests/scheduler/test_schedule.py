"""Who may run now: the graph of an experiment, followed as its tasks end."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.schedules import C, Drive, F, K, S, graphs, schedule, task

from nemorun_cli.model.capacity import Machine
from nemorun_cli.model.clock import stamp, steady
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.spec import Group, Retry, Task
from nemorun_cli.model.status import ExperimentStatus, Reason, TaskStatus
from nemorun_cli.scheduler.schedule import Schedule, rule_of
from nemorun_cli.storage import events
from nemorun_cli.storage.state import TaskState


def allows(child: Task, parents: list[tuple[Task, TaskStatus]]) -> bool:
    """What section 2 of the design says, in its own words."""
    if child.dependency_type == "afterok":
        return all(status is S or (status is F and parent.allow_failure) for parent, status in parents)
    if child.dependency_type == "afternotok" and parents:
        return any(status in {F, C} for _, status in parents)
    return True


@given(graphs(), st.integers(1, 4), st.data())
def test_any_graph_runs_to_its_end_as_its_dependencies_allow(
    tasks: list[Task], slots: int, data: st.DataObject
) -> None:
    """No task starts before its parents allow it, none is left out, all end, no slot is overdrawn."""
    by_id = {one.id: one for one in tasks}
    drive = Drive(schedule(*tasks), slots)
    drive.begin()
    while True:
        for name in drive.start():
            parents = [(by_id[parent], drive.status(parent)) for parent in by_id[name].dependencies]
            assert all(status in {S, F, C, K} for _, status in parents)
            assert allows(by_id[name], parents)
        assert len(drive.running) <= slots
        if not drive.running:
            break
        name = data.draw(st.sampled_from(sorted(drive.running)))
        drive.end(name, data.draw(st.sampled_from([S, F, C])))
    assert drive.schedule.history.is_settled
    for one in tasks:
        parents = [(by_id[parent], drive.status(parent)) for parent in one.dependencies]
        assert (drive.status(one.id) is K) == (not allows(one, parents))
        assert drive.started.count(one.id) <= 1 + one.retry.limit


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[Task], tuple[Group, ...]]:
    """Tasks that ask for parts of a machine with three GPUs, some of them as groups that start together."""
    asked = st.builds(
        Resources,
        cpus=st.sampled_from([None, 0.5, 2, 4]),
        gpus=st.sampled_from([None, 0, 1, 2, 3]),
        memory=st.sampled_from([None, 1, 3]),
    )
    tasks: list[Task] = []
    groups: list[Group] = []
    for number in range(draw(st.integers(1, 7))):
        if draw(st.integers(0, 3)):
            name = f"t{number}"
            needs = draw(st.sets(st.sampled_from([one.id for one in tasks]), max_size=2)) if tasks else set()
            wanted = draw(asked)
            tasks.append(task(name, len(tasks), resources=wanted, dependencies=tuple(sorted(needs))))
        else:
            members = tuple(f"g{number}/{member}" for member in range(draw(st.integers(2, 3))))
            one = Resources(gpus=draw(st.sampled_from([None, 1])), cpus=draw(st.sampled_from([None, 1])))
            group = f"g{number}"
            tasks += [
                task(name, len(tasks) + index, group=group, resources=one)
                for index, name in enumerate(members)
            ]
            groups.append(Group(id=group, members=members, together=True))
    return tasks, tuple(groups)


@given(crowds(), st.integers(2, 4), st.data())
def test_any_crowd_shares_a_machine_and_all_have_their_turn(
    crowd: tuple[list[Task], tuple[Group, ...]], slots: int, data: st.DataObject
) -> None:
    """Nothing of a machine is given twice, who starts together starts at once, and nobody waits for ever."""
    tasks, groups = crowd
    machine = Machine(cpus=4.0, memory=3, gpus=("0", "1", "2"), marks=("0", "1", "2"), origin="")
    drive = Drive(schedule(*tasks, groups=groups), slots, machine)
    drive.begin()
    while True:
        started = set(drive.start())
        for group in groups:
            assert started.isdisjoint(group.members) or started.issuperset(group.members)
        marks = [mark for grant in drive.held.values() for mark in grant.marks]
        assert len(marks) == len(set(marks))
        total = Resources.total(grant.wanted for grant in drive.held.values())
        assert (total.cpus or 0) <= 4
        assert (total.memory or 0) <= 3
        if not drive.running:
            break
        drive.end(data.draw(st.sampled_from(sorted(drive.running))), S)
    assert drive.schedule.history.is_settled
    assert sorted(drive.started) == sorted(one.id for one in tasks)


@given(graphs(), st.data())
def test_any_interruption_is_taken_up_where_it_was(tasks: list[Task], data: st.DataObject) -> None:
    """A second supervisor that begins from the same history starts exactly what is left to start."""
    first = Drive(schedule(*tasks))
    first.begin()
    for _ in range(data.draw(st.integers(0, 6))):
        first.start()
        if first.running:
            first.end(
                data.draw(st.sampled_from(sorted(first.running))), data.draw(st.sampled_from([S, F, C]))
            )
    second = Drive(Schedule(first.schedule.spec, first.schedule.history), running=set(first.running))
    second.begin()
    while second.start() or second.running:
        for name in sorted(second.running):
            second.end(name, S)
    assert second.schedule.history.is_settled
    assert not set(second.started) & first.running, "what still ran was not started again"


def test_task_with_a_failed_parent_is_skipped_while_others_still_run() -> None:
    """What can no longer run is skipped at once and not when the last parent ends."""
    drive = Drive(
        schedule(
            task("a"), task("b", 1), task("c", 2, dependencies=("a", "b")), task("d", 3, dependencies=("c",))
        )
    )
    drive.begin()
    assert drive.start() == ["a", "b"]
    drive.end("a", F)
    assert (drive.status("c"), drive.status("d")) == (K, K)


def test_tasks_start_in_the_order_of_the_file() -> None:
    """Of what is ready the first in the file goes first."""
    tasks = [task(name, index) for index, name in enumerate("dbac")]
    drive = Drive(schedule(*tasks), slots=2)
    drive.begin()
    assert drive.start() == ["d", "b"]
    drive.end("b", S)
    assert drive.start() == ["a"]


def test_group_that_is_together_starts_whole_or_not_at_all() -> None:
    """Its members wait until there are slots for all of them; others pass them by meanwhile."""
    members = tuple(task(f"g/{index}", index + 1, group="g") for index in range(3))
    group = Group(id="g", members=tuple(one.id for one in members), together=True)
    drive = Drive(schedule(task("a"), *members, task("z", 9), groups=(group,)), slots=3)
    drive.begin()
    assert drive.start() == ["a", "z"]
    drive.end("a", S)
    assert drive.start() == []
    drive.end("z", S)
    assert drive.start() == ["g/0", "g/1", "g/2"]


def test_group_that_is_together_waits_for_the_last_of_its_members() -> None:
    """A member that is ready does not start while another still waits for a parent of its own."""
    members = (task("g/0", 0, group="g"), task("g/1", 1, group="g", dependencies=("a",)))
    group = Group(id="g", members=("g/0", "g/1"), together=True)
    drive = Drive(schedule(*members, task("a", 2), groups=(group,)), slots=4)
    drive.begin()
    assert drive.start() == ["a"]
    drive.end("a", S)
    assert drive.start() == ["g/0", "g/1"]


def test_delayed_task_waits_for_its_time() -> None:
    """What may not start before a time does not, and the schedule says when that is."""
    drive = Drive(schedule(task("a", retry=Retry(limit=1))))
    drive.begin()
    assert drive.start() == ["a"]
    drive.note(events.ENDED, "a", status=F, reason="exit")
    drive.note(events.RETRIED, "a", attempt=2, not_before=stamp(100.0))
    drive.schedule.add_ready("a")
    assert drive.start(now=99.9) == []
    assert drive.schedule.next_delay() == 100.0
    assert drive.start(now=100.0) == ["a"]


def test_recorded_delay_is_at_most_that_of_the_spec() -> None:
    """If the clock was set back since a supervisor recorded a retry, the next one does not wait for it."""
    drive = Drive(schedule(task("a", retry=Retry(limit=2, delay=60, backoff=3))))
    drive.begin()
    for attempt, delay in ((2, 60), (3, 180)):
        assert drive.start(now=steady() + delay) == ["a"]
        drive.note(events.ENDED, "a", status=F, reason="exit")
        drive.note(events.RETRIED, "a", attempt=attempt, not_before=stamp(time.time() + 3600))
        drive.schedule.add_ready("a")
        due = drive.schedule.next_delay()
        assert due is not None
        assert 0 < due - steady() <= delay


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(limit=3), [None, None, None]),
        (Retry(limit=3, delay=2), [2, 2, 2]),
        (Retry(limit=4, delay=2, backoff=3), [2, 6, 18, 54]),
        (Retry(limit=4, delay=2, backoff=3, max_delay=10), [2, 6, 10, 10]),
        (Retry(limit=2, delay=2, backoff=0.5), [2, 1]),
    ],
)
def test_delay_of_retries(retry: Retry, delays: list[float | None]) -> None:
    """Each retry waits `delay` times `backoff` to the number of retries before it, at most `max_delay`."""
    made = schedule(task("a", retry=retry))
    found = []
    for tries in range(len(delays)):
        made.history.tasks["a"].tries = tries
        found.append(made.retry_time("a", 0.0))
    assert found == delays


def test_delay_of_a_late_retry_is_a_number() -> None:
    """However many retries there were, the next one has a time."""
    made = schedule(task("a", retry=Retry(limit=10_000, delay=60.0, backoff=10.0, max_delay=3600)))
    made.history.tasks["a"].tries = 9_999
    assert made.retry_time("a", 0.0) == 3600.0


@pytest.mark.parametrize(
    ("on", "reason", "code", "expected"),
    [
        (("any",), Reason.EXIT, 1, True),
        (("any",), Reason.SIGNAL, 139, True),
        (("any",), Reason.TIMEOUT, None, True),
        (("any",), Reason.LOST, None, True),
        (("any",), Reason.OOM, 137, True),
        (("any",), Reason.CANCELLED, 143, False),
        (("any",), Reason.ABANDONED, None, False),
        (("any",), Reason.TEMPLATE, None, False),
        (("any",), Reason.LIMIT, None, False),
        ((75,), Reason.EXIT, 75, True),
        ((75,), Reason.EXIT, 1, False),
        ((139,), Reason.SIGNAL, 139, True),
        ((143,), Reason.TIMEOUT, 143, False),
        (("timeout", 75), Reason.TIMEOUT, 143, True),
        (("timeout",), Reason.EXIT, 1, False),
        (("oom", "preempted", "node_fail"), Reason.NODE_FAIL, None, True),
    ],
)
def test_retry_only_on_what_it_names(
    on: tuple[int | str, ...],
    reason: Reason,
    code: int | None,
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """`retry.on` names exit codes and reasons; `any` is every failure, and a cancel is none."""
    state = TaskState(status=F, reason=reason, exit_code=code)
    assert (rule_of(Retry(limit=1, on=on), state) is not None) is expected


def test_limit_of_failures_ends_retries_too() -> None:
    """Once `max_failures` is reached nothing new starts, not even another attempt."""
    made = schedule(task("a", retry=Retry(limit=5)), task("b", 1), max_failures=1)
    drive = Drive(made)
    drive.begin()
    drive.start()
    drive.end("b", F)
    assert made.limit_is_hit()
    drive.note(events.ENDED, "a", status=F, reason="exit")
    assert not made.retry_is_due("a")


def test_failure_that_is_allowed_counts_for_no_limit() -> None:
    """`allow_failure` tasks do not use up `max_failures`."""
    made = schedule(task("a", allow_failure=True), max_failures=1)
    drive = Drive(made)
    drive.begin()
    drive.start()
    drive.end("a", F)
    assert not made.limit_is_hit()
    assert made.final_status() is ExperimentStatus.COMPLETED


@pytest.mark.parametrize(
    ("ends", "allowed", "expected"),
    [
        ([S, S], False, ExperimentStatus.COMPLETED),
        ([S, K], False, ExperimentStatus.COMPLETED),
        ([S, F], False, ExperimentStatus.FAILED),
        ([S, F], True, ExperimentStatus.COMPLETED),
        ([S, C], False, ExperimentStatus.FAILED),
        ([S, C], True, ExperimentStatus.COMPLETED),
    ],
)
def test_final_status_follows_from_the_ends(
    ends: list[TaskStatus],
    allowed: bool,  # noqa: FBT001 - a column of the table
    expected: ExperimentStatus,
) -> None:
    """FAILED if a task FAILED or was CANCELLED without `allow_failure`, else COMPLETED."""
    made = schedule(task("a", allow_failure=allowed), task("b", 1, allow_failure=allowed))
    for state, status in zip(made.history.tasks.values(), ends, strict=True):
        state.status = status
    assert made.final_status() is expected


def test_below_is_everything_that_depends_on_it() -> None:
    """A task with all its descendants, and nothing beside."""
    made = schedule(
        task("a"), task("b", 1, dependencies=("a",)), task("c", 2, dependencies=("b",)), task("d", 3)
    )
    assert made.below(["a"]) == {"a", "b", "c"}
    assert made.below([]) == set()
