"""Merges a spec with the files that it extends and includes; keeps the source of each value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding, Problem, shown
from nemorun_cli.spec.compose.merge import merged, united
from nemorun_cli.spec.compose.named_files import checked
from nemorun_cli.spec.compose.relative_paths import relocated
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.schema import checks, walk
from nemorun_cli.spec.yaml.parser import parse
from nemorun_cli.spec.yaml.source import SpecSource, open_source
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.model.problems import Place

    OptionsSchema = Callable[[str], Mapping[str, Any] | None]
    Types = Callable[[], Sequence[str]]

REFERENCES: Final = ("include", "extends")  # keys that name files; the contents of the files replace them
FOLDER: Final = "folder"  # the key with the folder that the paths of its own file are relative to
OF_FILES: Final = (*REFERENCES, FOLDER)  # keys that are read before all others


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The part of a tree that comes from one file: its data at `inside` applies at `at` in the tree."""

    source: SpecSource
    data: Mapping[str, Any]
    at: Place = ()
    inside: Place = ()

    def place(self, place: Place) -> Place | None:
        """Return the place in the file of a place in the tree; None if it is outside of this layer."""
        if place[: len(self.at)] != self.at:
            return None
        return (*self.inside, *place[len(self.at) :])

    def depth(self, place: Place) -> int:
        """Return how many keys of a place in the tree the file has; -1 if it is outside of this layer."""
        place_in_file = self.place(place)
        if place_in_file is None:
            return -1
        value: Any = self.data
        for number, key in enumerate(place_in_file):
            if isinstance(value, dict) and str(key) in value:
                value = value[str(key)]
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return number - len(self.inside) + len(self.at) if number >= len(self.inside) else -1
        return len(place)


