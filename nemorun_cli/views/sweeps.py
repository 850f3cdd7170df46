"""Progress of a sweep: how many members are done, how many failed, and the estimated time left."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import seconds_between
from nemorun_cli.model.status import ENDS, LIVE, Reason, TaskStatus
from nemorun_cli.model.wording import seconds as seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.model.search import SearchParam
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.storage.state import TaskState

PACE_OF: Final = 50  # recently finished members from which the pace is computed
MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
_LISTED: Final = (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED, TaskStatus.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The statuses of a sweep's members, and how long the rest will take.

    Attributes:
        pruned: how many of the members were pruned.
        unstarted: how many of these had not started.
        cached: how many of them took the results of an earlier success.
        seconds_left: an estimate; None if nothing is known yet.
        basis: what it is based on; None without an estimate.
    """

    group: Group
    counts: Mapping[TaskStatus, int]
    pruned: int = 0
    unstarted: int = 0
    cached: int = 0
    seconds_left: float | None
    basis: str | None = None

    @property
    def line(self) -> str:
        """`37/100 done · 12 pruned · 3 failed · ~2h10 left`; `done` counts neither pruned nor failed ones."""
        stopped = self.pruned, self.unstarted
        parts = [_counted(self.group, self.counts, pruned=stopped, cached=self.cached)]
        left = self.seconds_left or 0.0
        if round(left):  # 0 if the running members already take longer than the others did
            parts.append(f"~{left_text(left)} left")
        return " · ".join(parts)

    @property
    def searched(self) -> Sequence[SearchParam]:
        """The params of its search; none for a matrix."""
        return () if self.group.search is None else self.group.search.params

    @property
    def estimate(self) -> str | None:
        """The time left and what its estimate is based on; None if it is not known, or no time is left."""
        left = round(self.seconds_left or 0.0)
        return f"~{left_text(left)} left: {self.basis}" if left and self.basis else None

    def to_json(self) -> dict[str, Any]:
        """An entry of `sweeps` in `exp.status/1`."""
        return {
            "id": self.group.id,
            "axes": list(self.group.axes) or [param.name for param in self.searched],
            "members": len(self.group.members),
            "counts": {status: count for status, count in self.counts.items() if count},
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left, 1),
        }


def of(spec: Spec) -> list[Group]:
    """The sweeps of a spec, searches included."""
    return [group for group in spec.groups if group.is_template]


def pruned(states: Iterable[TaskState]) -> int:
    """How many members were pruned, also those that therefore did not start."""
    return _succeeded_by(states, Reason.PRUNED) + unstarted(states)


def unstarted(states: Iterable[TaskState]) -> int:
    """How many members did not start as another task of their trial was pruned."""
    return sum(state.reason == Reason.PRUNED and state.status is TaskStatus.SKIPPED for state in states)


def cached(states: Iterable[TaskState]) -> int:
    """How many members took the results of an earlier success."""
    return _succeeded_by(states, Reason.CACHED)


def _succeeded_by(states: Iterable[TaskState], reason: Reason) -> int:
    return sum(state.reason == reason and state.status is TaskStatus.SUCCEEDED for state in states)


def standing(states: Sequence[TaskState], group: Group) -> str:
    """The number of members that are done, and of those that are not: `1/2 done · 1 failed`."""
    counts = Counter(state.status for state in states)
    return _counted(group, counts, pruned=(pruned(states), unstarted(states)), cached=cached(states))


def _counted(group: Group, counts: Mapping[TaskStatus, int], *, pruned: tuple[int, int], cached: int) -> str:
    """The members by their ends; `pruned` is how many were pruned, and how many of these had not started."""
    stopped, skipped = pruned
    others = [f"{stopped} pruned"] if stopped else []
    shown = Counter(counts) - Counter({TaskStatus.SKIPPED: skipped})
    others += [f"{shown[status]} {status.lower()}" for status in _LISTED if shown[status]]
    done = counts.get(TaskStatus.SUCCEEDED, 0) - (stopped - skipped)
    taken = f", {cached} of them cached" if cached else ""
    return " · ".join([f"{done}/{len(group.members)} done{taken}", *others])


