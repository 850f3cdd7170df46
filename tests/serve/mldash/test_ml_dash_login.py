"""`ml-dash login` of the real client 0.6.27, approved on the server's page in a real browser."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from support.cutting_proxy import cutting_proxy
from support.extent import IS_LONG
from support.ml_dash_clients import MlDashClient, client, ended
from support.patience import eventually
from support.served import served

if TYPE_CHECKING:
    import subprocess

    from playwright.sync_api import Page
    from support.ml_dash_collector import Collector

PROGRAM: Final = Path(__file__).parent / "programs" / "steady_run.py"
CODE: Final = re.compile(r"\b([BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4})\b")


class Login:
    """A login that waits for its approval."""

    def __init__(self, made: MlDashClient, url: str) -> None:
        made.home.mkdir(parents=True, exist_ok=True)
        self.client = made
        self.process: subprocess.Popen[str] = made.command(
            "login", "--dash-url", url, "--auth-url", url, "--no-browser"
        )
        assert self.process.stdout is not None
        self.printed = ""
        while (match := CODE.search(self.printed)) is None:
            line = self.process.stdout.readline()
            assert line, self.printed
            self.printed += line
        self.code = match[1]

    def end(self, *, code: int) -> str:
        """What it printed until it ended with a code."""
        return self.printed + ended(self.process, code=code)


@pytest.fixture
def made(tmp_path: Path) -> MlDashClient:
    return client("0.6", tmp_path / "home")


def decide(collector: Collector, page: Page, code: str, button: str) -> None:
    """Enter a code on the server's page, and press a button."""
    page.goto(f"{collector.server.url}/device")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name=button).click()
    page.get_by_text("You can close this page").wait_for()


def sign_in(collector: Collector, page: Page) -> None:
    """Paste the token of the collector."""
    page.goto(f"{collector.server.url}/")
    page.get_by_label("Token").fill(collector.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Menu of").wait_for()


def test_a_login_is_approved_in_a_browser_and_its_token_uploads(
    collector: Collector,
    made: MlDashClient,
    tmp_path: Path,
    page: Page,
) -> None:
    """The client that was approved writes records; the one that was denied ends with an error."""
    url = collector.server.url
    approved = Login(made, url)
    denied = Login(client("0.6", tmp_path / "home-of-another"), url)
    sign_in(collector, page)
    decide(collector, page, approved.code, "Allow")
    decide(collector, page, denied.code, "Deny")
    approved.end(code=0)
    assert "denied" in denied.end(code=1).lower()
    (tmp_path / "go").touch()
    made.run(PROGRAM, url, "alice/login/run", "0.6", "10", str(tmp_path))
    record = collector.record("alice/login/run")
    assert str(record.status) == "COMPLETED"
    assert len(record.data().metrics("m").read()) == 10


if IS_LONG:  # the client waits five seconds between its questions, and ten more when it is asked to slow down

    def test_a_login_that_the_server_forgot_has_expired(made: MlDashClient, tmp_path: Path) -> None:
        """The client ends with an error."""
        with served(tmp_path) as first:
            login = Login(made, first.url)
        with served(tmp_path, "--port", str(first.port)):
            assert "expired" in login.end(code=1).lower()

    def test_a_client_that_is_asked_to_slow_down_gets_its_token_later(
        collector: Collector,
        made: MlDashClient,
        page: Page,
    ) -> None:
        """As long as somebody else asks for the same login, it is asked to slow down; then it is approved."""
        with cutting_proxy(collector.server.port) as proxy:
            login = Login(made, proxy.url)
            sign_in(collector, page)
            config = json.loads((made.home / ".dash" / "config.json").read_text())
            digest = hashlib.sha256(config["device_secret"].encode()).hexdigest()
            fields = {"client_id": "ml-dash-client", "device_secret_hash": digest}

            def polls() -> int:
                collector.ask("POST", "/api/device/poll", fields)
                return sum(request.path.endswith("/poll") for request in proxy.seen)

            before = polls()
            eventually(lambda: polls() > before + 1)
            decide(collector, page, login.code, "Allow")
            login.end(code=0)
