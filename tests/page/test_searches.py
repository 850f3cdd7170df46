"""What the page and a report show of a search: its history, its params, and pruned trials as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

from page import axe
from page.links import address_of, follow
from support import made_searches
from support.extent import IS_LONG

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page
    from support.served import Served
    from support.workspace import Exp

HISTORY = "loss:min of 4 trials by number; the best is 0.125, of trial 3"


def test_a_report_has_the_figures_and_trials_of_a_search(exp: Exp, browser: Browser) -> None:
    """The best is marked, a pruned trial has a word and a shape, and what is not known has its reason."""
    made_searches.make(exp.home, status="FAILED")
    exp("report", "study", "-o", "report.html")
    page = browser.new_page()
    page.goto((exp.folder / "report.html").as_uri())
    search = page.get_by_role("region", name="Search train")
    search.get_by_role("img", name=HISTORY).wait_for()
    assert search.locator(".study-history .trial-mark.trial-pruned").count() == 2  # with the legend
    assert search.get_by_role("img", name="loss:min over lr, of 3 trials").count() == 1
    assert "3 of the 4 complete trials" in search.get_by_role("region", name="Importances").inner_text()
    rows = search.get_by_role("table").get_by_role("row")
    assert rows.count() == 1 + 6
    rows.nth(2).get_by_role("img", name="SUCCEEDED, pruned").wait_for()
    assert "pruned at 3, with 0.93" in rows.nth(2).inner_text()
    assert "best" in rows.nth(3).inner_text()
    if IS_LONG:
        assert not axe.findings(page)
    page.close()


def test_the_tab_of_a_search_has_its_figures(home: Path, server: Served, visit: Callable[..., Page]) -> None:
    """It asks for them apart from the records; the row of the group counts pruned beside done."""
    trials = tuple(trial for trial in made_searches.TRIALS if trial.values or trial.pruned)
    made_searches.make(home, trials=trials, status="COMPLETED")
    address = address_of(server, "study")
    page = visit(server, f"{address}?tab=sweep")
    page.get_by_role("region", name="History of train").get_by_role("img", name=HISTORY).wait_for()
    follow(page, address)
    row = page.get_by_role("treegrid").get_by_role("row").filter(has_text="3/8 done")
    row.get_by_text("1 pruned").wait_for()
