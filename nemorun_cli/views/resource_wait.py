"""What a task that waits for slots of this machine waits for, and who has it: sentences for people."""

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
    """For what the experiment waits on this machine, if it waits for slots."""
    return next((one for one in slots.waiting(_folder(files)) if one.experiment == files.id), None)


def explain(files: ExperimentFiles, task: Task) -> str | None:
    """For what a task waits, how much there is, and who has it; None if it does not wait for slots."""
    queue = slots.waiting(_folder(files))
    own = next((one for one in queue if one.experiment == files.id), None)
    if own is None:
        return None
    if own.wish.task != task.id:
        return f"it waits for {task.resources}, behind {own.wish.task}, which waits for {own.wish.wanted}"
    used = slots.used(_folder(files))
    missing, free = _missing(own, used)
    if missing:
        holders = [one for one in used if _has_some(one.wanted, missing)]
        return f"it waits for {missing}: {free}{_held_by(holders, files.id)}"
    before = [one for one in queue if one.number < own.number]
    named = ", ".join(f"{one.experiment} {one.wish.task} ({one.wish.wanted})" for one in before[:MOST_NAMED])
    return f"it waits for {own.wish.wanted}, set aside for who waits longer: {named or 'somebody until now'}"


def _folder(files: ExperimentFiles) -> Path:
    return Home(files.directory.parents[2]).slots(locks.hostname())


def _missing(own: Waiting, used: Sequence[SlotUse]) -> tuple[Resources, str]:
    """What of a wish is not free, and how much of that is."""
    machine, wanted, total = own.wish.machine, own.wish.wanted, Resources.total(one.wanted for one in used)
    parts: list[str] = []
    cpus = memory = gpus = None
    if wanted.cpus and machine.cpus is not None:
        free = max(0.0, machine.cpus - (total.cpus or 0))
        if free + SLACK < wanted.cpus:
            cpus = wanted.cpus
            parts.append(f"{free:g} of {cpus_text(machine.cpus)}")
    if wanted.memory and machine.memory is not None:
        left = max(0, machine.memory - (total.memory or 0))
        if left < wanted.memory:
            memory = wanted.memory
            parts.append(f"{size_text(left)} of {size_text(machine.memory)} of memory")
    taken = {mark for one in used for mark in one.gpus}
    there = [mark for mark in machine.marks if mark not in taken]
    if len(there) < (wanted.gpus or 0):
        gpus = wanted.gpus
        parts.append(f"{len(there)} of {gpus_text(len(machine.marks))}")
    return Resources(cpus=cpus, memory=memory, gpus=gpus), f"{joined(parts)} free"


def _has_some(wanted: Resources, missing: Resources) -> bool:
    return bool(
        (missing.cpus and wanted.cpus) or (missing.memory and wanted.memory) or (missing.gpus and wanted.gpus)
    )


def _held_by(holders: Sequence[SlotUse], experiment: str) -> str:
    if not holders:
        return ""
    named = [
        f"{one.task if one.experiment == experiment else f'{one.experiment} {one.task}'} ({one.wanted})"
        for one in holders[:MOST_NAMED]
    ]
    return f"; held by {', '.join(named)}" + (", …" if len(holders) > MOST_NAMED else "")
