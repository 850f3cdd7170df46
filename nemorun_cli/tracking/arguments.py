"""Checks of arguments that describe a record, a file or a series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking.store.json_values import plain
from nemorun_cli.tracking.store.sessions import RESUME

if TYPE_CHECKING:
    from collections.abc import Callable


def _text(name: str, value: object) -> str | None:
    """A text, or None.

    Raises:
        TypeError: it is something else; the message has the name of the argument.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} is a text, not {type(value).__qualname__}: {shown(value)}")
    return None if value is None else str.__str__(value)


def _texts(name: str, values: object) -> list[str] | None:
    """A list of texts from any iterable, or None.

    Raises:
        TypeError: it is something else; the message has the name of the argument.
    """
    if values is None:
        return None
    items = [*values] if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else [None]
    if not all(isinstance(item, str) for item in items):
        raise TypeError(f"{name} is a list of texts, not {shown(values)}")
    return [str.__str__(item) for item in items]


def _resume(name: str, value: object) -> str:
    """Whether a record may, must or must not exist.

    Raises:
        InvalidValueError: it is none of these words.
    """
    if value not in RESUME:
        raise InvalidValueError(f"{name} is one of {', '.join(RESUME)}, not {shown(value)}")
    return str(value)


_CHECKS: dict[str, Callable[[str, object], Any]] = {
    "description": _text,
    "tags": _texts,
    "bindrs": _texts,
    "resume": _resume,
    "metadata": lambda name, value: None if value is None else plain(value, name),
}


def checked(name: str, value: object) -> Any:
    """An argument of an experiment as a plain value.

    Raises:
        TypeError: it has another type; the message has its name.
        InvalidValueError: `resume` is an unknown word.
    """
    return _CHECKS[name](name, value)


def description(values: Mapping[str, Any]) -> dict[str, Any]:
    """The description, tags, bindrs and metadata of something, as plain values.

    Raises:
        TypeError: one has another type; the message has its name.
    """
    return {name: _CHECKS[name](name, value) for name, value in values.items()}


def seconds(name: str, value: object) -> float | None:
    """A number of seconds, or None.

    Raises:
        TypeError: it is no number.
        InvalidValueError: it is negative, or NaN.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number of seconds, not {type(value).__qualname__}: {shown(value)}")
    if not value >= 0:
        raise InvalidValueError(f"{name} is a number of seconds that is not negative, not {shown(value)}")
    return float(value)
