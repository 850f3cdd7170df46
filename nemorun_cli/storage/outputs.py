"""What a task wrote to `$EXP_OUTPUT`: `key=text`, `key:=json`, and lines from `key<<END` to `END`."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 64  # of JSON; deeper values cannot be handed on

_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*"
_LINE = re.compile(rf"(?P<key>{_KEY})(?P<form>:=|<<|=)(?P<rest>.*)", re.ASCII | re.DOTALL)
_SHOWN = 60  # characters of a line in a message


class OutputsError(ValueError):
    """The file cannot be used; `line` counts from 1 and is None where the whole file is meant."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


def read(path: Path) -> dict[str, Any]:
    """The outputs in a file; of a key that is there twice the last counts.

    Raises:
        OutputsError: it is no file, larger than MAX_BYTES or no UTF-8, or something in it is no output.
        OSError: it cannot be read.
    """
    with open(path, "rb", opener=_open) as stream:  # only this one takes an opener
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OutputsError("it is no file")
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OutputsError(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        return parse(content.decode("utf-8"))
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise OutputsError("is not UTF-8", line=line) from None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO may never have a writer


def parse(text: str) -> dict[str, Any]:
    """The outputs in a text; raises OutputsError."""
    values: dict[str, Any] = {}
    # Only \n ends a line: splitlines would tear a text at every separator that Unicode knows.
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        stripped = line.removesuffix("\r")
        if not stripped.strip():
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            shown = stripped if len(stripped) <= _SHOWN else stripped[: _SHOWN - 1] + "…"
            raise OutputsError(f"{shown!r} is no output (write key=text, key:=json or key<<END)", line=number)
        key, rest = found["key"], found["rest"]
        if found["form"] == "=":
            values[key] = rest
        elif found["form"] == ":=":
            values[key] = _json(rest, key, number)
        else:
            values[key] = _until(rest.strip(), key, number, lines)
    return values


def _json(text: str, key: str, line: int) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as fault:
        message = f"the value of {key} is no JSON: {fault.msg} at column {fault.colno}"
        raise OutputsError(message, line=line) from None
    except (ValueError, RecursionError) as fault:
        raise OutputsError(f"the value of {key} is no JSON: {fault}", line=line) from None
    if _depth_exceeds(value, MAX_DEPTH):
        raise OutputsError(f"the value of {key} is nested more than {MAX_DEPTH} deep", line=line)
    return value


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [item for entry in level for item in _items(entry)]
        if not level:
            return False
    return True


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _until(end: str, key: str, line: int, lines: Iterator[tuple[int, str]]) -> str:
    """The lines up to the one that is `end`, without the newline before it."""
    if not end:
        raise OutputsError(f"{key}<< names no end (write {key}<<END)", line=line)
    kept: list[str] = []
    for _, text in lines:
        if text.removesuffix("\r") == end:
            return "\n".join(kept)
        kept.append(text)
    raise OutputsError(f"the text of {key} has no end: no line is {end!r}", line=line)