def members_json(states: Sequence[TaskState], group: Group) -> dict[str, Any]:
    """An entry of `groups` in `exp.status/1`."""
    stopped = pruned(states)
    succeeded = sum(state.status is TaskStatus.SUCCEEDED for state in states)
    return {
        "id": group.id,
        "members": len(states),
        "done": succeeded - (stopped - unstarted(states)),
        "pruned": stopped,
        "cached": cached(states),
    }


def progress(
    states: Sequence[TaskState],
    group: Group,
    *,
    now: float,
    is_supervised: bool,
    starts_until: float = math.inf,
) -> Progress:
    """The progress of a sweep at `now`, in Unix seconds; after `starts_until` no member starts.

    The time left is estimated from the durations so far and the number of members that run at once. Only a
    supervisor starts the remaining members, so without one it is None.
    """
    counts = Counter(state.status for state in states)
    stopped, skipped, taken = pruned(states), unstarted(states), cached(states)
    estimate = _estimate(states, counts, now) if is_supervised else None
    if estimate is None:
        return Progress(
            group=group, counts=counts, pruned=stopped, unstarted=skipped, cached=taken, seconds_left=None
        )
    left, durations = estimate
    word = "task" if group.has_trials_of_several else "trial"
    basis = _basis(durations, stopped - skipped, sum(counts[status] for status in LIVE), word=word)
    if (longest := max(0.0, starts_until - now) + sum(durations) / len(durations)) < left:
        left, basis = longest, f"{basis}; none starts after its timeout"
    return Progress(
        group=group,
        counts=counts,
        pruned=stopped,
        unstarted=skipped,
        cached=taken,
        seconds_left=left,
        basis=basis,
    )


def _basis(durations: Sequence[float], pruned: int, live: int, *, word: str) -> str:
    """What an estimate is based on: `12 trials took 34s on average, 3 of them pruned; 4 run at once`."""
    mean = seconds_text(sum(durations) / len(durations))
    plural, average = ("", "") if len(durations) == 1 else ("s", " on average")
    took = f"{len(durations)} {word}{plural} took {mean}{average}"
    stopped = f", {pruned} of them pruned" if pruned else ""
    return f"{took}{stopped}; {live} run{'s' if live == 1 else ''} at once"


def _estimate(
    states: Sequence[TaskState], counts: Mapping[TaskStatus, int], now: float
) -> tuple[float, list[float]] | None:
    """The seconds left, and the durations that they are based on."""
    live = sum(counts[status] for status in LIVE)
    durations = _durations(states, (TaskStatus.SUCCEEDED,)) or _durations(states, (TaskStatus.FAILED,))
    if not durations or not live or sum(counts[status] for status in ENDS) == len(states):
        return None
    mean = sum(durations) / len(durations)
    remaining = [
        max(0.0, mean - seconds_between(state.started, now)) if state.started else mean
        for state in states
        if state.is_live
    ]
    pending = counts[TaskStatus.PENDING]
    left = max((sum(remaining) + mean * pending) / live, *remaining, _at_pace(states, pending, now))
    return left, durations


def _at_pace(states: Sequence[TaskState], count: int, now: float) -> float:
    """Seconds that `count` members take at the recent pace, including their start; 0 if unknown."""
    latest = heapq.nlargest(PACE_OF, (state.ended for state in states if state.started and state.ended))
    return count * seconds_between(latest[-1], now) / PACE_OF if len(latest) == PACE_OF else 0.0


def _durations(states: Sequence[TaskState], statuses: tuple[TaskStatus, ...]) -> list[float]:
    return [
        seconds
        for state in states
        if state.status in statuses and state.ended and (seconds := state.seconds(0.0)) is not None
    ]


def left_text(seconds: float) -> str:
    """An estimated time in at most two units: `45s`, `12m`, `2h10`, `3d4h`."""
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole}s"
    if whole < HOUR:
        return f"{round(whole / MINUTE)}m"
    if whole < DAY:
        minutes = round(whole / MINUTE)
        return f"{minutes // 60}h{minutes % 60:02}"
    return f"{whole // DAY}d{whole % DAY // HOUR}h"
