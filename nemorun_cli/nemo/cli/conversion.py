"""Converts a written value to the annotation of its argument, or refuses it: no value changes silently."""

from __future__ import annotations

import math
import pathlib
import typing
from collections import abc
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.cli.annotations import UNKNOWN, bare, classes, described, is_collection, members
from nemorun_cli.nemo.cli.literals import Items, Name, NamedCall, Pairs, Scalar, Written

if TYPE_CHECKING:
    from collections.abc import Callable

Make: TypeAlias = "Callable[[Written, Any], Any]"
"""Makes a value by a factory or a class that an annotation names; MISSING if the value names none."""

MISSING: Final[Any] = object()

_WORDS: Final = {"true": True, "false": False, "none": None, "null": None}
_SWITCHES: Final = {"true": True, "yes": True, "on": True, "1": True} | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
_MUTABLE: Final = (abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable, abc.Set, abc.MutableSet)


class MismatchError(Exception):
    """A value is none of its annotation; the message is what is wrong with it, or empty."""


def converted(written: Written, annotation: Any, *, place: str, make: Make) -> Any:
    """The value of an argument.

    Args:
        written: the value as it was written.
        annotation: what the argument takes.
        place: the argument, for messages.
        make: makes what a factory makes.

    Raises:
        UsageError: the value is none of the annotation.
    """
    try:
        return _converted(written, annotation, make)
    except MismatchError as error:
        reason = f": {error}" if str(error) else ""
        text = written.source if len(written.source) <= _SHOWN else written.source[: _SHOWN - 1] + "…"
        raise UsageError(
            f"{place}: expected {described(annotation)}, not {text!r}{reason}",
            hint=_hint(written, annotation),
        ) from None


_SHOWN: Final = 60  # characters of a value in a message


def _hint(written: Written, annotation: Any) -> str | None:
    if isinstance(written.form, Items) and written.form.kind is tuple and written.source[:1] != "(":
        return f"write [{written.source}]"
    if isinstance(written.form, NamedCall) and UNKNOWN not in members(annotation):
        return "only registered factories are called: @run.cli.factory"
    return None


def _converted(written: Written, annotation: Any, make: Make) -> Any:
    kinds = members(annotation)
    if (made := make(written, annotation)) is not MISSING:
        return made
    for is_exact in (True, False):
        for kind in kinds:
            try:
                return _as(written, kind, make, is_exact=is_exact)
            except MismatchError as error:
                reason = str(error)
    raise MismatchError(reason if len(kinds) == 1 or isinstance(written.form, (Items, Pairs)) else "")


def _as(written: Written, kind: Any, make: Make, *, is_exact: bool) -> Any:
    """The value as a type that is no union; exactly as it is written, or as what it can be read as."""
    kind = bare(kind)
    if kind in (UNKNOWN, Any, object):
        return _as_it_is(written, make)
    if kind is None or kind is type(None):
        return _none(written)
    if typing.get_origin(kind) is typing.Literal:
        return _one_of(written, typing.get_args(kind))
    if is_collection(kind):
        return _collection(written, kind, make)
    if kind in _SCALARS:
        return _SCALARS[kind](written, is_exact)
    if isinstance(kind, type):
        return _instance(written, kind)
    raise MismatchError("only a factory can make one")


def _instance(written: Written, kind: type) -> Any:
    if issubclass(kind, Enum):
        return _member(written, kind)
    if issubclass(kind, pathlib.PurePath):
        return kind(_path(written))
    made = classes(kind)
    reason = "no factory has this name" if isinstance(written.form, (Name, NamedCall)) else ""
    raise MismatchError(reason if made else "only a factory can make one")


