"""Parameters of a record: nested values under dotted names, with a history of all changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.model.bounded_text import shown
from nemorun_cli.tracking import foreign_calls
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import encode_row, plain
from nemorun_cli.tracking.store.object_fields import attributes_of, fields_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_writer import Writer

Flat = dict[str, Any]

MAX_DEPTH: Final = 100  # levels of nesting


class ParamChange(NamedTuple):
    """One change of one parameter; `is_set` is False where it was removed."""

    time: float
    key: str
    value: Any
    is_set: bool


class Params:
    """The parameters: `params.set(lr=0.1, model={"depth": 3})` and `params.get()`."""

    def __init__(self, place: Place, writer: Writer) -> None:
        self._place = place
        self._writer = writer
        self._cached_names: _Names | None = None  # to detect conflicts; read once per opening
        self._cached_for: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # of Python, which looks whether there is one
            raise AttributeError(f"Params has no attribute {name!r}")
        raise foreign_calls.params_name(name)

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_"):  # it would not be recorded
            raise foreign_calls.params_name(name)
        super().__setattr__(name, value)

    def __getitem__(self, name: object) -> NoReturn:
        raise foreign_calls.params_item(name)

    def __setitem__(self, name: object, value: object) -> NoReturn:
        raise foreign_calls.params_item(name)

    @property
    def _folder(self) -> str:
        return self._place.params

    def set(self, /, *groups: Any, **named: Any) -> Self:
        """Set parameters; others keep their values.

        Args:
            groups: mappings, dataclasses, attrs or pydantic objects, argparse namespaces or classes, whose
                fields become parameters.
            named: parameters by name; nested ones get dotted names.

        Raises:
            TypeError: a value cannot be recorded. Nothing is changed.
            InvalidValueError: a name would be both a value and a group (`model` and `model.depth`) in this
                opening, or is given twice. Nothing is changed. What others recorded, such as the values of a
                matrix or an earlier opening, is replaced.
            StateError: the record is not open.
        """
        if groups and isinstance(groups[0], str):
            raise foreign_calls.params_given_by_position(groups)
        flat = flattened(*groups, **named)
        self._writer.require_open()
        if not flat:
            return self
        names = self._names()
        names.check(flat)
        self._writer.append(self._folder, encode_row(time.time(), {"set": flat}))
        names.add(flat)
        return self

    def log(self, /, *groups: Any, **named: Any) -> Self:
        """The same as `set`; the name in ML-Dash."""
        return self.set(*groups, **named)

    def unset(self, *keys: str) -> Self:
        """Remove parameters, or all below a name; the history keeps them.

        Raises:
            InvalidValueError: one is not set. Nothing is changed.
            StateError: the record is not open.
        """
        self._writer.require_open()
        if self._writer.is_off:
            self._cached_names = None
            return self
        present = self.get()
        removed = [name for key in keys for name in present if name == key or name.startswith(_below(key))]
        for key in keys:
            if not any(name == key or name.startswith(_below(key)) for name in removed):
                raise InvalidValueError(
                    f"there is no parameter {shown(key)}", hint=f"there are: {', '.join(present) or 'none'}"
                )
        self._writer.append(self._folder, encode_row(time.time(), {"unset": removed}))
        self._cached_names = None
        return self

    def get(
        self, *foreign: Any, flatten: bool = True, openings: Collection[str] | None = None
    ) -> dict[str, Any]:
        """All parameters by dotted name, or nested.

        If two openings set `a` and `a.b`, the later one takes effect.

        Args:
            foreign: nothing: `get("lr")` of a mapping is refused.
            flatten: whether nested parameters have dotted names.
            openings: only what these openings set.

        Raises:
            TypeError: a name is given; the message shows what to write.
        """
        if foreign:
            raise foreign_calls.params_read_by_position(foreign)
        flat: Flat = {}
        for _ in _replay(self._changes(openings), flat):
            pass
        return flat if flatten else nested(flat)

    def history(
        self, key: str | None = None, *, openings: Collection[str] | None = None
    ) -> list[ParamChange]:
        """All changes, or those of one parameter, oldest first; a value that a group replaced was removed."""
        return [change for change in _replay(self._changes(openings), {}) if key in {None, change.key}]

    def _changes(self, openings: Collection[str] | None) -> list[row_files.Row]:
        """The rows of all changes; warns of damaged lines."""
        rows, skipped = row_files.series(self._folder, openings=openings, kind="params")
        row_files.warn_of(skipped)
        return rows

    def _names(self) -> _Names:
        if self._cached_names is None or self._cached_for != self._writer.name:
            self._cached_names = _Names()
            own = (self._writer.name or "").partition(".")[0]  # what others recorded is replaced instead
            self._cached_names.add(self.get(openings=[own]))
            self._cached_for = self._writer.name
        return self._cached_names


def _below(key: str) -> str:
    """How the names below a parameter begin.

    Raises:
        TypeError: it is no text.
    """
    if not isinstance(key, str):
        raise TypeError(f"a parameter is named by a text, not {type(key).__qualname__}: {shown(key)}")
    return f"{key}."


def flattened(*groups: Any, **named: Any) -> Flat:
    """The parameters that `set` would record, by dotted name; raises the same errors as `set`."""
    flat: Flat = {}
    for group in groups:
        _flatten(_as_fields(group), "", flat, 0)
    _flatten(named, "", flat, 0)
    return flat


class _Names:
    """The names of values and of groups."""

    def __init__(self) -> None:
        self.values: dict[str, bool] = {}  # name -> whether it is an empty group, which may be filled
        self.groups: set[str] = set()

    def check(self, flat: Flat) -> None:
        """Raise if one of these names is already used in the other role.

        Raises:
            InvalidValueError: a name would be both a value and a group; the message names it.
        """
        new_values = {name: _is_empty(value) for name, value in flat.items()}
        new_groups = {group for name in flat for group in _groups_of(name)}
        for name, is_empty in new_values.items():
            if not is_empty and (name in self.groups or name in new_groups):
                raise _clash(name, "it is a group of parameters")
            for group in _groups_of(name):
                if not self.values.get(group, True) or not new_values.get(group, True):
                    raise _clash(name, f"{group!r} is a value")

    def add(self, flat: Flat) -> None:
        self.values |= {name: _is_empty(value) for name, value in flat.items()}
        self.groups.update(group for name in flat for group in _groups_of(name))


def _clash(name: str, reason: str) -> InvalidValueError:
    return InvalidValueError(
        f"the parameter {name!r} cannot be set: {reason}", hint="remove the existing one with params.unset()"
    )


def _is_empty(value: object) -> bool:
    return isinstance(value, dict)  # only an empty mapping is a value: others are flattened


def _groups_of(name: str) -> list[str]:
    """The groups of a name: `a` and `a.b` for `a.b.c`."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _as_fields(value: Any) -> Any:
    """The fields of a value that groups parameters.

    Raises:
        TypeError: it has no fields.
    """
    fields = attributes_of(value) if isinstance(value, type) else fields_of(value)
    if fields is None:
        raise TypeError(
            f"parameters are given by name or as a mapping, not as {type(value).__qualname__}: {shown(value)}"
        )
    return fields


