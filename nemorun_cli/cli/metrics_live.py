"""`exp metrics --follow`: rows as they come, as lines, documents or curves, until the experiment is over."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import metrics_view, terminal
from nemorun_cli.experiment.records import series
from nemorun_cli.experiment.records.series import Series
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking.access.follower import Following
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.views.follow import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.records.targets import Chosen, Target
    from nemorun_cli.tracking.store.row_files import Row
    from nemorun_cli.views.snapshot import Snapshot

LOOK_EVERY: Final = 0.5  # seconds between looks at what was logged


class Feed:
    """The rows of a target's records, each given once.

    Args:
        wanted: globs of keys.
        tail: of what is there at first, only so many of the last rows of each series.
    """

    def __init__(self, *, wanted: Sequence[str], tail: int | None) -> None:
        self._wanted = wanted
        self._tail = tail
        self._following: dict[tuple[str, str, str | None, bool], Following] = {}

    def read(self, chosen: Sequence[Chosen]) -> list[Series]:
        """What is new."""
        found = []
        for one in chosen:
            key = (one.record.root, one.record.prefix, one.experiment, one.is_of_experiment)
            following = self._following.get(key)
            if following is None:
                following = self._following[key] = Following(one.data.place)
            for name, rows in following.read(one.ids).items():
                if kept := self._cut(series.only(rows, name, self._wanted)):
                    found.append(Series(of=one, name=name, rows=kept))
        self._tail = None
        return found

    def _cut(self, rows: list[Row]) -> list[Row]:
        return rows if self._tail is None else rows[len(rows) - min(self._tail, len(rows)) :]


def follow(target: Target, *, wanted: Sequence[str], tail: int | None, plot: bool, is_json: bool) -> int:
    """Show what comes until nothing more can; gives the exit code."""
    feed = Feed(wanted=wanted, tail=tail)
    watched = Watched(target)
    if plot:
        _draw(feed, watched)
        return watched.code
    for chosen in watched.looks():
        found = feed.read(chosen)
        if is_json and found:
            terminal.write_line(dump(metrics_view.document(found)))
        elif found:
            terminal.write_lines(_lines(found, is_led=len(chosen) > 1))
        terminal.flush()
    return watched.code


class Watched:
    """The records of a target, look after look; `code` is the exit code once there are no more."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.code = 0

    def looks(self) -> Iterator[list[Chosen]]:
        """The records as they are, again and again; the last time when nothing more can come."""
        if self._target.run is None:
            yield from self._records()
            return
        with Watch(self._target.run.files, self._target.run.home) as watching:
            while True:
                snapshot = watching.look()
                yield self._target.choose_of(snapshot)
                if self._is_over(snapshot):
                    return
                time.sleep(LOOK_EVERY)

    def _records(self) -> Iterator[list[Chosen]]:
        while True:
            chosen = self._target.choose()
            yield chosen
            if all(one.status is not ExperimentStatus.RUNNING for one in chosen):
                return
            time.sleep(LOOK_EVERY)

    def _is_over(self, snapshot: Snapshot) -> bool:
        if snapshot.status is ExperimentStatus.INTERRUPTED:
            terminal.warn(
                f"{snapshot.files.id} is INTERRUPTED; continue it with: exp resume {snapshot.files.id}"
            )
            self.code = snapshot.exit_code
            return True
        task = self._target.task
        names = snapshot.match_tasks([task]) if task is not None else list(snapshot.history.tasks)
        return snapshot.is_over or all(snapshot.history.tasks[name].is_over for name in names)


def _lines(found: Sequence[Series], *, is_led: bool) -> list[str]:
    """A line for each row: which record it is of if there are several, its series, its fields."""
    return [
        f"{one.of.label + ' | ' if is_led else ''}{one.title}: {series.line(row)}"
        for one in found
        for row in one.rows
    ]


def _draw(feed: Feed, watched: Watched) -> None:
    """The curves, redrawn in their place on a terminal; elsewhere only as they are at the end."""
    together: dict[tuple[str, str | None], Series] = {}
    if not terminal.can_draw(sys.stdout):
        for chosen in watched.looks():
            _gather(together, feed.read(chosen))
        terminal.write(metrics_view.pictures(list(together.values())))
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.live import Live  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    with Live(console=Console(), auto_refresh=False) as live:
        for chosen in watched.looks():
            if fresh := feed.read(chosen):
                _gather(together, fresh)
                live.update(Text.from_ansi(metrics_view.pictures(list(together.values()))), refresh=True)


def _gather(together: dict[tuple[str, str | None], Series], fresh: Sequence[Series]) -> None:
    """Put new rows behind those that were there."""
    for one in fresh:
        key = (one.of.label, one.name)
        before = together.get(key)
        rows = [*before.rows, *one.rows] if before else one.rows
        together[key] = Series(of=one.of, name=one.name, rows=rows)
