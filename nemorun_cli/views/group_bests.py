"""The best member of each group that has a rule for it: in one line, and in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.storage.state import ChosenBest, ExperimentState


_PLURALS: Final = {"is": "are", "was": "were", "has": "have"}


def of(spec: Spec) -> list[Group]:
    """The groups that have a rule."""
    return [group for group in spec.groups if group.best is not None]


def chosen(history: ExperimentState, group: Group) -> ChosenBest | None:
    """The best of a group, if it is chosen by its present rule."""
    best = history.best.get(group.id)
    return best if best is not None and best.rule == group.best else None


def to_json(spec: Spec, history: ExperimentState) -> list[dict[str, Any]]:
    """The field `best` of `exp.status/1`, `exp.show/1` and `exp.why/1`."""
    entries = []
    for group in of(spec):
        assert group.best is not None  # noqa: S101 - see `of`
        best = chosen(history, group)
        entries.append(
            {
                "group": group.id,
                "metric": group.best.metric,
                "goal": group.best.goal,
                "winner": best.winner if best else None,
                "value": best.value if best else None,
                "tied": list(best.tied) if best else [],
                "excluded": [dict(each) for each in best.excluded] if best else [],
                "message": best.message if best else None,
            }
        )
    return entries


def lines(history: ExperimentState, groups: Iterable[Group], *, with_excluded: bool = False) -> list[str]:
    """A line for each group whose best is chosen: `the best of train is train/lr=0.5 (minimize loss, 0.13)`.

    Args:
        history: the state of the experiment.
        groups: the groups.
        with_excluded: whether a line for each reason follows for which members do not qualify.
    """
    texts = []
    for group in groups:
        if (best := chosen(history, group)) is None:
            continue
        if group.search is not None and best.winner is not None:
            continue  # see `searches.lines`
        texts.append(described(group, best))
        reasons: dict[str, list[str]] = {}
        for each in best.excluded if with_excluded else ():
            reasons.setdefault(each["message"], []).append(group.unit_of(each["task"]))
        texts += [f"cannot be the best: {excluded(reason, tasks)}" for reason, tasks in reasons.items()]
    return texts


def excluded(reason: str, tasks: Sequence[str]) -> str:
    """Which members cannot be the best, and the reason that they share: `train/a, train/b are FAILED`."""
    verb, _, rest = reason.partition(" ")
    return f"{named(tasks)} {_PLURALS.get(verb, verb) if len(tasks) > 1 else verb} {rest}"


def described(group: Group, best: ChosenBest) -> str:
    """Which member is the best of a group, and by what value."""
    rule = f"{best.rule.goal} {best.rule.metric}"
    if best.winner is None:
        return f"{group.id} has no best member by {best.rule.metric}: {best.message or 'none qualifies'}"
    value = "" if best.value is None else f", {best.value:.6g}"
    tied = f", as good: {named([group.unit_of(name) for name in best.tied])}" if best.tied else ""
    return f"the best of {group.id} is {group.unit_of(best.winner)} ({rule}{value}{tied})"


def named(names: Sequence[str], most: int = 3) -> str:
    """Some names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
