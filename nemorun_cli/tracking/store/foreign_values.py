"""Converts arrays, times, exact numbers and paths to simpler values, without importing their libraries."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.store.object_fields import guarded, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

_AS_TEXT: Final = frozenset(
    {("torch", "device"), ("torch", "dtype"), ("uuid", "UUID"), ("collections", "UserString")}
)
_MISSING: Final = frozenset({"NaTType", "NAType"})  # of pandas
_LONGER: Final = {"W": 604_800, "D": 86_400, "h": 3_600, "m": 60, "s": 1}  # seconds in a unit of NumPy
_SHORTER: Final = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
_ALLOWED: Final = (
    "numbers, texts, booleans, None, lists, mappings, dataclasses, enums, paths, dates, arrays and tensors"
)


def is_array(kind: type) -> bool:
    """Whether objects of a class are arrays, tensors, or scalars of them."""
    return hasattr(kind, "tolist") and hasattr(kind, "dtype")


def array(value: Any, where: str) -> Any:
    """An array or tensor as a list, and a scalar as a number, text or time.

    Raises:
        TypeError: it has no such form: it is sparse, complex, or on no device.
    """
    return guarded(lambda: _array(value), value, where)


def _array(value: Any) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        kind = value.dtype.kind
        if kind in "mM" or value.dtype.names:
            return list(value) if value.ndim else _numpy_scalar(numpy, value)
        if kind == "c":
            raise TypeError("complex numbers have no JSON form: record .real and .imag")
    if hasattr(type(value), "iloc"):
        return _pandas_series(value)
    if hasattr(type(value), "detach"):  # a tensor that may require gradients or be on a GPU
        value = value.detach().cpu()
    converted = value.tolist()
    if type(converted) is not type(value):
        return converted
    return int(converted) if hasattr(converted, "__index__") else _nearest_float(converted)


def _numpy_scalar(numpy: Any, value: Any) -> Any:
    """A record, a point in time or a duration of NumPy, in any unit."""
    if value.dtype.names:
        return {name: value[name] for name in value.dtype.names}
    if numpy.isnat(value):
        return None
    converted = value.tolist()
    if value.dtype.kind == "M":
        return _iso_text(str(value)) if isinstance(converted, int) else converted
    unit, count = numpy.datetime_data(value.dtype)
    number = int(value.astype("int64")) * int(count)
    if unit == "generic":
        return number
    if unit not in _LONGER and unit not in _SHORTER:
        raise TypeError("a duration in months or years is no number of seconds")
    return float(number * _LONGER[unit]) if unit in _LONGER else number / _SHORTER[unit]


def _iso_text(text: str) -> str:
    """The text of a NumPy time, with as many digits of the second as Python or pandas would write."""
    seconds, _, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    if not digits:
        return seconds
    return f"{seconds}.{digits.ljust(max(6, -(-len(digits) // 3) * 3), '0')}"


def _pandas_series(value: Any) -> Any:
    """A series as a list, or as a mapping if it has labels."""
    labels = value.index.tolist()
    if labels == list(range(len(labels))):
        return value.tolist()
    if len(set(labels)) < len(labels):
        raise ValueError("its index has a label twice")
    return dict(zip(labels, value.tolist(), strict=True))


def convert(value: Any, where: str) -> Any:
    """Convert a path, a time, an exact number or the like.

    Raises:
        TypeError: there is no conversion, or the value would not be the same; the message names the field.
    """
    kind = type(value)
    if (kind.__module__, kind.__name__) in _AS_TEXT:
        return guarded(lambda: str(value), value, where)
    if kind.__name__ in _MISSING and kind.__module__.startswith("pandas."):
        return None
    converter = None if isinstance(value, type) else _converter(kind)
    if converter is None:
        raise TypeError(f"{where}: {kind_of(value)} cannot be recorded {_reason(value)}")
    return guarded(lambda: converter(value), value, where)


def _converter(kind: type) -> Callable[[Any], Any] | None:
    if issubclass(kind, os.PathLike):
        return os.fsdecode
    for name, converter in _CONVERTERS:
        if hasattr(kind, name):
            return converter
    return None


def _reason(value: Any) -> str:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "(decode it to a text, or save it with experiment.files.save_blob)"
    if isinstance(value, complex):
        return "(record .real and .imag)"
    if hasattr(type(value), "__next__"):
        return "(it can be read only once: pass list(…) of it)"
    return f"(allowed: {_ALLOWED})"


def _nearest_float(value: Any) -> float:
    """The nearest float of an exact number, unless it would be infinite or zero instead of the number."""
    number = float(value)
    if value != number and (number in {float("inf"), float("-inf")} or (number == 0 and value != 0)):
        raise ValueError(f"{value!s:.40} is outside the range of floats: record its text, str(…)")
    return number


_CONVERTERS: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    ("total_seconds", lambda value: float(value.total_seconds())),
    ("isoformat", lambda value: str(value.isoformat())),
    ("__index__", int),
    ("as_integer_ratio", _nearest_float),
)
