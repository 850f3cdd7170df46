"""What a running attempt uses at one moment, as its executor measures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSample:
    """One measurement; what is not known is None.

    Attributes:
        time: when it was taken, in Unix seconds.
        cpu: cores in use on average since the previous sample, or since the start.
        memory: bytes.
    """

    time: float
    cpu: float | None
    memory: int | None

    def fields(self) -> dict[str, Any]:
        """The fields of a row, without the unknown ones."""
        values = {"cpu": None if self.cpu is None else round(self.cpu, 3), "memory": self.memory}
        return {name: value for name, value in values.items() if value is not None}
