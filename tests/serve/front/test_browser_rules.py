"""Requests that a page of another site could make a browser send: names of hosts, and origins."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.asgi import HOST, Reply, ask

from nemorun_cli.serve import browser_rules
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

ALLOWED = (
    "127.0.0.1",
    "127.0.0.1:8300",
    "localhost",
    "localhost:9",  # a forwarded port has another number
    "LOCALHOST:8300",  # names have no case
    "[::1]",
    "[::1]:8300",
    "exp.example.org",
    "EXP.Example.org:443",
    "one-port.example.org:8443",
)
REFUSED = (
    "",
    "evil.example",
    "evil.example:8300",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost.",  # another origin than localhost, for browsers
    "localhost.:8300",
    "exp.example.org.",
    "one-port.example.org",
    "one-port.example.org:443",
    "localhost:8300:1",
    "localhost:",
    "localhost:x",
    "localhost:٣",
    "user@localhost",
    "127.1",
    "2130706433",
    "0.0.0.0:8300",
    "::1",
    "localhost evil.example",
    "localhost,evil.example",
    "192.0.2.1",
)
NAMES = frozenset({"exp.example.org", "one-port.example.org:8443"})
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
RECORD = "/v1/records/alice/a/.record"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    """The application of a server that has one more name."""
    folder: Path = tmp_path_factory.mktemp("site")
    site = Site(root=folder, home=folder / "home", dash_roots=(), own=folder / ".server")
    return make_app(site, hosts=NAMES)


def asked(app: Starlette, method: str, path: str, **headers: str) -> Reply:
    """The answer to a request with these headers; `_` in names is `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return asyncio.run(ask(app, method, path, headers=named))


def test_only_known_names_of_the_server_are_answered() -> None:
    """A name that was made to lead here is refused: loopback names and configured ones alone are answered."""
    assert [host for host in ALLOWED if not browser_rules.is_allowed(host, NAMES)] == []
    assert [host for host in REFUSED if browser_rules.is_allowed(host, NAMES)] == []


@pytest.mark.parametrize("path", ["/", "/static/icon.svg", "/v1/hello", "/v1/whoami", RECORD, "/nowhere"])
def test_another_host_is_refused_on_every_route(app: Starlette, path: str) -> None:
    """The host is checked before anything else, with a token and without, on static files and errors too."""
    token = app.state.access.tokens.add("alice").secret
    for headers in ({}, {"authorization": f"Bearer {token}"}):
        for method in ("GET", "HEAD", "OPTIONS", *CHANGING):
            reply = asked(app, method, path, host="evil.example", **headers)
            assert reply.status == 421
            assert reply.json["code"] == "unknown_host"


@pytest.mark.parametrize("method", CHANGING)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},  # another program of this machine
        {"origin": f"http://{HOST}.evil.example"},
        {"origin": f"http://{HOST}", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"origin": "https://evil.example", "content_type": "text/plain"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_changes_nothing(
    app: Starlette, method: str, headers: dict[str, str]
) -> None:
    """A form, a fetch or a simple request of another page is refused, even with a token."""
    token = app.state.access.tokens.add("alice").secret
    reply = asked(app, method, RECORD, authorization=f"Bearer {token}", **headers)
    assert reply.status == 403
    assert reply.json["code"] == "foreign_origin"
    assert not (app.state.site.root / "alice").exists()


def test_a_program_and_the_own_page_may_change(app: Starlette) -> None:
    """Without these headers, as programs ask, and from the page itself, a request passes."""
    token = f"Bearer {app.state.access.tokens.add('bob').secret}"
    own = {"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"}
    assert asked(app, "POST", "/v1/records/bob/a/.record", authorization=token).status == 201
    assert asked(app, "POST", "/v1/records/bob/b/.record", authorization=token, **own).status == 201
