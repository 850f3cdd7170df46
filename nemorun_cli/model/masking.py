"""Masking of secret values in text: the values, their lines, the parts of an address, and quoted forms."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


SHORTEST_MASKED: Final = 6  # characters; masking shorter values would mask half of a log
SHORTEST_PATH: Final = 8  # characters of the path, query or fragment of an address
SHORTEST_WORD: Final = 12  # characters of one name in a path, or one value in a query: `services` stays


MASK: Final = "***"
CUT: Final = "…"  # where a message was shortened

_ADDRESS: Final = (  # compiled when there are secrets
    r"\s*[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_HEX: Final = re.compile("%[0-9A-F]{2}")


def mask(text: str, values: Iterable[str]) -> str:
    """The text with every form of each value masked; see `forms`."""
    return hide(text, forms(values))


def hide(text: str, hidden: Sequence[str]) -> str:
    """The text with these texts masked, such as `forms` returns; those that overlap are masked as one."""
    spans = sorted(span for form in hidden if form in text for span in _spans(text, form))
    if not spans:
        return text
    pieces, end = [], 0
    for first, last in spans:
        if first >= end:
            pieces += [text[end:first], MASK]
        end = max(end, last)
    return "".join([*pieces, text[end:]])


def mask_message(text: str, values: Iterable[str]) -> str:
    """A message, masked; also what is left of a value at a place where the message was shortened."""
    hidden = forms(values)
    if not hidden:
        return text
    parts = hide(text, hidden).split(CUT)
    last = len(parts) - 1
    masked = [
        _without_start(_without_end(part, hidden), hidden if number else ())
        for number, part in enumerate(parts)
    ]
    return CUT.join(masked) if last else masked[0]


def mask_texts(value: Any, values: Iterable[str]) -> Any:
    """A JSON value with its texts masked, but not its keys and numbers."""
    if isinstance(value, str):
        return mask(value, values)
    if isinstance(value, dict):
        return {key: mask_texts(item, values) for key, item in value.items()}
    return [mask_texts(item, values) for item in value] if isinstance(value, list) else value


def contains(text: str, values: Iterable[str]) -> bool:
    """Whether `mask` would change the text."""
    return any(form in text for form in forms(values))


def forms(values: Iterable[str]) -> tuple[str, ...]:
    """The texts that are masked for these values, the longest first; none is shorter than SHORTEST_MASKED.

    These are each value and each of its lines, the parts of a value that is an address, and the forms that
    JSON, Python, a shell and an address give to all of these. Other encodings, as base64, are not among them.
    """
    return _forms(frozenset(values))


def forms_in_line(values: Iterable[str]) -> tuple[str, ...]:
    """The forms that can occur within one line."""
    return tuple(form for form in forms(values) if "\n" not in form)


_known: set[str] = set()


def remember(values: Iterable[str]) -> None:
    """Note the values of secrets that this process has read, for `mask_known`."""
    _known.update(values)


def mask_known(text: str) -> str:
    """The text with the values masked that this process has read: for its last messages and fault files."""
    return mask(text, _known)


def mask_document(document: Any) -> Any:
    """A JSON document with the texts masked as by `mask_known`."""
    return mask_texts(document, _known)


@lru_cache(maxsize=32)
def _forms(values: frozenset[str]) -> tuple[str, ...]:
    parts = {part for value in values for part in (value, *value.splitlines(), *_address_parts(value))}
    parts |= {" ".join(part.split()) for part in parts} | {part.strip() for part in parts}  # as messages are
    found = {form for part in parts if len(part) >= SHORTEST_MASKED for form in _written(part)}
    return tuple(sorted(found, key=lambda form: (-len(form), form)))


def _address_parts(value: str) -> Iterator[str]:
    """The parts of an address by which somebody could use it, as long as they are no ordinary words."""
    match = re.fullmatch(_ADDRESS, value, re.DOTALL)
    if match is None:
        return
    from urllib.parse import unquote  # noqa: PLC0415 - only for addresses

    for part in _secret_parts(
        match["authority"], match["path"], match["query"] or "", match["fragment"] or ""
    ):
        yield from (part, unquote(part))


def _secret_parts(authority: str, path: str, query: str, fragment: str) -> Iterator[str]:
    user = authority.rpartition("@")[0]
    name, _, password = user.partition(":")
    yield from (user, password) if password else ()
    yield from (part for part in (path, query, fragment) if len(part) >= SHORTEST_PATH)
    words = [name, *path.split("/"), *(pair.rpartition("=")[2] for pair in re.split("[&;]", query))]
    yield from (word for word in words if len(word) >= SHORTEST_WORD)


def _written(part: str) -> set[str]:
    """A text as it is and as JSON, Python, a shell and an address write it inside of their quotes."""
    if part.isascii() and part.isalnum():
        return {part}
    from urllib.parse import quote, quote_plus  # noqa: PLC0415 - only for values with other characters

    by_python = [repr(piece)[1:-1] for piece in part.split("'")]  # without ', no quote is escaped
    in_ascii = [ascii(piece)[1:-1] for piece in part.split("'")]
    encoded = part.encode("utf-8", errors="surrogateescape")
    in_addresses = [quote(encoded, safe=""), quote(encoded), quote_plus(encoded)]
    return {
        part,
        encoded.decode(errors="replace"),  # as a log is read
        json.dumps(part)[1:-1],
        json.dumps(part, ensure_ascii=False)[1:-1],
        *(quoted.join(pieces) for pieces in (by_python, in_ascii) for quoted in ("'", r"\'", "'\"'\"'")),
        part.replace("'", "'\"'\"'"),
        part.replace("\\\\", "\\"),  # as `echo` of a POSIX shell prints it
        *in_addresses,
        *(_HEX.sub(lambda code: code[0].lower(), text) for text in in_addresses),
    }


def _spans(text: str, form: str) -> Iterator[tuple[int, int]]:
    """Where the form is in the text; occurrences that overlap are one."""
    start, size = text.find(form), len(form)
    while start >= 0:
        end = start + size
        while (following := text.find(form, end - size + 1, end + size - 1)) >= 0:
            end = following + size
        yield start, end
        start = text.find(form, end)


def _without_end(text: str, hidden: Iterable[str]) -> str:
    """The text without the beginning of a value at its end."""
    first = min((_start_of_rest(text, form) for form in hidden), default=len(text))
    return text[:first] + MASK if first < len(text) else text


def _without_start(text: str, hidden: Iterable[str]) -> str:
    """The text without the end of a value at its beginning."""
    last = max((_end_of_rest(text, form) for form in hidden), default=0)
    return MASK + text[last:] if last else text


def _start_of_rest(text: str, form: str) -> int:
    """Where at the end of the text the longest beginning of a form begins; the text's length without one."""
    start = text.find(form[:SHORTEST_MASKED], max(0, len(text) - len(form)))
    while start >= 0 and not form.startswith(text[start:]):
        start = text.find(form[:SHORTEST_MASKED], start + 1)
    return start if start >= 0 else len(text)


def _end_of_rest(text: str, form: str) -> int:
    """Where at the beginning of the text the longest end of a form ends; 0 without one."""
    start = text.rfind(form[-SHORTEST_MASKED:], 0, len(form))
    while start >= 0 and not form.endswith(text[: start + SHORTEST_MASKED]):
        start = text.rfind(form[-SHORTEST_MASKED:], 0, start + SHORTEST_MASKED - 1)
    return start + SHORTEST_MASKED if start >= 0 else 0
