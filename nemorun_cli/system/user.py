"""The user who runs this process."""

from __future__ import annotations

import os


def name() -> str:
    """The user's name; the number of a user without one, as in some containers."""
    import getpass  # noqa: PLC0415 - few commands need it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
