"""The log viewer: large logs, following, finding, copying, and text that means harm."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
from page.axe import findings
from page.links import address_of
from support.extent import IS_LONG
from support.served import EXP, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Locator, Page
    from support.served import Served

FEW: Final = 5_000  # elements
LARGE: Final = 60_000  # lines
CLIPBOARD: Final = ("clipboard-read", "clipboard-write")
NODES: Final = """
(() => {
  let count = 0;
  const walk = root => {
    for (const element of root.querySelectorAll('*')) {
      count += 1;
      if (element.shadowRoot) walk(element.shadowRoot);
    }
  };
  walk(document);
  return count;
})()
"""
LIVE: Final = "name: {name}\ntasks:\n  tell: {{inline: cat {feed}}}\n"


@pytest.fixture(scope="module")
def place(server: Served) -> str:
    """The address of the experiment of `logs.yaml`."""
    return address_of(server, "logs")


def text_of(page: Page, *, task: str) -> Locator:
    """The text of the log of a task."""
    return page.get_by_role("textbox", name=f"Log of {task}")


def test_logs_are_text_that_can_be_found_and_copied(
    server: Served, place: str, visit: Callable[..., Page]
) -> None:
    """A failed one opens at its error; of a large one the end alone is loaded, and it works like a text."""
    page = visit(server, f"{place}?task=broken", permissions=CLIPBOARD)
    look_at_the_failed_one(page)
    page.locator("[data-row=large]").click()
    look_at_the_large_one(page)


def look_at_the_failed_one(page: Page) -> None:
    """The end of the traceback is seen, with its number; harmful text is text, and what is hidden opens."""
    log = text_of(page, task="broken")
    page.get_by_role("region", name="Why broken is FAILED").wait_for()  # above the log, which it moves
    log.get_by_text("ValueError: shapes do not match").wait_for()
    page.get_by_role("button", name="First error: line 406").wait_for()
    assert page.locator(".log-error").inner_text() == "ValueError: shapes do not match"
    assert page.locator(".log-error-number").inner_text() == "406"
    page.get_by_text(re.compile("^ended .* with exit code 1$")).wait_for()
    log.get_by_text(r"<img src=x onerror=alert(1)> \x07 \u202e end").wait_for()
    page.get_by_text("2 control sequences not shown").wait_for()
    log.get_by_role("button", name="100 kB more").wait_for()
    log.get_by_role("button", name="61 states").click()
    second = log.get_by_text(re.compile("^1% of the data"))  # of the others, not all are in sight
    second.wait_for()
    log.get_by_role("button", name="fold").click()
    second.wait_for(state="detached")
    log.get_by_text("INFO").first.wait_for()
    assert log.locator(".ansi-2").first.inner_text() == "INFO"
    page.get_by_role("button", name="Wrap lines").click()
    page.wait_for_url("**wrap=1**")
    assert not findings(page)
    log.press("w")
    page.wait_for_url(lambda address: "wrap" not in address)


def look_at_the_large_one(page: Page) -> None:
    """All keys of a text, copying and find work, in fewer than 5,000 elements."""
    log = text_of(page, task="large")
    log.get_by_text(f"row {LARGE - 1} of many").wait_for()
    page.get_by_text(re.compile(r"^524 kB of 2\.\d MB loaded$")).wait_for()
    log.click()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    copied = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert len(copied) > 10_000
    assert copied[-1] == f"row {LARGE - 1} of many, which say nothing"
    assert re.match(r"row [2-5]\d{4} of", copied[1])
    page.get_by_role("button", name="Copy all").click()
    page.get_by_text(re.compile("copied the .* lines that are loaded, not all")).wait_for()
    log.press("Home")
    log.get_by_text("row 1 of many").wait_for()
    numbers = page.locator(".log-numbers .cm-gutterElement")
    first = numbers.filter(has_text=re.compile("^2$"))
    first.wait_for()
    for _ in range(20):
        log.press("PageDown")
    first.wait_for(state="detached")
    log.press("End")
    log.get_by_text(f"row {LARGE - 1} of many").wait_for()
    page.get_by_label("Find in the log").fill("ROW 1234")
    page.get_by_text("11 of 11").wait_for()  # none follows the end, so it is the last one
    log.get_by_text("row 12349 of many").wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("1 of 11", exact=True).wait_for()
    log.get_by_text("row 1234 of many").wait_for()
    assert page.locator(".log-current").inner_text() == "row 1234"
    page.keyboard.press("Shift+Enter")
    log.get_by_text("row 12349 of many").wait_for()
    assert page.evaluate(NODES) < FEW
    with page.expect_download() as download:
        page.get_by_role("button", name="Download", exact=True).click()
    whole = download.value.path().read_bytes()
    assert whole.count(b"\n") == LARGE


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """A home with a running task, and what writes a text to its log."""
    feed, own = tmp_path / "feed", tmp_path / "home"
    os.mkfifo(feed)
    (tmp_path / "told.yaml").write_text(LIVE.format(name="told", feed=feed))
    command = [EXP, "run", "told.yaml", "-q"]
    environment = {**os.environ, "NEMORUN_HOME": str(own)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    with feed.open("w") as stream:

        def tell(text: str) -> None:
            stream.write(text)
            stream.flush()

        yield own, tell
    assert process.wait(30) == 0


def test_a_live_log_is_followed_and_left(
    live: tuple[Path, Callable[[str], None]], tmp_path: Path, visit: Callable[..., Page]
) -> None:
    """Lines appear once, though the server is killed; scrolling up stops to follow, and `f` begins again."""
    own, tell = live
    folder = tmp_path / "served"
    folder.mkdir()
    with served(folder, home=own) as server:
        page = visit(server, f"{address_of(server, 'told')}?task=tell", permits=("ERR_", "Failed to load"))
        page.get_by_text(re.compile("nothing written yet, running for")).wait_for()
        tell("".join(f"line {number}\n" for number in range(1, 201)))
        log = text_of(page, task="tell")
        log.get_by_text("line 200", exact=True).wait_for()
        log.hover()
        page.mouse.wheel(0, -400)
        page.get_by_role("button", name="nothing new").wait_for()
        tell("".join(f"line {number}\n" for number in range(201, 239)))
        page.get_by_role("button", name="38 new lines").wait_for()
        page.locator("body").press("f")
        log.get_by_text("line 238", exact=True).wait_for()
        server.end(signal.SIGKILL)
        tell("line 239\npart of ")
        with served(folder, "--port", str(server.port), home=own):
            tell("a line ü\nline 241\n")
            log.get_by_text("line 241", exact=True).wait_for(timeout=30_000)
            log.press("Control+a")
            lines = [*(f"line {number}" for number in range(1, 240)), "part of a line ü", "line 241"]
            assert page.locator(".log-host").evaluate(COPIED).split("\n") == lines


COPIED: Final = """
async host => {
  const content = host.shadowRoot.querySelector('.cm-content');
  const data = new DataTransfer();
  content.dispatchEvent(new ClipboardEvent('copy', {clipboardData: data, bubbles: true, cancelable: true}));
  return data.getData('text/plain');
}
"""


if IS_LONG:

    def test_a_log_of_200_mb_opens_by_its_end(
        server: Served, home: Path, place: str, visit: Callable[..., Page]
    ) -> None:
        """Of 200 MB, half a megabyte is loaded to show the end, and all of it is searched."""
        (log,) = home.glob("**/logs_*/**/silent/**/log")
        line = "\033[32mepoch\033[0m 12 \033[1mloss\033[0m 0.5\r50%\rstep\n"
        with log.open("w") as stream:
            for _ in range(200_000_000 // len(line) // 1000):
                stream.write(line * 1000)
            stream.write("the end\n")
        page = visit(server, f"{place}?task=silent")
        text_of(page, task="silent").get_by_text("the end").wait_for()
        page.get_by_text(re.compile("524 kB of 200 MB loaded")).wait_for()
        page.get_by_label("Find in the log").fill("the end")
        page.get_by_text("1 of 1").wait_for()
        assert page.evaluate(NODES) < FEW
