"""`exp login`: get a token of a server and keep it for this user."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nemorun_cli.cli import completion, terminal, whoami_view
from nemorun_cli.cli.options import Json
from nemorun_cli.errors import EngineError, ExpError, LedgerError, UsageError
from nemorun_cli.experiment.records import targets
from nemorun_cli.replication import address, credentials
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from nemorun_cli.replication.login_client import LoginClient

_LARGEST_INPUT: Final = 1 << 16  # characters read for a token


def command(
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="The address of the server.", autocompletion=completion.servers),
    ],
    *,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read a token from standard input instead.")
    ] = False,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser", help="Open the page in a browser, if there is one (the default).", show_default=False
        ),
    ] = True,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Send the token over http:// to another machine: others can read it."
        ),
    ] = False,
    keyring: Annotated[
        bool,
        typer.Option(
            "--keyring",
            help="Keep the token in the keyring, if there is one (the default), else in a private file.",
            show_default=False,
        ),
    ] = True,
    is_json: Json = False,
) -> None:
    """Log in to a server.

    Shows a code to enter on the server's page, where you are signed in. The token is kept in the keyring of
    this user, or in a private file where no keyring exists, and is sent to this server only. The server
    becomes the one that `dash_url=True` means.

    Examples:
      exp login https://exp.example.org
      exp login https://exp.example.org --token-stdin
      exp login http://localhost:8300
    """
    from nemorun_cli.replication.login_client import LoginClient  # noqa: PLC0415 - loads urllib3

    server = address.normalized(url, what="URL")
    if not address.is_private(server) and not insecure:
        raise UsageError(
            f"{server} is reached without TLS, and others on the way can read the token",
            hint=f"use https, or a tunnel (ssh -L); or accept that: exp login {server} --insecure",
        )
    client = LoginClient(server)
    client.hello()
    token = _given() if token_stdin else _approved(client, opens=browser)
    who = client.whoami(token)
    try:
        stored = credentials.store(server, token, user=who.user, insecure=insecure, uses_keyring=keyring)
    except LedgerError:
        if not token_stdin:  # else nobody would have this token, and the server would accept it
            with contextlib.suppress(ExpError):
                client.log_out(token)
        raise
    _hurry_senders(server)
    if is_json:
        whoami_view.write_json(server, stored.source, who)
        return
    terminal.say(f"logged in to {server} as {who.user} ({whoami_view.rights(who)})")
    if stored.source == credentials.KEYRING:
        terminal.say("the token is in your keyring")
    else:
        because = f", because {stored.reason}" if stored.reason else ""
        terminal.say(f"the token is in {credentials.file()}, which only you can read{because}")
    _warn_of_environment(server)


def _hurry_senders(server: str) -> None:
    """Have what waits for a token of this server sent with the new one."""
    from nemorun_cli.replication.sender import delivery, known_roots  # noqa: PLC0415 - after the login only

    home = str(Home.from_environment().directory)
    for outbox in delivery.every_outbox([str(targets.root(None)), *known_roots.known()], home):
        if outbox.url == server:
            delivery.hurry(outbox)


def _given() -> str:
    """The token from standard input."""
    if sys.stdin is None:
        raise UsageError("--token-stdin: standard input is closed")
    if sys.stdin.isatty():
        import getpass  # noqa: PLC0415 - only at a terminal

        return credentials.checked(getpass.getpass("token: "), what="what was entered")
    return credentials.checked(sys.stdin.read(_LARGEST_INPUT), what="standard input")


def _approved(client: LoginClient, *, opens: bool) -> str:
    """The token of a login that a user approves on the server's page."""
    code = client.start()
    terminal.say(f"open {code.page} and enter the code {code.user_code}")
    if opens and _has_screen():
        import webbrowser  # noqa: PLC0415 - only with a screen

        webbrowser.open(code.page_with_code)
    try:
        return client.wait(code)
    except EngineError as error:
        error.hint = f"exp login {client.server}"
        raise


def _has_screen() -> bool:
    """Whether a browser could open a window; one in this terminal would hide the code."""
    return sys.platform == "darwin" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))


def _warn_of_environment(server: str) -> None:
    found = credentials.token_for(server)
    if found is not None and found.source in {credentials.TOKEN, credentials.TOKEN_FILE}:
        terminal.warn(f"{found.source} is set and is used instead of this login")
