"""The key `best` of a group: by what its best member is chosen, and how tasks may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.best import AGGREGATES, IMPLIED_GOALS, OUTPUTS, BestRule, Goal, split_key
from nemorun_cli.spec.expressions.syntax import OPENING, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Task
    from nemorun_cli.spec.tasks.dependencies import MemberGraph

FIELDS: Final = ("params", "outputs", "value", "id", "dir")  # of the best member, in expressions


def rule_of(entry: Mapping[str, Any]) -> BestRule | None:
    """The rule of a task; None without the key, or if it is not complete."""
    section = entry.get("best")
    if not isinstance(section, dict) or not isinstance(section.get("metric"), str):
        return None
    metric = section["metric"]
    goal = section.get("goal") or _implied_goal(metric)
    return None if goal is None else BestRule(metric=metric, goal=Goal(goal))


def _implied_goal(metric: str) -> Goal | None:
    if metric.startswith(OUTPUTS):
        return None
    return IMPLIED_GOALS.get(split_key(metric)[1] or "")


def faults(entry: Mapping[str, Any]) -> Iterator[tuple[Place, str, str | None]]:
    """What is wrong with the key `best` of a task: the keys of its place, a message and a hint."""
    section = entry.get("best")
    if section is None:
        return
    if "group" not in entry and "matrix" not in entry:
        yield (), "applies only to groups and tasks with a matrix", None
        return
    metric = section.get("metric", "")
    for key in ("metric", "goal"):
        if OPENING in str(section.get(key, "")):
            yield (key,), "is one for all members, so it cannot use values of the matrix", None
            return
    if metric == OUTPUTS:
        yield ("metric",), "names no output", "write outputs. and the key of an output: outputs.score"
    elif metric and "goal" not in section and _implied_goal(metric) is None:
        extremes = [f"{metric}:{name}" for name in IMPLIED_GOALS]
        hint = "write goal: minimize or goal: maximize"
        if not metric.startswith(OUTPUTS) and split_key(metric, AGGREGATES)[1] is None:
            hint += f"; for an extreme of the curve, metric: {extremes[0]} or {extremes[1]}"
        yield (), "has no goal: which values are better", hint


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
