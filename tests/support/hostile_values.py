"""Values that no version of `exp` writes, and their places in documents and lines of JSON."""

from __future__ import annotations

import copy
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Pointer = tuple[str | int, ...]

MARK: Final = "\x02hostile\x02"  # stands for a text of JSON that the encoder does not write
RAW: Final = ("9" * 5000, "-1e999", "NaN", "[" * 10_000 + "]" * 10_000, '{"a":' * 900 + "1" + "}" * 900)

VALUES: Final[Sequence[Any]] = (
    None,
    True,
    0,
    -1,
    2**31,
    10**300,
    10**4000,
    0.5,
    -0.0,
    1e308,
    "",
    ".",
    "..",
    "../../../../../outside",
    "/etc/hostname",
    "a/../../../b",
    "attempt-1",
    "-oProxyCommand=touch hostile",
    "$(touch hostile)",
    "a\x00b",
    "\x1b]0;title\x07\x1b[31m\r\n",
    "\ud800",
    "\udcff",
    "\u202e\u2066",
    "x" * 100_000,
    "2026-99-99T00:00:00.000Z",
    "0001-01-01T00:00:00",
    "99999-01-01",
    [],
    {},
    [None],
    ["a", 1, {}],
    [[["a"]]],
    {"a": None},
    {"": {"..": ["/"]}},
    {"\ud800": "\x00"},
    {"secret": "TOKEN"},
)


def dumped(value: Any, raw: str | None = None) -> str:
    """The JSON of a value in which MARK, if `raw` is given, is replaced by that text."""
    text = json.dumps(value)
    return text if raw is None else text.replace(json.dumps(MARK), raw)


def pointers(value: Any, above: Pointer = ()) -> Iterator[Pointer]:
    """The places of all values in a document, the document's own first."""
    yield above
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield from pointers(item, (*above, key))


def replaced(document: Any, place: Pointer, value: Any) -> Any:
    """A copy of a document with another value at one place."""
    if not place:
        return value
    changed = copy.deepcopy(document)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return changed


def without(document: Any, place: Pointer) -> Any:
    """A copy of a document without the value at one place."""
    changed = copy.deepcopy(document)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    del parent[place[-1]]
    return changed


def batch(lines: Sequence[str]) -> bytes:
    """The lines of a ledger as one intact batch."""
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    return data + b'{"mark":%d,"crc":%d}\n' % (len(data), zlib.crc32(data))
