"""Who makes a request, by its header, and what they may read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import LedgerError
from nemorun_cli.serve import sessions, tokens
from nemorun_cli.serve.caller import Caller, Scope

if TYPE_CHECKING:
    from nemorun_cli.serve.site import Site

LONGEST: Final = 512  # characters of a header that can hold a token
PAGE: Final = "printed address"  # the name of the token behind the address that `exp serve` prints
_SCHEME: Final = "bearer"


class Access:
    """The rights on one server.

    A token that another process adds or revokes counts from the next call on. If the files of the server
    cannot be read, the methods raise `LedgerError`: then nobody may do anything.

    Attributes:
        tokens: those of the server.
        sessions: those of its pages.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.tokens = tokens.Tokens(site.own)
        self.sessions = sessions.Sessions(site.own, self.tokens)

    def caller(self, authorization: str | None) -> Caller | None:
        """Who makes a request with this value of `Authorization`; None without a valid token.

        The use of the token is noted in a file, for which this may wait.
        """
        caller = self.known(authorization)
        if caller is not None:
            self.tokens.note_use(caller.token_id)
        return caller

    def known(self, authorization: str | None) -> Caller | None:
        """The same, without a note."""
        secret = secret_of(authorization)
        if secret is None:
            return None
        if secret.startswith(sessions.START):
            return self.sessions.caller(secret)
        token = self.tokens.of(secret)
        return None if token is None else token.caller

    def is_current(self, caller: Caller) -> bool:
        """Whether the token, or session, of a caller is still valid: for answers that take long.

        False if the files of the server cannot be read.
        """
        try:
            if caller.session_id is not None:
                return self.sessions.by_id(caller.session_id) is not None
            return self.tokens.by_id(caller.token_id) is not None
        except LedgerError:
            return False

    def may_read(self, caller: Caller, prefix: str) -> bool:
        """Whether a caller may read below a prefix: on a private server only what is theirs."""
        if Scope.READ not in caller.scopes:
            return False
        return not self._site.is_private or _is_theirs(caller, prefix)

    def may_write(self, caller: Caller, prefix: str) -> bool:
        """Whether a caller may write below a prefix."""
        return Scope.WRITE in caller.scopes and tokens.matches(caller.prefixes, prefix)

    def printed_token(self, user: str) -> str:
        """A one-time token for the address that `exp serve` prints, with all rights of a user.

        Args:
            user: who runs the server.
        """
        found = (token for token in self.tokens.all() if (token.user, token.name) == (user, PAGE))
        token = next(found, None)
        if token is None:
            token = self.tokens.add(user, scopes=frozenset(Scope), name=PAGE).token
        return self.sessions.one_time(token.id)


def secret_of(authorization: str | None) -> str | None:
    """The token in a value of `Authorization`; None without one."""
    if authorization is None or len(authorization) > LONGEST:
        return None
    scheme, _, secret = authorization.strip().partition(" ")
    secret = secret.strip()
    return secret if scheme.lower() == _SCHEME and secret and secret.isascii() and " " not in secret else None


def _is_theirs(caller: Caller, prefix: str) -> bool:
    return prefix.partition("/")[0] == caller.user or tokens.matches(caller.prefixes, prefix)
