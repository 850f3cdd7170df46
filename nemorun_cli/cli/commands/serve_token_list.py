"""`exp serve token list`: list the tokens of a server."""

from __future__ import annotations

from nemorun_cli.cli import serving, token_view
from nemorun_cli.cli.options import Json, Quiet, TokensRoot


def command(*, root: TokensRoot = None, is_json: Json = False, quiet: Quiet = False) -> None:
    """List the tokens of a server.

    Shows what each token allows and when it was last used. Tokens themselves are not stored.

    Examples:
      exp serve token list --root /srv/exp
    """
    token_view.print_all(serving.own(root), is_json=is_json, quiet=quiet)
