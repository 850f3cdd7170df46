"""The token for a server, as a sender needs it."""

from __future__ import annotations

import os

from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault


def required(url: str) -> str:
    """The token for a server.

    Raises:
        RemoteError: it has none here.
        UsageError: the file of tokens cannot be used.
    """
    token = os.environ.get("EXP_TOKEN")
    if not token:
        raise RemoteError(RemoteFault.TOKEN, f"there is no token for {url}", hint=f"exp login {url}")
    return token
