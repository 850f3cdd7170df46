"""`exp whoami`: print the user of a server, and what their token allows."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import completion, terminal, whoami_view
from nemorun_cli.cli.options import Json
from nemorun_cli.replication import credentials


def command(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The address of the server (default: EXP_DASH_URL, or that of the latest login).",
            autocompletion=completion.servers,
            show_default=False,
        ),
    ] = None,
    *,
    is_json: Json = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the user alone.")] = False,
) -> None:
    """Show who you are on a server.

    Asks the server with the token that programs would use: that of EXP_TOKEN or EXP_TOKEN_FILE, or that of
    `exp login`. Ends with 2 if it is refused, and with 6 if the server cannot be reached.

    Examples:
      exp whoami
      exp whoami https://exp.example.org --json
    """
    from nemorun_cli.replication.login_client import LoginClient  # noqa: PLC0415 - loads urllib3

    server = whoami_view.chosen(url)
    credential = credentials.token_for(server)
    if credential is None:
        raise credentials.missing(server)
    who = LoginClient(server).whoami(credential.token)
    if is_json:
        whoami_view.write_json(server, credential.source, who)
    elif quiet:
        terminal.write_line(who.user)
    else:
        terminal.write_line(f"{who.user} at {server}")
        terminal.write_line(f"{whoami_view.rights(who)}; token from {whoami_view.SOURCES[credential.source]}")
