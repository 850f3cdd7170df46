"""Converts values of Python, NumPy, PyTorch and others to valid JSON and back.

JSON has no NaN and no infinities: they are written as the texts "NaN", "Infinity" and "-Infinity"
(as in the JSON form of Protocol Buffers, which pandas also reads). A text equal to one of these is wrapped as
{"$text": "NaN"}, and a mapping with "$text" as its only key is wrapped once more, so that every value is read
back unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MappingView, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Any, Final

from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.store import foreign_values
from nemorun_cli.tracking.store.object_fields import fields_of, guarded, kind_of

MAX_DEPTH: Final = 100  # levels of nesting; more is a mistake, or a mapping that contains itself
MAX_DIGITS: Final = 4_300  # of an integer: Python reads no more by default
MAX_BITS: Final = 14_284  # of the largest power of two with so many digits
WRAP: Final = "$text"

_NONFINITE: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
# A text without any of the second items needs no unwrapping. The first item is one character of the second:
# searching for it is fifty times as fast, and most texts contain none.
_MARKS: Final = (("N", 'NaN"'), ("I", 'Infinity"'), ("$", f'"{WRAP}"'))
_SPELLED: Final = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}

_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_quote: Final = json.encoder.encode_basestring_ascii
_heads: dict[str, str] = {}  # field name -> `,"name":`, so that each name is quoted only once
_HEADS_LIMIT: Final = 10_000
_SHORT: Final = 1 << 63  # integers below it need no check


def encode_row(timestamp: float, fields: Mapping[str, Any], *, is_metric: bool = False) -> bytes:
    """One line of a row file: the fields after their Unix time `_ts`.

    Args:
        timestamp: the Unix time.
        fields: the fields by name.
        is_metric: whether an array or tensor with one number is that number.

    Raises:
        TypeError: a value cannot be recorded; the message names it.
    """
    parts = [f'{{"_ts":{timestamp!r}']
    try:
        for key, value in fields.items():
            head = _heads.get(key)
            parts.append(_head(key) if head is None else head)
            kind = type(value)
            if kind is float:
                parts.append(_float(value))
            elif kind is int and -_SHORT < value < _SHORT:
                parts.append(repr(value))
            elif kind is str and value.isascii() and value not in _NONFINITE:
                parts.append(_quote(value))
            elif kind is bool:
                parts.append("true" if value else "false")
            else:
                converted = only_number(value, key) if is_metric else plain(value, key)
                parts.append(_float(converted) if type(converted) is float else dump(converted))
    except ValueError as error:  # a program may set a lower limit of digits
        raise TypeError(f"{key}: {error}") from None
    parts.append("}\n")
    return "".join(parts).encode("ascii")


def _float(value: float) -> str:
    # inf - inf and nan - nan are not zero: this detects all finite numbers with two operations
    return repr(value) if value - value == 0.0 else _SPELLED[repr(value)]


def only_number(value: Any, where: str) -> Any:
    """A plain value; that of an array or tensor with one number, of any shape, is the number.

    Raises:
        TypeError: the value, or a part of it, cannot be recorded.
    """
    converted = plain(value, where)
    if type(converted) is list and foreign_values.is_array(type(value)):
        number = converted
        while type(number) is list and len(number) == 1:
            number = number[0]
        if isinstance(number, (int, float)):
            return number
    return converted


def _head(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the name of a field must be text, not {shown(key)}")
    key = _text(str.__str__(key), "the name of a field")
    if not key:
        raise TypeError("the name of a field is empty")
    if key == "_ts":
        raise TypeError("_ts is the time of the row and must be a number")
    head = f",{_quote(key)}:"
    if len(_heads) < _HEADS_LIMIT:
        _heads[key] = head
    return head


def dump(value: object) -> str:
    """A plain value as JSON on one line, in ASCII."""
    try:
        text = _encode(value)
    except ValueError:  # NaN or an infinity
        return _encode(_wrap(value))
    return _encode(_wrap(value)) if needs_unwrapping(text) else text


def _wrap(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0.0 else _float(value).strip('"')
    if isinstance(value, str):
        return {WRAP: value} if value in _NONFINITE else value
    if isinstance(value, list):
        return [_wrap(item) for item in value]
    if isinstance(value, dict):
        wrapped = {key: _wrap(item) for key, item in value.items()}
        return {WRAP: wrapped} if wrapped.keys() == {WRAP} else wrapped
    return value


def load(text: str) -> Any:
    """The value of a text written by `dump`.

    Raises:
        ValueError: it is not JSON.
    """
    value = json.loads(text)
    return unwrap(value) if needs_unwrapping(text) else value


def needs_unwrapping(text: str) -> bool:
    """Whether a JSON text may contain values that `dump` spelled out or wrapped."""
    return any(first in text and mark in text for first, mark in _MARKS)


def unwrap(value: Any) -> Any:
    """A value with its NaN, infinities and wrapped texts restored."""
    if isinstance(value, str):
        return _NONFINITE.get(value, value)
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {WRAP}:
            inner = value[WRAP]
            return inner if isinstance(inner, str) else {key: unwrap(item) for key, item in inner.items()}
        return {key: unwrap(item) for key, item in value.items()}
    return value


def plain(value: Any, where: str, *, depth: int = 0) -> Any:  # noqa: PLR0911 - one return per kind of value
    """Convert a value to None, bool, int, float, text, list and mapping.

    Args:
        value: any value that can be recorded.
        where: its name, for messages.
        depth: its level of nesting.

    Raises:
        TypeError: the value, or a part of it, cannot be recorded.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _enum(value, where)
    if isinstance(value, int):
        return _integer(int(value), where)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return _text(str.__str__(value), where)
    if depth >= MAX_DEPTH:
        raise TypeError(f"{where}: nested more than {MAX_DEPTH} levels deep, or within itself")
    if foreign_values.is_array(type(value)):
        return plain(foreign_values.array(value, where), where, depth=depth + 1)
    mapping = fields_of(value, where)
    if mapping is not None:
        return _mapping(mapping, where, depth)
    if _is_list(value):
        items = enumerate(guarded(lambda: list(value), value, where))
        converted = [plain(item, f"{where}[{index}]", depth=depth + 1) for index, item in items]
        return sorted(converted, key=dump) if _is_set(value) else converted
    return plain(foreign_values.convert(value, where), where, depth=depth + 1)


