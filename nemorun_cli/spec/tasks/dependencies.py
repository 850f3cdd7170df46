"""What tasks expand to and what depends on what: members, names in `dependencies`, twins, cycles."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.expressions.syntax import OPENING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.tasks.expand import Expansion
    from nemorun_cli.spec.tasks.matrix import Sweep

MOST_EDGES = 1_000_000  # from members to members
Twins: TypeAlias = "dict[str, str | tuple[str, ...]]"
"""By sweep, who of it is meant: one member, or several."""

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
    matrix: Mapping[str, Any] | None = None  # the values of its combination


@dataclass(frozen=True, slots=True)
class MemberGraph:
    """The tasks of a spec: `members` of each name in the order of the file, `needs` as ids of members.

    `owners` gives the name that a member belongs to. `twins` gives, of names that depend on their
    twins in a sweep, for each of their members who that is.
    """

    members: dict[str, tuple[str, ...]]
    needs: dict[str, tuple[str, ...]]
    owners: dict[str, str]
    twins: dict[str, dict[str, Twins]] = field(default_factory=dict)

    def needs_of(self, member: str) -> tuple[str, ...]:
        """What one member waits for: the very same tuple for all that have no twins."""
        name = self.owners[member]
        shared = self.needs[name]
        found = self.twins.get(name, {}).get(member)
        if not found:
            return shared
        own = (one for ids in found.values() for one in ((ids,) if isinstance(ids, str) else ids))
        return tuple(dict.fromkeys((*shared, *own)))

    def waits_for(self, member: str, wanted: Iterable[str]) -> bool:
        """Whether all of these members have to be over before this one begins."""
        missing = set(wanted)
        seen: set[str] = set()
        left = list(self.needs_of(member))
        while left and missing:
            member = left.pop()
            if member not in seen:
                seen.add(member)
                missing.discard(member)
                left += self.needs_of(member)
        return not missing


def graph(
    tasks: Mapping[str, Any], expansion: Expansion, *, sequential: bool
) -> tuple[MemberGraph, list[Finding]]:
    """The graph of a spec's tasks, less what is wrong with their dependencies, and what that is."""
    sweeps = expansion.sweeps
    members = {name: member_ids(name, task, sweeps.get(name)) for name, task in tasks.items()}
    owners = {member: name for name, ids in members.items() for member in ids} | {n: n for n in members}
    findings = [found for name, task in tasks.items() if "group" in task for found in _namesakes(name, task)]
    if sequential:
        chain, refused = _chain(tasks, members, owners)
        return chain, [*findings, *refused]
    needs: dict[str, tuple[str, ...]] = {}
    edges: dict[str, list[str]] = {}
    twins: dict[str, dict[str, Twins]] = {}
    for name, task in tasks.items():
        given = task.get("dependencies")
        if not given:
            needs[name], edges[name] = (), []
            continue
        known = _known(name, given, owners, expansion.unconfirmed, findings)
        edges[name] = list(dict.fromkeys(owners[dependency] for dependency in known))
        ids = (member for dependency in known for member in members.get(dependency, (dependency,)))
        needs[name] = tuple(dict.fromkeys(ids))
        if len(members[name]) * len(needs[name]) > MOST_EDGES:
            findings.append(_too_many(name, len(members[name]), len(needs[name])))
        named = [one for one in given if isinstance(one, dict)]
        if named and name not in expansion.unconfirmed:
            from nemorun_cli.spec.tasks.same_matrix import twins_in  # noqa: PLC0415 - only sweeps have twins

            found = twins_in(name, given, members, expansion)
            twins[name] = found.twins
            edges[name] += found.sweeps
            findings += found.findings
    findings += _cycles(edges)
    return MemberGraph(members, needs, owners, twins), findings


def _namesakes(name: str, task: Mapping[str, Any]) -> Iterator[Finding]:
    """The members of a group that have the name of an earlier one, or none yet; no name is a number."""
    first: dict[str, int] = {}
    for index, member in enumerate(task["group"]):
        if "name" not in member:
            continue
        called, place = member["name"], ("tasks", name, "group", index, "name")
        if OPENING in called:
            message, hint = f"{called} is not known when members get their ids", "write the name itself"
            yield Finding(place=place, message=message, hint=hint)
        elif (other := first.setdefault(called, index)) != index:
            message = f"two members of {name} are called {called!r}: item {other} of the group is one already"
            hint = "give each member a name of its own"
            yield Finding(place=place, message=message, hint=hint)


def _too_many(name: str, count: int, needed: int) -> Finding:
    message = f"{count:,} members would wait for {needed:,} tasks each"
    hint = "put one task between them, or name the twin: {task: …, same: matrix}"
    return Finding(place=("tasks", name, "dependencies"), message=message, hint=hint)


def member_ids(name: str, task: Mapping[str, Any], sweep: Sweep | None = None) -> tuple[str, ...]:
    """The ids that a task expands to: its own, or one a member."""
    leads = [name] if sweep is None else [f"{name}/{one.name}" for one in sweep.combinations]
    if "group" not in task:
        return tuple(leads)
    names = [member.get("name", index) for index, member in enumerate(task["group"])]
    return tuple(f"{lead}/{member}" for lead in leads for member in names)


def members_of(
    name: str, entry: Mapping[str, Any], ids: Sequence[str], matrix: Mapping[str, Any] | None = None
) -> Iterator[Member]:
    """The task itself, or each member of a group, under its id, as one combination of a matrix has it."""
    if "group" not in entry:
        yield Member(ids[0], name, entry, ("tasks", name), matrix=matrix)
        return
    for number, (member_id, own) in enumerate(zip(ids, entry["group"], strict=True)):
        yield Member(member_id, name, own, ("tasks", name, "group", number), entry, number, matrix)


def _known(
    name: str,
    given: Sequence[Any],
    owners: Mapping[str, str],
    unconfirmed: Collection[str],
    findings: list[Finding],
) -> list[str]:
    """The names and ids that dependencies name; globs as what they fit, twins left out."""
    known: list[str] = []
    for index, dependency in enumerate(given):
        place = ("tasks", name, "dependencies", index)
        if not isinstance(dependency, str) or dependency.partition("/")[0] in unconfirmed:
            continue
        if dependency not in owners and any(char in dependency for char in "*?["):
            taken = set(known)
            found = [one for one in fnmatch.filter(owners, dependency) if one not in taken]
            if not found:
                findings.append(Finding(place=place, message=f"no task fits {dependency!r}"))
            elif any(owners[one] == name for one in found):
                message = f"{name} cannot depend on itself, which {dependency!r} fits too"
                findings.append(Finding(place=place, message=message))
            else:
                known += found
        elif dependency not in owners:
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
) -> tuple[MemberGraph, list[Finding]]:
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
    return MemberGraph(members, needs, owners), findings


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
