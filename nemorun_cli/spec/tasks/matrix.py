"""Expands a `matrix` into combinations of values; the name of each depends on its values alone."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding, choices, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place

# Keys that are not axes.
SETTINGS = ("include", "exclude", "zip", "max_parallel", "fail_fast", "max_failures")
MOST_MEMBERS = 100_000
LONGEST_VALUE = 40  # characters per value in a name
LONGEST_NAME = 200  # characters; file systems allow 255 bytes

_DIGEST = 6  # hex digits
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Combination:
    """One combination of values; `name` is its part of an id, such as `lr=0.1,seed=1`."""

    name: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """An expanded matrix; `axes` distinguish its combinations."""

    axes: tuple[str, ...]
    combinations: tuple[Combination, ...]
    max_parallel: int | None = None
    fail_fast: bool = False
    max_failures: int | None = None


def axes_of(section: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return the axes of a matrix with their values."""
    return {name: values for name, values in section.items() if name not in SETTINGS}


def names_of(section: Mapping[str, Any]) -> list[str]:
    """Return the keys of `matrix` in expressions: the axes, and the names that `include` adds."""
    added = (name for entry in section.get("include", ()) for name in entry)
    return list(dict.fromkeys([*axes_of(section), *added]))


def value_name(value: Any) -> str:
    """Return a value as part of a name; one that had to be altered ends in a digest of the original."""
    text = text_of(value)
    safe = _UNSAFE.sub("_", text)
    return safe if safe == text and len(text) <= LONGEST_VALUE else _digested(safe, text, LONGEST_VALUE)


def _digested(safe: str, text: str, longest: int) -> str:
    import hashlib  # noqa: PLC0415 - seldom needed, and slow to load

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{safe[: longest - _DIGEST - 1]}~{digest}"


def name_of(values: Mapping[str, Any]) -> str:
    """Return the name of a combination with these values, in their order."""
    return _shortened(",".join(f"{axis}={value_name(value)}" for axis, value in values.items()))


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else _digested(name, name, LONGEST_NAME)


def key_of(value: Any) -> tuple[str, Any]:
    """Return a key that is equal for equal values: `0.1` equals `1e-1`, `1` does not equal `true`."""
    if isinstance(value, str) or isinstance(value, bool) or value != value:  # noqa: PLR0124, SIM101 - NaN
        return type(value).__name__, text_of(value)
    return "number", value


def expand(section: Mapping[str, Any], place: Place, *, size: int = 1) -> tuple[Sweep | None, list[Finding]]:
    """Expand a matrix that has passed the schema; return the sweep, or None and the errors.

    Args:
        section: the matrix, its expressions filled in.
        place: its place in the spec.
        size: the number of members per combination.
    """
    expansion = _MatrixExpansion(section, place, size)
    sweep = expansion.sweep()
    return (None if expansion.findings else sweep), expansion.findings