def _flatten(fields: Any, above: str, flat: Flat, depth: int) -> None:
    """Add the fields to `flat` under their dotted names; an empty mapping is a value."""
    if depth > MAX_DEPTH:
        raise TypeError(f"{above}: nested more than {MAX_DEPTH} levels deep, or within itself")
    for key, value in fields.items():
        (part,) = plain({key: None}, above or "the name of a parameter")
        name = f"{above}.{part}" if above else part
        if "" in part.split("."):
            raise InvalidValueError(f"the parameter {name!r} has an empty part in its name")
        nested_fields = attributes_of(value, name) if isinstance(value, type) else fields_of(value, name)
        if not nested_fields and isinstance(value, type):
            raise TypeError(
                f"{name}: the class {value.__qualname__} has no values to record (record its name instead)"
            )
        converted = plain(value, name) if nested_fields is None else {}
        if isinstance(converted, dict) and (nested_fields or converted):  # a labelled array is a mapping too
            _flatten(nested_fields or converted, name, flat, depth + 1)
        elif name in flat:
            raise InvalidValueError(f"the parameter {name!r} is given twice in one call")
        else:
            flat[name] = converted


def _replay(rows: list[row_files.Row], flat: Flat) -> Iterator[ParamChange]:
    """Apply the rows to `flat`, and return each change; a later one removes values that conflict with it."""
    groups: set[str] = set()
    for row in rows:
        moment = row["_ts"]
        for name in row.get("unset", ()):
            flat.pop(name, None)
            yield ParamChange(moment, name, None, is_set=False)
        for name, value in row.get("set", {}).items():
            groups_above = _groups_of(name)
            below = [other for other in flat if other.startswith(f"{name}.")] if name in groups else []
            if not below or not _is_empty(value):
                for other in [group for group in groups_above if group in flat] + below:
                    # an empty group is filled, not removed
                    if not _is_empty(flat.pop(other)):
                        yield ParamChange(moment, other, None, is_set=False)
                flat[name] = value
                groups.update(groups_above)
            yield ParamChange(moment, name, value, is_set=True)


def nested(flat: Flat) -> dict[str, Any]:
    """The same values as nested mappings."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *above, last = name.split(".")
        inner = tree
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return tree
