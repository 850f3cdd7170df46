"""The lines of the log about requests, and about faults."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from support.asgi import ask

from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CODE = "a-code-that-nobody-may-read"


def test_a_fault_is_logged_without_what_the_request_contains(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault gives 500 and a traceback in the log; no token, query, `Referer` or body is in either."""
    site = Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server")
    app = make_app(site, hosts=())
    token = app.state.access.tokens.add("alice").secret
    headers = {"authorization": f"Bearer {token}", "referer": f"http://127.0.0.1:8300/#t={CODE}"}
    with caplog.at_level(logging.INFO, logger="nemorun_cli.serve"):
        served = asyncio.run(ask(app, "GET", f"/v1/views/records?text={CODE}", headers=headers))
        monkeypatch.setattr(app.state.access, "known", None)  # to call it is a fault
        failed = asyncio.run(ask(app, "POST", f"/v1/link?code={CODE}", headers=headers, body=CODE.encode()))
    assert served.status in {200, 400}
    assert failed.status == 500
    assert failed.json == {
        "format": "exp.error/1",
        "code": "failed",
        "message": "the server has a fault",
        "hint": "its log has the traceback",
    }
    assert "Traceback" in caplog.text
    assert "GET /v1/views/records " in caplog.text
    for secret in (token, CODE):
        assert secret not in caplog.text


def test_a_line_of_the_log_cannot_be_forged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A path is logged as it was sent, percent-encoded and cut: it begins no other line."""
    site = Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server")
    with caplog.at_level(logging.INFO, logger="nemorun_cli.serve"):
        asyncio.run(ask(make_app(site, hosts=()), "GET", "/a%0A2026-01-01%1B[2J" + "x" * 5000))
    (line,) = caplog.messages
    assert line.startswith("127.0.0.1 - GET /a%0A2026-01-01%1B[2Jxxx")
    assert "\n" not in line
    assert len(line) < 700
