"""Watches an experiment from the command that started it: progress, logs, Ctrl-C and the final summary."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import progress, terminal
from nemorun_cli.cli.log_output import LogOutput
from nemorun_cli.model import wording
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.storage import requests
from nemorun_cli.views import (
    failed_line_text,
    group_bests,
    known_secrets,
    log_excerpt,
    searches,
    stop_progress,
    sweeps,
    unmatched_metrics,
    valueless_trials,
)
from nemorun_cli.views.log_reader import LogFeed
from nemorun_cli.views.snapshot import tasks_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.cli.interrupts import Interrupts
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.storage.state import ExperimentState
    from nemorun_cli.views.follow import Watch
    from nemorun_cli.views.snapshot import Snapshot

KILL_AT: Final = 2  # presses of Ctrl-C that kill the tasks
LEAVE_AT: Final = 3  # presses of Ctrl-C that end the watching
FAILURES_SHOWN: Final = 5
LINES_SHOWN: Final = 10  # of the log of each failed task


def watch(
    run: Run, watching: Watch, *, interrupts: Interrupts | None, is_json: bool, quiet: bool
) -> Snapshot:
    """Show an experiment until it is no longer running.

    Events before an earlier look of `watching` are not shown again.
    With `interrupts`, the first signal cancels the experiment and the second kills its tasks; without,
    signals keep their default effect.

    Raises:
        KeyboardInterrupt: a third signal arrived.
    """
    is_apart = is_json or quiet  # standard output is reserved for the document or the id
    logs_stream = sys.stderr if is_apart else sys.stdout
    secrets = (
        set(known_secrets.of_experiment(run.files, watching.spec, watching.history).values()) | run.secrets
    )
    feed = LogFeed(run.files, tailed(watching.spec, watching.history), secrets=secrets)
    if watching.has_looked:
        feed.skip(watching.history)
    output = LogOutput(logs_stream, is_led=True)
    display = progress.choose(
        quiet=quiet,
        write_log=output.line,
        shares_terminal=terminal.can_draw(logs_stream),
        secrets=secrets,
    )
    with output, display:
        snapshot = _loop(run, watching, display=display, feed=feed, interrupts=interrupts)
    if not quiet:
        summarize(snapshot, secrets=secrets, tailed=set(feed.tasks))
    settle_plugins(snapshot, quiet=quiet)
    return snapshot


def settle_plugins(snapshot: Snapshot, *, quiet: bool) -> None:
    """Wait until plugins have received the last event, and report their errors."""
    if not snapshot.is_over or not any(use.hears for use in snapshot.spec.plugins):
        return
    from nemorun_cli.plugins import faults  # noqa: PLC0415 - only for specs with such plugins

    has_settled = faults.settle(snapshot.files, snapshot.spec)
    if quiet:
        return
    for fault in faults.faults(snapshot.files, snapshot.spec)[:FAILURES_SHOWN]:
        terminal.warn(f"the plugin {fault.line}")
    if not has_settled:
        terminal.warn("some plugins have not yet received the last event; see exp show")


def tailed(spec: Spec, history: ExperimentState) -> list[str]:
    """The tasks whose logs are shown while they run."""
    return [
        task.id
        for task in tasks_of(spec, history)
        if (spec.run.tail_logs if task.tail_logs is None else task.tail_logs)
    ]


def _loop(
    run: Run,
    watching: Watch,
    *,
    display: progress.Display,
    feed: LogFeed,
    interrupts: Interrupts | None,
) -> Snapshot:
    handled = 0  # signals
    has_forms = any(task.variants is not None for task in watching.spec.kin)
    while True:
        snapshot = watching.look()
        if has_forms:
            feed.tasks = tailed(snapshot.spec, snapshot.history)
        for line in feed.read(snapshot.history):
            display.log(line)
            terminal.flush()  # so that the reader of a pipe sees it at once
        if watching.notice:
            display.note(watching.notice)
        display.update(snapshot, watching.news)
        if interrupts is not None and handled and snapshot.supervisor == "gone" and not snapshot.is_over:
            return _cancel_here(run, interrupts, times=handled)
        if snapshot.status is not ExperimentStatus.RUNNING:
            return snapshot
        if interrupts is None:
            watching.pause()
            continue
        if handled < interrupts.count:
            handled = interrupts.count
            interrupts.clear()
            _request(run, times=handled, display=display)
        watching.pause(also=[interrupts.fileno()])


def _request(run: Run, *, times: int, display: progress.Display) -> None:
    """Ask the supervisor to cancel all tasks; if it has terminated, the next look detects that."""
    if times >= LEAVE_AT:
        raise KeyboardInterrupt
    if times < KILL_AT:
        display.note("cancelling; press Ctrl-C again to kill the tasks")
        requests.request(run.files, None)
    else:
        display.note("killing the tasks")
        requests.request(run.files, None, signal="KILL", grace=0.0)


def _cancel_here(run: Run, interrupts: Interrupts, *, times: int) -> Snapshot:
    """Cancel all tasks without a supervisor; one more signal kills them."""
    if times < KILL_AT:
        with contextlib.suppress(KeyboardInterrupt), interrupts.raising():
            return run.cancel()
    return run.cancel(signal="KILL", grace=0.0)


def summarize(snapshot: Snapshot, *, secrets: Collection[str], tailed: Collection[str]) -> None:
    """Print the final status and why tasks failed, with the end of each log unless it was shown."""
    history = snapshot.history
    seconds = snapshot.active if history.finished else None
    after = "" if seconds is None else f" after {wording.seconds(seconds)}"
    terminal.warn(f"{snapshot.label} {snapshot.status}{after} ({wording.counts(history.counts)})")
    groups = sweeps.of(snapshot.spec)
    for group in groups:
        _summarize_sweep(snapshot, group, secrets=secrets)
    swept = {name for group in groups for name in group.members}
    failed = [
        name
        for name, state in history.tasks.items()
        if state.status is TaskStatus.FAILED and name not in swept
    ]
    for name in failed[:FAILURES_SHOWN]:
        _summarize_failure(snapshot, name, secrets=secrets, is_shown=name in tailed)
    if len(failed) > FAILURES_SHOWN:
        terminal.say(f"  … and {len(failed) - FAILURES_SHOWN} more FAILED")
    for report in (unmatched_metrics, stop_progress, valueless_trials):
        if text := report.warning(snapshot):
            terminal.say(f"  {text}")


def _summarize_sweep(snapshot: Snapshot, group: Group, *, secrets: Collection[str]) -> None:
    """Print the progress of a sweep and its failures, grouped by cause."""
    terminal.say(f"  {group.id}: {snapshot.sweep(group).line}")
    study = searches.StudyView.of(group, snapshot.history)
    notes = [*group_bests.lines(snapshot.history, [group]), *searches.lines([study] if study else [])]
    for line in notes:
        terminal.say(f"    {line}")
    if not any(snapshot.history.tasks[name].status is TaskStatus.FAILED for name in group.members):
        return
    from nemorun_cli.views.reports import failure_groups  # noqa: PLC0415 - only where something failed

    for kind in failure_groups.kinds(snapshot, group.members, secrets=secrets)[:FAILURES_SHOWN]:
        terminal.say(f"    {kind.line}")


def _summarize_failure(snapshot: Snapshot, name: str, *, secrets: Collection[str], is_shown: bool) -> None:
    state = snapshot.history.tasks[name]
    why = state.why() or state.status
    code = f" (exit code {state.exit_code})" if state.exit_code is not None and "exit code" not in why else ""
    note = " (a handler: does not change the status)" if name in snapshot.history.handlers else ""
    terminal.say(f"  {name}: {why}{code}{note}")
    if (place := failed_line_text.of_task(snapshot, name, secrets=secrets)) is not None:
        terminal.say(f"    its inline text ended at {place}")
    if is_shown or not state.submitted:
        return
    attempt = snapshot.files.attempt(name, state.attempt)
    try:
        excerpt = log_excerpt.of_attempt(attempt, secrets=secrets, lines=LINES_SHOWN)
    except OSError as error:
        terminal.say(f"    cannot read its log: {error.strerror}: {attempt.log}")
        return
    for line in excerpt.lines if excerpt else ():
        terminal.say(f"    | {line}")
