"""Watching an experiment from the command that started it: progress, logs, Ctrl-C, the summary at the end."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import progress, terminal
from nemorun_cli.model import wording
from nemorun_cli.model.clock import unix
from nemorun_cli.model.status import ExperimentStatus, TaskStatus
from nemorun_cli.spec import secret_values
from nemorun_cli.storage import requests
from nemorun_cli.views import log_excerpt, sweeps
from nemorun_cli.views.log_reader import Feed

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.cli.interrupts import Interrupts
    from nemorun_cli.experiment.run import Run
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.views.follow import Watch
    from nemorun_cli.views.snapshot import Snapshot

KILL_AT: Final = 2  # how many times Ctrl-C until tasks are killed
LEAVE_AT: Final = 3  # and until the experiment is left to itself
FAILURES_SHOWN: Final = 5
LINES_SHOWN: Final = 10  # of the log of each failed task


def watch(
    run: Run, watching: Watch, *, interrupts: Interrupts | None, is_json: bool, quiet: bool
) -> Snapshot:
    """Show an experiment until it is over, or nothing of it can end by itself any more.

    What happened before an earlier look of `watching` is not shown again.
    With `interrupts` the first signal cancels it, the second kills; without, signals do what they always do.

    Raises:
        KeyboardInterrupt: asked to stop more often than there are ways to.
    """
    is_apart = is_json or quiet  # standard output is for the document or the id
    logs_stream = sys.stderr if is_apart else sys.stdout
    secrets = set(secret_values.known(watching.spec).values()) | run.secrets
    feed = Feed(run.files, tailed(watching.spec), secrets=secrets)
    if watching.has_looked:
        feed.skip(watching.history)
    display = progress.choose(
        quiet=quiet,
        write_log=terminal.say_raw if is_apart else _write_through,
        shares_terminal=terminal.can_draw(logs_stream),
        secrets=secrets,
    )
    with display:
        snapshot = _loop(run, watching, display=display, feed=feed, interrupts=interrupts)
    if not quiet:
        summarize(snapshot, secrets=secrets, tailed=set(feed.tasks))
    settle_plugins(snapshot, quiet=quiet)
    return snapshot


def settle_plugins(snapshot: Snapshot, *, quiet: bool) -> None:
    """Let plugins hear of the end before the command leaves, and say what went wrong with them."""
    if not snapshot.is_over or not any(use.hears for use in snapshot.spec.plugins):
        return
    from nemorun_cli.plugins import faults  # noqa: PLC0415 - only for specs with such plugins

    has_settled = faults.settle(snapshot.files, snapshot.spec)
    if quiet:
        return
    for fault in faults.faults(snapshot.files, snapshot.spec)[:FAILURES_SHOWN]:
        terminal.warn(f"the plugin {fault.line}")
    if not has_settled:
        terminal.warn("not all plugins have heard of the end yet; see exp show")


def tailed(spec: Spec) -> list[str]:
    """The tasks whose logs are shown while they run."""
    return [
        task.id for task in spec.tasks if (spec.run.tail_logs if task.tail_logs is None else task.tail_logs)
    ]


def _loop(
    run: Run,
    watching: Watch,
    *,
    display: progress.Display,
    feed: Feed,
    interrupts: Interrupts | None,
) -> Snapshot:
    heard = 0
    while True:
        snapshot = watching.look()
        for line in feed.read(snapshot.history):
            display.log(line)
        display.update(snapshot, watching.news)
        if interrupts is not None and heard and snapshot.supervisor == "gone" and not snapshot.is_over:
            return _cancel_here(run, interrupts, times=heard)
        if snapshot.status is not ExperimentStatus.RUNNING:
            return snapshot
        if interrupts is None:
            watching.pause()
            continue
        if heard < interrupts.count:
            heard = interrupts.count
            interrupts.clear()
            _request(run, times=heard, display=display)
        watching.pause(also=[interrupts.fileno()])


def _request(run: Run, *, times: int, display: progress.Display) -> None:
    """Ask the supervisor to end all; should it be gone, the next look shows it."""
    if times >= LEAVE_AT:
        raise KeyboardInterrupt
    if times < KILL_AT:
        display.note("cancelling it; Ctrl-C again to kill")
        requests.request(run.files, None)
    else:
        display.note("killing it")
        requests.request(run.files, None, signal="KILL", grace=0.0)


def _cancel_here(run: Run, interrupts: Interrupts, *, times: int) -> Snapshot:
    """End all without a supervisor; one more signal kills."""
    if times < KILL_AT:
        with contextlib.suppress(KeyboardInterrupt), interrupts.raising():
            return run.cancel()
    return run.cancel(signal="KILL", grace=0.0)


def summarize(snapshot: Snapshot, *, secrets: Collection[str], tailed: Collection[str]) -> None:
    """Say how it ended, and of what failed why, with the last lines of its log unless those were shown."""
    history = snapshot.history
    lasting = ""
    begin = history.resumed or history.started
    if history.finished and begin:
        lasting = f" after {wording.seconds(unix(history.finished['time']) - unix(begin))}"
    terminal.warn(f"{snapshot.files.id} {snapshot.status}{lasting} ({wording.counts(history.counts)})")
    folded = sweeps.of(snapshot.spec)
    for group in folded:
        _summarize_sweep(snapshot, group, secrets=secrets)
    swept = {name for group in folded for name in group.members}
    failed = [
        name
        for name, state in history.tasks.items()
        if state.status is TaskStatus.FAILED and name not in swept
    ]
    for name in failed[:FAILURES_SHOWN]:
        _summarize_failure(snapshot, name, secrets=secrets, is_shown=name in tailed)
    if len(failed) > FAILURES_SHOWN:
        terminal.say(f"  … and {len(failed) - FAILURES_SHOWN} more that FAILED")


def _summarize_sweep(snapshot: Snapshot, group: Group, *, secrets: Collection[str]) -> None:
    """How a sweep ended, and what failed in it by what ended it."""
    terminal.say(f"  {group.id}: {snapshot.sweep(group).line}")
    if not any(snapshot.history.tasks[name].status is TaskStatus.FAILED for name in group.members):
        return
    from nemorun_cli.views.reports import failure_groups  # noqa: PLC0415 - only where something failed

    for kind in failure_groups.kinds(snapshot, group.members, secrets=secrets)[:FAILURES_SHOWN]:
        terminal.say(f"    {kind.line}")


def _summarize_failure(snapshot: Snapshot, name: str, *, secrets: Collection[str], is_shown: bool) -> None:
    state = snapshot.history.tasks[name]
    why = state.why() or state.status
    code = f" (exit code {state.exit_code})" if state.exit_code is not None and "exit code" not in why else ""
    note = ", a handler: the status is that of the tasks" if name in snapshot.history.handlers else ""
    terminal.say(f"  {name}: {why}{code}{note}")
    if is_shown or not state.submitted:
        return
    path = snapshot.files.attempt(name, state.attempt).log
    try:
        excerpt = log_excerpt.read(path, secrets=secrets, lines=LINES_SHOWN)
    except OSError as error:
        terminal.say(f"    its log cannot be read: {error.strerror}: {path}")
        return
    for line in excerpt.lines if excerpt else ():
        terminal.say(f"    | {line}")


def _write_through(text: str) -> None:
    """A line of a log, seen at once by whoever reads the pipe."""
    terminal.write(text)
    terminal.flush()
