"""The process of `exp serve`: where it listens, what it refuses, and how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
import trustme
from support.formats import checked
from support.served import EXP, Served, served

from nemorun_cli.cli import serving
from nemorun_cli.errors import UsageError
from nemorun_cli.serve import listening
from nemorun_cli.serve.listening import Listening

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Exp
    from support.other_user import OtherUser

ENDS_WITHIN = 3.0  # seconds
USAGE = 2
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - to be refused


def test_the_ready_line_says_where(server: Served) -> None:
    """With --json, the command prints one document when it listens: its address and the chosen port."""
    checked(server.ready)
    assert server.ready["url"] == f"http://127.0.0.1:{server.port}"
    assert server.port > 0
    assert server.ready["pid"] == server.process.pid
    sockets = psutil.Process(server.process.pid).net_connections()
    listening_at = {each.laddr for each in sockets if each.status == psutil.CONN_LISTEN}
    assert listening_at == {("127.0.0.1", server.port)}


def test_a_signal_ends_it_also_while_requests_are_open(tmp_path: Path) -> None:
    """SIGTERM ends with 0 and Ctrl-C with 130, within 3 seconds, whoever still sends or waits."""
    terminated, first = ended(tmp_path / "terminated", signal.SIGTERM)
    interrupted, second = ended(tmp_path / "interrupted", signal.SIGINT)
    assert (terminated, interrupted) == (0, 130)
    assert min(first, second) < ENDS_WITHIN  # the other one may have waited for a processor


def ended(folder: Path, number: signal.Signals) -> tuple[int, float]:
    """The exit code after a signal while a body, a stream and a connection are open, and the seconds.

    The server is started as systemd does it, and reports that it listens.
    """
    folder.mkdir()
    notified = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(notified))
        systemd.settimeout(20)
        with served(folder, "-q", environment={"NOTIFY_SOCKET": str(notified)}) as server:
            assert systemd.recv(100) == b"READY=1"
            assert server.ready["sign_in"] is None
            assert "#t=" not in json.dumps(server.ready)
            headers = {"Authorization": f"Bearer {server.add_token()}"}
            slow, stream = server.connect(), server.connect()
            slow.putrequest("PUT", "/v1/records/alice/a/.record/openings/1.verdict.json")
            slow.putheader("Authorization", headers["Authorization"])
            slow.putheader("Content-Length", "1000")
            slow.endheaders(b"{")
            idle = socket.create_connection(("127.0.0.1", server.port))
            stream.request("GET", "/v1/live?topics=records", headers=headers)
            live = stream.getresponse()
            assert live.status == http.client.OK
            begin = time.monotonic()
            code = server.end(number)
            seconds = time.monotonic() - begin
            live.read()  # its end is regular
            for connection in (slow, stream, idle):
                connection.close()
            assert "Traceback" not in server.log.read_text(encoding="utf-8")
    return code, seconds


def test_a_second_server_is_refused(server: Served, exp: Exp) -> None:
    """Two servers never write the same files, and a port that is taken is named."""
    root = str(server.own.parent)
    same_root = exp("serve", "--port", "0", "--root", root, code=USAGE)
    assert f"process {server.process.pid}" in same_root.stderr
    assert root in same_root.stderr
    same_port = exp("serve", "--port", str(server.port), "--root", str(exp.folder / "other"), code=USAGE)
    assert f"port {server.port}: Address already in use" in same_port.stderr
    assert "--port 0" in same_port.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", ANY_ADDRESS), "--tls-cert"),
        (("--host", "::"), "--tls-cert"),
        (("--host", "no-such-host.invalid"), "no-such-host.invalid"),
        (("--port", "65536"), "0 to 65535"),
        (("--port", "http"), "0 to 65535"),
        (("--tls-key", "key.pem"), "--tls-cert"),
        (("--tls-cert", "missing.pem"), "missing.pem"),
        (("--quota", "many"), "--quota"),
        (("--dash-root", "x", "--root", "y"), "exclude"),
        (("--control", "--root", "y"), "replicas"),
        (("tokens",), "exp serve token add"),
        (("--root", "/etc/passwd"), "is not a folder"),
        (("--root", "/proc/none"), "cannot be created"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_served_is_refused(exp: Exp, options: tuple[str, ...], words: str) -> None:
    """An address that others reach without TLS, and wrong values, end with 2 and name the remedy."""
    done = exp("serve", *options, code=USAGE)
    assert words in done.stderr
    assert done.stdout == ""


def test_a_folder_in_use_for_something_else_is_refused(exp: Exp) -> None:
    """A server collects neither in the folder of another one, nor where programs keep what they send."""
    for folder in ("outer/.server", "sent/.outbox"):
        (exp.folder / folder).mkdir(parents=True, mode=0o700)
    inner = exp("serve", "--root", "outer/alice", code=USAGE)
    assert f"is in {exp.folder / 'outer'}, the folder of another server" in inner.stderr
    sent = exp("serve", "--root", "sent", code=USAGE)
    assert "programs of this machine send" in sent.stderr
    assert f"exp serve --dash-root {exp.folder / 'sent'}" in sent.stderr
    assert not [path for path in exp.folder.rglob(".server") if path.parent.name != "outer"]


def test_a_folder_of_records_that_is_not_there_is_named(exp: Exp) -> None:
    """A mistyped `--dash-root` is warned of: the server would just show nothing."""
    done = exp("serve", "--dash-root", "mistyped", "--tls-key", "key.pem", code=USAGE)
    assert f"--dash-root {exp.folder / 'mistyped'}: there is no such folder yet" in done.stderr


def test_loopback_is_recognized_by_address() -> None:
    """All of 127.0.0.0/8, ::1 and localhost are this machine; an address of a network is not."""
    assert all(map(listening.is_loopback, ("127.0.0.1", "127.8.9.10", "::1", "localhost")))
    assert not any(map(listening.is_loopback, (ANY_ADDRESS, "::", "192.0.2.1", "")))
    assert not Listening(host="192.0.2.1").is_local
    assert not Listening(is_behind_proxy=True).is_local


def test_tls_encrypts(tmp_path: Path) -> None:
    """With a certificate, the server speaks TLS from the first byte, and its address says so."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(chain))
    issued.private_key_pem.write_to_path(str(key))
    with served(tmp_path, "--tls-cert", str(chain), "--tls-key", str(key)) as server:
        assert server.url == f"https://127.0.0.1:{server.port}"
        import ssl  # noqa: PLC0415 - of this test alone

        context = ssl.create_default_context()
        authority.configure_trust(context)
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=10)
        answer = server.ask("GET", "/v1/hello", connection=connection)
        assert answer.json["server"] == "exp"
        connection.close()
        with pytest.raises((http.client.HTTPException, OSError)):
            server.ask("GET", "/v1/hello")


