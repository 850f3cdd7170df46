"""The log viewer: large logs, following, finding, copying, and text that means harm."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from page.axe import findings

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page
    from support.served import Served

PANEL: Final = "task-panel"
LARGE: Final = 300_000  # lines
CLIPBOARD: Final = ("clipboard-read", "clipboard-write")
NODES: Final = """
(() => {
  let count = 0;
  const walk = root => {
    for (const element of root.querySelectorAll('*')) {
      count += 1;
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document);
  return count;
})()
"""
LIVE: Final = "name: {name}\ntasks:\n  tell: {{inline: cat {feed}}}\n"


@pytest.fixture(scope="module")
def place(server: Served) -> str:
    """The address of the experiment of `logs.yaml`."""
    return place_of(server, "logs")


def place_of(server: Served, name: str) -> str:
    listed = server.ask("GET", "/v1/views/experiments", token=server.add_token()).json["experiments"]
    found = next(each for each in listed if each["name"] == name)
    return f"/experiments/{found['owner']}/{found['home']}/{found['id']}"


def text_of(page: Page, task: str) -> Locator:
    return page.get_by_role("textbox", name=f"Log of {task}")


def test_a_failed_log_opens_at_its_error(server: Served, place: str, visit: Callable[..., Page]) -> None:
    """It shows the last line of the traceback, with its true number; hostile text is text."""
    page = visit(server, f"{place}?task=broken")
    log = text_of(page, task="broken")
    log.get_by_text("ValueError: shapes do not match").wait_for()
    page.get_by_role("button", name="First error: line 406").wait_for()
    assert page.locator(".log-error").inner_text() == "ValueError: shapes do not match"
    assert page.locator(".log-error-number").inner_text() == "406"
    page.get_by_text(re.compile("^ended .* with exit code 1$")).wait_for()
    log.get_by_text(r"<img src=x onerror=alert(1)> \x07 \u202e end").wait_for()
    page.get_by_text("2 control sequences not shown").wait_for()
    log.get_by_role("button", name="100 kB more").first.wait_for()
    log.get_by_role("button", name="61 states").click()
    log.get_by_text("37% of the data").wait_for()
    log.get_by_role("button", name="fold").click()
    log.get_by_text("37% of the data").wait_for(state="detached")
    log.get_by_text("INFO").first.wait_for()
    assert log.locator(".ansi-2").first.inner_text() == "INFO"
    page.get_by_role("button", name="Wrap lines").click()
    page.wait_for_url("**wrap=1**")
    assert not findings(page)
    log.press("w")
    page.wait_for_url(lambda address: "wrap" not in address)
