"""One cause of a task's status, as reports show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nemorun_cli.model.status import TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause of a task's status.

    `kind` is for scripts; `task` and `status` are those of another task, if it is the cause.
    """

    kind: str
    message: str
    task: str | None = None
    status: TaskStatus | None = None
    time: str | None = None
    by: str | None = None
