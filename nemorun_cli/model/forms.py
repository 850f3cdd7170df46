"""Forms of stored values that are safe to use: types, sizes, and texts that become parts of paths.

They are not the rules of a spec, which later versions may tighten: what an older version accepted has them.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.model.clock import unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DEEPEST: Final = 128  # levels of nesting; the values in specs and outputs have at most 64
MOST: Final = 10**18  # of a number: bytes, seconds, counts
LATEST: Final = 250_000_000_000  # Unix seconds that every calendar can represent, in the year 9892
LARGEST_PID: Final = 2**31 - 1
MOST_ATTEMPTS: Final = 10**9
LONGEST_PART: Final = 255  # bytes of a part of a path
SHOWN: Final = 60  # characters of a value in a message

# The stamps that `exp` writes, of days that each month has: `datetime` is not needed for them.
_STAMP: Final = re.compile(
    r"(?:19[7-9]\d|2\d{3})"
    r"-(?:(?:0[1-9]|1[0-2])-(?:[01][1-9]|10|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30))"
    r"T(?:[01]\d|2[0-3])(?::[0-5]\d){2}\.\d{3}Z",
    re.ASCII,
)
_is_stamp: Final = _STAMP.fullmatch

# Paths such as ids of tasks are: short parts of signs that are safe, none of which begins with a period.
_PLAIN_PART: Final = r"[\w~+=,-][\w.~+=,-]{0,199}"
_is_plain_path: Final = re.compile(f"{_PLAIN_PART}(?:/{_PLAIN_PART})*", re.ASCII).fullmatch


class Form(NamedTuple):
    """A form of values: its test, and its name in messages, such as `a text`.

    Every value of a type in `types` has the form: a ledger has many, which are not tested one by one.
    """

    fits: Callable[[Any], bool]
    title: str
    types: frozenset[type] = frozenset()

    def __or__(self, other: object) -> Form:
        """The values of either form; None stands for the value None."""
        second = NOTHING if other is None else other
        if not isinstance(second, Form):
            return NotImplemented
        return Form(
            lambda value: self.fits(value) or second.fits(value),
            f"{self.title} or {second.title}",
            self.types | second.types,
        )

    def flaw(self, place: str, value: Any) -> str | None:
        """What is wrong with a value; None if it has this form."""
        return None if self.fits(value) else f"{place} is {shown(value)}, not {self.title}"


def shown(value: Any) -> str:
    """A value in a message, in at most SHOWN characters."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if type(value) is int and abs(value) > MOST:
        return "a number of many digits"
    text = ascii(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def list_of(item: Form, title: str) -> Form:
    """Lists whose items have a form."""
    fits, types = item.fits, item.types
    return Form(
        lambda value: (
            isinstance(value, list) and (types.issuperset(map(type, value)) or all(map(fits, value)))
        ),
        title,
    )


def mapping_of(item: Form, title: str) -> Form:
    """Objects whose values have a form."""
    fits, types = item.fits, item.types
    return Form(
        lambda value: (
            isinstance(value, dict)
            and (types.issuperset(map(type, value.values())) or all(map(fits, value.values())))
        ),
        title,
    )


def record(fields: Mapping[str, Form], title: str, *, required: tuple[str, ...] = ()) -> Form:
    """Objects whose fields have these forms; other fields are those of a later version."""

    def fits(value: Any) -> bool:
        return next(flaws(value, fields, required=required), None) is None

    return Form(fits, title)


def flaws(
    values: Any, fields: Mapping[str, Form], *, place: str = "", required: tuple[str, ...] = ()
) -> Iterator[str]:
    """What is wrong with the fields of an object; `place` is its own, with a period at its end."""
    if not isinstance(values, dict):
        yield f"{place.rstrip('.') or 'it'} is {shown(values)}, not an object"
        return
    for name in required:
        if name not in values:
            yield f"{place}{name} is missing"
    for name, value in values.items():
        form = fields.get(name)
        if form is not None and type(value) not in form.types and not form.fits(value):
            yield form.flaw(f"{place}{name}", value) or ""


def is_number(value: Any) -> bool:
    """Whether it is a number that can be calculated with: finite, and not enormous."""
    kind = type(value)
    return (kind is int or kind is float) and -MOST <= value <= MOST


def is_float(value: Any) -> bool:
    """Whether it is a finite number, as large as floats can be."""
    kind = type(value)
    return (kind is int or kind is float) and -sys.float_info.max <= value <= sys.float_info.max


def is_time(value: Any) -> bool:
    """Whether it is a stamp that can be calculated with."""
    if type(value) is not str:
        return False
    if _is_stamp(value):
        return True
    try:
        return 0 <= unix(value) <= LATEST
    except (ValueError, OverflowError, OSError):
        return False


def is_path_part(value: Any) -> bool:
    """Whether a text can be the name of a file or folder, and leads nowhere else."""
    return (
        type(value) is str
        and value not in {"", ".", ".."}
        and "/" not in value
        and value.isprintable()
        and len(value.encode()) <= LONGEST_PART
    )


def is_inside(value: Any) -> bool:
    """Whether a text is a relative path that stays inside of the folder it is joined to."""
    return type(value) is str and (_is_plain_path(value) is not None or _are_path_parts(value))


@lru_cache(maxsize=1 << 15)  # several events are about the same task
def _are_path_parts(path: str) -> bool:
    return all(map(is_path_part, path.split("/")))


def is_path(value: Any) -> bool:
    """Whether a text can be a path of this machine; paths need not be UTF-8."""
    if type(value) is not str or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


_SCALARS: Final = frozenset((str, int, float, bool, type(None)))


def is_shallow(value: Any) -> bool:
    """Whether a value is nested at most DEEPEST levels deep."""
    if not value or not isinstance(value, (dict, list)):
        return True
    if _SCALARS.issuperset(map(type, value.values() if isinstance(value, dict) else value)):
        return True
    level = [value]
    for _ in range(DEEPEST):
        level = [
            item
            for entry in level
            for item in (entry.values() if isinstance(entry, dict) else entry)
            if isinstance(item, dict | list)
        ]
        if not level:
            return True
    return False


def _is_integer(value: Any) -> bool:
    return type(value) is int and -MOST <= value <= MOST


def _of_type(kind: type, title: str) -> Form:
    return Form(lambda value: type(value) is kind, title, frozenset({kind}))


ANY: Final = Form(lambda _: True, "a value")
NOTHING: Final = _of_type(type(None), "null")
TEXT: Final = _of_type(str, "a text")
FLAG: Final = _of_type(bool, "true or false")
NUMBER: Final = Form(is_number, "a number")
AMOUNT: Final = Form(lambda value: is_number(value) and value >= 0, "a number from 0")
INTEGER: Final = Form(_is_integer, "an integer")
COUNT: Final = Form(lambda value: _is_integer(value) and value >= 0, "an integer from 0")
ATTEMPT: Final = Form(
    lambda value: type(value) is int and 0 < value <= MOST_ATTEMPTS, "an attempt's number, from 1"
)
PID: Final = Form(lambda value: type(value) is int and 0 < value <= LARGEST_PID, "a process id")
TIME: Final = Form(is_time, "a time")
TEXTS: Final = list_of(TEXT, "a list of texts")
NAMED_TEXTS: Final = mapping_of(TEXT, "an object of texts")
NAME: Final = Form(is_path_part, "a name that is safe in a path")
ID: Final = Form(is_inside, "a task's id that is safe in a path")
IDS: Final = list_of(ID, "a list of tasks' ids")
PATH: Final = Form(is_path, "a path")
PATHS: Final = list_of(PATH, "a list of paths")
OBJECT: Final = Form(lambda value: isinstance(value, dict) and is_shallow(value), "an object")
LIST: Final = Form(lambda value: isinstance(value, list) and is_shallow(value), "a list")
ANYTHING: Final = Form(is_shallow, f"a value of at most {DEEPEST} levels")


def matching(pattern: str, title: str) -> Form:
    """Texts that match a pattern from their beginning; it is compiled when it is first needed."""
    return Form(lambda value: type(value) is str and re.match(pattern, value) is not None, title)
