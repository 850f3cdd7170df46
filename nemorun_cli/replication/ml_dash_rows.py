"""From the rows of ML-Dash's clients to lines of a record's files."""

from __future__ import annotations

import datetime as dt
import json
import time
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking.logs import LEVELS
from nemorun_cli.tracking.params import flattened
from nemorun_cli.tracking.store import json_values
from nemorun_cli.tracking.store.json_values import MAX_DEPTH, encode_row, plain
from nemorun_cli.tracking.store.row_files import LARGEST_TIME
from nemorun_cli.tracking.timestamps import as_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Encode = Callable[[Any], bytes]
    EncodePlain = Callable[[list[Any]], list[bytes] | None]

_encoder: Final = json.JSONEncoder(check_circular=False, allow_nan=False, separators=(",", ":"))
_LARGEST_ROW: Final = 1 << 20  # bytes
_LEVELS: Final = {**{level: level for level in LEVELS}, "warning": "warn", "critical": "fatal"}


def _encoding() -> Callable[[Any], str]:
    """What encodes a value; the encoder is made once, and not for each value as by `JSONEncoder`."""
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return _encoder.encode
    chunks = make(
        None, _encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
    )
    return lambda value: "".join(chunks(value, 0))


_encode: Final = _encoding()


class RefusedRowError(Exception):
    """A row that cannot be stored; its text is the reason."""


def metric_line(point: Any) -> bytes:
    """A data point of a metric.

    Raises:
        RefusedRowError: a value of it cannot be stored.
    """
    if type(point) is dict:
        moment = point.get("_ts")
        if type(moment) is float and 0.0 <= moment <= LARGEST_TIME:
            line = _fast_line({"_ts": moment, **point})
            if line is not None:
                return line
    fields = _fields(point)
    moment = _moment(fields.pop("_ts", None))
    return _line(moment, fields, is_metric=True)


def plain_metric_lines(points: list[Any]) -> list[bytes] | None:
    """The lines of data points, in half of the time; None unless each has a time, and all values are plain.

    They are encoded as one list, and divided where an object follows another one: there is no other `{` then.
    """
    try:
        rows = [{"_ts": point["_ts"], **point} for point in points]
        text = _encode(rows)
    except (TypeError, ValueError, LookupError, RecursionError):
        return None
    is_flat = text.count("{") == len(rows) and text.count("[") == 1
    if not is_flat or '"":' in text or len(text) > _LARGEST_ROW or _has_spelled(text):
        return None
    for row in rows:
        moment = row["_ts"]
        if type(moment) is not float or not 0.0 <= moment <= LARGEST_TIME:
            return None
    lines = text[1:-1].replace("},{", "}\n{")
    return f"{lines}\n".encode("ascii").splitlines(keepends=True) if rows else []


def track_line(entry: Any) -> bytes:
    """An entry of a track; its time is its field `timestamp`.

    Raises:
        RefusedRowError: it has no time, or a value of it cannot be stored.
    """
    fields = _fields(entry)
    if "timestamp" not in fields:
        raise RefusedRowError("it has no timestamp")
    return _line(_moment(fields.pop("timestamp")), fields)


def log_line(entry: Any) -> bytes:
    """A line of the log. An unknown level becomes `info`, and the metadata keep it.

    Raises:
        RefusedRowError: it has no message, or a value of it cannot be stored.
    """
    fields = _fields(entry)
    message, metadata = fields.get("message"), fields.get("metadata")
    if not isinstance(message, str):
        raise RefusedRowError("its message is not a text")
    written = fields.get("level", "info")
    level = _LEVELS.get(written.lower()) if isinstance(written, str) else None
    line: dict[str, Any] = {"level": level or "info", "message": message}
    extra = {name: value for name, value in fields.items() if name not in _OF_LOGS}
    if level is None:
        extra["level"] = written
    if extra:
        metadata = {**metadata, **extra} if isinstance(metadata, dict) else {"metadata": metadata, **extra}
    if metadata:
        line["metadata"] = metadata
    return _line(_stamp(fields.get("timestamp")), line)


