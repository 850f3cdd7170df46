"""What a user is told about a server that cannot be talked to, by both clients, from real connections."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from nemorun_cli.errors import EngineError
from nemorun_cli.replication.client import Client
from nemorun_cli.replication.login_client import LoginClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT = 5.0  # seconds


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate, with its key, for names that no server of the tests has; and that of its authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, own = trustme.CA(), folder / "own.pem"
    authority.issue_cert("exp.example", "192.0.2.7").private_key_and_cert_chain_pem.write_to_path(str(own))
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return own, folder / "authority.pem"


@contextlib.contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that does so with each connection."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                connection.settimeout(LIMIT)
                with connection, contextlib.suppress(OSError):
                    answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LIMIT)


def told(url: str) -> Iterator[EngineError]:
    """The errors of both clients."""
    for ask in (Client(url, None, limit=LIMIT).hello, LoginClient(url, limit=LIMIT).hello):
        with pytest.raises(EngineError) as refused:
            ask()
        yield refused.value


def plainly(connection: socket.socket) -> None:
    """Answer as a server without TLS."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_server_without_tls_is_told_with_its_address() -> None:
    """`https://` to a server without TLS says so, and names the address with `http://`."""
    with answering(plainly) as port:
        for error in told(f"https://127.0.0.1:{port}"):
            assert "it does not speak TLS" in error.message
            assert f"http://127.0.0.1:{port}" in (error.hint or "")


def test_a_server_with_tls_is_told_with_its_address(files: tuple[Path, Path]) -> None:
    """`http://` to a server with TLS asks whether it has TLS, and names the address with `https://`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[0])
    with answering(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        for error in told(f"http://127.0.0.1:{port}"):
            assert f"https://127.0.0.1:{port}" in (error.hint or "")
            assert "(" not in error.message  # no names of Python's


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_refused_certificate_is_told_with_its_remedy(
    *, is_trusted: bool, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for another name is told with its names, and only one of an unknown authority with EXP_CA_FILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[0])
    if is_trusted:
        monkeypatch.setenv("EXP_CA_FILE", str(files[1]))
    with answering(lambda connection: context.wrap_socket(connection, server_side=True).close()) as port:
        for error in told(f"https://127.0.0.1:{port}"):
            text = f"{error.message} {error.hint}"
            assert ("is for exp.example, 192.0.2.7, and not for 127.0.0.1" in text) is is_trusted
            assert ("EXP_CA_FILE" in text) is not is_trusted
