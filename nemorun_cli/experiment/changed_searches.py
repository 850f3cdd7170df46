"""A changed spec for an experiment with searches: what may change once a search has suggested values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.model.status import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.storage.state import ExperimentState

# Keys of a search on which suggestions depend, with the fields of its rule.
_FIXED: Final = {
    "params": "params",
    "metric": "metrics",
    "goal": "goals",
    "sampler": "sampler",
    "seed": "seed",
    "start_with": "start_with",
}
_ADVICE: Final = (
    "trials, timeout, max_parallel, max_failures and pruner can change; for another search, start another "
    "experiment: exp run"
)


def refuse(old: Spec, new: Spec, history: ExperimentState) -> None:
    """Refuse changes of searches that have suggested values: later suggestions use the results of these.

    Raises:
        UsageError: such a search has another space, sampler or seed, or fewer trials than suggestions.
    """
    before, after = _searches(old), _searches(new)
    for name, study in history.studies.items():
        if not study.suggestions or name not in after:
            continue
        count, rule = len(study.suggestions), after[name]
        if name not in before:
            message = f"{name} had a search, which an earlier revision removed"
            raise UsageError(message, hint="give the task another name, or start another experiment: exp run")
        if _is_of_group(old, name) != _is_of_group(new, name):
            message = f"the search {name} has suggested values for {_counted(count)}, so its trials cannot"
            message += " become groups of tasks" if _is_of_group(new, name) else " become single tasks"
            raise UsageError(message, hint=_ADVICE)
        fields = list(_changed(before[name], rule))
        if fields:
            message = f"the search {name} has suggested values for {_counted(count)}, so its"
            raise UsageError(f"{message} {' and '.join(fields)} cannot change", hint=_ADVICE)
        if rule.trials < max(study.suggestions):
            message = f"the search {name} has suggested values for {_counted(count)}"
            raise UsageError(f"{message}, so trials cannot be {rule.trials}", hint=_ADVICE)


def continued(old: Spec, new: Spec, history: ExperimentState) -> dict[str, str]:
    """The trials that were not started as their search had ended, and the reason why it continues."""
    groups = {group.id: group for group in old.groups if group.search is not None}
    found: dict[str, str] = {}
    for group in new.groups:
        before = groups.get(group.id)
        if before is None or not (extended := _extended(before, group)):
            continue
        for name in group.members:
            state = history.tasks.get(name)
            if state is not None and state.is_needless and state.reason == Reason.UNTIL:
                found[name] = f"the search continues: {extended}"
    return found


def _searches(spec: Spec) -> dict[str, SearchRule]:
    return {group.id: group.search for group in spec.groups if group.search is not None}


def _is_of_group(spec: Spec, name: str) -> bool:
    return any(group.has_trials_of_several for group in spec.groups if group.id == name)


def _changed(before: SearchRule, after: SearchRule) -> Iterator[str]:
    for key, field in _FIXED.items():
        if getattr(before, field) != getattr(after, field):
            yield key


def _extended(before: Group, after: Group) -> str:
    """The changed keys because of which a search continues that had ended."""
    old, new = before.search, after.search
    if old is None or new is None:
        return ""
    changes = {
        "trials": new.trials > old.trials,
        "timeout": old.timeout is not None and (new.timeout is None or new.timeout > old.timeout),
    }
    return " and ".join(f"changed {key}" for key, holds in changes.items() if holds)


def _counted(trials: int) -> str:
    return "1 trial" if trials == 1 else f"{trials} trials"
