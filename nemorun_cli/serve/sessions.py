"""Sessions of pages, the one-time token of the printed address, and links that are valid for a minute.

A page gets a session in exchange for a token, and never keeps the token. A session allows what its token
allows, and ends with it. A link replaces the header where none can be sent, as for images.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.model import clock
from nemorun_cli.replication.private_json import PrivateJson
from nemorun_cli.serve.tokens import BYTES, Tokens, digest_of
from nemorun_cli.system.files import make_folder, read_bytes, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from itsdangerous import TimestampSigner

    from nemorun_cli.serve.caller import Caller

FORMAT: Final = "exp.sessions/1"
START: Final = "exps_"  # what the text of a session's token begins with
ONCE_START: Final = "expo_"  # the same, of a one-time token
SECONDS: Final = 12 * 3600.0  # life of a session
ONCE_SECONDS: Final = 3600.0  # life of a one-time token
LINK_SECONDS: Final = 60  # life of a link
PARAMETER: Final = "signature"  # of the query of a link
_MOST: Final = 200  # sessions of one token; the oldest is removed for a new one
_KEY_BYTES: Final = 32
_LARGEST_KEY: Final = 1024


class NewSession(NamedTuple):
    """A session that was just made; `secret` is the text of its token."""

    secret: str
    expires: str


class Sessions:
    """The sessions of one server, which survive its restart; only digests of their tokens are stored.

    Args:
        own: the folder of the server's own files.
        tokens: those of the server.
    """

    def __init__(self, own: Path, tokens: Tokens) -> None:
        self._file = PrivateJson(own / "sessions.json", FORMAT)
        self._key = own / "link-key"
        self._tokens = tokens

    def begin(self, token_id: str) -> NewSession:
        """Make a session of a token.

        Raises:
            LedgerError: the file cannot be read or written.
        """
        secret = START + secrets.token_urlsafe(BYTES)
        expires = clock.stamp(time.time() + SECONDS)
        self._add("sessions", secret, token_id, expires)
        return NewSession(secret, expires)

    def one_time(self, token_id: str) -> str:
        """A token that can be exchanged for a session of a token, once and within an hour.

        Raises:
            LedgerError: as `begin`.
        """
        secret = ONCE_START + secrets.token_urlsafe(BYTES)
        self._add("once", secret, token_id, clock.stamp(time.time() + ONCE_SECONDS))
        return secret

    def _add(self, kind: str, secret: str, token_id: str, expires: str) -> None:
        now = clock.stamp()
        with self._file.changed() as content:
            entries = {
                digest: entry for digest, entry in content.get(kind, {}).items() if entry["expires"] > now
            }
            own = sorted(
                (digest for digest, entry in entries.items() if entry["token"] == token_id),
                key=lambda digest: entries[digest]["expires"],
            )
            for digest in own[: max(0, len(own) - _MOST + 1)]:
                del entries[digest]
            entries[digest_of(secret)] = {"id": os.urandom(8).hex(), "token": token_id, "expires": expires}
            content[kind] = entries

    def exchange(self, secret: str) -> NewSession | None:
        """A session in exchange for a one-time token; None if it is unknown, was used, or is too old.

        Raises:
            LedgerError: as `begin`.
        """
        digest = digest_of(secret)
        if digest not in self._file.read().get("once", {}):
            return None
        with self._file.changed() as content:
            entry = content.get("once", {}).pop(digest, None)
        if entry is None or not self._is_current(entry):
            return None
        return self.begin(entry["token"])

    def caller(self, secret: str) -> Caller | None:
        """Who makes a request with the token of a session; None if it, or its token, has ended.

        Raises:
            LedgerError: a file cannot be read.
        """
        return self._caller_of(self._file.read().get("sessions", {}).get(digest_of(secret)))

    def by_id(self, session_id: str) -> Caller | None:
        """Whose session it is; None if it, or its token, has ended.

        Raises:
            LedgerError: as `caller`.
        """
        sessions = self._file.read().get("sessions", {}).values()
        return self._caller_of(next((entry for entry in sessions if entry["id"] == session_id), None))

    def _caller_of(self, entry: dict[str, Any] | None) -> Caller | None:
        if entry is None or not self._is_current(entry):
            return None
        token = self._tokens.by_id(entry["token"])
        return None if token is None else token.caller._replace(session_id=entry["id"])

    @staticmethod
    def _is_current(entry: dict[str, Any]) -> bool:
        return clock.unix(entry["expires"]) > time.time()

    def end(self, session_id: str) -> None:
        """End a session.

        Raises:
            LedgerError: as `begin`.
        """
        with self._file.changed() as content:
            entries = content.get("sessions", {})
            content["sessions"] = {
                digest: entry for digest, entry in entries.items() if entry["id"] != session_id
            }

    def sign(self, path: str, caller: Caller) -> str:
        """The path with a signature in its query, with which it can be read for a minute without a token.

        Args:
            path: the path as the client sends it, percent-encoded, without a query.
            caller: who may read it.

        Raises:
            LedgerError: the key cannot be read or written.
        """
        who = f"{caller.token_id}.{caller.session_id or ''}"
        value = self._signer(path).sign(who.encode()).decode()
        return f"{path}?{PARAMETER}={value}"

    def check(self, path: str, signature: str) -> Caller | None:
        """Who may read the path by this signature; None if it is old, altered, or its token has ended.

        Args:
            path: the raw path of the request, without its query.
            signature: the value in the query.

        Raises:
            LedgerError: a file cannot be read.
        """
        from itsdangerous import BadData  # noqa: PLC0415 - only of a server

        try:
            who = self._signer(path).unsign(signature, max_age=LINK_SECONDS).decode()
        except (BadData, ValueError):
            return None
        token_id, _, session_id = who.partition(".")
        if session_id:
            return self.by_id(session_id)
        token = self._tokens.by_id(token_id)
        return None if token is None else token.caller

    def _signer(self, path: str) -> TimestampSigner:
        from itsdangerous import TimestampSigner  # noqa: PLC0415 - the same

        return TimestampSigner(self._read_key(), salt=f"link {path}".encode(), digest_method=hashlib.sha256)

    def _read_key(self) -> bytes:
        """The key of signatures, made by the first that needs it."""
        for _ in range(2):
            try:
                key = read_bytes(self._key, limit=_LARGEST_KEY, follows_link=False)
            except FileNotFoundError:
                make_folder(self._key.parent)
                with contextlib.suppress(FileExistsError):  # another process was faster
                    write_new(self._key, secrets.token_bytes(_KEY_BYTES))
                continue
            if len(key) == _KEY_BYTES:
                return key
            break
        raise LedgerDamagedError(f"{self._key} is damaged", hint="remove it: links that are open end with it")
