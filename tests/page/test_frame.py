"""The frame of the page: what stands around all views."""

from __future__ import annotations

import gzip
import json
import os
import re
from typing import TYPE_CHECKING, Final

from page.axe import findings
from playwright.sync_api import expect
from support.patience import eventually
from support.served import served

from nemorun_cli.page import STATIC
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.served import Served

FIRST_LOAD: Final = 60_000  # bytes, compressed
WINDOWS: Final = ((360, 740), (720, 450), (3840, 2160))  # a phone, 1440 px at 200 %, 4K
ACTS: Final = re.compile("Cancel|Resume|Rerun|Tags|Note|trash")
OVERFLOW: Final = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LOADED: Final = "performance.getEntriesByType('resource').map(each => new URL(each.name).pathname)"


def search(page: Page) -> None:
    """Search: it finds experiments, tasks of the open one, records and tags; arrows pick, Enter opens."""
    field = page.get_by_role("combobox", name="Search")
    field.fill("quick")
    page.get_by_role("option", name=re.compile(r"Tags\s*quick")).wait_for()
    field.fill("small_")
    hits = page.get_by_role("listbox", name="What was found").get_by_role("option")
    expect(hits.first).to_contain_text("Experiments")
    expect(hits.first).to_contain_text("small_")
    expect(hits.filter(has_text="train/seed=1").first).to_be_visible()
    field.press("Enter")
    page.get_by_role("heading", name=re.compile("small")).wait_for()
    field.fill("brok")
    page.get_by_role("option", name=re.compile("broken")).wait_for()
    field.press("ArrowDown")
    field.press("ArrowUp")
    field.press("Enter")
    page.wait_for_url("**task=broken")


def test_the_first_view_is_small_fits_and_is_searched(server: Served, visit: Callable[..., Page]) -> None:
    """A list loads at most 60 kB, compressed, from the server alone, fits each window, and is searched."""
    page = visit(server)
    page.get_by_role("heading", name="Experiments").wait_for()
    names = {path.removeprefix("/static/") for path in page.evaluate(LOADED) if path.startswith("/static/")}
    parts = [STATIC / name for name in ("index.html", *names)]
    assert len(parts) > 2
    assert sum(len(gzip.compress(part.read_bytes())) for part in parts) <= FIRST_LOAD
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        for name in ("Records", "Experiments"):
            link = page.get_by_role("link", name=name, exact=True)
            if not link.is_visible():
                page.get_by_role("button", name="Menu of alice").click()
            link.click()
            page.get_by_role("heading", name=name).wait_for()
            assert page.evaluate(OVERFLOW) == 0
    page.set_viewport_size({"width": 1280, "height": 800})
    search(page)


def choose_theme(page: Page) -> None:
    """Choose one: dark is what the system has; a choice stays after a reload, and print is always light."""
    page.locator(":root[data-theme=dark]").wait_for()
    page.get_by_role("button", name="Light or dark").click()
    page.locator(":root[data-theme=light]").wait_for()
    page.reload()
    page.locator(":root[data-theme=light]").wait_for()
    page.get_by_role("button", name="Menu of alice").click()
    page.get_by_role("radio", name="dark").check()
    page.locator(":root[data-theme=dark]").wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.locator(":root[data-theme=light]").wait_for()


