"""Addresses of the page, and links to them, which show one without loading the page again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from support.patience import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page
    from support.served import Served

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


def address_of(server: Served, name: str) -> str:
    """The address of the only experiment of a name, once the server knows it."""
    token = server.add_token()

    def listed() -> list[dict[str, str]]:
        found = server.ask("GET", f"/v1/views/experiments?name={name}", token=token).json["experiments"]
        return list(found)

    (entry,) = eventually(listed)
    return f"/experiments/{entry['owner']}/{entry['home']}/{entry['id']}"