def _as_it_is(written: Written, make: Make) -> Any:
    """A value without an annotation: the literal, or else the text."""
    form = written.form
    if isinstance(form, Scalar):
        return _finite(form.value, written.source)
    if isinstance(form, Items) and not _is_text_with_commas(form, written.source):
        return _collected(form.kind, [_converted(item, UNKNOWN, make) for item in form.items])
    if isinstance(form, Pairs):
        return _dict(form, UNKNOWN, UNKNOWN, make)
    if isinstance(form, NamedCall):
        raise MismatchError("no factory has this name; put a text that looks like a call in quotes")
    return _WORDS.get(written.source.strip().lower(), written.source) if form else written.source


def _is_text_with_commas(form: Items, source: str) -> bool:
    """Whether what Python would read as a tuple is more likely a text, as `a, b` is."""
    has_brackets = form.kind is not tuple or source.startswith("(")
    return not has_brackets and not all(isinstance(item.form, Scalar) for item in form.items)


def _finite(value: Any, source: str) -> Any:
    """A number, unless it is larger or smaller than its type can hold."""
    if isinstance(value, float) and (math.isinf(value) or (value == 0 and _has_digits(source))):
        raise MismatchError("a float cannot hold it")
    return value


def _has_digits(source: str) -> bool:
    return any(digit in source.lower().partition("e")[0] for digit in "123456789")


def _none(written: Written) -> None:
    form = written.form
    is_none = isinstance(form, Scalar) and form.value is None
    if not is_none and not (isinstance(form, Name) and form.text.lower() in ("none", "null")):
        raise MismatchError


def _text(written: Written, is_exact: bool) -> str:  # noqa: ARG001, FBT001 - as all of _SCALARS
    """The text as it is written; one in quotes is read as Python reads it."""
    if isinstance(written.form, Scalar) and isinstance(written.form.value, str):
        return written.form.value
    if written.is_typed:
        raise MismatchError("put it in quotes" if isinstance(written.form, Scalar) else "")
    return written.source


def _integer(written: Written, is_exact: bool) -> int:  # noqa: ARG001, FBT001 - as all of _SCALARS
    if isinstance(written.form, Scalar) and type(written.form.value) is int:
        return written.form.value
    raise MismatchError


def _float(written: Written, is_exact: bool) -> float:  # noqa: FBT001 - as all of _SCALARS
    form = written.form
    if isinstance(form, Scalar) and type(form.value) is float:
        return float(_finite(form.value, written.source))
    if isinstance(form, Scalar) and type(form.value) is int and not is_exact:
        return _widened(form.value)
    word = written.source.strip().lower()
    if word.lstrip("+-") in ("inf", "infinity", "nan"):
        return float(word)
    raise MismatchError


def _widened(value: int) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise MismatchError("a float cannot hold it") from None
    if int(number) != value:
        raise MismatchError(f"as a float it would be {int(number)}")
    return number


def _switch(written: Written, is_exact: bool) -> bool:  # noqa: FBT001 - as all of _SCALARS
    form = written.form
    if isinstance(form, Scalar) and isinstance(form.value, bool):
        return form.value
    word = written.source.strip().lower()
    if not written.is_typed and word in (("true", "false") if is_exact else _SWITCHES):
        return _SWITCHES[word]
    raise MismatchError("" if is_exact else "write true or false")


def _bytes(written: Written, is_exact: bool) -> bytes:  # noqa: ARG001, FBT001 - as all of _SCALARS
    if isinstance(written.form, Scalar) and isinstance(written.form.value, bytes):
        return written.form.value
    raise MismatchError("write b'…'")


def _complex(written: Written, is_exact: bool) -> complex:  # noqa: ARG001, FBT001 - as all of _SCALARS
    if isinstance(written.form, Scalar) and isinstance(written.form.value, complex):
        return written.form.value
    raise MismatchError


_SCALARS: Final[dict[Any, Callable[[Written, bool], Any]]] = {
    str: _text,
    int: _integer,
    float: _float,
    bool: _switch,
    bytes: _bytes,
    complex: _complex,
}


def _path(written: Written) -> str:
    text = _text(written, is_exact=True)
    if not text or "\0" in text:
        raise MismatchError("it is empty" if not text else "a path has no NUL")
    return text