class Sources:
    """The files that a tree of data comes from, those of highest precedence first."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self.layers = list(layers)

    def problem(self, finding: Finding) -> Problem:
        """Return the finding with its file, line and column."""
        layer = max(self.layers, key=lambda layer: layer.depth(finding.place))  # the first of equal ones
        return layer.source.problem(finding, at=layer.place(finding.place))

    def in_order(self, findings: Sequence[Finding], problems: Sequence[Problem] = ()) -> list[Problem]:
        """Return the findings and problems without duplicates, sorted by file and line."""
        unique = dict.fromkeys([*problems, *(self.problem(finding) for finding in findings)])
        files = list(dict.fromkeys(layer.source.file for layer in self.layers))
        ranks = {file: rank for rank, file in enumerate(files)}
        return sorted(
            unique, key=lambda problem: (ranks.get(problem.file, -1), problem.line or 0, problem.column or 0)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """The merged data without references to files, the layers it consists of, and the folder of its paths."""

    data: dict[str, Any]
    layers: tuple[Layer, ...]
    folder: Path

    @property
    def others(self) -> tuple[SpecSource, ...]:
        """The files other than the spec itself."""
        return tuple(dict.fromkeys(layer.source for layer in self.layers[1:]))


def composed(
    source: SpecSource,
    path: Path,
    *,
    folder: Path | None = None,
    options_schema: OptionsSchema,
    types: Types,
    is_whole: bool = True,
) -> Composition:
    """Return the data of a source merged with the files that it extends and includes.

    Args:
        source: the text.
        path: its file; paths in the text are relative to its own `folder`, or else to that of this file.
        folder: relative paths in the result are relative to it; paths from other folders become absolute. By
            default, it is the folder of the paths in the text.
        options_schema: returns the schema for the options of a type of executors.
        types: returns the known types of executors.
        is_whole: whether the source is a whole spec; a partial file may be empty.

    Raises:
        SpecError: with the problems of all files.
    """
    data = mapping(source, is_whole=is_whole)
    base = own_folder(source, data, path)
    target = base if folder is None else folder
    composer = _Composer(target, options_schema, types)
    if not any(key in data for key in REFERENCES):
        folders = {os.path.normpath(base), os.path.normpath(target)}
        own = data if len(folders) == 1 else composer.relocated(data, base)
        return Composition(data=own, layers=(Layer(source=source, data=data),), folder=target)
    tree, layers = composer.whole(source, data, path, ())
    if composer.problems:
        raise SpecError(composer.problems)
    return Composition(data=tree, layers=layers, folder=target)


def own_folder(source: SpecSource, data: Mapping[str, Any], path: Path) -> Path:
    """Return the folder that the relative paths of a file are relative to: `folder`, or its own.

    Raises:
        SpecError: `folder` is an expression, or there is no such folder.
    """
    written = data.get(FOLDER)
    if not isinstance(written, str) or not written:
        return path.parent  # the schema reports other values
    folder = Path(os.path.normpath(path.parent / expanded(written)))
    if OPENING in written:
        message, hint = "is needed before expressions are evaluated", "write a literal path"
    elif not folder.is_dir():
        message, hint = f"there is no folder {folder}", "remove the key to use the folder of the file"
    else:
        return folder
    raise SpecError([source.problem(Finding(place=(FOLDER,), message=message, hint=hint))])


def mapping(source: SpecSource, *, is_whole: bool = True) -> dict[str, Any]:
    """Return the data of a source, which must be a mapping; a partial file may be empty. Raises SpecError."""
    data = parse(source)
    if isinstance(data, dict):
        return data
    if data is None and not is_whole:
        return {}
    if data is None and not source.text.strip():
        hint = "a spec needs at least one task; start with: exp init"
        raise SpecError([Finding(place=(), message="is empty", hint=hint).problem(file=source.file)])
    message = f"must be a mapping with tasks in it, not {shown(data)}"
    raise SpecError([source.problem(Finding(place=(), message=message))])


class _Composer:
    """Reads each file once and collects the problems of all files."""

    def __init__(self, folder: Path, options_schema: OptionsSchema, types: Types) -> None:
        self.problems: list[Problem] = []
        self._folder = folder
        self._options_schema = options_schema
        self._types = types
        self._done: dict[str, tuple[dict[str, Any], tuple[Layer, ...]]] = {}

    def whole(
        self, source: SpecSource, data: Mapping[str, Any], path: Path, chain: tuple[tuple[str, str], ...]
    ) -> tuple[dict[str, Any], tuple[Layer, ...]]:
        """Return the tree of a file and its layers; `chain` is the referring files: real path, shown path."""
        left_out = OF_FILES if chain else REFERENCES  # the folder of another file is its own
        chain = (*chain, (os.path.realpath(path), source.file))
        base = own_folder(source, data, path)
        own: dict[str, Any] = {key: value for key, value in data.items() if key not in left_out}
        if os.path.normpath(base) != os.path.normpath(self._folder):
            own = self.relocated(own, base)
        layers = [Layer(source=source, data=data)]
        for tree, tree_layers in self._referenced(source, data, base, "include", chain):
            own, clashes = united(own, tree, other=source.file)
            self.problems += [Sources(tree_layers).problem(finding) for finding in clashes]
            layers += tree_layers
        below: dict[str, Any] = {}
        lower: list[Layer] = []
        for tree, tree_layers in self._referenced(source, data, base, "extends", chain):
            below = merged(below, tree)
            lower = [*tree_layers, *lower]
        return merged(below, own), (*layers, *lower)

    def relocated(self, data: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Return the data of a file in this folder with its relative paths made absolute."""
        result = {
            key: relocated(value, walk.below(walk.experiment(), key), folder) for key, value in data.items()
        }
        executors = result.get("executors")
        if isinstance(executors, dict):
            result["executors"] = {
                name: relocated(entry, self._options(entry, executors), folder)
                for name, entry in executors.items()
            }
        return result

    def _options(self, entry: Any, executors: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the schemas that may apply to the options of an executor; only one if its type is known."""
        seen: list[Any] = []
        while isinstance(entry, dict) and "type" not in entry and entry not in seen:
            seen.append(entry)
            entry = executors.get(str(entry.get("extends")))
        kind = entry.get("type") if isinstance(entry, dict) else None
        kinds = [kind] if isinstance(kind, str) else self._types()
        return [schema for kind in kinds if (schema := self._options_schema(kind)) is not None]

    def _referenced(
        self,
        source: SpecSource,
        data: Mapping[str, Any],
        base: Path,
        key: str,
        chain: tuple[tuple[str, str], ...],
    ) -> list[tuple[dict[str, Any], tuple[Layer, ...]]]:
        """Return the tree and the layers of each file that a key names, relative to a folder."""
        value = data.get(key)
        if value is None and key not in data:
            return []
        if findings := checks.check_files(value, (key,)):
            self.problems += [source.problem(finding) for finding in findings]
            return []
        references: list[tuple[Place, str]] = [((key,), str(value))]
        if isinstance(value, list):
            references = [((key, index), written) for index, written in enumerate(value)]
        files = [self._file(source, base, place, written, chain) for place, written in references]
        return [file for file in files if file is not None]

    def _file(
        self, source: SpecSource, base: Path, place: Place, written: str, chain: tuple[tuple[str, str], ...]
    ) -> tuple[dict[str, Any], tuple[Layer, ...]] | None:
        def refuse(message: str, hint: str | None = None) -> None:
            self.problems.append(source.problem(Finding(place=place, message=message, hint=hint)))

        if OPENING in written:
            refuse("files are read before expressions are evaluated", "write a literal path")
            return None
        target = Path(os.path.normpath(base / expanded(written)))
        real = os.path.realpath(target)
        repeated = [file for known, file in chain if known == real]
        if repeated:
            names = [file for _, file in chain]
            cycle = [*names[names.index(repeated[0]) :], repeated[0]]
            refuse(f"forms a cycle: {' → '.join(cycle)}")
            return None
        if real in self._done:
            return self._done[real]
        shown_as = target if expanded(written).is_absolute() else _beside(source.file, written)
        try:
            other = open_source(target, file=str(shown_as))
        except SpecError as fault:
            refuse(f"{shown_as}: {fault.problems[0].message}", fault.problems[0].hint)
            return None
        try:
            tree = self.whole(other, mapping(checked(other), is_whole=False), target, chain)
        except SpecError as fault:
            self.problems += fault.problems
            return None
        self._done[real] = tree
        return tree


def _beside(file: str, written: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(file), written))  # noqa: PTH118, PTH120 - text in and out
