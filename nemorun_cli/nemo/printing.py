"""What an experiment prints: through the command line, which alone writes to a terminal."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.experiment.run import Run


def warn(text: str) -> None:
    """Print a message to standard error."""
    from nemorun_cli.cli import terminal  # noqa: PLC0415 - a program that only builds prints nothing

    terminal.warn(text)


def lines(texts: Iterable[str]) -> None:
    """Print lines to standard output."""
    from nemorun_cli.cli import terminal  # noqa: PLC0415 - the same

    terminal.write("".join(f"{text}\n" for text in texts))
    terminal.flush()


def failures(run: Run) -> None:
    """Print how an experiment ended and why tasks failed, if it did not succeed."""
    from nemorun_cli.cli import watch  # noqa: PLC0415 - the same
    from nemorun_cli.views import known_secrets  # noqa: PLC0415 - the same

    snapshot = run.status(observe=False)
    if not snapshot.exit_code or not snapshot.is_over:
        return
    secrets = set(known_secrets.of_experiment(run.files, snapshot.spec, snapshot.history).values())
    watch.summarize(
        snapshot, secrets=secrets | run.secrets, tailed=watch.tailed(snapshot.spec, snapshot.history)
    )


def logs(run: Run, task: str, regex: str | None) -> None:
    """Print the output of a task or a group; with `regex` only the lines in which that is found.

    Raises:
        NotFoundError: there is no such task, or it has not started.
        UsageError: `regex` is no regular expression.
    """
    from nemorun_cli.cli import log_output, terminal  # noqa: PLC0415 - the same
    from nemorun_cli.views import known_secrets, log_reader  # noqa: PLC0415 - the same

    try:
        pattern = None if regex is None else re.compile(regex)
    except re.error as error:
        raise UsageError(f"regex {regex}: {error}", hint="use the syntax of Python's re module") from None
    snapshot = run.status()
    names = snapshot.match_tasks([task])
    if len(names) == 1:
        log_reader.demand(snapshot, names[0], attempt=None)
    secrets = set(known_secrets.of_experiment(run.files, snapshot.spec, snapshot.history).values())
    feed = log_reader.LogFeed(run.files, names, secrets=secrets | run.secrets, pattern=pattern)
    with log_output.LogOutput(sys.stdout, is_led=len(names) > 1) as output:
        for name, text in feed.read_text(snapshot.history):
            output.write(name, text)
    terminal.flush()
