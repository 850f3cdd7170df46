"""Curves: what is drawn equals what the commands print, and is reached by keyboard and by address."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from page import axe
from page.links import follow
from playwright.sync_api import expect
from support.extent import IS_LONG, amount
from support.workspace import Exp

from nemorun_cli.tracking.store.json_values import encode_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from support.served import Served

ROWS: Final = amount(800, long=100_000)
ZOOMS: Final = amount(1, long=2)  # each to a twentieth, until every point is shown
BEGIN: Final = 1_790_000_000.0
EVERY_SMOOTHED: Final = 0.9
VALUES: Final = """table => Object.fromEntries([...table.querySelectorAll('tbody tr')].map(row =>
    [row.querySelector('th').innerText, [...row.querySelectorAll('td')].map(cell => cell.innerText)]))"""
HOSTILE: Final = "odd/<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def address(home: Path, server: Served) -> str:
    """The address of an experiment with 20 runs of many rows; the third ends in NaN."""
    token = server.add_token()
    listed = server.ask("GET", "/v1/views/experiments?name=curves", token=token).json["experiments"]
    (found,) = listed
    records = sorted((home / "dash").glob(f"*/curves/{found['id']}/train/*/.record"))
    assert len(records) == 20
    for number, record in enumerate(records):
        opening = next((record / "openings").glob("*.jsonl")).stem
        folder = record / "metrics" / "train"
        folder.mkdir(parents=True)
        (folder / f"{opening}.jsonl").write_bytes(b"".join(_rows(number)))
    return f"/experiments/{found['owner']}/{found['home']}/{found['id']}?tab=curves"


def _rows(number: int) -> list[bytes]:
    return [
        encode_row(
            BEGIN + row / 10,
            {
                "step": row,
                "loss": math.nan
                if number == 2 and row >= ROWS * 0.7
                else math.exp(-row / ROWS * (number + 1)) + 0.001 * ((row * 7919) % 13),
                "gain": row - 3.0,
            },
        )
        for row in range(ROWS)
    ]


def chart(page: Page, key: str) -> Locator:
    """The panel of a metric, once its lines are there."""
    panel = page.get_by_role("article", name=key, exact=True)
    panel.get_by_role("application").wait_for()
    return panel


def values(panel: Locator) -> dict[str, tuple[float, float]]:
    """The table of values at the cursor: shown and raw by run."""
    rows = panel.get_by_role("table").filter(has=panel.page.get_by_role("columnheader", name="Raw")).last
    read: dict[str, list[str]] = rows.evaluate(VALUES)
    return {name: (float(shown), float(raw)) for name, (shown, raw) in read.items()}


def printed(exp: Exp, address: str, task: str) -> list[dict[str, Any]]:
    """The rows that `exp metrics` prints."""
    name = address.rpartition("/")[2].partition("?")[0]
    done = exp("metrics", name, task, "-k", "train", "--last", str(ROWS), "--json")
    rows: list[dict[str, Any]] = done.json["series"][0]["rows"]
    return rows


def zoom_in(page: Page, panel: Locator) -> None:
    """Drag over a twentieth of a chart."""
    box = panel.locator(".u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.70, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, middle, steps=2)
    page.mouse.up()


def test_what_is_shown_equals_the_command(
    home: Path, tmp_path: Path, server: Served, address: str, visit: Callable[..., Page]
) -> None:
    """Zoomed until every point is shown, the raw values at the cursor are those of `exp metrics`."""
    page = visit(server, f"{address}&smooth={EVERY_SMOOTHED}&key=train/loss&log=train/loss")
    said = page.locator(".curves-said")
    expect(said).to_have_text(f"500 of {ROWS:,} points shown, min and max kept")
    panel = chart(page, "train/loss")
    plot = panel.get_by_role("application")
    expect(plot).to_have_accessible_name(
        re.compile(r"train/loss by step: 20 lines, .* 1 end without a number")
    )
    for _ in range(ZOOMS):
        before = said.inner_text()
        zoom_in(page, panel)
        expect(said).not_to_have_text(before)
    expect(said).to_have_text(re.compile("every point shown: (up to )?[1-9][0-9]{1,2} a run"))
    assert "zoom=" in page.url
    plot.focus()
    plot.press("End")
    step = int(page.locator(".curve-chart-here").first.inner_text().replace(",", ""))
    assert ROWS * 0.7 < step < ROWS * 0.8
    shown = values(panel)
    assert len(shown) == 20
    assert sum(math.isnan(raw) for _, raw in shown.values()) == 1
    exp = Exp(home, tmp_path)
    for number, (name, (smoothed, raw)) in enumerate(shown.items()):
        if IS_LONG or number < 1 or math.isnan(raw):
            loss = float(printed(exp, address, name.partition(" ")[0])[step]["loss"])
            assert raw == loss or math.isnan(raw) is math.isnan(loss) is True
        assert math.isnan(raw) or smoothed != raw
    plot.press("0")
    expect(said).to_have_text(f"500 of {ROWS:,} points shown, min and max kept")
    the_cursor_is_in_all_charts(page, address)


def the_cursor_is_in_all_charts(page: Page, address: str) -> None:
    """Arrows move one cursor through all charts, lift a run, and say its value; points ≤ 0 are counted."""
    follow(page, f"{address}&key=train/*&log=train/gain")
    plot = chart(page, "train/loss").get_by_role("application")
    expect(chart(page, "train/gain").get_by_text("≤ 0 not drawn")).to_be_visible()
    plot.focus()
    plot.press("Home")
    plot.press("ArrowRight")
    plot.press("ArrowUp")
    here = page.locator(".curve-chart-here:visible")
    expect(here).to_have_count(2)
    assert len(set(here.all_inner_texts())) == 1
    expect(page.locator(".run-legend tr.lifted")).to_have_count(1)
    lifted = page.locator(".run-legend tr.lifted .value").get_attribute("title")
    expect(page.locator(".cursor-tip-head")).to_contain_text(re.compile("20[0-9-]{8} [0-9]{2}:"))
    expect(chart(page, "train/loss").locator("[aria-live]")).to_contain_text(str(lifted))
    plot.press("Escape")
    expect(here).to_have_count(0)


def test_the_address_is_the_whole_state(server: Served, address: str, visit: Callable[..., Page]) -> None:
    """What is picked is in the address, a reload shows it again, and Back returns; odd names are text."""
    page = visit(server, f"{address}&key=train/loss")
    panel = chart(page, "train/loss")
    panel.get_by_role("radio", name="log").check()
    page.get_by_role("radio", name="relative").check()
    page.get_by_role("slider", name="Smoothing").fill("0.6")
    legend = page.get_by_role("region", name="Runs")
    first = legend.get_by_role("switch").first
    first.press(" ")
    legend.get_by_role("radio", name="mean over seeds").check()
    page.wait_for_url("**join=seed*")
    page.reload()
    panel = chart(page, "train/loss")
    expect(panel.get_by_role("radio", name="log")).to_be_checked()
    expect(page.get_by_role("radio", name="relative")).to_be_checked()
    expect(page.get_by_role("slider", name="Smoothing")).to_have_value("0.6")
    legend = page.get_by_role("region", name="Runs")
    expect(legend.get_by_role("heading", name="19 of 20 runs")).to_be_visible()
    expect(legend.get_by_role("switch")).to_have_count(4)
    expect(panel.get_by_role("application")).to_have_accessible_name(re.compile("4 lines"))
    page.go_back()
    expect(page.get_by_role("region", name="Runs").get_by_role("switch")).to_have_count(20)
    page.get_by_role("button", name="None", exact=True).click()
    expect(chart(page, "train/loss").get_by_text("no rows yet")).to_be_visible()
    names_that_are_markup_are_text(page, address)


def names_that_are_markup_are_text(page: Page, address: str) -> None:
    """Metrics with markup, globs and bidi in their names are shown and saved as they are."""
    follow(page, f"{address}&key=odd/*")
    panel = chart(page, HOSTILE)
    expect(panel.get_by_role("heading", name=HOSTILE)).to_be_visible()
    expect(panel.get_by_role("application")).to_have_accessible_name(re.compile("1 end without a number"))
    with page.expect_download() as saved:
        panel.get_by_label(f"More about {HOSTILE}").click()
        panel.get_by_role("button", name="Save SVG").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert "&lt;img" in text
    assert "<img" not in text
    assert "NaN from 12" in text
    with page.expect_download() as saved:
        panel.get_by_label(f"More about {HOSTILE}").click()
        panel.get_by_role("button", name="Save CSV").click()
    rows = saved.value.path().read_text(encoding="utf-8").splitlines()
    assert len(rows) == 21
    assert rows[-1].endswith(",19,nan")
    expect(chart(page, "odd/a[1],b").get_by_role("application")).to_be_visible()


def test_curves_are_accessible(server: Served, address: str, visit: Callable[..., Page]) -> None:
    """Axe has nothing serious to say, in light and dark, wide and narrow."""
    page = visit(server, f"{address}&key=train/loss&join=seed")
    chart(page, "train/loss").get_by_role("application").press("End")
    assert axe.findings(page) == []
    page.set_viewport_size({"width": 360, "height": 800})
    page.get_by_role("button", name="View", exact=True).click()
    page.get_by_role("dialog", name="View").wait_for()
    assert axe.findings(page, themes=["light"]) == []
