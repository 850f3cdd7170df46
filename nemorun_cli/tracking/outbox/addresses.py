"""The address of a server as programs give it: checked, in one form, and which one is the default."""

from __future__ import annotations

import ipaddress
import os
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.outbox import logins
from nemorun_cli.tracking.store.record_paths import RECORD, encode_name

VARIABLE: Final = "EXP_DASH_URL"  # the server of `dash_url=True`
TASK_VARIABLE: Final = "EXP_TRACKING_URL"  # set in the tasks of a spec with `tracking.dash_url`
RESERVED: Final = (".server", ".experiments", ".outbox", ".trash")  # no prefix on a server begins with one

_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 2000  # characters
_REMEDY: Final = "write it as https://HOST, https://HOST:PORT or https://HOST/PATH"


class _Parts(NamedTuple):
    scheme: str
    host: str
    port: int | None


def normalized(url: object, *, what: str = "dash_url") -> str:
    """The address of a server in its usual form, without a slash at its end.

    Args:
        url: as a user gives it.
        what: its name in messages.

    Raises:
        TypeError: it is no text.
        InvalidValueError: it is no address of a server, or contains a password, a query or a fragment.
    """
    if not isinstance(url, str):
        raise TypeError(
            f"{what} is the address of a server, or True, not {type(url).__qualname__}: {shown(url)}"
        )
    split = _split(url, what)
    if "@" in split.netloc:
        raise InvalidValueError(
            f"{what} contains a user or a password", hint="leave it out: exp login stores a token"
        )
    if "?" in url or "#" in url:
        raise InvalidValueError(f"{what} contains a query or a fragment: {url!r}", hint=_REMEDY)
    parts = _parts(split, url, what)
    host = f"[{parts.host}]" if ":" in parts.host else parts.host
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    path = split.path.rstrip("/")
    if any(part in {"", ".", ".."} for part in path.split("/")[1:]):
        raise InvalidValueError(f"{what} contains an empty part, or dots: {url!r}", hint=_REMEDY)
    address = f"{parts.scheme}://{host}{port}{path}"
    try:
        encode_name(address)
    except InvalidValueError:
        raise InvalidValueError(f"{what} is too long for the name of a folder: {url[:80]!r}…") from None
    return address


def _split(url: str, what: str) -> SplitResult:
    if (
        not url
        or len(url) > _LONGEST
        or not url.isascii()
        or not url.isprintable()
        or set(url) & set(' \\"<>')
    ):
        raise InvalidValueError(
            f"{what} is no address: {url[:80]!r} is empty, too long, or has a character that no address has",
            hint=_REMEDY,
        )
    try:
        return urlsplit(url)
    except ValueError as error:
        raise InvalidValueError(f"{what} is no address: {url!r}: {error}", hint=_REMEDY) from None


def _parts(split: SplitResult, url: str, what: str) -> _Parts:
    if split.scheme not in _PORTS:
        raise InvalidValueError(f"{what} does not begin with https:// or http://: {url!r}", hint=_REMEDY)
    try:
        host, port = (split.hostname or "").removesuffix("."), split.port
    except ValueError as error:
        raise InvalidValueError(f"{what} is no address: {url!r}: {error}", hint=_REMEDY) from None
    if ":" in host:
        try:
            host = ipaddress.IPv6Address(host).compressed
        except ValueError:
            host = ""
    elif not all(part.replace("-", "").replace("_", "").isalnum() for part in host.split(".")):
        host = ""
    if not host or split.netloc.endswith(":"):
        raise InvalidValueError(f"{what} has no host, or one that cannot be: {url!r}", hint=_REMEDY)
    return _Parts(split.scheme, host, port)


def default() -> str:
    """The server of `dash_url=True`.

    Raises:
        InvalidValueError: none is known, or the one that is set is no address.
    """
    for variable in (TASK_VARIABLE, VARIABLE):
        if variable == TASK_VARIABLE and not in_task():
            continue
        if url := os.environ.get(variable):
            return normalized(url, what=f"${variable}")
    if url := logins.default_url():
        return normalized(url, what="the server of the latest login")
    raise InvalidValueError(
        f"dash_url=True: no server is known: there was no login, and {VARIABLE} is not set",
        hint="log in once: exp login URL",
    )


def of_task() -> str | None:
    """The server of the enclosing task; None outside of one, or if its spec names none that can be used."""
    url = os.environ.get(TASK_VARIABLE) if in_task() else None
    try:
        return normalized(url) if url else None
    except InvalidValueError:  # the program did not choose it, and continues without it
        return None


def in_task() -> bool:
    """Whether this is a program in a task of `exp run`, whose supervisor ships what it records."""
    return bool(os.environ.get("EXP_TASK"))


def prefix_problem(prefix: str) -> str | None:
    """Why a server cannot have a record at a prefix, or None."""
    first, _, rest = prefix.partition("/")
    if not rest:
        return f"the prefix {prefix!r} has one part, and on a server its first part is its owner"
    if first in RESERVED:
        return f"prefix {prefix!r}: {first!r} is reserved on a server, as {RECORD!r} is"
    return None
