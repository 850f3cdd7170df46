"""Resolves `{task: train, same: matrix}`: the members of a sweep that match a member by its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.tasks.externals import is_external
from nemorun_cli.spec.tasks.matrix import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.tasks.expand import Expansion
    from nemorun_cli.spec.tasks.matrix import Combination, Sweep


@dataclass(slots=True)
class SameMatrix:
    """The matching members of each member of one task, the sweeps they are in, and the errors."""

    matching: dict[str, dict[str, str | tuple[str, ...]]] = field(default_factory=dict)
    sweeps: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def matching_members(
    name: str, entries: Sequence[Any], members: Mapping[str, tuple[str, ...]], expansion: Expansion
) -> SameMatrix:
    """Resolve the dependencies that are mappings."""
    result = SameMatrix()
    own = expansion.sweeps.get(name)
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or is_external(entry) or entry["task"] in expansion.unconfirmed:
            continue
        other, place = entry["task"], ("tasks", name, "dependencies", index)
        problem = _problem(name, other, own, members, expansion)
        if problem is None and (other in entries or other in result.sweeps):
            problem = f"{other} is named twice", None
        if problem is not None:
            message, hint = problem
            result.findings.append(Finding(place=place, message=message, hint=hint))
            continue
        assert own is not None  # noqa: S101 - otherwise there is a problem
        result.sweeps.append(other)
        _match(result, (name, own), (other, expansion.sweeps[other]), members, place)
    return result


def _problem(
    name: str,
    other: str,
    own: Sweep | None,
    members: Mapping[str, tuple[str, ...]],
    expansion: Expansion,
) -> tuple[str, str | None] | None:
    if other not in members:
        return f"no task is called {other!r}", choices(other, list(members))
    if other == name:
        return f"{name} cannot depend on itself", None
    if own is None or name in expansion.searches:
        return f"{name} has no matrix of its own", f"write {other} to depend on all of its members"
    if other not in expansion.sweeps or other in expansion.searches:
        return f"{other} has no matrix", f"write {other} alone"
    theirs = expansion.sweeps[other]
    if not set(own.axes) & set(theirs.axes):
        axes = f"{name} has {', '.join(own.axes)}; {other} has {', '.join(theirs.axes)}"
        return f"{name} and {other} have no axis in common: {axes}", None
    return None


def _match(
    result: SameMatrix,
    dependent: tuple[str, Sweep],
    upstream: tuple[str, Sweep],
    members: Mapping[str, tuple[str, ...]],
    place: Place,
) -> None:
    """Add the matching members of every member; report the first member without any."""
    (name, own), (other, sweep) = dependent, upstream
    axes = [axis for axis in sweep.axes if axis in own.axes]
    size = len(members[other]) // len(sweep.combinations)
    by_values: dict[Any, list[str]] = {}
    for number, combination in enumerate(sweep.combinations):
        by_values.setdefault(_key(combination, axes), []).extend(
            members[other][number * size : (number + 1) * size]
        )
    is_single = size == 1 and len(axes) == len(sweep.axes)
    own_size = len(members[name]) // len(own.combinations)
    for number, combination in enumerate(own.combinations):
        ids = by_values.get(_key(combination, axes))
        if ids is None:
            values = ", ".join(
                f"{axis}={combination.values[axis]}" for axis in axes if axis in combination.values
            )
            message = f"{name}/{combination.name} has no matching member: no member of {other} has {values}"
            result.findings.append(Finding(place=place, message=message))
            return
        matching = ids[0] if is_single and len(ids) == 1 else tuple(ids)
        for member in members[name][number * own_size : (number + 1) * own_size]:
            result.matching.setdefault(member, {})[other] = matching


def _key(combination: Combination, axes: Sequence[str]) -> tuple[Any, ...]:
    return tuple(key_of(combination.values[axis]) if axis in combination.values else None for axis in axes)
