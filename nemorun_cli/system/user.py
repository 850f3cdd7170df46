"""The user who runs this process, and the owners of files."""

from __future__ import annotations

import os
from pathlib import Path

from nemorun_cli.errors import UsageError


def name() -> str:
    """The user's name; the number of a user without one, as in some containers."""
    import getpass  # noqa: PLC0415 - few commands need it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def home() -> Path:
    """The folder of the user.

    Raises:
        UsageError: HOME is not set, and the system has no entry for the user, as in some containers.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise UsageError(
            f"this user has no home folder: HOME is not set, and the system does not know uid {os.getuid()}",
            hint="set HOME, or NEMORUN_HOME to a folder for the experiments",
        ) from None


def expanded(path: str | Path) -> Path:
    """The path, with a leading `~` or `~NAME` replaced by the folder of that user.

    Raises:
        UsageError: the folder of the user is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"the folder that ~ means in {path} is not known: there is no such user, or HOME is not set",
            hint="write the path without ~, or set HOME",
        ) from None


def owner(path: Path | str) -> str | None:
    """The name or number of another user to whom a file belongs; None if it is this user, or unknown."""
    import pwd  # noqa: PLC0415 - only for messages

    try:
        uid = os.stat(path).st_uid  # noqa: PTH116 - takes text, too
        return None if uid == os.geteuid() else pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
    except OSError:
        return None
