"""Reads the value of a `key=value` argument as a literal of Python; nothing is ever evaluated.

The text is parsed into a syntax tree, of which only literals, names and calls of names with such arguments
are accepted. What a name means, a text, a member of an enum or a factory, is decided by the annotation of
the argument (`conversion`).
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number, a quoted text, bytes, True, False or None."""

    value: Any


@dataclass(frozen=True, slots=True)
class Items:
    """A list, a tuple or a set."""

    kind: type
    items: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Pairs:
    """A dict."""

    pairs: tuple[tuple[Written, Written], ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word, which may have dots."""

    text: str


@dataclass(frozen=True, slots=True)
class NamedCall:
    """A name with arguments: `my_model(hidden=3)`."""

    name: str
    positional: tuple[Written, ...]
    named: tuple[tuple[str, Written], ...]


Form: TypeAlias = "Scalar | Items | Pairs | Name | NamedCall | None"


@dataclass(frozen=True, slots=True)
class Written:
    """A value as it was written, and its form.

    Attributes:
        form: None if the text is no literal.
        is_typed: whether a file gave it a type: then a number is no text, and a text no number.
    """

    source: str
    form: Form
    is_typed: bool = False


_ONE_TEXT: Final = re.compile(r"""b?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""", re.DOTALL)
_CALL: Final = re.compile(r"([^\W\d]\w*(?:\.\w+)*)\((.*)\)", re.DOTALL)
_ARGUMENT: Final = re.compile(r"([^\W\d]\w*)\s*=\s*(.*)", re.DOTALL)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_SIGN: Final = re.compile(rf"(?<![\w]){_ONE_TEXT.pattern}|[][(){{}},]", re.DOTALL)
_MOST_LEVELS: Final = 20  # of lists and calls without quotes in each other
_ITEMS: Final[dict[type[ast.AST], type]] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}


def read(text: str) -> Written:
    """The value that a text describes; its form is None where it is no literal.

    In a list, and in the arguments of a call, texts need no quotes: `[/data/a, b-c]`, `SSHTunnel(host=h.x)`.
    """
    return _read(text, 0)


def _read(text: str, depth: int) -> Written:
    source = text.strip()
    form = _strict(source)
    if form is None and depth < _MOST_LEVELS:
        form = _list_without_quotes(source, depth) or _call_without_quotes(source, depth)
    return Written(text, form)


def _strict(source: str) -> Form:
    """The form of a literal of Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes and numbers: they stay as they are written
            body = ast.parse(source, mode="eval").body
        whole = _Reader(source).written(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: a text nested too deeply
        return None
    # Python skips comments and outer parentheses; a value that has them is a text.
    return whole.form if whole.source == source else None


def _list_without_quotes(source: str, depth: int) -> Items | None:
    if source[:1] != "[" or source[-1:] != "]" or (parts := _split(source[1:-1])) is None:
        return None
    return Items(list, tuple(_read(part, depth + 1) for part in parts))


def _call_without_quotes(source: str, depth: int) -> NamedCall | None:
    match = _CALL.fullmatch(source)
    if match is None or (parts := _split(match[2])) is None:
        return None
    positional: list[Written] = []
    named: list[tuple[str, Written]] = []
    for part in parts:
        argument = _ARGUMENT.fullmatch(part)
        if argument is not None:
            named.append((argument[1], _read(argument[2], depth + 1)))
        elif named:
            return None
        else:
            positional.append(_read(part, depth + 1))
    return NamedCall(match[1], tuple(positional), tuple(named))


def _split(text: str) -> list[str] | None:
    """The parts between commas outside of quotes and brackets; None if these do not match or one is empty."""
    parts, begin = [], 0
    open_brackets: list[str] = []
    for match in _SIGN.finditer(text):
        sign = match[0]
        if sign in _CLOSING:
            open_brackets.append(_CLOSING[sign])
        elif sign in _CLOSING.values():
            if not open_brackets or open_brackets.pop() != sign:
                return None
        elif sign == "," and not open_brackets:
            parts.append(text[begin : match.start()].strip())
            begin = match.end()
    parts.append(text[begin:].strip())
    if parts[-1] == "":
        parts.pop()
    return None if open_brackets or "" in parts else parts


class _Reader:
    """Reads the nodes of one syntax tree."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.encode().splitlines(keepends=True)

    def written(self, node: ast.expr) -> Written:
        source = self._source(node)
        return Written(source, self._form(node, source))

    def _form(self, node: ast.expr, source: str) -> Form:
        if isinstance(node, ast.Constant):
            return _scalar(node.value, source)
        if isinstance(node, ast.UnaryOp):
            return _signed(node)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._items(_ITEMS[type(node)], node.elts)
        if isinstance(node, ast.Dict):
            return self._pairs(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        name = _dotted(node)
        return Name(name) if name else None

    def _items(self, kind: type, nodes: list[ast.expr]) -> Items | None:
        if any(isinstance(node, ast.Starred) for node in nodes):
            return None
        return Items(kind, tuple(self.written(node) for node in nodes))

    def _pairs(self, node: ast.Dict) -> Pairs | None:
        keys = [key for key in node.keys if key is not None]  # None is that of `**other`
        if len(keys) != len(node.keys):
            return None
        written = zip(map(self.written, keys), map(self.written, node.values), strict=True)
        return Pairs(tuple(written))

    def _call(self, node: ast.Call) -> NamedCall | None:
        name = _dotted(node.func)
        is_spread = any(isinstance(argument, ast.Starred) for argument in node.args)
        if not name or is_spread or any(keyword.arg is None for keyword in node.keywords):
            return None
        named = tuple((str(keyword.arg), self.written(keyword.value)) for keyword in node.keywords)
        return NamedCall(name, tuple(self.written(argument) for argument in node.args), named)

    def _source(self, node: ast.expr) -> str:
        if node.lineno != node.end_lineno:
            return ast.get_source_segment(self._text, node) or ""
        return self._lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()


def _scalar(value: Any, source: str) -> Scalar | None:
    if value is ... or (isinstance(value, (str, bytes)) and not _ONE_TEXT.fullmatch(source)):
        return None
    return Scalar(value)


def _signed(node: ast.UnaryOp) -> Scalar | None:
    value = node.operand.value if isinstance(node.operand, ast.Constant) else None
    if type(value) not in (int, float, complex):
        return None
    if isinstance(node.op, ast.USub):
        return Scalar(-value)  # type: ignore[operator]  # it is a number
    return Scalar(value) if isinstance(node.op, ast.UAdd) else None


def _dotted(node: ast.expr) -> str:
    """The name that a node is, with its dots; empty if it is none."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(names)]) if isinstance(node, ast.Name) else ""
