"""The graph of an experiment, and its twin as a list; that of groups is looked at with their table."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from page import axe
from page.links import address_of
from support.served import EXP

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page
    from support.served import Served

PIPES = 4
STEPS = 8
PLACES = "[...document.querySelectorAll('#graph .graph-node')].map(node => node.style.cssText)"


def spec_of_many() -> str:
    """More tasks than are drawn unfolded: chains from a root that fails, and their branches."""
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
    """An experiment of these tasks, all of which but one are skipped."""
    path = tmp_path_factory.mktemp("many") / "many.yaml"
    path.write_text(spec_of_many())
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    subprocess.run([EXP, "run", "-q", path], env=environment, stderr=subprocess.DEVNULL, check=False)


@pytest.mark.usefixtures("many")
def test_many_tasks_are_few_nodes_and_open_by_the_keyboard(
    server: Served, visit: Callable[..., Page]
) -> None:
    """Chains and siblings are one node each; arrows follow edges, `+` opens one level, a button folds.

    Enter on a node picks its task, which the address says, and no node changes its place. As a list, each
    node is a row with its status, below all that it depends on. Axe finds nothing serious.
    """
    place = address_of(server, "many")
    page = visit(server, f"{place}?task=", viewport={"width": 1400, "height": 900})
    nodes = page.locator("#graph [data-node]")
    nodes.first.wait_for()
    folded = nodes.count()
    assert 2 <= folded < 2 * PIPES + 2
    assert not [line for line in axe.findings(page, themes=["light"]) if "graph" in line]
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

    before = page.evaluate(PLACES)
    page.locator("#graph [data-node=root]").focus()
    page.keyboard.press("Enter")
    page.locator("#graph [data-node=root][aria-pressed=true]").wait_for()
    assert "task=root" in page.url
    assert page.evaluate(PLACES) == before
    page.get_by_role("button", name="As a list").focus()
    page.keyboard.press("Enter")
    rows = page.get_by_role("list", name="Tasks, each after those that it depends on").get_by_role("button")
    rows.first.wait_for()
    texts = rows.all_text_contents()
    assert len(texts) == folded
    assert texts[0].startswith("root")
    for pipe in range(PIPES):
        (chain,) = [number for number, text in enumerate(texts) if f"s{pipe:02}-00 " in text]
        (ends,) = [number for number, text in enumerate(texts) if f"e{pipe:02}-0 " in text]
        assert chain < ends
