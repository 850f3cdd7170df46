"""`exp report`: one file that shows an experiment without a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page import axe
from support.replicas import replicate
from support.workspace import Exp, until

from nemorun_cli.replication.experiment_files import SentParts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

MARKUP = "</script><img src=http://evil.example/x onerror=alert(1)><!--"
HOSTILE = f"{MARKUP}\u2028\u202eevil"
HIDDEN = "quite-a-long-secret"
VARIABLE = "value-of-a-variable"
SPEC = f"""
name: told
title: {json.dumps(MARKUP)}
description: {json.dumps(HOSTILE)}
params: {{hostile: {json.dumps(HOSTILE)}}}
env: {{GENERAL: {VARIABLE}}}
secrets: {{TOKEN: {{env: TOKEN_OF_REPORT}}}}
tasks:
  train:
    matrix: {{seed: [1, 2]}}
    inline: |
      for epoch in 1 2 3; do echo "loss=0.$epoch epoch=$epoch"; done
    metrics: {{train: 'loss=(?P<loss>\\S+) epoch=(?P<epoch>\\d+)'}}
  fails:
    inline: |
      printf '%s\\n' {json.dumps("'" + HOSTILE + "'")} "token $TOKEN"
      printf '\\033[32mINFO\\033[0m begins\\n1%%\\r2%%\\r3%%\\n%s\\n%s\\n' 'ValueError: no' 'it ends here'
      exit 3
  after: {{inline: "true", dependencies: [fails]}}
"""
BELOW = "element => element.querySelector('canvas').getBoundingClientRect().top > 2 * innerHeight"
IN_SIGHT = """element => {
  const { top, bottom } = element.getBoundingClientRect();
  return top >= 0 && bottom <= innerHeight;
}"""


@pytest.fixture(scope="module")
def told(shared: Exp) -> Exp:
    """An experiment with hostile texts, a secret, curves, and a task that fails."""
    shared("run", shared.spec(SPEC), "-q", code=1, env={"TOKEN_OF_REPORT": HIDDEN})
    return shared


@pytest.fixture(scope="module")
def report(told: Exp) -> Path:
    """Its report."""
    told("report", "-o", "report.html", env={"TOKEN_OF_REPORT": HIDDEN})
    return told.folder / "report.html"


@pytest.fixture
def open_file(browser: Browser) -> Iterator[Callable[[Path], Page]]:
    """Opens a file without a network; the test fails if the file asks for anything, or has an error."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 400})
    faults: list[str] = []
    context.on("console", lambda message: message.type == "error" and faults.append(message.text))
    context.on("weberror", lambda error: faults.append(str(error.error)))
    context.on("dialog", lambda dialog: faults.append(dialog.message))

    def opened(path: Path) -> Page:
        own = path.as_uri()
        context.on("request", lambda request: request.url != own and faults.append(request.url))
        page = context.new_page()
        page.goto(own)
        return page

    try:
        yield opened
    finally:
        context.close()
    assert not faults


def test_a_report_opens_without_a_server(report: Path, open_file: Callable[[Path], Page]) -> None:
    """It shows the state, the graph, the tasks, why one failed with the end of its log, and curves.

    A chart is drawn before it is scrolled to, since it may be printed; a log is shown as on the page.
    Nothing serious is found by axe, light or dark.
    """
    page = open_file(report)
    page.get_by_role("heading", name="told").wait_for()
    page.get_by_text("It failed with exit code 3.").wait_for()
    chart = page.get_by_role("region", name="Curves").get_by_role("application").first
    chart.wait_for()
    assert page.evaluate(BELOW, chart.element_handle())
    log = page.get_by_role("region", name="Log of fails")
    assert log.locator(".ansi-2").inner_text() == "INFO"
    log.get_by_role("button", name="3 states").click()
    log.get_by_text("2%", exact=True).wait_for()
    page.get_by_role("link", name="ValueError: no").click()
    error = log.locator(".log-lines-error")
    assert page.evaluate(IN_SIGHT, error.element_handle())
    assert error.inner_text().split() == ["5", "ValueError:", "no"]
    assert page.locator("#graph [data-node=fails]").count() == 1
    assert page.get_by_role("treegrid", name="Tasks").get_by_role("row").count() >= 4
    page.locator("#graph [data-node=fails]").click()
    page.locator("#graph [data-node=fails][aria-pressed=true]").wait_for()
    assert page.url == report.as_uri()
    assert not axe.findings(page)


