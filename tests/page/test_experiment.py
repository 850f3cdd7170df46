"""An experiment's page shows what the commands show, also while it runs, and can be used with keys alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from page.axe import findings
from page.links import address_of
from playwright.sync_api import expect
from support.elsewhere import events_of, interrupted
from support.hostile_values import batch
from support.served import EXP, Served, served

from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

GATED: Final = """
name: gated
tasks:
  fast: {inline: 'until [ -e $GATE-1 ]; do sleep 0.05; done'}
  slow: {inline: 'until [ -e $GATE-2 ]; do sleep 0.05; done', dependencies: [fast]}
  never: {inline: echo, dependencies: [slow]}
env_inherit: [GATE]
"""
DESK: Final = {"width": 1440, "height": 900}


class Commands:
    """The commands of the home that the page shows."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "NEMORUN_HOME": str(home), "COLUMNS": "500"}

    def __call__(self, *argv: str, **variables: str) -> str:
        """What a command prints."""
        environment = {**self.environment, **variables}
        done = subprocess.run([EXP, *argv], env=environment, capture_output=True, text=True, check=False)
        return done.stdout

    def json(self, *argv: str) -> Any:
        """The document that a command prints."""
        return json.loads(self(*argv, "--json"))


@pytest.fixture
def exp(home: Path) -> Commands:
    return Commands(home)


def rows(page: Page) -> dict[str, str]:
    """The texts of the rows of the table, by the names of their tasks."""
    table = page.get_by_role("treegrid", name="Tasks")
    table.get_by_role("row").nth(1).wait_for()
    listed = table.locator("[data-row]").evaluate_all(
        "all => all.map(each => [each.dataset.row, each.innerText])"
    )
    return dict(listed)


def test_300_tasks_are_told_as_the_commands_tell_them_and_reached_with_keys_alone(
    server: Served, visit: Callable[..., Page], exp: Commands
) -> None:
    """Each task has the status of `exp status`, the worst failure the sentences of `exp why`.

    They are there without a click, at all widths; groups are one row, and unfold to all members. A click on
    a node of the graph opens its log; the error in the explanation leads to its line in the log.

    With keys alone: `j k` move, arrows fold, Enter opens, braces change the attempt, `g g` leads to the graph
    and `g l` to the log, in the graph arrows follow the edges, and Escape closes the panel.
    """
    page = visit(server, address_of(server, "wide"), viewport=DESK)
    assert len(rows(page)) < 40
    move_with_keys(page)
    page.locator("[data-row=broken]").click()

    explained = exp.json("why", "wide", "broken")["tasks"][0]
    causes, likely = [cause["message"] for cause in explained["causes"]], explained["log"]["error"]
    why = page.get_by_role("region", name="Why broken is FAILED")
    resumed = f"runs it again, as attempt {explained['resume']['attempt']}: {explained['resume']['reason']}"
    for told in (likely, resumed, *causes):
        expect(why).to_contain_text(re.compile(re.escape(told), re.IGNORECASE))
    page.get_by_role("button", name="Unfold stage07").click()
    page.get_by_role("button", name=re.compile("more members")).click()
    shown = rows(page)
    for task in exp.json("status", "wide")["tasks"]:
        if task["group"] in (None, "stage07"):
            assert task["status"] in shown[task["id"]], task["id"]
    assert "0/15 done" in shown["stage03"]
    assert "15 skipped" in shown["stage03"]
    assert "open=stage07" in page.url or "all=stage07" in page.url

    page.locator("#graph [data-node=first]").click()
    expect(page.get_by_role("textbox", name="Log of first")).to_contain_text("ready")
    page.go_back()
    log = page.get_by_role("textbox", name="Log of broken")
    expect(log.locator(".log-error")).to_have_text(likely)
    why.get_by_role("link", name=likely).click()
    expect(log).to_be_focused()
    why.get_by_role("link", name="stage00").click()
    expect(page.get_by_role("heading", name="stage00")).to_be_visible()

    page.set_viewport_size({"width": 390, "height": 900})
    page.locator(".task-panel-head a").first.click()
    for told in (likely, *causes[:3]):
        expect(why).to_contain_text(re.compile(re.escape(told), re.IGNORECASE))


def move_with_keys(page: Page) -> None:
    """From the table to the graph and the log of the failed task, without a mouse."""
    focused = page.locator("[data-row]:focus")
    page.keyboard.press("j")
    expect(focused).to_have_attribute("data-row", "broken")
    page.keyboard.press("k")
    expect(focused).to_have_attribute("data-row", "first")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="first")).to_be_visible()
    expect(page).to_have_url(re.compile(r"task=first"))
    page.keyboard.press("End")
    expect(focused).to_have_attribute("data-row", "stage19")
    page.keyboard.press("ArrowRight")
    expect(focused).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_attribute("aria-level", "2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-node]:focus")).to_have_attribute("data-node", "broken")
    page.keyboard.press("Enter")
    page.keyboard.press("{")
    expect(page.get_by_role("navigation", name="Attempts").locator("[aria-current]")).to_have_text(
        "Attempt 1"
    )
    expect(page).to_have_url(re.compile(r"attempt=1"))
    log = page.get_by_role("textbox", name="Log of broken")
    expect(log).to_contain_text("reading shard 7")
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(log).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="The picked task")).to_have_count(0)