def test_a_unix_socket_is_of_its_user_alone(other_users: tuple[OtherUser, OtherUser], tmp_path: Path) -> None:
    """A socket is 0600 from the start, a stale one is replaced, and another user never gets an answer."""
    _, stranger = other_users
    folder = stranger.top / "sockets"
    folder.mkdir()
    path = folder / "exp.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with served(tmp_path, "--uds", str(path)) as server:
        assert server.ready["port"] is None
        assert server.ready["sign_in"].startswith("http://localhost:8300/#t=expo_")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /v1/hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 200")
        refused = stranger.run(
            sys.executable, "-c", f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        )
        assert "PermissionError" in refused.stderr
        path.chmod(0o666)  # as on a file system without modes
        asking = (
            f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({str(path)!r})\n"
            "try: s.sendall(b'GET /v1/hello HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); print(s.recv(99))\n"
            "except ConnectionError: print(b'')"
        )
        ignored = stranger.run(sys.executable, "-c", asking)
        assert (ignored.stdout.strip(), ignored.stderr) == ("b''", "")
    assert not path.exists()


@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_prepared_path_is_no_socket(tmp_path: Path, kind: str) -> None:
    """A link, or a file, where the socket should be is refused, and left as it is."""
    path, target = tmp_path / "exp.sock", tmp_path / "target"
    path.symlink_to(target) if kind == "link" else path.write_text("kept")
    with pytest.raises(UsageError, match="not a socket of this user"):
        listening.bound(Listening(uds=path))
    assert path.is_symlink() or path.read_text() == "kept"
    assert not target.exists()


def test_a_folder_of_another_user_is_refused(other_users: tuple[OtherUser, OtherUser], exp: Exp) -> None:
    """Neither root nor a user serves a home, a root or a socket that another user prepared."""
    first, second = other_users
    prepared = second.folder / "root"
    prepared.mkdir()
    second.owns(prepared, 0o777)
    as_root = exp("serve", "--port", "0", "--root", str(prepared), code=USAGE)
    assert "belongs to" in as_root.stderr
    assert "run it as that user" in as_root.stderr
    as_user = first.each(
        ("serve", "--port", "0", "--root", str(prepared)),
        ("serve", "--uds", str(prepared / "s")),
    )
    assert [done.code for done in as_user] == [USAGE, USAGE]
    assert all(str(prepared) in done.stderr for done in as_user)
    with pytest.raises(UsageError, match="folder of your own"):
        listening.bound(Listening(uds=prepared / "s"))
    assert list(prepared.iterdir()) == []


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing package is named, with the command that installs the extra."""
    serving.require_extra()
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UsageError, match="uvicorn") as refused:
        serving.require_extra()
    assert refused.value.hint == "pip install 'nemorun-cli[serve]'"


def test_the_command_is_the_installed_one() -> None:
    """The server of these tests is what users start."""
    assert os.access(EXP, os.X_OK)