def _one_of(written: Written, allowed: tuple[Any, ...]) -> Any:
    form = written.form
    for value in allowed:
        if isinstance(value, str) and value in (written.source, getattr(form, "value", None)):
            return value
        if isinstance(value, Enum) and written.source in (value.name, str(value)):
            return value
        if isinstance(form, Scalar) and type(form.value) is type(value) and form.value == value:
            return value
        if (
            isinstance(value, bool)
            and not written.is_typed
            and _SWITCHES.get(written.source.lower()) is value
        ):
            return value
    raise MismatchError


def _member(written: Written, kind: type[Enum]) -> Enum:
    """A member by its name, `RED` or `Color.RED`, or by its value."""
    text = written.source if written.is_typed else _text(written, is_exact=True)
    name = text.removeprefix(f"{kind.__name__}.")
    by_name = kind.__members__.get(name)
    value = written.form.value if isinstance(written.form, Scalar) else text
    by_value = next((each for each in kind if type(each.value) is type(value) and each.value == value), None)
    if by_name is not None and by_value is not None and by_name is not by_value:
        raise MismatchError(f"it is the name of {by_name.name} and the value of {by_value.name}")
    if by_name is None and by_value is None:
        raise MismatchError
    return by_name if by_name is not None else by_value  # type: ignore[return-value]  # one of them is there


def _collection(written: Written, kind: Any, make: Make) -> Any:
    origin, arguments = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (dict, abc.Mapping, abc.MutableMapping):
        if not isinstance(written.form, Pairs):
            raise MismatchError("write {'key': value, …}")
        key, value = arguments or (UNKNOWN, UNKNOWN)
        return _dict(written.form, key, value, make)
    if not isinstance(written.form, Items):
        raise MismatchError("write [first, second, …]")
    is_listed_set = written.is_typed and origin in (set, frozenset)  # a file has only lists
    made = origin if is_listed_set else _kind(origin, written.form.kind)
    if origin is tuple and arguments and arguments[-1:] != (...,):
        return _row(written.form, arguments, make)
    item = arguments[0] if arguments else UNKNOWN
    return _collected(made, [_converted(each, item, make) for each in written.form.items])


def _kind(origin: type, written: type) -> type:
    """The type of a collection: the annotation's, or the written one where that is abstract."""
    if origin in (set, frozenset) and written is set:
        return origin
    if origin is tuple and written in (tuple, list):
        return tuple
    if origin is written or (origin in _MUTABLE and issubclass(written, origin)):
        return written
    raise MismatchError(f"it is a {written.__name__}")


def _row(form: Items, kinds: tuple[Any, ...], make: Make) -> tuple[Any, ...]:
    """A tuple of a given length: `tuple[int, str]`."""
    _kind(tuple, form.kind)
    wanted = () if kinds == ((),) else kinds
    if len(form.items) != len(wanted):
        raise MismatchError(f"it has {len(form.items)} values, not {len(wanted)}")
    return tuple(_converted(item, kind, make) for item, kind in zip(form.items, wanted, strict=True))


def _collected(kind: type, values: list[Any]) -> Any:
    try:
        collected = kind(values)
    except TypeError:
        raise MismatchError("a set cannot have such a value") from None
    if len(collected) != len(values):
        raise MismatchError("a value is written twice")
    return collected


def _nothing(written: Written, annotation: Any) -> Any:
    """Makes nothing: a key of a dict is no call."""
    del written, annotation
    return MISSING


def _dict(form: Pairs, key: Any, value: Any, make: Make) -> dict[Any, Any]:
    pairs = [(_converted(name, key, _nothing), _converted(item, value, make)) for name, item in form.pairs]
    try:
        made = dict(pairs)
    except TypeError:
        raise MismatchError("a dict cannot have such a key") from None
    if len(made) != len(form.pairs):
        raise MismatchError("a key is written twice")
    return made
