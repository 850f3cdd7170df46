"""What axe-core finds wrong with a page for people who use a keyboard, a screen reader or little contrast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from axe_playwright_python.base import AXE_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Page

THEMES: Final = ("light", "dark")
IMPACTS: Final = frozenset({"serious", "critical"})
OPTIONS: Final = {"resultTypes": ["violations"], "elementRef": False}
COLOURS: Final = {**OPTIONS, "runOnly": ["color-contrast"]}  # the one rule for which a theme matters
RUN: Final = "options => axe.run(document, options).then(found => found.violations)"


def findings(page: Page, *, themes: Sequence[str] = THEMES) -> list[str]:
    """The serious and critical findings of a page as it is now, in each theme; a line for each element."""
    found = []
    for theme, options in zip(themes, (OPTIONS, *[COLOURS] * len(themes)), strict=False):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type] # a literal
        page.locator(f":root[data-theme={theme}]").wait_for()
        if not page.evaluate("'axe' in window"):
            page.evaluate(AXE_SCRIPT)  # the debugger's, which no policy concerns
        found += [
            f"{theme}: {violation['id']}: {violation['help']}: {node['target']} {node['html'][:200]}"
            for violation in page.evaluate(RUN, options)
            if violation["impact"] in IMPACTS
            for node in violation["nodes"]
        ]
    return found
