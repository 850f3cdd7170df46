"""What logging in and out asks of a server; a token is sent to its own server only, along no redirect."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import EngineError, UsageError
from nemorun_cli.model import clock
from nemorun_cli.replication import connection, connection_faults, credentials, protocol
from nemorun_cli.system import user

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT: Final = "exp"
PAGE: Final = "/device"  # of the server, where a code is entered
LONGEST_USER: Final = 200  # characters
LARGEST: Final = 1 << 20  # bytes of an answer
_SHORTEST, _LONGEST = 0.2, 30.0  # seconds between polls, whatever the server asks for
_SLOWER: Final = 5.0  # seconds that `slow_down` adds (RFC 8628, 3.5)
_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{3,19}")
_LONGEST_LIFE: Final = 1800.0  # seconds of waiting, whatever the server offers


class LoginServerAwayError(EngineError):
    """The server cannot be reached, or has a fault; it may be well a moment later."""


class Whoami(NamedTuple):
    """What a server knows about a token."""

    user: str
    scopes: list[str]
    prefixes: list[str]
    expires: str | None


class DeviceCode(NamedTuple):
    """A pending login: what to show, and how to wait for its approval."""

    user_code: str
    page: str
    page_with_code: str
    device_code: str
    secret_hash: str
    seconds: float
    interval: float


class _Answer(NamedTuple):
    status: int
    body: dict[str, Any]


class LoginClient:
    """Requests to one server.

    Args:
        server: its normalized address.
        limit: seconds for the connection and for each wait, if less than usual.
    """

    def __init__(self, server: str, *, limit: float | None = None) -> None:
        self.server = server
        self._pool = connection.pool(server, limit=limit)

    def hello(self) -> None:
        """Check that this is a server of `exp` with a protocol that is known here.

        Raises:
            EngineError: it cannot be reached.
            UsageError: it is another server, or has other protocols.
        """
        answer = self._ask("GET", "/v1/hello")
        if answer.status != 200 or answer.body.get("server") != "exp":  # noqa: PLR2004 - OK
            raise self._foreign(f"it answers /v1/hello with {answer.status}")
        theirs = {str(version).partition(".")[0] for version in answer.body.get("protocols", [])}
        ours = {version.partition(".")[0] for version in protocol.PROTOCOLS}
        if not theirs & ours:
            version = str(answer.body.get("version"))[:40]
            raise UsageError(
                f"{self.server} has exp {version}, whose protocol this version does not know",
                hint="install the same major version of nemorun-cli on both",
            )

    def whoami(self, token: str) -> Whoami:
        """Whose token it is, and what it allows.

        Raises:
            EngineError: the server cannot be reached, or fails.
            UsageError: it refuses the token, or is no server of `exp`.
        """
        body = self._ask_for(token, "GET", "/v1/whoami")
        try:
            expires = body["expires"]
            if expires is not None:
                clock.unix(expires)
            return Whoami(
                str(body["user"])[:LONGEST_USER],
                [str(scope) for scope in body["scopes"]],
                [str(prefix) for prefix in body["prefixes"]],
                None if expires is None else str(expires),
            )
        except (KeyError, TypeError, ValueError):
            raise self._foreign("it answers /v1/whoami in another form") from None

    def log_out(self, token: str) -> bool:
        """Revoke a token on the server; False if the server did not know it any more.

        Raises:
            EngineError, UsageError: as `whoami`, but for a token that is refused.
        """
        answer = self._ask("POST", "/v1/logout", token=token)
        if answer.status == 401:  # noqa: PLR2004 - Unauthorized
            return False
        self._require(answer, "/v1/logout")
        return True

    def start(self) -> DeviceCode:
        """Begin a login that a user approves on a page.

        Raises:
            EngineError: the server cannot be reached, or has too many pending logins.
            UsageError: it is no server of `exp`.
        """
        secret_hash = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
        request = {
            "client_id": CLIENT,
            "device_secret_hash": secret_hash,
            "name": f"exp login by {user.name()} on {os.uname().nodename}"[:100],
        }
        answer = self._ask("POST", "/api/device/start", request)
        body = answer.body
        if answer.status == 429:  # noqa: PLR2004 - Too Many Requests
            raise EngineError(f"{self.server}: {self._reason(answer)}", hint="try again in a minute")
        self._require(answer, "/api/device/start")
        try:
            user_code = _CODE.fullmatch(str(body["user_code"]))[0]  # type: ignore[index] # raises TypeError
            # The page is at the user's address: what a server names would be an argument of a program.
            page = f"{self.server}{PAGE}"
            return DeviceCode(
                user_code=user_code,
                page=page,
                page_with_code=f"{page}#code={user_code.replace('-', '')}",
                device_code=str(body["device_code"]),
                secret_hash=secret_hash,
                seconds=min(float(body.get("expires_in", 600)), _LONGEST_LIFE),
                interval=min(max(float(body.get("interval", 5)), _SHORTEST), _LONGEST),
            )
        except (KeyError, TypeError, ValueError):
            raise self._foreign("it begins a login in another form") from None

    def wait(self, code: DeviceCode, *, sleep: Callable[[float], None] = time.sleep) -> str:
        """The token of the server, once a user has approved the login.

        Args:
            code: the pending login.
            sleep: waits for some seconds.

        Raises:
            UsageError: it was denied, or nobody approved it in time.
            EngineError: the server cannot be reached until then.
        """
        end, interval = time.monotonic() + code.seconds, code.interval
        request = {
            "client_id": CLIENT,
            "device_secret_hash": code.secret_hash,
            "device_code": code.device_code,
        }
        away: EngineError | None = None
        while time.monotonic() < end:
            sleep(interval)
            try:
                answer = self._ask("POST", "/api/device/poll", request)
                away = None
            except EngineError as error:
                away = error
                continue
            if isinstance(access := answer.body.get("access_token"), str):
                return self._exchanged(access, end)
            error_word = answer.body.get("error")
            if error_word == "slow_down":
                interval = min(interval + _SLOWER, _LONGEST)
            elif error_word == "access_denied":
                raise UsageError(f"the login at {self.server} was denied", hint=f"exp login {self.server}")
            elif error_word == "expired_token":
                break
            elif error_word != "authorization_pending" and answer.status < 500:  # noqa: PLR2004 - its own fault
                raise self._foreign(f"it answers a poll with {answer.status}")
        if away is not None:
            raise away
        raise UsageError(
            f"nobody approved the login at {self.server} in time, or the server was restarted",
            hint=f"exp login {self.server}",
        )

    def _exchanged(self, access: str, end: float) -> str:
        """The token for an access token; tried again while the server cannot be reached."""
        while True:
            try:
                body = self._ask_for(access, "POST", "/api/auth/exchange")
                break
            except LoginServerAwayError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_SHORTEST)
        return credentials.checked(str(body.get("ml_dash_token") or ""), what=f"the answer of {self.server}")

    def _ask_for(self, token: str, method: str, path: str) -> dict[str, Any]:
        answer = self._ask(method, path, token=token)
        if answer.status == 401:  # noqa: PLR2004 - Unauthorized
            raise UsageError(
                f"{self.server} refuses the token: it is wrong, expired or revoked",
                hint=f"exp login {self.server}",
            )
        self._require(answer, path)
        return answer.body

    def _require(self, answer: _Answer, path: str) -> None:
        message = f"{self.server} fails with {answer.status}: {self._reason(answer)}"
        if answer.status >= 500:  # noqa: PLR2004 - its own fault
            raise LoginServerAwayError(message)
        if answer.status == 429:  # noqa: PLR2004 - too many of something
            raise EngineError(message)
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise self._foreign(f"it answers {path} with {answer.status}")

    @staticmethod
    def _reason(answer: _Answer) -> str:
        body = answer.body
        return str(body.get("message") or body.get("error_description") or body.get("error") or "?")[:300]

    def _ask(
        self, method: str, path: str, document: dict[str, Any] | None = None, *, token: str | None = None
    ) -> _Answer:
        import urllib3  # noqa: PLC0415 - only for commands that ask a server

        headers = {"Accept": "application/json"}
        if document is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        body = None if document is None else json.dumps(document).encode()
        try:
            response = self._pool.request(
                method,
                f"{self.server}{path}",
                body=body,
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            with response:
                data = response.read(LARGEST)
                status, target = response.status, response.headers.get("Location", "")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from None
        if 300 <= status < 400:  # noqa: PLR2004 - redirects
            raise self._foreign(f"it redirects to {target[:200]!r}, where no token is sent")
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            if status >= 500:  # noqa: PLR2004 - a proxy whose server is away
                raise LoginServerAwayError(f"{self.server} fails with {status}", hint="try again later")
            raise self._foreign(f"it answers {path} with {status} and something else than JSON")
        return _Answer(status, answer)

    def _away(self, error: Exception) -> LoginServerAwayError:
        found = connection_faults.explained(self.server, error)
        hint = found.hint or "check the address and the network"
        return LoginServerAwayError(f"{self.server} cannot be reached: {found.reason:.300}", hint=hint)

    def _foreign(self, reason: str) -> UsageError:
        return UsageError(
            f"{self.server} is not a server of exp: {reason}",
            hint="check the address, and whether a proxy or a login page is in between",
        )