def _is_list(value: object) -> bool:
    """Whether a value is recorded as a list: sequences, sets and the views of a mapping, but no bytes."""
    if isinstance(value, (list, tuple)):
        return True
    is_text = isinstance(value, (bytes, bytearray, memoryview)) or type(value).__name__ == "UserString"
    return isinstance(value, (Sequence, MappingView, AbstractSet)) and not is_text


def _is_set(value: object) -> bool:
    return isinstance(value, AbstractSet) and not isinstance(value, (Sequence, MappingView))


def _mapping(mapping: Mapping[Any, Any], where: str, depth: int) -> dict[str, Any]:
    """A mapping with text keys.

    Raises:
        TypeError: two keys have the same text, such as 1 and "1", or a value cannot be recorded.
    """
    items = list(mapping.items())
    values = {_key(key, where): plain(item, f"{where}.{key}", depth=depth + 1) for key, item in items}
    if len(values) < len(items):
        texts = [_key(key, where) for key, _ in items]
        twice = next(text for text in texts if texts.count(text) > 1)
        raise TypeError(f"{where}: two keys of the mapping are {twice!r} as texts")
    return values


def _integer(value: int, where: str) -> int:
    """An integer that every program can read: Python refuses to read longer ones.

    Raises:
        TypeError: it is longer.
    """
    try:
        if value.bit_length() <= MAX_BITS:
            repr(value)  # refused by a program that set a lower limit
            return value
    except ValueError as error:
        raise TypeError(f"{where}: {error}") from None
    raise TypeError(
        f"{where}: an integer of more than {MAX_DIGITS:,} digits cannot be read back: record its hex()"
    )


def _text(value: str, where: str) -> str:
    """A text that is the same when it is read from JSON.

    Raises:
        TypeError: two surrogates in it would be read as one character.
    """
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            if json.loads(_quote(value)) != value:
                raise TypeError(
                    f"{where}: two surrogates would be read as one character: write that character"
                ) from None
    return value


def _enum(value: Enum, where: str) -> Any:
    """The value of an enum member if it is plain, else the name."""
    inner = value.value
    return plain(inner, where) if inner is None or isinstance(inner, (bool, int, float, str)) else value.name


def _key(key: object, where: str) -> str:
    if type(key) is not str:
        if isinstance(key, (tuple, AbstractSet)) and not isinstance(key, Enum):
            raise TypeError(f"{where}: a key must be a text, a number or an enum, not {kind_of(key)}")
        key = plain(key, f"{where}: a key of it")
        if isinstance(key, (list, dict)):
            raise TypeError(f"{where}: a key must be a text, a number or an enum")
    if isinstance(key, str):
        return _text(key, where)
    return _float(key).strip('"') if isinstance(key, float) else _encode(key)