def test_the_keys_go_everywhere_but_in_fields(server: Served, visit: Callable[..., Page]) -> None:
    """Keys go to views, title and focus follow, fields keep them, they can be turned off; themes stay."""
    page = visit(server, permissions=["clipboard-read", "clipboard-write"], color_scheme="dark")
    page.get_by_role("heading", name="Experiments").wait_for()
    page.keyboard.press("c")
    page.get_by_text("copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "exp list"
    for key in "gr":
        page.keyboard.press(key)
    page.get_by_role("heading", name="Records").wait_for()
    expect(page).to_have_title("Records · exp")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Search")
    expect(field).to_be_focused()
    page.keyboard.type("ge?")
    expect(field).to_have_value("ge?")
    page.keyboard.press("Escape")
    expect(field).not_to_be_focused()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").get_by_label("Keys of a single character").uncheck()
    page.keyboard.press("Escape")
    for key in "ge?/":
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(field).not_to_be_focused()
    choose_theme(page)


def test_what_is_over_is_explained(server: Served, visit: Callable[..., Page]) -> None:
    """A session that is over leaves what is seen, and continues; a part that is gone offers a reload."""
    page = visit(server, user="carol", permits=["401"])
    page.get_by_role("heading", name="Experiments").wait_for()
    page.locator(":root[data-live=yes]").wait_for()
    tokens = Tokens(server.own)
    tokens.revoke([token.id for token in tokens.all() if token.user == "carol"])
    page.get_by_text(re.compile(r"Your session is over since \d\d:\d\d")).wait_for()
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Token").fill(server.add_token("carol"))
    page.get_by_role("button", name="Sign in").click()
    page.locator(":root[data-live=yes]").wait_for()
    expect(page.get_by_text("Your session is over")).to_have_count(0)
    page.route("**/static/CompareView-*", lambda route: route.fulfill(status=401, body="{}"))
    page.route(f"{server.url}/", lambda route: route.fulfill(body='<script src="/static/index-new.js">'))
    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_text("The server has a new version of this page.").first.wait_for()
    page.get_by_role("button", name="Reload").wait_for()


def test_each_view_says_which_scope_is_missing(server: Served, visit: Callable[..., Page]) -> None:
    """Without `control` no view has a button that acts, but the reason; without `read` each says that."""
    page = visit(server, user="bob", scopes={Scope.READ})
    page.get_by_role("button", name="Menu of bob").click()
    page.get_by_text("Cancel needs the scope control, which your token does not have.").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("row", name=re.compile("small_")).get_by_role("link").first.click()
    page.get_by_text("no such data").last.wait_for()
    places = page.get_by_role("navigation", name="Places")
    for view in ("experiment", "record"):
        page.get_by_role("button", name="Actions", exact=True).click()
        page.get_by_text("To cancel, resume, rerun, tag, note or remove needs the scope control").wait_for()
        expect(page.get_by_role("button", name=ACTS)).to_have_count(0)
        if view == "experiment":
            places.get_by_role("link", name="Records").click()
            page.locator("tr[data-row] a").first.click()
    places.get_by_role("link", name="Compare").click()
    page.get_by_role("heading", name="Compare").wait_for()
    expect(page.get_by_role("button", name=ACTS)).to_have_count(0)

    page = visit(server, user="eve", scopes={Scope.WRITE}, permits=["403"])
    for name in ("Experiments", "Records"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_text("the token lacks the scope read").first.wait_for()
        expect(page.get_by_role("main")).not_to_contain_text("small_")


def test_the_frame_is_open_to_everybody(server: Served, visit: Callable[..., Page]) -> None:
    """The frame with its menus, the sign-in and the approval of a login have no serious finding of axe."""
    page = visit(server)
    page.get_by_role("heading", name="Experiments").wait_for()
    page.get_by_role("button", name="Menu of alice").click()
    found = findings(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    found += findings(page)
    start = {"client_id": "exp", "device_secret_hash": os.urandom(32).hex(), "name": "exp login by alice"}
    started = server.ask("POST", "/api/device/start", body=json.dumps(start)).json
    page.goto(started["verification_uri_complete"])
    page.get_by_role("button", name="Allow").wait_for()
    found += findings(page)
    page.evaluate("localStorage.clear()")
    page.goto(server.url)
    page.get_by_label("Token").wait_for()
    found += findings(page)
    assert found == []


def test_one_command_opens_the_page(tmp_path: Path, browser: Browser) -> None:
    """`exp serve --open` opens a browser that is signed in, without set-up; no argument has the token."""
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" >"{tmp_path}/opened"\n')
    script.chmod(0o755)
    with served(tmp_path, "--open", home=tmp_path / "home", environment={"BROWSER": str(script)}) as server:
        opened = _content_of(tmp_path / "opened")
        assert opened.startswith("file://")
        assert "expo_" not in opened
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(opened)
            page.get_by_role("button", name="Menu of").wait_for()
            assert page.url == f"{server.url}/"
            page.get_by_text("No experiments yet").wait_for()
            page.get_by_text("exp init hello").wait_for()


def _content_of(path: Path) -> str:
    return str(eventually(lambda: path.is_file() and path.read_text()))
