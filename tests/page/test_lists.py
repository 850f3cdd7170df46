"""The lists of experiments and records: filtered in the address, by keyboard, and with ten thousand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from page import axe
from support import made_homes
from support.extent import amount
from support.served import Served, served

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    Visit = Callable[..., Page]

MANY: Final = amount(110, long=10_000)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over a home with many experiments that are over."""
    folder = tmp_path_factory.mktemp("many")
    home = folder / "home"
    made_homes.make(home, MANY)
    with served(folder, home=home) as running:
        yield running


def shown(first: int, last: int) -> str:
    """What the foot says of a page of the many."""
    return f"{first}\N{EN DASH}{last} of {MANY:,}"


def rows(page: Page) -> Locator:
    """The rows of the list."""
    return page.locator("tr[data-row]")


def _narrow(page: Page) -> None:
    """Ask of a narrow screen that it has all of a list with two conditions."""
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Filter · 2").click()
    sheet = page.get_by_role("dialog", name="Filter")
    sheet.get_by_role("combobox", name="Add a condition").fill("tag digits")
    sheet.get_by_role("combobox", name="Add a condition").press("Enter")
    sheet.get_by_role("button", name="Remove tag digits").wait_for()
    assert axe.findings(page) == []
    sheet.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Filter · 3").wait_for()


def test_conditions_are_in_the_address(many: Served, visit: Visit) -> None:
    """Chips, statuses and order are in the address, also at 360 px; Back returns, the command is the same."""
    page = visit(many)
    field = page.get_by_role("combobox", name="Add a condition")
    field.click()
    field.press_sequentially("tag vis")
    page.get_by_role("option", name="tag vision").wait_for()
    field.press("ArrowDown")
    field.press("Enter")
    page.get_by_role("button", name="Remove tag vision").wait_for()
    assert page.url.endswith("/?tag=vision")
    page.get_by_text("exp list --tag vision", exact=True).wait_for()
    field.press_sequentially("since:3650d")
    field.press("Enter")
    page.get_by_role("link", name="FAILED").click()
    page.wait_for_url(re.compile("status=FAILED"))
    page.get_by_text("exp list --tag vision --since 3650d --status FAILED").wait_for()
    page.wait_for_function("document.querySelectorAll('tr[data-row] [aria-label=COMPLETED]').length === 0")
    page.get_by_role("link", name="Duration").click()
    page.get_by_role("columnheader", name="Duration", exact=False).and_(
        page.locator("[aria-sort=descending]")
    ).wait_for()
    page.go_back()
    page.go_back()
    page.get_by_text("exp list --tag vision --since 3650d", exact=True).wait_for()
    field.focus()
    field.press("Backspace")
    page.get_by_text("exp list --tag vision", exact=True).wait_for()
    field.press("Escape")
    assert page.evaluate("document.activeElement.tagName") != "INPUT"
    field.press_sequentially("text:last 4 ones")
    field.press("Enter")
    rows(page).nth(1).wait_for(state="detached")
    rows(page).first.get_by_role("link").focus()
    page.keyboard.press("x")
    page.get_by_text("1 marked").wait_for()
    page.get_by_text("exp list --tag vision --text 'last 4 ones'").wait_for()
    _narrow(page)
    page.goto(f"{many.url}/?tag=nowhere&status=INTERRUPTED&since=7d")
    page.get_by_role("heading", name=f"None of {MANY:,} matches").wait_for()
    page.get_by_text(
        "No experiment has the tag nowhere, is younger than 7 days and is INTERRUPTED."
    ).wait_for()
    assert axe.findings(page) == []
    page.get_by_role("button", name="Clear all").click()
    rows(page).first.wait_for()
    assert page.url == f"{many.url}/"


def test_a_list_is_used_with_the_keyboard(many: Served, visit: Visit) -> None:
    """A page has fifty and stays small; `j` and `k` move, `x` marks, also over pages, Enter opens."""
    page = visit(many)
    page.get_by_text(shown(1, 50)).wait_for()
    assert rows(page).count() == 50
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    for key in "jjkj":
        page.keyboard.press(key)
    second = rows(page).nth(1)
    assert second.get_attribute("aria-selected") == "true"
    page.keyboard.press("x")
    assert second.get_by_role("checkbox").is_checked()
    assert page.locator("tr[data-row] a[tabindex='0']").count() == 1
    page.get_by_role("link", name="Older").click()
    page.get_by_text(shown(51, 100)).wait_for()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_text("2 marked").wait_for()
    href = page.get_by_role("link", name="Compare", exact=True).last.get_attribute("href") or ""
    assert href.count("experiment=") == 2
    page.get_by_role("link", name="Newer").click()
    page.get_by_text(shown(1, 50)).wait_for()
    page.get_by_role("link", name="Age").click()
    page.get_by_text("oldest first").wait_for()
    page.get_by_role("link", name="Next").click()
    page.get_by_text(shown(51, 100)).wait_for()
    page.keyboard.press("j")
    name = page.locator("tr[aria-selected=true]").get_attribute("data-row") or ""
    page.keyboard.press("Enter")
    page.wait_for_url(f"{many.url}/experiments/{name}")


def test_records_are_found_by_their_prefix(server: Served, home: Path, visit: Visit) -> None:
    """The prefixes lead down and up, a row opens the record, and its tags are in words of the command."""
    with Experiment(prefix="alice/deep/er/one", dash_root=str(home / "dash"), tags=["found"]).run:
        pass
    page = visit(server, "/records")
    prefixes = page.get_by_role("navigation", name="Prefixes")
    prefixes.get_by_role("link", name="alice").click()
    page.wait_for_url(re.compile(r"prefix=alice$"))
    page.goto(f"{server.url}/records?prefix=alice/deep&tag=found")
    page.get_by_text("exp records alice/deep/ --tag found").wait_for()
    page.get_by_role("link", name="er/one").wait_for()
    assert axe.findings(page) == []
    prefixes.get_by_role("link", name="all").click()
    page.get_by_role("link", name="alice/deep/er/one").click()
    page.wait_for_url(f"{server.url}/records/alice/deep/er/one?root=*")
    page.goto(f"{server.url}/records?prefix=nobody/here")
    page.get_by_text("No record is below nobody/here.").wait_for()
