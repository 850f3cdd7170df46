"""The page in a real browser: one browser, one home with real runs, and one server for all of these tests.

They run in a process of their own, because Playwright's loop of asyncio does not share one.
"""

from __future__ import annotations

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

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

HERE: Final = Path(__file__).parent
SPECS: Final = HERE / "specs"
RUN_PATIENCE: Final = 60.0  # seconds
SESSION: Final = "exp.session"  # the key of the page's local storage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of these tests are of the stage of the page."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("page")


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


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A page of somebody who is signed in: `visit(server, "/records", user="alice", scopes=…)`.

    At the end the test fails if the page asked another origin for anything, or had an error. `permits` are
    parts of errors that the test causes; other options are those of Playwright's `new_context`.
    """
    opened: list[tuple[BrowserContext, list[str]]] = []

    def open_page(server: Served, path: str = "/", *, user: str = "", **options: Any) -> Page:
        scopes, permits = options.pop("scopes", None), options.pop("permits", ())
        token = server.add_token(*(user,) if user else (), **({"scopes": scopes} if scopes else {}))
        stored = {"origin": server.url, "localStorage": [{"name": SESSION, "value": token}]}
        context = browser.new_context(storage_state={"cookies": [], "origins": [stored]}, **options)
        context.set_default_timeout(browsers.PATIENCE)
        faults: list[str] = []
        opened.append((context, faults))
        context.on("request", lambda request: _note_foreign(request.url, server.url, faults))
        context.on("console", lambda message: _note_error(message, permits, faults))
        context.on("weberror", lambda error: faults.append(str(error.error)))
        page = context.new_page()
        page.goto(server.url + path)
        return page

    try:
        yield open_page
    finally:
        for context, _ in opened:
            context.close()
    assert not [fault for _, faults in opened for fault in faults]


def _note_error(message: ConsoleMessage, permits: Collection[str], faults: list[str]) -> None:
    if message.type == "error" and not any(part in message.text for part in permits):
        faults.append(message.text)


def _note_foreign(address: str, own: str, faults: list[str]) -> None:
    if not address.startswith((f"{own}/", "blob:", "data:")):
        faults.append(f"a request left the origin: {quote(address, safe=':/?&=')}")
