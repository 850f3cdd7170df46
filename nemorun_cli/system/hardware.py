"""The local capacity for tasks: CPUs, memory and GPUs, as the system or an executor's options define it."""

from __future__ import annotations

import contextlib
import os
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.capacity import Machine
from nemorun_cli.model.units import size

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
ORDER: Final = "CUDA_DEVICE_ORDER"
PROGRAM: Final = "nvidia-smi"
QUERY: Final = ("--query-gpu=index,uuid", "--format=csv,noheader")
PATIENCE: Final = 20.0  # seconds that nvidia-smi may take, which is long because it may load the driver

_CGROUP: Final = Path("/sys/fs/cgroup")  # in a container, the container's own; a host's root has no limits
_NAMES: Final = ("GPU-", "MIG-")  # prefixes of ids that are not numbers

OPTIONS: Final[Mapping[str, Any]] = {
    "cpus": {
        "description": "Number of CPUs that tasks with `resources` share. Default: all.",
        "title": "a number of CPUs",
        "type": "number",
        "minimum": 0,
        "examples": [8],
    },
    "memory": {
        "description": "Memory that tasks with `resources` share. Default: all.",
        "title": "a size: 512M, 4G, 1.5T",
        "type": "string",
        "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?[KMGTkmgt](i?[Bb])?(?![\s\S])",
        "examples": ["32G"],
    },
    "gpus": {
        "description": "GPUs that tasks with `resources` share: their number, or a list of their ids."
        " Default: the GPUs in CUDA_VISIBLE_DEVICES, if it is set, or those that nvidia-smi reports.",
        "title": "a number of GPUs, or a list of their ids",
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {
                "type": "array",
                "uniqueItems": True,
                "items": {
                    "title": "the number of a GPU, or its id as CUDA_VISIBLE_DEVICES takes it",
                    "anyOf": [
                        {"type": "integer", "minimum": 0},
                        {"type": "string", "pattern": r"^(GPU|MIG)-[A-Za-z0-9/-]+(?![\s\S])"},
                    ],
                },
            },
        ],
        "examples": [4, [0, 1]],
    },
}


def find(options: Mapping[str, Any], *, with_gpus: bool) -> Machine:
    """This machine's capacity; options override the values of the system.

    GPUs are detected only `with_gpus`, because that may run nvidia-smi.
    """
    gpus, origin = _gpus(options.get("gpus")) if with_gpus else ([], "")
    return Machine(
        cpus=float(options["cpus"]) if "cpus" in options else cpus(),
        memory=size(options["memory"]) if "memory" in options else memory(),
        gpus=tuple(gpus),
        marks=tuple(_shared_id(name) for name in gpus),
        origin=origin,
    )


def cpus() -> float:
    """The CPUs that this process may use."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        count = min(count, int(quota) / int(period))  # the quota "max", no limit, raises ValueError
    return count


def memory() -> int | None:
    """The memory of this machine, or the limit of this container, in bytes; None if unknown."""
    try:
        count = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        count = min(count, int((_CGROUP / "memory.max").read_text(encoding="ascii")))
    return count


def environment(gpus: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """The variables that restrict a task to these GPUs.

    GPU numbers mean those of nvidia-smi, unless `given` or this process's environment sets an order.
    """
    variables = {VISIBLE: ",".join(gpus)}
    if gpus and all(name.isdigit() for name in gpus) and not {VISIBLE, ORDER} & {*given, *os.environ}:
        variables[ORDER] = "PCI_BUS_ID"
    return variables


def _gpus(option: float | Sequence[float | str] | None) -> tuple[list[str], str]:
    """The GPUs in the form of `CUDA_VISIBLE_DEVICES`, and the source of the list."""
    inherited = visible(os.environ.get(VISIBLE))
    if isinstance(option, int | float):  # JSON Schema accepts 2.0 as an integer, too
        count = int(option)
        known = [str(number) for number in range(count)] if inherited is None else inherited
        return known[:count], "the option gpus"
    if option is not None:
        names = [gpu if isinstance(gpu, str) else str(int(gpu)) for gpu in option]
        allowed = None if inherited is None else {_shared_id(name) for name in inherited}
        return [name for name in names if allowed is None or _shared_id(name) in allowed], "the option gpus"
    if inherited is not None:
        return inherited, f"{VISIBLE}={os.environ[VISIBLE]}"
    gpus, origin = _query_nvidia_smi()
    return [number for number, _ in gpus], origin


def visible(text: str | None) -> list[str] | None:
    """The GPUs that `CUDA_VISIBLE_DEVICES` lists, up to the first invalid or repeated id; None for None."""
    if text is None:
        return None
    gpus: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if not (name.isdigit() or name.startswith(_NAMES)) or name in gpus:
            break
        gpus.append(name)
    return gpus


def _shared_id(name: str) -> str:
    """The id that all experiments use for a GPU: its number, if that can be determined."""
    if name.isdigit():
        return str(int(name))
    for number, gpu_id in _query_nvidia_smi()[0]:
        if gpu_id.startswith(name):  # CUDA accepts a prefix of an id
            return number
    return name


def _query_nvidia_smi() -> tuple[list[tuple[str, str]], str]:
    """The number and id of each GPU that nvidia-smi reports, and the source; or nothing and the reason."""
    program = shutil.which(PROGRAM)
    return _answer_of(program) if program else ([], f"{PROGRAM} is not on the PATH")


@cache
def _answer_of(program: str) -> tuple[list[tuple[str, str]], str]:
    import subprocess  # noqa: PLC0415 - only needed if tasks request GPUs

    try:
        done = subprocess.run(
            [program, *QUERY],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return [], f"{PROGRAM} failed: {error}"
    rows = (line.split(",") for line in done.stdout.splitlines())
    gpus = [(row[0].strip(), row[1].strip()) for row in rows if len(row) == 2 and row[0].strip().isdigit()]  # noqa: PLR2004 - columns of QUERY
    return gpus, f"reported by {PROGRAM}"
