"""The page follows the server: it is live, says when it is not, and catches up without gaps or doubles."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from page import axe
from playwright.sync_api import expect
from support.served import EXP, Served, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page

AWAY: Final = ("Failed to load resource",)  # what the browser itself says of a server that is not there
SHOW: Final = """state => {
    Object.defineProperty(document, "visibilityState", {value: state, configurable: true});
    document.dispatchEvent(new Event("visibilitychange"));
}"""
PRESS: Final = "all => all.map(each => each.click())"  # the page may have tried again by itself
SPEC: Final = """
version: 1
name: steady
tasks:
  train:
    inline: |
      python3 - <<'PYTHON'
      import itertools, pathlib, time
      from nemorun_cli import Experiment
      with Experiment().run as experiment:
          for step in itertools.count():
              experiment.metrics("train").log(step=step, loss=1 / (step + 1))
              print(f"line {step}", flush=True)
              if pathlib.Path("GO").exists():
                  break
              time.sleep(0.05)
      PYTHON
  report:
    inline: echo over
    dependencies: [train]
"""


@pytest.fixture
def steady(tmp_path: Path) -> Iterator[tuple[Path, Callable[[], None], Callable[[], None]]]:
    """A home, what starts a run there that goes on, and what lets it end."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "steady.yaml").write_text(SPEC.replace("GO", str(folder / "go")), encoding="utf-8")
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            run = subprocess.Popen(
                [EXP, "run", "steady.yaml"],
                cwd=folder,
                env={**os.environ, "NEMORUN_HOME": str(tmp_path / "home")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(run.wait, 30)
            stack.callback((folder / "go").touch)

        yield tmp_path / "home", begin, (folder / "go").touch


def test_what_happens_is_seen_and_caught_up(
    tmp_path: Path,
    steady: tuple[Path, Callable[[], None], Callable[[], None]],
    visit: Callable[..., Page],
) -> None:
    """Empty lists say what to type; a run and its record appear and end without a reload, over a restart.

    No row and no point is lost or doubled.
    """
    home, begin, end = steady
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(served(tmp_path, home=home))
        page = visit(first, permits=AWAY)
        page.get_by_text("No experiments yet").wait_for()
        page.get_by_role("button", name="Copy exp init hello").wait_for()
        assert axe.findings(page) == []
        places = page.get_by_role("navigation", name="Places")
        places.get_by_role("link", name="Records").click()
        page.get_by_role("heading", name="No records yet").wait_for()
        begin()
        record = page.get_by_role("row", name=re.compile("Mark train for Compare"))
        record.get_by_role("img", name="RUNNING", exact=True).wait_for()
        places.get_by_role("link", name="Experiments").click()
        row = page.get_by_role("row", name=re.compile("steady_"))
        expect(row).to_contain_text("RUNNING")
        page.get_by_text("1 runs").wait_for()
        row.get_by_role("link").first.click()
        page.get_by_role("heading", name=re.compile("steady")).wait_for()
        page.get_by_role("link", name=re.compile("^Curves")).click()
        points = page.locator(".curves-said")
        expect(points).to_have_text(re.compile("^every point shown: [0-9]+ a run"))
        again: list[str] = []
        page.on("request", lambda request: again.append(request.post_data or ""))
        expect(points).not_to_have_text(points.inner_text())
        assert not [body for body in again if '"describe":false' in body]  # only what is new has come
        expect(page.locator(":root")).to_have_attribute("data-live", "yes")

        first.end(signal.SIGKILL)
        page.get_by_text("Not live.").wait_for()
        page.get_by_text(re.compile(r"Retrying (in \d+ s|now)\.")).wait_for()
        expect(page.locator(":root")).to_have_attribute("data-live", "no")
        expect(page.get_by_role("heading", name=re.compile("steady"))).to_be_visible()
        stack.enter_context(served(tmp_path, "--port", str(first.port), home=home))
        page.get_by_role("button", name="Try now").evaluate_all(PRESS)
        page.get_by_text(re.compile("Live again;")).wait_for()
        expect(page.locator(":root")).to_have_attribute("data-live", "yes")

        end()
        expect(page.get_by_role("main")).to_contain_text("COMPLETED")
        check_points(page, home, points)
        places.get_by_role("link", name="Experiments").click()
        expect(row).to_have_count(1)
        expect(row).to_contain_text("COMPLETED")
        page.get_by_text("Nothing runs").wait_for()
        places.get_by_role("link", name="Records").click()
        expect(record).to_have_count(1)
        record.get_by_role("img", name="COMPLETED", exact=True).wait_for()


def check_points(page: Page, home: Path, points: Locator) -> None:
    """Assert that the curve has each row that was logged, once."""
    rows = logged(home, page.url)
    expect(points).to_have_text(f"every point shown: {len(rows)} a run")
    panel = page.get_by_role("article", name="train/loss")
    panel.get_by_label("More about train/loss").click()
    with page.expect_download() as saved:
        panel.get_by_role("button", name="Save CSV").click()
    with saved.value.path().open(encoding="utf-8", newline="") as stream:
        drawn = [(int(row["step"]), float(row["value"])) for row in csv.DictReader(stream)]
    assert drawn == [(row["step"], row["loss"]) for row in rows]


def logged(home: Path, url: str) -> list[dict[str, Any]]:
    """The rows of the run that a page shows, as `exp metrics` prints them."""
    name = url.partition("?")[0].rpartition("/")[2]
    printed = subprocess.run(
        [EXP, "metrics", name, "train", "--last", "100000", "--json"],
        env={**os.environ, "NEMORUN_HOME": str(home)},
        capture_output=True,
        check=True,
    )
    rows: list[dict[str, Any]] = json.loads(printed.stdout)["series"][0]["rows"]
    return rows


def test_a_stream_is_closed_continued_and_done_without(server: Served, visit: Callable[..., Page]) -> None:
    """A tab that is not seen has no stream; where streams are refused, the page asks every 5 seconds."""
    page = visit(server, permits=["429"])
    page.locator(":root[data-live=yes]").wait_for()
    page.evaluate(SHOW, "hidden")
    page.locator(":root[data-live=no]").wait_for()
    with page.expect_request("**/v1/live"):
        page.evaluate(SHOW, "visible")
    page.locator(":root[data-live=yes]").wait_for()
    page.evaluate(SHOW, "hidden")
    page.route("**/v1/live", lambda route: route.fulfill(status=429, body="{}"))
    page.evaluate(SHOW, "visible")
    page.get_by_text("every 5 s", exact=True).wait_for()
    page.get_by_role("heading", name="Experiments").wait_for()
