"""Which tasks `--only` means, and what they wait for when others are left out."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.model.problems import Finding, choices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nemorun_cli.model.spec import Task


def meant(names: Sequence[str], members: Mapping[str, Sequence[str]]) -> tuple[set[str], list[Finding]]:
    """The ids of the tasks that these names, ids and globs mean, and which of them mean none.

    Args:
        names: what was given to `--only`.
        members: by the name of a task, group or section of handlers, the ids that it stands for.
    """
    ids = [one for several in members.values() for one in several]
    known = {*ids, *members}
    found: set[str] = set()
    findings: list[Finding] = []
    for name in names:
        fitting = () if name in known else fnmatch.filter(ids, name)
        if name not in known and not fitting:
            message, hint = f"no task is called {name!r}", choices(name, sorted(known))
            findings.append(Finding(place=(), option=f"--only {name}", message=message, hint=hint))
        found.update(fitting or members.get(name, (name,)))
    return found, findings


def selected(tasks: Sequence[Task], chosen: Collection[str]) -> list[Task]:
    """The chosen tasks alone, each after those that it waited for through what is left out."""
    by_id = {task.id: task for task in tasks}
    needs: dict[tuple[str, ...], tuple[str, ...]] = {}  # members of a sweep have the very same ones
    found: list[Task] = []
    for task in tasks:
        if task.id in chosen:
            given = task.dependencies
            if given not in needs:
                needs[given] = _reached(given, by_id, chosen)
            found.append(replace(task, index=len(found), dependencies=needs[given]))
    return found


def _reached(given: tuple[str, ...], by_id: Mapping[str, Task], chosen: Collection[str]) -> tuple[str, ...]:
    """The nearest chosen tasks on every way back from these: what is named itself first."""
    found = [one for one in given if one in chosen]
    seen = set(given)
    left = [one for one in given if one not in chosen]
    behind: list[str] = []
    while left:
        task = by_id.get(left.pop())
        for one in () if task is None else task.dependencies:
            if one not in seen:
                seen.add(one)
                (behind if one in chosen else left).append(one)
    return (*found, *sorted(behind, key=lambda one: by_id[one].index if one in by_id else 0))
