"""Explains in sentences which local capacity a task waits for, and which tasks hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.model.resources import SLACK, Resources, cpus_text, gpus_text, joined
from nemorun_cli.model.units import size_text
from nemorun_cli.storage.paths import Home
from nemorun_cli.system import locks, slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.model.spec import Task
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.system.slots import SlotUse, Waiting

MOST_NAMED: Final = 5  # holders that one sentence names


def waiting_of(files: ExperimentFiles) -> Waiting | None:
    """The experiment's entry in the queue for local capacity, if it waits."""
    return next((entry for entry in slots.waiting(_folder(files)) if entry.experiment == files.id), None)


def explain(files: ExperimentFiles, task: Task) -> str | None:
    """What a task waits for, how much of it is free, and which tasks hold it; None if it does not wait."""
    queue = slots.waiting(_folder(files))
    own = next((entry for entry in queue if entry.experiment == files.id), None)
    if own is None:
        return None
    request = own.request
    if request.task != task.id:
        return f"it waits for {task.resources}, after {request.task}, which waits for {request.wanted}"
    used = slots.used(_folder(files))
    missing, free = _missing(own, used)
    if missing:
        holders = [use for use in used if _has_some(use.wanted, missing)]
        return f"it waits for {missing}: {free}{_held_by(holders, files.id)}"
    earlier = [entry for entry in queue if entry.number < own.number]
    named = ", ".join(
        f"{entry.experiment} {entry.request.task} ({entry.request.wanted})" for entry in earlier[:MOST_NAMED]
    )
    return f"it waits for {request.wanted}, reserved for earlier requests: {named or 'one that just ended'}"


def _folder(files: ExperimentFiles) -> Path:
    return Home(files.home).slots(locks.hostname())


def _missing(own: Waiting, used: Sequence[SlotUse]) -> tuple[Resources, str]:
    """The requested resources that are not free, and a text with the free amounts."""
    machine, wanted, total = (
        own.request.machine,
        own.request.wanted,
        Resources.total(use.wanted for use in used),
    )
    parts: list[str] = []
    cpus = memory = gpus = None
    if wanted.cpus and machine.cpus is not None:
        free_cpus = max(0.0, machine.cpus - (total.cpus or 0))
        if free_cpus + SLACK < wanted.cpus:
            cpus = wanted.cpus
            parts.append(f"{free_cpus:g} of {cpus_text(machine.cpus)}")
    if wanted.memory and machine.memory is not None:
        free_memory = max(0, machine.memory - (total.memory or 0))
        if free_memory < wanted.memory:
            memory = wanted.memory
            parts.append(f"{size_text(free_memory)} of {size_text(machine.memory)} of memory")
    taken = {mark for use in used for mark in use.gpus}
    free_gpus = [mark for mark in machine.marks if mark not in taken]
    if len(free_gpus) < (wanted.gpus or 0):
        gpus = wanted.gpus
        parts.append(f"{len(free_gpus)} of {gpus_text(len(machine.marks))}")
    return Resources(cpus=cpus, memory=memory, gpus=gpus), f"{joined(parts)} free"


def _has_some(wanted: Resources, missing: Resources) -> bool:
    return bool(
        (missing.cpus and wanted.cpus) or (missing.memory and wanted.memory) or (missing.gpus and wanted.gpus)
    )


def _held_by(holders: Sequence[SlotUse], experiment: str) -> str:
    if not holders:
        return ""
    named = [
        f"{use.task if use.experiment == experiment else f'{use.experiment} {use.task}'} ({use.wanted})"
        for use in holders[:MOST_NAMED]
    ]
    return f"; held by {', '.join(named)}" + (", …" if len(holders) > MOST_NAMED else "")
