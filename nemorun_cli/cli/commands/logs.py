"""`exp logs`: the output of tasks."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from nemorun_cli.cli import terminal
from nemorun_cli.cli.log_output import LogOutput
from nemorun_cli.cli.options import ExperimentOrLatest, Json, TaskOrNone, attempt_number, whole_number
from nemorun_cli.errors import NotFoundError, UsageError
from nemorun_cli.experiment.lookup import LATEST
from nemorun_cli.experiment.run import find
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.events import origin_text
from nemorun_cli.views import known_secrets, log_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.views.log_reader import LogFeed, LogLine
    from nemorun_cli.views.snapshot import Snapshot


def command(
    which: ExperimentOrLatest = LATEST,
    task: TaskOrNone = None,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new lines until the tasks finish.")
    ] = False,
    last: Annotated[
        str | None, typer.Option("-n", "--lines", metavar="N", help="Only the last N lines of each task.")
    ] = None,
    attempt: Annotated[
        str | None, typer.Option("--attempt", metavar="N", help="Show this attempt instead of the latest.")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", metavar="REGEX", help="Only lines matching this regex.")
    ] = None,
    is_error: Annotated[
        bool,
        typer.Option("--stderr", help="The standard error of tasks with `stderr_to_stdout: false`."),
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the bytes of the logs unchanged, as `cat` does.")
    ] = False,
    is_origin: Annotated[
        bool,
        typer.Option("--origin", help="Of a cached task, the log of the run whose result it has."),
    ] = False,
    is_json: Json = False,
) -> int:
    """Print the output of tasks.

    Each task has one log, with its standard output and standard error, or with `stderr_to_stdout: false` of
    the task two. On a terminal, colours are kept and
    all other control sequences are left out; a pipe gets the bytes as they are.

    Examples:
      exp logs                            all tasks of the latest experiment
      exp logs training train -n 50 -f    last 50 lines, then new ones
      exp logs latest train --grep Error
    """
    count = whole_number("-n", last) if last is not None else None
    number = attempt_number(attempt) if attempt is not None else None
    pattern = _pattern(grep)
    if raw and is_json:
        raise UsageError("--raw cannot be combined with --json")
    if is_origin and (follow or number is not None):
        raise UsageError(f"--origin cannot be combined with {'--follow' if follow else '--attempt'}")
    run = find(which)
    snapshot = run.status()
    all_names = [known.id for known in snapshot.spec.tasks]
    names = snapshot.match_tasks([task]) if task is not None else all_names
    log_reader.demand_shipped(snapshot, names)

    def feed_of(snapshot: Snapshot, names: Sequence[str], number: int | None) -> LogFeed:
        if not follow and len(names) == 1 and task is not None:
            log_reader.demand(snapshot, names[0], attempt=number, is_error=is_error)
        known = known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history)
        return log_reader.LogFeed(
            snapshot.files,
            names,
            attempt=number,
            secrets=set(known.values()),
            pattern=pattern,
            last=count,
            completes=not raw,
            is_error=is_error,
        )

    with LogOutput(sys.stdout, is_led=len(names) > 1 and not raw, is_raw=raw) as output:
        if follow:
            return _follow(run, feed_of(snapshot, names, number), _write_json if is_json else output.line)
        sources = _origins(run, snapshot, names) if is_origin else [(snapshot, names, number)]
        for shown, of_shown, attempt_shown in sources:
            feed = feed_of(shown, of_shown, attempt_shown)
            if is_json:
                for line in feed.read(shown.history):
                    _write_json(line)
            else:
                for name, text in feed.read_text(shown.history):
                    output.write(name, text)
    return 0


def _origins(
    run: Run, snapshot: Snapshot, names: Sequence[str]
) -> Iterator[tuple[Snapshot, Sequence[str], int | None]]:
    """The task, and the attempt, whose result each task has: its own if it ran.

    Raises:
        NotFoundError: the experiment of one was removed.
    """
    for name in names:
        origin = snapshot.history.tasks[name].cached_from
        if origin is None:
            yield snapshot, [name], None
            continue
        try:
            found = find(origin["experiment"], home=run.home)
        except NotFoundError:
            message = f"{name} has the result of {origin_text(origin)}, and that experiment was removed"
            raise NotFoundError(message, hint=f"exp rm --restore {origin['experiment']}") from None
        yield found.status(), [origin["task"]], origin["attempt"]


def _write_json(line: LogLine) -> None:
    terminal.write_json(line.to_json())


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text is not None else None
    except re.error as error:
        raise UsageError(f"--grep {text}: {error}", hint="use the syntax of Python's re module") from None


def _follow(run: Run, feed: LogFeed, show: Callable[[LogLine], None]) -> int:
    from nemorun_cli.views.follow import Watch  # noqa: PLC0415 - only to follow

    with Watch(run.files, run.home) as watching:
        while True:
            snapshot = watching.look()
            if watching.notice:
                terminal.warn(f"{run.id}: {watching.notice}")
            for line in feed.read(snapshot.history):
                show(line)
            terminal.flush()
            if snapshot.status is ExperimentStatus.INTERRUPTED:
                then = "" if snapshot.is_replica else f"; continue with: exp resume {run.id}"
                terminal.warn(f"{run.id} is INTERRUPTED{then}")
                return snapshot.exit_code
            if _is_all(snapshot, feed):
                return 0
            watching.pause()


def _is_all(snapshot: Snapshot, feed: LogFeed) -> bool:
    """Whether the logs are complete: the tasks have finished, and no supervisor will retry them."""
    if snapshot.is_over:
        return True
    tasks = snapshot.history.tasks
    if feed.attempt is not None:
        return all(tasks[name].is_over or tasks[name].attempt > feed.attempt for name in feed.tasks)
    return all(tasks[name].is_over for name in feed.tasks)
