"""The operators of arguments: `epochs+=1`, `lr/=10`, `models+=[…]`."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.cli.annotations import UNKNOWN, described
from nemorun_cli.nemo.cli.conversion import MISSING, converted
from nemorun_cli.nemo.cli.literals import Scalar, Written

if TYPE_CHECKING:
    from collections.abc import Callable

    from nemorun_cli.nemo.cli.conversion import Make

_APPLY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+=": operator.add,
    "-=": operator.sub,
    "*=": operator.mul,
    "|=": operator.or_,
    "&=": operator.and_,
}
_LONGEST: Final = 1_000_000  # items or characters that `*=` may make
_SHOWN: Final = 60  # characters of a value in a message


def applied(old: Any, sign: str, written: Written, annotation: Any, *, place: str, make: Make) -> Any:
    """The value that an operator makes of the one that an argument has.

    Raises:
        UsageError: it has none, they do not fit, or the result is none of the argument's annotation.
    """
    if old is MISSING:
        raise UsageError(
            f"{place}: {sign} needs a value to change", hint=f"{place} has none yet: give {place}=…"
        )
    is_number = isinstance(old, (int, float)) and not isinstance(old, bool)
    kind = UNKNOWN if is_number or sign == "*=" else annotation
    operand = converted(written, kind, place=place, make=make)
    if not (is_number and type(operand) in (int, float)) and (sign == "/=" or not _fit(old, sign, operand)):
        raise UsageError(f"{place}: {sign} cannot change {_short(old)} by {_short(operand)}")
    try:
        result = _quotient(old, operand) if sign == "/=" else _APPLY[sign](old, operand)
    except (ArithmeticError, TypeError) as error:
        raise UsageError(f"{place}: {_short(old)} {sign} {_short(operand)}: {error}") from None
    return _number(result, annotation, place) if is_number else result


def _fit(old: Any, sign: str, operand: Any) -> bool:
    """Whether an operator is defined between two values that are not both numbers."""
    kinds = {"+=": (list, tuple, str, bytes), "-=": (set, frozenset), "&=": (set, frozenset, bool, int)}
    if sign == "*=":
        is_repeatable = isinstance(old, (list, tuple, str, bytes)) and type(operand) is int
        return is_repeatable and len(old) * operand <= _LONGEST
    return type(old) is type(operand) and isinstance(old, kinds.get(sign, (set, frozenset, dict, bool, int)))


def _quotient(old: Any, operand: Any) -> Any:
    """The quotient: of two integers one, if there is no remainder."""
    if type(old) is int and type(operand) is int and operand and old % operand == 0:
        return old // operand
    return old / operand


def _number(result: Any, annotation: Any, place: str) -> Any:
    """A result of arithmetic as the type of its argument."""
    whole = int(result) if type(result) is float and result.is_integer() else result
    for number in (result, whole):
        try:
            return converted(Written(repr(number), Scalar(number)), annotation, place=place, make=_nothing)
        except UsageError:
            continue
    raise UsageError(f"{place}: the result is {result!r}, but expected {described(annotation)}")


def _nothing(written: Written, annotation: Any) -> Any:
    del written, annotation
    return MISSING


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
