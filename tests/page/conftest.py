"""The page in a real browser: one browser, one home with real runs, and one server for all of these tests.

They run in a process of their own, because Playwright's loop of asyncio does not share one.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pytest
from support import browsers
from support.served import EXP, Served, served

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize

    from nemorun_cli.serve.caller import Scope

HERE: Final = Path(__file__).parent
SPECS: Final = HERE / "specs"
RUN_PATIENCE: Final = 60.0  # seconds
VIEWPORT: Final[ViewportSize] = {"width": 1280, "height": 720}  # what Playwright gives a tab
SESSION: Final = "exp.session"  # the key of the page's local storage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these tests are of the stage of the page."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("page")


@pytest.fixture(scope="session", autouse=True)
def own_network() -> None:
    """Server and browser are alone in a network, so that nothing else changes its addresses."""
    browsers.install()  # which needs the other one
    browsers.leave_network()


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with one real run of each spec in `specs/`."""
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "NEMORUN_HOME": str(folder)}
    started = [
        subprocess.Popen(
            [EXP, "run", path.name],
            cwd=SPECS,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for path in sorted(SPECS.glob("*.yaml"))
    ]
    for each in started:
        each.wait(RUN_PATIENCE)
    return folder


@pytest.fixture(scope="session")
def other_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another folder of records that the server has; empty."""
    return tmp_path_factory.mktemp("other") / "dash"


@pytest.fixture(scope="session")
def server(home: Path, other_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over that home."""
    other_root.mkdir()
    with served(tmp_path_factory.mktemp("served"), "--dash-root", str(other_root), home=home) as running:
        yield running


class Visitor:
    """One user's tab, which each test finds as if it were new: a new one costs as much as most tests.

    Attributes:
        page: the tab.
        faults: errors, and requests to another origin, of the test that has it.
        permits: parts of errors that this test causes.
    """

    def __init__(self, browser: Browser, server: Served, token: str, **options: Any) -> None:
        self.faults: list[str] = []
        self.permits: Collection[str] = ()
        self._server, self._token = server, token
        self._context = browser.new_context(**options)
        self._context.set_default_timeout(browsers.PATIENCE)
        self._context.on("request", lambda request: self._note_request(request.url))
        self._context.on("console", self._note_message)
        self._context.on("weberror", lambda error: self.faults.append(str(error.error)))
        self.page = self._context.new_page()

    def enter(self, path: str, viewport: ViewportSize, permits: Collection[str]) -> Page:
        """Show a path of the server to the user, who is signed in."""
        self.faults, self.permits = [], permits
        self.page.set_viewport_size(viewport)
        self._context.set_storage_state({"cookies": [], "origins": [self._stored()]})
        self.page.goto(self._server.url + path)
        return self.page

    def leave(self) -> bool:
        """Forget what the test did to the tab; false if it cannot be used again."""
        if self.faults or self._context.pages != [self.page]:
            return False
        self.page.unroute_all()
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.page.emulate_media(
            media="null", color_scheme="null", reduced_motion="null", forced_colors="null", contrast="null"
        )
        return True

    def close(self) -> None:
        """Close the tab, and what the browser has of this user."""
        self._context.close()

    def _stored(self) -> Any:
        return {"origin": self._server.url, "localStorage": [{"name": SESSION, "value": self._token}]}

    def _note_message(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(part in message.text for part in self.permits):
            self.faults.append(f"{message.text} {message.location.get('url', '')}")

    def _note_request(self, address: str) -> None:
        if not address.startswith((f"{self._server.url}/", "blob:", "data:")):
            self.faults.append(f"a request left the origin: {quote(address, safe=':/?&=')}")


@pytest.fixture(scope="session")
def idle() -> Iterator[dict[str, list[Visitor]]]:
    """The tabs that no test has, by the server, the user and the options of each."""
    tabs: dict[str, list[Visitor]] = {}
    yield tabs
    for visitor in itertools.chain.from_iterable(tabs.values()):
        visitor.close()


@pytest.fixture
def visit(browser: Browser, idle: dict[str, list[Visitor]]) -> Iterator[Callable[..., Page]]:
    """A page of somebody who is signed in: `visit(server, "/records", user="alice", scopes=…)`.

    At the end the test fails if the page asked another origin for anything, or had an error. `permits` are
    parts of errors that the test causes; other options are those of Playwright's `new_context`. `new` is for
    a test that changes the tab for good.
    """
    opened: list[tuple[str | None, Visitor]] = []

    def open_page(
        server: Served,
        path: str = "/",
        *,
        user: str = "",
        scopes: Collection[Scope] = (),
        viewport: ViewportSize = VIEWPORT,
        permits: Collection[str] = (),
        new: bool = False,
        **options: Any,
    ) -> Page:
        key = f"{server.process.pid} {user} {sorted(map(str, scopes))} {options}"
        if new or permits or not idle.get(key):
            token = server.add_token(*(user,) if user else (), **({"scopes": scopes} if scopes else {}))
            visitor = Visitor(browser, server, token, **options)
        else:
            visitor = idle[key].pop()
        opened.append((None if new or permits else key, visitor))
        return visitor.enter(path, viewport, permits)

    yield open_page
    faults = [fault for _, visitor in opened for fault in visitor.faults]
    for key, visitor in opened:
        if key is None or not visitor.leave():
            visitor.close()
        else:
            idle.setdefault(key, []).append(visitor)
    assert not faults
