"""What tasks expand to and what depends on what: members, names in `dependencies`, cycles."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from nemorun_cli.problems import Finding, choices

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.problems import Place

_MAX_CYCLES = 20  # told at once; each is found by a search of the whole graph


@dataclass(frozen=True, slots=True)
class Member:
    """One task to be, as it stands in the spec; `group` is the task that it is a member of."""

    id: str
    name: str
    own: Mapping[str, Any]
    place: Place
    group: Mapping[str, Any] | None = None
    number: int = 0  # among the members of its group


@dataclass(frozen=True, slots=True)
class Graph:
    """The tasks of a spec: `members` of each name in the order of the file, `needs` as ids of members.

    `owners` gives the name that a member belongs to.
    """

    members: dict[str, tuple[str, ...]]
    needs: dict[str, tuple[str, ...]]
    owners: dict[str, str]

    def waits_for(self, name: str, wanted: Iterable[str]) -> bool:
        """Whether all of these members have to be over before the task or group begins."""
        missing = set(wanted)
        seen: set[str] = set()
        left = list(self.needs[name])
        while left and missing:
            member = left.pop()
            if member not in seen:
                seen.add(member)
                missing.discard(member)
                left += self.needs[self.owners[member]]
        return not missing


def graph(tasks: Mapping[str, Any], *, sequential: bool) -> tuple[Graph, list[Finding]]:
    """The graph of a spec's tasks, less what is wrong with their dependencies, and what that is."""
    members = {name: member_ids(name, task) for name, task in tasks.items()}
    owners = {member: name for name, ids in members.items() for member in ids} | {n: n for n in members}
    if sequential:
        return _chain(tasks, members, owners)
    findings: list[Finding] = []
    needs: dict[str, tuple[str, ...]] = {}
    edges: dict[str, list[str]] = {}
    for name, task in tasks.items():
        given = task.get("dependencies")
        if not given:
            needs[name], edges[name] = (), []
            continue
        known = _known(name, given, owners, findings)
        edges[name] = [owners[dependency] for dependency in known]
        ids = (member for dependency in known for member in members.get(dependency, (dependency,)))
        needs[name] = tuple(dict.fromkeys(ids))
    findings += _cycles(edges)
    return Graph(members, needs, owners), findings


def member_ids(name: str, task: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids that a task expands to: its own, or one a member."""
    if "group" not in task:
        return (name,)
    return tuple(f"{name}/{member.get('name', index)}" for index, member in enumerate(task["group"]))


def members_of(name: str, entry: Mapping[str, Any], ids: tuple[str, ...]) -> Iterator[Member]:
    """The task itself, or each member of a group, under its id."""
    if "group" not in entry:
        yield Member(ids[0], name, entry, ("tasks", name))
        return
    for number, (member_id, own) in enumerate(zip(ids, entry["group"], strict=True)):
        yield Member(member_id, name, own, ("tasks", name, "group", number), entry, number)


def _known(name: str, given: Sequence[str], owners: Mapping[str, str], findings: list[Finding]) -> list[str]:
    known: list[str] = []
    for index, dependency in enumerate(given):
        place = ("tasks", name, "dependencies", index)
        if dependency not in owners:
            message = f"no task is called {dependency!r}"
            findings.append(Finding(place=place, message=message, hint=choices(dependency, list(owners))))
        elif owners[dependency] == name:
            findings.append(Finding(place=place, message=f"{name} cannot depend on itself"))
        elif dependency in known:
            findings.append(Finding(place=place, message=f"{dependency} is named twice"))
        else:
            known.append(dependency)
    return known


def _chain(
    tasks: Mapping[str, Any], members: dict[str, tuple[str, ...]], owners: dict[str, str]
) -> tuple[Graph, list[Finding]]:
    """Each task after the one before it in the file."""
    hint = "leave them out, or leave out run.sequential"
    findings = [
        Finding(place=("tasks", name, "dependencies"), message="are refused by run.sequential", hint=hint)
        for name, task in tasks.items()
        if task.get("dependencies")
    ]
    names = list(members)
    needs: dict[str, tuple[str, ...]] = dict.fromkeys(names[:1], ())
    for before, name in pairwise(names):
        needs[name] = members[before]
    return Graph(members, needs, owners), findings


def _cycles(edges: dict[str, list[str]]) -> list[Finding]:
    """One finding a cycle, at the first of its tasks in the file."""
    findings: list[Finding] = []
    order = {name: index for index, name in enumerate(edges)}
    while len(findings) < _MAX_CYCLES:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as fault:
            # graphlib names each task before the one that needs it; people read "a needs b" from a to b.
            cycle = list(reversed(fault.args[1][1:]))
            first = min(range(len(cycle)), key=lambda index: order[cycle[index]])
            cycle = cycle[first:] + cycle[:first]
            shown = " -> ".join([*cycle, cycle[0]])
            hint = "one of them has to go first"
            place = ("tasks", cycle[0], "dependencies")
            findings.append(Finding(place=place, message=f"is a cycle: {shown}", hint=hint))
            following = cycle[1 % len(cycle)]
            edges[cycle[0]] = [name for name in edges[cycle[0]] if name != following]
        else:
            break
    return findings
