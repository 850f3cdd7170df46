"""Writes plain data as YAML that `parser` reads back equal in value and type, also as it was written."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.control_characters import LAYOUT, escaped
from nemorun_cli.spec.yaml.scalars import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PLAIN: Final = re.compile(
    r"\d+[A-Za-z]+|[A-Za-z_./~][\w./~@%+=-]*(?: [\w./~@%+=(][\w./~@%+=()-]*)*", re.ASCII
)
_NO_CHARACTERS: Final = re.compile("[\ufffe\uffff]")  # allowed in text, but not in YAML
_LONGEST_LINE: Final = 80  # characters of a list that is written on one line
_LONGEST_KEY: Final = 100  # characters; YAML allows 1,024 bytes before the colon
_INDENT: Final = "  "


def document(data: Mapping[str, Any]) -> str:
    """The data as one YAML document in block style, without anchors, tags and comments."""
    return "".join(f"{line}\n" for line in _block(data, "")) if data else "{}\n"


def flow(value: Any) -> str:
    """A value on one line, with all texts in quotes: what `-p` and `--set` read."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _quoted(value) if isinstance(value, str) else _number(value)


def _block(value: Mapping[str, Any] | Sequence[Any], pad: str) -> Iterator[str]:
    """The lines of a collection that is not empty."""
    if not isinstance(value, dict):
        for item in value:
            yield from _entry(f"{pad}- ", item, pad + _INDENT, is_item=True)
        return
    for key, item in value.items():
        written = _text(key)
        if len(written) > _LONGEST_KEY:
            yield f"{pad}? {written}"
            yield from _entry(f"{pad}: ", item, pad + _INDENT, is_item=True)
        else:
            yield from _entry(f"{pad}{written}: ", item, pad + _INDENT, is_item=False)


def _entry(head: str, value: Any, pad: str, *, is_item: bool) -> Iterator[str]:
    """The lines of a value behind its key, or of an item, whose first line is that of its first key."""
    if isinstance(value, str) and (block := _literal(value, pad)) is not None:
        yield head + block[0]
        yield from block[1:]
        return
    one_line = _on_one_line(value)
    if one_line is not None:
        yield head + one_line
        return
    lines = _block(value, pad)
    yield head + next(lines)[len(pad) :] if is_item else head.rstrip(" ")
    yield from lines


def _on_one_line(value: Any) -> str | None:
    """A scalar, an empty collection or a short list of scalars; None for any other collection."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, (dict, list, tuple)):
        return _number(value)
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    if isinstance(value, dict) or any(isinstance(item, (dict, list, tuple)) for item in value):
        return None
    line = "[" + ", ".join(_text(item) if isinstance(item, str) else _number(item) for item in value) + "]"
    return line if len(line) <= _LONGEST_LINE else None


def _number(value: Any) -> str:
    """A number as it was written, true, false or null."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    written = getattr(value, "written", None)
    if isinstance(written, str):
        return written
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else "-.inf" if value < 0 else ".inf"
    if isinstance(value, (int, float)):
        return repr(value)
    raise TypeError(f"YAML has no form for a {type(value).__name__}")


def _text(text: str) -> str:
    """A text of one line, in quotes if it could be anything else without them."""
    return text if _PLAIN.fullmatch(text) and scalar(text) is text else _quoted(text)


def _quoted(text: str) -> str:
    """A text in quotes; the escapes of what could rewrite a terminal are those of double quotes in YAML."""
    has_escapes = escaped(text) != text or _NO_CHARACTERS.search(text)
    if ('"' in text or "\\" in text) and "'" not in text and not has_escapes:
        return f"'{text}'"
    inner = escaped(text.replace("\\", "\\\\").replace('"', '\\"'))
    return '"' + _NO_CHARACTERS.sub(lambda match: f"\\u{ord(match[0]):04x}", inner) + '"'


def _literal(text: str, pad: str) -> list[str] | None:
    """The lines of a text as it is, behind `|`; None if it has one line, or would not be read back equal."""
    body = text.removesuffix("\n")
    if "\n" not in body or body[0] in " \t\n" or body[-1] == "\n":
        return None
    if escaped(text, kept=LAYOUT) != text or _NO_CHARACTERS.search(text):
        return None
    lines = [f"{pad}{line}" if line else "" for line in body.split("\n")]
    return ["|" if text.endswith("\n") else "|-", *lines]
