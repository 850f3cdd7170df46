"""What this machine has for tasks: CPUs, memory and GPUs, by the system or by an executor's options."""

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
PATIENCE: Final = 20.0  # seconds that nvidia-smi may take, which is long where a driver has to be loaded

_CGROUP: Final = Path("/sys/fs/cgroup")  # of a container; that of a whole machine has no limits
_NAMES: Final = ("GPU-", "MIG-")  # what ids begin with that are no numbers

OPTIONS: Final[Mapping[str, Any]] = {
    "cpus": {
        "description": "How many CPUs tasks with `resources` share. Default: those that `exp` may use.",
        "title": "a number of CPUs",
        "type": "number",
        "minimum": 0,
        "examples": [8],
    },
    "memory": {
        "description": "How much memory tasks with `resources` share. Default: that of this machine.",
        "title": "a size: 512M, 4G, 1.5T",
        "type": "string",
        "pattern": r"^[0-9]{1,9}(\.[0-9]{1,9})?[KMGTkmgt](i?[Bb])?(?![\s\S])",
        "examples": ["32G"],
    },
    "gpus": {
        "description": "The GPUs that tasks with `resources` share: how many, or a list of their ids."
        " Default: what nvidia-smi finds, or CUDA_VISIBLE_DEVICES names.",
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
    """This machine, with what the options say instead of what the system does.

    GPUs are looked for only `with_gpus`: that may start a program.
    """
    gpus, origin = _gpus(options.get("gpus")) if with_gpus else ([], "")
    return Machine(
        cpus=float(options["cpus"]) if "cpus" in options else cpus(),
        memory=size(options["memory"]) if "memory" in options else memory(),
        gpus=tuple(gpus),
        marks=tuple(_mark(name) for name in gpus),
        origin=origin,
    )


def cpus() -> float:
    """The CPUs that this process may use."""
    count = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="ascii").split()
        count = min(count, int(quota) / int(period))  # "max" is no number, and no limit
    return count


def memory() -> int | None:
    """The bytes of memory of this machine, or of the container that this is; None if nobody tells."""
    try:
        count = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
    with contextlib.suppress(OSError, ValueError):
        count = min(count, int((_CGROUP / "memory.max").read_text(encoding="ascii")))
    return count


def environment(gpus: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a task sees these GPUs and no others.

    Numbers mean what they mean to nvidia-smi, unless the environment as `given` says otherwise.
    """
    told = {VISIBLE: ",".join(gpus)}
    if gpus and all(name.isdigit() for name in gpus) and not {VISIBLE, ORDER} & {*given, *os.environ}:
        told[ORDER] = "PCI_BUS_ID"
    return told


def _gpus(wanted: float | Sequence[float | str] | None) -> tuple[list[str], str]:
    """The GPUs as `CUDA_VISIBLE_DEVICES` takes them, and where they are known from."""
    inherited = visible(os.environ.get(VISIBLE))
    if isinstance(wanted, int | float):  # JSON Schema takes 2.0 for a whole number, too
        count = int(wanted)
        known = [str(number) for number in range(count)] if inherited is None else inherited
        return known[:count], "the option gpus"
    if wanted is not None:
        names = [one if isinstance(one, str) else str(int(one)) for one in wanted]
        marks = None if inherited is None else {_mark(name) for name in inherited}
        return [name for name in names if marks is None or _mark(name) in marks], "the option gpus"
    if inherited is not None:
        return inherited, f"{VISIBLE}={os.environ[VISIBLE]}"
    found, origin = _asked()
    return [number for number, _ in found], origin


def visible(text: str | None) -> list[str] | None:
    """The GPUs that `CUDA_VISIBLE_DEVICES` names, up to the first that is none; None if it is unset."""
    if text is None:
        return None
    found: list[str] = []
    for name in (part.strip() for part in text.split(",")):
        if not (name.isdigit() or name.startswith(_NAMES)) or name in found:
            break
        found.append(name)
    return found


def _mark(name: str) -> str:
    """What a GPU is known by among all experiments: its number, if that can be told."""
    if name.isdigit():
        return str(int(name))
    for number, whole in _asked()[0]:
        if whole.startswith(name):  # CUDA takes the beginning of an id for it
            return number
    return name


@cache
def _asked() -> tuple[list[tuple[str, str]], str]:
    """Number and id of each GPU that nvidia-smi tells of, or none and why."""
    import subprocess  # noqa: PLC0415 - only where tasks ask for GPUs

    program = shutil.which(PROGRAM)
    if program is None:
        return [], f"there is no {PROGRAM} on the PATH"
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
        return [], f"{PROGRAM} does not tell: {error}"
    rows = (line.split(",") for line in done.stdout.splitlines())
    found = [(row[0].strip(), row[1].strip()) for row in rows if len(row) == 2 and row[0].strip().isdigit()]  # noqa: PLR2004 - columns of QUERY
    return found, f"asked {PROGRAM}"
