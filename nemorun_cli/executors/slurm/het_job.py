"""Co-scheduled groups: one job with a step for each member; heterogeneous if their requests differ. Pure."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.sbatch_options import END_OF_FLAGS, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors.slurm.sbatch_options import Request

STEP: Final = "step"  # in an attempt's folder: the id of the step that runs its task

# Writes the id of its step to a file, so that the step can be cancelled, and becomes the task. The id is that
# of the component's own job: scancel does not find a step by the id of the whole heterogeneous job.
_RECORD_STEP: Final = 'echo "${job}.$SLURM_STEP_ID" >"$0"; exec "$@"'

_PER_NODE: Final = frozenset(
    ["nodes", "mem", "gres", "gpus-per-node", "exclusive", "tmp", "mincpus", "ntasks-per-node"]
)
_PER_JOB: Final = ("ntasks", "gpus")
_PER_STEP: Final = ("cpus-per-task", "gpus", "gpus-per-task", "mem-per-cpu", "mem-per-gpu")
_PLACING: Final = ("nodes", "nodelist", "nodefile", "exclude", "relative")  # of srun
_PLACING_LETTERS: Final = frozenset(["-N", "-w", "-F", "-x", "-r"])  # the same
_SPREAD: Final = frozenset(["nodes", "ntasks", "ntasks-per-node"])
_COUNT: Final = re.compile(r"((?:[A-Za-z]\w*:)?)(\d+)")  # 4, or a100:4
_GPUS: Final = re.compile(r"(?:gres/)?gpu((?::[A-Za-z]\w*)?)((?::\d+)?)")  # in the syntax of `gres`
_MEMORY: Final = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_MEGABYTES: Final = {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}


def components(requests: Sequence[Request]) -> list[tuple[str, ...]]:
    """The options of each component: one component if all members request the same, else one per member.

    Where a request per node cannot be expressed per task, each member gets its own nodes.
    """
    first = _per_task(_by_name(requests[0].options))
    if any(_comparable(request.options) != _comparable(requests[0].options) for request in requests):
        return [request.options for request in requests]
    count, options = len(requests), dict(first)
    for name in ("nodes", *_PER_JOB):
        value = first.get(name, "1")
        if name not in first and not (name == "nodes" and first.keys() & _PER_NODE):
            continue
        if not (number := _COUNT.fullmatch(value)):
            return [request.options for request in requests]  # a range, which cannot be multiplied
        options[name] = f"{number[1]}{int(number[2]) * count}"
    if "nodes" in options and not first.keys() & {"ntasks", "ntasks-per-node"}:
        options["ntasks-per-node"] = "1"
    elif "nodes" not in options and "ntasks" not in options:
        options["ntasks"] = str(count)
    if times := [time for request in requests if (time := _by_name(request.options).get("time"))]:
        options["time"] = max(times, key=_duration)
    return [tuple(f"--{name}={value}" if value else f"--{name}" for name, value in options.items())]


def nodes_of_each(requests: Sequence[Request], argv: Sequence[str]) -> int | None:
    """How many nodes of a single component each member has for itself; None if steps may share nodes.

    `argv` is the command line of a member, whose arguments for srun may choose the nodes.
    """
    parts, first = components(requests), _per_task(_by_name(requests[0].options))
    if len(parts) > 1 or "nodes" not in _by_name(parts[0]) or "ntasks" in first:
        return None
    if any(map(_chooses_nodes, argv[1 : argv.index(END_OF_FLAGS)])):
        return None
    return int(first.get("nodes", "1"))


def _chooses_nodes(argument: str) -> bool:
    """Whether an argument of srun, which takes abbreviations, conflicts with `--relative`."""
    name = argument.removeprefix("--").partition("=")[0]
    if argument.startswith("--"):
        return len(name) > 1 and any(option.startswith(name) for option in _PLACING)
    return argument[:2] in _PLACING_LETTERS


def step(
    request: Request,
    argv: Sequence[str],
    *,
    id_file: str,
    component: int | None,
    first_node: int | None = None,
) -> tuple[str, ...]:
    """The command line of a member's step.

    Args:
        request: what the member requests.
        argv: its command line, which begins with srun and its flags.
        id_file: where the step writes its id.
        component: its number in a heterogeneous job; None if the job has one component.
        first_node: the number of its first node in the allocation; None if srun chooses its nodes.
    """
    options = _by_name(request.options)
    if component is None:
        options = _per_task(options)
    nodes = options.get("nodes", "1")
    tasks = options.get("ntasks")
    if tasks is None and nodes.isdigit():
        tasks = str(int(nodes) * int(options.get("ntasks-per-node", "1")))
    flags = [f"--nodes={nodes}"] if "nodes" in options or "ntasks" not in options else []
    flags += [f"--ntasks={tasks}"] if tasks else []
    flags += [f"--{name}={options[name]}" for name in _PER_STEP if name in options]
    flags += [] if first_node is None else [f"--relative={first_node}"]
    flags.append("--exact" if component is None else f"--het-group={component}")
    job_id = "SLURM_JOB_ID" if component is None else f"SLURM_JOB_ID_HET_GROUP_{component}"
    end = argv.index(END_OF_FLAGS)
    record_step = _RECORD_STEP.format(job=job_id)
    return (argv[0], *flags, *argv[1 : end + 1], "/bin/sh", "-c", record_step, id_file, *argv[end + 1 :])


def _by_name(options: Iterable[str]) -> dict[str, str]:
    parts = (option.partition("=") for option in options)
    return {name.removeprefix("--"): value for name, _, value in parts}


def _per_task(options: dict[str, str]) -> dict[str, str]:
    """A single task's requests per node, expressed per task so that members can share a node."""
    if options.keys() & _SPREAD:
        return options
    converted = dict(options)
    if (memory := _MEMORY.fullmatch(converted.get("mem", ""))) and int(memory[1]):
        megabytes = int(memory[1]) * _MEGABYTES[memory[2].upper()]
        cpus = int(converted["cpus-per-task"]) if converted.get("cpus-per-task", "").isdigit() else 1
        del converted["mem"]
        converted["mem-per-cpu"] = f"{max(1, math.ceil(megabytes / cpus))}M"
    if "gpus" not in converted and (per_node := converted.pop("gpus-per-node", None)):
        converted["gpus"] = per_node
    if "gpus" not in converted and (gpus := _GPUS.fullmatch(converted.get("gres", ""))):
        del converted["gres"]
        converted["gpus"] = f"{gpus[1]}{gpus[2] or ':1'}".removeprefix(":")
    return converted


def _comparable(options: Iterable[str]) -> dict[str, str]:
    """The options that members of one component have to share: all but the time limit."""
    return {name: value for name, value in _by_name(options).items() if name != "time"}


def _duration(time: str) -> float:
    return math.inf if (seconds := seconds_of(time)) is None else seconds
