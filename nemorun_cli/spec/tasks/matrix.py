"""What a `matrix` expands to: its combinations of values, each with a name that depends on nothing else."""

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

SETTINGS = ("include", "exclude", "zip", "max_parallel", "fail_fast", "max_failures")  # keys that are no axes
MOST_MEMBERS = 100_000
LONGEST_VALUE = 40  # characters of one value in a name
LONGEST_NAME = 200  # characters of a name; file systems take 255 bytes

_DIGEST = 6  # hex digits
_OTHER = re.compile(r"[^A-Za-z0-9._+-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Combination:
    """One choice of values; `name` is what stands in ids, `lr=0.1,seed=1`."""

    name: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a matrix stands for; `axes` are what its combinations are told apart by."""

    axes: tuple[str, ...]
    combinations: tuple[Combination, ...]
    max_parallel: int | None = None
    fail_fast: bool = False
    max_failures: int | None = None


def axes_of(section: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The axes of a matrix with their values."""
    return {name: values for name, values in section.items() if name not in SETTINGS}


def names_of(section: Mapping[str, Any]) -> list[str]:
    """What `matrix` can give in expressions: the axes, and what `include` adds."""
    added = (name for entry in section.get("include", ()) for name in entry)
    return list(dict.fromkeys([*axes_of(section), *added]))


def value_name(value: Any) -> str:
    """The value as it stands in names; what is not written there as it is ends in a digest of it."""
    text = text_of(value)
    safe = _OTHER.sub("_", text)
    return safe if safe == text and len(text) <= LONGEST_VALUE else _digested(safe, text, LONGEST_VALUE)


def _digested(safe: str, text: str, longest: int) -> str:
    import hashlib  # noqa: PLC0415 - seldom needed, and slow to load

    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{safe[: longest - _DIGEST - 1]}~{digest}"


def name_of(values: Mapping[str, Any]) -> str:
    """The name of a combination, by these values in this order."""
    return _shortened(",".join(f"{axis}={value_name(value)}" for axis, value in values.items()))


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else _digested(name, name, LONGEST_NAME)


def key_of(value: Any) -> tuple[str, Any]:
    """What equal values have in common: `0.1` and `1e-1` are equal, `1` and `true` are not."""
    if isinstance(value, str) or isinstance(value, bool) or value != value:  # noqa: PLR0124, SIM101 - NaN
        return type(value).__name__, text_of(value)
    return "number", value


def expand(section: Mapping[str, Any], place: Place, *, size: int = 1) -> tuple[Sweep | None, list[Finding]]:
    """The sweep that a matrix of the right form stands for, or what is wrong with its meaning.

    Args:
        section: the matrix, its expressions filled in.
        place: where it stands.
        size: how many members each combination has.
    """
    expansion = _Expansion(section, place, size)
    sweep = expansion.sweep()
    return (None if expansion.findings else sweep), expansion.findings


class _Expansion:
    """The expansion of one matrix; what is wrong with it is in `findings`."""

    def __init__(self, section: Mapping[str, Any], place: Place, size: int) -> None:
        self.findings: list[Finding] = []
        self._section = section
        self._place = place
        self._size = size
        self._axes = axes_of(section)
        self._by_values: dict[tuple[str, ...], dict[Any, list[Combination]]] = {}

    def sweep(self) -> Sweep | None:
        section = self._section
        ready_queues = self._lanes()
        self._check_names()
        if self.findings:
            return None
        count = math.prod(len(ready_queue) for ready_queue in ready_queues) if ready_queues else 0
        count += len(section.get("include", ()))
        if count * self._size > MOST_MEMBERS:
            message = f"expands to {count * self._size:,} members, which is more than {MOST_MEMBERS:,}"
            self._find((), message, "give it fewer values")
            return None
        found = self._extended(self._remaining(ready_queues)) if ready_queues else []
        found += self._added(found)
        if not found and not self.findings:
            self._find((), "leaves nothing to run", "exclude takes all of its combinations away")
        limit = section.get("max_failures")
        return Sweep(
            axes=tuple(self._axes or names_of(section)),
            combinations=tuple(found),
            max_parallel=section.get("max_parallel"),
            fail_fast=section.get("fail_fast", False),
            max_failures=None if limit is None else _count(limit, of=len(found) * self._size),
        )

    def _find(self, keys: Place, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(place=(*self._place, *keys), message=message, hint=hint))

    def _check_names(self) -> None:
        """An entry of `exclude` can be told apart by axes only."""
        for index, entry in enumerate(self._section.get("exclude", ())):
            for name in entry:
                if name not in self._axes:
                    message, hint = f"no axis is called {name!r}", choices(name, self._axes)
                    place = (*self._place, "exclude", index, name)
                    self.findings.append(Finding(place=place, message=message, hint=hint, on_key=True))

    def _lanes(self) -> list[list[dict[str, Any]]]:
        """The choices that are made one by one: the values of an axis, or those of zipped axes in step."""
        ready_queues = []
        zips = self._zips()
        for axis, values in self._axes.items():
            names = next((names for names in zips if axis in names), (axis,))
            if axis != names[0]:
                continue
            rows = zip(*(self._axes[name] for name in names), strict=True)
            ready_queue = [dict(zip(names, row, strict=True)) for row in rows]
            self._check_repeated(axis, ready_queue, values)
            ready_queues.append(ready_queue)
        return ready_queues

    def _zips(self) -> list[tuple[str, ...]]:
        """The groups of axes that go in step, each in the order of the axes."""
        given = self._section.get("zip", [])
        lists = given if given and isinstance(given[0], list) else [given] if given else []
        zips: list[tuple[str, ...]] = []
        for index, names in enumerate(lists):
            keys: Place = ("zip", index) if lists is given else ("zip",)
            unknown = [name for name in names if name not in self._axes]
            twice = [name for name in names if names.count(name) > 1 or any(name in one for one in zips)]
            lengths = {name: len(self._axes[name]) for name in names if name in self._axes}
            if unknown:
                message = f"no axis is called {unknown[0]!r}"
                self._find((*keys, names.index(unknown[0])), message, choices(unknown[0], self._axes))
            elif twice:
                self._find((*keys, names.index(twice[0])), f"{twice[0]} is zipped twice")
            elif len(set(lengths.values())) > 1:
                told = ", ".join(f"{name} {length}" for name, length in lengths.items())
                self._find(keys, f"the axes are not of one length: {told}", "zipped axes go in step")
            else:
                zips.append(tuple(name for name in self._axes if name in names))
        return zips

    def _check_repeated(
        self, axis: str, ready_queue: Sequence[Mapping[str, Any]], values: Sequence[Any]
    ) -> None:
        """Each choice is there once, and has a name of its own."""
        seen: set[Any] = set()
        for index, row in enumerate(ready_queue):
            keys = {tuple(map(key_of, row.values())), tuple(map(value_name, row.values()))}
            if seen & keys:
                step = f", with {', '.join(list(row)[1:])}" if len(row) > 1 else ""
                self._find((axis, index), f"{shown(values[index])} is there twice{step}")
            seen |= keys

    def _remaining(self, ready_queues: Sequence[Sequence[Mapping[str, Any]]]) -> Iterator[dict[str, Any]]:
        """The combinations that `exclude` leaves, the last axis changing fastest."""
        excluded = _index(self._section.get("exclude", ()))
        order = tuple(self._axes)
        for picked in itertools.product(*ready_queues):
            merged = {name: value for row in picked for name, value in row.items()}
            if not any(_keys(merged, names) in entries for names, entries in excluded.items()):
                yield merged if tuple(merged) == order else {name: merged[name] for name in order}

    def _extended(self, combinations: Iterable[dict[str, Any]]) -> list[Combination]:
        """The combinations with what `include` adds to those that it fits."""
        found = [Combination(name_of(values), values) for values in combinations]
        for entry in self._section.get("include", ()):
            extra = {name: value for name, value in entry.items() if name not in self._axes}
            for one in self._fitting(entry, found):
                one.values.update(extra)
        return found

    def _fitting(self, entry: Mapping[str, Any], found: Sequence[Combination]) -> Sequence[Combination]:
        """The combinations that have the entry's values on all of the axes that it names."""
        names = tuple(name for name in entry if name in self._axes)
        if not names:
            return found
        by_values = self._by_values.get(names)
        if by_values is None:
            by_values = self._by_values[names] = {}
            for one in found:
                by_values.setdefault(_keys(one.values, names), []).append(one)
        return by_values.get(_keys(entry, names), [])

    def _added(self, found: Sequence[Combination]) -> list[Combination]:
        """The entries of `include` that fit nothing, as combinations of their own."""
        added: list[Combination] = []
        names = {one.name for one in found}
        for index, entry in enumerate(self._section.get("include", ())):
            if found and self._fitting(entry, found):
                continue
            values = {name: entry[name] for name in (*self._axes, *entry) if name in entry}
            one = Combination(name_of(values), values)
            if not entry or one.name in names:
                self._find(("include", index), "is there already" if entry else "must not be empty")
            names.add(one.name)
            added.append(one)
        return added


def _keys(values: Mapping[str, Any], names: Iterable[str]) -> tuple[Any, ...]:
    return tuple(key_of(values[name]) for name in names)


def _index(entries: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], set[Any]]:
    """Partial combinations by the names that they give values to; one without any fits nothing."""
    found: dict[tuple[str, ...], set[Any]] = {}
    for entry in entries:
        if entry:
            found.setdefault(tuple(entry), set()).add(_keys(entry, entry))
    return found


def _count(limit: int | str, *, of: int) -> int:
    """A number of members: itself, or a share of them, rounded up."""
    if isinstance(limit, str):
        return max(1, math.ceil(float(limit.removesuffix("%")) * of / 100 - 1e-9))
    return int(limit)
