"""Who of a sweep is meant by `{task: train, same: matrix}`: those with a member's own values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.tasks.matrix import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.tasks.expand import Expansion
    from nemorun_cli.spec.tasks.matrix import Combination, Sweep


@dataclass(slots=True)
class SameMatrix:
    """The twins of each member of one task, the sweeps that they are of, and what is wrong."""

    twins: dict[str, dict[str, str | tuple[str, ...]]] = field(default_factory=dict)
    sweeps: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def twins_in(
    name: str, given: Sequence[Any], members: Mapping[str, tuple[str, ...]], expansion: Expansion
) -> SameMatrix:
    """Who is meant by each of the dependencies that are mappings."""
    found = SameMatrix()
    own = expansion.sweeps.get(name)
    for index, entry in enumerate(given):
        if not isinstance(entry, dict) or entry["task"] in expansion.unconfirmed:
            continue
        other, place = entry["task"], ("tasks", name, "dependencies", index)
        problem = _refused(name, other, own, members, expansion)
        if problem is None and (other in given or other in found.sweeps):
            problem = f"{other} is named twice", None
        if problem is not None:
            message, hint = problem
            found.findings.append(Finding(place=place, message=message, hint=hint))
            continue
        assert own is not None  # noqa: S101 - else it was refused
        found.sweeps.append(other)
        _match(found, (name, own), (other, expansion.sweeps[other]), members, place)
    return found


def _refused(
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
    if own is None:
        return f"{name} has no matrix to be the same", f"write {other} to depend on all of its members"
    if other not in expansion.sweeps:
        return f"{other} has no matrix", f"write {other} alone"
    theirs = expansion.sweeps[other]
    if not set(own.axes) & set(theirs.axes):
        told = f"{', '.join(own.axes)} here and {', '.join(theirs.axes)} there"
        return f"{name} and {other} have no axis in common: {told}", None
    return None


def _match(
    found: SameMatrix,
    mine: tuple[str, Sweep],
    theirs: tuple[str, Sweep],
    members: Mapping[str, tuple[str, ...]],
    place: Place,
) -> None:
    """Note the twins of every member; the first that has none is told."""
    (name, own), (other, sweep) = mine, theirs
    axes = [axis for axis in sweep.axes if axis in own.axes]
    size = len(members[other]) // len(sweep.combinations)
    by_values: dict[Any, list[str]] = {}
    for number, one in enumerate(sweep.combinations):
        by_values.setdefault(_key(one, axes), []).extend(members[other][number * size : (number + 1) * size])
    is_one = size == 1 and len(axes) == len(sweep.axes)
    count = len(members[name]) // len(own.combinations)
    for number, one in enumerate(own.combinations):
        ids = by_values.get(_key(one, axes))
        if ids is None:
            wanted = ", ".join(f"{axis}={one.values[axis]}" for axis in axes if axis in one.values)
            message = f"{name}/{one.name} has no twin: no member of {other} has {wanted}"
            found.findings.append(Finding(place=place, message=message))
            return
        twin = ids[0] if is_one and len(ids) == 1 else tuple(ids)
        for member in members[name][number * count : (number + 1) * count]:
            found.twins.setdefault(member, {})[other] = twin


def _key(one: Combination, axes: Sequence[str]) -> tuple[Any, ...]:
    return tuple(key_of(one.values[axis]) if axis in one.values else None for axis in axes)
