"""The messages of `exp metrics` about patterns of the key `metrics` that matched nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import terminal
from nemorun_cli.model import metric_keys
from nemorun_cli.views import known_secrets, unmatched_metrics

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nemorun_cli.views.snapshot import Snapshot

MOST_EXPLAINED: Final = 3  # tasks whose patterns are explained


def why_missing(key: str, snapshot: Snapshot | None, names: Collection[str] | None) -> str | None:
    """How the pattern of a metric failed that no task has; None if no pattern names it."""
    if snapshot is None:
        return None
    return unmatched_metrics.of_key(
        snapshot, names, lambda series, field: metric_keys.is_wanted((series, field), [key])
    )


def hints(snapshot: Snapshot | None, names: Collection[str] | None) -> Iterator[str]:
    """The patterns of an experiment's tasks that matched nothing, with what they were tried on."""
    if snapshot is None:
        return
    secrets = known_secrets.of_experiment(snapshot.files, snapshot.spec, snapshot.history).values()
    for name in unmatched_metrics.tasks(snapshot, names)[:MOST_EXPLAINED]:
        for text in unmatched_metrics.details(snapshot, name, secrets=secrets):
            yield f"hint: {name}: {text}"


def say_others(snapshot: Snapshot | None, names: Collection[str] | None, *, keys: Sequence[str]) -> None:
    """Report patterns that matched nothing although there are other metrics, unless keys choose some.

    Those of a single task are explained; of several, a warning names the tasks.
    """
    if snapshot is None or keys or not (affected := unmatched_metrics.tasks(snapshot, names)):
        return
    terminal.flush()
    if len(affected) == 1:
        terminal.say_lines(hints(snapshot, names))
    elif text := unmatched_metrics.warning(snapshot, names):
        terminal.say(text)
