"""What rich draws on a terminal: escaped text with styles. No text is ever read as markup of rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nemorun_cli.model import terminal_filter
from nemorun_cli.model.control_characters import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.cli.table_layout import Line


def console(*, stderr: bool = False) -> Console:
    """The terminal of standard output or standard error, for which all text is text."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def live(on: Console, **options: Any) -> Live:
    """A picture at the bottom of a terminal, redrawn in place."""
    return Live(console=on, **options)


def lines(given: Iterable[Line]) -> Text:
    """Lines of texts with their styles."""
    return Text("\n").join(_line(line) for line in given)


def _line(line: Line) -> Text:
    return Text.assemble(*((escaped(text, kept="\t"), style) for text, style in line))


def write(on: Console, text: Text) -> None:
    """Write a text above the picture; the terminal breaks its lines."""
    on.print(text, soft_wrap=True)


def log_line(lead: str, text: str) -> Text:
    """A line of a log with its colours, dimmed, after the name of its task."""
    return Text(escaped(lead), style="dim") + picture(text)


def picture(text: str) -> Text:
    """A drawing with its colours, without all else that could rewrite the terminal."""
    return Text.from_ansi(terminal_filter.filtered(text))
