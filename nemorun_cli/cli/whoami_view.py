"""What `exp login`, `logout` and `whoami` share: which server is meant, and who the user is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, cast

from nemorun_cli.cli import terminal, times
from nemorun_cli.errors import UsageError
from nemorun_cli.replication import address, credentials

if TYPE_CHECKING:
    from nemorun_cli.json_documents import WhoamiDocument
    from nemorun_cli.replication.login_client import Whoami

FORMAT: Final = "exp.whoami/1"
SOURCES: Final = {
    credentials.TOKEN: credentials.TOKEN,
    credentials.TOKEN_FILE: credentials.TOKEN_FILE,
    credentials.KEYRING: "the keyring",
    credentials.FILE: "a private file",
}


def chosen(url: str | None, *, uses_environment: bool = True) -> str:
    """The address of the server that is meant.

    Args:
        url: as the user gave it; None for the default.
        uses_environment: whether EXP_DASH_URL may name the default.

    Raises:
        UsageError: none is given, and there was no login.
    """
    if url is not None:
        return address.normalized(url, what="URL")
    default = credentials.default() if uses_environment else credentials.latest()
    if default is None:
        for name in (credentials.TOKEN, credentials.TOKEN_FILE):
            if uses_environment and os.environ.get(name):
                message = f"{name} is set, and {address.VARIABLE} does not say for which server it is"
                raise UsageError(message, hint=f"{address.VARIABLE}=https://HOST, the server of the token")
        raise UsageError("not logged in to any server", hint="exp login URL")
    return default


def rights(who: Whoami) -> str:
    """What a token allows, in a line."""
    until = f", until {times.full(who.expires)}" if who.expires else ""
    writes = f"; writes {' '.join(who.prefixes)}" if "write" in who.scopes else ""
    return f"may {', '.join(who.scopes)}{writes}{until}"


def write_json(server: str, source: str, who: Whoami) -> None:
    """Print `exp.whoami/1`."""
    document = {"schema": FORMAT, "server": server, "source": source, **who._asdict()}
    terminal.write_json(cast("WhoamiDocument", document))
