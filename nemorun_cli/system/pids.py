"""Whether a process exists."""

from __future__ import annotations

import os


def exists(pid: int) -> bool:
    """Whether there is such a process, be it only waiting to be collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
