"""Links that need no token for a minute."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.asgi import Reply, ask

from nemorun_cli.serve import sessions
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

FILE = "/v1/records/alice/a/.record/openings/1.verdict.json"


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    """The application of a server with one file of alice."""
    return make_app(
        Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server"), hosts=()
    )


def asked(app: Starlette, method: str, target: str, token: str | None = None, body: bytes = b"") -> Reply:
    """The answer to a request."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return asyncio.run(ask(app, method, target, headers=headers, body=body))


def test_a_link_reads_its_file_and_nothing_else(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link replaces the token for one file and one minute; altered, late or revoked it is refused."""
    token = app.state.access.tokens.add("alice")
    linked = asked(app, "POST", "/v1/link", token.secret, b'{"path": "%s"}' % FILE.encode())
    link = linked.json["href"]
    assert asked(app, "GET", link).status == 404  # read, and there is nothing yet
    signature = link.partition("?")[2]
    refused = {
        "altered": asked(app, "GET", link[:-1] + ("A" if link[-1] != "A" else "B")),
        "of another file": asked(app, "GET", f"{FILE.replace('1.v', '2.v')}?{signature}"),
        "encoded in another way": asked(app, "GET", f"{FILE.replace('alice', '%61lice')}?{signature}"),
    }
    assert {name: reply.status for name, reply in refused.items()} == dict.fromkeys(refused, 403)
    assert {reply.json["code"] for reply in refused.values()} == {"link_expired"}
    assert asked(app, "PUT", link, body=b"{}").status == 401
    assert asked(app, "DELETE", link).status == 401
    assert asked(app, "GET", link, token="wrong").status == 401  # noqa: S106 - no secret
    monkeypatch.setattr(sessions, "LINK_SECONDS", -1)
    assert asked(app, "GET", link).status == 403
    monkeypatch.undo()
    app.state.access.tokens.revoke([token.token.id])
    assert asked(app, "GET", link).status == 403
