"""The goal that a metric implies by its aggregate, and what to write for one that implies none."""

from __future__ import annotations

from nemorun_cli.model.best import AGGREGATES, IMPLIED_GOALS, OUTPUTS, Goal, split_key


def implied_goal(metric: str) -> Goal | None:
    """The goal that the aggregate of a metric implies; None without one."""
    if metric.startswith(OUTPUTS):
        return None
    return IMPLIED_GOALS.get(split_key(metric)[1] or "")


def goal_hint(metric: str) -> str:
    """What to write for a metric without a goal."""
    extremes = [f"{metric}:{name}" for name in IMPLIED_GOALS]
    hint = "write goal: minimize or goal: maximize"
    if not metric.startswith(OUTPUTS) and split_key(metric, AGGREGATES)[1] is None:
        hint += f"; for an extreme of the curve, metric: {extremes[0]} or {extremes[1]}"
    return hint
