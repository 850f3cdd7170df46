"""What a search looks for, before it runs: its space, goals, sampler and number of trials."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import shown
from nemorun_cli.model.search import ParamKind, tasks_of_trials
from nemorun_cli.model.units import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nemorun_cli.model.search import SearchParam, SearchRule
    from nemorun_cli.model.spec import Group

_LISTED: Final = 8  # choices in a line
INDENT: Final = 3  # columns before a param


def entries(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """The searches among groups, as entries of `searches` in JSON documents."""
    return [
        {
            "id": group.id,
            **to_json(group.search, max_parallel=group.max_parallel),
            "tasks": _names_of_tasks(group),
        }
        for group in groups
        if group.search is not None
    ]


def _names_of_tasks(group: Group) -> list[str]:
    """The names of the tasks of a trial; none where a trial is one task."""
    first = next(iter(tasks_of_trials(group.members).values()), ())
    return [name.rpartition("/")[2] for name in first] if group.has_trials_of_several else []


def to_json(rule: SearchRule, *, max_parallel: int | None) -> dict[str, Any]:
    """A search as JSON documents have it."""
    return {
        "trials": rule.trials,
        "max_parallel": max_parallel,
        "timeout": rule.timeout,
        "sampler": rule.sampler,
        "seed": rule.seed,
        "pruner": rule.pruner,
        "pruner_options": dict(rule.pruner_options),
        "goals": [
            {"metric": metric, "goal": goal} for metric, goal in zip(rule.metrics, rule.goals, strict=True)
        ],
        "params": [{**asdict(param), "text": _param_text(param)} for param in rule.params],
        "start_with": [dict(entry) for entry in rule.start_with],
    }


def lines(searches: Iterable[Mapping[str, Any]]) -> list[str]:
    """The entries as lines for people: one for each search, and one for each of its params."""
    text = []
    for entry in searches:
        goals = ", ".join(f"{goal['goal']} {goal['metric']}" for goal in entry["goals"])
        count = entry["trials"]
        of_tasks = f" of {', '.join(entry['tasks'])}" if entry["tasks"] else ""
        parts = [f"{entry['id']}: {count} trial{'' if count == 1 else 's'}{of_tasks}"]
        parts += [f"at most {entry['max_parallel']} at once"] if entry["max_parallel"] else []
        parts += [f"started within {duration_text(entry['timeout'])}"] if entry["timeout"] else []
        parts += [f"sampler {entry['sampler']}"]
        parts += [f"pruner {entry['pruner']}"] if entry["pruner"] else []
        text.append(f"{', '.join(parts)}; {goals}")
        width = max(len(param["name"]) for param in entry["params"])
        text += [f"{'':{INDENT}}{param['name']:<{width}}  {param['text']}" for param in entry["params"]]
    return text


def _param_text(param: SearchParam) -> str:
    """The values of a param in words: `float from 0.001 to 0.1, log`."""
    if param.kind is ParamKind.CHOICES:
        listed = [value if isinstance(value, str) else shown(value) for value in param.choices[:_LISTED]]
        more = len(param.choices) - _LISTED
        parts = [", ".join(listed) + (f" and {more} more" if more > 0 else "")]
    else:
        parts = [f"{param.kind} from {_number(param.low)} to {_number(param.high)}"]
        parts += [f"step {_number(param.step)}"] if param.step is not None else []
        parts += ["log"] if param.log else []
    parts += [f"when {param.when}"] if param.when is not None else []
    return ", ".join(parts)


def _number(value: float | None) -> str:
    """A number of a range, without `.0`."""
    return shown(value).removesuffix(".0")
