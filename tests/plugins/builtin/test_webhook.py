"""Webhooks: one server gets the message once, only 2xx is success, and no error shows a secret."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.plugins.builtin import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "dmFsdWUxMjM0NTY3"  # noqa: S105 - not a real one
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def read_request(stream: socket.socket) -> None:
    """Read a request and its body: a server that closes before loses its own answer."""
    request = b""
    while piece := stream.recv(65536):
        request += piece
        head, separator, body = request.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if separator and length and len(body) >= int(length[1]):
            return


class Answers:
    """A server that answers each request with these bytes, and counts the connections."""

    def __init__(self, answer: bytes, *, pause: float = 0.0) -> None:
        self._answer, self._pause = answer, pause
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self._is_closed = threading.Event()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    @property
    def address(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/services/{TOKEN}"

    def close(self) -> None:
        """End the server."""
        self._is_closed.set()
        with socket.create_connection(self._socket.getsockname()):
            self.thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                if self._is_closed.is_set():
                    return
                self.connections += 1
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            read_request(connection)
            step = 1 if self._pause else len(self._answer)
            for start in range(0, len(self._answer), step or 1):
                connection.sendall(self._answer[start : start + step])
                if self._pause and self._is_closed.wait(self._pause):
                    return
        except OSError:
            return


@pytest.fixture
def other() -> Iterator[Answers]:
    """The server to which a redirect leads."""
    server = Answers(b"HTTP/1.1 200 OK\r\n\r\n")
    yield server
    server.close()


def failure(
    address: str, *, timeout: float = 10.0, headers: dict[str, str] | None = None
) -> webhook.WebhookError:
    """The error of a post; it shows nothing of the address and the headers."""
    with pytest.raises(webhook.WebhookError) as caught:
        webhook.post(address, b"{}", HEADERS if headers is None else headers, timeout=timeout)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


@pytest.mark.parametrize("code", [300, 301, 302, 303, 304, 307, 308])
def test_no_redirect_is_followed(code: int, other: Answers) -> None:
    """The headers go to one server, and the error has the code."""
    server = Answers(
        f"HTTP/1.1 {code} Moved\r\nLocation: {other.address}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    try:
        assert f"answered {code} Moved: a redirect, which is not followed" in str(failure(server.address))
    finally:
        server.close()
    assert (server.connections, other.connections) == (1, 0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (f"HTTP/1.1 404 not {TOKEN[:3]}".encode() + b"x" * 50_000 + b"\r\n\r\n", "answered 404 not"),
        (b"HTTP/1.1 500 Oops\r\n\r\n", "answered 500 Oops"),
        (f"HELLO {TOKEN}\r\n\r\n".encode(), "BadStatusLine"),
        (b"", "RemoteDisconnected"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "HTTPException"),
    ],
)
def test_an_answer_that_is_no_success_is_an_error(answer: bytes, said: str) -> None:
    """It is short, however long the answer is, and shows no part of a line that is not HTTP."""
    server = Answers(answer)
    try:
        error = failure(server.address)
    finally:
        server.close()
    assert said in str(error)
    assert len(str(error)) < 300
    assert not isinstance(error, webhook.UnusableAddressError)


def test_only_the_code_decides() -> None:
    """A body that never ends changes nothing about a success."""
    server = Answers(b"HTTP/1.1 204 None\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000)
    try:
        webhook.post(server.address, b"{}", HEADERS, timeout=5)
    finally:
        server.close()


def test_a_slow_answer_ends_in_time() -> None:
    """A server that sends a byte now and then is given up after the timeout as a whole."""
    server, begin = Answers(b"HTTP/1.1 200 OK\r\n\r\n", pause=0.1), time.monotonic()
    try:
        assert "did not answer within 0.3 s" in str(failure(server.address, timeout=0.3))
        assert time.monotonic() - begin < 5
    finally:
        server.close()


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:9/x y/{TOKEN}",
        f"http://127.0.0.1:9/\n{TOKEN}",
        f"http://127.0.0.1:{TOKEN}/",
        f"http://127.0.0.1:9/ä{TOKEN}",
        f"http://[{TOKEN}/",
        f"https://{'a' * 70}.{TOKEN}/",
    ],
)
def test_an_address_that_cannot_be_sent_is_told_apart(address: str) -> None:
    """No later try can succeed, and the error quotes nothing of it."""
    assert isinstance(failure(address), webhook.UnusableAddressError)


@pytest.mark.parametrize("value", [f"a\r\nHost: {TOKEN}", f"ä🙂{TOKEN}"])
def test_a_header_that_cannot_be_sent_is_told_apart(value: str, other: Answers) -> None:
    """A line break and a character outside of Latin-1 reach no server."""
    assert isinstance(failure(other.address, headers={"X-Key": value}), webhook.UnusableAddressError)


def test_nobody_at_the_address_is_an_error() -> None:
    """A refused connection may succeed later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "cannot be reached" in str(failure(f"http://127.0.0.1:{port}/{TOKEN}"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS is verified; `SSL_CERT_FILE` names further authorities."""
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run([*make, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve_tls, args=(server, context))
        thread.start()
        address = f"https://localhost:{server.getsockname()[1]}/{TOKEN}"
        assert "certificate verify failed" in str(failure(address))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        webhook.post(address, b"{}", HEADERS, timeout=10)
        thread.join()


def _serve_tls(server: socket.socket, context: ssl.SSLContext) -> None:
    """Answer two connections, of which one may not get as far."""
    for _ in range(2):
        connection, _ = server.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as stream:
                read_request(stream)
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        except OSError:
            connection.close()
