"""Who may wait in an engine's own queue: what the spec says about it, and what the history does."""

from __future__ import annotations

from typing import Any

import pytest

from nemorun_cli.model.spec import Group, Retry, RunOptions, Spec, Task
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.stop_rules import StopRule
from nemorun_cli.scheduler.early_queue import EarlyQueue, Rules
from nemorun_cli.storage.state import ExperimentState, TaskState

QUEUES = {"gpu": "one", "cpu": "one", "far": "two", "local": None}
S, F, C, R, P = (
    TaskStatus.SUCCEEDED,
    TaskStatus.FAILED,
    TaskStatus.CANCELLED,
    TaskStatus.RUNNING,
    TaskStatus.PENDING,
)


def task(name: str, *parents: str, **fields: Any) -> Task:
    """A task of an executor that has a queue, if nothing else is said."""
    executor = fields.pop("executor", "gpu")
    return Task(
        id=name,
        index=0,
        kind="inline",
        body=":",
        executor=executor,
        workdir="/",
        dependencies=parents,
        **fields,
    )


def spec(*tasks: Task, groups: tuple[Group, ...] = (), **run: Any) -> Spec:
    """A spec of these tasks."""
    return Spec(name="a", folder="/", tasks=tasks, groups=groups, run=RunOptions(**run))


def history(of: Spec, **statuses: TaskStatus) -> ExperimentState:
    """Tasks in these states; what is live has a job id."""
    return ExperimentState(
        {
            one.id: TaskState(status=status, job_id="7" if status is R else None)
            for one in of.tasks
            for status in [statuses.get(one.id, P)]
        }
    )


def behind(*tasks: Task, **header: Any) -> list[str]:
    """Whom the last of these tasks is queued behind."""
    return Rules(spec(*tasks, **header), QUEUES).upstream(tasks[-1])[0]


def test_a_task_waits_behind_parents_in_the_same_queue() -> None:
    """Executors whose engines share a queue can wait for each other; others have to be over first."""
    assert behind(task("a"), task("b", "a", executor="cpu")) == ["a"]
    assert behind(task("a", executor="far"), task("b", "a")) == []
    assert behind(task("a"), task("b", "a", executor="local")) == []
    mixed = spec(task("a"), task("b", executor="local"), task("c", "a", "b"))
    assert Rules(mixed, QUEUES).upstream(mixed.tasks[-1]) == (["a"], ["b"])


@pytest.mark.parametrize(
    "fields",
    [
        {"when": "${{ tasks.a.outputs.x }}"},
        {"late": ("/args/0",)},
        {"group": "sweep"},
        {"group": "together"},
        {"group": "led"},
        {"handler": "on_exit"},
    ],
)
def test_what_is_decided_when_its_turn_comes_is_not_early(fields: dict[str, Any]) -> None:
    """`when`, outputs of others, limits of a sweep and groups that start together need the supervisor."""
    groups = (
        Group(id="sweep", members=("b",), axes=("n",), max_parallel=1),
        Group(id="together", members=("b",), together=True),
        Group(id="led", members=("b",), until="b"),
    )
    assert behind(task("a"), task("b", "a", **fields), groups=groups) == []


@pytest.mark.parametrize("run", [{"max_parallel": 2}, {"max_failures": 2}])
def test_limits_of_the_run_need_the_supervisor(run: dict[str, int]) -> None:
    """Where it counts what runs or fails nothing is handed over before its turn."""
    assert behind(task("a"), task("b", "a"), **run) == []


def test_of_a_parent_that_may_be_tried_again_only_a_success_is_waited_for() -> None:
    """Its first failure may not be its last word, its success is."""
    again = Retry(limit=1)
    assert behind(task("a", retry=again), task("b", "a")) == ["a"]
    assert behind(task("a", retry=again, allow_failure=True), task("b", "a")) == []
    assert behind(task("a", retry=again), task("b", "a", dependency_type="afterany")) == []
    assert behind(task("a", retry=again), task("b", "a", dependency_type="afternotok")) == []
    assert behind(task("a"), task("b", "a", retry=Retry(limit=1))) == ["a"]


def test_members_that_start_together_are_waited_for_together() -> None:
    """Their engine may end them as one: who needs only some of them waits here."""
    pair = Group(id="g", members=("g/0", "g/1"), together=True)
    members = [task(name, group="g") for name in pair.members]
    assert behind(*members, task("b", "g/0"), groups=(pair,)) == []
    assert behind(*members, task("b", "g/0", "g/1"), groups=(pair,)) == ["g/0", "g/1"]


def test_an_engine_does_not_wait_for_a_group_with_a_leader() -> None:
    """A member that is stopped as its leader succeeds has failed for the engine, and succeeded for exp."""
    pair = Group(id="g", members=("g/0", "g/1"), together=True, until="g/0")
    members = [task(name, group="g") for name in pair.members]
    assert behind(*members, task("b", "g/0", "g/1"), groups=(pair,)) == []


def test_an_engine_does_not_wait_for_what_a_metric_may_stop() -> None:
    """A task that is stopped as it has reached its target has failed for its engine, not for exp."""
    rule = StopRule(metric="loss", below=1)
    assert behind(task("a", stop=(rule,)), task("b"), task("c", "a", "b")) == ["b"]
    assert behind(task("a", stop=(rule,)), task("b", "a")) == []


def test_a_task_is_queued_when_its_engine_has_all_its_parents() -> None:
    """Each is taken once: when the last of its parents got its job id, or is over."""
    of = spec(task("a"), task("b"), task("c", "a", "b"), task("d", "c"))
    found = history(of, a=R)
    ahead = EarlyQueue(of, found, QUEUES)
    assert ahead.take() == []
    found.tasks["b"].status, found.tasks["b"].job_id = R, "8"
    ahead.notice("b")
    assert ahead.take() == [("c", {"a": "success", "b": "success"})]
    ahead.notice("b")
    assert ahead.take() == []


def test_what_is_ready_is_not_queued_early() -> None:
    """A task whose parents are all over is submitted the ordinary way."""
    of = spec(task("a"), task("b", "a"))
    assert EarlyQueue(of, history(of, a=S), QUEUES).take() == []


@pytest.mark.parametrize(
    ("kind", "fields", "statuses", "needs"),
    [
        ("afterok", {}, {"a": R, "b": R}, {"a": "success", "b": "success"}),
        ("afterok", {"allow_failure": True}, {"a": R, "b": S}, {"a": "no_cancel"}),
        ("afterany", {}, {"a": R, "b": F}, {"a": "end"}),
        ("afternotok", {}, {"a": R, "b": R}, {"a": "failure", "b": "failure"}),
        ("afternotok", {}, {"a": R, "b": S}, {"a": "failure"}),
        ("afternotok", {}, {"a": R, "b": C}, {"a": "end"}),
    ],
)
def test_what_is_needed_of_whom(
    kind: Any, fields: dict[str, Any], statuses: dict[str, TaskStatus], needs: dict[str, str]
) -> None:
    """The need follows the dependency type, `allow_failure` of the parent, and how others ended."""
    of = spec(task("a", **fields), task("b"), task("c", "a", "b", dependency_type=kind))
    assert EarlyQueue(of, history(of, **statuses), QUEUES).take() == [("c", needs)]


def test_what_was_given_back_is_not_queued_early_again() -> None:
    """What its engine gave back waits here from then on."""
    of = spec(task("a"), task("b", "a"))
    found = history(of, a=R)
    found.tasks["b"].submitted = "2026-01-01T00:00:00.000Z"
    assert EarlyQueue(of, found, QUEUES).take() == []
