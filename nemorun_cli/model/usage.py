"""The measured usage of an attempt: peak memory, CPU time and peak GPU memory."""

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

LARGEST: Final = 1000  # bytes that are read of a usage file
NAMES: Final = ("memory", "cpu", "gpu_memory")
_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # bytes per unit of `ru_maxrss`
_TIMES: Final = re.compile(r"(\d+)m([\d.]+)s (\d+)m([\d.]+)s", re.ASCII)
_MINUTE: Final = 60.0
_SHORT: Final = 60.0  # seconds below which tenths of a second are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Peak `memory` in bytes, `cpu` time in seconds, peak `gpu_memory` in bytes; None if not measured."""

    memory: int | None = None
    cpu: float | None = None
    gpu_memory: int | None = None

    @classmethod
    def of_child(cls, measured: resource.struct_rusage) -> Self:
        """The usage that `wait4` reports for a process and its descendants; `memory` is the largest peak.

        A process starts with the peak of the process that started it: a peak that does not exceed that one is
        unknown.
        """
        peak = measured.ru_maxrss
        floor = _own_peak()
        return cls(
            memory=peak * _UNIT if peak > floor else None,
            cpu=round(measured.ru_utime + measured.ru_stime, 3),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Usage from the output of `to_json`; keys of a later version are ignored."""
        return cls(**{name: values.get(name) for name in NAMES})

    def to_json(self) -> dict[str, float | int]:
        """The measured values, by name."""
        values = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def combined(cls, usage: Self | None, other: Self | None) -> Self | None:
        """The usage, with the values of `other` where it has none."""
        if usage is None or other is None:
            return usage or other
        return cls.from_json({**other.to_json(), **usage.to_json()})


def _own_peak() -> int:
    """The peak that child processes inherit from this process, in units of `ru_maxrss`."""
    reported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (_high_water() or reported) if _has_inherited_peak() else reported


@cache
def _has_inherited_peak() -> bool:
    """Whether `getrusage` reports the parent's peak for this process; children do not inherit that one."""
    return (_high_water() or sys.maxsize) < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _high_water() -> int | None:
    """The peak resident memory of this process itself, in KiB; None if not on Linux."""
    try:
        match = re.search(rb"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_bytes(), re.MULTILINE)
    except OSError:
        return None
    return int(match[1]) if match else None


def summary(wanted: Resources, used: Mapping[str, Any] | None, wall: float | None) -> str:
    """The requested and the used resources, each as far as it is known.

    For example, `requested 64G and 1 GPU, peak 9G and 12G of GPU memory; 12.5s of CPU time in 20s`.
    """
    usage = Usage.from_json(used or {})
    requested = [
        size_text(wanted.memory) if wanted.memory else "",
        cpus_text(wanted.cpus) if wanted.cpus else "",
        gpus_text(wanted.gpus) if wanted.gpus else "",
    ]
    listed = " and ".join(part for part in requested if part)
    memory = [f"requested {listed}"] if listed else []
    peaks = [size_text(usage.memory)] if usage.memory is not None else []
    peaks += [f"{size_text(usage.gpu_memory)} of GPU memory"] if usage.gpu_memory is not None else []
    memory += [f"peak {' and '.join(peaks)}"] if peaks else []
    parts = [", ".join(memory)] if memory else []
    if usage.cpu is not None:
        within = f" in {_seconds(wall)}" if wall is not None else ""
        parts.append(f"{_seconds(usage.cpu)} of CPU time{within}")
    return "; ".join(parts)


def _seconds(value: float) -> str:
    return f"{value:.1f}s" if value < _SHORT else duration_text(round(value))
