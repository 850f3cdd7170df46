"""Finds the executors that a spec names: in the spec, then the project file, then the user file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding, Problem, choices
from nemorun_cli.spec.compose.composition import Layer, Sources, composed
from nemorun_cli.spec.compose.merge import OF_TASKS, merged
from nemorun_cli.spec.compose.named_files import checked
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.yaml.source import open_source
from nemorun_cli.storage import paths as files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.spec.compose.composition import Composition, OptionsSchema, Types
    from nemorun_cli.storage.paths import Home

LOCAL: Final = "local"  # the built-in executor
_ALLOWED: Final = frozenset(("version", "executors"))
_LOCAL_ENTRY: Final = {"type": LOCAL}

Word: TypeAlias = Literal["built in", "spec", "project", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOrigin:
    """Where an executor is defined: the level and the file."""

    word: Word
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    word: Word
    executors: Mapping[str, Any]
    sources: Sources


class ExecutorCatalog:
    """Finds executors by name and merges those that extend others.

    Args:
        own: the spec as composed.
        folder: the folder of the spec; the project file is searched in it and its parents.
        home: returns the home with the user file; called only if an executor is not in the spec.
        options_schema: returns the schema for the options of a type.
        types: returns the known types.
    """

    def __init__(
        self,
        own: Composition,
        *,
        folder: Path,
        home: Callable[[], Home],
        options_schema: OptionsSchema,
        types: Types,
    ) -> None:
        self.problems: list[Problem] = []
        self.layers: list[Layer] = []  # the parts of executors that come from other files
        self._own = own
        self._folder, self._home = folder, home
        self._options_schema, self._types = options_schema, types
        self._outside: list[_Level] | None = None
        self._brought: dict[str, _Level] = {}
        self.extended: tuple[str, ...] = ()  # executors of the spec that extend others

    def address(self, data: dict[str, Any], sets: Sequence[str]) -> dict[str, Any]:
        """Return the data with the shared or built-in executors added that a `--set` changes."""
        names = [text.split(".", 2)[1] for text in sets if text.startswith("executors.") and "=" in text]
        executors = data.get("executors", {})
        if LOCAL in names and isinstance(executors, dict) and LOCAL not in executors:
            data = {**data, "executors": {**executors, LOCAL: dict(_LOCAL_ENTRY)}}
        return self._with(data, [name for name in names if "=" not in name])

    def complete(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data with all executors that it names, each merged with those it extends."""
        executors = data.get("executors", {})
        if not isinstance(executors, dict):
            return data
        level = _Level(word="spec", executors=executors, sources=Sources([*self._own.layers, *self.layers]))
        extended = {
            name: self._extended(name, [level, *self._levels()])
            for name, entry in executors.items()
            if isinstance(entry, dict) and isinstance(entry.get("extends"), str)
        }
        self.extended = tuple(extended)
        if extended:
            data = {**data, "executors": {**executors, **extended}}
        return self._with(data, self._wanted(data))

    def origin(self, name: str) -> ExecutorOrigin:
        """Return where an executor of the completed data is defined."""
        if level := self._brought.get(name):
            return ExecutorOrigin(word=level.word, file=_file_of(level.sources.layers, name))
        file = _file_of(self._own.layers, name)
        return ExecutorOrigin(word="spec", file=file) if file else ExecutorOrigin(word="built in")

    @property
    def brought(self) -> list[str]:
        """The names of the executors that were added from shared files."""
        return list(self._brought)

    @property
    def known(self) -> list[str]:
        """The names of the executors in shared files, if those were read."""
        return [name for level in self._outside or () for name in level.executors]

    # -- names --------------------------------------------------------------------------------------

    def _wanted(self, data: Mapping[str, Any]) -> list[str]:
        """Return the names of executors in the data; if one is an expression, all shared executors too."""
        names = list(dict.fromkeys(_references(data)))
        if any(OPENING in name for name in names):
            names += [name for level in self._levels() for name in level.executors]
        return names

    def _with(self, data: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
        executors = data.get("executors", {})
        if not isinstance(executors, dict):
            return data
        added: dict[str, Any] = {}
        for name in names:
            if name in executors or name in added or name == LOCAL:
                continue
            levels = self._levels()
            level = next((level for level in levels if name in level.executors), None)
            if level is not None:
                self._brought[name] = level
                added[name] = self._extended(name, levels[levels.index(level) :])
        return {**data, "executors": {**executors, **added}} if added else data

    # -- entries ------------------------------------------------------------------------------------

    def _extended(self, name: str, levels: Sequence[_Level]) -> dict[str, Any]:
        """Return an entry of the first level merged with all that it extends, directly or indirectly."""
        parts: list[Mapping[str, Any]] = []
        chain: list[tuple[int, str]] = []
        number, entry_name = 0, name
        while True:
            level = levels[number]
            entry = level.executors[entry_name]
            self._add_layers(name, entry_name, level)
            if not isinstance(entry, dict):
                return self._merged_entry(name, parts) if parts else entry
            parts.append({key: value for key, value in entry.items() if key != "extends"})
            chain.append((number, entry_name))
            target = entry.get("extends")
            if not isinstance(target, str):
                return self._merged_entry(name, parts)
            target_level = _find(target, levels, number + 1 if target == entry_name else number)
            if target_level is None or (target_level, target) in chain:
                self._refuse(levels[number], entry_name, target, chain=chain, levels=levels)
                return self._merged_entry(name, parts)
            if target_level >= len(levels):
                return self._merged_entry(name, [*parts, _LOCAL_ENTRY])
            number, entry_name = target_level, target

    def _merged_entry(self, name: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        entry: dict[str, Any] = {}
        for part in reversed(parts):
            entry = merged(entry, part, ("executors", name))
        return entry

    def _refuse(
        self,
        level: _Level,
        name: str,
        target: str,
        *,
        chain: Sequence[tuple[int, str]],
        levels: Sequence[_Level],
    ) -> None:
        names = [link for _, link in chain]
        hint = None
        if target in names and target != name:
            message = f"forms a cycle: {' → '.join([*names[names.index(target) :], target])}"
        else:
            known = dict.fromkeys([LOCAL, *(executor for other in levels for executor in other.executors)])
            kind = "other executor" if target == name else "executor"
            message = f"no {kind} is called {target!r}"
            hint = choices(target, [executor for executor in known if executor != name])
        place = ("executors", name, "extends")
        self.problems.append(level.sources.problem(Finding(place=place, message=message, hint=hint)))

    def _add_layers(self, name: str, entry_name: str, level: _Level) -> None:
        at, inside = ("executors", name), ("executors", entry_name)
        if level.word == "spec" and name == entry_name:
            return
        self.layers += [
            Layer(source=layer.source, data=layer.data, at=at, inside=inside)
            for layer in level.sources.layers
        ]

    # -- files --------------------------------------------------------------------------------------

    def _levels(self) -> list[_Level]:
        if self._outside is None:
            self._outside = []
            project, user = files.project_executors(self._folder), self._home().executors
            if project is not None:
                self._read_trusted("project", project)
            if user.is_file() and user != project:
                self._read_trusted("user", user)
        return self._outside

    def _read_trusted(self, word: Word, path: Path) -> None:
        """Read a file of executors, whose commands and variables apply to all tasks that name one."""
        if (distrust := files.executors_distrust(path)) is None:
            self._read(word, path)
        else:
            self.problems.append(Problem(file=str(path), message=distrust.message, hint=distrust.remedy))

    def _read(self, word: Word, path: Path) -> None:
        assert self._outside is not None  # noqa: S101 - set by the caller
        try:
            source = checked(open_source(path))
            composition = composed(
                source,
                path,
                folder=self._folder,
                options_schema=self._options_schema,
                types=self._types,
                is_whole=False,
            )
        except SpecError as fault:
            self.problems += fault.problems
            return
        sources = Sources(composition.layers)
        for key in composition.data:
            if key not in _ALLOWED:
                hint = "an executor file may contain executors, extends and include"
                finding = Finding(
                    place=(key,), on_key=True, message=f"{key} is not allowed in an executor file", hint=hint
                )
                self.problems.append(sources.problem(finding))
        executors = composition.data.get("executors", {})
        if not isinstance(executors, dict):
            finding = Finding(place=("executors",), message="must be a mapping of names to executors")
            self.problems.append(sources.problem(finding))
            executors = {}
        if LOCAL in executors:
            hint = "give it another name: local is the built-in executor of every spec"
            finding = Finding(
                place=("executors", LOCAL), on_key=True, message="cannot be redefined here", hint=hint
            )
            self.problems.append(sources.problem(finding))
        self._outside.append(_Level(word=word, executors=executors, sources=sources))


def _find(name: str, levels: Sequence[_Level], start: int) -> int | None:
    """Return the index of the first level from `start` on with this executor; `len(levels)` for `local`."""
    for number in range(start, len(levels)):
        if name in levels[number].executors:
            return number
    return len(levels) if name == LOCAL else None


def _file_of(layers: Iterable[Layer], name: str) -> str | None:
    for layer in layers:
        executors = layer.data.get("executors")
        if not layer.at and isinstance(executors, dict) and name in executors:
            return layer.source.file
    return None


def _references(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values of all `executor` keys."""
    yield from _names(data.get("executor"))
    for key, section in data.items():
        if key in OF_TASKS and isinstance(section, dict):
            for task in section.values():
                if isinstance(task, dict):
                    yield from _names(task.get("executor"))
                    yield from _of_members(task.get("group"))
        elif isinstance(section, dict) and isinstance(section.get("executor"), (str, list)):
            yield from _names(section["executor"])


def _of_members(group: Any) -> Iterator[str]:
    for member in group if isinstance(group, list) else ():
        if isinstance(member, dict):
            yield from _names(member.get("executor"))


def _names(value: Any) -> Iterator[str]:
    for name in value if isinstance(value, list) else [value]:
        if isinstance(name, str):
            yield name
