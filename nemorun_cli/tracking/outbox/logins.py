"""The servers that this user is logged in to, as `exp login` keeps them: the default, and as whom."""

from __future__ import annotations

import json
import os
import stat
from typing import Any, Final

from nemorun_cli.system.files import LARGEST, at_most, open_to_read

HOME_VARIABLE: Final = "NEMORUN_HOME"
DEFAULT_HOME: Final = "~/.nemo_run"
FILE: Final = "logins.json"
TOKEN_VARIABLES: Final = ("EXP_TOKEN", "EXP_TOKEN_FILE")


def home() -> str:
    """`$NEMORUN_HOME`, absolute; it need not exist."""
    return os.path.abspath(os.path.expanduser(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME))


def default_url() -> str | None:
    """The server of the latest login; None without any."""
    url = _read().get("default")
    return url if isinstance(url, str) else None


def user(url: str) -> str | None:
    """The user that is logged in to a server, as far as is known here."""
    if has_own_token():
        return None  # that token may be of another user
    servers = _read().get("servers")
    entry = servers.get(url) if isinstance(servers, dict) else None
    name = entry.get("user") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def has_own_token() -> bool:
    """Whether this process has a token in its environment."""
    return any(os.environ.get(name) for name in TOKEN_VARIABLES)


def _read() -> dict[str, Any]:
    """The content of the file; nothing if it cannot be read, or others may write it: the sender says so."""
    path = f"{home()}/{FILE}"
    try:
        with open_to_read(path, follows_link=False) as stream:
            status = os.fstat(stream.fileno())
            if status.st_uid not in {0, os.geteuid()} or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return {}
            content = json.loads(at_most(LARGEST, stream, path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