class _MatrixExpansion:
    """Expands one matrix; collects errors in `findings`."""

    def __init__(self, section: Mapping[str, Any], place: Place, size: int) -> None:
        self.findings: list[Finding] = []
        self._section = section
        self._place = place
        self._size = size
        self._axes = axes_of(section)
        self._by_values: dict[tuple[str, ...], dict[Any, list[Combination]]] = {}

    def sweep(self) -> Sweep | None:
        section = self._section
        dimensions = self._choices_by_axis()
        self._check_names()
        if self.findings:
            return None
        count = math.prod(len(dimension) for dimension in dimensions) if dimensions else 0
        count += len(section.get("include", ()))
        if count * self._size > MOST_MEMBERS:
            message = f"expands to {count * self._size:,} members, which is more than {MOST_MEMBERS:,}"
            self._report((), message, "give it fewer values")
            return None
        combinations = self._extended(self._remaining(dimensions)) if dimensions else []
        combinations += self._added(combinations)
        if not combinations and not self.findings:
            self._report((), "leaves nothing to run", "exclude removes all of its combinations")
        limit = section.get("max_failures")
        return Sweep(
            axes=tuple(self._axes or names_of(section)),
            combinations=tuple(combinations),
            max_parallel=section.get("max_parallel"),
            fail_fast=section.get("fail_fast", False),
            max_failures=None if limit is None else count_of(limit, of=len(combinations) * self._size),
        )

    def _report(self, keys: Place, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(place=(*self._place, *keys), message=message, hint=hint))

    def _check_names(self) -> None:
        """Check that the entries of `exclude` name axes only."""
        for index, entry in enumerate(self._section.get("exclude", ())):
            for name in entry:
                if name not in self._axes:
                    message, hint = f"no axis is called {name!r}", choices(name, self._axes)
                    place = (*self._place, "exclude", index, name)
                    self.findings.append(Finding(place=place, message=message, hint=hint, on_key=True))

    def _choices_by_axis(self) -> list[list[dict[str, Any]]]:
        """Return the dimensions of the product: the values of each axis, zipped axes combined into one."""
        dimensions = []
        zips = self._zips()
        for axis, values in self._axes.items():
            names = next((names for names in zips if axis in names), (axis,))
            if axis != names[0]:
                continue
            rows = zip(*(self._axes[name] for name in names), strict=True)
            dimension = [dict(zip(names, row, strict=True)) for row in rows]
            self._check_repeated(axis, dimension, values)
            dimensions.append(dimension)
        return dimensions

    def _zips(self) -> list[tuple[str, ...]]:
        """Return the groups of zipped axes, each in the order of the axes."""
        section = self._section.get("zip", [])
        lists = section if section and isinstance(section[0], list) else [section] if section else []
        zips: list[tuple[str, ...]] = []
        for index, names in enumerate(lists):
            keys: Place = ("zip", index) if lists is section else ("zip",)
            unknown = [name for name in names if name not in self._axes]
            repeated = [
                name for name in names if names.count(name) > 1 or any(name in zipped for zipped in zips)
            ]
            lengths = {name: len(self._axes[name]) for name in names if name in self._axes}
            if unknown:
                message = f"no axis is called {unknown[0]!r}"
                self._report((*keys, names.index(unknown[0])), message, choices(unknown[0], self._axes))
            elif repeated:
                self._report((*keys, names.index(repeated[0])), f"{repeated[0]} is zipped twice")
            elif len(set(lengths.values())) > 1:
                described = ", ".join(f"{name} {length}" for name, length in lengths.items())
                self._report(
                    keys,
                    f"the axes differ in length: {described}",
                    "zipped axes need the same number of values",
                )
            else:
                zips.append(tuple(name for name in self._axes if name in names))
        return zips

    def _check_repeated(
        self, axis: str, dimension: Sequence[Mapping[str, Any]], values: Sequence[Any]
    ) -> None:
        """Check that the values of a dimension are distinct, and their names too."""
        seen: set[Any] = set()
        for index, row in enumerate(dimension):
            keys = {tuple(map(key_of, row.values())), tuple(map(value_name, row.values()))}
            if seen & keys:
                zipped = f", with {', '.join(list(row)[1:])}" if len(row) > 1 else ""
                self._report((axis, index), f"{shown(values[index])} is listed twice{zipped}")
            seen |= keys

    def _remaining(self, dimensions: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
        """Yield the combinations that `exclude` keeps, the last axis changing fastest."""
        excluded = _index(self._section.get("exclude", ()))
        order = tuple(self._axes)
        is_ordered = tuple(name for dimension in dimensions for row in dimension[:1] for name in row) == order
        for picked in itertools.product(*dimensions):
            merged = {name: value for row in picked for name, value in row.items()}
            if excluded and any(_key(merged, names) in entries for names, entries in excluded.items()):
                continue
            yield merged if is_ordered else {name: merged[name] for name in order}

    def _extended(self, combinations: Iterable[dict[str, Any]]) -> list[Combination]:
        """Return the combinations, with the values that `include` adds to matching ones."""
        parts: dict[tuple[str, int], str] = {}  # of names; the section keeps the values, so ids stay theirs

        def part(axis: str, value: Any) -> str:
            key = axis, id(value)
            if (text := parts.get(key)) is None:
                text = parts[key] = f"{axis}={value_name(value)}"
            return text

        extended = [
            Combination(_shortened(",".join(map(part, values, values.values()))), values)
            for values in combinations
        ]
        for entry in self._section.get("include", ()):
            extra = {name: value for name, value in entry.items() if name not in self._axes}
            for combination in self._matching(entry, extended):
                combination.values.update(extra)
        return extended

    def _matching(
        self, entry: Mapping[str, Any], combinations: Sequence[Combination]
    ) -> Sequence[Combination]:
        """Return the combinations with the entry's values on all axes that it names."""
        names = tuple(name for name in entry if name in self._axes)
        if not names:
            return combinations
        by_values = self._by_values.get(names)
        if by_values is None:
            by_values = self._by_values[names] = {}
            for combination in combinations:
                by_values.setdefault(_key(combination.values, names), []).append(combination)
        return by_values.get(_key(entry, names), [])

    def _added(self, combinations: Sequence[Combination]) -> list[Combination]:
        """Return the entries of `include` that match no combination, as new combinations."""
        added: list[Combination] = []
        names = {combination.name for combination in combinations}
        for index, entry in enumerate(self._section.get("include", ())):
            if combinations and self._matching(entry, combinations):
                continue
            values = {name: entry[name] for name in (*self._axes, *entry) if name in entry}
            combination = Combination(name_of(values), values)
            if not entry or combination.name in names:
                self._report(("include", index), "repeats a combination" if entry else "must not be empty")
            names.add(combination.name)
            added.append(combination)
        return added


def _key(values: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(key_of(values[name]) for name in names)


def _index(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], set[Any]]:
    """Index partial combinations by their names; an empty one matches nothing."""
    keys_by_names: dict[tuple[str, ...], set[Any]] = {}
    for entry in entries:
        if entry:
            keys_by_names.setdefault(tuple(entry), set()).add(_key(entry, entry))
    return keys_by_names


def count_of(limit: int | str, *, of: int) -> int:
    """Return a number of members, given as a number or as a percentage, which is rounded up."""
    if isinstance(limit, str):
        return max(1, math.ceil(float(limit.removesuffix("%")) * of / 100 - 1e-9))
    return int(limit)
