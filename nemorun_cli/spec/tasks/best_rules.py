"""The key `best` of a group: by what its best member is chosen, and how tasks may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.best import OUTPUTS, BestRule, Goal
from nemorun_cli.spec.expressions.syntax import OPENING, UNKNOWN
from nemorun_cli.spec.tasks.implied_goals import goal_hint, implied_goal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.model.spec import Task
    from nemorun_cli.spec.tasks.dependencies import MemberGraph

WITH_MEMBERS: Final = ("group", "matrix", "search")  # the keys of tasks that have members
FIELDS: Final = ("params", "outputs", "value", "id", "dir")  # of the best member, in expressions


def rule_of(entry: Mapping[str, Any], search: SearchRule | None = None) -> BestRule | None:
    """The rule of a task; None without one, or if it is not complete.

    A search with one goal has a rule without the key.
    """
    section = entry.get("best")
    if section is None and search is not None and len(search.goals) == 1:
        return BestRule(metric=search.metrics[0], goal=search.goals[0])
    if not isinstance(section, dict) or not isinstance(section.get("metric"), str):
        return None
    metric = section["metric"]
    goal = section.get("goal") or implied_goal(metric)
    return None if goal is None else BestRule(metric=metric, goal=Goal(goal))


def faults(entry: Mapping[str, Any]) -> Iterator[tuple[Place, str, str | None]]:
    """What is wrong with the key `best` of a task: the keys of its place, a message and a hint."""
    section = entry.get("best")
    if section is None:
        return
    if entry.keys().isdisjoint(WITH_MEMBERS):
        yield (), "applies only to groups and tasks with a matrix or a search", None
        return
    if len(goals := goals_of(entry)) > 1:
        message = f"cannot be combined with the {len(goals)} goals of its search: no single trial is the best"
        yield (), message, "give the search one goal, or leave best out"
        return
    metric = section.get("metric", "")
    for key in ("metric", "goal"):
        if OPENING in str(section.get(key, "")):
            root = "search" if "search" in entry else "matrix"
            yield (key,), f"is one for all members, so it cannot use values of the {root}", None
            return
    if metric == OUTPUTS:
        yield ("metric",), "names no output", "write outputs. and the key of an output: outputs.score"
    elif metric and "goal" not in section and implied_goal(metric) is None:
        yield (), "has no goal: which values are better", goal_hint(metric)


def goals_of(entry: Mapping[str, Any]) -> list[str]:
    """The metrics of a task's search, one for each goal; none without a search."""
    section = entry.get("search")
    metric = section.get("metric") if isinstance(section, dict) else None
    return metric if isinstance(metric, list) else [] if metric is None else [metric]


def has_best(entry: Mapping[str, Any]) -> bool:
    """Whether expressions can use the best member of a task."""
    if entry.keys().isdisjoint(WITH_MEMBERS):
        return False
    return "best" in entry or len(goals_of(entry)) == 1


def unknown_values(params: Sequence[str] | None) -> dict[str, Any]:
    """What expressions can name of a best member, before it is known.

    Args:
        params: the keys of the members' matrix; None if they are not known.
    """
    values: dict[str, Any] = dict.fromkeys(FIELDS, UNKNOWN)
    if params is not None:
        values["params"] = dict.fromkeys(params, UNKNOWN)
    return values


def unawaited(name: str, used: str, raw: str, *, task: Task, graph: MemberGraph) -> tuple[str, str]:
    """The message and the hint about a task that uses the best of a group, and does not wait for all of it.

    Args:
        name: the name of the task.
        used: the group.
        raw: the expression.
        task: a member of `name`.
        graph: the dependencies.
    """
    members = graph.members.get(used, ())
    if used == name:
        message = f"{raw}: {name} cannot use the best of its own members"
        return message, f"use it in a task that depends on {name}"
    if any(graph.waits_for(member, (task.id,)) for member in members):
        message = f"{raw}: {used} depends on {name}, which would wait for the best of {used}: a cycle"
        return message, "remove one of the two"
    if used in task.twins:
        message = f"{raw}: {name} depends on the matching members of {used} alone"
        return message, f"write {used} in place of {{task: {used}, same: matrix}}"
    message = f"{raw}: {name} does not depend on all members of {used}"
    return message, f"add {used} to the dependencies of {name}"
