"""Why a server could not be talked to, and the remedy, from the errors of urllib3 and of TLS."""

from __future__ import annotations

import re
import socket
import ssl
from http.client import BadStatusLine
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from nemorun_cli.errors import UsageError
from nemorun_cli.replication import connection

if TYPE_CHECKING:
    from collections.abc import Iterator

TRUST: Final = (
    f"if an authority of your own has issued its certificate, name that one's in {connection.CA_FILE}"
)
LIMIT: Final = 5.0  # seconds to ask a server for its certificate
_OTHER_NAME: Final = frozenset({62, 63, 64})  # OpenSSL's: another host, mail address, or address
_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_CONNECTION: Final = re.compile(r"^\w+\([^)]*\): ")  # what urllib3 begins its messages with


class ConnectionFault(NamedTuple):
    """Why there was no answer, without the address; `hint` is None if nothing better than usual is known."""

    reason: str
    hint: str | None = None


def explained(url: str, error: BaseException) -> ConnectionFault:
    """The fault that an error is.

    Args:
        url: the server's.
        error: of urllib3, of the system or of TLS.
    """
    parts = urlsplit(url)
    other = f"{'http' if parts.scheme == 'https' else 'https'}://{parts.netloc}{parts.path}"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _OTHER_NAME:
                return _other_name(url)
            return ConnectionFault(f"its certificate is not trusted: {cause.verify_message}", TRUST)
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return ConnectionFault("it does not speak TLS", f"if it is one without TLS: {other}")
        if parts.scheme == "http" and isinstance(cause, (BadStatusLine, ConnectionResetError)):
            reason = "it ends the connection without an answer"  # RemoteDisconnected is a BadStatusLine
            return ConnectionFault(reason, f"if it speaks TLS: {other}; otherwise check the network")
    return ConnectionFault(_text(error))


def _other_name(url: str) -> ConnectionFault:
    """The fault of a certificate that is trusted, and is for other names."""
    host = urlsplit(url).hostname or ""
    names = ", ".join(_names(url)) or "other names"
    return ConnectionFault(
        f"its certificate is for {names}, and not for {host}",
        f"use an address with one of these names, or have a certificate issued for {host}",
    )


def _names(url: str) -> list[str]:
    """The names in the certificate of a server; none if it cannot be asked. Nothing is sent to it."""
    parts = urlsplit(url)
    if connection.proxy_of(url) is not None or parts.hostname is None:
        return []
    try:
        context = connection.certificates()
        context.check_hostname = False  # it is still verified; only its names are read
        with (
            socket.create_connection((parts.hostname, parts.port or 443), timeout=LIMIT) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except (OSError, UsageError):
        return []
    pairs: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())  # type: ignore[assignment]
    return [name for _, name in pairs][:10]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was made of: urllib3 has them among its arguments."""
    left, seen = [error], set()
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            within = (*each.args, getattr(each, "reason", None), each.__cause__, each.__context__)
            left += [inner for inner in within if isinstance(inner, BaseException)]


def _text(error: BaseException) -> str:
    reason: object = getattr(error, "reason", None) or error
    text = str(reason)
    if ">: " in text or "): " in text:
        text = text.rpartition(">: ")[2].rpartition("): ")[2]
    return _CONNECTION.sub("", text) or type(reason).__name__
