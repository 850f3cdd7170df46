"""Whether a process exists."""

from __future__ import annotations

import os


def exists(pid: int) -> bool:
    """Whether a process with this pid exists; a zombie counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
