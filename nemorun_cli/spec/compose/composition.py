"""A spec with the files that it extends and includes: one tree of data, and where each value stands."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding, Problem, shown
from nemorun_cli.spec.compose.merge import merged, united
from nemorun_cli.spec.compose.relative_paths import relocated
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.schema import checks, walk
from nemorun_cli.spec.yaml.parser import parse
from nemorun_cli.spec.yaml.source import SpecSource, open_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.model.problems import Place

    OptionsSchema = Callable[[str], Mapping[str, Any] | None]
    Types = Callable[[], Sequence[str]]

REFERENCES: Final = ("include", "extends")  # keys that name files; what they name stands in their place


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One file's part in a tree: what it says at `inside` counts at the place `at` of the tree."""

    source: SpecSource
    data: Mapping[str, Any]
    at: Place = ()
    inside: Place = ()

    def place(self, wanted: Place) -> Place | None:
        """Where in the file a place of the tree is; None if this layer has no part in it."""
        if wanted[: len(self.at)] != self.at:
            return None
        return (*self.inside, *wanted[len(self.at) :])

    def depth(self, wanted: Place) -> int:
        """How many steps of a place of the tree the file has; -1 if this layer has no part in it."""
        own = self.place(wanted)
        if own is None:
            return -1
        value: Any = self.data
        for number, key in enumerate(own):
            if isinstance(value, dict) and str(key) in value:
                value = value[str(key)]
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return number - len(self.inside) + len(self.at) if number >= len(self.inside) else -1
        return len(wanted)


