"""Where expressions `${{ … }}` stand in a text, and which names they use; nothing is evaluated here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nemorun_cli.errors import ExpError

OPENING = "${{"
MAX_LENGTH = 2_000  # characters of one expression
ROOTS = ("params", "matrix", "env", "experiment", "tasks")  # what an expression may name
REFUSED_ROOTS = ("secrets",)


class TemplateError(ExpError):
    """An expression is malformed, or cannot be given a value; `raw` is the expression as it is written."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, raw: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.raw = raw


class Unknown:
    """Stands among names for a value that is not known yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression as it stands in a text: `raw` with its braces, `code` without."""

    raw: str
    code: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that an expression uses, as far as it is written out: `params`, then keys."""

    root: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.keys))


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression with its names in the one form that Jinja reads right: `tasks["my-task"]["outputs"]`.

    `sole` is the reference that is the whole expression, if it is nothing else.
    """

    code: str
    references: tuple[Reference, ...]
    sole: Reference | None


def pieces(text: str) -> list[str | Expression]:
    """The text cut into what is literal and what is an expression; raises TemplateError if one has no end."""
    found: list[str | Expression] = []
    start = 0
    while (opening := text.find(OPENING, start)) >= 0:
        end = _end(text, opening + len(OPENING))
        if opening > start:
            found.append(text[start:opening])
        raw = text[opening:end]
        code = raw[len(OPENING) : -2].strip()
        if not code:
            raise TemplateError(f"{raw} is empty", hint="write a name such as params.lr in it")
        if len(code) > MAX_LENGTH:
            raise TemplateError(f"an expression is longer than {MAX_LENGTH:,} characters")
        found.append(Expression(raw, code))
        start = end
    if start < len(text):
        found.append(text[start:])
    return found


def sole_expression(text: str) -> Expression | None:
    """The expression that is the whole text, if it is nothing else."""
    found = pieces(text)
    return found[0] if len(found) == 1 and isinstance(found[0], Expression) else None


def parsed(code: str, names: Mapping[str, Any]) -> Parsed:
    """The expression with its references rewritten; `names` settles how far a name with `-` or `.` goes."""
    rewritten: list[str] = []
    references: list[Reference] = []
    position = 0
    while position < len(code):
        if code[position] in "'\"":
            end = _string_end(code, position)
            rewritten.append(code[position:end])
        elif (word := _WORD.match(code, position)) is None:
            end = position + 1
            rewritten.append(code[position])
        elif word[0] in _ALL_ROOTS and _stands_alone(code, word):
            reference, end = _reference(code, word, names)
            references.append(reference)
            rewritten.append(reference.root + "".join(f"[{_quoted(key)}]" for key in reference.keys))
        else:
            end = word.end()
            rewritten.append(word[0])
        position = end
    is_sole = len(references) == 1 and len(rewritten) == 1
    return Parsed("".join(rewritten), tuple(references), references[0] if is_sole else None)


def lookup(names: Mapping[str, Any], reference: Reference) -> Any:
    """The value of a reference; raises KeyError(keys so far, key) where a mapping has no such key."""
    value: Any = names[reference.root]
    for index, key in enumerate(reference.keys):
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError((reference.root, *reference.keys[:index]), key)
        value = value[key]
    return value


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)  # Jinja does not join the halves of \\ud83d\\ude00


def _end(text: str, start: int) -> int:
    """Where the expression that begins at `start` is over: past the `}}` outside of quotes and braces."""
    depth, position = 0, start
    while position < len(text):
        char = text[position]
        if char in "'\"":
            position = _string_end(text, position)
            continue
        if char == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif char == "}" and text.startswith("}}", position):
            return position + 2
        position += 1
    shown = text[start - len(OPENING) :].partition("\n")[0][:60]
    raise TemplateError(f"{shown} has no end", hint="close it with }}")


def _string_end(text: str, start: int) -> int:
    found = _STRING.match(text, start)
    return found.end() if found else len(text)


_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_WORD = re.compile(r"[^\W\d]\w*|\d[\w.]*")
_ALL_ROOTS = frozenset(ROOTS + REFUSED_ROOTS)
_ROOT_FOLLOWS = re.compile(rf"-(?:{'|'.join(ROOTS + REFUSED_ROOTS)})(?!\w)")
_SHAPE = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_NAME_CHARACTERS = re.compile(r"[A-Za-z0-9_.=,~/-]+", re.ASCII)  # what ids and keys can be made of
_SUBSCRIPT = re.compile(r"\[\s*('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")\s*\]")


def _stands_alone(code: str, word: re.Match[str]) -> bool:
    """Whether the word is a name of its own: no attribute of another, and no keyword argument."""
    before, after = code[: word.start()].rstrip(), code[word.end() :].lstrip()
    is_keyword = after.startswith("=") and not after.startswith("==")
    return not before.endswith(".") and not is_keyword


def _reference(code: str, word: re.Match[str], names: Mapping[str, Any]) -> tuple[Reference, int]:
    """The reference that begins with a root, and where it ends."""
    keys: list[str] = []
    position = word.end()
    value: Any = names.get(word[0], UNKNOWN)
    while isinstance(value, (Mapping, Unknown)):
        if code.startswith(".", position):
            key = _dotted_key(code, position + 1, value)
            if key is None:
                break
            position += 1 + len(key)
        elif subscript := _SUBSCRIPT.match(code, position):
            key = subscript[1][1:-1]
            if "\\" in key:
                break
            position = subscript.end()
        else:
            break
        keys.append(key)
        value = value.get(key, UNKNOWN) if isinstance(value, Mapping) else UNKNOWN
    return Reference(word[0], tuple(keys)), position


def _dotted_key(code: str, start: int, value: Mapping[str, Any] | Unknown) -> str | None:
    """The key after a dot: the longest that is known, else what has the shape of one; None before a call."""
    shape = _SHAPE.match(code, start)
    guess = _cut_at_root(shape[0]) if shape else None
    if isinstance(value, Mapping):
        longest = _NAME_CHARACTERS.match(code, start)
        text = longest[0] if longest else ""
        for end in range(len(text), 0, -1):
            following = text[end : end + 1]
            if text[:end] in value and not (following.isalnum() or following == "_"):
                # `train-x` where only `train` is known is a mistyped name, not a subtraction.
                return guess if guess and len(guess) > end and guess[end] == "-" else text[:end]
    if guess is None or code[start + len(guess) :].lstrip().startswith("("):
        return None
    return guess


def _cut_at_root(name: str) -> str:
    """The name up to where another reference is subtracted from it: `a-params` is `a`, less `params`."""
    found = _ROOT_FOLLOWS.search(name)
    return name[: found.start()] if found else name
