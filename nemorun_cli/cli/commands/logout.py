"""`exp logout`: revoke the token of a server and forget it."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import completion, terminal, whoami_view
from nemorun_cli.errors import EngineError
from nemorun_cli.replication import credentials


def command(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The address of the server (default: that of the latest login).",
            autocompletion=completion.servers,
            show_default=False,
        ),
    ] = None,
    *,
    local: Annotated[
        bool, typer.Option("--local", help="Only forget the token here; the server still accepts it.")
    ] = False,
) -> None:
    """Log out of a server.

    Revokes the token on the server, with the logins that it approved, then removes it from the keyring or the
    file. What has not been delivered stays here, and `exp sync` delivers it after another login.

    Examples:
      exp logout
      exp logout https://exp.example.org
      exp logout --local                     the server cannot be reached any more
    """
    from nemorun_cli.replication.login_client import LoginClient  # noqa: PLC0415 - loads urllib3

    server = whoami_view.chosen(url, uses_environment=False)
    stored = credentials.stored_for(server)
    if stored is None and not local:
        raise credentials.missing_login(server)
    was_known = True
    if stored is not None and not local:
        try:
            was_known = LoginClient(server).log_out(stored.token)
        except EngineError as error:
            error.hint = f"try again later; or only forget the token here: exp logout {server} --local"
            raise
    if not credentials.forget(server):
        raise credentials.missing_login(server)
    if local:
        terminal.say(f"forgot the token for {server}, which the server still accepts")
    elif was_known:
        terminal.say(f"logged out of {server}: the token is revoked")
    else:
        terminal.say(f"logged out of {server}: the token had expired or been revoked")
