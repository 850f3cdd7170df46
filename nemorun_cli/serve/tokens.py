"""The tokens of one server: who may do what, and until when. Of each token only the SHA-256 is stored."""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nemorun_cli.errors import (
    InvalidValueError,
    LedgerDamagedError,
    LedgerError,
    NotFoundError,
    UsageError,
)
from nemorun_cli.model import clock
from nemorun_cli.replication import protocol
from nemorun_cli.replication.private_json import PrivateJson
from nemorun_cli.serve.caller import Caller, Scope
from nemorun_cli.tracking.store import record_paths

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

FORMAT: Final = "exp.tokens/1"
USES_FORMAT: Final = "exp.token-uses/1"
START: Final = "exp_"  # what the text of a token begins with, so that it is recognized where it should not be
BYTES: Final = 32  # random bytes of a token
LONGEST_NAME: Final = 100  # characters
USE_STEP: Final = 60.0  # seconds between two notes about the use of one token
DEFAULT_SCOPES: Final = frozenset({Scope.READ, Scope.WRITE})
REVOKED: Final = "0" * 64  # the digest of a token that was revoked while the disk was full
ANY_PARTS: Final = "**"
_WILD: Final = frozenset("*?")
_MANY: Final = 10_000  # tokens of a server
MOST_LOGINS: Final = 500  # tokens of one user that other tokens approved
_EARLIEST: Final = 0.0  # Unix seconds


class TooManyLoginsOfUserError(UsageError):
    """A user has approved as many logins as one may have."""


