"""The graph of an experiment, and its twin as a list."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from page import axe
from support.served import EXP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page
    from support.served import Served

PIPES = 20
STEPS = 12


def spec_of_many() -> str:
    """Three hundred tasks that are skipped at once: chains from a root that fails, and their branches."""
    lines = ["version: 1", "name: many", "tasks:", "  root: {inline: exit 1}"]
    for pipe in range(PIPES):
        before = "root"
        for step in range(STEPS):
            lines.append(f'  s{pipe:02}-{step:02}: {{inline: "true", dependencies: [{before}]}}')
            before = f"s{pipe:02}-{step:02}"
        lines += [
            f'  e{pipe:02}-{branch}: {{inline: "true", dependencies: [{before}]}}' for branch in range(3)
        ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def many(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An experiment of three hundred tasks."""
    path = tmp_path_factory.mktemp("many") / "many.yaml"
    path.write_text(spec_of_many())
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    subprocess.run([EXP, "run", "-q", path], env=environment, stderr=subprocess.DEVNULL, check=False)


def opened(server: Served, visit: Callable[..., Page], name: str, **options: Any) -> Page:
    """The page of the experiment of that name."""
    page = visit(server, "/v1/hello", **options)
    token = page.evaluate("localStorage.getItem('exp.session')")
    listed = server.ask("GET", "/v1/views/experiments", token=token).json["experiments"]
    found = next(each for each in listed if each["name"] == name)
    page.goto(f"{server.url}/experiments/{found['owner']}/{found['home']}/{found['id']}")
    page.locator("#graph").wait_for()
    return page


@pytest.mark.usefixtures("many")
def test_three_hundred_tasks_are_few_nodes_and_open_by_the_keyboard(
    server: Served, visit: Callable[..., Page]
) -> None:
    """Chains and siblings are one node each; arrows follow edges, `+` opens one level, a button folds."""
    page = opened(server, visit, "many")
    nodes = page.locator("#graph [data-node]")
    folded = nodes.count()
    assert 2 <= folded < 2 * PIPES + 2
    page.keyboard.press("g")
    page.keyboard.press("g")
    assert page.evaluate("document.activeElement.dataset.node") == "root"
    page.keyboard.press("ArrowRight")
    assert "tasks" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("+")
    page.get_by_role("button", name="Fold again").wait_for()
    assert nodes.count() > folded
    page.get_by_role("button", name="Fold again").click()
    page.get_by_role("button", name="Fold again").wait_for(state="detached")
    assert nodes.count() == folded


def test_a_node_is_picked_in_the_address_and_moves_nothing(
    server: Served, visit: Callable[..., Page]
) -> None:
    """Enter on a node picks its task, which the address says; no node changes its place."""
    page = opened(server, visit, "small", viewport={"width": 1400, "height": 900})
    places = "[...document.querySelectorAll('#graph .graph-node')].map(node => node.style.cssText)"
    before = page.evaluate(places)
    page.locator("#graph [data-node=broken]").focus()
    page.keyboard.press("Enter")
    page.locator("#graph [data-node=broken][aria-pressed=true]").wait_for()
    assert "task=broken" in page.url
    assert page.evaluate(places) == before


def test_the_list_has_the_same_nodes_in_an_order_of_dependencies(
    server: Served, visit: Callable[..., Page]
) -> None:
    """As a list, each task is a row with its status, below all that it depends on."""
    page = opened(server, visit, "small", viewport={"width": 1400, "height": 900})
    page.get_by_role("button", name="As a list").focus()
    page.keyboard.press("Enter")
    rows = page.get_by_role("list", name="Tasks, each after those that it depends on").get_by_role("button")
    rows.first.wait_for()
    texts = rows.all_text_contents()
    assert len(texts) == 4
    assert texts[0].startswith("prepare")
    assert texts[-1].startswith("report")


@pytest.mark.usefixtures("many")
def test_the_graph_has_no_serious_fault_of_accessibility(server: Served, visit: Callable[..., Page]) -> None:
    """Nothing serious is found by axe in a folded graph, light or dark."""
    page = opened(server, visit, "many", viewport={"width": 1400, "height": 900})
    assert not [line for line in axe.findings(page) if "graph" in line]
