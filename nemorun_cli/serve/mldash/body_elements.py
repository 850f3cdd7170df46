"""Reads the JSON body of an append element by element, so that a large one is never in memory as a whole."""

from __future__ import annotations

import codecs
import json
from typing import IO, TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.tracking.store.json_values import MAX_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterator

WORTH_PARSING: Final = 1 << 15  # characters; with fewer, more is read first
FIRST_BLOCK: Final = 1 << 16  # bytes; a value that does not fit doubles what is read next
LONGEST_NUMBER: Final = 4_400  # characters of a number that cannot be complete
_OF_NUMBERS: Final = "+-.0123456789eE"
_BETWEEN: Final = ("},{", "}, {")  # as the clients' libraries write lists of objects
_SPACE: Final = " \t\n\r"
NO_VALUE: Final = object()  # in place of an integer that cannot be read: a row with it is not stored


def _integer(text: str) -> Any:
    return int(text) if len(text) <= MAX_DIGITS else NO_VALUE


_fast: Final = json.JSONDecoder().raw_decode
_careful: Final = json.JSONDecoder(parse_int=_integer).raw_decode


class JsonBody:
    """A JSON object, one of whose values is a list that may be long.

    Attributes:
        others: the values of the other keys, complete after the last element.
    """

    def __init__(self, stream: IO[bytes], key: str) -> None:
        self.others: dict[str, Any] = {}
        self._stream = stream
        self._key = key
        self._text = ""
        self._position = 0
        self._is_whole = False
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._block = FIRST_BLOCK

    def elements(self) -> Iterator[Any]:
        """The elements of the list, in order.

        Raises:
            InvalidValueError: as `batches`.
        """
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Any]]:
        """The elements of the list, in order, as many at once as are parsed at once.

        Raises:
            InvalidValueError: the body is not a JSON object, or the value of the key is no list.
        """
        try:
            self._expect("{")
            if self._next() == "}":
                return
            while True:
                key = self._value()
                if not isinstance(key, str):
                    raise _invalid("a key is not a text")
                self._expect(":")
                if key == self._key and self._next() == "[":
                    self._position += 1
                    yield from self._list()
                elif key == self._key:
                    raise _invalid(f"{key!r} is not a list")
                else:
                    self.others[key] = self._value()
                if self._separator("}"):
                    break
        except InvalidValueError:
            raise
        except (ValueError, RecursionError) as error:
            raise _invalid(str(error)) from error

    def _list(self) -> Iterator[list[Any]]:
        if self._next() == "]":
            self._position += 1
            return
        while True:
            yield self._several()
            yield [self._value()]
            if self._separator("]"):
                return

    def _several(self) -> list[Any]:
        """The objects in the text that is in memory, but for the last one, parsed at once.

        What parses as elements of a list up to a comma is these elements, whatever follows.
        """
        if len(self._text) - self._position < WORTH_PARSING:
            self._block = FIRST_BLOCK
            self._fill()
        end = max(self._text.rfind(between, self._position) for between in _BETWEEN)
        if end < 0:
            return []
        try:
            elements: list[Any] = json.loads(f"[{self._text[self._position : end + 1]}]")
        except (ValueError, RecursionError):
            return []
        self._position = end + 2
        return elements

    def _separator(self, end: str) -> bool:
        """Read a comma, or the end of a list or object; returns whether it was the end."""
        found = self._next()
        if found not in {",", end}:
            raise _invalid(f"there is {found!r} in place of ',' or {end!r}")
        self._position += 1
        return found == end

    def _expect(self, character: str) -> None:
        if (found := self._next()) != character:
            raise _invalid(f"there is {found!r} in place of {character!r}")
        self._position += 1

    def _next(self) -> str:
        """The next character that is no space; it is not consumed. Empty at the end."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in _SPACE:
                self._position += 1
            if self._position < len(self._text) or not self._fill():
                return self._text[self._position : self._position + 1]

    def _value(self) -> Any:
        self._next()
        self._block = FIRST_BLOCK
        while True:
            try:
                value, end = self._decoded()
            except json.JSONDecodeError:
                if not self._fill():
                    raise
                continue
            if isinstance(value, (int, float)) and self._is_cut(end) and self._fill():
                continue
            self._position = end
            return value

    def _is_cut(self, end: int) -> bool:
        """Whether a number may continue behind what was read."""
        return not self._text[end : end + LONGEST_NUMBER].strip(_OF_NUMBERS)

    def _decoded(self) -> tuple[Any, int]:
        try:
            return _fast(self._text, self._position)
        except json.JSONDecodeError:
            raise
        except ValueError:  # an integer of too many digits
            return _careful(self._text, self._position)

    def _fill(self) -> bool:
        """Read more, each time twice as much for one value; returns False at the end."""
        if self._is_whole:
            return False
        data = self._stream.read(self._block)
        self._block *= 2
        more = self._decoder.decode(data, final=not data)
        if not data:
            self._is_whole = True
            return False
        self._text = self._text[self._position :] + more
        self._position = 0
        return True


def _invalid(problem: str) -> InvalidValueError:
    return InvalidValueError(f"the body is not what this address takes: {problem}")
