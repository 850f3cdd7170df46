"""The key `search` of a task: its space, goals and trials, and what is wrong with their combination."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import units
from nemorun_cli.model.best import OUTPUTS, Goal
from nemorun_cli.model.problems import Finding, shown
from nemorun_cli.model.search import DEFAULT_SAMPLER, ParamKind, SearchParam, SearchRule, trial_id
from nemorun_cli.spec.tasks import best_rules
from nemorun_cli.spec.tasks.matrix import Combination, Sweep, count_of, key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place

LARGEST_INT: Final = 2**53  # beyond it, samplers would round whole numbers
LARGEST_SEED: Final = 2**32 - 1
_RANGE_KEYS: Final = ("low", "high", "step", "log")


def names_of(section: Any) -> list[str]:
    """The params of a search, by which expressions name them; none if the section is not valid."""
    params = section.get("params") if isinstance(section, dict) else None
    return list(params) if isinstance(params, dict) else []


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


_CONFLICTS: Final = {
    "matrix": "write the axes as choices, or as two tasks",
    "group": "a trial is one task",
    "together": "trials start as their values are suggested",
    "until": "trials gives the number of trials, and timeout the time for them",
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


def rule_of(
    section: Mapping[str, Any], place: Place, *, seed: int
) -> tuple[SearchRule | None, list[Finding]]:
    """The rule of a `search` that has passed the schema; None and the errors if it has any.

    Args:
        section: its keys, with expressions filled in but those over `search`.
        place: its place in the spec.
        seed: for a search that names none.
    """
    reader = _Section(section, place)
    rule = reader.rule(seed)
    return (None if reader.findings else rule), reader.findings


class _Section:
    """Reads one section; collects errors in `findings`."""

    def __init__(self, section: Mapping[str, Any], place: Place) -> None:
        self.findings: list[Finding] = []
        self._section, self._place = section, place

    def rule(self, seed: int) -> SearchRule:
        section = self._section
        params = tuple(self._param(name, value) for name, value in section["params"].items())
        metrics, goals = self._goals()
        return SearchRule(
            params=params,
            metrics=metrics,
            goals=goals,
            trials=section["trials"],
            timeout=self._timeout(),
            sampler=section.get("sampler", DEFAULT_SAMPLER),
            seed=section.get("seed", seed),
            start_with=tuple(dict(entry) for entry in section.get("start_with", ())),
        )

    def _report(self, keys: Place, message: str, hint: str | None = None, *, on_key: bool = False) -> None:
        self.findings.append(Finding(place=(*self._place, *keys), message=message, hint=hint, on_key=on_key))

    def _timeout(self) -> float | None:
        if "timeout" not in self._section:
            return None
        try:
            return units.timeout(self._section["timeout"])
        except ValueError as fault:
            self._report(("timeout",), str(fault))
            return None

    # -- goals ---------------------------------------------------------------------------------------

    def _goals(self) -> tuple[tuple[str, ...], tuple[Goal, ...]]:
        section = self._section
        is_list = isinstance(section["metric"], list)
        metrics: list[str] = section["metric"] if is_list else [section["metric"]]
        given = section.get("goal")
        goals: list[str | None] = given if isinstance(given, list) else [given] * len(metrics)
        if isinstance(given, list) and len(given) != len(metrics):
            count = f"{len(given)} {'goal' if len(given) == 1 else 'goals'}"
            self._report(("goal",), f"has {count} for {len(metrics)} of metric", "write one goal for each")
            return (), ()
        if given is not None and not isinstance(given, list) and len(metrics) > 1:
            hint = f"write one goal for each: [{', '.join([given] * len(metrics))}]"
            self._report(("goal",), f"is one for {len(metrics)} metrics", hint)
        found = []
        for index, (metric, goal) in enumerate(zip(metrics, goals, strict=True)):
            place: Place = ("metric", index) if is_list else ("metric",)
            if metric == OUTPUTS:
                hint = "write outputs. and the key of an output: outputs.score"
                self._report(place, "names no output", hint)
            elif metric in metrics[:index]:
                self._report(place, f"{metric} is listed twice")
            chosen = goal or best_rules.implied_goal(metric)
            if chosen is None:
                self._report(
                    (), f"has no goal for {metric}: which values are better", best_rules.goal_hint(metric)
                )
            found.append(Goal(chosen or Goal.MINIMIZE))
        return tuple(metrics), tuple(found)

    # -- params --------------------------------------------------------------------------------------

    def _param(self, name: str, value: Any) -> SearchParam:
        place: Place = ("params", name)
        entry: Mapping[str, Any] = {"choices": value} if isinstance(value, list) else value
        kind = entry.get("type", "choices" if "choices" in entry else None)
        if kind is None:
            hint = "write type: float or type: int with low and high, or choices: […]"
            self._report(place, "has no type", hint)
            return SearchParam(name=name, kind=ParamKind.CHOICES)
        when = entry.get("when")
        if kind == ParamKind.CHOICES:
            self._check_choices(entry, place, at=place if isinstance(value, list) else (*place, "choices"))
            return SearchParam(
                name=name,
                kind=ParamKind.CHOICES,
                choices=tuple(entry.get("choices", ())),
                when=_condition(when),
            )
        self._check_range(kind, entry, place)
        return SearchParam(
            name=name,
            kind=ParamKind(kind),
            low=entry.get("low"),
            high=entry.get("high"),
            step=entry.get("step"),
            log=entry.get("log", False),
            when=_condition(when),
        )

    def _check_choices(self, entry: Mapping[str, Any], place: Place, *, at: Place) -> None:
        for key in _RANGE_KEYS:
            if key in entry:
                self._report((*place, key), "does not apply to choices", on_key=True)
        if "choices" not in entry:
            self._report(place, "has no choices", "add choices: [sgd, adam]")
        seen: list[Any] = []
        for index, value in enumerate(entry.get("choices", ())):
            key = _exact(value)
            if key in seen:
                self._report((*at, index), f"{shown(value)} is listed twice")
            seen.append(key)

    def _check_range(self, kind: str, entry: Mapping[str, Any], place: Place) -> None:
        if "choices" in entry:
            self._report((*place, "choices"), f"does not apply to {kind}", on_key=True)
        missing = [key for key in ("low", "high") if key not in entry]
        if missing:
            self._report(place, f"has no {' and no '.join(missing)}", "a range has both ends: low and high")
            return
        numbers = {key: entry[key] for key in ("low", "high", "step") if key in entry}
        problems = [
            (key, problem) for key, value in numbers.items() if (problem := _number_problem(kind, value))
        ]
        for key, problem in problems:
            self._report((*place, key), problem)
        if problems:
            return
        low, high, log = entry["low"], entry["high"], entry.get("log", False)
        if low > high:
            self._report((*place, "low"), f"is greater than high: {shown(low)} > {shown(high)}")
        if entry.get("step", 1) <= 0:
            self._report((*place, "step"), "must be greater than 0")
        if log and low <= 0:
            self._report((*place, "low"), "must be greater than 0 with log")
        if log and "step" in entry:
            self._report((*place, "step"), "cannot be combined with log", "leave one of them out")


def _condition(when: bool | str | None) -> str | None:  # noqa: FBT001 - a value of the spec
    if when is None or when is True:
        return None
    return "${{ false }}" if when is False else str(when)


def _exact(value: Any) -> Any:
    """A key that is equal for equal values of equal types, also within lists and mappings."""
    if isinstance(value, dict):
        return "mapping", sorted((str(name), _exact(item)) for name, item in value.items())
    if isinstance(value, list):
        return "list", [_exact(item) for item in value]
    return ("null", None) if value is None else key_of(value)


def _number_problem(kind: str, value: Any) -> str | None:
    if kind == ParamKind.INT:
        if value != int(value) if _is_finite(value) else True:
            return "must be a whole number"
        return None if abs(value) <= LARGEST_INT else "must be at most 2^53"
    return None if _is_finite(value) else "must be a finite number"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int) or math.isfinite(value)
