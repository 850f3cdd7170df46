"""Problems of a spec: what is wrong where, what to do about it, and how that is shown."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Place: TypeAlias = "tuple[str | int, ...]"
"""Where a value stands in a spec: keys and list indices from the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong; `line` and `column` count from 1 and are None where no file is to blame.

    `file` is the spec's path as it was given, or the option (`-p lr=x`) that brought the value.
    `text` is the whole line that `line` names.
    """

    message: str
    file: str = "spec"
    line: int | None = None
    column: int | None = None
    path: str = ""
    hint: str | None = None
    text: str | None = None

    def __str__(self) -> str:
        """`file:line:column: path: message (hint)`, on one line."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        parts = [part for part in (place, self.path) if part]
        hint = f" ({self.hint})" if self.hint else ""
        return ": ".join([*parts, self.message]) + hint

    def to_json(self) -> dict[str, Any]:
        """An entry of `problems` in `exp.error/1`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem that still has to be placed in its file.

    `on_key` says that the key at `place` is wrong rather than its value; `needle` is the part of
    the value's text that is wrong; `option` is what brought the value, if the file did not.
    """

    place: Place
    message: str
    hint: str | None = None
    on_key: bool = False
    needle: str | None = None
    option: str | None = None

    def problem(
        self, *, file: str, line: int | None = None, column: int | None = None, text: str | None = None
    ) -> Problem:
        """The problem at its place in a file, or in an option."""
        return Problem(
            file=file,
            line=line,
            column=column,
            path=dotted(self.place),
            message=self.message,
            hint=self.hint,
            text=text,
        )


def render(problems: Iterable[Problem]) -> str:
    """All problems for people: each with the line it is about and a caret under the place."""
    return "\n".join(_with_line(problem) for problem in problems)


def dotted(place: Place) -> str:
    """A place as it is written in messages and in `--set`: `tasks.train.args.0`."""
    return ".".join(str(key) for key in place)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be, if one is near."""
    names = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    if name.casefold() in folded:
        return folded[name.casefold()]
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return found[0] if found else None


def choices(name: str, known: Iterable[str]) -> str:
    """A hint that lists what is there and leads with what was probably meant."""
    names = list(known)
    meant = nearest(name, names)
    listed = "there are: " + ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    if not names:
        return "there are none"
    if meant is None:
        return listed
    return f"did you mean {meant}?" if len(names) > _FEW else f"did you mean {meant}? {listed}"


_LISTED = 25  # names in a hint; more would bury the message
_FEW = 8  # names that are listed although one is near
_SHOWN = 160  # characters of a line that are shown


def _with_line(problem: Problem) -> str:
    if problem.text is None or problem.line is None or problem.column is None:
        return str(problem)
    start = max(0, problem.column - 1 - _SHOWN // 2) if len(problem.text) > _SHOWN else 0
    shown = problem.text[start : start + _SHOWN]
    lead = "".join("\t" if char == "\t" else " " for char in shown[: problem.column - 1 - start])
    gutter = f"{problem.line:>6} | "
    return f"{problem}\n{gutter}{_printable(shown)}\n{' ' * (len(gutter) - 2)}| {lead}^"


def _printable(text: str) -> str:
    """The text without control characters, which could otherwise rewrite the terminal."""
    return "".join(char if char.isprintable() or char == "\t" else "·" for char in text)


def shown(value: Any) -> str:
    """A value as messages quote it: short, and without control characters."""
    written = getattr(value, "written", None)
    text = written if written is not None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


_SHORT = 60  # characters of a value in a message
