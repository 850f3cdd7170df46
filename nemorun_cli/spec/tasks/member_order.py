"""The key `dependencies` of a member: the members of its group that must finish first."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import Finding, choices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.problems import Place

KEY: Final = "dependencies"
_CONFLICTS: Final = {  # keys of a group, each with what it means for the order of members
    "together": "members with `together` start at once",
    "until": "members with `until` start with the one that leads",
}


def needs_of_members(name: str, task: Mapping[str, Any]) -> tuple[list[tuple[int, ...]], list[Finding]]:
    """By the number of each member of a group, those that it depends on; and what is wrong with that.

    Args:
        name: the group.
        task: its keys.
    """
    members: Sequence[Mapping[str, Any]] = task["group"]
    findings: list[Finding] = []
    names = [str(member.get("name", index)) for index, member in enumerate(members)]
    needs: dict[int, tuple[int, ...]] = {}
    for number, member in enumerate(members):
        place: Place = ("tasks", name, "group", number, KEY)
        listed = member.get(KEY, ())
        needs[number], found = _resolved(listed, names, names[number], place)
        findings += found
        for key in _CONFLICTS.keys() & task.keys() if listed else ():
            if task[key] not in (False, "all"):
                message = f"cannot be combined with {key} of the group: {_CONFLICTS[key]}"
                findings.append(Finding(place=place, message=message, hint="leave one of the two out"))
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as fault:
        cycle = list(reversed(fault.args[1]))
        shown = " -> ".join(names[number] for number in cycle)
        place = ("tasks", name, "group", min(cycle), KEY)
        message = f"is a cycle: {shown}"
        findings.append(Finding(place=place, message=message, hint="remove one of these dependencies"))
        return [() for _ in members], findings
    return [needs[number] for number in range(len(members))], findings


def _resolved(
    listed: Sequence[str], names: Sequence[str], own: str, place: Place
) -> tuple[tuple[int, ...], list[Finding]]:
    """The numbers of the members that a member names, and what is wrong with the names."""
    findings: list[Finding] = []
    numbers: list[int] = []
    for index, needed in enumerate(listed):
        hint = None
        if needed not in names:
            message = f"names no other member of the group: {needed!r}"
            others = [each for each in names if each != own]
            hint = "for a task outside of the group, write dependencies next to group"
            hint = f"{choices(needed, others)}; {hint}" if others else hint
        elif needed == own:
            message = f"{own} cannot depend on itself"
        elif names.index(needed) in numbers:
            message = f"{needed} is named twice"
        else:
            numbers.append(names.index(needed))
            continue
        findings.append(Finding(place=(*place, index), message=message, hint=hint))
    return tuple(numbers), findings


def above(needs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """By the number of each member, all that finish before it starts, directly needed or not."""
    found: list[list[int]] = []
    for direct in needs:
        pending, seen = list(direct), dict.fromkeys(direct)
        while pending:
            more = [number for number in needs[pending.pop()] if number not in seen]
            seen |= dict.fromkeys(more)
            pending += more
        found.append(sorted(seen))
    return found
