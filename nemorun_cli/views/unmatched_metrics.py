"""Patterns of the key `metrics` that matched nothing: which tasks have some, and what they were tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import metric_patterns
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from nemorun_cli.views.snapshot import Snapshot

LINES: Final = 3  # lines of the output that are shown
LONGEST: Final = 200  # characters of such a line
WINDOW: Final = 16 * 1024  # bytes of the log that are read for them
MOST_NAMED: Final = 3  # tasks that a warning names
_ENDS: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED})
_SENTENCES: Final = {
    "never": "matched no line of the output",
    "text": "matched only texts that are no numbers",
    "slow": "was too slow and was given up",
}
_OF_JSON: Final = {  # of the word that stands for lines of JSON, and is no pattern
    "never": "no line of the output was a JSON object with numbers",
    "text": "the JSON objects in the output have no numbers",
}


def tasks(snapshot: Snapshot, names: Collection[str] | None = None) -> list[str]:
    """The tasks, or those of the named ones, that ended with such patterns and were not cancelled."""
    return [
        name
        for name, state in snapshot.history.tasks.items()
        if snapshot.history.unmatched.get(name) and state.status in _ENDS and (names is None or name in names)
    ]


def warning(snapshot: Snapshot, names: Collection[str] | None = None) -> str | None:
    """One line about all such tasks; None if no task has any."""
    affected = tasks(snapshot, names)
    if not affected:
        return None
    first = affected[0]
    entry = snapshot.history.unmatched[first][0]
    alike = [
        name for name in affected[1:] if any(_is_alike(entry, each) for each in _entries(snapshot, name))
    ]
    more = len(alike) - MOST_NAMED
    listed = ", ".join(alike[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    others = len(affected) - 1 - len(alike)
    rest = (
        f"; and patterns of {others} other task{'s' if others > 1 else ''}: exp why {snapshot.files.id} TASK"
    )
    return (
        f"warning: metrics of {first}: {finding(entry)}{f'; so with {listed}' if alike else ''}; "
        f"see: exp why {snapshot.files.id} '{first}'{rest if others else ''}"
    )


def _entries(snapshot: Snapshot, name: str) -> Sequence[Mapping[str, Any]]:
    return snapshot.history.unmatched.get(name, ())


def _is_alike(entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(entry[name] == other[name] for name in ("pattern", "reason"))


def of_key(
    snapshot: Snapshot, names: Collection[str] | None, is_meant: Callable[[str, str], bool]
) -> str | None:
    """Why there is no metric: how a pattern of its failed, and in which task; None if no pattern is its.

    Args:
        snapshot: the state of the experiment.
        names: the tasks; None for all.
        is_meant: whether a series and a field of it are the metric.
    """
    for name in tasks(snapshot, names):
        for entry in _entries(snapshot, name):
            if any(is_meant(entry["series"], field) for field in metric_patterns.fields(entry["pattern"])):
                return f"in {name}, {finding(entry)}; see: exp why {snapshot.files.id} '{name}'"
    return None


def finding(entry: Mapping[str, Any]) -> str:
    """How a pattern failed, as a sentence."""
    if entry["pattern"] == metric_patterns.JSON and entry["reason"] in _OF_JSON:
        return _OF_JSON[entry["reason"]]
    return f"the pattern {shown(entry)} {sentence(entry)}"


def shown(entry: Mapping[str, Any]) -> str:
    """A pattern in a sentence."""
    text = escaped(entry["pattern"])
    return f"'{text}'" if len(text) <= LONGEST else f"'{text[:LONGEST]}…'"


def sentence(entry: Mapping[str, Any]) -> str:
    """How a pattern failed."""
    return _SENTENCES.get(entry["reason"], str(entry["reason"]))


def details(snapshot: Snapshot, name: str, *, secrets: Collection[str]) -> Iterator[str]:
    """A sentence for each pattern of a task, with the first lines that it was tried on."""
    for entry in snapshot.history.unmatched.get(name, ()):
        text = f"metrics.{entry['series']}: {finding(entry)}"
        lines = [] if entry["reason"] == "slow" else _lines(snapshot, name, entry["at"], secrets=secrets)
        where = "that line" if entry["reason"] == "text" else "the output begins with"
        if lines:
            count = 1 if entry["reason"] == "text" else LINES
            yield f"{text}; {where}: {' | '.join(lines[:count])}"
        else:
            yield text if entry["reason"] == "slow" else f"{text}, which is empty"


def _lines(snapshot: Snapshot, name: str, at: int, *, secrets: Collection[str]) -> Sequence[str]:
    """Lines of the log of the latest attempt, from a byte on, masked and escaped; empty if it was removed."""
    from nemorun_cli.model.masking import mask  # noqa: PLC0415 - few tasks have such patterns
    from nemorun_cli.system.files import open_to_read  # noqa: PLC0415 - the same
    from nemorun_cli.views.log_excerpt import displayed  # noqa: PLC0415 - the same

    attempt = snapshot.files.attempt(name, snapshot.history.tasks[name].attempt)
    try:
        with open_to_read(attempt.log, follows_link=False, inside=attempt.root) as stream:
            stream.seek(at)
            data = stream.read(WINDOW)
    except OSError:
        return []
    text = mask(data.decode(errors="replace"), secrets)
    lines = (displayed(line) for line in text.replace("\r", "\n").split("\n"))
    return [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in lines if line.strip()][:LINES]
