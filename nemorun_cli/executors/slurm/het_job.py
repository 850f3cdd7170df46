"""Members of a group that start together: one job, a step for each; heterogeneous if they differ. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.sbatch_options import END_OF_FLAGS, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors.slurm.sbatch_options import Request

STEP: Final = "step"  # in an attempt's folder: the id of the step that runs its task

# Says at its node which step it is, for whoever has to end it, and becomes the task. Steps are those of the
# component's own job, which scancel does not find by the number of the whole.
_MARK: Final = 'echo "${job}.$SLURM_STEP_ID" >"$0"; exec "$@"'

_OF_NODES: Final = frozenset(
    ["nodes", "mem", "gres", "gpus-per-node", "exclusive", "tmp", "mincpus", "ntasks-per-node"]
)
_OF_JOBS: Final = ("ntasks", "gpus")
_OF_STEPS: Final = ("cpus-per-task", "gpus", "gpus-per-task", "mem-per-cpu", "mem-per-gpu")
_SPREAD: Final = frozenset(["nodes", "ntasks", "ntasks-per-node"])
_COUNT: Final = re.compile(r"((?:[A-Za-z]\w*:)?)(\d+)")  # 4, or a100:4
_GPUS: Final = re.compile(r"(?:gres/)?gpu((?::[A-Za-z]\w*)?)((?::\d+)?)")  # as `gres` tells them
_MEMORY: Final = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_MEGABYTES: Final = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}


def components(requests: Sequence[Request]) -> list[tuple[str, ...]]:
    """What sbatch is asked for: one component for members that want the same, else one for each.

    Where the members want something of nodes that cannot be told by tasks, each gets nodes of its own.
    """
    first = _of_one_task(_named(requests[0].options))
    if any(_plain(one.options) != _plain(requests[0].options) for one in requests):
        return [one.options for one in requests]
    count, found = len(requests), dict(first)
    for name in ("nodes", *_OF_JOBS):
        value = first.get(name, "1")
        if name not in first and not (name == "nodes" and first.keys() & _OF_NODES):
            continue
        if not (number := _COUNT.fullmatch(value)):
            return [one.options for one in requests]  # a range, which cannot be multiplied
        found[name] = f"{number[1]}{int(number[2]) * count}"
    if "nodes" in found and not first.keys() & {"ntasks", "ntasks-per-node"}:
        found["ntasks-per-node"] = "1"
    elif "nodes" not in found and "ntasks" not in found:
        found["ntasks"] = str(count)
    if times := [time for one in requests if (time := _named(one.options).get("time"))]:
        found["time"] = max(times, key=_length)
    return [tuple(f"--{name}={value}" if value else f"--{name}" for name, value in found.items())]


def step(asked: Request, argv: Sequence[str], *, mark: str, component: int | None) -> tuple[str, ...]:
    """The command line of a member's step.

    Args:
        asked: what the member asks for.
        argv: its command line, which begins with srun and its flags.
        mark: where the step writes down its id.
        component: its number in a heterogeneous job; None if there are none.
    """
    named = _named(asked.options)
    if component is None:
        named = _of_one_task(named)
    nodes = named.get("nodes", "1")
    tasks = named.get("ntasks")
    if tasks is None and nodes.isdigit():
        tasks = str(int(nodes) * int(named.get("ntasks-per-node", "1")))
    flags = [f"--nodes={nodes}"] if "nodes" in named or "ntasks" not in named else []
    flags += [f"--ntasks={tasks}"] if tasks else []
    flags += [f"--{name}={named[name]}" for name in _OF_STEPS if name in named]
    flags.append("--exact" if component is None else f"--het-group={component}")
    says = _MARK.format(job="SLURM_JOB_ID" if component is None else f"SLURM_JOB_ID_HET_GROUP_{component}")
    own = argv.index(END_OF_FLAGS)
    return (argv[0], *flags, *argv[1 : own + 1], "/bin/sh", "-c", says, mark, *argv[own + 1 :])


def _named(options: Iterable[str]) -> dict[str, str]:
    return {name.removeprefix("--"): value for name, _, value in (one.partition("=") for one in options)}


def _of_one_task(named: dict[str, str]) -> dict[str, str]:
    """What a member of one task wants of its node, told so that it can share the node with others."""
    if named.keys() & _SPREAD:
        return named
    found = dict(named)
    if (memory := _MEMORY.fullmatch(found.get("mem", ""))) and int(memory[1]):
        megabytes = int(memory[1]) * _MEGABYTES[memory[2].upper()]
        cpus = int(found["cpus-per-task"]) if found.get("cpus-per-task", "").isdigit() else 1
        del found["mem"]
        found["mem-per-cpu"] = f"{max(1, math.ceil(megabytes / cpus))}M"
    if "gpus" not in found and (of_node := found.pop("gpus-per-node", None)):
        found["gpus"] = of_node
    if "gpus" not in found and (gpus := _GPUS.fullmatch(found.get("gres", ""))):
        del found["gres"]
        found["gpus"] = f"{gpus[1]}{gpus[2] or ':1'}".removeprefix(":")
    return found


def _plain(options: Iterable[str]) -> dict[str, str]:
    """What members have to have in common: all but how long they may run."""
    return {name: value for name, value in _named(options).items() if name != "time"}


def _length(time: str) -> float:
    return math.inf if (seconds := seconds_of(time)) is None else seconds
