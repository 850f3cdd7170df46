"""A frame of the live display: what it shows of one snapshot, so that no part contradicts another."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import table_layout, wrapping
from nemorun_cli.cli.table_layout import Column
from nemorun_cli.model import wording
from nemorun_cli.model.clock import seconds_between
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.spec import kin_of, task_named
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.views import searches, sweeps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.cli.table_layout import Line
    from nemorun_cli.views.snapshot import Snapshot

MARKS: Final = {"SUCCEEDED": "✓", "FAILED": "✗", "CANCELLED": "■", "SKIPPED": "-"}
ENDS: Final = tuple(TaskStatus(name) for name in MARKS)
COLUMNS: Final = (
    Column(""),
    Column("", is_number=True),
    Column("", spare=1),
    Column("", spare=3),
    Column("", spare=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningTask:
    """An unfinished task that is in an engine; `started` is None while it waits there."""

    id: str
    status: TaskStatus
    started: str | None
    executor: str
    attempt: int

    def cells(self, now: float) -> list[str]:
        """Its row at `now`, in Unix seconds."""
        duration = wording.seconds(seconds_between(self.started, now)) if self.started else ""
        attempt = f"attempt {self.attempt}" if self.attempt > 1 else ""
        return [f"▸ {self.id}", duration, str(self.status), self.executor, attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is shown of one snapshot; only durations depend on when it is drawn.

    Attributes:
        running: the first running tasks.
        hidden: the number of other running tasks.
        sweeps: a line for each sweep, for what each search has found, and for each Python environment
            that is being made.
        counts: a line about all tasks.
        active: seconds that the experiment took until `seen`; None before its start.
        seen: when the snapshot was taken, in Unix seconds.
    """

    running: tuple[RunningTask, ...]
    hidden: int
    sweeps: tuple[str, ...]
    counts: str
    active: float | None
    seen: float

    @classmethod
    def of(cls, snapshot: Snapshot, *, rows: int) -> Frame:
        """The frame of a snapshot, with at most this many running tasks."""
        history = snapshot.history
        tasks = snapshot.tasks
        live = [
            kin if kin.id == name else task_named(tasks, name)
            for name, kin in zip(snapshot.spec.ids, kin_of(tasks), strict=True)
            if history.tasks[name].is_live
        ]
        finished = sum(history.counts[status] for status in ENDS)
        return cls(
            running=tuple(
                RunningTask(
                    id=task.id,
                    status=(state := history.tasks[task.id]).status,
                    started=state.started,
                    executor=task.executor,
                    attempt=state.attempt,
                )
                for task in live[:rows]
            ),
            hidden=max(0, len(live) - rows),
            sweeps=(
                *(f"{group.id} {snapshot.sweep(group).line}" for group in sweeps.of(snapshot.spec)),
                *searches.lines(searches.of(snapshot.spec, history)),
                *snapshot.making,
            ),
            counts=f"{finished} of {len(history.tasks)} finished · {wording.counts(history.counts)}",
            active=snapshot.active,
            seen=snapshot.seen,
        )

    def lines(self, now: float, *, width: int) -> Iterator[Line]:
        """The lines of the frame at `now`, in Unix seconds."""
        rows = [task.cells(now) for task in self.running]
        if rows:
            table = table_layout.fit(COLUMNS, rows, width=width).lines(rows)
            yield from itertools.islice(table, 1, None)  # without titles
        if self.hidden:
            yield [(f"… and {self.hidden} more", "dim")]
        elapsed = (
            "" if self.active is None else f" · {wording.seconds(self.active + max(0.0, now - self.seen))}"
        )
        for text in (*self.sweeps, f"{self.counts}{elapsed}"):
            yield from ([(line, "bold")] for line in wrapping.fitted(escaped(text), width))
