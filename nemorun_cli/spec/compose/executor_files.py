"""The executors that a spec can name: its own, those of its project, those of its user, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from nemorun_cli.errors import SpecError
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.spec.compose.composition import Layer, Sources, composed
from nemorun_cli.spec.compose.merge import OF_TASKS, merged
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.spec.yaml.source import open_source
from nemorun_cli.storage import paths as files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.problems import Problem
    from nemorun_cli.spec.compose.composition import Composition, OptionsSchema, Types
    from nemorun_cli.storage.paths import Home

LOCAL: Final = "local"  # the executor that is there without being described
_ALLOWED: Final = frozenset(("version", "executors"))
_LOCAL_ENTRY: Final = {"type": LOCAL}

Word: TypeAlias = Literal["built in", "spec", "project", "user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorOrigin:
    """Where an executor is described: the file, and whose that is."""

    word: Word
    file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Level:
    word: Word
    executors: Mapping[str, Any]
    sources: Sources


class ExecutorCatalog:
    """Finds executors by name and puts together those that extend others.

    Args:
        own: the spec as composed.
        folder: the spec's folder, from which the project's file is looked for upwards.
        home: gives the home with the user's file, asked only where something is looked for outside.
        options_schema: the schema of the options of a type.
        types: tells which types there are.
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
        self.layers: list[Layer] = []  # what executors have from elsewhere
        self._own = own
        self._folder, self._home = folder, home
        self._options_schema, self._types = options_schema, types
        self._outside: list[_Level] | None = None
        self._brought: dict[str, _Level] = {}
        self.extended: tuple[str, ...] = ()  # those of the spec that extend others

    def address(self, data: dict[str, Any], sets: Sequence[str]) -> dict[str, Any]:
        """The data with those executors from outside, and the built-in one, that a `--set` changes."""
        names = [text.split(".", 2)[1] for text in sets if text.startswith("executors.") and "=" in text]
        executors = data.get("executors", {})
        if LOCAL in names and isinstance(executors, dict) and LOCAL not in executors:
            data = {**data, "executors": {**executors, LOCAL: dict(_LOCAL_ENTRY)}}
        return self._with(data, [name for name in names if "=" not in name])

    def complete(self, data: dict[str, Any]) -> dict[str, Any]:
        """The data with all executors that it names, each put together of what it extends."""
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
        """Where an executor of the completed data is described."""
        if level := self._brought.get(name):
            return ExecutorOrigin(word=level.word, file=_file_of(level.sources.layers, name))
        file = _file_of(self._own.layers, name)
        return ExecutorOrigin(word="spec", file=file) if file else ExecutorOrigin(word="built in")

    @property
    def brought(self) -> list[str]:
        """The names of those that came from outside."""
        return list(self._brought)

    @property
    def known(self) -> list[str]:
        """The names of those that are described outside, as far as that was looked at."""
        return [name for level in self._outside or () for name in level.executors]

    # -- names --------------------------------------------------------------------------------------

    def _wanted(self, data: Mapping[str, Any]) -> list[str]:
        """The names that stand where executors are named; if one is not known yet, all there are."""
        named = list(dict.fromkeys(_named(data)))
        if any(OPENING in name for name in named):
            named += [name for level in self._levels() for name in level.executors]
        return named

    def _with(self, data: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
        executors = data.get("executors", {})
        if not isinstance(executors, dict):
            return data
        found: dict[str, Any] = {}
        for name in names:
            if name in executors or name in found or name == LOCAL:
                continue
            levels = self._levels()
            level = next((one for one in levels if name in one.executors), None)
            if level is not None:
                self._brought[name] = level
                found[name] = self._extended(name, levels[levels.index(level) :])
        return {**data, "executors": {**executors, **found}} if found else data

    # -- entries ------------------------------------------------------------------------------------

    def _extended(self, name: str, levels: Sequence[_Level]) -> dict[str, Any]:
        """An entry over all that it extends, directly or not; its first level is where it stands."""
        parts: list[Mapping[str, Any]] = []
        chain: list[tuple[int, str]] = []
        number, wanted = 0, name
        while True:
            level = levels[number]
            entry = level.executors[wanted]
            self._add_layers(name, wanted, level)
            if not isinstance(entry, dict):
                return self._laid(name, parts) if parts else entry
            parts.append({key: value for key, value in entry.items() if key != "extends"})
            chain.append((number, wanted))
            target = entry.get("extends")
            if not isinstance(target, str):
                return self._laid(name, parts)
            found = _find(target, levels, number + 1 if target == wanted else number)
            if found is None or (found, target) in chain:
                self._refuse(levels[number], wanted, target, chain=chain, levels=levels)
                return self._laid(name, parts)
            if found >= len(levels):
                return self._laid(name, [*parts, _LOCAL_ENTRY])
            number, wanted = found, target

    def _laid(self, name: str, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for part in reversed(parts):
            found = merged(found, part, ("executors", name))
        return found

    def _refuse(
        self,
        level: _Level,
        name: str,
        target: str,
        *,
        chain: Sequence[tuple[int, str]],
        levels: Sequence[_Level],
    ) -> None:
        names = [one for _, one in chain]
        hint = None
        if any(one == target for _, one in chain) and target != name:
            message = f"leads back to where it began: {' → '.join([*names[names.index(target) :], target])}"
        else:
            known = dict.fromkeys([LOCAL, *(one for other in levels for one in other.executors)])
            where = " further out" if target == name else ""
            message = f"no executor is called {target!r}{where}"
            hint = choices(target, [one for one in known if one != name])
        place = ("executors", name, "extends")
        self.problems.append(level.sources.problem(Finding(place=place, message=message, hint=hint)))

    def _add_layers(self, name: str, wanted: str, level: _Level) -> None:
        at, inside = ("executors", name), ("executors", wanted)
        if level.word == "spec" and name == wanted:
            return
        self.layers += [
            Layer(source=one.source, data=one.data, at=at, inside=inside) for one in level.sources.layers
        ]

    # -- files --------------------------------------------------------------------------------------

    def _levels(self) -> list[_Level]:
        if self._outside is None:
            self._outside = []
            project, user = files.project_executors(self._folder), self._home().executors
            if project is not None:
                self._read("project", project)
            if user.is_file() and user != project:
                self._read("user", user)
        return self._outside

    def _read(self, word: Word, path: Path) -> None:
        assert self._outside is not None  # noqa: S101 - made before anything is read into it
        try:
            source = open_source(path)
            found = composed(
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
        sources = Sources(found.layers)
        for key in found.data:
            if key not in _ALLOWED:
                hint = "a file of executors has executors, and files that it extends or includes"
                finding = Finding(place=(key,), on_key=True, message=f"{key} does not belong here", hint=hint)
                self.problems.append(sources.problem(finding))
        executors = found.data.get("executors", {})
        if not isinstance(executors, dict):
            finding = Finding(place=("executors",), message="must be a mapping of names to executors")
            self.problems.append(sources.problem(finding))
            executors = {}
        if LOCAL in executors:
            hint = "give it another name: every spec takes local for granted"
            finding = Finding(
                place=("executors", LOCAL), on_key=True, message="cannot be described here", hint=hint
            )
            self.problems.append(sources.problem(finding))
        self._outside.append(_Level(word=word, executors=executors, sources=sources))


def _find(name: str, levels: Sequence[_Level], start: int) -> int | None:
    """The number of the first level from `start` on with an executor of this name; one more for `local`."""
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


def _named(data: Mapping[str, Any]) -> Iterator[str]:
    """Every text that stands where an executor is named."""
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
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            yield one
