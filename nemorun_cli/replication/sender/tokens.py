"""The token for a server, as a sender needs it."""

from __future__ import annotations

from nemorun_cli.replication import credentials
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault


def required(url: str) -> str:
    """The token for a server.

    Raises:
        RemoteError: this user has none for it.
        UsageError: the file of tokens cannot be used.
    """
    credential = credentials.token_for(url)
    if credential is None:
        missing = credentials.missing(url)
        raise RemoteError(RemoteFault.NO_TOKEN, missing.message, hint=missing.hint)
    return credential.token
