"""`--sweep PARAM=V,V`: the tasks that use a param, and all below them, get it as an axis of their matrix."""

from __future__ import annotations

import fnmatch
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.spec import param_values
from nemorun_cli.spec.expressions import syntax
from nemorun_cli.spec.expressions.syntax import UNKNOWN, Expression, Reference, TemplateError
from nemorun_cli.spec.tasks import matrix
from nemorun_cli.spec.yaml.parser import option_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.param_values import Param

MOST_VALUES: Final = 100_000  # as members of a sweep
OPTION: Final = "--sweep"
_SPAN: Final = re.compile(r"(-?[0-9]{1,15})\.\.(-?[0-9]{1,15})", re.ASCII)
_LITERAL: Final = frozenset(("version", "name", "params"))  # sections in which `${{` is ordinary text
_SEARCH_TIME: Final = 5.0  # seconds for the searches for the pattern of a param


@dataclass(slots=True)
class SweptSpec:
    """A spec with the axes of `--sweep`, the option behind each of them, and the problems."""

    data: dict[str, Any]
    options: dict[Place, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


class _SweepError(Exception):
    """An option cannot be used; without a place, the option itself is the place."""

    def __init__(self, message: str, hint: str | None = None, place: Place = ()) -> None:
        super().__init__(message)
        self.message, self.hint, self.place = message, hint, place


def applied(data: Mapping[str, Any], sweeps: Sequence[str], params: Sequence[str]) -> SweptSpec:
    """Return a spec in which each swept param is an axis of the tasks that it concerns.

    Args:
        data: the spec, with the changes of `--set`.
        sweeps: each `name=values`.
        params: the values of `-p`, each `name=value`.
    """
    swept = SweptSpec(dict(data))
    given = {text.partition("=")[0]: "-p" for text in params}
    for text in sweeps:
        option = f"{OPTION} {text}"
        try:
            name, values = _values(text, data.get("params"), given)
            given[name] = OPTION
            changed = _Sweep(swept.data, name, values).swept()
        except _SweepError as fault:
            swept.findings.append(
                Finding(place=fault.place, option=option, message=fault.message, hint=fault.hint)
            )
            continue
        swept.data = {**changed.data, "params": _with_default(data["params"], name, values[0])}
        swept.options |= {("tasks", task, "matrix", name): option for task in changed.tasks}
    return swept


# -- values -----------------------------------------------------------------------------------------


def _with_default(section: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The declarations, in which a param that only the swept tasks use needs no other value."""
    param = param_values.declared({name: section[name]})[name]
    is_needed = not param.has_default and param.required
    return {**section, name: param_values.with_default(section[name], value)} if is_needed else dict(section)


def _values(text: str, section: Any, given: Mapping[str, str]) -> tuple[str, list[Any]]:
    """The name of the param, and its values; `given` has the option of each param with a value."""
    name, equals, written = text.partition("=")
    declared = section if isinstance(section, dict) else {}
    if not equals or not written:
        raise _SweepError("has no values", f"write {OPTION} NAME=V,V or {OPTION} NAME=A..B")
    if name not in declared:
        raise _SweepError(f"no param is called {name!r}", choices(name, declared))
    if name in given:
        hint = f"leave out one of the two; a resume keeps {OPTION}"
        raise _SweepError(f"{name} has a value by {given[name]} already", hint)
    try:
        entries = option_value(f"[{written}]")
    except ValueError as fault:
        raise _SweepError(f"has values that cannot be read: {fault}", "put texts in quotes") from None
    param = param_values.declared({name: declared[name]})[name]
    values = [value for entry in entries for value in _spanned(entry)]
    for index, value in enumerate(values):
        values[index] = _checked(param, value)
    return name, values


def _spanned(entry: Any) -> list[Any]:
    """The whole numbers of `A..B`, both included; any other value by itself."""
    span = _SPAN.fullmatch(entry) if isinstance(entry, str) else None
    if span is None:
        return [entry]
    first, last = int(span[1]), int(span[2])
    step = 1 if first <= last else -1
    if abs(last - first) >= MOST_VALUES:
        raise _SweepError(f"has more than {MOST_VALUES:,} values: {entry}")
    return list(range(first, last + step, step))


def _checked(param: Param, value: Any) -> Any:
    if isinstance(value, (list, dict)) or value is None:
        raise _SweepError(
            f"has the value {shown(value)}", "the values of an axis are texts, numbers and booleans"
        )
    if param.type == "string" and not isinstance(value, str):
        value = getattr(value, "written", None) or shown(value)
    if problem := param.fault(value, time.monotonic() + _SEARCH_TIME):
        raise _SweepError(problem, param.help, ("params", param.name))
    return int(value) if param.type == "integer" and isinstance(value, float) else value


# -- tasks ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Changed:
    data: dict[str, Any]
    tasks: list[str]


class _Sweep:
    """One swept param of one spec."""

    def __init__(self, data: Mapping[str, Any], name: str, values: list[Any]) -> None:
        self._data, self._name, self._axis = data, name, values
        tasks = data.get("tasks")
        entries = tasks if isinstance(tasks, dict) else {}
        self._tasks: dict[str, dict[str, Any]] = {k: v for k, v in entries.items() if isinstance(v, dict)}
        ids: dict[str, Any] = {}
        for task, entry in self._tasks.items():
            ids[task] = UNKNOWN
            group = entry.get("group")
            for index, member in enumerate(group if isinstance(group, list) else ()):
                named = member.get("name", index) if isinstance(member, dict) else index
                ids[f"{task}/{named}"] = UNKNOWN
        params = data.get("params")
        names = dict.fromkeys(params, UNKNOWN) if isinstance(params, dict) else {}
        self._names = {"params": names, "tasks": ids}

    def swept(self) -> _Changed:
        """Return the spec with the axis in all tasks that it concerns."""
        self._refuse_shared()
        users = [name for name, entry in self._tasks.items() if self._uses(entry, ("tasks", name))]
        if not users:
            hint = f"write ${{{{ params.{self._name} }}}} in a key of a task"
            raise _SweepError(f"no task uses params.{self._name}", hint)
        run = self._data.get("run")
        if isinstance(run, dict) and run.get("sequential"):
            message, hint = f"cannot be combined with {OPTION}", "write the dependencies of the tasks"
            raise _SweepError(message, hint, ("run", "sequential"))
        concerned = self._below(users)
        self._refuse_outputs_in_handlers(concerned)
        tasks = dict(self._data["tasks"])
        for name in concerned:
            tasks[name] = self._with_axis(name, concerned)
        return _Changed({**self._data, "tasks": tasks}, concerned)

    def _below(self, users: Sequence[str]) -> list[str]:
        """The users and all tasks that depend on them, except those that use the best of all members."""
        found = set(users)
        pending = list(users)
        while pending:
            upstream = pending.pop()
            for name, entry in self._tasks.items():
                if name in found or upstream not in self._upstream(name):
                    continue
                if not self._uses_best(entry, name, upstream):
                    found.add(name)
                    pending.append(name)
        return [name for name in self._tasks if name in found]

    def _upstream(self, name: str) -> set[str]:
        """The tasks that a task depends on directly."""
        return {other for _, entry in self._entries(name) for other in self._meant(entry)}

    def _entries(self, name: str) -> list[tuple[int, Any]]:
        entries = self._tasks[name].get("dependencies")
        return list(enumerate(entries)) if isinstance(entries, list) else []

    def _meant(self, entry: Any) -> list[str]:
        """The tasks that an entry of `dependencies` names, by their id, a member, or a glob."""
        if isinstance(entry, dict):
            return [entry["task"]] if "same" in entry and entry.get("task") in self._tasks else []
        if not isinstance(entry, str):
            return []
        head, slash, _ = entry.partition("/")
        if slash:
            return [head] if head in self._tasks else fnmatch.filter(self._tasks, head)
        return [entry] if entry in self._tasks else fnmatch.filter(self._tasks, entry)

    def _uses_best(self, entry: Mapping[str, Any], name: str, upstream: str) -> bool:
        """Whether a task uses the best of the members of another, and so runs once, after all of them."""
        return any(
            reference.root == "tasks" and reference.keys[:2] == (upstream, "best")
            for _, reference in self._references(entry, ("tasks", name))
        )

    def _with_axis(self, name: str, concerned: Sequence[str]) -> dict[str, Any]:
        """A task with the axis, with matching members of what it depends on."""
        entry, place = self._tasks[name], ("tasks", name)
        section = entry.get("matrix", {})
        axes = section if isinstance(section, dict) else {}
        if "search" in entry:
            hint = f"make {self._name} a param of the search, or start one experiment for each value"
            raise _SweepError(f"cannot be swept: {name} would have a matrix", hint, (*place, "search"))
        if entry.get("together"):
            raise _SweepError(f"cannot be swept: {name} would have a matrix", None, (*place, "together"))
        if self._name in axes:
            message = f"is an axis of its own, and {OPTION} {self._name} would be another"
            raise _SweepError(message, "rename the axis or the param", (*place, "matrix", self._name))
        if axes and not matrix.axes_of(axes):
            hint = f"add {self._name} to its entries"
            message = "lists the combinations, to which no axis can be added"
            raise _SweepError(message, hint, (*place, "matrix", "include"))
        for key in ("matrix", "dependencies"):
            if self._uses(entry.get(key), (*place, key)):
                message = f"uses params.{self._name}, which differs from member to member"
                raise _SweepError(message, None, (*place, key))
        changed: dict[str, Any] = {}
        for key, value in entry.items():
            if key == "matrix":
                continue
            if key == "dependencies":
                changed[key] = self._matched(name, concerned)
            else:
                changed[key] = self._renamed(value)
        self._refuse_indirect(name, concerned)
        return {**changed, "matrix": {**axes, self._name: self._axis}}

    def _matched(self, name: str, concerned: Sequence[str]) -> list[Any]:
        """The dependencies of a task, on the matching members of tasks that have the axis."""
        entries: list[Any] = []
        for index, entry in self._entries(name):
            meant = [other for other in self._meant(entry) if other in concerned and other != name]
            if isinstance(entry, dict) or not meant:
                entries.append(entry)
                continue
            place = ("tasks", name, "dependencies", index)
            if "/" in entry:
                message = f"names members of {meant[0]}, whose ids {OPTION} {self._name} changes"
                raise _SweepError(message, f"write {meant[0]}", place)
            for other in self._meant(entry):
                if other in meant:
                    self._refuse_common_axes(name, other, place)
                    entries.append({"task": other, "same": "matrix"})
                else:
                    entries.append(other)
        return entries

    def _refuse_common_axes(self, name: str, other: str, place: Place) -> None:
        axes = [matrix.axes_of(self._tasks[task].get("matrix") or {}) for task in (name, other)]
        common = [axis for axis in axes[0] if axis in axes[1]]
        if common:
            message = f"is all members of {other}, which has the axis {common[0]} as {name} has"
            hint = f"for {OPTION} {self._name}, write {{task: {other}, same: matrix}}, or rename the axis"
            raise _SweepError(message, hint, place)

    def _refuse_indirect(self, name: str, concerned: Sequence[str]) -> None:
        """Refuse outputs of a swept task on which a task depends only through others."""
        direct = self._upstream(name)
        for place, reference in self._references(self._tasks[name], ("tasks", name)):
            if reference.root != "tasks" or not reference.keys:
                continue
            other = reference.keys[0].partition("/")[0]
            if other in concerned and other not in direct and other != name:
                message = f"uses {reference}, and {name} depends on {other} only through other tasks"
                raise _SweepError(message, f"add {other} to the dependencies of {name}", place)

    def _refuse_shared(self) -> None:
        """Refuse uses outside of tasks, which have one value for all members, and those of handlers."""
        for key, section in self._data.items():
            if key == "tasks" or key in _LITERAL:
                continue
            for place, reference in self._references(section, (key,)):
                if self._is_meant(reference):
                    if key in RUN_AFTER:
                        message = f"uses {reference}, and a handler runs once, after all members"
                        raise _SweepError(message, "read what it needs from the record", place)
                    message = f"uses {reference}, and has one value for all tasks"
                    raise _SweepError(message, "use the param in the tasks", place)

    def _refuse_outputs_in_handlers(self, concerned: Sequence[str]) -> None:
        for key in RUN_AFTER:
            for place, reference in self._references(self._data.get(key), (key,)):
                if reference.root == "tasks" and reference.keys[:1] and reference.keys[1:2] != ("best",):
                    other = reference.keys[0].partition("/")[0]
                    if other in concerned:
                        message = f"uses {reference}, and {other} would have several members"
                        raise _SweepError(message, "read what it needs from the record", place)

    # -- texts --------------------------------------------------------------------------------------

    def _uses(self, value: Any, place: Place) -> bool:
        is_used = False
        for where, reference in self._references(value, place):
            if reference.root == "params" and not reference.keys:
                message = f"uses all params, and {self._name} differs from member to member"
                raise _SweepError(message, "name the params that it uses", where)
            is_used |= self._is_meant(reference)
        return is_used

    def _is_meant(self, reference: Reference) -> bool:
        return reference.root == "params" and reference.keys[:1] in ((), (self._name,))

    def _references(self, value: Any, place: Place) -> Iterator[tuple[Place, Reference]]:
        """Every reference in the texts of a value, with its place."""
        if isinstance(value, dict):
            for key, item in value.items():
                yield from self._references(item, (*place, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._references(item, (*place, index))
        elif isinstance(value, str) and syntax.OPENING in value:
            for part in _parts(value):
                if isinstance(part, Expression):
                    for reference in syntax.parsed(part.code, self._names).references:
                        yield place, reference

    def _renamed(self, value: Any) -> Any:
        """The value with `params.NAME` in its expressions as `matrix.NAME`."""
        if isinstance(value, dict):
            return {key: self._renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._renamed(item) for item in value]
        if not (isinstance(value, str) and syntax.OPENING in value):
            return value
        return "".join(
            part if isinstance(part, str) else part.raw.replace(part.code, self._as_matrix(part.code), 1)
            for part in _parts(value)
        )

    def _as_matrix(self, code: str) -> str:
        return syntax.with_root(code, self._names, ("params", self._name), "matrix")


def _parts(text: str) -> list[str | Expression]:
    try:
        return syntax.pieces(text)
    except TemplateError:
        return [text]  # reported when it is filled in