_OF_LOGS: Final = frozenset({"timestamp", "level", "message", "metadata", "sequenceNumber"})


def params_line(data: Mapping[str, Any]) -> tuple[bytes | None, list[str]]:
    """The line that sets params, None if there is nothing to set, and why others cannot be set."""
    accepted: dict[str, Any] = {}
    refused: list[str] = []
    for name, value in data.items():
        try:
            flat = flattened({name: value})
        except (TypeError, InvalidValueError, RecursionError) as error:
            refused.append(f"{name!r:.80}: {error}")
            continue
        accepted |= flat
    for name in sorted(accepted):
        parts = name.split(".")
        above = next(
            (".".join(parts[:end]) for end in range(1, len(parts)) if _is_value(parts[:end], accepted)), None
        )
        if above is not None:
            refused.append(f"{above!r:.80} is also a group of params, as {name!r:.80} is set")
            del accepted[above]
    return (encode_row(time.time(), {"set": accepted}) if accepted else None), refused


def _is_value(parts: list[str], flat: Mapping[str, Any]) -> bool:
    name = ".".join(parts)
    return name in flat and not isinstance(flat[name], dict)


def _fields(row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise RefusedRowError("it is not a JSON object")
    return dict(row)


def _moment(value: Any) -> float:
    if value is None:
        return time.time()
    try:
        moment = as_moment(value)
    except TypeError as error:
        raise RefusedRowError(str(error)) from None
    if not -LARGEST_TIME <= moment <= LARGEST_TIME:
        raise RefusedRowError(f"its time is {moment}, which is not a number of seconds")
    return moment


def _stamp(value: Any) -> float:
    """A time of a log line: a text as in ISO 8601, or Unix seconds."""
    if not isinstance(value, str):
        return _moment(value)
    try:
        moment = dt.datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    except (ValueError, OverflowError):
        raise RefusedRowError(f"its timestamp is {value!r:.80}, not a time as in ISO 8601") from None


def _fast_line(row: Mapping[str, Any]) -> bytes | None:
    """The line of a row as it is, in a quarter of the time; None if one of its values needs a closer look."""
    try:
        text = _encode(row)
    except (TypeError, ValueError, RecursionError):
        return None
    if (
        _has_spelled(text)
        or text.count("[") + text.count("{") > MAX_DEPTH
        or "" in row
        or len(text) >= _LARGEST_ROW
    ):
        return None
    return f"{text}\n".encode("ascii")


def _has_spelled(text: str) -> bool:
    """Whether a value may be one that is written in another way; most texts have none of the characters."""
    has_mark = "$" in text or "N" in text or "I" in text
    return has_mark and json_values.needs_unwrapping(text)


def _line(moment: float, fields: Mapping[str, Any], *, is_metric: bool = False) -> bytes:
    line = None if "_ts" in fields else _fast_line({"_ts": moment, **fields})
    if line is not None and len(line) <= _LARGEST_ROW:
        return line
    try:
        line = encode_row(moment, fields, is_metric=is_metric)
    except (TypeError, ValueError, RecursionError) as error:
        raise RefusedRowError(str(error)) from None
    if len(line) > _LARGEST_ROW:
        raise RefusedRowError(f"it has {len(line):,} bytes, and a row at most {_LARGEST_ROW:,}")
    return line


def plain_about(values: Mapping[str, Any]) -> dict[str, Any]:
    """The description, tags, bindrs and metadata in a request; what has another type is left out.

    Raises:
        InvalidValueError: the metadata cannot be stored.
    """
    about: dict[str, Any] = {}
    if isinstance(values.get("description"), str):
        about["description"] = values["description"]
    for name in ("tags", "bindrs"):
        texts = values.get(name)
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            about[name] = texts
    if values.get("metadata") is not None:
        try:
            about["metadata"] = plain(values["metadata"], "metadata")
        except (TypeError, RecursionError) as error:
            raise InvalidValueError(f"metadata cannot be stored: {error}") from None
    return about
