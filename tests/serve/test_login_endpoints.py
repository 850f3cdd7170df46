"""Logging in over HTTP: the device flow, sessions, links, and `whoami`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from nemorun_cli.serve import device_logins, tokens
from nemorun_cli.serve.access import Access
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.caller import Caller, Scope
from nemorun_cli.serve.device_logins import DeviceLogins, Guess, Login, Poll, TooManyLoginsError
from nemorun_cli.serve.site import Site
from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HASH = hashlib.sha256(b"a secret").hexdigest()
OTHER_HASH = hashlib.sha256(b"another").hexdigest()
ALICE = Caller("alice", frozenset({Scope.READ, Scope.WRITE}), ("alice/**",), "0")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:  # noqa: D102 - see the class
        return self.now


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(root=tmp_path / "root", home=tmp_path, dash_roots=(), own=tmp_path / "own")


@pytest.fixture
def access(site: Site) -> Access:
    return Access(site)


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    with TestClient(make_app(site, hosts=["testserver"])) as client:
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def start(client: TestClient, secret_hash: str = HASH, client_id: str = "exp") -> dict[str, Any]:
    answer = client.post(
        "/api/device/start",
        json={"client_id": client_id, "device_secret_hash": secret_hash, "name": "exp login"},
    )
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def poll(client: TestClient, started: dict[str, Any] | None, secret_hash: str = HASH) -> dict[str, Any]:
    device = {} if started is None else {"device_code": started["device_code"]}
    answer = client.post(
        "/api/device/poll", json={"client_id": "x", "device_secret_hash": secret_hash, **device}
    )
    body: dict[str, Any] = answer.json()
    assert (answer.status_code == 200) == ("access_token" in body)
    return body


def test_a_login_is_approved_by_its_code(client: TestClient, access: Access) -> None:
    """A program that shows a code gets a token of the user who enters it, with that user's rights."""
    secret = access.tokens.add("alice", prefixes=["alice/a/**"]).secret
    started = start(client)
    assert started["verification_uri"] == "http://testserver/device"
    code = started["user_code"].lower().replace("-", " ")
    found = client.post("/v1/device/find", json={"user_code": code}, headers=bearer(secret)).json()
    assert found["name"] == "exp login"
    assert found["age"] + found["left"] == pytest.approx(600, abs=0.2)
    assert (
        client.post("/v1/device/approve", json={"user_code": code}, headers=bearer(secret)).status_code == 200
    )
    token = poll(client, started)["access_token"]
    new = client.post("/api/auth/exchange", headers=bearer(token)).json()
    caller = access.caller(f"Bearer {new['ml_dash_token']}")
    assert caller
    assert (caller.user, caller.prefixes) == ("alice", ("alice/a/**",))
    assert caller.scopes == {Scope.READ, Scope.WRITE}


def test_a_login_that_is_not_decided_is_pending(client: TestClient) -> None:
    """Each error of a poll is JSON with the words of RFC 8628."""
    assert poll(client, None) == {"error": "expired_token"}
    started = start(client)
    assert poll(client, started) == {"error": "authorization_pending"}
    assert poll(client, started) == {"error": "slow_down"}
    for body in (b"", b"[]", b"{", b'{"device_secret_hash": 1}', b"\xff"):
        for path in ("/api/device/start", "/api/device/poll"):
            answer = client.post(path, content=body)
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = client.post("/api/auth/exchange", headers=bearer("exp_x"))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_a_denied_login_ends(client: TestClient, access: Access) -> None:
    """A denied login is reported once, cannot be approved any more, and its code is unknown then."""
    headers = bearer(access.tokens.add("alice").secret)
    started = start(client)
    code = {"user_code": started["user_code"]}
    assert client.post("/v1/device/deny", json=code, headers=headers).status_code == 200
    assert client.post("/v1/device/approve", json=code, headers=headers).status_code == 404
    assert poll(client, started) == {"error": "access_denied"}
    assert poll(client, started) == {"error": "expired_token"}


def test_only_ml_dash_polls_without_the_device_code(client: TestClient) -> None:
    """What knows the hash of a program's secret, but not its device code, gets nothing of ours."""
    started = start(client)
    assert poll(client, None) == {"error": "expired_token"}
    assert poll(client, {"device_code": "x"}) == {"error": "expired_token"}
    assert poll(client, started) == {"error": "authorization_pending"}
    start(client, OTHER_HASH, "ml-dash-client")
    assert poll(client, None, OTHER_HASH) == {"error": "authorization_pending"}


