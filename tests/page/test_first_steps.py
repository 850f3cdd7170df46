"""The page opens on the experiments of the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page
    from support.served import Served


def test_an_experiment_opens(server: Served, visit: Callable[..., Page]) -> None:
    """The address of an experiment shows its tasks."""
    page = visit(server, "/v1/hello")
    token = page.evaluate("localStorage.getItem('exp.session')")
    listed = server.ask("GET", "/v1/views/experiments", token=token).json["experiments"]
    found = next(each for each in listed if each["name"] == "small")
    page.goto(f"{server.url}/experiments/{found['owner']}/{found['home']}/{found['id']}")
    page.get_by_role("heading", name=found["id"]).wait_for()
    page.get_by_text("broken").first.wait_for()
