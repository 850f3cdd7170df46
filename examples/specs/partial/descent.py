"""Gradient descent on a parabola, in parts that a spec puts together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parabola:
    """A curve with its least value at `centre`."""

    centre: float

    def slope(self, x: float) -> float:
        """The curve's derivative."""
        return 2 * (x - self.centre)


@dataclass(frozen=True)
class Rate:
    """A learning rate."""

    value: float


@dataclass(frozen=True)
class Decay:
    """A learning rate that shrinks by `factor` at each step."""

    rate: Rate
    factor: float

    def at(self, step: int) -> float:
        """The learning rate of a step."""
        return self.rate.value * self.factor**step


def minimise(start: float, steps: int, curve: Parabola, schedule: Decay) -> dict[str, float | int]:
    """Where the descent ends, and after how many steps."""
    x = start
    for step in range(steps):
        x -= schedule.at(step) * curve.slope(x)
    print(f"from {start} to {x:.6f} in {steps} steps")
    return {"x": round(x, 6), "steps": steps}
