"""Patterns of the key `metrics` that matched nothing: which tasks have some, and what they were tried on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

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
    first, *others = affected
    entry = snapshot.history.unmatched[first][0]
    more = len(others) - MOST_NAMED
    listed = ", ".join(others[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    return (
        f"warning: metrics of {first}: the pattern {shown(entry)} {sentence(entry)}"
        f"{f'; so with {listed}' if others else ''}; see: exp why {snapshot.files.id} '{first}'"
    )


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
        text = f"metrics.{entry['series']}: the pattern {shown(entry)} {sentence(entry)}"
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
