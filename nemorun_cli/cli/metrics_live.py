"""`exp metrics --follow`: new rows as lines, documents or curves, until the experiment finishes."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import metrics_view, terminal
from nemorun_cli.experiment.records import documents, leading
from nemorun_cli.experiment.records.series import TIME, Series, line, only
from nemorun_cli.model import metric_keys
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.tracking.access.follower import MetricFollower
from nemorun_cli.tracking.store.json_values import dump
from nemorun_cli.tracking.store.row_files import warn_of
from nemorun_cli.views.follow import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.experiment.records.targets import Target, TargetRecord
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.tracking.store.row_files import Row
    from nemorun_cli.tracking.store.row_series import Attempts, SeriesRows
    from nemorun_cli.views.snapshot import Snapshot

LOOK_EVERY: Final = 0.5  # seconds between reads of the metrics


class MetricFeed:
    """The rows of a target's records, each returned once.

    Args:
        wanted: globs of keys.
        tail: the number of existing rows of each series that the first read returns; None for all.
        attempts: see `series.read`.
        keeps: whether a series with new rows is returned with all rows that count, from the first on that
            `tail` leaves.
    """

    def __init__(
        self, *, wanted: Sequence[str], tail: int | None, attempts: Attempts = None, keeps: bool = False
    ) -> None:
        self.attempts = attempts
        self._wanted = wanted
        self._known: set[Field] = set()  # read only for keys that could be globs
        self._tail = tail
        self._keeps = keeps
        self._starts: dict[tuple[str, str | None], float] = {}  # times of the first rows, if these are kept
        self._following: dict[tuple[str, str, str | None, bool], MetricFollower] = {}

    def read(self, chosen: Sequence[TargetRecord]) -> list[Series]:
        """The rows added since the last read; warns of damaged lines."""
        added = list(self._added(chosen))
        if metric_keys.has_glob(self._wanted):
            self._known.update(
                (name, field) for _, name, found in added for row in found.rows for field in row
            )
        wanted = metric_keys.literal(self._wanted, self._known)
        fresh = []
        for record, name, found in added:
            rows, origins = only(found, name, wanted)
            start = self._start((record.label, name), rows)
            if start < len(rows) or (self._keeps and found.rows):
                fresh.append(
                    Series(of=record, name=name, rows=rows[start:], origins=origins[start:], asked=wanted)
                )
        self._tail = None
        return fresh

    def _added(self, chosen: Sequence[TargetRecord]) -> Iterator[tuple[TargetRecord, str | None, SeriesRows]]:
        """The rows added to each series, unselected."""
        for record in chosen:
            key = (record.record.root, record.record.prefix, record.experiment, record.is_of_experiment)
            following = self._following.get(key)
            if following is None:
                following = self._following[key] = MetricFollower(
                    record.data.place, attempts=self.attempts, keeps=self._keeps
                )
            for name, found in following.read(record.ids).items():
                warn_of(found.skipped)
                yield record, name, found

    def _start(self, series: tuple[str, str | None], rows: list[Row]) -> int:
        """The index of the first row to return."""
        if self._tail is not None:
            start = len(rows) - min(self._tail, len(rows))
            if self._keeps and start < len(rows):
                self._starts[series] = rows[start][TIME]
            return start
        first = self._starts.get(series)
        if first is None:
            return 0
        return next((index for index, row in enumerate(rows) if row[TIME] >= first), len(rows))


def follow(
    target: Target,
    feed: MetricFeed,
    *,
    plot: bool,
    is_json: bool,
    best: str | None = None,
    goal: str | None = None,
) -> int:
    """Show new rows until the target has finished; returns the exit code."""
    watched = WatchedTarget(target)
    attempts: dict[tuple[str, str | None], int] = {}
    if plot:
        _draw(feed, watched, best=best, goal=goal)
        return watched.code
    for chosen in watched.looks():
        fresh = feed.read(chosen)
        if is_json and fresh:
            terminal.write_json(documents.metrics(fresh), dump=dump)
        elif fresh:
            terminal.write_lines(_lines(fresh, attempts, is_led=len(chosen) > 1))
        terminal.flush()
    return watched.code


class WatchedTarget:
    """The records of a target, read repeatedly; `code` is the exit code after the last read."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.code = 0

    def looks(self) -> Iterator[list[TargetRecord]]:
        """The current records, repeatedly; the last time after the target has finished."""
        if self._target.files is None or self._target.home is None:
            yield from self._records()
            return
        with Watch(self._target.files, self._target.home) as watching:
            while True:
                snapshot = watching.look()
                if watching.notice:
                    terminal.warn(f"{snapshot.files.id}: {watching.notice}")
                yield self._target.choose_of(snapshot)
                if self._is_over(snapshot):
                    return
                time.sleep(LOOK_EVERY)

    def _records(self) -> Iterator[list[TargetRecord]]:
        while True:
            chosen = self._target.choose()
            yield chosen
            if all(record.status is not ExperimentStatus.RUNNING for record in chosen):
                return
            time.sleep(LOOK_EVERY)

    def _is_over(self, snapshot: Snapshot) -> bool:
        if snapshot.status is ExperimentStatus.INTERRUPTED:
            then = "" if snapshot.is_replica else f"; continue with: exp resume {snapshot.files.id}"
            terminal.warn(f"{snapshot.files.id} is INTERRUPTED{then}")
            self.code = snapshot.exit_code
            return True
        task = self._target.task
        names = snapshot.match_tasks([task]) if task is not None else list(snapshot.history.tasks)
        return snapshot.is_over or all(snapshot.history.tasks[name].is_over for name in names)


