"""The conditions of `exp compare --where`: how they are written, which rows meet them, why none does."""

from __future__ import annotations

import fnmatch
import math
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records import series
from nemorun_cli.experiment.records.row_keys import RECORD
from nemorun_cli.model.problems import choices
from nemorun_cli.model.status import ExperimentStatus, status_named
from nemorun_cli.spec.yaml.scalars import scalar
from nemorun_cli.tracking.store.json_values import dump, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.experiment.records.row_keys import Key, RowKeys

MOST_VALUES: Final = 8  # values of a key that the message about an unmet condition names
OF_RECORDS: Final = tuple(
    status for status in ExperimentStatus if status is not ExperimentStatus.INTERRUPTED
)  # the states that a record can have
_OPERATOR: Final = re.compile(r"<=|>=|!=|==|=|<|>")
_OPERATOR_CHARACTERS: Final = ("<", ">", "=", "!")  # a value starts with one after a mistyped operator: `=<`
_QUOTES: Final = ("'", '"')
_NOT_FINITE: Final = re.compile(r"([-+]?)\.?(inf(?:inity)?|nan)", re.IGNORECASE)
_NO_VALUE: Final = "None"  # as Python writes it; YAML and JSON write `null`
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition; `text` is how it was written."""

    text: str
    key: Key
    is_met: Callable[[ComparedRow], bool]

    def unmet(self, all_rows: Sequence[ComparedRow]) -> str:
        """The message that no row meets it, with the values there are."""
        texts = dict.fromkeys(_shown(value) for row in all_rows if (value := self.key.get(row)) is not None)
        values = ", ".join(list(texts)[:MOST_VALUES]) + (", …" if len(texts) > MOST_VALUES else "")
        name = self.key.name if self.key.kind == "record" else self.key.title
        about = f"{name} is {values}" if texts else f"no row has a value of {name}"
        return f"no row has {self.text}; {about}"


def parse(texts: Sequence[str], keys: RowKeys) -> tuple[list[Condition], list[str]]:
    """The conditions, and notes about keys that could mean two things.

    Raises:
        UsageError: a condition is malformed, its key is unknown, or it compares the order of a text.
    """
    conditions, notes = [], []
    for text in texts:
        name, symbol, written = _parts(text, keys)
        conditions.append(_condition(text, name, symbol, written, keys=keys))
        if keys.is_hidden(name):
            notes.append(f"--where {text}: this is the param {name}; for that of the record: {RECORD}{name}")
    return conditions, notes


def keys(texts: Sequence[str]) -> list[str]:
    """The texts before the operators of conditions: for each, its key is among them."""
    return [name.strip() for text in texts for name, _, _ in _splits(text)]


def require_form(texts: Sequence[str]) -> None:
    """Check the form of conditions that no row could meet.

    Raises:
        UsageError: one is malformed.
    """
    for text in texts:
        _first(text)


def unmet(conditions: Sequence[Condition], all_rows: Sequence[ComparedRow]) -> str:
    """Why no row meets all conditions."""
    for condition in conditions:
        if not any(condition.is_met(row) for row in all_rows):
            return condition.unmet(all_rows)
    return f"no row has all of: {', '.join(condition.text for condition in conditions)}"


def _shown(value: Any) -> str:
    return dump(value) if isinstance(value, float) and math.isfinite(value) else series.text(value)


def _splits(text: str) -> list[tuple[str, str, str]]:
    """The ways to read a condition as key, operator and value, the shortest key first."""
    return [
        (text[: match.start()], match[0], text[match.end() :].strip())
        for match in _OPERATOR.finditer(text)
        if text[: match.start()].strip()
    ]


def _parts(text: str, keys: RowKeys) -> tuple[str, str, str]:
    """The key, operator and value; the longest key that is known, since names may contain operators.

    Raises:
        UsageError: the text is not a condition.
    """
    every = _splits(text)
    for key, symbol, value in reversed(every):
        if value.startswith(_OPERATOR_CHARACTERS):
            continue
        for name in dict.fromkeys((key, key.strip())):
            if keys.is_known(name):
                return name, symbol, value
    key, symbol, value = _first(text)
    return key.strip(), symbol, value


def _first(text: str) -> tuple[str, str, str]:
    every = _splits(text)
    if not every or every[0][2].startswith(_OPERATOR_CHARACTERS):
        raise _malformed(text)
    return every[0]


def _malformed(text: str) -> UsageError:
    return UsageError(
        f"--where {text}: not a condition",
        hint="write it as loss<0.5 or optimizer=adam; the operators are =, ==, !=, <, <=, > and >=",
    )


def _condition(text: str, name: str, symbol: str, written: str, *, keys: RowKeys) -> Condition:
    key = keys.resolve(name)
    if key.kind == "record" and key.name == "status":
        written = _status(f"--where {name}{symbol}{written}", written)
    compares = _ORDERS.get(symbol)
    if compares is None:
        equals, is_same = _equality(written), symbol != "!="
        return Condition(text=text, key=key, is_met=lambda row: equals(key.get(row)) is is_same)
    expected = _value(written)
    if not isinstance(expected, (int, float)):
        raise UsageError(f"--where {name}{symbol}{written}: {written!r} is not a number")
    if math.isnan(expected):
        raise UsageError(
            f"--where {name}{symbol}{written}: no number is smaller or larger than NaN",
            hint=f"{name}=nan and {name}!=nan compare with it",
        )
    return Condition(
        text=text,
        key=key,
        is_met=lambda row: isinstance(value := key.get(row), (int, float)) and compares(value, expected),
    )


def _status(text: str, written: str) -> str:
    status = status_named(written)
    if status not in OF_RECORDS:
        raise UsageError(f"{text}: records have no such status", hint=choices(written.upper(), OF_RECORDS))
    return str(status)


def _equality(written: str) -> Callable[[Any], bool]:
    """The test of a value: a text that is equal or matches a glob, the same number, the same JSON."""
    expected = _value(written)
    quoted = written[1:-1] if len(written) > 1 and written[0] == written[-1] in _QUOTES else None
    parsed = _json(written)

    def equals(value: Any) -> bool:
        if isinstance(value, str):
            if quoted is not None and value == quoted:
                return True
            return value == written or fnmatch.fnmatchcase(value, written)
        if isinstance(value, (list, dict)):
            return bool(value == parsed)
        if isinstance(value, float) and math.isnan(value):
            return isinstance(expected, float) and math.isnan(expected)
        return bool(value == expected) and isinstance(value, bool) == isinstance(expected, bool)

    return equals


def _value(written: str) -> Any:
    """The value of a plain text, as in YAML; also `inf`, `Infinity`, `nan` and `None`, as in Python."""
    if not_finite := _NOT_FINITE.fullmatch(written):
        return float(f"{not_finite[1]}{not_finite[2]}")
    return None if written == _NO_VALUE else scalar(written)


def _json(written: str) -> Any:
    """A list or mapping that is written as JSON; None for all other texts."""
    if not written.startswith(("[", "{")):
        return None
    try:
        return load(written)
    except (ValueError, RecursionError):
        return None
