"""What others wrote is text: on no view does it run, become markup, or make a request."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import pytest
from playwright.sync_api import expect
from support.served import EXP, Served, served

from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

IMAGE: Final = "<img src=x onerror=stolen()>"
SCRIPT: Final = "<script>stolen()</script>"
LINK: Final = "javascript:stolen()"
ODD: Final = f"{IMAGE}{SCRIPT}\u202etxt.exe\u2028\x07\x1b[31m&lt;b&gt;"
LONG: Final = f"{SCRIPT}{'x' * 100_000}"
SPEC: Final = f"""
version: 1
name: evil
title: "{SCRIPT}"
description: "{IMAGE} \\u202etxt.exe"
tags: ["<b>stolen()</b>", "\\u202eexe"]
tasks:
  train:
    matrix: {{text: ["{IMAGE}", "{LINK}"]}}
    inline: |
      python3 - <<'PYTHON'
      from nemorun_cli import Experiment
      text = "{IMAGE}" "\\u202e\\x07"
      with Experiment().run as experiment:
          experiment.params.set(**{{text: text, "text": text + "x" * 100_000}})
          experiment.metrics("<b>stolen()</b>").log(step=1, loss=0.5)
          experiment.log(text)
          experiment.files("models").save_text(text, to="stolen().html")
      print("{SCRIPT} \\x1b[31mred\\x07 \\u202etxt")
      print(text + "x" * 100_000)
      PYTHON
  broken:
    inline: |
      python3 -c 'raise ValueError("{IMAGE}\\u202e\\x07")'
"""
EXPERIMENT_TABS: Final = {
    "tasks": IMAGE,
    "curves": "<b>stolen()</b>",
    "sweep": IMAGE,
    "params": IMAGE,
    "files": "stolen()",
    "resources": None,
    "spec": None,
    "events": None,
}
"""The tabs, and what each shows of it."""
RECORD_TABS: Final = (
    "params",
    "metrics",
    "logs",
    "files",
    "tracks",
    "environment",
    "diff",
    "openings",
)
MADE: Final = (
    "script:not([src^='/static/']), main img:not([src^='blob:']), iframe, object, a[href^=javascript]"
)
"""What a text would have become on a page that took it for markup."""


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server whose texts try everything, and the path of its experiment."""
    folder = tmp_path_factory.mktemp("evil")
    home = folder / "home"
    (folder / "evil.yaml").write_text(SPEC, encoding="utf-8")
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    subprocess.run([EXP, "run", "evil.yaml"], cwd=folder, env=environment, capture_output=True, check=False)
    record = Experiment(
        prefix=f"mallory/{IMAGE}", dash_root=str(home / "dash"), description=ODD, tags=[IMAGE, SCRIPT]
    )
    with record.run:
        record.params.set(**{IMAGE: ODD, "long": LONG, SCRIPT: {LINK: [LINK]}})
        for step in range(3):
            record.metrics(SCRIPT).log(step=step, **{IMAGE: 1.0})
        record.log(ODD)
        record.log(LONG, level="error")
        _save(folder, record)
    with served(folder, home=home) as server:
        listed = server.ask("GET", "/v1/views/experiments", token=server.add_token()).json["experiments"]
        place = f"{listed[0]['owner']}/{listed[0]['home']}/{listed[0]['id']}"
        yield server, place


def _save(folder: Path, record: Experiment) -> None:
    """Save files whose names and contents try everything."""
    for name in (f"{IMAGE.replace('/', '+')}.html", "drawing.svg", "notes.md", "table.csv"):
        path = folder / name
        path.write_text(f"<svg xmlns='http://www.w3.org/2000/svg' onload='stolen()'/>{SCRIPT},{LINK}\n")
        record.files("models").save(path)


def _look(page: Page, address: str, marker: str | None) -> None:
    """Open a view, wait until it shows what others wrote, and look for what may have become of it."""
    page.goto(address)
    if marker is not None:
        expect(page.get_by_role("main")).to_contain_text(marker)
    page.get_by_role("heading", level=1).first.wait_for()
    assert page.locator(MADE).count() == 0, address
    assert page.evaluate("window.wasStolen") is None, address


def test_what_others_wrote_is_text_on_every_view(
    evil: tuple[Served, str], visit: Callable[..., Page]
) -> None:
    """Names, params, logs, files, tags and titles with script, markup and control characters are text."""
    server, place = evil
    page = visit(server, "/v1/hello", new=True)
    page.add_init_script("window.stolen = () => { window.wasStolen = true }")
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    _look(page, f"{server.url}/", SCRIPT)
    for tab, marker in EXPERIMENT_TABS.items():
        _look(page, f"{server.url}/experiments/{place}?tab={tab}", marker)
    for task in ("broken", f"train/text={IMAGE}"):
        _look(page, f"{server.url}/experiments/{place}?task={quote(task, safe='')}", "stolen()")
    _look(page, f"{server.url}/records", IMAGE)
    record = f"{server.url}/records/mallory/{quote(IMAGE, safe='')}"
    for tab in RECORD_TABS:
        _look(page, f"{record}?tab={tab}", IMAGE)
    _look(page, f"{server.url}/compare?record=mallory/{quote(IMAGE, safe='')}", None)
    page.get_by_role("combobox", name="Search").fill("stolen")
    page.get_by_role("option", name=IMAGE).first.wait_for()
    assert page.evaluate("window.wasStolen") is None
