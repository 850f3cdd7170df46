"""Converts values of Python, NumPy, PyTorch and others to valid JSON and back.

JSON has no NaN and no infinities: they are written as the texts "NaN", "Infinity" and "-Infinity"
(as in the JSON form of Protocol Buffers, which pandas also reads). A text equal to one of these is wrapped as
{"$text": "NaN"}, and a mapping with "$text" as its only key is wrapped once more, so that every value is read
back unchanged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from nemorun_cli.model.bounded_text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DEPTH: Final = 100  # levels of nesting; more is a mistake, or a mapping that contains itself
WRAP: Final = "$text"

_NONFINITE: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
# A text without any of the second items needs no unwrapping. The first item is one character of the second:
# searching for it is fifty times as fast, and most texts contain none.
_MARKS: Final = (("N", 'NaN"'), ("I", 'Infinity"'), ("$", f'"{WRAP}"'))
_SPELLED: Final = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}

_AS_TEXT: Final = {("torch", "device"), ("torch", "dtype"), ("uuid", "UUID")}

_encode: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_quote: Final = json.encoder.encode_basestring_ascii
_heads: dict[str, str] = {}  # field name -> `,"name":`, so that each name is quoted only once
_HEADS_LIMIT: Final = 10_000


def encode_row(timestamp: float, fields: Mapping[str, Any]) -> bytes:
    """One line of a row file: the fields after their Unix time `_ts`.

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
            elif kind is int:
                parts.append(repr(value))
            elif kind is str and value not in _NONFINITE:
                parts.append(_quote(value))
            elif kind is bool:
                parts.append("true" if value else "false")
            else:
                converted = plain(value, key)
                parts.append(_float(converted) if type(converted) is float else dump(converted))
    except ValueError as error:  # an integer of thousands of digits
        raise TypeError(f"{key}: {error}") from None
    parts.append("}\n")
    return "".join(parts).encode("ascii")


def _float(value: float) -> str:
    # inf - inf and nan - nan are not zero: this detects all finite numbers with two operations
    return repr(value) if value - value == 0.0 else _SPELLED[repr(value)]


def _head(key: str) -> str:
    if type(key) is not str:
        raise TypeError(f"the name of a field must be text, not {shown(key)}")
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
        return str.__str__(value)
    if depth >= MAX_DEPTH:
        raise TypeError(f"{where}: nested more than {MAX_DEPTH} levels deep, or within itself")
    mapping = fields_of(value)
    if mapping is not None:
        return {
            _key(key, where): plain(item, f"{where}.{key}", depth=depth + 1) for key, item in mapping.items()
        }
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{index}]", depth=depth + 1) for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        items = [plain(item, where, depth=depth + 1) for item in value]
        return sorted(items, key=dump)
    return _convert(value, where, depth)


def _integer(value: int, where: str) -> int:
    try:
        repr(value)
    except ValueError as error:
        raise TypeError(f"{where}: {error}") from None
    return value


def _enum(value: Enum, where: str) -> Any:
    """The value of an enum member if it is plain, else the name."""
    inner = value.value
    return plain(inner, where) if inner is None or isinstance(inner, (bool, int, float, str)) else value.name


def _key(key: object, where: str) -> str:
    if isinstance(key, Enum):
        key = _enum(key, where)
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, (bool, int, float)):
        return _encode(key) if key == key else "NaN"  # noqa: PLR0124 - only NaN differs from itself
    if hasattr(key, "item"):  # a NumPy scalar
        return _key(key.item(), where)
    raise TypeError(f"{where}: a key must be a text, a number or an enum, not {_kind(key)}")


def fields_of(value: Any) -> Mapping[Any, Any] | None:  # noqa: PLR0911 - one return per kind of value
    """The fields of a mapping, dataclass, named tuple, namespace, attrs or pydantic object; else None."""
    if isinstance(value, Mapping):
        return value
    kind = type(value)
    if kind is type:
        return None
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    for names in ("model_fields", "__fields__"):  # pydantic 2, pydantic 1
        if hasattr(kind, names) and hasattr(value, "dict"):
            return {name: getattr(value, name) for name in getattr(kind, names)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return dict(zip(kind._fields, value, strict=True))
    if (kind.__module__, kind.__name__) in {("argparse", "Namespace"), ("types", "SimpleNamespace")}:
        return cast("Mapping[Any, Any]", vars(value))
    return None


def attributes_of(kind: type) -> dict[str, Any]:
    """The public values of a class of settings, including inherited ones; no methods."""
    values: dict[str, Any] = {}
    for ancestor in reversed(kind.__mro__[:-1]):
        for name, value in vars(ancestor).items():
            if isinstance(value, type) and not name.startswith("_"):
                values[name] = attributes_of(value)
            elif not (name.startswith("_") or callable(value) or hasattr(type(value), "__get__")):
                values[name] = value
    return values


def _convert(value: Any, where: str, depth: int) -> Any:
    """Convert paths, times, arrays, tensors and exact numbers, detected without importing libraries."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    convert: Callable[[Any], Any] | None = None
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        convert = _array
    elif hasattr(value, "isoformat"):
        convert = type(value).isoformat
    elif hasattr(value, "total_seconds"):
        convert = type(value).total_seconds
    elif hasattr(value, "as_integer_ratio"):
        convert = float
    elif (type(value).__module__, type(value).__name__) in _AS_TEXT:
        convert = str
    if convert is None or isinstance(value, type):
        raise TypeError(
            f"{where}: {_kind(value)} cannot be recorded (allowed: numbers, texts, booleans, None, lists,"
            " mappings, dataclasses, enums, paths, dates, arrays and tensors)"
        )
    return plain(convert(value), where, depth=depth + 1)


def _array(value: Any) -> Any:
    """An array or tensor as a list, and a scalar as a number."""
    if hasattr(value, "detach"):  # a tensor that may require gradients or be on a GPU
        value = value.detach().cpu()
    converted = value.tolist()
    return float(converted) if type(converted) is type(value) else converted


def _kind(value: object) -> str:
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
