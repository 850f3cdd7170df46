"""`exp login` that a user approves on the page of a server, in a real browser; other users of a machine."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.served import Served, served

from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from support.other_user import OtherUser
    from support.workspace import Exp

CODE = re.compile(r"open (\S+) and enter the code ([A-Z]{4}-[A-Z]{4})")


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


def test_a_login_is_approved_on_the_page(exp: Exp, server: Served, page: Page) -> None:
    """A user signs in with a token, enters the code that `exp login` shows, sees who asks, and approves."""
    log = exp.folder / "login.log"
    with log.open("w") as stream:
        argv = [*exp.argv, "login", server.url]
        login = subprocess.Popen(argv, cwd=exp.folder, env=exp.env, stdout=stream, stderr=stream)
    found = eventually(lambda: CODE.search(log.read_text()))
    page.goto(found[1])
    page.get_by_label("Token").fill(server.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("Code").fill(found[2].lower())
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("exp login by").wait_for()
    page.get_by_text(found[2], exact=True).wait_for()
    page.keyboard.press("Enter")  # no button is the default
    page.get_by_role("button", name="Allow").click()
    assert login.wait(30) == 0, log.read_text()
    storage = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert server.token not in storage
    token = json.loads((exp.home / "logins.json").read_text())["servers"][server.url]["token"]
    assert server.ask("GET", "/v1/whoami", token=token).json["user"] == "alice"


def test_an_open_stream_ends_with_its_token(server: Served) -> None:
    """A stream of events ends when its token is revoked or expires, or its session ends; others stay open."""
    revoked, leaving = Tokens(server.own).add("alice"), server.add_token("alice")
    session = server.ask("POST", "/v1/session", token=leaving).json["token"]
    expiring = server.add_token("alice", seconds=4.0)
    tokens = [revoked.secret, session, expiring, server.token]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(contextlib.closing(server.connect())) for _ in tokens]
        answers = []
        for connection, token in zip(connections, tokens, strict=True):
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("GET", "/v1/live?topics=records", headers=headers)
            answers.append(stack.enter_context(connection.getresponse()))
            assert answers[-1].status == 200
        Tokens(server.own).revoke([revoked.token.id])
        assert server.ask("POST", "/v1/logout", token=session).status == 200
        for answer in answers[:-1]:
            assert b"event: end" in answer.read()
        stream = connections[-1].sock
        stream.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            assert b"event: end" not in answers[-1].fp.read1()
    assert server.ask("GET", "/v1/whoami", token=leaving).status == 200


def test_other_users_of_the_machine_get_nothing(
    server: Served, other_users: tuple[OtherUser, OtherUser]
) -> None:
    """Another user reaches the port of a server, but neither its files, nor a token, nor an answer."""
    mallory, _ = other_users
    script = """
import os, sys, urllib.error, urllib.request
url, own = sys.argv[1:]
for path in ("/v1/whoami", "/v1/records/alice/p/x/.record"):
    try:
        urllib.request.urlopen(url + path)
    except urllib.error.HTTPError as error:
        print(error.code)
for name in ("tokens.json", "sessions.json", "link-key"):
    try:
        open(f"{own}/{name}").read()
        print("read", name)
    except PermissionError:
        pass
print("end")
"""
    server.ask("POST", "/v1/session", token=server.token)
    assert mallory.python(script, server.url, server.own).split() == ["401", "401", "end"]


def test_a_file_of_logins_of_another_user_is_not_used(
    other_users: tuple[OtherUser, OtherUser], server: Served
) -> None:
    """A file with tokens that another user owns, or that is a link to one, is refused with 2."""
    alice, mallory = other_users
    content = {"format": "exp.logins/1", "default": server.url, "servers": {server.url: {"token": "exp_x"}}}
    alice.home.mkdir(mode=0o700)
    alice.owns(alice.home)
    planted = mallory.owns(mallory.write("logins.json", json.dumps(content)), 0o600)
    (alice.home / "logins.json").symlink_to(planted)
    assert "symbolic link" in alice.exp("whoami", code=2).stderr
    (alice.home / "logins.json").unlink()
    planted.rename(alice.home / "logins.json")
    (alice.home / "logins.json").chmod(0o644)
    assert f"it belongs to uid {mallory.uid}" in alice.exp("whoami", code=2).stderr
