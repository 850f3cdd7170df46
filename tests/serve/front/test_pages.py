"""The pages in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from support.served import Served

SESSION = "localStorage.getItem('exp.session')"


def test_the_printed_address_signs_in_once(server: Served, page: Page) -> None:
    """The address that the command prints becomes a session, and its token leaves the address bar."""
    page.goto(server.ready["sign_in"])
    page.locator("#content").wait_for()
    assert page.url == f"{server.url}/"
    assert page.evaluate(SESSION).startswith("exps_")
