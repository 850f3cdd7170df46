"""Debian's nginx as a proxy with TLS in front of servers, by the configuration that `examples/serve` has."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trustme
from support.patience import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

NGINX: Final = "/usr/sbin/nginx"
INSTALL: Final = Path(__file__).parents[1] / "engines" / "install.sh"
INSTALL_WAIT: Final = 300.0  # seconds
END_WAIT: Final = 10.0  # seconds
EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "serve" / "nginx.conf"
NAME: Final = "exp.example.org"
AROUND: Final = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {server}
}}
"""


class UnixHTTPSConnection(http.client.HTTPSConnection):
    """A connection with TLS to a unix socket."""

    def __init__(self, path: Path, context: ssl.SSLContext, name: str) -> None:
        super().__init__(name, timeout=20, context=context)
        self._path = path
        self._tls = context

    def connect(self) -> None:
        """Connect."""
        plain = socket.socket(socket.AF_UNIX)
        plain.settimeout(self.timeout)
        plain.connect(str(self._path))
        self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)


@dataclass(frozen=True)
class NginxProxy:
    """A running proxy, at a unix socket instead of port 443."""

    socket: Path
    context: ssl.SSLContext

    def connect(self, name: str = NAME) -> UnixHTTPSConnection:
        """A new connection, to one of the proxy's names."""
        return UnixHTTPSConnection(self.socket, self.context, name)


@contextlib.contextmanager
def nginx_proxy(
    folder: Path, *ports: int, example: Path = EXAMPLE, names: tuple[str, ...] = (NAME,)
) -> Iterator[NginxProxy]:
    """The proxy of an example in front of servers at these ports; skips loudly where there is no nginx.

    Args:
        folder: of its files.
        ports: of the servers, in the order of those in the example.
        example: the configuration.
        names: the names of the servers in it.
    """
    if not shutil.which(NGINX) and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run([INSTALL, "proxy"], check=True, timeout=INSTALL_WAIT)
    if not shutil.which(NGINX):
        pytest.skip("A PROXY IS NOT TESTED: there is no nginx, which root on a Debian installs")
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    issued.private_key_pem.write_to_path(str(folder / "privkey.pem"))
    for pem in issued.cert_chain_pems:
        pem.write_to_path(str(folder / "fullchain.pem"), append=True)
    at = folder / "https.sock"
    server = example.read_text(encoding="utf-8")
    upstreams = re.findall(r"127\.0\.0\.1:\d+", server)
    for before, after in (
        ("listen 443 ssl", f"listen unix:{at} ssl"),
        ("/etc/ssl/exp", str(folder)),
        *zip(upstreams, [f"127.0.0.1:{port}" for port in ports], strict=True),
    ):
        assert before in server
        server = server.replace(before, after)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(AROUND.format(folder=folder, server=server, user=user), encoding="utf-8")
    process = subprocess.Popen([NGINX, "-p", folder, "-c", configuration], stderr=subprocess.DEVNULL)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    try:
        eventually(at.exists)
        yield NginxProxy(at, context)
    finally:
        process.terminate()
        process.wait(END_WAIT)
