"""Suggestions that a damaged ledger has lost: the trials that ran with them, and what their records have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import ExpError
from nemorun_cli.executors import planning
from nemorun_cli.model.search import ParamKind, trial_number
from nemorun_cli.storage import events as kinds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from nemorun_cli.model.search import SearchParam, SearchRule
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles


def find(
    events: Iterable[Event], spec: Spec, *, started: Collection[str]
) -> Iterator[tuple[str, SearchRule]]:
    """The trials without a suggestion in these events, each by one of its tasks, with the rule of its search.

    Args:
        events: those of the ledger that can be used.
        spec: the spec.
        started: the tasks that have an attempt.
    """
    rules = {group.id: group.search for group in spec.groups if group.search is not None}
    if not rules:
        return
    groups = {task.id: task.group or "" for task in spec.tasks}
    known = {
        (groups.get(event["task"]), event["number"]) for event in events if event["event"] == kinds.SUGGESTED
    }
    for task in spec.tasks:
        trial = (groups[task.id], trial_number(task.id))
        if task.id in started and trial[0] in rules and trial not in known:
            known.add(trial)
            yield task.id, rules[trial[0]]


def recorded(files: ExperimentFiles, spec: Spec, name: str, rule: SearchRule) -> dict[str, Any] | None:
    """The values of a trial as its record has them; None if they are not those of a trial of this search."""
    from nemorun_cli.tracking.access import reader  # noqa: PLC0415 - few ledgers have lost a suggestion

    try:
        record = reader.record(
            planning.dash_root(spec, files.home), f"{planning.prefix(spec, files.id)}/{name}"
        )
        found: Mapping[str, Any] = {} if record is None else record.data().params.get()
    except (ExpError, OSError):
        return None
    values = {param.name: found[param.name] for param in rule.params if param.name in found}
    is_whole = all(param.name in values or param.when is not None for param in rule.params)
    is_possible = all(_fits(param, values[param.name]) for param in rule.params if param.name in values)
    return values if values and is_whole and is_possible else None


def _fits(param: SearchParam, value: Any) -> bool:
    """Whether a param can have a value, which the program of the trial may have changed in its record."""
    if param.kind is ParamKind.CHOICES:
        return any(type(choice) is type(value) and choice == value for choice in param.choices)
    is_number = type(value) is int or (type(value) is float and param.kind is ParamKind.FLOAT)
    return is_number and (param.low or 0) <= value <= (param.high or 0)
