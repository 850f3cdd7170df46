"""What protects a server that browsers reach: names of hosts, origins of requests, headers of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; "
    "require-trusted-types-for 'script'"
)
DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; sandbox"
"""Of answers with data: nothing in them runs, even if a browser shows them as a page."""
HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "server": "exp",
}
"""Added to each answer that has no such header of its own."""


def is_allowed(host: str, names: Collection[str]) -> bool:
    """Whether a request may name this host.

    A page of another site whose name was made to lead to this machine sends that name here, so only loopback
    names and those that were configured are answered. Case does not matter. A name with a dot at its end is
    another origin for browsers, and refused. Any port is taken, because a forwarded port has another number.

    Args:
        host: the header `Host`.
        names: configured names in lower case, each with a port if only this port is allowed.
    """
    host = host.lower()
    name, port = _split(host)
    return (not port or port.isascii()) and (name in LOOPBACK or name in names or host in names)


def _split(host: str) -> tuple[str, str]:
    """The name, and the port or an empty text; an empty name if this is no host with a port."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host, ""
    return (name, port) if port.isdigit() else ("", "")


def is_foreign(*, method: str, host: str, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a page of another origin makes a request that changes something.

    Args:
        method: of the request.
        host: the header `Host`.
        origin: the header `Origin`, which browsers add to each such request.
        fetch_site: the header `Sec-Fetch-Site`.
    """
    if method in SAFE_METHODS:
        return False
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return True
    return origin is not None and urlsplit(origin).netloc.lower() != host.lower()
