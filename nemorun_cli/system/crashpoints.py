"""Places where a test can make this process die, so that crashes are tried at every write and not by luck.

`EXP_FAULT=<point>:<n>` kills the process with SIGKILL at the n-th passing of the point.
"""

from __future__ import annotations

import os
import signal
from typing import Final

VARIABLE: Final = "EXP_FAULT"

_name, _, _count = os.environ.get(VARIABLE, "").partition(":")
_left = int(_count or 1) if _name else 0

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
    "attempt.spawned",
    "attempt.submitted",
    "attempt.over",
    "supervisor.ended",
    "revision.taken",
    "revision.noted",
    "revision.installed",
)


def point(name: str) -> None:
    """Die here, if this is the point and the passing that a test asked for."""
    global _left  # noqa: PLW0603 - the count is of this process as a whole
    if name != _name:
        return
    _left -= 1
    if _left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
