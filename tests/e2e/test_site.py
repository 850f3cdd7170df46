"""The documentation as a site, which builds strictly and needs nothing from elsewhere, and its reference."""

from __future__ import annotations

import html.parser
import importlib
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.documents import ROOT
from support.scripts import module_of

import nemorun_cli
from nemorun_cli.cli import app
from nemorun_cli.cli.subcommands import SUBCOMMANDS

if TYPE_CHECKING:
    from pathlib import Path

GENERATOR: Final = ROOT / "docs" / "generate.py"
REFERENCE: Final = ROOT / "docs" / "reference"
GENERATED: Final = ("commands.md", "python.md", "spec-keys.md")
MOST_LINES: Final = 300  # of a page that is written by hand
LOADED: Final = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
"""The attributes of elements that make a browser load something."""
ELSEWHERE: Final = re.compile(r"(?:https?:)?//")
ELSEWHERE_IN_STYLE: Final = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^\s)\"']*")


class Loaded(html.parser.HTMLParser):
    """Collects what a page loads from elsewhere, and its code with a backslash before a bar."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []
        self.escaped_bars: list[str] = []
        self._is_in_cell_code = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note the address that an element loads."""
        values = dict(attributes)
        address = values.get(LOADED.get(tag, "")) or ""
        style = values.get("style") or ""
        if ELSEWHERE.match(address) or ELSEWHERE_IN_STYLE.search(style):
            self.elsewhere.append(address or style)
        self._is_in_cell_code = tag == "code"

    def handle_data(self, data: str) -> None:
        """Note code in which a table's escape of a bar is shown."""
        if self._is_in_cell_code and r"\|" in data:
            self.escaped_bars.append(data)


@pytest.fixture(scope="module")
def generator() -> Any:
    """The script that makes the reference."""
    return module_of(GENERATOR)


@pytest.mark.parametrize("name", GENERATED)
def test_the_reference_is_that_of_the_code(generator: Any, name: str) -> None:
    """A generated page is what the script makes now."""
    page = (REFERENCE / name).read_text(encoding="utf-8")
    assert generator.PAGES[name]() == page, "make the pages again: python docs/generate.py"


def test_every_public_name_is_in_the_reference(generator: Any) -> None:
    """The Python page has each public name, and each name that it leaves out exists."""
    named = {name for files in generator.API.values() for names in files.values() for name in names}
    assert set(nemorun_cli.__all__) <= named
    page = (REFERENCE / "python.md").read_text(encoding="utf-8")
    for kind, hidden in generator.PARTS_OF_COMMANDS.items():
        assert f"\n### {kind}\n" in page
        file = next(
            file for files in generator.API.values() for file, names in files.items() if kind in names
        )
        text = (ROOT / "nemorun_cli" / file).read_text(encoding="utf-8")
        assert [
            name for name in hidden if not re.search(rf"(?:def |^    ){name}\b", text, re.MULTILINE)
        ] == []


def test_every_exit_code_is_in_the_reference(generator: Any) -> None:
    """The commands whose exit code is not only 0 or that of an error are those that return one."""
    names = (*app.COMMANDS, *SUBCOMMANDS)
    modules = {
        name: importlib.import_module(f"nemorun_cli.cli.commands.{name.replace(' ', '_')}") for name in names
    }
    returning = {
        name for name, module in modules.items() if module.command.__annotations__["return"] == "int"
    }
    assert set(generator.CODES) == returning


def test_pages_are_short() -> None:
    """A page that is written by hand has at most 300 lines."""
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name not in GENERATED]
    long = [page.name for page in pages if len(page.read_text(encoding="utf-8").splitlines()) > MOST_LINES]
    assert long == []


def test_the_site_builds_strictly_and_alone(tmp_path: Path) -> None:
    """No link, anchor or entry of the navigation is wrong, and no page loads anything from elsewhere."""
    site = tmp_path / "site"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (built.returncode, re.findall(r"^(?:WARNING|ERROR).*$", built.stderr, re.MULTILINE)) == (0, [])
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))  # and the one for missing pages
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = Loaded()
        loaded.feed(text)
        styles = ELSEWHERE_IN_STYLE.findall("".join(re.findall(r"<style.*?</style>", text, re.DOTALL)))
        assert (page.name, loaded.elsewhere, styles) == (page.name, [], [])
        assert (page.name, loaded.escaped_bars) == (page.name, [])
    for sheet in site.rglob("*.css"):
        assert ELSEWHERE_IN_STYLE.findall(sheet.read_text(encoding="utf-8")) == [], sheet.name
