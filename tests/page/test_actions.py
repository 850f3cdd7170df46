"""Cancel, resume, rerun, tags, notes and the trash by the page, while a real run goes on."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from page import axe
from support.elsewhere import events_of
from support.patience import eventually
from support.served import EXP, Served, served

from nemorun_cli.experiment.run import Run, find
from nemorun_cli.serve.caller import Scope
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    Visit = Callable[..., Page]

LOSE_ONE_ANSWER: Final = """() => {
  const real = window.fetch;
  window.fetch = (path, asked) => {
    if (!path.endsWith("/note")) return real(path, asked);
    window.fetch = real;
    return real(path, asked).then(() => Promise.reject(new TypeError("lost")));
  };
}"""
ALL: Final = frozenset(Scope)
SPEC: Final = """
name: acting
tags: [first]
tasks:
  wait: {matrix: {lr: [1, 2]}, inline: 'until test -e %s; do sleep 0.05; done'}
  after: {inline: 'true', dependencies: [wait]}
"""


@pytest.fixture(scope="module")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Run, Path]]:
    """A server that acts, over a home where an experiment runs until a file is there."""
    folder = tmp_path_factory.mktemp("acting")
    home, over = folder / "home", folder / "over"
    (folder / "spec.yaml").write_text(SPEC % over)
    environment = {**os.environ, "NEMORUN_HOME": str(home)}
    subprocess.run([EXP, "run", "spec.yaml", "-d", "-q"], cwd=folder, env=environment, check=True)
    run = find("acting", home=Home(home))
    try:
        with served(folder, "--control", home=home) as server:
            yield server, run, over
    finally:
        over.touch()
        run.cancel()


def listed(server: Served, token: str) -> list[dict[str, Any]]:
    """The entries of the list, which on a busy machine gets a new one a moment later."""
    entries: list[dict[str, Any]] = server.ask("GET", "/v1/views/experiments", token=token).json[
        "experiments"
    ]
    return entries


def address(server: Served, run: Run, token: str) -> str:
    """The path of the view of an experiment."""
    entry = eventually(lambda: next((each for each in listed(server, token) if each["id"] == run.id), None))
    return f"/experiments/{entry['owner']}/{entry['home']}/{run.id}"


def authors(run: Run, kind: str) -> list[str]:
    """Who asked for it, by the events of a kind."""
    by = [event["by"] for event in events_of(run.files) if event["event"] == kind]
    return [name.partition(" via ")[0] for name in by]


def test_an_experiment_is_controlled_by_the_page(acting: tuple[Served, Run, Path], visit: Visit) -> None:
    """Cancel, resume and rerun say what they will do, are done once, and name the user in the ledger.

    What somebody without the scope asks for by hand is refused.
    """
    server, run, over = acting
    path = address(server, run, server.add_token("carol"))
    json = {"Content-Type": "application/json"}
    token = server.add_token("dora")
    refused = server.ask("POST", f"/v1/control{path}/cancel", token=token, body="{}", headers=json)
    assert (refused.status, authors(run, "cancel_requested")) == (403, [])
    page = visit(server, path, user="carol", scopes=ALL)
    page.get_by_text("RUNNING").first.wait_for()
    page.get_by_role("button", name="Cancel…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("run: they get TERM, and KILL after 10 s.").wait_for()
    dialog.get_by_text("waits: it will not start.").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Keep running"
    assert axe.findings(page) == []
    dialog.get_by_role("button", name="one task or glob…").click()
    dialog.get_by_label("Task, group or glob").fill("nothing*")
    assert dialog.get_by_role("button", name="Cancel 0 tasks").is_disabled()
    dialog.get_by_label("Task, group or glob").fill("wait/*1")
    dialog.get_by_role("button", name="Cancel 1 task").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Cancel 3 tasks").dblclick()
    page.get_by_role("button", name="Resume…").wait_for()
    assert authors(run, "cancel_requested") == ["carol"]

    page.get_by_role("button", name="Resume…").click()
    dialog.get_by_role("row", name="wait/lr=1 and 1 more run").wait_for()
    over.touch()
    dialog.get_by_role("button", name="Run 3 tasks").dblclick()
    dialog.wait_for(state="hidden")
    run.wait(timeout=30)
    page.get_by_text("COMPLETED").first.wait_for()
    assert authors(run, "resumed") == ["carol"]

    page.get_by_role("button", name="Rerun…").click()
    dialog.get_by_role("row", name="wait \N{MULTIPLICATION SIGN}2 local").wait_for()
    dialog.get_by_role("button", name="Run 3 tasks").dblclick()
    page.wait_for_url(lambda url: not url.endswith(path))
    again = find("acting", home=run.home)
    assert page.url.endswith(again.id)
    assert authors(again, "created") == ["carol"]
    again.wait(timeout=30)
    token = server.add_token("carol")
    assert eventually(lambda: len(listed(server, token)) == 2)


def test_labels_and_the_trash(acting: tuple[Served, Run, Path], visit: Visit) -> None:
    """Tags and notes are added in the name of the user, once; what is removed can be restored, as it says.

    A lost answer is told in the dialog; the next press asks for the same action.
    """
    server, run, _ = acting
    again = find("acting", home=run.home)
    page = visit(server, address(server, again, server.add_token("carol")), user="carol", scopes=ALL)
    dialog = page.get_by_role("dialog")
    menu = page.get_by_role("button", name="More actions")
    menu.click()
    page.get_by_role("button", name="Tags…").click()
    dialog.get_by_label("first").uncheck()
    dialog.get_by_label("Add, with commas between them").fill("best, <b>ü")
    dialog.get_by_role("button", name="Save tags").click()
    dialog.wait_for(state="hidden")
    menu.click()
    page.get_by_role("button", name="Note…").click()
    dialog.get_by_label("Text").fill("-\nseen it")
    page.evaluate(LOSE_ONE_ANSWER)
    dialog.get_by_role("button", name="Add note").click()
    dialog.get_by_text("The server does not answer.").wait_for()
    dialog.get_by_role("button", name="Add note").click()
    dialog.wait_for(state="hidden")
    assert again.status(observe=False).tags == ["best", "<b>ü"]
    assert authors(again, "tagged") == authors(again, "noted") == ["carol"]
    menu.click()
    page.get_by_role("button", name="Move to the trash…").click()
    dialog.get_by_label("that only it wrote").check()
    dialog.get_by_role("button", name="Move to the trash").click()
    dialog.get_by_text(f"exp rm --restore {again.id}").wait_for()
    dialog.get_by_role("button", name="To the list").click()
    page.get_by_role("row", name=run.id).wait_for()
    page.get_by_role("row", name=again.id).wait_for(state="detached")
    assert not again.files.directory.exists()
