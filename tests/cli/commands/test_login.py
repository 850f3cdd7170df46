"""`exp login`, `exp logout` and `exp whoami` against a real server, and against what is none."""

from __future__ import annotations

import http.server
import json
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from support.formats import checked
from support.patience import eventually
from support.served import Served, served

from nemorun_cli.cli import completion
from nemorun_cli.replication import credentials, keyring_client, keyring_process
from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.workspace import Exp

CODE = re.compile(r"enter the code ([A-Z]{4}-[A-Z]{4})")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server, with a token of alice."""
    with served(tmp_path_factory.mktemp("served")) as running:
        running.token = running.add_token()
        yield running


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keyring, and no token of the machine that runs the tests."""
    for name in ("EXP_TOKEN", "EXP_TOKEN_FILE", "EXP_DASH_URL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    answer = keyring_client.KeyringAnswer(keyring_process.NO_KEYRING, reason="this machine has no keyring")
    monkeypatch.setattr(keyring_client, "_ask", lambda *_, **__: answer)  # for commands in this process


def given(exp: Exp, url: str, token: str) -> None:
    """Be logged in with a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEMORUN_HOME", str(exp.home))
        credentials.store(url, token, user="alice")


class Waiting:
    """`exp login` in a process that waits for its approval; `code` is what it shows."""

    def __init__(self, exp: Exp, url: str, *options: str) -> None:
        self.log = exp.folder / f"login-{time.monotonic_ns()}.log"
        with self.log.open("w") as stream:
            argv = [*exp.argv, "login", url, "--no-browser", *options]
            self.process = subprocess.Popen(argv, cwd=exp.folder, env=exp.env, stdout=stream, stderr=stream)
        self.code = eventually(lambda: CODE.search(self.log.read_text()))[1]

    def end(self) -> tuple[int, str]:
        """Its exit code, and what it printed."""
        return self.process.wait(30), self.log.read_text()


def decide(server: Served, code: str, word: str = "approve") -> None:
    """Approve or deny a login as alice."""
    body = json.dumps({"user_code": code})
    assert server.ask("POST", f"/v1/device/{word}", token=server.token, body=body).status == 200


def test_a_login_is_approved_and_ended(exp: Exp, server: Served) -> None:
    """A login gets a token of its own; a logout revokes and forgets it, and leaves that of the approver."""
    login = Waiting(exp, server.url)
    decide(server, login.code)
    code, printed = login.end()
    assert code == 0, printed
    assert f"logged in to {server.url} as alice" in printed
    assert "because this machine has no keyring" in printed
    logins = exp.home / "logins.json"
    assert logins.stat().st_mode & 0o777 == 0o600
    token = json.loads(logins.read_text())["servers"][server.url]["token"]
    assert token != server.token
    assert token not in printed
    document = checked(exp("whoami", "--json").json)
    assert (document["user"], document["server"], document["source"]) == ("alice", server.url, "file")
    assert exp("whoami", "-q").stdout == "alice\n"
    exp("logout")
    assert "token" not in logins.read_text()
    assert server.ask("GET", "/v1/whoami", token=token).status == 401
    assert server.ask("GET", "/v1/whoami", token=server.token).status == 200
    assert "not logged in" in exp("whoami", code=2).stderr
    assert "not logged in" in exp("logout", code=2).stderr


def test_a_denied_login_stores_nothing(exp: Exp, server: Served) -> None:
    """A login that is denied ends with 2."""
    login = Waiting(exp, server.url)
    decide(server, login.code, "deny")
    code, printed = login.end()
    assert code == 2
    assert f"the login at {server.url} was denied" in printed
    assert not (exp.home / "logins.json").exists()


def test_a_login_that_cannot_be_stored_is_revoked(exp: Exp, server: Served) -> None:
    """Where the file of logins cannot be written, a login ends with 7, and its new token is not valid."""
    exp.home.mkdir(mode=0o700)
    (exp.home / "logins.json.lock").mkdir()
    before = [token.id for token in Tokens(server.own).all()]
    login = Waiting(exp, server.url)
    decide(server, login.code)
    code, printed = login.end()
    assert code == 7
    assert "logins.json cannot be written" in printed
    assert [token.id for token in Tokens(server.own).all()] == before


def test_a_login_can_be_interrupted(exp: Exp, server: Served) -> None:
    """Ctrl-C while it waits ends a login with 130 and stores nothing."""
    login = Waiting(exp, server.url)
    login.process.send_signal(signal.SIGINT)
    code, printed = login.end()
    assert code == 130
    assert "Traceback" not in printed
    assert not (exp.home / "logins.json").exists()


def test_a_token_of_the_environment_wins(exp: Exp, server: Served, tmp_path: Path) -> None:
    """EXP_TOKEN and EXP_TOKEN_FILE are used for the server of EXP_DASH_URL; a refused one is not replaced."""
    given(exp, server.url, server.token)
    token = tmp_path / "token"
    token.write_text(server.add_token("ci"))
    env = {"EXP_DASH_URL": server.url, "EXP_TOKEN_FILE": str(token)}
    assert checked(exp("whoami", "--json", env=env).json)["source"] == "EXP_TOKEN_FILE"
    assert exp("whoami", "-q", env={**env, "EXP_TOKEN": server.add_token("dave")}).stdout == "dave\n"
    assert "refuses the token" in exp("whoami", env={**env, "EXP_TOKEN": "exp_x"}, code=2).stderr
    assert exp("whoami", "-q", server.url).stdout == "alice\n"


def test_a_revoked_token_is_forgotten_by_a_logout(exp: Exp, server: Served) -> None:
    """Whoami ends with 2 for a token that was revoked, and a logout still succeeds."""
    token, secret = Tokens(server.own).add("carol")
    given(exp, server.url, secret)
    Tokens(server.own).revoke([token.id])
    assert "wrong, expired or revoked" in exp("whoami", code=2).stderr
    assert "had expired or been revoked" in exp("logout").stderr


def test_a_wrong_token_is_not_stored(exp: Exp, server: Served) -> None:
    """A token that the server refuses, or that is none, ends with 2, is not repeated, and is not stored."""
    for text in ("exp_wrong-token", "\x1b[ wrong-token"):
        result = exp("login", server.url, "--token-stdin", stdin=f"{text}\n", code=2)
        assert "wrong-token" not in result.stderr
    assert not (exp.home / "logins.json").exists()


def test_a_server_that_is_away_ends_with_6(exp: Exp) -> None:
    """Login, whoami and logout end with 6; the token stays, unless only this machine is to forget it."""
    with socket.socket() as taken:  # nobody listens on its port, and nobody else can
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        given(exp, url, "exp_x")
        assert "cannot be reached" in exp("whoami", code=6).stderr
        assert "--local" in exp("logout", code=6).stderr
        assert "cannot be reached" in exp("login", url, code=6).stderr
        assert "still accepts" in exp("logout", "--local").stderr
        assert exp("whoami", code=2)


def test_without_tls_a_login_needs_consent(exp: Exp) -> None:
    """Over http to another machine no request is made without --insecure."""
    result = exp("login", "http://192.0.2.1", code=2)
    assert "without TLS" in result.stderr
    assert "exp login http://192.0.2.1 --insecure" in result.stderr


class Stranger(http.server.BaseHTTPRequestHandler):
    """A server that answers as its test says, and keeps what it got."""

    answer: ClassVar[Callable[[str], tuple[int, dict[str, str], bytes]]]
    seen: ClassVar[list[tuple[str, str | None]]]

    def do_GET(self) -> None:
        """Answer any request."""
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, headers, body = type(self).answer(self.path)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the same

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def stranger() -> Iterator[tuple[str, type[Stranger]]]:
    """A server that is none of exp: its address, and what it answers."""
    kind = type("OwnStranger", (Stranger,), {"seen": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", kind
        running.shutdown()
        thread.join()


def test_two_servers_have_their_own_tokens(
    exp: Exp, server: Served, stranger: tuple[str, type[Stranger]]
) -> None:
    """The second login leaves the first, and becomes the default until it ends."""
    other, kind = stranger
    bob = {"user": "bob", "scopes": ["read"], "prefixes": ["bob/**"], "expires": None}
    kind.answer = lambda _: (200, {}, json.dumps(bob).encode())
    given(exp, server.url, server.token)
    given(exp, other, "exp_of_bob")
    assert exp("whoami", "-q").stdout == "bob\n"
    assert exp("whoami", "-q", server.url).stdout == "alice\n"
    exp("logout", other)
    assert exp("whoami", "-q").stdout == "alice\n"
    assert kind.seen == [("/v1/whoami", "Bearer exp_of_bob"), ("/v1/logout", "Bearer exp_of_bob")]


HELLO = (200, {}, b'{"server": "exp", "protocols": ["1.7"], "version": "9"}')


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [
        ((200, {}, b"<html>please log in</html>"), 2, "something else than JSON"),
        ((404, {}, b'{"detail": "Not Found"}'), 2, "answers /v1/hello with 404"),
        ((302, {"Location": "https://evil.example/"}, b""), 2, "redirects to 'https://evil.example/'"),
        (
            (200, {}, b'{"server": "exp", "protocols": ["2.0"], "version": "9"}'),
            2,
            "has exp 9, whose protocol",
        ),
        ((502, {}, b"<html>bad gateway</html>"), 6, "fails with 502"),
        ((200, {}, b"[" * 100000), 2, "something else than JSON"),
    ],
)
def test_what_is_no_server_of_exp_gets_no_token(
    exp: Exp,
    stranger: tuple[str, type[Stranger]],
    answer: tuple[int, dict[str, str], bytes],
    code: int,
    text: str,
) -> None:
    """A page of a proxy, another service or another protocol is named, before the token is sent."""
    url, kind = stranger
    kind.answer = lambda _: answer
    assert text in exp("login", url, code=code).stderr
    assert kind.seen == [("/v1/hello", None)]


def test_a_token_follows_no_redirect(exp: Exp, stranger: tuple[str, type[Stranger]], server: Served) -> None:
    """A server that redirects to another port of this machine makes the command end with 2."""
    url, kind = stranger
    kind.answer = lambda path: (
        HELLO if path == "/v1/hello" else (307, {"Location": f"{server.url}{path}"}, b"")
    )
    assert "where no token is sent" in exp("login", url, "--token-stdin", stdin=server.token, code=2).stderr
    assert [path for path, token in kind.seen if token] == ["/v1/whoami"]
    assert exp("login", url, code=2)


def test_a_login_survives_answers_that_were_lost(exp: Exp, stranger: tuple[str, type[Stranger]]) -> None:
    """A poll that fails is asked again; a code that expired ends with 2."""
    url, kind = stranger
    polls = iter(
        [
            (503, {}, b"away"),
            (400, {}, b'{"error": "authorization_pending"}'),
            (400, {}, b'{"error": "expired_token"}'),
        ]
    )
    start = {"user_code": "BBBB-BBBB", "verification_uri": "--help", "device_code": "x", "interval": 0}

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        if path == "/v1/hello":
            return HELLO
        return (200, {}, json.dumps(start).encode()) if path == "/api/device/start" else next(polls)

    kind.answer = answer
    assert "nobody approved the login" in exp("login", url, "--no-browser", code=2).stderr
    assert sum(path == "/api/device/poll" for path, _ in kind.seen) == 3


def test_no_token_is_in_an_argument_or_a_log(exp: Exp, server: Served) -> None:
    """No process has a token in its arguments, and the log of the server has none, also of odd requests."""
    login = Waiting(exp, server.url)
    session = server.ask("POST", "/v1/session", token=server.token).json["token"]
    server.ask("GET", f"/v1/whoami?token={session}", headers={"Referer": f"{server.url}/?t={session}"})
    decide(server, login.code)
    assert login.end()[0] == 0
    token = json.loads((exp.home / "logins.json").read_text())["servers"][server.url]["token"]
    secrets = [
        text.encode() for text in (server.token, session, token, server.ready["sign_in"].partition("#t=")[2])
    ]
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    seen = [_content(path / "cmdline") for path in processes]
    seen += [_content(Path(f"/proc/{server.process.pid}/environ")), _content(server.log)]
    assert b"/v1/whoami" in seen[-1]
    assert not [text for text in seen for secret in secrets if secret in text]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # a process that ended meanwhile
        return b""


def test_servers_of_earlier_logins_are_completed(exp: Exp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The addresses of logins complete the URL of each command; no server is asked."""
    given(exp, "https://one.example", "exp_x")
    given(exp, "http://127.0.0.1:8300", "exp_y")
    with monkeypatch.context() as patch:
        patch.setenv("NEMORUN_HOME", str(exp.home))
        assert completion.servers("http") == ["https://one.example", "http://127.0.0.1:8300"]
        assert completion.servers("https") == ["https://one.example"]


@pytest.mark.parametrize("name", ["EXP_TOKEN", "EXP_TOKEN_FILE"])
def test_a_token_without_its_server_names_the_variable(name: str, exp: Exp) -> None:
    """A token in the environment whose server is not set is an error that names EXP_DASH_URL."""
    told = exp("whoami", code=2, env={name: "secret"}).stderr
    assert name in told
    assert "EXP_DASH_URL=https://" in told


def test_doctor_asks_the_servers_of_logins(exp: Exp, server: Served) -> None:
    """`exp doctor` reports of each login whether the server answers, and whether it accepts the token."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        away = f"http://127.0.0.1:{taken.getsockname()[1]}"
    given(exp, away, "any")
    given(exp, server.url, "wrong")
    refused = doctor(exp)
    assert "cannot be reached" in refused[away]["message"]
    assert (refused[server.url]["state"], refused[server.url]["remedy"]) == (
        "warning",
        f"exp login {server.url}",
    )
    given(exp, server.url, server.token)
    found = doctor(exp)[server.url]
    assert found["state"] == "well"
    assert "accepts the token of alice" in found["message"]


def doctor(exp: Exp) -> dict[str, dict[str, Any]]:
    """What `exp doctor` says about logins, by server."""
    told = exp("doctor", "--json", code=None)
    named = {check["subject"]: check for check in told.json["checks"]}
    return {name.removeprefix("login "): check for name, check in named.items() if name.startswith("login ")}