def test_a_login_cannot_have_more_than_its_approver(client: TestClient, access: Access) -> None:
    """A scope that the approver lacks is not given, and a token without any of them approves nothing."""
    reader = access.tokens.add("alice", scopes=[Scope.READ]).secret
    body = {"user_code": start(client)["user_code"], "scopes": ["read", "control"]}
    assert client.post("/v1/device/approve", json=body, headers=bearer(reader)).json()["scopes"] == ["read"]
    body = {"user_code": start(client)["user_code"], "scopes": ["control"]}
    assert client.post("/v1/device/approve", json=body, headers=bearer(reader)).status_code == 403
    body["scopes"] = ["all"]
    assert client.post("/v1/device/approve", json=body, headers=bearer(reader)).status_code == 400
    assert client.post("/v1/device/approve", json=body).status_code == 401


def test_an_exchange_whose_answer_was_lost_leaves_one_token(client: TestClient, access: Access) -> None:
    """The same access token gives a new token and ends the former; an approver who is revoked ends both."""
    approver, secret = access.tokens.add("alice")
    started = start(client)
    client.post("/v1/device/approve", json={"user_code": started["user_code"]}, headers=bearer(secret))
    token = poll(client, started)["access_token"]
    first, second = (
        client.post("/api/auth/exchange", headers=bearer(token)).json()["ml_dash_token"] for _ in range(2)
    )
    assert access.caller(f"Bearer {first}") is None
    assert access.caller(f"Bearer {second}")
    assert len(access.tokens.all()) == 2
    access.tokens.revoke([approver.id])
    assert access.caller(f"Bearer {second}") is None
    assert client.post("/api/auth/exchange", headers=bearer(token)).status_code == 401


