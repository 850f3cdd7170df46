"""The words of a command line that a shell completes: joined where bash splits them, answered as it expects.

bash splits words at `=`, `:` and `@` (COMP_WORDBREAKS) and replaces only what follows the last of them; each
id of a member contains `=`, and a file of params begins with `@`, which bash replaces, too. zsh and fish
replace the whole word, including the option in `--from=train`.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nemorun_cli.cli import terminal

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

_BREAK: Final = re.compile(r"[=:@]+")
_BEGIN: Final = "@"  # the break that begins a word, as in `-p @values.yaml`
_OPTION: Final = re.compile(r"--[\w-]+=")
_SPECIAL: Final = re.compile(r"[^\w@%+=:,./~^-]|\A~(?!/)")  # what bash could act on in a word
_LIVE_IN_QUOTES: Final = re.compile(r"[$!]")  # of these, what it acts on in double quotes
_ZSH_ITEM: Final = re.compile(r'(^|\(\()"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BashLine:
    """The words up to the cursor, and the beginning of the last one that bash does not replace."""

    words: Sequence[str]
    kept: str


def complete(instruction: str, main: Callable[[], object]) -> None:
    """Write the completions that `main` prints for the words in the environment, as the shell expects.

    Args:
        instruction: what the completion script of the shell asks for, such as `complete_bash`.
        main: the command line, which prints them and exits.
    """
    edit = _EDITS.get(instruction, _unchanged)(os.environ)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main()
    finally:  # the command line exits when it has printed them
        terminal.write(edit(printed.getvalue()))


def join(words: Sequence[str], cursor: int) -> BashLine:
    """The words as they were typed, of which the one at `cursor` is the last.

    Args:
        words: as bash splits them: `=`, `:` and `@` are words of their own.
        cursor: the index of the word to complete.
    """
    joined: list[str] = []
    is_open = False  # the next word continues the last one
    for word in words[: cursor + 1]:
        is_break = _BREAK.fullmatch(word) is not None
        if joined and (is_open or (is_break and word != _BEGIN and len(joined) > 1)):
            joined[-1] += word
        else:
            joined.append(word)
        is_open = is_break and len(joined) > 1
    last = words[cursor] if cursor < len(words) else ""
    if cursor >= len(words):
        joined.append("")
    typed = "" if _BREAK.fullmatch(last) else last
    kept = joined[-1][: len(joined[-1]) - len(typed)]
    return BashLine(joined, kept.removesuffix(_BEGIN))  # which bash replaces, too


def _edit_bash(environ: MutableMapping[str, str]) -> Callable[[str], str]:
    text = environ.get("COMP_WORDS", "")
    line = join(text.split("\n" if "\n" in text else " "), int(environ.get("COMP_CWORD", "0")))
    environ["COMP_WORDS"] = "\n".join(line.words)
    environ["COMP_CWORD"] = str(len(line.words) - 1)
    option = _OPTION.match(line.kept)
    kept = line.kept[option.end() :] if option else line.kept
    typed = line.words[-1].removeprefix(line.kept)

    def edit(printed: str) -> str:
        items = (quoted(item.removeprefix(kept), typed) for item in printed.split("\n"))
        return "\n".join(item for item in items if item is not None)

    return edit


def quoted(item: str, typed: str) -> str | None:
    """A completion as bash inserts it, which leaves it as it is; None if it would not be one word.

    Within single quotes, because bash 5.0 takes a backslash in it for a pattern of files.

    Args:
        item: the completion, without quotes and backslashes.
        typed: what it replaces; behind a quote, bash inserts it after that quote.
    """
    if not _SPECIAL.search(item):
        return item
    quotes = "".join(char for char in typed if char in "'\"")
    if not quotes:
        return f"'{item}'"
    is_open = quotes == typed[0]
    is_literal = quotes == "'" or not _LIVE_IN_QUOTES.search(item)
    return item if is_open and is_literal else None


def _option_of(environ: MutableMapping[str, str]) -> str:
    """The option before the value that is completed, as in `--from=tr`; else empty."""
    option = _OPTION.match(environ.get("_TYPER_COMPLETE_ARGS", "").rpartition(" ")[2])
    return option[0] if option else ""


def _edit_zsh(environ: MutableMapping[str, str]) -> Callable[[str], str]:
    option = _option_of(environ)
    return lambda printed: _ZSH_ITEM.sub(rf'\1"{option}', printed)


def _edit_fish(environ: MutableMapping[str, str]) -> Callable[[str], str]:
    option = _option_of(environ)
    return lambda printed: "".join(f"{option}{item}\n" for item in printed.splitlines())


def _unchanged(environ: MutableMapping[str, str]) -> Callable[[str], str]:
    del environ
    return lambda printed: printed


_EDITS: Final = {"complete_bash": _edit_bash, "complete_zsh": _edit_zsh, "complete_fish": _edit_fish}