class NewToken(NamedTuple):
    """A token that was just made; `secret` is its text, which nobody can read again."""

    token: Token
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token.

    Attributes:
        id: names it in lists and for `revoke`.
        digest: the SHA-256 of its text, hexadecimal.
        user: whose it is.
        scopes: what it allows.
        prefixes: globs of the prefixes that it may write.
        created: a stamp.
        expires: a stamp; None for never.
        name: what it is for, such as the machine that logged in.
        made_by: the id of the token that approved its login; None for one that the server's owner added.
    """

    id: str
    digest: str
    user: str
    scopes: frozenset[Scope]
    prefixes: tuple[str, ...]
    created: str
    expires: str | None = None
    name: str = ""
    made_by: str | None = None

    @classmethod
    def from_entry(cls, entry: Any) -> Self:
        """A token as the file has it.

        Raises:
            ValueError, TypeError, KeyError: it is not what `entry` returns.
        """
        texts = [entry["id"], entry["digest"], entry["user"], entry["created"], entry["name"]]
        if not all(isinstance(text, str) for text in [*texts, *entry["prefixes"]]):
            raise TypeError("a value is not a text")
        if not isinstance(entry.get("made_by"), str | None):
            raise TypeError("made_by is not a text")
        if entry["expires"] is not None:
            clock.unix(entry["expires"])
        return cls(
            id=entry["id"],
            digest=entry["digest"],
            user=entry["user"],
            scopes=frozenset(map(Scope, entry["scopes"])),
            prefixes=tuple(entry["prefixes"]),
            created=entry["created"],
            expires=entry["expires"],
            name=entry["name"],
            made_by=entry.get("made_by"),
        )

    def entry(self) -> dict[str, Any]:
        """The token as the file has it."""
        return {
            "id": self.id,
            "digest": self.digest,
            "user": self.user,
            "scopes": sorted(scope.value for scope in self.scopes),
            "prefixes": list(self.prefixes),
            "created": self.created,
            "expires": self.expires,
            "name": self.name,
            "made_by": self.made_by,
        }

    @property
    def is_expired(self) -> bool:
        """Whether its time has passed."""
        return self.expires is not None and clock.unix(self.expires) <= time.time()

    @property
    def caller(self) -> Caller:
        """Who makes a request with it."""
        return Caller(self.user, self.scopes, self.prefixes, self.id)


class Tokens:
    """The tokens of one server; what another process changes holds from the next call on.

    Args:
        own: the folder of the server's own files.
    """

    def __init__(self, own: Path) -> None:
        self._file = PrivateJson(own / "tokens.json", FORMAT)
        self._uses = PrivateJson(own / "token-uses.json", USES_FORMAT)
        self._seen: dict[str, float] = {}  # when the use of a token was last noted here, monotonic
        self._indexed: tuple[dict[str, Any], dict[str, Token]] = ({}, {})

    def all(self) -> list[Token]:
        """All tokens, the oldest first, expired ones included.

        Raises:
            LedgerError: the file is damaged, cannot be read, or other users may change it.
        """
        return list(self._by_digest().values())

    def _by_digest(self) -> dict[str, Token]:
        content = self._file.read()
        known, index = self._indexed
        if content is not known:
            index = {token.digest: token for token in map(self._token, content.get("tokens", []))}
            index.pop(REVOKED, None)
            self._indexed = content, index
        return index

    def _token(self, entry: Any) -> Token:
        try:
            return Token.from_entry(entry)
        except (ValueError, TypeError, KeyError) as error:
            raise LedgerDamagedError(
                f"{self._file.path} is not used: an entry is damaged: {error}",
                hint="restore it from a backup, or remove the entry",
            ) from None

    def of(self, secret: str) -> Token | None:
        """The token with this text, unless it is unknown, revoked or expired.

        Raises:
            LedgerError: as `all`.
        """
        digest = digest_of(secret)
        token = self._by_digest().get(digest)
        if token is None or not hmac.compare_digest(token.digest, digest) or token.is_expired:
            return None
        return token

    def by_id(self, token_id: str) -> Token | None:
        """The token with this id, unless it is unknown, revoked or expired.

        Raises:
            LedgerError: as `all`.
        """
        return next((token for token in self.all() if token.id == token_id and not token.is_expired), None)

    def add(
        self,
        user: str,
        *,
        scopes: Collection[Scope] = DEFAULT_SCOPES,
        prefixes: Sequence[str] | None = None,
        seconds: float | None = None,
        expires: str | None = None,
        name: str = "",
        made_by: str | None = None,
    ) -> NewToken:
        """Make a token.

        Args:
            user: whose it is: the first part of a prefix.
            scopes: what it allows.
            prefixes: globs of the prefixes that it may write; None for all of the user.
            seconds: how long it is valid; None forever, or until `expires`.
            expires: a stamp.
            name: what it is for.
            made_by: the id of the token that approved its login.

        Raises:
            InvalidValueError: the user, a prefix, the name or the time is not possible.
            NotFoundError: the token that approved the login was revoked meanwhile.
            TooManyLoginsOfUserError: a login was approved that is one too many.
            LedgerError: the file cannot be read or written.
        """
        check_user(user)
        if not scopes:
            raise InvalidValueError("a token needs a scope", hint="there are: read, write, control")
        if seconds is not None:
            expires = _expiry(seconds)
        secret = START + secrets.token_urlsafe(BYTES)
        with self._file.changed() as content:
            entries = content.setdefault("tokens", [])
            if len(entries) >= _MANY:
                raise UsageError(
                    f"there are {_MANY:,} tokens already", hint="revoke some: exp serve token list"
                )
            logins = sum(entry.get("user") == user and bool(entry.get("made_by")) for entry in entries)
            known = {entry.get("id") for entry in entries}
            if made_by is not None and made_by not in known:
                raise NotFoundError("the token that approved this login was revoked", hint="log in again")
            if made_by is not None and logins >= MOST_LOGINS:
                raise TooManyLoginsOfUserError(
                    f"{user} has {MOST_LOGINS} logins already", hint="log out of some: exp logout"
                )
            token = Token(
                id=_new_id(known),
                digest=digest_of(secret),
                user=user,
                scopes=frozenset(scopes),
                prefixes=tuple(map(check_glob, prefixes or [f"{user}/**"])),
                created=clock.stamp(),
                expires=expires,
                name=_checked_name(name),
                made_by=made_by,
            )
            entries.append(token.entry())
        return NewToken(token, secret)

    def revoke(self, which: Sequence[str]) -> list[Token]:
        """Remove tokens at once, with those whose logins they approved, and return them; also on a full disk.

        Args:
            which: ids, or names of users, which stand for all their tokens.

        Raises:
            NotFoundError: one of these is unknown; then none is removed.
            LedgerError: the file cannot be read or written.
        """
        blanked: list[str] = []
        with self._file.changed(blanked=blanked) as content:
            tokens = [self._token(entry) for entry in content.get("tokens", [])]
            known = {name for token in tokens for name in (token.id, token.user)}
            if unknown := [name for name in which if name not in known]:
                listed = ", ".join(token.id for token in tokens[:10]) or "none"
                raise NotFoundError(
                    f"no token has the id, or belongs to the user, {unknown[0]!r} (there are: {listed})",
                    hint="exp serve token list",
                )
            removed = _with_approved(
                tokens, {token.id for token in tokens if {token.id, token.user} & set(which)}
            )
            content["tokens"] = [token.entry() for token in tokens if token.id not in removed]
            blanked += [token.digest for token in tokens if token.id in removed]
        return [token for token in tokens if token.id in removed]

    def log_out(self, token_id: str) -> None:
        """Remove one token, if it is known, with the logins that it approved, and those that they approved.

        Raises:
            LedgerError: the file cannot be read or written.
        """
        with self._file.changed() as content:
            tokens = [self._token(entry) for entry in content.get("tokens", [])]
            removed = _with_approved(tokens, {token_id})
            content["tokens"] = [token.entry() for token in tokens if token.id not in removed]

    def note_use(self, token_id: str) -> None:
        """Remember that a token was used now; written at most once a minute, and never on a full disk."""
        if self.is_use_due(token_id):
            self.write_use(token_id)

    def is_use_due(self, token_id: str) -> bool:
        """Whether the use of a token is to be written now; true at most once a minute."""
        now = time.monotonic()
        if now - self._seen.get(token_id, -USE_STEP) < USE_STEP:
            return False
        self._seen[token_id] = now
        return True

    def write_use(self, token_id: str) -> None:
        """Write that a token was used now; this may wait for another process."""
        try:
            known = {token.id for token in self.all()}
            with self._uses.changed(is_durable=False) as content:
                uses = content.setdefault("uses", {})
                for gone in uses.keys() - known:
                    del uses[gone]
                uses[token_id] = clock.stamp()
        except LedgerError:  # a note is worth no failed request
            return

    def uses(self) -> dict[str, str]:
        """When each token was last used, by its id: a stamp, exact to a minute."""
        try:
            uses = self._uses.read().get("uses", {})
        except LedgerError:
            return {}
        return {str(token): str(stamp) for token, stamp in uses.items()}


def _with_approved(tokens: Sequence[Token], chosen: Collection[str]) -> set[str]:
    """The ids of these tokens, of the logins that they approved, of those that these approved, and so on."""
    found = set(chosen)
    for token in tokens:  # the oldest first: who approves is older than what is approved
        if token.made_by in found:
            found.add(token.id)
    return found


def digest_of(secret: str) -> str:
    """The SHA-256 of a token. It has 256 random bits, so that no salt and no slow function is needed."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def matches(globs: Sequence[str], prefix: str) -> bool:
    """Whether a prefix is in one of the globs: `*` is a part or some of it, `**` any number of parts."""
    parts = prefix.split("/")
    return any(_fits(glob.split("/"), parts) for glob in globs)


