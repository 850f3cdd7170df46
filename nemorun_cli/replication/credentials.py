"""The tokens of this user, each for one server: from the environment, a private file, or the keyring."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import InvalidValueError, UsageError
from nemorun_cli.model import clock
from nemorun_cli.replication import address, keyring_client, keyring_process
from nemorun_cli.replication.private_json import PrivateJson
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "exp.logins/1"
TOKEN: Final = "EXP_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE: Final = "EXP_TOKEN_FILE"  # noqa: S105 - the same
KEYRING: Final = "keyring"
FILE: Final = "file"
LONGEST: Final = 4096  # characters of a token


class Credential(NamedTuple):
    """A token for one server.

    Attributes:
        token: is sent to this server only.
        user: whose it is; None if only the server knows.
        source: `EXP_TOKEN`, `EXP_TOKEN_FILE`, `keyring` or `file`.
        url: the normalized address of the server.
    """

    token: str
    user: str | None
    source: str
    url: str

    def __repr__(self) -> str:
        """The credential without its token, for logs and tracebacks."""
        return f"Credential(user={self.user!r}, source={self.source!r}, url={self.url!r})"


class Stored(NamedTuple):
    """Where a login was stored: `source` is `keyring` or `file`; `reason` is why not in the keyring."""

    source: str
    reason: str = ""


def token_for(url: str) -> Credential | None:
    """The token for a server; None without one. `missing` explains why.

    The environment is first: EXP_TOKEN and EXP_TOKEN_FILE hold for the server in EXP_DASH_URL alone.

    Raises:
        InvalidValueError: `url`, or EXP_DASH_URL, is no address.
        UsageError: the file in EXP_TOKEN_FILE cannot be used.
        LedgerError: the file of logins cannot be used.
    """
    found = _look_up(address.normalized(url))
    return found if isinstance(found, Credential) else None


def stored_for(server: str) -> Credential | None:
    """The token of `exp login` for a normalized address, whatever the environment has.

    Raises:
        LedgerError: as `token_for`.
    """
    found = _stored(server)
    return found if isinstance(found, Credential) else None


def missing(url: str) -> UsageError:
    """The error for a server without a token: why it has none, and the remedy."""
    server = address.normalized(url)
    return _missing(server, _look_up(server))


def missing_login(server: str) -> UsageError:
    """The error for a server without a stored token: why it has none, and the remedy."""
    return _missing(server, _stored(server))


def _missing(server: str, found: Credential | str) -> UsageError:
    reason = "" if isinstance(found, Credential) else found
    insecure = "" if address.is_private(server) else " --insecure"
    return UsageError(f"no token for {server}: {reason}", hint=f"exp login {server}{insecure}")


def _look_up(server: str) -> Credential | str:
    """The token for a server, or the reason for none."""
    login = _logins().read().get("servers", {}).get(server)
    if not address.is_private(server) and not (login and login.get("insecure")):
        return (
            "it is reached without TLS, so that others could read a token; exp login --insecure allows that"
        )
    given = _of_environment(server)
    if isinstance(given, Credential):
        return given
    stored = _stored(server)
    return stored if isinstance(stored, Credential) else given or stored


def _stored(server: str) -> Credential | str:
    """The token of `exp login` for a server, or the reason for none."""
    login = _logins().read().get("servers", {}).get(server)
    if login and login.get("token"):
        return Credential(login["token"], login.get("user"), FILE, server)
    answer = keyring_client.read(server)
    if answer.token:
        return Credential(answer.token, login.get("user") if login else None, KEYRING, server)
    if login and answer.state != keyring_process.ABSENT:
        return answer.reason
    return "not logged in"


def _of_environment(server: str) -> Credential | str | None:
    """The token in the environment; the reason if it is for another server; None without one."""
    name = TOKEN if os.environ.get(TOKEN) else TOKEN_FILE
    if not os.environ.get(name):
        return None
    meant = address.from_environment()
    if meant is None:
        return f"{name} holds for the server in {address.VARIABLE}, which is not set"
    if address.origin(meant) != address.origin(server):
        return f"{name} holds for {meant}, the server in {address.VARIABLE}"
    text = os.environ[name] if name == TOKEN else _content(os.environ[name])
    return Credential(checked(text, what=name), None, name, server)


def _content(path: str) -> str:
    try:
        return read_bytes(path, limit=LONGEST).decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{TOKEN_FILE}: {path} cannot be read: {error}") from None


def checked(text: str, *, what: str) -> str:
    """A token as a user gives it, without white space around it.

    Raises:
        InvalidValueError: it cannot be a token. The message does not contain it.
    """
    token = text.strip()
    if not token or len(token) > LONGEST or not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidValueError(f"{what} is no token: it is empty, or has white space or other characters")
    return token


def store(server: str, token: str, *, user: str, insecure: bool = False, uses_keyring: bool = True) -> Stored:
    """Store a login in the keyring if there is one, else in a private file; the server becomes the default.

    Args:
        server: a normalized address.
        token: the token for it.
        user: whose it is.
        insecure: whether it may be sent without TLS.
        uses_keyring: False for the file in any case.

    Raises:
        LedgerError: the file cannot be read or written.
    """
    answer = keyring_client.store(server, token) if uses_keyring else None
    if answer is not None and answer.state == keyring_process.STORED:
        stored = Stored(KEYRING)
    else:
        stored = Stored(FILE, answer.reason if answer is not None else "")
        if answer is None or answer.state != keyring_process.NO_KEYRING:
            keyring_client.remove(server)  # an older token of the same server
    with _logins().changed() as content:
        entry: dict[str, Any] = {"user": user, "insecure": insecure, "since": clock.stamp()}
        if stored.source == FILE:
            entry["token"] = token
        content.setdefault("servers", {})[server] = entry
        content["default"] = server
    return stored


def forget(server: str) -> bool:
    """Remove the token of a server from this machine; whether there was one.

    Raises:
        LedgerError: the file cannot be read or written.
    """
    was_in_keyring = keyring_client.read(server).token is not None
    if was_in_keyring:
        keyring_client.remove(server)
    with _logins().changed() as content:
        entry = content.get("servers", {}).pop(server, None)
        if content.get("default") == server:
            content["default"] = next(iter(content["servers"]), None)
    return was_in_keyring or entry is not None


def known() -> list[str]:
    """The servers that this user logged in to, from this home."""
    return list(_logins().read().get("servers", {}))


def default() -> str | None:
    """The address for `dash_url=True`: EXP_DASH_URL, else the server of the latest login; None without both.

    Raises:
        InvalidValueError: EXP_DASH_URL is no address.
    """
    return address.from_environment() or latest()


def latest() -> str | None:
    """The server of the latest login; None without one."""
    server: str | None = _logins().read().get("default")
    return server


def file() -> Path:
    """The file of logins, with those tokens that are not in a keyring."""
    return Home.from_environment().directory / "logins.json"


def _logins() -> PrivateJson:
    return PrivateJson(file(), FORMAT, is_secret=True)
