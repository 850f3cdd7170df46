"""`exp serve token revoke`: end tokens at once."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import serving, token_view
from nemorun_cli.cli.options import Json, Quiet, TokensRoot


def command(
    which: Annotated[
        list[str], typer.Argument(metavar="ID|USER", help="Ids of tokens, or users for all of theirs.")
    ],
    *,
    root: TokensRoot = None,
    is_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """End tokens at once.

    The sessions of pages that began with a token end with it.

    Examples:
      exp serve token revoke 1f0c92ab --root /srv/exp
      exp serve token revoke alice --root /srv/exp    all tokens of alice
    """
    token_view.revoke(serving.own(root), which, is_json=is_json, quiet=quiet)