def test_hostile_texts_are_texts_in_a_report(report: Path, open_file: Callable[[Path], Page]) -> None:
    """What tries script and markup is shown, stands in no element of its own, and ends no script."""
    page = open_file(report)
    page.get_by_text("onerror=alert(1)").first.wait_for()
    assert page.locator("img").count() == 0
    text = report.read_text()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert not set("<>\u2028\u2029") & set(data[1])
    assert json.loads(data[1])["params"] == {"hostile": HOSTILE}
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src &#x27;none&#x27;; script-src &#x27;sha256-")
    assert "unsafe" not in policy[1]


def test_a_report_has_no_secret_and_no_variable(report: Path) -> None:
    """A known secret is masked wherever it stands, and values of `env` are not in it."""
    text = report.read_text()
    assert HIDDEN not in text
    assert "token ***" in text
    assert VARIABLE not in text


def test_a_report_is_not_overwritten_unless_that_is_wanted(told: Exp, report: Path) -> None:
    """A file that exists is refused and kept; -f replaces it; its size is said."""
    before = report.read_bytes()
    refused = told("report", "-o", report.name, code=2)
    assert "already exists" in refused.stderr
    assert report.read_bytes() == before
    written = told("report", "-o", "again.html", "-n", "0")
    assert written.stdout == "again.html\n"
    assert re.search(r"^\d+K, 4 tasks, 2 curves, the end of 0 logs$", written.stderr.strip())
    found = told("report", "-o", "again.html", "-f", "--json").json
    assert found["bytes"] == (told.folder / "again.html").stat().st_size
    assert (found["schema"], found["status"], found["logs"]) == ("exp.report/1", "FAILED", 1)
    assert told("report", "-o", "-").stdout.startswith("<!doctype html>")
    assert "cannot be combined" in told("report", "-o", "-", "--json", code=2).json["message"]
    assert "no experiment" in told("report", "nothing-of-this-name", code=3).stderr


def test_a_report_of_what_runs_says_that_it_has_not_ended(
    exp: Exp, open_file: Callable[[Path], Page]
) -> None:
    """It says of when it is, and claims nothing about later."""
    exp("run", exp.spec(f"name: runs\ntasks: {{a: {{inline: {json.dumps(until('go'))}}}}}\n"), "-d")
    exp("report", "-o", "runs.html")
    (exp.folder / "go").touch()
    exp("wait")
    page = open_file(exp.folder / "runs.html")
    page.get_by_text("while it had not ended. This file does not change.").wait_for()
    assert page.locator(":root").get_attribute("data-live") == "no"


def test_a_report_of_a_replica_says_what_is_not_there(told: Exp, tmp_path: Path) -> None:
    """Of a server's copy without logs, the report is made of what has arrived."""
    directory = Path(told.status()["directory"])
    home = replicate(directory, tmp_path / "root", SentParts(url="http://127.0.0.1:9"))
    replica = Exp(home=home.directory, folder=tmp_path)
    replica("report", "-o", "copy.html")
    text = (tmp_path / "copy.html").read_text()
    assert '"logs_missing":"not shipped (tracking.logs)"' in text
    assert HIDDEN not in text


def test_a_report_needs_no_server_libraries() -> None:
    """What makes a report imports neither Starlette nor uvicorn, which only the extra `[serve]` installs."""
    script = (
        "import sys; sys.modules.update(dict.fromkeys(('starlette', 'uvicorn', 'itsdangerous'))); "
        "from nemorun_cli.serve.report import report_data, report_file"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
