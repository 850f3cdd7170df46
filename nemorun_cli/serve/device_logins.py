"""Logins of programs that a user approves in a browser: OAuth's device flow (RFC 8628) as ML-Dash speaks it.

The program starts one and shows a code; the user enters it on a page where they are signed in; the program
asks until then, gets a short-lived access token, and exchanges it for a token of the server. All of this is
in memory and ends after ten minutes: after a restart of the server, a login begins again.
"""

from __future__ import annotations

import enum
import hmac
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from nemorun_cli.errors import NotFoundError
from nemorun_cli.serve.tokens import BYTES, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.serve.caller import Caller, Scope
    from nemorun_cli.serve.tokens import NewToken, Tokens

LIFE: Final = 600.0  # seconds of a login, and of its codes
INTERVAL: Final = 1.0  # seconds between two polls, as clients are asked to wait
LEAST_INTERVAL: Final = 0.5  # seconds; what polls more often is asked to slow down
GUESSES: Final = 5  # wrong codes of one user within LIFE
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628, 6.1: no vowels, so that no words appear
_CODE_LENGTH: Final = 8
_MOST: Final = 2000  # pending logins
_MOST_OF_ADDRESS: Final = 100  # the same, from one address


class Poll(enum.Enum):
    """The errors of a poll, in the words of RFC 8628."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"
    DENIED = "access_denied"


class Guess(enum.Enum):
    """Why a code names no login."""

    UNKNOWN = "unknown"
    TOO_MANY = "too_many"


class Started(NamedTuple):
    """What the program is given."""

    device_code: str
    user_code: str


class TooManyLoginsError(Exception):
    """More logins are pending than the server keeps."""


@dataclass(slots=True)
class Login:
    """One pending login; `approver` is set once it is approved.

    Attributes:
        secret_hash: what the program polls with.
        device: the digest of its device code.
        code: what the user enters.
        name: what the program calls itself.
        address: where it asks from.
        begun: by the clock of `DeviceLogins`.
    """

    secret_hash: str
    device: str
    code: str
    name: str
    address: str
    begun: float
    needs_device_code: bool
    polled: float = float("-inf")
    is_denied: bool = False
    approver: Caller | None = None
    scopes: frozenset[Scope] = frozenset()
    access: str | None = None  # the digest of the access token
    token_id: str | None = None  # of the token it was exchanged for
    guard: threading.Lock = field(default_factory=threading.Lock)  # for the exchange


class DeviceLogins:
    """The pending logins of one server.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._logins: dict[str, Login] = {}  # by the hash of the program's secret, the oldest first
        self._wrong: dict[str, deque[float]] = {}  # when a user entered a wrong code

    def start(self, secret_hash: str, *, name: str, address: str, needs_device_code: bool) -> Started:
        """Begin a login, instead of an earlier one with the same hash.

        Args:
            secret_hash: of a secret of the program; ML-Dash's is always the same.
            name: what the program calls itself.
            address: where it asks from.
            needs_device_code: whether it has to poll with the device code, too.

        Raises:
            TooManyLoginsError: too many are pending.
        """
        device = secrets.token_urlsafe(BYTES)
        with self._guard:
            self._drop_old()
            self._logins.pop(secret_hash, None)
            of_address = sum(login.address == address for login in self._logins.values())
            if len(self._logins) >= _MOST or of_address >= _MOST_OF_ADDRESS:
                raise TooManyLoginsError
            code = self._new_code()
            self._logins[secret_hash] = Login(
                secret_hash=secret_hash,
                device=digest_of(device),
                code=code,
                name=name,
                address=address,
                begun=self._clock(),
                needs_device_code=needs_device_code,
            )
        return Started(device, f"{code[:4]}-{code[4:]}")

    def _new_code(self) -> str:
        known = {login.code for login in self._logins.values()}
        while True:
            code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
            if code not in known:
                return code

    def _drop_old(self) -> None:
        oldest = self._clock() - LIFE
        for secret_hash in [key for key, login in self._logins.items() if login.begun <= oldest]:
            del self._logins[secret_hash]
        for user in [user for user, times in self._wrong.items() if times[-1] <= oldest]:
            del self._wrong[user]

    def poll(self, secret_hash: str, device_code: str | None) -> Poll | str:
        """The access token of an approved login, or why not yet.

        Each poll gives a new one, and ends the former: the answer with it may have been lost.
        """
        with self._guard:
            self._drop_old()
            login = self._logins.get(secret_hash)
            if login is None or not _fits(login, device_code):
                return Poll.EXPIRED
            if login.is_denied:
                del self._logins[secret_hash]
                return Poll.DENIED
            now = self._clock()
            is_early, login.polled = now - login.polled < LEAST_INTERVAL, now
            if is_early:
                return Poll.SLOW_DOWN
            if login.approver is None:
                return Poll.PENDING
            access = secrets.token_urlsafe(BYTES)
            login.access = digest_of(access)
            return access

    def find(self, user_code: str, caller: Caller) -> Login | Guess:
        """The pending login with a code; the number of wrong codes of a user is limited.

        Args:
            user_code: as the user entered it.
            caller: who entered it.
        """
        code = "".join(filter(str.isalnum, user_code)).upper()
        with self._guard:
            self._drop_old()
            oldest = self._clock() - LIFE
            wrong = self._wrong.setdefault(caller.user, deque([float("-inf")], maxlen=GUESSES))
            if len(wrong) == GUESSES and wrong[0] > oldest:
                return Guess.TOO_MANY
            for login in self._logins.values():
                if hmac.compare_digest(login.code.encode(), code.encode(errors="replace")) and (
                    login.approver is None and not login.is_denied
                ):
                    return login
            wrong.append(self._clock())
            return Guess.UNKNOWN

    def age(self, login: Login) -> float:
        """Seconds since a login began."""
        return self._clock() - login.begun

    def approve(self, login: Login, caller: Caller, scopes: frozenset[Scope]) -> bool:
        """Let a login act as a user; False if it was decided or has expired meanwhile.

        Args:
            login: from `find`.
            caller: who approves it.
            scopes: what it may, of what the caller may.
        """
        with self._guard:
            if not self._is_open(login):
                return False
            login.approver, login.scopes = caller, scopes & caller.scopes
            return True

    def deny(self, login: Login) -> bool:
        """Refuse a login; False if it was decided or has expired meanwhile."""
        with self._guard:
            if not self._is_open(login):
                return False
            login.is_denied = True
            return True

    def _is_open(self, login: Login) -> bool:
        self._drop_old()
        is_known = self._logins.get(login.secret_hash) is login
        return is_known and login.approver is None and not login.is_denied

    def exchange(self, access: str, tokens: Tokens) -> NewToken | None:
        """A token of the server for an access token; None if that is unknown or has expired.

        Exchanged again, because the answer was lost, it gives another one, and ends the former.

        Raises:
            LedgerError: the file of tokens cannot be read or written.
        """
        digest = digest_of(access)
        with self._guard:
            self._drop_old()
            login = next((login for login in self._logins.values() if login.access == digest), None)
        if login is None or login.approver is None:
            return None
        with login.guard:
            approver = tokens.by_id(login.approver.token_id)
            if approver is None:
                return None  # revoked since
            if login.token_id is not None and tokens.by_id(login.token_id) is not None:
                tokens.log_out(login.token_id)
            try:
                new = tokens.add(
                    approver.user,
                    scopes=login.scopes & approver.scopes,
                    prefixes=approver.prefixes,
                    expires=approver.expires,
                    name=login.name,
                    made_by=approver.id,
                )
            except NotFoundError:
                return None  # revoked at this moment
            login.token_id = new.token.id
            return new


def _fits(login: Login, device_code: str | None) -> bool:
    if device_code is None:
        return not login.needs_device_code
    return hmac.compare_digest(login.device, digest_of(device_code))
