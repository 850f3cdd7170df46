"""Parser of `$EXP_OUTPUT`, a task's outputs: `key=text`, `key:=json`, and lines from `key<<END` to `END`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from nemorun_cli.system import files, process_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_BYTES = 1_000_000
MAX_DEPTH = 64  # levels of nesting in JSON; deeper values cannot be passed to other tasks

_KEY = r"[A-Za-z_][A-Za-z0-9_.-]*"
_LINE = re.compile(rf"(?P<key>{_KEY})(?P<form>:=|<<|=)(?P<rest>.*)", re.ASCII | re.DOTALL)
_SHOWN = 60  # characters of a line in a message


class OutputsError(ValueError):
    """The file is invalid; `line` counts from 1 and is None if the whole file is at fault."""

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


def read(path: Path, *, inside: Path | None = None, shown: Callable[[str], str] = str) -> dict[str, Any]:
    """The outputs in a file; the last value of a repeated key is used.

    Args:
        path: the file, which is no link: a container could show with one what it cannot read itself.
        inside: the folder of the experiment; of the path below it no part may be a link.
        shown: a line as an error may show it, without the values of secrets.

    Raises:
        OutputsError: it cannot be read, is larger than MAX_BYTES, is not UTF-8 or has an invalid line.
        OSError: this machine lacks what it needs to read it now.
    """
    try:
        with files.open_to_read(path, follows_link=False, inside=inside) as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        if process_limits.is_shortage(error):
            raise
        raise OutputsError(error.strerror or str(error)) from None
    if len(content) > MAX_BYTES:
        raise OutputsError(f"it is larger than {MAX_BYTES:,} bytes")
    try:
        return parse(content.decode("utf-8"), shown=shown)
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise OutputsError("is not UTF-8", line=line) from None


def parse(text: str, *, shown: Callable[[str], str] = str) -> dict[str, Any]:
    """The outputs in a text; `shown` is as in `read`; raises OutputsError."""
    values: dict[str, Any] = {}
    # Only \n ends a line: splitlines would also split at Unicode's other separators.
    lines = enumerate(text.split("\n"), start=1)
    for number, line in lines:
        stripped = line.removesuffix("\r")
        if not stripped.strip():
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            quoted = shown(stripped)  # first: a secret that is cut is not recognized
            quoted = quoted if len(quoted) <= _SHOWN else quoted[: _SHOWN - 1] + "…"
            raise OutputsError(
                f"{quoted!r} is not an output (write key=text, key:=json or key<<END)", line=number
            )
        key, rest = match["key"], match["rest"]
        if match["form"] == "=":
            values[key] = rest
        elif match["form"] == ":=":
            values[key] = _json(rest, key, number)
        else:
            values[key] = _text_until(rest.strip(), key, number, lines, shown=shown)
    return values


def _json(text: str, key: str, line: int) -> Any:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as fault:
        message = f"the value of {key} is not JSON: {fault.msg} at column {fault.colno}"
        raise OutputsError(message, line=line) from None
    except (ValueError, RecursionError) as fault:
        raise OutputsError(f"the value of {key} is not JSON: {fault}", line=line) from None
    if _depth_exceeds(value, MAX_DEPTH):
        raise OutputsError(f"the value of {key} is nested more than {MAX_DEPTH} levels deep", line=line)
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


def _text_until(
    delimiter: str, key: str, line: int, lines: Iterator[tuple[int, str]], *, shown: Callable[[str], str]
) -> str:
    """The lines up to the delimiter, without the newline before it."""
    if not delimiter:
        raise OutputsError(f"{key}<< has no delimiter (write {key}<<END)", line=line)
    kept: list[str] = []
    for _, text in lines:
        if text.removesuffix("\r") == delimiter:
            return "\n".join(kept)
        kept.append(text)
    raise OutputsError(f"the text of {key} is not closed: no line is {shown(delimiter)!r}", line=line)
