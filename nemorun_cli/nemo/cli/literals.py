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
    """A value as it was written, and its form; None if the text is no literal."""

    source: str
    form: Form


_ONE_TEXT: Final = re.compile(r"""b?(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")""", re.DOTALL)
_ITEMS: Final[dict[type[ast.AST], type]] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}


def read(text: str) -> Written:
    """The value that a text describes; its form is None where it is no literal."""
    source = text.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes and numbers: they stay as they are written
            body = ast.parse(source, mode="eval").body
        whole = _Reader(source).written(body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: a text nested too deeply
        return Written(text, None)
    # Python skips comments and outer parentheses; a value that has them is a text.
    return Written(text, whole.form if whole.source == source else None)


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
