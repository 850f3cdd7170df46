"""Reads the tasks of a large `resolved.json` one after the other, without all of them in memory."""

from __future__ import annotations

import json
import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import forms
from nemorun_cli.model.stored_tasks import KEPT, OWN_FIELDS, StoredTasks
from nemorun_cli.storage.task_forms import TASK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from nemorun_cli.model.spec import Task

LARGE: Final = 1 << 18  # bytes of a stored spec that is read in this way
MANY: Final = 1000  # members of sweeps that are not all kept in memory

_decode: Final = json.JSONDecoder().raw_decode
_space: Final = re.compile(r"[ \t\n\r]*").match


class TaskEntries:
    """The entries of the tasks of a stored spec, each checked once.

    Attributes:
        ids: the ids of the tasks.
        indices: their numbers.
        problem: why the first entry that cannot be used cannot be; None if all can.
        kept: the entries that are in memory, by position; the others refer to no other task.
    """

    def __init__(self, text: str = "") -> None:
        self.ids: list[str] = []
        self.indices: list[int] | array[int] = array("Q")
        self.problem: str | None = None
        self.kept: dict[int, dict[str, Any]] = {}
        self._text = text
        self._starts, self._forms = array("Q"), array("L")
        self._numbers: dict[tuple[str, tuple[str, ...]], int] = {}  # of forms, by name and keys
        self._firsts: dict[int, int] = {}  # the position of the first task of each form
        self._layouts: dict[tuple[str, ...], _Layout] = {}

    @classmethod
    def of(cls, entries: Iterable[Any]) -> Self:
        """Entries that are in memory."""
        found = cls()
        for entry in entries:
            found.add(entry)
        return found

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, entry: Any, start: int | None = None) -> None:
        """Check an entry; with its `start` in the text it is kept only if it cannot be made from it again."""
        if self.problem is not None:
            return
        position = len(self.ids)
        keys = tuple(entry) if isinstance(entry, dict) else ()
        if (layout := self._layouts.get(keys)) is None:
            layout = self._layouts[keys] = _Layout.of(keys)
        if not keys or not layout.fits(entry):
            place = f"tasks[{position}]."
            self.problem = next(forms.flaws(entry, TASK, place=place, required=("id",)), None)
            if self.problem is not None:
                return
        self.ids.append(entry["id"])
        self.indices.append(entry.get("index", 0))
        if start is None or not layout.is_light:
            self.kept[position] = entry
            self._starts.append(0)
            self._forms.append(KEPT)
            return
        form = self._numbers.setdefault((entry["id"].partition("/")[0], keys), len(self._numbers) + 1)
        self._firsts.setdefault(form, position)
        self._starts.append(start)
        self._forms.append(form)

    def tasks(self, make: Callable[[dict[str, Any]], Task]) -> tuple[Task, ...] | StoredTasks[Task]:
        """The tasks, made by `make` from their entries; raises what that raises."""
        kept = {position: make(entry) for position, entry in self.kept.items()}
        firsts = {form: make(self._entry(position)) for form, position in self._firsts.items()}
        if len(self.ids) - len(kept) < MANY:
            return tuple(
                kept[position] if position in kept else make(self._entry(position))
                for position in range(len(self.ids))
            )
        return StoredTasks(
            self._text,
            ids=tuple(self.ids),
            starts=self._starts,
            forms=self._forms,
            kin=firsts,
            kept=kept,
            make=make,
        )

    def _entry(self, position: int) -> dict[str, Any]:
        entry: dict[str, Any] = _decode(self._text, self._starts[position])[0]
        return entry


@dataclass(frozen=True, slots=True)
class _Layout:
    """What holds for all entries with the same keys in the same order.

    Attributes:
        has_id: whether they have one.
        is_light: whether they have but fields in which kin may differ.
        checks: for each key, the types of values that need no check, and the check of others.
    """

    has_id: bool
    is_light: bool
    checks: tuple[tuple[frozenset[type], Callable[[Any], bool]], ...]

    @classmethod
    def of(cls, keys: tuple[str, ...]) -> Self:
        """The layout of entries with these keys."""
        known = [TASK.get(key, forms.ANY) for key in keys]
        return cls(
            has_id="id" in keys,
            is_light={"id", "index"} <= set(keys) <= OWN_FIELDS,
            checks=tuple((form.types, form.fits) for form in known),
        )

    def fits(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry has all that it needs, each in its form; `forms.flaws` reports what is wrong."""
        for value, (types, fits) in zip(entry.values(), self.checks, strict=True):
            if type(value) not in types and not fits(value):
                return False
        return self.has_id


def document_of(data: bytes) -> dict[str, Any] | None:
    """A large stored spec with `TaskEntries` as its tasks; None if its text is not as `exp` writes it."""
    if len(data) < LARGE or not data.isascii():
        return None
    try:
        return _document(data.decode("ascii"))
    except ValueError:
        return None  # it is no JSON, which its reader reports


def _document(text: str) -> dict[str, Any] | None:
    entries = TaskEntries(text)
    document: dict[str, Any] = {}
    position = _after(text, 0, "{")
    while position is not None:
        name, position = _decode(text, position)
        position = _after(text, position, ":")
        if not isinstance(name, str) or position is None or name in document:
            return None
        if name == "tasks":
            position = _visit(text, position, entries)
            document[name] = entries
        else:
            document[name], position = _decode(text, position)
        if position is None:
            return None
        following = _after(text, position, ",")
        if following is None:
            end = _after(text, position, "}")
            return document if end == len(text) else None
        position = following
    return None


def _visit(text: str, position: int, entries: TaskEntries) -> int | None:
    """Add the entries of a list; return the position behind it, or None if it is no list."""
    following = _after(text, position, "[")
    while following is not None:
        entry, position = _decode(text, following)
        entries.add(entry, following)
        if text.startswith(", {", position):  # as it is written here
            following = position + 2
        elif (following := _after(text, position, ",")) is None:
            return _after(text, position, "]")
    return None


def _after(text: str, position: int, sign: str) -> int | None:
    """The position of what follows a sign, which only white space precedes; None if it is not there."""
    start = _end_of_space(text, position)
    return _end_of_space(text, start + 1) if text.startswith(sign, start) else None


def _end_of_space(text: str, position: int) -> int:
    match = _space(text, position)
    return position if match is None else match.end()