def _fits(glob: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether a glob fits. Where a part does not, the latest `**` takes one more: no glob takes long."""
    at = here = 0
    star: tuple[int, int] | None = None  # the place behind the latest `**`, and the first part that it left
    while here < len(parts):
        if at < len(glob) and glob[at] == ANY_PARTS:
            at += 1
            star = at, here
        elif at < len(glob) and fnmatch.fnmatchcase(parts[here], glob[at].replace("[", "[[]")):
            at, here = at + 1, here + 1
        elif star is not None:
            at, here = star[0], star[1] + 1
            star = at, here
        else:
            return False
    return all(part == ANY_PARTS for part in glob[at:])


def check_user(user: str) -> str:
    """Return the name if it can be the first part of a prefix, and is no glob.

    Raises:
        InvalidValueError: it cannot.
    """
    record_paths.check_prefix(user)
    if "/" in user or _WILD & set(user) or user in protocol.RESERVED or len(user) > LONGEST_NAME:
        raise InvalidValueError(
            f"{user!r} cannot be a user: it is the first part of a prefix, without / * ? and not reserved",
            hint="such as alice",
        )
    return user


def check_glob(glob: str) -> str:
    """Return the glob if it can match prefixes.

    Raises:
        InvalidValueError: it cannot.
    """
    return record_paths.check_prefix(glob)


def _checked_name(name: str) -> str:
    if len(name) > LONGEST_NAME or not (name.isprintable() or not name):
        raise InvalidValueError(f"the name of a token has at most {LONGEST_NAME} printable characters")
    return name


def _expiry(seconds: float) -> str:
    if not _EARLIEST < seconds < 100 * 366 * 86400:
        raise InvalidValueError("a token is valid for more than 0 seconds and less than 100 years")
    return clock.stamp(time.time() + seconds)


def _new_id(known: Collection[object]) -> str:
    while True:
        token_id = os.urandom(4).hex()
        if token_id not in known:
            return token_id
