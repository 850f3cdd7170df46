"""Selects tasks for `--only`, and connects them across the tasks that are left out."""

from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.model.problems import Finding, choices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nemorun_cli.model.spec import Task


def matching(names: Sequence[str], members: Mapping[str, Sequence[str]]) -> tuple[set[str], list[Finding]]:
    """Return the ids that these names, ids and globs match, and a finding for each that matches none.

    Args:
        names: the values of `--only`.
        members: the ids of each task, group or section of handlers by its name.
    """
    ids = [member for of_name in members.values() for member in of_name]
    known = {*ids, *members}
    selected_ids: set[str] = set()
    findings: list[Finding] = []
    for name in names:
        matches = () if name in known else _combination(name, ids) or fnmatch.filter(ids, name)
        if name not in known and not matches:
            message, hint = f"no task is called {name!r}", choices(name, sorted(known))
            findings.append(Finding(place=(), option=f"--only {name}", message=message, hint=hint))
        selected_ids.update(matches or members.get(name, (name,)))
    return selected_ids, findings


def _combination(name: str, ids: Sequence[str]) -> list[str]:
    """The members of a combination of a group, or the tasks of a trial: `tune/trial-0001`."""
    return [member for member in ids if member.startswith(f"{name}/")] if "/" in name else []


def selected(tasks: Sequence[Task], ids: Collection[str]) -> list[Task]:
    """Return only the tasks with these ids; dependencies on other tasks are replaced by theirs."""
    by_id = {task.id: task for task in tasks}
    replaced: dict[tuple[str, ...], tuple[str, ...]] = {}  # members of a sweep share one tuple
    kept: list[Task] = []
    for task in tasks:
        if task.id in ids:
            before = task.dependencies
            if before not in replaced:
                replaced[before] = _nearest(before, by_id, ids)
            kept.append(replace(task, index=len(kept), dependencies=replaced[before]))
    return kept


def _nearest(
    upstream: tuple[str, ...], by_id: Mapping[str, Task], selected: Collection[str]
) -> tuple[str, ...]:
    """Return the nearest selected tasks on each path upstream, direct dependencies first."""
    direct = [task_id for task_id in upstream if task_id in selected]
    seen = set(upstream)
    pending = [task_id for task_id in upstream if task_id not in selected]
    indirect: list[str] = []
    while pending:
        task = by_id.get(pending.pop())
        for task_id in () if task is None else task.dependencies:
            if task_id not in seen:
                seen.add(task_id)
                (indirect if task_id in selected else pending).append(task_id)
    return (*direct, *sorted(indirect, key=lambda task_id: by_id[task_id].index if task_id in by_id else 0))
