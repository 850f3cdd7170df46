"""Failed tasks grouped by their error: `38 × RuntimeError: CUDA out of memory`."""  # noqa: RUF002 - the sign is intended

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.views import failed_line_text, log_excerpt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot

MOST_READ: Final = 1_000  # logs that are read; further failures are grouped by their reason
EXAMPLES: Final = 3  # members that a line names

# Messages that differ only in numbers and addresses are in one group.
_NUMBERS: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
# Reasons for which the log explains more.
_LOG_EXPLAINS: Final = frozenset({Reason.EXIT, Reason.SIGNAL})


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed tasks with the same error: the message of the first one, and the ids of all."""

    message: str
    tasks: tuple[str, ...]

    @property
    def line(self) -> str:
        """The group for people: its size, its message, and some of its tasks."""
        named = ", ".join(self.tasks[:EXAMPLES]) + (", …" if len(self.tasks) > EXAMPLES else "")
        return f"{len(self.tasks)} × {self.message}  ({named})"  # noqa: RUF001 - the sign is intended

    def to_json(self) -> dict[str, Any]:
        """An entry of `failures` in `exp.why/1`."""
        return {"message": self.message, "count": len(self.tasks), "tasks": list(self.tasks)}


def kinds(snapshot: Snapshot, names: Iterable[str], *, secrets: Collection[str]) -> list[FailureGroup]:
    """The failures among these tasks in groups, the largest first."""
    groups: dict[str, tuple[str, list[str]]] = {}
    failed = [name for name in names if snapshot.history.tasks[name].status is TaskStatus.FAILED]
    for number, name in enumerate(failed):
        state = snapshot.history.tasks[name]
        message = _message(snapshot, name, state, secrets=secrets, reads=number < MOST_READ)
        groups.setdefault(_NUMBERS.sub("#", message), (message, []))[1].append(name)
    ranked = sorted(groups.values(), key=lambda group: -len(group[1]))
    return [FailureGroup(message, tuple(tasks)) for message, tasks in ranked]


def _message(
    snapshot: Snapshot, name: str, state: TaskState, *, secrets: Collection[str], reads: bool
) -> str:
    """The error of a task in one line: from its log, or else where it ended, or else its reason."""
    if reads and state.submitted and (state.reason is None or state.reason in _LOG_EXPLAINS):
        attempt = snapshot.files.attempt(name, state.attempt)
        excerpt = log_excerpt.of_attempt(attempt, secrets=secrets)
        if excerpt is not None and excerpt.error:
            return excerpt.error
        if (line := failed_line_text.of_task(snapshot, name, secrets=secrets)) is not None:
            return f"exit code {state.exit_code} at {line}"
    return state.why() or f"exit code {state.exit_code}"
