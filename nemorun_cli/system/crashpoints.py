"""Points where tests can kill this process, to cover a crash at every write deterministically.

`EXP_FAULT=<point>:<n>` kills the process with SIGKILL when it reaches the point for the n-th time.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "EXP_FAULT"

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_remaining = int(_count or 1) if _name else 0

POINTS: Final = (
    "create.folder",
    "create.files",
    "create.ledger",
    "supervisor.locked",
    "supervisor.started",
    "ledger.before",
    "ledger.written",
    "ledger.synced",
    "attempt.folder",
    "attempt.plan",
    "attempt.locked",
    "attempt.waiting",
    "attempt.spawned",
    "attempt.submitted",
    "attempt.over",
    "group.stop",
    "group.best",
    "search.ask",
    "search.suggestion",
    "search.suggested",
    "search.result",
    "search.recorded",
    "metric.stop",
    "metric.stopped",
    "supervisor.ended",
    "revision.taken",
    "revision.noted",
    "revision.installed",
    "environment.started",
    "environment.locked",
    "environment.empty",
    "environment.installed",
    "step_cache.keeping",
    "step_cache.content",
    "step_cache.contents",
    "step_cache.kept",
    "step_cache.prepared",
    "step_cache.file",
    "step_cache.placed",
    "step_cache.listed",
    "step_cache.taken",
    "trash.origin",
    "trash.moved",
)


def point(name: str) -> None:
    """Kill this process if `EXP_FAULT` names this point and the count is reached."""
    global _remaining  # noqa: PLW0603 - the process as a whole has one count
    if name != _name:
        return
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
