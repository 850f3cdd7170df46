"""The one reader of JSON bodies: what it returns can be used without a second look at its form.

A body is a text of UTF-8 with one value: finite numbers, integers of 64 bits, texts without lone surrogates,
and at most so many levels. Anything else is the client's error, with 400.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError

if TYPE_CHECKING:
    from starlette.requests import Request

DEEPEST: Final = 32  # levels of lists and objects
_LARGEST: Final = 1 << 63  # no integer of the protocol has more bits
_DIGITS: Final = 20  # characters of an integer that is looked at


async def json_object(request: Request) -> dict[str, Any]:
    """The object in the body of a request.

    Raises:
        InvalidValueError: it is something else.
    """
    return parsed_object(await request.body())


def parsed_object(data: bytes, *, deepest: int = DEEPEST, is_strict: bool = True) -> dict[str, Any]:
    """The object in a text.

    Args:
        data: the text.
        deepest: levels of lists and objects in it.
        is_strict: whether NaN, infinities, long integers, lone surrogates and repeated keys are refused:
            ML-Dash's clients may send them.

    Raises:
        InvalidValueError: it is no object, or a value in it is not possible.
    """
    try:
        value = (_STRICT if is_strict else _LAX)(data.decode())
        _require_possible(value, deepest, is_strict=is_strict)
    except (ValueError, RecursionError) as error:
        reason = str(error) or "it is nested too deeply"
        raise InvalidValueError(f"the body is not JSON that this address takes: {reason:.200}") from None
    if not isinstance(value, dict):
        raise InvalidValueError("the body is not a JSON object")
    return value


def _integer(text: str) -> int:
    if len(text) > _DIGITS or not -_LARGEST <= int(text) < _LARGEST:
        raise ValueError(f"the integer {text[:_DIGITS]}… has more than 64 bits")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:_DIGITS]} is too large")
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in found if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} is given twice")
    return found


_STRICT: Final = json.JSONDecoder(
    parse_int=_integer, parse_float=_number, parse_constant=_no_constant, object_pairs_hook=_unique
).decode
_LAX: Final = json.JSONDecoder().decode


def _require_possible(value: Any, deepest: int, *, is_strict: bool) -> None:
    """Refuse what is nested too deeply, and, if it is strict, texts that cannot be encoded."""
    if not has_at_most(deepest, value):
        raise ValueError(f"it has more than {deepest} levels")
    if is_strict:
        json.dumps(value, ensure_ascii=False).encode()


def has_at_most(deepest: int, value: Any) -> bool:
    """Whether a value of JSON has at most so many levels of lists and objects."""
    level = [value]
    for _ in range(deepest + 1):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        if not inner:
            return True
        level = inner
    return False
