"""The dependency graph: members of each task, resolved `dependencies`, matching members, cycles."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field, replace
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

MOST_EDGES = 1_000_000  # between members
Matching: TypeAlias = "dict[str, str | tuple[str, ...]]"
"""Per sweep, its matching member; several in a tuple."""

_MAX_CYCLES = 20  # reported at once; each takes a search of the whole graph


@dataclass(frozen=True, slots=True)
class Member:
    """One future task, as written in the spec; `group` is the entry of the group it belongs to."""

    id: str
    name: str
    own: Mapping[str, Any]
    place: Place
    group: Mapping[str, Any] | None = None
    number: int = 0  # among the members of its group
    matrix: Mapping[str, Any] | None = None  # the values of its combination


@dataclass(frozen=True, slots=True)
class MemberGraph:
    """The dependencies between the tasks of a spec.

    Attributes:
        members: the ids of the members of each name, in the order of the file.
        needs: the ids of the members that all members of a name depend on.
        owners: the name that each member belongs to.
        matching: for names with `same: matrix`, the matching members that each of their members depends on.
        order: the ids of the members of its own group, or combination of one, that a member depends on.
        siblings: by member with such dependencies, the ids of all that finish before it, by `GROUP/NAME`.
    """

    members: dict[str, tuple[str, ...]]
    needs: dict[str, tuple[str, ...]]
    owners: dict[str, str]
    matching: dict[str, dict[str, Matching]] = field(default_factory=dict)
    order: dict[str, tuple[str, ...]] = field(default_factory=dict)
    siblings: dict[str, dict[str, str]] = field(default_factory=dict)

    def matching_of(self, member: str) -> Matching:
        """The members whose outputs a member uses by the names of their sweeps, or of its own group."""
        return {**self.matching.get(self.owners[member], {}).get(member, {}), **self.siblings.get(member, {})}

    def needs_of(self, member: str) -> tuple[str, ...]:
        """Return the dependencies of a member; members without matching members share one tuple."""
        name = self.owners[member]
        shared = (*self.needs[name], *self.order[member]) if member in self.order else self.needs[name]
        matching = self.matching.get(name, {}).get(member)
        if not matching:
            return shared
        own = (match for ids in matching.values() for match in ((ids,) if isinstance(ids, str) else ids))
        return tuple(dict.fromkeys((*shared, *own)))

    def waits_for(self, member: str, upstream: Iterable[str]) -> bool:
        """Whether a member starts only after all of these members have finished."""
        missing = set(upstream)
        seen: set[str] = set()
        pending = list(self.needs_of(member))
        while pending and missing:
            member = pending.pop()
            if member not in seen:
                seen.add(member)
                missing.discard(member)
                pending += self.needs_of(member)
        return not missing


def graph(
    tasks: Mapping[str, Any], expansion: Expansion, *, sequential: bool
) -> tuple[MemberGraph, list[Finding]]:
    """Return the graph of a spec's tasks without invalid dependencies, and a finding for each of those."""
    sweeps = expansion.sweeps
    members = {name: member_ids(name, task, sweeps.get(name)) for name, task in tasks.items()}
    owners = {member: name for name, ids in members.items() for member in ids} | {n: n for n in members}
    findings = [
        finding
        for name, task in tasks.items()
        if "group" in task
        for finding in _check_member_names(name, task)
    ]
    order, siblings, errors = _member_order(tasks, members)
    findings += errors
    if sequential:
        chain, errors = _chain(tasks, members, owners)
        return replace(chain, order=order, siblings=siblings), [*findings, *errors]
    needs: dict[str, tuple[str, ...]] = {}
    edges: dict[str, list[str]] = {}
    matching: dict[str, dict[str, Matching]] = {}
    for name, task in tasks.items():
        entries = task.get("dependencies")
        if not entries:
            needs[name], edges[name] = (), []
            continue
        known = _resolved(name, entries, owners, expansion.unconfirmed, findings)
        edges[name] = list(dict.fromkeys(owners[dependency] for dependency in known))
        ids = (member for dependency in known for member in members.get(dependency, (dependency,)))
        needs[name] = tuple(dict.fromkeys(ids))
        if len(members[name]) * len(needs[name]) > MOST_EDGES:
            findings.append(_too_many(name, len(members[name]), len(needs[name])))
        if any("same" in entry for entry in entries if isinstance(entry, dict)) and (
            name not in expansion.unconfirmed
        ):
            from nemorun_cli.spec.tasks.same_matrix import matching_members  # noqa: PLC0415 - only for sweeps

            resolved = matching_members(name, entries, members, expansion)
            matching[name] = resolved.matching
            edges[name] += resolved.sweeps
            findings += resolved.findings
    findings += _cycles(edges)
    return MemberGraph(members, needs, owners, matching, order, siblings), findings


