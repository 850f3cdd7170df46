"""Where a server listens: addresses, unix sockets, certificates, and which of them are refused."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.system import owners

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_HOST: Final = "127.0.0.1"
BACKLOG: Final = 1024
_SOCKET_UMASK: Final = 0o177  # a unix socket is 0600 from its first moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen.

    Attributes:
        host: an address or a name; ignored with `uds`.
        port: 0 for one that the kernel chooses.
        uds: the path of a unix socket, in place of host and port.
        certificate: of TLS, a file in PEM; None for HTTP.
        key: its private key; None if the file of the certificate contains it.
        is_behind_proxy: whether a proxy answers clients, which encrypts and adds `X-Forwarded-…`.
        names: the names by which clients reach the server.
    """

    host: str = DEFAULT_HOST
    port: int = 0
    uds: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_behind_proxy: bool = False
    names: tuple[str, ...] = ()

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the server."""
        return not self.is_behind_proxy and (self.uds is not None or is_loopback(self.host))

    def require_safe(self) -> None:
        """Refuse to send tokens over a network in clear text.

        Raises:
            UsageError: other machines could connect without TLS, or the options contradict each other.
        """
        if self.key is not None and self.certificate is None:
            raise UsageError("--tls-key needs --tls-cert", hint="name the certificate: --tls-cert FILE")
        if self.uds is None and not is_loopback(self.host) and not (self.certificate or self.is_behind_proxy):
            raise UsageError(
                f"--host {self.host}: other machines could connect, and see tokens on the network",
                hint="use --tls-cert FILE --tls-key FILE, or --behind-proxy with a proxy that has TLS",
            )
        context(self)

    def url(self, port: int) -> str:
        """The address that people use; of a unix socket, its path."""
        if self.uds is not None and not self.is_behind_proxy:
            return f"unix:{self.uds}"
        if self.is_behind_proxy and self.names:
            return f"https://{self.names[0]}"
        name = self.names[0].partition(":")[0] if self.names else self._shown_host
        return f"{'https' if self.certificate else 'http'}://{name}:{port}"

    @property
    def _shown_host(self) -> str:
        if self.host in {"0.0.0.0", "::", ""}:  # noqa: S104 - recognized, not bound
            return socket.gethostname()
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def hosts(self) -> frozenset[str]:
        """The names that requests may give: the configured ones, and the address itself if it is fixed."""
        return frozenset({*self.names, self._shown_host})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name counts by all its addresses.

    Raises:
        UsageError: the name is unknown.
    """
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in _addresses(host))


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host}: {error}", hint="name an address of this machine") from None
    return [str(address[0]) for *_, address in found]


def context(listening: Listening) -> ssl.SSLContext | None:
    """The context of TLS; None for HTTP.

    Raises:
        UsageError: the certificate or its key cannot be used.
    """
    if listening.certificate is None:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(listening.certificate, listening.key)
    except (OSError, ssl.SSLError) as error:
        both = listening.certificate if listening.key is None else f"{listening.certificate}, {listening.key}"
        raise UsageError(
            f"the certificate cannot be used: {both}: {error}",
            hint="--tls-cert takes the chain and --tls-key its private key, both in PEM",
        ) from None
    return made


def bound(listening: Listening) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: the address is in use, or cannot be used.
    """
    return _unix(listening.uds) if listening.uds is not None else _tcp(listening)


def _tcp(listening: Listening) -> socket.socket:
    host = listening.host
    family, *_, address = socket.getaddrinfo(
        host or None, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    # without the protocol, asyncio leaves the answers to Nagle's algorithm: 40 ms for each small one
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise UsageError(
            f"cannot listen on {host} port {listening.port}: {error.strerror}",
            hint="choose another port, or --port 0 for any free one",
        ) from None
    return made


def _unix(path: Path) -> socket.socket:
    _require_own_place(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_SOCKET_UMASK)
    try:
        made.bind(str(path))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise UsageError(f"cannot listen on {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    return made


def _require_own_place(path: Path) -> None:
    """Remove the socket of a server that has ended; refuse anything else, and folders of other users."""
    if distrust := owners.distrust(path.parent):
        raise UsageError(
            distrust.message, hint=f"put the socket into a folder of your own; or {distrust.remedy}"
        )
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        raise UsageError(f"{path} exists and is not a socket of this user", hint="name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise UsageError(f"another server listens on {path}", hint="stop it, or name another path")
