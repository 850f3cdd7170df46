"""Parameters of a record: nested values under dotted names, with a history of all changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from nemorun_cli.errors import UsageError
from nemorun_cli.tracking.store import row_files
from nemorun_cli.tracking.store.json_values import attributes_of, encode_row, fields_of, plain

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.tracking.store.record_paths import Place
    from nemorun_cli.tracking.store.row_files import Writer

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

    @property
    def _folder(self) -> str:
        return self._place.params

    def set(self, *groups: Any, **named: Any) -> Self:
        """Set parameters; others keep their values.

        Args:
            groups: mappings, dataclasses, attrs or pydantic objects, argparse namespaces or classes, whose
                fields become parameters.
            named: parameters by name; nested ones get dotted names.

        Raises:
            TypeError: a value cannot be recorded. Nothing is changed.
            UsageError: a name would be both a value and a group (`model` and `model.depth`), or is given
                twice. Nothing is changed.
            StateError: the record is not open.
        """
        flat = flattened(*groups, **named)
        if not flat:
            return self
        self._writer.require_open()
        names = self._names()
        names.check(flat)
        self._writer.append(self._folder, encode_row(time.time(), {"set": flat}))
        names.add(flat)
        return self

    def log(self, *groups: Any, **named: Any) -> Self:
        """The same as `set`; the name in ML-Dash."""
        return self.set(*groups, **named)

    def unset(self, *keys: str) -> Self:
        """Remove parameters, or all below a name; the history keeps them.

        Raises:
            UsageError: one is not set. Nothing is changed.
            StateError: the record is not open.
        """
        self._writer.require_open()
        present = self.get()
        removed = [name for key in keys for name in present if name == key or name.startswith(f"{key}.")]
        for key in keys:
            if not any(name == key or name.startswith(f"{key}.") for name in removed):
                raise UsageError(
                    f"there is no parameter {key!r}", hint=f"there are: {', '.join(present) or 'none'}"
                )
        self._writer.append(self._folder, encode_row(time.time(), {"unset": removed}))
        self._cached_names = None
        return self

    def get(self, *, flatten: bool = True, openings: Collection[str] | None = None) -> dict[str, Any]:
        """All parameters by dotted name, or nested.

        If two processes set `a` and `a.b` concurrently, the later one takes effect.
        """
        flat = _state(self._changes(openings))
        return flat if flatten else nested(flat)

    def history(
        self, key: str | None = None, *, openings: Collection[str] | None = None
    ) -> list[ParamChange]:
        """All changes, or those of one parameter, oldest first."""
        changes = []
        for row in self._changes(openings):
            changes += [
                ParamChange(row["_ts"], name, value, is_set=True)
                for name, value in row.get("set", {}).items()
            ]
            changes += [ParamChange(row["_ts"], name, None, is_set=False) for name in row.get("unset", ())]
        return [change for change in changes if key in {None, change.key}]

    def _changes(self, openings: Collection[str] | None) -> list[row_files.Row]:
        """The rows of all changes; warns of damaged lines."""
        rows, skipped = row_files.series(self._folder, openings=openings, kind="params")
        row_files.warn_of(skipped)
        return rows

    def _names(self) -> _Names:
        if self._cached_names is None or self._cached_for != self._writer.name:
            self._cached_names = _Names()
            self._cached_names.add(_state(row_files.series(self._folder, kind="params")[0]))
            self._cached_for = self._writer.name
        return self._cached_names


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
            UsageError: a name would be both a value and a group; the message names it.
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


def _clash(name: str, reason: str) -> UsageError:
    return UsageError(
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
            f"parameters are given by name or as a mapping, not as {type(value).__qualname__}: {value!r:.80}"
        )
    return fields


def _flatten(fields: Any, above: str, flat: Flat, depth: int) -> None:
    """Add the fields to `flat` under their dotted names; an empty mapping is a value."""
    if depth > MAX_DEPTH:
        raise TypeError(f"{above}: nested more than {MAX_DEPTH} levels deep, or within itself")
    for key, value in fields.items():
        (part,) = plain({key: None}, above or "params")
        name = f"{above}.{part}" if above else part
        if "" in part.split("."):
            raise UsageError(f"the parameter {name!r} has an empty part in its name")
        nested_fields = attributes_of(value) if isinstance(value, type) else fields_of(value)
        if not nested_fields and isinstance(value, type):
            raise TypeError(
                f"{name}: the class {value.__qualname__} has no values to record (record its name instead)"
            )
        if nested_fields:
            _flatten(nested_fields, name, flat, depth + 1)
        elif name in flat:
            raise UsageError(f"the parameter {name!r} is given twice in one call")
        else:
            flat[name] = {} if nested_fields is not None else plain(value, name)


def _state(changes: list[row_files.Row]) -> Flat:
    """The values after all changes; a later change removes values that conflict with it."""
    flat: Flat = {}
    groups: set[str] = set()
    for change in changes:
        for name in change.get("unset", ()):
            flat.pop(name, None)
        for name, value in change.get("set", {}).items():
            groups_above = _groups_of(name)
            for group in groups_above:
                if group in flat:
                    del flat[group]
            if name in groups:
                values_below = [other for other in flat if other.startswith(f"{name}.")]
                if values_below and _is_empty(value):
                    continue
                for other in values_below:
                    del flat[other]
            flat[name] = value
            groups.update(groups_above)
    return flat


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
