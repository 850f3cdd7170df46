"""A spec's tree with its expressions filled in, as far as they do not wait for a task's outputs."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from nemorun_cli.expressions import (
    TemplateError,
    compile_only,
    fill,
    fill_inline,
    fill_text,
    text_of,
    touches_unknown,
)
from nemorun_cli.problems import Finding
from nemorun_cli.templates import OPENING, Expression, pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.problems import Place

LITERAL_SECTIONS = frozenset(("version", "name", "params"))  # where `${{` is text like any other
LATE_KEYS = frozenset(("args", "command", "inline", "env", "workdir", "when"))  # of tasks


class Late(str):
    """A text that stays as it is written until the tasks that it uses are over."""

    place: Place
    uses: Mapping[str, str]  # ids of tasks and groups, each with an expression that names it


class Unfilled(str):
    """A text whose value is in doubt because of another problem; nothing is said about it."""

    __slots__ = ()


class Filler:
    """Fills the texts of one spec; what is wrong in them is in `findings`.

    `filled` and `unfilled` are the places of texts that held expressions.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.findings: list[Finding] = []
        self.filled: set[Place] = set()
        self.unfilled: set[Place] = set()
        self.uses_identity = False

    def spec(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The whole spec, filled."""
        return {
            key: value if key in LITERAL_SECTIONS else self.tree(value, (key,)) for key, value in data.items()
        }

    def tree(self, value: Any, place: Place) -> Any:
        """A part of the spec, filled; `place` says what its texts are."""
        if isinstance(value, str):
            return self._text(value, place) if OPENING in value else value
        if isinstance(value, dict):
            return {key: self.tree(item, (*place, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.tree(item, (*place, index)) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, place: Place) -> Any:
        role = _role(place)
        try:
            if role == "words":
                return self._words(text, place)
            uses = self._uses(text)
            if uses is None:
                return self._unfilled(text, place)
            if uses:
                return self._late(text, place, uses)
            self.filled.add(place)
            return self._filled(text, role)
        except TemplateError as fault:
            finding = Finding(place=place, message=fault.message, hint=fault.hint, needle=fault.raw)
            self.findings.append(finding)
            return self._unfilled(text, place)

    def _filled(self, text: str, role: str) -> Any:
        if role == "inline":
            return fill_inline(text, self.names)
        if role == "word":
            return fill_text(text, self.names)
        value = fill(text, self.names)
        if role == "when" and not isinstance(value, bool):
            raise TemplateError(f"{text} gives {text_of(value)}, not true or false")
        return value

    def _words(self, text: str, place: Place) -> list[Any]:
        """The words of a command with each one filled by itself, so that one value is one argument."""
        return [
            self._text(word, (*place, index)) if OPENING in word else word
            for index, word in enumerate(split(text))
        ]

    def _uses(self, text: str) -> dict[str, str] | None:
        """The tasks whose outputs the text needs; None where something that it names is in doubt."""
        uses: dict[str, str] = {}
        for part in pieces(text):
            if isinstance(part, Expression):
                found = compile_only(part, self.names)
                if touches_unknown(found, self.names):
                    return None
                for reference in found.references:
                    self.uses_identity |= reference.root == "experiment"
                    if reference.root == "tasks":
                        uses[reference.keys[0]] = part.raw
        return uses

    def _late(self, text: str, place: Place, uses: dict[str, str]) -> Late:
        if not _may_be_late(place):
            listed = ", ".join(sorted(LATE_KEYS))
            hint = f"outputs of tasks can be used in {listed} of tasks"
            raise TemplateError("needs the outputs of a task, which are not there yet", hint=hint)
        if place[-1] == "when" and len(pieces(text)) > 1:
            raise TemplateError("must be one expression and nothing else")
        late = Late(text)
        late.place, late.uses = place, uses
        return late

    def _unfilled(self, text: str, place: Place) -> Unfilled:
        self.unfilled.add(place)
        return Unfilled(text)


def split(text: str) -> list[str]:
    """The words of a text as a shell would split it, without tearing expressions; raises TemplateError."""
    if not any(char in text for char in "'\"\\$"):
        return text.split()
    found = pieces(text)
    marker = "\x00"  # cannot be in a word: no process takes it
    if marker in text:
        raise TemplateError("holds a NUL, which no process takes")
    bare = "".join(
        part if isinstance(part, str) else f"{marker}{index}{marker}" for index, part in enumerate(found)
    )
    try:
        words = shlex.split(bare)
    except ValueError as fault:
        raise TemplateError(f"cannot be split: {str(fault).lower()}", hint="close the quote") from None
    for index, part in enumerate(found):
        if isinstance(part, Expression):
            words = [word.replace(f"{marker}{index}{marker}", part.raw) for word in words]
    return words


def _task_keys(place: Place) -> Place:
    """The part of a place that is within a task, a member or the defaults."""
    if place[0] == "defaults":
        return place[1:]
    if place[0] != "tasks":
        return ()
    return place[4:] if place[2:3] == ("group",) else place[2:]


def _role(place: Place) -> str:
    """How a text is filled: as words, one word, a script, a condition, or any value."""
    keys = _task_keys(place)
    if keys in (("command",), ("entrypoint",)) or (place[-3:-2] == ("secrets",) and place[-1] == "command"):
        return "words"
    if keys in (("inline",), ("when",)):
        return str(keys[0])
    is_item = len(keys) > 1 and isinstance(keys[1], int) and keys[0] in ("command", "entrypoint", "args")
    return "word" if is_item or place[-2:-1] == ("env",) else "value"


def _may_be_late(place: Place) -> bool:
    return _task_keys(place)[:1] != () and _task_keys(place)[0] in LATE_KEYS
