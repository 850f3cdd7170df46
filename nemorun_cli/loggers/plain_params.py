"""Hyperparameters and rows as a trainer passes them, made of values that can be recorded."""

from __future__ import annotations

import re
import warnings
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.store.json_values import plain
from nemorun_cli.tracking.store.object_fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_PARAMS: Final = 1_000  # at the top level, where a class of settings has a hundred fields
MAX_ITEMS: Final = 100  # in each group and list below: the names of a thousand classes are one text
MAX_LEVELS: Final = 8  # of nesting; deeper values are texts
MAX_TEXT: Final = 10_000  # characters of a text
MAX_OBJECT: Final = 500  # characters of the text that stands for an object

_ADDRESS: Final = re.compile(r" at 0x[0-9a-f]+")  # differs in each run


def recordable_params(values: object) -> dict[str, Any]:
    """Hyperparameters as nested mappings of plain values.

    An object that cannot be recorded becomes a text, and so does a group or a list that is too large.
    """
    fields = _fields(values)
    if fields is None:
        warn(f"hyperparameters are a mapping, not {_name(type(values))}: they were not recorded")
        return {}
    if len(fields) > MAX_PARAMS:
        warn(f"only the first {MAX_PARAMS} of {len(fields)} hyperparameters were recorded")
    return {str(key): _bounded(value, 1) for key, value in islice(fields.items(), MAX_PARAMS)}


def recordable_row(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of a row; a value that cannot be recorded becomes a text, with a warning."""
    row = {}
    for key, value in fields.items():
        name = str(key)
        if not name:
            warn("a metric with an empty name was not recorded")
            continue
        if name == "_ts":
            warn("the metric '_ts' was not recorded: it is the time of the row")
            continue
        try:
            row[name] = plain(value, name)
        except (TypeError, ValueError) as error:
            row[name] = _text(value)
            warn(f"the metric {name!r} was recorded as a text: {error}")
    return row


def warn(message: str) -> None:
    """Say what is missing from the record, at the place of a user's program that cannot be known."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _fields(value: object) -> Mapping[Any, Any] | None:
    """The fields of a mapping or settings object, also of one that only behaves like a mapping."""
    fields = fields_of(value)
    if fields is None and hasattr(value, "keys") and hasattr(value, "__getitem__"):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 - it need not be iterable
    return fields


def _bounded(value: Any, level: int) -> Any:
    """A plain value that stands for this one, not larger than the bounds."""
    if isinstance(value, str):
        return _cut(str.__str__(value), MAX_TEXT)
    try:
        return _bounded_parts(value, level)
    except Exception:  # noqa: BLE001 - objects of any library: none of their errors may end a training
        return _text(value)


def _bounded_parts(value: Any, level: int) -> Any:
    fields = None if isinstance(value, type) else _fields(value)
    items = value if isinstance(value, (list, tuple, set, frozenset)) else None
    parts = fields if fields is not None else items
    if parts is None:
        size = getattr(value, "shape", None)
        return _text(value) if size is not None and _count(size) > MAX_ITEMS else plain(value, "")
    if len(parts) > MAX_ITEMS or level >= MAX_LEVELS:
        return _text(value)
    if fields is not None:
        return {str(key): _bounded(item, level + 1) for key, item in fields.items()}
    return [_bounded(item, level + 1) for item in parts]


def _count(shape: Any) -> int:
    count = 1
    for length in shape:
        count *= int(length)
    return count


def _text(value: object) -> str:
    """A text for people that stands for an object, the same one in each run."""
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return _name(value)
    try:
        text = _ADDRESS.sub("", repr(value))
    except Exception:  # noqa: BLE001 - as above
        text = f"<{_name(type(value))}>"
    return _cut(text, MAX_OBJECT)


def _name(value: Any) -> str:
    module = getattr(value, "__module__", None)
    return value.__qualname__ if module in {None, "builtins"} else f"{module}.{value.__qualname__}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