class Sources:
    """The files that a tree of data comes from, the ones that win first."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = list(layers)

    def problem(self, finding: Finding) -> Problem:
        """The finding in the file, at the line and the column that it is about."""
        layer = max(self.layers, key=lambda layer: layer.depth(finding.place))  # of equals the first
        return layer.source.problem(finding, at=layer.place(finding.place))

    def in_order(self, findings: Sequence[Finding], problems: Sequence[Problem] = ()) -> list[Problem]:
        """The findings and problems in the order of the files and of their lines, each told once."""
        found = dict.fromkeys([*problems, *(self.problem(finding) for finding in findings)])
        files = list(dict.fromkeys(layer.source.file for layer in self.layers))
        ranks = {file: rank for rank, file in enumerate(files)}
        return sorted(found, key=lambda one: (ranks.get(one.file, -1), one.line or 0, one.column or 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """A tree of data without references to files, its layers, and the files besides the first."""

    data: dict[str, Any]
    layers: tuple[Layer, ...]

    @property
    def others(self) -> tuple[SpecSource, ...]:
        """The files besides the first."""
        return tuple(dict.fromkeys(layer.source for layer in self.layers[1:]))


def composed(
    source: SpecSource,
    path: Path,
    *,
    folder: Path,
    options_schema: OptionsSchema,
    types: Types,
    is_whole: bool = True,
) -> Composition:
    """The data of a source with what it extends below it and what it includes beside it.

    Args:
        source: the text.
        path: its file, whose folder the paths in it begin at.
        folder: where relative paths of the tree begin; those from elsewhere are made absolute.
        options_schema: the schema of the options of a type of executors.
        types: tells which types there are.
        is_whole: whether it is a spec, rather than a part for specs, which may be empty.

    Raises:
        SpecError: with the problems of all files, each in its own.
    """
    composer = _Composer(folder, options_schema, types)
    data = mapping(source, is_whole=is_whole)
    if not any(key in data for key in REFERENCES):
        folders = {os.path.normpath(path.parent), os.path.normpath(folder)}
        own = data if len(folders) == 1 else composer.relocated(data, path.parent)
        return Composition(data=own, layers=(Layer(source=source, data=data),))
    tree, layers = composer.whole(source, data, path, ())
    if composer.problems:
        raise SpecError(composer.problems)
    return Composition(data=tree, layers=layers)


def mapping(source: SpecSource, *, is_whole: bool = True) -> dict[str, Any]:
    """The data of a source, which must be a mapping; what only is a part may be empty. Raises SpecError."""
    data = parse(source)
    if isinstance(data, dict):
        return data
    if data is None and not is_whole:
        return {}
    if data is None and not source.text.strip():
        hint = "a spec has at least tasks; begin with: exp init"
        raise SpecError([Finding(place=(), message="is empty", hint=hint).problem(file=source.file)])
    message = f"must be a mapping with tasks in it, not {shown(data)}"
    raise SpecError([source.problem(Finding(place=(), message=message))])


class _Composer:
    """Reads each file once, and collects what is wrong with any of them."""

    def __init__(self, folder: Path, options_schema: OptionsSchema, types: Types) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._options_schema = options_schema
        self._types = types
        self._done: dict[str, tuple[dict[str, Any], tuple[Layer, ...]]] = {}

    def whole(
        self, source: SpecSource, data: Mapping[str, Any], path: Path, chain: tuple[tuple[str, str], ...]
    ) -> tuple[dict[str, Any], tuple[Layer, ...]]:
        """The tree of one file and its layers; `chain` is who wanted it, as real paths and as written."""
        chain = (*chain, (os.path.realpath(path), source.file))
        own: dict[str, Any] = {key: value for key, value in data.items() if key not in REFERENCES}
        if os.path.normpath(path.parent) != os.path.normpath(self._folder):
            own = self.relocated(own, path.parent)
        layers = [Layer(source=source, data=data)]
        for tree, theirs in self._named(source, data, path, "include", chain):
            own, clashes = united(own, tree, other=source.file)
            self.problems += [Sources(theirs).problem(finding) for finding in clashes]
            layers += theirs
        below: dict[str, Any] = {}
        lower: list[Layer] = []
        for tree, theirs in self._named(source, data, path, "extends", chain):
            below = merged(below, tree)
            lower = [*theirs, *lower]
        return merged(below, own), (*layers, *lower)

    def relocated(self, data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The data of a file of this folder as it is in a tree of another one."""
        found = {
            key: relocated(value, walk.below(walk.experiment(), key), folder) for key, value in data.items()
        }
        executors = found.get("executors")
        if isinstance(executors, dict):
            found["executors"] = {
                name: relocated(entry, self._options(entry, executors), folder)
                for name, entry in executors.items()
            }
        return found

    def _options(self, entry: Any, executors: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The schemas that may hold for the options of an executor: one, if its type is known."""
        seen: list[Any] = []
        while isinstance(entry, dict) and "type" not in entry and entry not in seen:
            seen.append(entry)
            entry = executors.get(str(entry.get("extends")))
        kind = entry.get("type") if isinstance(entry, dict) else None
        kinds = [kind] if isinstance(kind, str) else self._types()
        return [found for one in kinds if (found := self._options_schema(one)) is not None]

    def _named(
        self,
        source: SpecSource,
        data: Mapping[str, Any],
        path: Path,
        key: str,
        chain: tuple[tuple[str, str], ...],
    ) -> list[tuple[dict[str, Any], tuple[Layer, ...]]]:
        """The files that a key names, each with all that it takes in itself."""
        value = data.get(key)
        if value is None and key not in data:
            return []
        if wrong := checks.check_files(value, (key,)):
            self.problems += [source.problem(finding) for finding in wrong]
            return []
        named: list[tuple[Place, str]] = [((key,), str(value))]
        if isinstance(value, list):
            named = [((key, index), written) for index, written in enumerate(value)]
        found = [self._file(source, path, place, written, chain) for place, written in named]
        return [one for one in found if one is not None]

    def _file(
        self, source: SpecSource, path: Path, place: Place, written: str, chain: tuple[tuple[str, str], ...]
    ) -> tuple[dict[str, Any], tuple[Layer, ...]] | None:
        def refuse(message: str, hint: str | None = None) -> None:
            self.problems.append(source.problem(Finding(place=place, message=message, hint=hint)))

        if OPENING in written:
            refuse("files are read before expressions are filled in", "write the path itself")
            return None
        wanted = Path(os.path.normpath(path.parent / Path(written).expanduser()))
        real = os.path.realpath(wanted)
        called = [file for known, file in chain if known == real]
        if called:
            names = [file for _, file in chain]
            round_trip = [*names[names.index(called[0]) :], called[0]]
            refuse(f"leads back to where it began: {' → '.join(round_trip)}")
            return None
        if real in self._done:
            return self._done[real]
        shown_as = wanted if Path(written).expanduser().is_absolute() else _beside(source.file, written)
        try:
            other = open_source(wanted, file=str(shown_as))
        except SpecError as fault:
            refuse(f"{shown_as}: {fault.problems[0].message}", fault.problems[0].hint)
            return None
        try:
            found = self.whole(other, mapping(other, is_whole=False), wanted, chain)
        except SpecError as fault:
            self.problems += fault.problems
            return None
        self._done[real] = found
        return found


def _beside(file: str, written: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(file), written))  # noqa: PTH118, PTH120 - a text
