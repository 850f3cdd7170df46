"""The key `search` of a task: its goals and trials, and what is wrong with their combination."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import units
from nemorun_cli.model.best import OUTPUTS, Goal
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.search import DEFAULT_SAMPLER, SearchRule, trial_id
from nemorun_cli.spec.tasks import search_pruners, search_samplers
from nemorun_cli.spec.tasks.implied_goals import goal_hint, implied_goal
from nemorun_cli.spec.tasks.matrix import Combination, Sweep, count_of
from nemorun_cli.spec.tasks.search_space import SpaceReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place

_CONFLICTS: Final = {  # keys of a task that a search excludes, each with a hint
    "matrix": "write the axes as choices, or search in a task of its own",
    "together": "the tasks of a trial start as their dependencies and the capacity allow",
    "until": "stop the search by trials or timeout",
    "fail_fast": "write max_failures: 1 in the search",
}


def conflicts(task: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    """The keys of a task that a search excludes.

    Args:
        task: its keys.
        place: its place in the spec.
    """
    for key, hint in _CONFLICTS.items():
        if key in task:
            message = "cannot be combined with search"
            yield Finding(place=(*place, key), message=message, hint=hint, on_key=True)


def seed_of(experiment: str, task: str) -> int:
    """The seed of a search that names none: one for each experiment, the same each time its spec is read."""
    digest = hashlib.sha256(f"{experiment}\0{task}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def trials_of(name: str, rule: SearchRule, section: Mapping[str, Any]) -> Sweep:
    """The trials of a search, as the members of a sweep without axes."""
    prefix = len(name) + 1
    limit = section.get("max_failures")
    return Sweep(
        axes=(),
        combinations=tuple(
            Combination(trial_id(name, number)[prefix:], {}) for number in range(1, rule.trials + 1)
        ),
        max_parallel=section.get("max_parallel"),
        max_failures=None if limit is None else count_of(limit, of=rule.trials),
    )


def rule_of(
    section: Mapping[str, Any], place: Place, *, seed: int
) -> tuple[SearchRule | None, list[Finding]]:
    """The rule of a `search` that has passed the schema; None and the errors if it has any.

    Args:
        section: its keys, with expressions filled in but those over `search`.
        place: its place in the spec.
        seed: for a search that names none.
    """
    space = SpaceReader(section["params"], place)
    goals, findings = _goals(section, place)
    timeout, faults = _timeout(section, place)
    pruner, options, problems = search_pruners.pruner_of(section.get("pruner"), (*place, "pruner"))
    findings += [*faults, *problems, *space.findings]
    if findings:
        return None, findings
    start_with = space.start_with(section.get("start_with", ()), (*place, "start_with"))
    rule = SearchRule(
        params=space.params,
        metrics=tuple(metric for metric, _ in goals),
        goals=tuple(goal for _, goal in goals),
        trials=section["trials"],
        timeout=timeout,
        sampler=section.get("sampler", DEFAULT_SAMPLER),
        seed=section.get("seed", seed),
        pruner=pruner,
        pruner_options=options,
        start_with=start_with,
    )
    findings = [*space.findings, *search_samplers.faults(rule, section, place)]
    return (None if findings else rule), findings


def _timeout(section: Mapping[str, Any], place: Place) -> tuple[float | None, list[Finding]]:
    if "timeout" not in section:
        return None, []
    try:
        return units.timeout(section["timeout"]), []
    except ValueError as fault:
        return None, [Finding(place=(*place, "timeout"), message=str(fault))]


def _goals(section: Mapping[str, Any], place: Place) -> tuple[list[tuple[str, Goal]], list[Finding]]:
    """The metrics with their goals, and what is wrong with them."""
    is_list = isinstance(section["metric"], list)
    metrics: list[str] = section["metric"] if is_list else [section["metric"]]
    given = section.get("goal")
    if given is not None and isinstance(given, list) != is_list:
        metric, goal = ("a list", "is one") if is_list else ("one", "is a list")
        hint = f"write a goal for each metric: [{', '.join([given] * len(metrics))}]" if is_list else None
        message = f"{goal}, but metric is {metric}"
        return [], [Finding(place=(*place, "goal"), message=message, hint=hint)]
    goals = given if isinstance(given, list) else [given] * len(metrics)
    if len(goals) != len(metrics):
        message = f"has {len(goals)} for the {len(metrics)} of metric"
        return [], [Finding(place=(*place, "goal"), message=message, hint="write one for each metric")]
    findings = []
    found = []
    for index, (metric, goal) in enumerate(zip(metrics, goals, strict=True)):
        at: Place = (*place, "metric", index) if is_list else (*place, "metric")
        chosen = goal or implied_goal(metric)
        if metric == OUTPUTS:
            hint = "write outputs. and the key of an output: outputs.score"
            findings.append(Finding(place=at, message="names no output", hint=hint))
        elif metric in metrics[:index]:
            findings.append(Finding(place=at, message=f"{metric} is listed twice"))
        elif chosen is None:
            message = f"has no goal for {metric}: which values are better"
            hint = "write a goal for each metric: goal: [minimize, maximize]"
            hint = hint if is_list else goal_hint(metric)
            findings.append(Finding(place=place, message=message, hint=hint))
        else:
            found.append((metric, Goal(chosen)))
    return found, findings
