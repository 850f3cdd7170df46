"""The connection to one server: proxies and certificates as the environment names them, and no redirects."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import urllib.request
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from urllib3 import PoolManager

CA_FILE: Final = "EXP_CA_FILE"  # more certificates to trust than those of the machine, or of SSL_CERT_FILE
CONNECT_LIMIT: Final = 10.0  # seconds
READ_LIMIT: Final = 30.0  # seconds without any byte of the answer


def pool(url: str, *, limit: float | None = None) -> PoolManager:
    """What sends requests to the server of a URL, over one connection.

    Args:
        url: the server's.
        limit: seconds for the connection and for each wait, if less than usual.

    Raises:
        UsageError: the file of EXP_CA_FILE cannot be used.
    """
    import urllib3  # noqa: PLC0415 - most commands do without

    parts = urlsplit(url)
    options = {
        "num_pools": 1,
        "maxsize": 1,
        "retries": False,
        "timeout": urllib3.Timeout(
            connect=min(CONNECT_LIMIT, limit or CONNECT_LIMIT), read=min(READ_LIMIT, limit or READ_LIMIT)
        ),
    }
    if parts.scheme == "https":
        options["ssl_context"] = certificates()
    proxy = proxy_of(url)
    if proxy is None:
        return urllib3.PoolManager(**options)  # type: ignore[arg-type] # by name
    login = urlsplit(proxy)
    if login.username is not None:
        credentials = f"{unquote(login.username)}:{unquote(login.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=credentials)
    return urllib3.ProxyManager(proxy, **options)  # type: ignore[arg-type] # by name


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL; None for this machine, which no proxy can reach."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy or None


def is_reachable(url: str, *, limit: float) -> bool:
    """Whether a connection can be made to a server now, which costs it little; False behind a proxy."""
    parts = urlsplit(url)
    if proxy_of(url) is not None or parts.hostname is None:
        return False
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout=limit).close()
    except OSError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def certificates() -> ssl.SSLContext:
    """The certificates to trust: those of the machine, and of EXP_CA_FILE.

    Raises:
        UsageError: that file cannot be used.
    """
    context = ssl.create_default_context()
    if path := os.environ.get(CA_FILE):
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:  # ssl.SSLError is one
            raise UsageError(
                f"{CA_FILE}={path}: these certificates cannot be read: {error}",
                hint="name a file of certificates in PEM form",
            ) from error
    return context
