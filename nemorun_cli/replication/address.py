"""Addresses of servers: checked, and written in one way, so that the same server has the same address."""

from __future__ import annotations

import ipaddress
import os
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from nemorun_cli.errors import InvalidValueError

VARIABLE: Final = "EXP_DASH_URL"
_PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 2000  # characters
_REMEDY: Final = "write it as https://HOST, https://HOST:PORT or https://HOST/PATH"


class _Parts(NamedTuple):
    scheme: str
    host: str
    port: int | None


def normalized(url: str, *, what: str = "dash_url") -> str:
    """The address of a server in its usual form, without a slash at its end.

    Args:
        url: as a user gives it.
        what: its name in messages.

    Raises:
        TypeError: it is no text.
        InvalidValueError: it is no address of a server, or contains a password, a query or a fragment.
    """
    if not isinstance(url, str):
        raise TypeError(f"{what} is a text, not {type(url).__qualname__}")
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
    return f"{parts.scheme}://{host}{port}{path}"


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


def origin(address: str) -> str:
    """The origin of a normalized address: its scheme, host and port."""
    split = urlsplit(address)
    return f"{split.scheme}://{split.netloc}"


def is_private(address: str) -> bool:
    """Whether nobody can read a token on its way to a normalized address: TLS, or this machine."""
    split = urlsplit(address)
    return split.scheme == "https" or _is_loopback(split.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def from_environment() -> str | None:
    """The normalized address in EXP_DASH_URL; None if it is not set.

    Raises:
        InvalidValueError: it is no address.
    """
    url = os.environ.get(VARIABLE)
    return normalized(url, what=VARIABLE) if url else None
