"""Links of the page to itself, which show an address without loading the page again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLLOW: Final = """path => {
    const link = document.createElement('a');
    link.href = path;
    document.body.append(link);
    link.click();
    link.remove();
}"""


def follow(page: Page, path: str) -> None:
    """Show an address of the page, as a link to it does: loading the page costs more than most tests."""
    page.evaluate(FOLLOW, path)
