"""What expressions use of the best member of a group: known once the group has ended, and it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.scheduler.evaluations import UnevaluatedError
from nemorun_cli.storage.paths import ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.model.spec import Group, Identity
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.state import ChosenBest

MOST_NAMED: Final = 5  # members that a message names


class UnchosenError(UnevaluatedError):
    """The best member of a group is not chosen yet; a task that uses it waits."""

    def __init__(self, group: str) -> None:
        super().__init__(group)
        self.group = group


class BestValues(Mapping[str, Mapping[str, Any]]):
    """By group: `id`, `params`, `outputs`, `value` and `dir` of its best member.

    A lookup raises UnchosenError while the best is not chosen, and TemplateError if no member qualifies.

    Args:
        schedule: the groups, and the state of their members.
        identity: the experiment.
    """

    def __init__(self, schedule: Schedule, identity: Identity) -> None:
        self._schedule = schedule
        self._files = ExperimentFiles(Path(identity.directory))

    def __getitem__(self, group_id: str) -> Mapping[str, Any]:
        group = self._schedule.groups[group_id]
        if group.best is None:
            raise KeyError(group_id)
        chosen = self._schedule.chosen_best(group)
        if chosen is None:
            raise UnchosenError(group_id)
        if chosen.winner is None:
            from nemorun_cli.spec.expressions.syntax import TemplateError  # noqa: PLC0415 - an expression is being evaluated

            raise TemplateError(why_none(group, chosen))
        best = group.unit_of(chosen.winner)
        return {
            "id": best,
            "params": self._params(chosen.winner),
            "outputs": self._outputs(chosen.winner),
            "value": chosen.value,
            "dir": str(self._files.task(best)),
        }

    def _outputs(self, winner: str) -> Mapping[str, Any]:
        """The outputs of the best member, or of all tasks of the best trial: first that with the value."""
        names = [name for name in self._schedule.trials.tasks_of(winner) if name != winner]
        outputs = [self._schedule.history.tasks[name].outputs for name in (*names, winner)]
        return {key: value for each in outputs for key, value in each.items()}

    def _params(self, member: str) -> Mapping[str, Any]:
        task = self._schedule.tasks[member]
        suggestion = self._schedule.trials.suggestion(task)
        return task.matrix if suggestion is None else suggestion.params

    def __contains__(self, group_id: object) -> bool:
        group = self._schedule.groups.get(group_id) if isinstance(group_id, str) else None
        return group is not None and group.best is not None

    def __iter__(self) -> Iterator[str]:
        return (group.id for group in self._schedule.spec.groups if group.best is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def why_none(group: Group, chosen: ChosenBest) -> str:
    """Why a group has no best member, with the reasons of the first members."""
    text = f"no member of {group.id} can be the best by {chosen.rule.metric}"
    if chosen.message:
        return f"{text}: {chosen.message}"
    reasons = [f"{group.unit_of(each['task'])} {each['message']}" for each in chosen.excluded]
    more = [f"and {len(reasons) - MOST_NAMED} more"] if len(reasons) > MOST_NAMED else []
    return f"{text}: {'; '.join([*reasons[:MOST_NAMED], *more])}"
