"""`exp serve token add`: make a token for a user or a machine."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import completion, serving, token_view
from nemorun_cli.cli.options import Json, TokensRoot


def command(
    user: Annotated[
        str, typer.Argument(metavar="USER", help="Whose token it is: the first part of their prefixes.")
    ],
    *,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="What it allows: read, write, control (default: read and write). Repeatable.",
            autocompletion=completion.one_of(token_view.SCOPES),
        ),
    ] = None,
    prefixes: Annotated[
        list[str] | None,
        typer.Option(
            "--prefix", metavar="GLOB", help="Which prefixes it may write (default: USER/**). Repeatable."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="DURATION", help="How long it is valid: 90d (default: forever)."),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")] = "",
    root: TokensRoot = None,
    is_json: Json = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Print the token alone.")] = False,
) -> None:
    """Make a token for a user or a machine.

    It is printed only now: the server keeps a checksum. A running server accepts it at once.

    Examples:
      exp serve token add alice --root /srv/exp
      exp serve token add alice -q --root /srv/exp | exp login https://exp.example.org --token-stdin
      exp serve token add ci --prefix 'ci/**' --expires 90d --root /srv/exp
    """
    token_view.add(
        serving.own(root),
        user,
        scopes=scopes or (),
        prefixes=prefixes or (),
        expires=expires,
        name=name,
        is_json=is_json,
        quiet=quiet,
    )
