"""What failed, grouped by what ended it: `38 × RuntimeError: CUDA out of memory`."""  # noqa: RUF002 - the sign is meant

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.views import log_excerpt

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot

MOST_READ: Final = 1_000  # logs that are looked into; what failed beyond that is told by its reason
EXAMPLES: Final = 3  # members that a line names

# Failures that differ in numbers and addresses only are of one kind.
_NUMBERS: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
# Whose log says more than their reason does.
_BY_THEMSELVES: Final = frozenset({Reason.EXIT, Reason.SIGNAL})


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: what the first of them says, and the ids of all."""

    message: str
    tasks: tuple[str, ...]

    @property
    def line(self) -> str:
        """The kind for people: how many, what, and some of them."""
        named = ", ".join(self.tasks[:EXAMPLES]) + (", …" if len(self.tasks) > EXAMPLES else "")
        return f"{len(self.tasks)} × {self.message}  ({named})"  # noqa: RUF001 - the sign is meant

    def to_json(self) -> dict[str, Any]:
        """An entry of `failures` in `exp.why/1`."""
        return {"message": self.message, "count": len(self.tasks), "tasks": list(self.tasks)}


def kinds(snapshot: Snapshot, names: Iterable[str], *, secrets: Collection[str]) -> list[FailureGroup]:
    """The kinds of failures among these tasks, the most frequent first."""
    found: dict[str, tuple[str, list[str]]] = {}
    failed = [name for name in names if snapshot.history.tasks[name].status is TaskStatus.FAILED]
    for number, name in enumerate(failed):
        state = snapshot.history.tasks[name]
        message = _message(snapshot, name, state, secrets=secrets, reads=number < MOST_READ)
        found.setdefault(_NUMBERS.sub("#", message), (message, []))[1].append(name)
    ranked = sorted(found.values(), key=lambda entry: -len(entry[1]))
    return [FailureGroup(message, tuple(tasks)) for message, tasks in ranked]


def _message(
    snapshot: Snapshot, name: str, state: TaskState, *, secrets: Collection[str], reads: bool
) -> str:
    """What ended a task, in a line: the last one of its traceback, or else its reason."""
    if reads and state.submitted and (state.reason is None or state.reason in _BY_THEMSELVES):
        excerpt = log_excerpt.read(snapshot.files.attempt(name, state.attempt).log, secrets=secrets)
        if excerpt is not None and excerpt.error:
            return excerpt.error
    why = state.why()
    return why or f"exit code {state.exit_code}"