def _member_order(
    tasks: Mapping[str, Any], members: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, str]], list[Finding]]:
    """The fields `order` and `siblings` of the graph, and the errors."""
    order: dict[str, tuple[str, ...]] = {}
    siblings: dict[str, dict[str, str]] = {}
    findings: list[Finding] = []
    for name, task in tasks.items():
        if not any("dependencies" in member for member in task.get("group", ())):
            continue
        from nemorun_cli.spec.tasks import member_order  # noqa: PLC0415 - few groups have an order

        needs, found = member_order.needs_of_members(name, task)
        findings += found
        above, size = member_order.above(needs), len(needs)
        names = [f"{name}/{member.get('name', index)}" for index, member in enumerate(task["group"])]
        for index, member in enumerate(members[name]):
            number, first = index % size, index - index % size
            if needs[number]:
                order[member] = tuple(members[name][first + each] for each in needs[number])
                siblings[member] = {names[each]: members[name][first + each] for each in above[number]}
    return order, siblings, findings


def _check_member_names(name: str, task: Mapping[str, Any]) -> Iterator[Finding]:
    """Find members of a group named like an earlier one, or by an expression.

    Members without a name get their index as id, which cannot clash: no name is a number.
    """
    first: dict[str, int] = {}
    for index, member in enumerate(task["group"]):
        if "name" not in member:
            continue
        called, place = member["name"], ("tasks", name, "group", index, "name")
        if OPENING in called:
            message, hint = f"{called} is not known yet when members get their ids", "write a literal name"
            yield Finding(place=place, message=message, hint=hint)
        elif (other := first.setdefault(called, index)) != index:
            message = f"two members of {name} are called {called!r}: see item {other} of the group"
            hint = "give each member a name of its own"
            yield Finding(place=place, message=message, hint=hint)


def _too_many(name: str, count: int, needed: int) -> Finding:
    message = f"{count:,} members would wait for {needed:,} tasks each"
    hint = "put one task between them, or name the matching member: {task: …, same: matrix}"
    return Finding(place=("tasks", name, "dependencies"), message=message, hint=hint)


def member_ids(name: str, task: Mapping[str, Any], sweep: Sweep | None = None) -> tuple[str, ...]:
    """Return the ids that a task expands to: its own, or one per member."""
    prefixes = (
        [name] if sweep is None else [f"{name}/{combination.name}" for combination in sweep.combinations]
    )
    if "group" not in task:
        return tuple(prefixes)
    names = [member.get("name", index) for index, member in enumerate(task["group"])]
    return tuple(f"{prefix}/{member}" for prefix in prefixes for member in names)


def members_of(
    name: str, entry: Mapping[str, Any], ids: Sequence[str], matrix: Mapping[str, Any] | None = None
) -> Iterator[Member]:
    """Yield the task itself or each member of its group, for one combination of its matrix."""
    if "group" not in entry:
        yield Member(ids[0], name, entry, ("tasks", name), matrix=matrix)
        return
    for number, (member_id, own) in enumerate(zip(ids, entry["group"], strict=True)):
        yield Member(member_id, name, own, ("tasks", name, "group", number), entry, number, matrix)


def _resolved(
    name: str,
    entries: Sequence[Any],
    owners: Mapping[str, str],
    unconfirmed: Collection[str],
    findings: list[Finding],
) -> list[str]:
    """Return the names and ids in `dependencies`, globs expanded; skip entries with `same: matrix`."""
    known: list[str] = []
    for index, dependency in enumerate(entries):
        place = ("tasks", name, "dependencies", index)
        if not isinstance(dependency, str) or dependency.partition("/")[0] in unconfirmed:
            continue
        if dependency not in owners and any(char in dependency for char in "*?["):
            already = set(known)
            matches = [match for match in fnmatch.filter(owners, dependency) if match not in already]
            if not matches:
                findings.append(Finding(place=place, message=f"no task matches {dependency!r}"))
            elif any(owners[match] == name for match in matches):
                message = f"{name} cannot depend on itself, but {dependency!r} matches it"
                findings.append(Finding(place=place, message=message))
            else:
                known += matches
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
    """Return a graph in which each task depends on the previous one in the file."""
    hint = "remove them or run.sequential"
    message = "cannot be combined with run.sequential"
    findings = [
        Finding(place=("tasks", name, "dependencies"), message=message, hint=hint)
        for name, task in tasks.items()
        if task.get("dependencies")
    ]
    names = list(members)
    needs: dict[str, tuple[str, ...]] = dict.fromkeys(names[:1], ())
    for before, name in pairwise(names):
        needs[name] = members[before]
    return MemberGraph(members, needs, owners), findings


def _cycles(edges: dict[str, list[str]]) -> list[Finding]:
    """Return one finding per cycle, at its first task in the file."""
    findings: list[Finding] = []
    order = {name: index for index, name in enumerate(edges)}
    while len(findings) < _MAX_CYCLES:
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as fault:
            # graphlib lists a task before the one that needs it; readers expect "a needs b" as a -> b.
            cycle = list(reversed(fault.args[1][1:]))
            first = min(range(len(cycle)), key=lambda index: order[cycle[index]])
            cycle = cycle[first:] + cycle[:first]
            shown = " -> ".join([*cycle, cycle[0]])
            hint = "remove one of these dependencies"
            place = ("tasks", cycle[0], "dependencies")
            findings.append(Finding(place=place, message=f"is a cycle: {shown}", hint=hint))
            following = cycle[1 % len(cycle)]
            edges[cycle[0]] = [name for name in edges[cycle[0]] if name != following]
        else:
            break
    return findings
