"""Types of plain scalars by the YAML 1.2 core schema, such as `on`, `010`, `1e-3` and `12:00:00`."""

from __future__ import annotations

import re
from typing import Any

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = re.compile(r"\.(?:nan|NaN|NAN)")
NOT_TEXT_STARTS = frozenset("-+.0123456789~nNtTfF")  # first characters of plain scalars that may not be text


class WrittenInt(int):
    """An integer that is written differently in Python: `010`, `0x1F`, `+5`."""

    written: str


class WrittenFloat(float):
    """A number that is written differently in Python: `3.10`, `1e-3`."""

    written: str


def scalar(text: str) -> Any:
    """Return the value of a plain scalar by the core schema; raises ValueError for an overlong number."""
    if text[:1] not in NOT_TEXT_STARTS and text:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text, 10)
    if _FLOAT.fullmatch(text):
        return _number(text, float(text))
    return _rare_number(text)


def _rare_number(text: str) -> Any:
    if _OCTAL.fullmatch(text):
        return _integer(text, 8)
    if _HEXADECIMAL.fullmatch(text):
        return _integer(text, 16)
    if _INFINITY.fullmatch(text):
        return _number(text, float("-inf" if text[0] == "-" else "inf"))
    if _NAN.fullmatch(text):
        return _number(text, float("nan"))
    return text


_LONGEST_INTEGER = 1_000  # digits; the limit of Python is 4,300


def _integer(text: str, base: int) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError(f"a number has more than {_LONGEST_INTEGER} digits")
    value = int(text, base)
    if str(value) == text:
        return value
    number = WrittenInt(value)
    number.written = text
    return number


def _number(text: str, value: float) -> float:
    if repr(value) == text:
        return value
    number = WrittenFloat(value)
    number.written = text
    return number
