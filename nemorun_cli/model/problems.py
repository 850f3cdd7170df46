"""Problems of a spec: the message, the location, the hint, and how they are shown."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from nemorun_cli.model.control_characters import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable

Place: TypeAlias = "tuple[str | int, ...]"
"""The location of a value in a spec: keys and list indices from the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a spec.

    Attributes:
        file: the spec's path as given, or the option (`-p lr=x`) that set the value.
        line: counted from 1, as is `column`; None if the value is not from a file.
        text: the whole line `line`.
    """

    message: str
    file: str = "spec"
    line: int | None = None
    column: int | None = None
    path: str = ""
    hint: str | None = None
    text: str | None = None

    def __str__(self) -> str:
        """`file:line:column: path: message (hint)`, on one line, without what could rewrite a terminal."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        parts = [part for part in (place, self.path) if part]
        hint = f" ({self.hint})" if self.hint else ""
        return escaped(": ".join([*parts, self.message]) + hint)

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
class FilePosition:
    """A place in a file that is not the spec: line and column are counted from 1, `text` is the line."""

    file: str
    line: int | None = None
    column: int | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem whose line in the file is not determined yet.

    Attributes:
        on_key: whether the key at `place` is wrong, rather than its value.
        needle: the part of the value's text that is wrong.
        option: the option that set the value, if the file did not.
        position: the place in another file that set the value.
        is_incomplete: whether the value at `place` lacks something, and the rest of it can be checked.
    """

    place: Place
    message: str
    hint: str | None = None
    on_key: bool = False
    is_incomplete: bool = False
    needle: str | None = None
    option: str | None = None
    position: FilePosition | None = None

    def problem(
        self, *, file: str, line: int | None = None, column: int | None = None, text: str | None = None
    ) -> Problem:
        """The problem at its location in a file, or in an option."""
        return Problem(
            file=file,
            line=line,
            column=column,
            path=dotted(self.place),
            message=self.message,
            hint=self.hint,
            text=text,
        )


def render(problems: Iterable[Problem], *, width: int | None = None) -> str:
    """All problems as text: each with its line and a caret under the column.

    Args:
        width: columns of a terminal; of a longer line only the part around the column is shown.
    """
    most = _SHOWN if width is None else max(1, min(_SHOWN, width - _GUTTER))
    return "\n".join(_with_line(problem, most) for problem in problems)


def dotted(place: Place) -> str:
    """A place in the form of messages and of `--set`: `tasks.train.args.0`."""
    return ".".join(str(key) for key in place)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to `name`; None if no name is similar."""
    names = sorted(known)
    folded = {candidate.casefold(): candidate for candidate in names}
    if name.casefold() in folded:
        return folded[name.casefold()]
    if len(names) > _COMPARED:  # each comparison takes ten microseconds
        names = [candidate for candidate in names if candidate[:2] == name[:2]][:_COMPARED]
    matches = difflib.get_close_matches(name[:_SHOWN], names, n=1, cutoff=0.6)
    return matches[0] if matches else None


def choices(name: str, known: Iterable[str]) -> str:
    """A hint that suggests the most similar known name, and lists the known names."""
    names = list(known)
    suggestion = nearest(name, names)
    listed = "there are: " + ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    if not names:
        return "none exist"
    if suggestion is None:
        return listed
    return f"did you mean {suggestion}?" if len(names) > _FEW else f"did you mean {suggestion}? {listed}"


_COMPARED = 200  # known names that are compared with a mistyped one
_LISTED = 25  # names in a hint; more would bury the message
_FEW = 8  # up to so many names are listed even after a suggestion
_SHOWN = 160  # characters of a line that are shown
_TAB = "\t"
_GUTTER = 9  # columns before them: the number of the line and a bar


def _with_line(problem: Problem, most: int) -> str:
    if problem.text is None or problem.line is None or problem.column is None:
        return str(problem)
    start = max(0, problem.column - 1 - most // 2) if len(problem.text) > most else 0
    shown = problem.text[start : start + most]
    before = escaped(shown[: problem.column - 1 - start], kept=_TAB)
    lead = "".join("\t" if char == "\t" else " " for char in before)
    gutter = f"{problem.line:>{_GUTTER - 3}} | "
    return f"{problem}\n{gutter}{escaped(shown, kept=_TAB)}\n{' ' * (len(gutter) - 2)}| {lead}^"


def shown(value: Any) -> str:
    """A value in the form of messages: short, and without control characters."""
    written = getattr(value, "written", None)
    text = written if written is not None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


_SHORT = 60  # characters of a value in a message
