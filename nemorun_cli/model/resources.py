"""The resources that tasks request, as plain values, and their wording in messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.model.units import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


SLACK: Final = 1e-6  # CPUs: tolerance for rounding errors in sums of fractions


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The resources that one or several tasks request; None if unspecified. `memory` is in bytes."""

    cpus: float | None = None
    memory: int | None = None
    gpus: int | None = None

    def __bool__(self) -> bool:
        return bool(self.cpus or self.memory or self.gpus)

    @classmethod
    def total(cls, parts: Iterable[Resources]) -> Self:
        """The sum of the resources of tasks that run at the same time."""
        requests = list(parts)
        return cls(
            cpus=sum(request.cpus or 0 for request in requests),
            memory=sum(request.memory or 0 for request in requests),
            gpus=sum(request.gpus or 0 for request in requests),
        )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Resources from the output of `to_json`; keys of a later version are ignored."""
        return cls(cpus=values.get("cpus"), memory=values.get("memory"), gpus=values.get("gpus"))

    def to_json(self) -> dict[str, float | int]:
        """The specified resources, by name."""
        values = {"cpus": self.cpus, "memory": self.memory, "gpus": self.gpus}
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        """`2 CPUs, 4G of memory and 1 GPU`."""
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