def test_what_happens_is_seen_without_a_reload(
    server: Served, visit: Callable[..., Page], exp: Commands, tmp_path: Path
) -> None:
    """A task is seen to end; without a supervisor the page shows that nothing runs, and what to type."""
    gate = tmp_path / "gate"
    spec = tmp_path / "gated.yaml"
    spec.write_text(GATED)
    exp("run", "-d", str(spec), GATE=str(gate))
    page = visit(server, address_of(server, "gated"), viewport=DESK)
    row = page.locator("[data-row=fast]")
    expect(row).to_contain_text("RUNNING")
    expect(page.locator("[data-row=never]")).to_contain_text("waits for slow")
    gate.with_name("gate-1").touch()
    expect(row).to_contain_text("SUCCEEDED")
    expect(page.locator("[data-row=slow]")).to_contain_text("RUNNING")
    status = exp.json("status", "gated")
    os.kill(status["supervisor"]["pid"], signal.SIGKILL)
    gate.with_name("gate-2").touch()
    expect(page.locator(".status-sentence")).to_contain_text("nothing runs")
    expect(page.locator(".status-sentence")).to_contain_text(f"exp resume {status['id']}")
    expect(page.locator("[data-row=never]")).to_contain_text("nothing starts it")
    expect(page.get_by_role("link", name="Events")).to_contain_text(re.compile(r"\d"))


def test_spec_events_and_resources_are_those_of_the_commands(
    server: Served, visit: Callable[..., Page], exp: Commands
) -> None:
    """The spec is the file's text, each event is a row that filters find, and what was used has a table.

    Axe finds nothing serious, neither in a tab with a table, nor on tasks with a graph and a panel, nor on
    the list of a narrow screen.
    """
    total = len(exp("events", "small", "--json").splitlines())
    page = visit(server, f"{address_of(server, 'small')}?tab=events&kind=ended&of=broken", viewport=DESK)
    expect(page.get_by_text(f"1 of {total} events")).to_be_visible()
    page.get_by_role("combobox", name="Event").select_option("")
    page.get_by_role("searchbox", name="Task").fill("")
    expect(page.get_by_text(f"{total} events", exact=True)).to_be_visible()
    assert findings(page, themes=["light"]) == []
    page.get_by_role("searchbox", name="Task").fill("broken")
    page.get_by_role("combobox", name="Event").select_option("ended")
    expect(page.get_by_text(f"1 of {total} events")).to_be_visible()
    expect(page).to_have_url(re.compile("of=broken.*kind=ended"))
    page.get_by_role("link", name="Spec").click()
    expect(page.get_by_role("region", name="Spec")).to_contain_text("name: small")
    page.get_by_role("link", name="Resources").click()
    expect(page.get_by_role("row", name=re.compile("^prepare"))).to_contain_text("SUCCEEDED")

    page.get_by_role("link", name="Tasks").click()
    page.get_by_role("button", name="Unfold train").click()
    page.get_by_role("region", name="Why broken is FAILED").wait_for()
    assert findings(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("link", name="Log and why").wait_for()
    assert findings(page, themes=["light"]) == []


@pytest.fixture(scope="module")
def collector(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that has an experiment of another machine, as of a moment at which it ran."""
    folder = tmp_path_factory.mktemp("collector")
    there = Home(folder / "root" / ".experiments" / "alice" / "gpu1-00000000")
    kept = next((home / "experiments" / "small").iterdir())
    left_out = shutil.ignore_patterns("wake")  # its supervisor may not have removed it yet
    shutil.copytree(kept, there.directory / "experiments" / "small" / kept.name, ignore=left_out)
    files = there.experiment(kept.name)
    assert files is not None
    files.ledger.write_bytes(batch([json.dumps(event) for event in interrupted(events_of(files))]))
    with served(folder) as running:
        yield running


def test_another_machines_experiment_is_what_its_ledger_records(
    collector: Served, visit: Callable[..., Page]
) -> None:
    """Its supervisor is shown as elsewhere, and no time is counted on without a report."""
    token = collector.add_token()
    listed = collector.ask("GET", "/v1/views/experiments", token=token).json["experiments"][0]
    page = visit(collector, f"/experiments/{listed['owner']}/{listed['home']}/{listed['id']}")
    expect(page.locator(".status-sentence")).to_contain_text("RUNNING")
    expect(page.locator(".experiment-facts")).to_contain_text("supervisor on")
    assert "RUNNING" in rows(page)["prepare"]
