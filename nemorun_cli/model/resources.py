"""What tasks ask of a machine and what a machine has: plain values, and the rule of who goes first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


SLACK: Final = 1e-6  # CPUs that adding up fractions may be wrong by


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one task, or several together, need; None is what nothing is said of. `memory` is in bytes."""

    cpus: float | None = None
    memory: int | None = None
    gpus: int | None = None

    def __bool__(self) -> bool:
        return bool(self.cpus or self.memory or self.gpus)

    @classmethod
    def total(cls, parts: Iterable[Resources]) -> Self:
        """What several tasks need that run at the same time."""
        several = list(parts)
        return cls(
            cpus=sum(one.cpus or 0 for one in several),
            memory=sum(one.memory or 0 for one in several),
            gpus=sum(one.gpus or 0 for one in several),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Resources as `to_json` wrote them; keys of a later version are passed over."""
        return cls(cpus=values.get("cpus"), memory=values.get("memory"), gpus=values.get("gpus"))

    def to_json(self) -> dict[str, float | int]:
        """What is said of, by name."""
        values = {"cpus": self.cpus, "memory": self.memory, "gpus": self.gpus}
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        """`2 CPUs, 4G of memory and 1 GPU`, for people."""
        parts = [
            cpus_text(self.cpus) if self.cpus else "",
            f"{size_text(self.memory)} of memory" if self.memory else "",
            gpus_text(self.gpus) if self.gpus else "",
        ]
        return joined([part for part in parts if part]) or "nothing"


NOTHING: Final = Resources()


def cpus_text(count: float) -> str:
    """`1 CPU`, `2 CPUs`, `0.5 CPUs`."""
    return f"{count:g} CPU" if count == 1 else f"{count:g} CPUs"


def gpus_text(count: int) -> str:
    """`1 GPU`, `2 GPUs`."""
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
