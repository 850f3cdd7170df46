"""Finds expressions `${{ … }}` in texts and the names that they use; evaluates nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nemorun_cli.errors import ExpError

OPENING = "${{"
MAX_LENGTH = 2_000  # characters of one expression
# Names that an expression may use.
ROOTS = ("params", "matrix", "search", "env", "experiment", "experiments", "tasks")
REFUSED_ROOTS = ("secrets",)


class TemplateError(ExpError):
    """An expression is malformed or cannot be evaluated; `raw` is the expression as written."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str | None = None, raw: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.raw = raw


class Unknown:
    """A placeholder for a value that is not known yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()
SOMETIMES = Unknown()  # a value that only some trials of a search have


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression in a text: `raw` with its braces, `code` without."""

    raw: str
    code: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A name that an expression uses, with its literal keys: `params`, then keys."""

    root: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.keys))


@dataclass(frozen=True, slots=True)
class Parsed:
    """An expression with its names rewritten for Jinja: `tasks["my-task"]["outputs"]`.

    `sole` is the reference if the whole expression is a single reference.
    """

    code: str
    references: tuple[Reference, ...]
    sole: Reference | None


def pieces(text: str) -> list[str | Expression]:
    """Split a text into literal parts and expressions; raises TemplateError for an unclosed expression."""
    parts: list[str | Expression] = []
    start = 0
    while (opening := text.find(OPENING, start)) >= 0:
        end = _end(text, opening + len(OPENING))
        if opening > start:
            parts.append(text[start:opening])
        raw = text[opening:end]
        code = raw[len(OPENING) : -2].strip()
        if not code:
            raise TemplateError(f"{raw} is empty", hint="write a name such as params.lr between the braces")
        if len(code) > MAX_LENGTH:
            raise TemplateError(f"an expression is longer than {MAX_LENGTH:,} characters")
        parts.append(Expression(raw, code))
        start = end
    if start < len(text):
        parts.append(text[start:])
    return parts


def sole_expression(text: str) -> Expression | None:
    """Return the expression if the whole text is a single expression."""
    parts = pieces(text)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Expression) else None


def parsed(code: str, names: Mapping[str, Any]) -> Parsed:
    """Return an expression with its references rewritten; `names` decides where `a-b` and `a.b` end."""
    rewritten: list[str] = []
    references: list[Reference] = []
    for text, reference in _tokens(code, names):
        if reference is None:
            rewritten.append(text)
        else:
            references.append(reference)
            rewritten.append(reference.root + "".join(f"[{_quoted(key)}]" for key in reference.keys))
    is_sole = len(references) == 1 and len(rewritten) == 1
    return Parsed("".join(rewritten), tuple(references), references[0] if is_sole else None)


def with_root(code: str, names: Mapping[str, Any], key: tuple[str, str], root: str) -> str:
    """Return an expression in which references that begin with a root and a key have another root."""
    return "".join(
        text
        if reference is None or (reference.root, *reference.keys[:1]) != key
        else root + text.removeprefix(reference.root)
        for text, reference in _tokens(code, names)
    )


def _tokens(code: str, names: Mapping[str, Any]) -> Iterator[tuple[str, Reference | None]]:
    """Yield the parts of an expression: strings, words and single characters, and references."""
    position = 0
    while position < len(code):
        reference = None
        if code[position] in "'\"":
            end = _string_end(code, position)
        elif (word := _WORD.match(code, position)) is None:
            end = position + 1
        elif word[0] in _ALL_ROOTS and _stands_alone(code, word):
            reference, end = _reference(code, word, names)
        else:
            end = word.end()
        yield code[position:end], reference
        position = end


def lookup(names: Mapping[str, Any], reference: Reference) -> Any:
    """Return the value of a reference; raises KeyError(keys so far, key) if a mapping has no such key."""
    value: Any = names[reference.root]
    for index, key in enumerate(reference.keys):
        try:
            value = value[key] if isinstance(value, Mapping) else _NOTHING[key]
        except KeyError:
            raise KeyError((reference.root, *reference.keys[:index]), key) from None
    return value


_NOTHING: Mapping[str, Any] = {}


def _quoted(key: str) -> str:
    return json.dumps(key, ensure_ascii=False)  # Jinja does not join the halves of \\ud83d\\ude00


def _end(text: str, start: int) -> int:
    """Return the end of the expression at `start`: after the `}}` outside of quotes and braces."""
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
    raise TemplateError(f"{shown} is not closed", hint="close it with }}")


def _string_end(text: str, start: int) -> int:
    string = _STRING.match(text, start)
    return string.end() if string else len(text)


_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_WORD = re.compile(r"[^\W\d]\w*|\d[\w.]*")
_ALL_ROOTS = frozenset(ROOTS + REFUSED_ROOTS)
_ROOT_FOLLOWS = re.compile(rf"-(?:{'|'.join(ROOTS + REFUSED_ROOTS)})(?!\w)")
_SHAPE = re.compile(r"[A-Za-z0-9_]+(?:-[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_NAME_CHARACTERS = re.compile(r"[A-Za-z0-9_.=,~/-]+", re.ASCII)  # characters of ids and keys
_SUBSCRIPT = re.compile(r"\[\s*('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")\s*\]")


def _stands_alone(code: str, word: re.Match[str]) -> bool:
    """Whether the word is a name: not an attribute of another name, and not a keyword argument."""
    before, after = code[: word.start()].rstrip(), code[word.end() :].lstrip()
    is_keyword = after.startswith("=") and not after.startswith("==")
    return not before.endswith(".") and not is_keyword


def _reference(code: str, word: re.Match[str], names: Mapping[str, Any]) -> tuple[Reference, int]:
    """Return the reference that begins with a root, and its end."""
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
    """Return the key after a dot: the longest known key, else a name by its characters; None for a call."""
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
    """Return the name before a subtracted reference: `a-params` means `a - params`."""
    subtraction = _ROOT_FOLLOWS.search(name)
    return name[: subtraction.start()] if subtraction else name
