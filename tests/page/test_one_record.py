"""One record: what it has, its files as what they are, and contents that try to run."""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Final

import pytest
from page.axe import findings
from playwright.sync_api import expect

from nemorun_cli import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page
    from support.served import Served

PREFIX: Final = "alice/page/shown"
ADDRESS: Final = f"/records/{PREFIX}"
SCRIPT: Final = "<script>document.title = 'ran'</script>"
HOSTILE: Final = f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>"


def image(shade: int) -> bytes:
    """A PNG of 8 x 8 pixels of one shade."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes([shade]) * 8) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def shown(home: Path) -> str:
    """The address of a record with all that a record can have."""
    place = {"prefix": PREFIX, "dash_root": str(home / "dash"), "print_logs": False}
    with Experiment(**place, tags=["best"], description="A record to look at.").run as experiment:
        experiment.params.set(lr=0.1, model={"depth": 3}, name="12")
        for step in range(6):
            experiment.metrics("train").log(step=step, loss=1 / (step + 1), bins=[math.nan, step, 2])
            experiment.files("figures").save_blob(image(40 * step), to="map.png")
        table = {f"c{column}": [column] * 60 for column in range(201)}
        experiment.metrics("train").log(step=5, table=table)
        experiment.logs.write("warn", f"slow disk {SCRIPT} {'x' * 9_000} the end of it", {"step": 3})
        experiment.log("epoch done", epoch=1)
        experiment.files.save_text("one\ntwo\n", to="notes.txt")
        experiment.files.save_text("one\nthree\n", to="notes.txt")
        experiment.files.save_json({"deep": {"list": [1, 2]}}, to="config.json")
        experiment.files.save_text("a,b\n1,2\n3,4\n", to="table.csv")
        experiment.files("bad").save_text(HOSTILE, to="evil.svg")
        experiment.files("bad").save_text(f"<html>{SCRIPT}</html>", to="evil.html")
        experiment.files("bad").save_text("x", to="<img src=x onerror=alert(1)>.txt")
        experiment.tracks("robot/pose").append(x=1.0, _ts=10.0).append(x=2.0, _ts=11.0)
    return ADDRESS


def test_each_part_is_shown_as_what_it_is(server: Served, visit: Callable[..., Page], shown: str) -> None:
    """Params have the command's values, logs are filtered, lists and tracks are drawn, long texts are cut."""
    page = visit(server, shown)
    page.get_by_role("heading", name=PREFIX).wait_for()
    rows = page.get_by_role("region", name="Params", exact=True).get_by_role("row")
    rows.first.wait_for()
    assert [row.split("\t") for row in rows.all_inner_texts()] == [
        ["lr", "0.1"], ["model.depth", "3"], ["name", '"12"'],
    ]  # fmt: skip
    parts = page.get_by_role("navigation", name="Parts of this record")
    parts.get_by_role("link", name="Logs").click()
    page.get_by_role("combobox", name="Least level").select_option("warn")
    page.get_by_role("row", name=f"slow disk {SCRIPT}").wait_for()
    expect(page.get_by_role("row")).to_have_count(1)
    page.get_by_role("button", name="all 9,0").click()
    page.get_by_role("row", name="the end of it").wait_for()
    parts.get_by_role("link", name="Metrics").click()
    page.get_by_role("img", name="train/bins over steps").wait_for()
    page.get_by_text("6 not finite: blank").wait_for()
    page.get_by_text("tables, 1 step").wait_for()
    page.get_by_text("The first 50 of 60 rows, and 200 of 201 columns.").wait_for()
    parts.get_by_role("link", name="Tracks").click()
    page.get_by_role("img", name="x over time").wait_for()
    parts.get_by_role("link", name="Openings").click()
    page.get_by_text("generation 1").first.wait_for()
    assert page.title() != "ran"


def test_each_file_is_shown_as_what_it_is(server: Served, visit: Callable[..., Page], shown: str) -> None:
    """A text has lines, JSON a tree, CSV a table, an image versions; what could run is text; globs choose."""
    page = visit(server, f"{shown}?tab=files&file=notes.txt")
    page.get_by_role("region", name="text").get_by_text("three").wait_for()
    page.get_by_role("link", name="config.json").click()
    page.get_by_role("button", name="list").click()
    page.get_by_role("link", name="table.csv").click()
    page.get_by_text("2 rows.").wait_for()
    page.get_by_role("link", name="evil.svg").click()
    page.get_by_role("region", name="text").get_by_text(HOSTILE).wait_for()
    page.get_by_role("link", name="evil.html").click()
    page.get_by_role("region", name="text").get_by_text("<html>").wait_for()
    page.get_by_role("link", name="notes.txt").click()
    page.get_by_role("link", name="another version").click()
    page.get_by_role("row", name="three").wait_for()
    page.get_by_role("searchbox", name="Find files").fill("**/*.png")
    expect(page.get_by_role("link", name="notes.txt")).to_have_count(0)
    page.get_by_role("link", name="map.png").click()
    page.get_by_role("img", name="figures/map.png, version 6").wait_for()
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert findings(page) == []
    page.get_by_role("slider", name="Version").press("ArrowLeft")
    page.get_by_role("img", name="figures/map.png, version 5").wait_for()
    assert "version=5" in page.url
    page.get_by_role("link", name="another version").click()
    page.get_by_role("img", name="figures/map.png, version 4").wait_for()
    assert page.title() != "ran"
