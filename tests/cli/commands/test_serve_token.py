"""`exp serve token add`, `list` and `revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.formats import checked

from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from support.workspace import Exp


def test_a_token_is_printed_once(exp: Exp) -> None:
    """`add -q` prints the token alone; no other command prints it, and `list` has all else about it."""
    secret = exp("serve", "token", "add", "alice", "-q", "--root", "srv").stdout.strip()
    own = exp.folder / "srv/.server"
    token = Tokens(own).of(secret)
    assert token
    listed = exp("serve", "token", "list", "--root", "srv").stdout
    document = checked(exp("serve", "token", "list", "--root", "srv", "--json").json)
    assert secret not in listed
    assert token.id in listed
    assert [(each["id"], each["user"], "token" in each) for each in document["tokens"]] == [
        (token.id, "alice", False)
    ]
    assert exp("serve", "token", "list", "--root", "srv", "-q").stdout == f"{token.id}\n"


def test_a_token_has_what_its_options_give(exp: Exp) -> None:
    """Scopes, prefixes, time and name are those of the options; a new token is in the document of `add`."""
    options = [
        "--scope",
        "read,control",
        "--prefix",
        "team/**",
        "--prefix",
        "ci/*",
        "--expires",
        "90d",
        "--name",
        "ci",
    ]
    added = checked(exp("serve", "token", "add", "bob", *options, "--root", "srv", "--json").json)["tokens"]
    token = Tokens(exp.folder / "srv/.server").of(added[0]["token"])
    assert token
    assert (token.entry()["scopes"], token.prefixes, token.name) == (
        ["control", "read"],
        ("team/**", "ci/*"),
        "ci",
    )
    assert token.expires == added[0]["expires"]


def test_revoked_tokens_are_named(exp: Exp) -> None:
    """`revoke` takes ids and users, and with an unknown one revokes none and ends with 3."""
    for user in ("alice", "alice", "bob"):
        exp("serve", "token", "add", user, "--root", "srv")
    assert exp("serve", "token", "revoke", "alice", "nobody", "--root", "srv", code=3)
    revoked = checked(exp("serve", "token", "revoke", "alice", "--root", "srv", "--json").json)["tokens"]
    assert [each["user"] for each in revoked] == ["alice", "alice"]
    left = checked(exp("serve", "token", "list", "--root", "srv", "--json").json)["tokens"]
    assert [each["user"] for each in left] == ["bob"]


@pytest.mark.parametrize(
    "options",
    [
        "a/b",
        "*",
        "alice --scope all",
        "alice --expires soon",
        "alice --expires 0",
        "alice --prefix ../x",
        f"alice --name {'x' * 101}",
    ],
)
def test_what_no_token_can_have_is_refused(exp: Exp, options: str) -> None:
    """A wrong value ends with 2, and no token is made."""
    exp("serve", "token", "add", *options.split(), "--root", "srv", code=2)
    assert not (exp.folder / "srv/.server/tokens.json").exists()
