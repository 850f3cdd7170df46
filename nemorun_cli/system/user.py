"""The user who runs this process, and the owners of files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = ("exp", "__main__.py")  # whose first argument is a word of the command line
_ASKED_BY: list[str] = []  # the user of a server for whom this process acts; empty for none


def name() -> str:
    """The user's name; the number of a user without one, as in some containers."""
    import getpass  # noqa: PLC0415 - few commands need it

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def author() -> str:
    """The author of what this process requests or adds, as files keep it: user, host, pid and command.

    Of a program only its name: its arguments may be secret. In a process of a server, the user who asked for
    it comes first.
    """
    process = f"{name()}@{os.uname().nodename}:{os.getpid()} ({_command(sys.argv)})"
    return " via ".join([*_ASKED_BY, process])


def act_for(asking: str) -> None:
    """Name a user of a server as the author of all that this process does from now on."""
    _ASKED_BY[:] = [asking]


def _command(argv: Sequence[str]) -> str:
    program = os.path.basename(argv[0]) if argv else "python"  # noqa: PTH119 - argv[0] is any text, not always a path
    return " ".join([program, *(argv[1:2] if program in _COMMANDS else ())])


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
