"""What an attempt has used, as whoever could measure it tells: memory at its peak, and CPU time."""

from __future__ import annotations

import re
import resource
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.resources import cpus_text, gpus_text
from nemorun_cli.model.units import duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.resources import Resources

LARGEST: Final = 1000  # bytes of a file about this that are read
_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes in which a peak is told
_TIMES: Final = re.compile(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s", re.ASCII)
_MINUTE: Final = 60.0
_SHORT: Final = 60.0  # seconds below which parts of a second are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is known of it: `memory` in bytes, `cpu` in seconds; None is what nobody measured."""

    memory: int | None = None
    cpu: float | None = None

    @classmethod
    def of_child(cls, measured: resource.struct_rusage) -> Self:
        """What `wait4` tells of a process and of all that it waited for; of memory the largest one's.

        A process begins with the peak of the one that started it: what does not pass that is not known.
        """
        peak = measured.ru_maxrss
        floor = _own_peak()
        return cls(
            memory=peak * _UNIT if peak > floor else None,
            cpu=round(measured.ru_utime + measured.ru_stime, 3),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Usage as `to_json` wrote it; keys of a later version are passed over."""
        return cls(memory=values.get("memory"), cpu=values.get("cpu"))

    def to_json(self) -> dict[str, float | int]:
        """What is known, by name."""
        values = {"memory": self.memory, "cpu": self.cpu}
        return {name: value for name, value in values.items() if value is not None}


def _own_peak() -> int:
    """The peak that this process hands on, as `getrusage` counts it."""
    told = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (_high_water() or told) if _has_inherited_peak() else told


@cache
def _has_inherited_peak() -> bool:
    """Whether what `getrusage` tells of this process is its parent's peak, which it does not hand on."""
    return (_high_water() or sys.maxsize) < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _high_water() -> int | None:
    """The peak of what this process itself has loaded, in KiB, where the system tells (Linux)."""
    try:
        found = re.search(rb"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_bytes(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def told(wanted: Resources, used: Mapping[str, Any] | None, wall: float | None) -> str:
    """`asked 64G, peak 9G; 12.5s of CPU time in 20s`: what was asked for beside what was used, for people."""
    usage = Usage.from_json(used or {})
    asked = [
        size_text(wanted.memory) if wanted.memory else "",
        cpus_text(wanted.cpus) if wanted.cpus else "",
        gpus_text(wanted.gpus) if wanted.gpus else "",
    ]
    named = " and ".join(part for part in asked if part)
    memory = [f"asked {named}"] if named else []
    memory += [f"peak {size_text(usage.memory)}"] if usage.memory is not None else []
    parts = [", ".join(memory)] if memory else []
    if usage.cpu is not None:
        within = f" in {_seconds(wall)}" if wall is not None else ""
        parts.append(f"{_seconds(usage.cpu)} of CPU time{within}")
    return "; ".join(parts)


def _seconds(value: float) -> str:
    return f"{value:.1f}s" if value < _SHORT else duration_text(round(value))