def test_the_logins_of_a_user_are_bounded(
    client: TestClient, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who approved too many logins gets no further one, but the server's owner can add tokens."""
    monkeypatch.setattr(tokens, "MOST_LOGINS", 1)
    secret = access.tokens.add("alice").secret
    statuses = []
    for _ in range(2):
        started = start(client)
        client.post("/v1/device/approve", json={"user_code": started["user_code"]}, headers=bearer(secret))
        token = poll(client, started)["access_token"]
        statuses.append(client.post("/api/auth/exchange", headers=bearer(token)).status_code)
    assert statuses == [200, 429]
    assert access.tokens.add("alice")


def test_a_wrong_code_can_be_entered_five_times() -> None:
    """After five wrong codes in ten minutes a user is refused even with the right one, and others are not."""
    clock = Clock()
    logins = DeviceLogins(clock=clock)
    code = logins.start(HASH, name="", address="", needs_device_code=True).user_code
    for _ in range(device_logins.GUESSES):
        assert logins.find("BBBB-BBBB", ALICE) is Guess.UNKNOWN
    assert logins.find(code, ALICE) is Guess.TOO_MANY
    assert isinstance(logins.find(code, ALICE._replace(user="bob")), Login)
    clock.now += device_logins.LIFE - 1
    assert logins.find(code, ALICE) is Guess.TOO_MANY
    clock.now += 2
    again = logins.start(HASH, name="", address="", needs_device_code=True).user_code
    assert isinstance(logins.find(again, ALICE), Login)


def test_a_login_lives_for_ten_minutes() -> None:
    """After its life a login is neither found, approved nor polled."""
    clock = Clock()
    logins = DeviceLogins(clock=clock)
    started = logins.start(HASH, name="", address="", needs_device_code=True)
    login = logins.find(started.user_code, ALICE)
    assert isinstance(login, Login)
    clock.now += device_logins.LIFE
    assert logins.find(started.user_code, ALICE) is Guess.UNKNOWN
    assert not logins.approve(login, ALICE, ALICE.scopes)
    assert not logins.deny(login)
    assert logins.poll(HASH, started.device_code) is Poll.EXPIRED


def test_a_new_start_replaces_the_one_of_the_same_secret() -> None:
    """With one secret a program has one pending login: the older code is unknown at once."""
    logins = DeviceLogins(clock=Clock())
    old = logins.start(HASH, name="", address="", needs_device_code=False)
    new = logins.start(HASH, name="", address="", needs_device_code=False)
    assert logins.find(old.user_code, ALICE) is Guess.UNKNOWN
    assert isinstance(logins.find(new.user_code, ALICE), Login)
    assert logins.poll(HASH, old.device_code) is Poll.EXPIRED


def test_pending_logins_are_bounded() -> None:
    """An address, and all addresses together, can begin only so many logins; old ones make place."""
    clock = Clock()
    logins = DeviceLogins(clock=clock)

    def begin(number: int, address: str) -> None:
        logins.start(f"{number:064x}", name="", address=address, needs_device_code=True)

    for number in range(device_logins._MOST_OF_ADDRESS):
        begin(number, "a")
    with pytest.raises(TooManyLoginsError):
        begin(-1, "a")
    begin(-1, "b")
    clock.now += device_logins.LIFE
    begin(-1, "a")


def test_a_page_gets_a_session_for_a_token(client: TestClient, access: Access) -> None:
    """A token, or the printed one-time token, is exchanged for a session; a session is not prolonged."""
    secret = access.tokens.add("alice").secret
    session = client.post("/v1/session", headers=bearer(secret)).json()["token"]
    assert client.get("/v1/whoami", headers=bearer(session)).json()["user"] == "alice"
    assert client.post("/v1/session", headers=bearer(session)).status_code == 401
    once = {"once": access.printed_token("bob")}
    session = client.post("/v1/session", json=once).json()["token"]
    assert client.get("/v1/whoami", headers=bearer(session)).json()["user"] == "bob"
    assert client.post("/v1/session", json=once).status_code == 401
    assert client.post("/v1/session", json={"once": secret}).status_code == 401
    assert client.post("/v1/session").status_code == 401


def test_logging_out_ends_what_was_used(client: TestClient, access: Access) -> None:
    """With a session, the session ends; with a token, it does with its sessions and what it approved."""
    token, secret = access.tokens.add("alice")
    approved = access.tokens.add("alice", made_by=token.id)
    below = access.tokens.add("alice", made_by=approved.token.id).secret
    other = access.tokens.add("alice").secret
    first, second = (client.post("/v1/session", headers=bearer(secret)).json()["token"] for _ in range(2))
    assert client.post("/v1/logout", headers=bearer(first)).status_code == 200
    assert [client.get("/v1/whoami", headers=bearer(each)).status_code for each in (first, second)] == [
        401,
        200,
    ]
    assert client.post("/v1/logout", headers=bearer(secret)).status_code == 200
    assert client.get("/v1/whoami", headers=bearer(second)).status_code == 401
    assert client.post("/v1/logout", headers=bearer(secret)).status_code == 401
    ended = [client.get("/v1/whoami", headers=bearer(each)).status_code for each in (approved.secret, below)]
    assert ended == [401, 401]
    assert client.get("/v1/whoami", headers=bearer(other)).status_code == 200


def test_a_stolen_token_leaves_nothing_behind(
    access: Access, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a token approved never outlives its logout, also not what is exchanged at that moment."""
    approver, secret = access.tokens.add("alice")
    started = start(client)
    code = {"user_code": started["user_code"]}
    assert client.post("/v1/device/approve", json=code, headers=bearer(secret)).status_code == 200
    late = poll(client, started)["access_token"]
    assert client.post("/v1/logout", headers=bearer(secret)).status_code == 200
    monkeypatch.setattr(Tokens, "by_id", lambda _, token_id: approver if token_id == approver.id else None)
    assert client.post("/api/auth/exchange", headers=bearer(late)).status_code == 401
    assert access.tokens.all() == []


def test_any_token_may_ask_who_it_is(client: TestClient, access: Access) -> None:
    """`whoami` needs no scope, but a valid token."""
    token, secret = access.tokens.add("alice", scopes=[Scope.WRITE], seconds=60)
    assert client.get("/v1/whoami", headers=bearer(secret)).json() == {
        "format": "exp.whoami/1",
        "user": "alice",
        "scopes": ["write"],
        "prefixes": ["alice/**"],
        "expires": token.expires,
        "controls": False,
    }
    assert client.get("/v1/whoami").status_code == 401
    assert client.get("/v1/whoami", headers=bearer(f"{secret}x")).status_code == 401


def test_tokens_are_never_kept_by_a_cache(client: TestClient, access: Access, site: Site) -> None:
    """Answers that contain a token, or depend on one, are not stored."""
    secret = Tokens(site.own).add("alice").secret
    for answer in (
        client.post("/v1/session", headers=bearer(secret)),
        client.get("/v1/whoami", headers=bearer(secret)),
        client.post("/v1/session", json={"once": access.printed_token("alice")}),
    ):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
