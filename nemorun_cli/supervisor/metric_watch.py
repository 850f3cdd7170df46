"""Shows the metrics of running attempts to their judges as rows arrive, and returns what they decide.

Rows come from the records of an attempt: the task has tracked them, or the tracker has read its output.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.model import metric_keys
from nemorun_cli.model.metric_patterns import OVER
from nemorun_cli.scheduler.metric_judges import MetricValue
from nemorun_cli.tracking.access.value_follower import ValueFollower
from nemorun_cli.tracking.store.record_paths import Place, check_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from nemorun_cli.executors import Job, Key
    from nemorun_cli.scheduler.metric_judges import MetricJudge, StopDecision
    from nemorun_cli.tracking.access.value_follower import LoggedValue

LOOK_EVERY: Final = 1.0  # seconds between looks at the records of all attempts
LOOK_TIME: Final = 0.1  # seconds that one part of a look may take; the next turn of the loop continues it
LOOKS_AT_END: Final = 16  # at what an attempt has logged last, a mebibyte of each file at a time
MOST_NAMED: Final = 8  # metrics of a record that are named where one is missing


@dataclass(slots=True)
class _Watched:
    """A running attempt: its judge, and how far its records were read."""

    job: Job
    judge: MetricJudge
    follower: ValueFollower
    is_decided: bool = False


class MetricWatch:
    """Watches the metrics of running attempts.

    Args:
        experiment: the id of the experiment.
        records: the roots and prefixes of the records that an attempt has opened.
        judge: returns the judge of an attempt that has just started; None if nothing can stop it.
        report: called with each error message.
    """

    def __init__(
        self,
        experiment: str,
        *,
        records: Callable[[str, int], Iterable[tuple[str, str]]],
        judge: Callable[[str], MetricJudge | None],
        report: Callable[[str], None],
    ) -> None:
        self._experiment, self._records, self._judge, self._report = experiment, records, judge, report
        self._watched: dict[Key, _Watched] = {}
        self._errors: dict[Key, str] = {}
        self._turn: list[Key] = []  # the attempts that this look has still to read
        self._is_behind = False  # whether it left rows of some attempt
        self._next_look = 0.0

    def begin(self, job: Job) -> None:
        """Watch an attempt that has started, unless nothing can stop it."""
        if job.key not in self._watched and (judge := self._judge(job.task)) is not None:
            follower = ValueFollower(
                judge.metrics, experiment=self._experiment, task=job.task, attempt=job.attempt
            )
            self._watched[job.key] = _Watched(job, judge, follower)

    def look(self) -> Iterator[tuple[Job, StopDecision]]:
        """The attempts whose judges decide to stop them, each once; reads the rows that have arrived."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._turn = self._turn or list(self._watched)
        while self._turn and time.monotonic() - now <= LOOK_TIME:
            watched = self._watched.get(self._turn.pop())
            if watched is None or watched.is_decided:
                continue
            decision = watched.judge.see(map(metric_value, self._values(watched)))
            self._is_behind |= watched.follower.is_behind
            if decision is not None:
                watched.is_decided = True
                yield watched.job, decision
        if not self._turn:
            self._next_look = now if self._is_behind else now + LOOK_EVERY
            self._is_behind = False

    def due(self) -> float | None:
        """The monotonic time of the next look; None if nothing is watched."""
        return self._next_look if self._watched else None

    def end(self, key: Key) -> list[dict[str, Any]]:
        """Stop watching an attempt that has ended; returns the metrics that its judge had no value of.

        This is the field `unjudged` of the event `ended`.
        """
        watched = self._watched.pop(key, None)
        self._errors.pop(key, None)
        if watched is None or watched.is_decided:
            return []
        for _ in range(LOOKS_AT_END):
            self._values(watched)
            if not watched.follower.is_behind:
                break
        expected = {wanted.key for wanted in watched.judge.expected}
        return [entry for entry in unjudged(watched.follower) if entry["metric"] in expected]

    def _values(self, watched: _Watched) -> list[LoggedValue]:
        """The values that have arrived; an error is reported once, and the next look continues."""
        key, follower = watched.job.key, watched.follower
        try:
            places = [Place(root, check_prefix(prefix)) for root, prefix in self._records(*key)]
        except (ExpError, OSError) as error:
            values, problem = [], str(error)
        else:
            values = follower.read(places)
            problem = "; ".join(follower.problems)
        if problem != self._errors.get(key, ""):
            self._errors[key] = problem
            if problem:
                self._report(f"some metrics of {key[0]} cannot be judged: {problem}")
        return values


def unjudged(follower: ValueFollower) -> list[dict[str, Any]]:
    """The metrics of which there was no value to judge: why, and which metrics there are instead.

    The reason is `never` if the record has no such metric, `text` if it has no number, and `ambiguous` if
    several have that name.
    """
    entries: list[dict[str, Any]] = []
    for wanted in follower.wanted:
        meant = follower.meant(wanted.key)
        if not meant:
            reason, named = "never", [field for field in follower.fields if field[1] not in OVER]
        elif len(meant) > 1 and not wanted.takes_all:
            reason, named = "ambiguous", meant
        elif wanted in follower.not_numbers and wanted not in follower.numbers:
            reason, named = "text", meant
        else:
            continue
        names = list(metric_keys.titles(named).values())[:MOST_NAMED]
        entry = {"metric": wanted.key, "reason": reason, "names": names}
        entries += [entry] if entry not in entries else []
    return entries


def metric_value(logged: LoggedValue) -> MetricValue:
    """A value as judges see it: an integer beyond the largest float counts as infinite."""
    return MetricValue(
        metric=logged.wanted,
        field=logged.field,
        value=_as_float(logged.value),
        step=_number(logged.row, "step"),
        epoch=_number(logged.row, "epoch"),
        is_leading=logged.rank in (None, 0),
    )


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    return _as_float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