def _lines(
    all_series: Sequence[Series], attempts: dict[tuple[str, str | None], int], *, is_led: bool
) -> list[str]:
    """A line for each row: its record if there are several, its series, its fields.

    Where a later attempt begins, whose steps may repeat those of lines before, a line has its number.

    Args:
        all_series: the new rows.
        attempts: the attempt of the last line of each series, which is updated.
        is_led: whether there are several records.
    """
    lines = []
    for series in all_series:
        lead = f"{series.of.label + ' | ' if is_led else ''}{series.title}: "
        key = (series.of.label, series.name)
        latest = attempts.get(key)
        for row, origin in zip(series.rows, series.origins, strict=True):
            if latest is not None and origin.attempt != latest:
                lines.append(f"{lead}attempt {origin.attempt}:")
                latest = origin.attempt
            lines.append(f"{lead}{line(row)}")
        if series.origins:
            attempts[key] = series.origins[-1].attempt
    return lines


def _draw(feed: MetricFeed, watched: WatchedTarget, *, best: str | None, goal: str | None) -> None:
    """Redraw the curves in place on a terminal; elsewhere draw them once, at the end."""
    latest: dict[tuple[str, str | None], Series] = {}

    def picture(*, may_follow: bool) -> str:
        all_series = list(latest.values())
        if best is not None:
            all_series, _ = leading.in_order(
                all_series, all_series, best=best, goal=goal, may_follow=may_follow
            )
        return metrics_view.pictures(all_series, by_attempt=feed.attempts == "all")

    if not terminal.can_draw(sys.stdout):
        for chosen in watched.looks():
            latest |= _by_name(feed.read(chosen))
        terminal.write_picture(picture(may_follow=False))
        return
    from nemorun_cli.cli import live_text  # noqa: PLC0415 - only for terminals

    with live_text.live(live_text.console(), auto_refresh=False) as live:
        for chosen in watched.looks():
            if fresh := feed.read(chosen):
                latest |= _by_name(fresh)
                live.update(live_text.picture(picture(may_follow=True)), refresh=True)


def _by_name(all_series: Sequence[Series]) -> dict[tuple[str, str | None], Series]:
    return {(series.of.label, series.name): series for series in all_series}
