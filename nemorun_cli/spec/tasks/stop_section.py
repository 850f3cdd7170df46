"""The key `stop` of a task: its conditions, and what is wrong with their combination of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.best import AGGREGATES, Goal, split_key
from nemorun_cli.model.forms import MOST, MOST_ATTEMPTS
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.stop_rules import StopRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place

CONDITIONS: Final = ("above", "below", "patience")
_OF_PATIENCE: Final = ("min_delta", "goal")
_NUMBERS: Final = ("above", "below", "min_delta")


def rules(value: Any, place: Place) -> tuple[tuple[StopRule, ...], list[Finding]]:
    """The conditions of a `stop` that has passed the schema, and what is wrong with them."""
    entries = [(value, place)] if isinstance(value, dict) else [(e, (*place, n)) for n, e in enumerate(value)]
    found = [finding for entry, at in entries for finding in _findings(entry, at)]
    return (() if found else tuple(_rule(entry) for entry, _ in entries)), found


def _rule(entry: Mapping[str, Any]) -> StopRule:
    if "nan" in entry:
        return StopRule(metric=entry["nan"])
    numbers = {name: float(entry[name]) for name in _NUMBERS if name in entry}
    goal, patience = entry.get("goal"), entry.get("patience")
    return StopRule(
        metric=entry["metric"],
        patience=None if patience is None else int(patience),
        goal=None if goal is None else Goal(goal),
        **numbers,
    )


def _findings(entry: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    given = [name for name in CONDITIONS if name in entry]
    if "nan" in entry and len(entry) > 1:
        others = ", ".join(name for name in entry if name != "nan")
        hint = "write two conditions in a list: [{nan: loss}, {metric: loss, below: 0.1}]"
        yield Finding(place=place, message=f"has nan, with which no other key goes, and {others}", hint=hint)
    elif "nan" in entry:
        yield from _of_metric("nan", entry, place)
    elif "metric" not in entry:
        hint = "write {metric: KEY} with above, below or patience, or {nan: KEY}"
        yield Finding(place=place, message="names no metric", hint=hint)
    else:
        yield from _of_metric("metric", entry, place)
        if len(given) != 1:
            problem = f"has {' and '.join(given)}" if given else "has no condition"
            hint = "each condition has one of above, below and patience; several are a list"
            yield Finding(place=place, message=problem, hint=hint)
        yield from _of_numbers(entry, place)


def _of_metric(name: str, entry: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    metric, aggregate = split_key(entry[name])
    if aggregate is not None:
        hint = f"each value is checked as it arrives: write {metric}"
        message = f"ends with :{aggregate}, but stop has no {', '.join(AGGREGATES[:-1])} or {AGGREGATES[-1]}"
        yield Finding(place=(*place, name), message=message, hint=hint)


def _of_numbers(entry: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    for name in _NUMBERS:
        if name in entry and not -MOST <= entry[name] <= MOST:  # NaN is neither
            yield Finding(place=(*place, name), message="must be a finite number, of at most 1e18")
    if entry.get("patience", 0) > MOST_ATTEMPTS:
        yield Finding(place=(*place, "patience"), message=f"must be at most {MOST_ATTEMPTS}")
    if "patience" in entry and "goal" not in entry:
        hint = "add goal: minimize, or goal: maximize"
        yield Finding(place=place, message="has patience and no goal", hint=hint)
    for name in _OF_PATIENCE:
        if name in entry and "patience" not in entry:
            yield Finding(place=(*place, name), message="applies only to patience")
