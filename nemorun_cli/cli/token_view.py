"""What `exp serve token add`, `list` and `revoke` do and print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli.cli import options, tables, terminal, times
from nemorun_cli.cli.table_layout import Column
from nemorun_cli.errors import UsageError
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.tokens import DEFAULT_SCOPES, Token, Tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.json_documents import TokenDocument

FORMAT: Final = "exp.token/1"
SCOPES: Final = tuple(scope.value for scope in Scope)
COLUMNS: Final = (
    Column("ID"),
    Column("USER"),
    Column("SCOPES", spare=2),
    Column("PREFIXES", is_flexible=True),
    Column("EXPIRES", spare=1),
    Column("LAST USED", spare=3),
    Column("NAME", is_flexible=True, spare=4),
)


def add(
    own: Path,
    user: str,
    *,
    scopes: Sequence[str] = (),
    prefixes: Sequence[str] = (),
    expires: str | None = None,
    name: str = "",
    is_json: bool = False,
    quiet: bool = False,
) -> None:
    """Make a token and print it.

    Args:
        own: the folder of the server's own files (`Site.own`).
        user: whose token it is.
        scopes: the values of `--scope`, each one or several with commas; none for read and write.
        prefixes: the values of `--prefix`; none for all of the user.
        expires: the value of `--expires`, a duration.
        name: the value of `--name`.
        is_json: print `exp.token/1`.
        quiet: print the token alone.

    Raises:
        UsageError: a value is not possible.
    """
    chosen = frozenset(map(_scope, (word for text in scopes for word in text.split(","))))
    seconds = None if expires is None else options.duration("--expires", expires)
    token, secret = Tokens(own).add(
        user, scopes=chosen or DEFAULT_SCOPES, prefixes=prefixes or None, seconds=seconds, name=name
    )
    if is_json:
        terminal.write_json(_document([token], {}, secret=secret))
    elif quiet:
        terminal.write_line(secret)
    else:
        terminal.say(f"token {token.id} of {user}: {_rights(token)}; it is printed only now")
        terminal.write_line(secret)


def print_all(own: Path, *, is_json: bool = False, quiet: bool = False) -> None:
    """Print the tokens of a server, without their texts, which are not stored.

    Args:
        own: the folder of the server's own files.
        is_json: print `exp.token/1`.
        quiet: print the ids alone.
    """
    tokens = Tokens(own)
    known, uses = tokens.all(), tokens.uses()
    if is_json:
        terminal.write_json(_document(known, uses))
    elif quiet:
        terminal.write_lines(token.id for token in known)
    elif known:
        tables.show(COLUMNS, [_row(token, uses) for token in known])
    else:
        terminal.warn("this server has no tokens; add one: exp serve token add USER")


def revoke(own: Path, which: Sequence[str], *, is_json: bool = False, quiet: bool = False) -> None:
    """End tokens at once, and print which.

    Args:
        own: the folder of the server's own files.
        which: ids, or users for all of theirs.
        is_json: print `exp.token/1`.
        quiet: print the ids alone.

    Raises:
        NotFoundError: one of these is unknown; then none is revoked.
    """
    tokens = Tokens(own)
    uses = tokens.uses()
    revoked = tokens.revoke(which)
    if is_json:
        terminal.write_json(_document(revoked, uses))
    elif quiet:
        terminal.write_lines(token.id for token in revoked)
    else:
        for token in revoked:
            terminal.say(f"revoked token {token.id} of {token.user}")


def _scope(word: str) -> Scope:
    try:
        return Scope(word.strip())
    except ValueError:
        raise UsageError(f"--scope {word}: must be one of {', '.join(SCOPES)}") from None


def _rights(token: Token) -> str:
    scopes = ", ".join(sorted(scope.value for scope in token.scopes))
    until = f", until {times.full(token.expires)}" if token.expires else ""
    return f"{scopes}; may write {' '.join(token.prefixes)}{until}"


def _row(token: Token, uses: Mapping[str, str]) -> list[str]:
    expires = times.brief(token.expires) or "never"
    return [
        token.id,
        token.user,
        ",".join(sorted(scope.value for scope in token.scopes)),
        " ".join(token.prefixes),
        f"{expires} (expired)" if token.is_expired else expires,
        times.brief(uses.get(token.id)) or "never",
        token.name,
    ]


def _document(
    tokens: Iterable[Token], uses: Mapping[str, str], *, secret: str | None = None
) -> TokenDocument:
    entries: list[dict[str, Any]] = [
        {
            **{key: value for key, value in token.entry().items() if key != "digest"},
            "last_used": uses.get(token.id),
            "is_expired": token.is_expired,
        }
        for token in tokens
    ]
    if secret is not None:
        entries = [{**entry, "token": secret} for entry in entries]
    return cast("TokenDocument", {"schema": FORMAT, "tokens": entries})
