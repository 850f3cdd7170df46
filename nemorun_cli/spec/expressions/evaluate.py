"""Evaluates expressions `${{ … }}` when a spec is resolved or when the parents of a task have finished."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import choices, shown
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.spec.expressions.syntax import (
    OPENING,
    ROOTS,
    UNKNOWN,
    Expression,
    Parsed,
    Reference,
    TemplateError,
    lookup,
    parsed,
    pieces,
    sole_expression,
)

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Identity, Spec, Task

Evaluator = Callable[[str, Mapping[str, Any]], Any]
"""Evaluates the code of an expression over its names, within limits of time; raises TemplateError."""

__all__ = [
    "TemplateError",
    "decide_when",
    "evaluate",
    "fill",
    "fill_late",
    "fill_text",
    "names_of",
    "text_of",
]

MAX_TEXT = 1_000_000  # characters of a text after its expressions are filled in

_SHELL_TEXTS = {  # by role: what they are, and how a value gets there
    "inline": ("an inline script", "pass it by env, or by args and use $1"),
    "shell": ("shell text", 'pass it by the env of the tasks, and use "$NAME"'),
}
_SAFE = re.compile(r"[A-Za-z0-9_./:=@%+,-]*", re.ASCII)


def evaluate(expression: Expression, names: Mapping[str, Any], evaluator: Evaluator) -> Any:
    """Return the value of an expression as plain data; raises TemplateError if it cannot be evaluated.

    `evaluator` evaluates an expression that could take long.
    """
    with named(expression):
        return value_of(_checked(expression, names), names, evaluator)


def value_of(expression: Parsed, names: Mapping[str, Any], evaluator: Evaluator) -> Any:
    """Return the value of an expression that was already parsed and checked; raises TemplateError."""
    if expression.sole is not None:
        return _looked_up(expression.sole, names)
    from nemorun_cli.spec.expressions import sandbox  # noqa: PLC0415 - Jinja2 is slow to import, and not needed for a plain name

    used = _used(expression, names)
    if sandbox.compiled(expression.code).is_simple and all(
        _is_small(values, sandbox.SMALL) for values in used.values() if values
    ):
        with suppress(sandbox.TooLargeError):
            return sandbox.evaluate(expression.code, used, most=sandbox.SMALL)
    return evaluator(expression.code, used)


def _used(expression: Parsed, names: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the names that the expression uses, as plain data."""
    used: dict[str, Any] = {root: {} for root in ROOTS}
    for reference in expression.references:
        values = names[reference.root]
        key = reference.keys[0] if reference.keys else None
        with suppress(KeyError):  # `default` and `is defined` are for a name without a value
            if reference.root == "tasks" and key is not None:
                part = reference.keys[1]  # `outputs` or `best`
                used["tasks"].setdefault(key, {})[part] = values[key][part]
            else:
                used[reference.root].update({key: values[key]} if reference.keys else values)
    return used


def _is_small(value: Mapping[str, Any], most: int) -> bool:
    """Whether values have at most so many characters and items; stops where they have more."""
    size, rest = 0, list(value.values())
    while rest and size <= most:
        value = rest.pop()
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, (int, float)):
            size += 1
        elif isinstance(value, Mapping):
            size += len(value)
            if size <= most:
                rest += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            size += len(value)
            if size <= most:
                rest += value
        else:
            size += 1
    return size <= most


def compile_only(expression: Expression, names: Mapping[str, Any]) -> Parsed:
    """Check the syntax and the names of an expression that is evaluated later; raises TemplateError."""
    with named(expression):
        checked = _checked(expression, names)
        for reference in checked.references:
            if is_of_best(reference):
                _check_best(reference, names["tasks"])
        if checked.sole is None:
            from nemorun_cli.spec.expressions import sandbox  # noqa: PLC0415 - as in evaluate

            sandbox.compiled(checked.code)
        return checked


def fill(text: str, names: Mapping[str, Any], evaluator: Evaluator) -> Any:
    """Return the text with its expressions filled in; a text that is a single expression keeps its type."""
    if OPENING not in text:
        return text
    sole = sole_expression(text)
    return fill_text(text, names, evaluator) if sole is None else evaluate(sole, names, evaluator)


def fill_text(text: str, names: Mapping[str, Any], evaluator: Evaluator) -> str:
    """Return the text with its expressions filled in as text; raises TemplateError."""
    return _joined(
        [
            part if isinstance(part, str) else text_of(evaluate(part, names, evaluator))
            for part in pieces(text)
        ]
    )


def fill_inline(text: str, names: Mapping[str, Any], evaluator: Evaluator) -> str:
    """Return the text of a script with its expressions filled in as plain words; raises TemplateError."""
    return _joined(
        [
            part if isinstance(part, str) else word_of(part, evaluate(part, names, evaluator))
            for part in pieces(text)
        ]
    )


def fill_late(
    task: Task,
    *,
    spec: Spec,
    identity: Identity,
    outputs: Mapping[str, Mapping[str, Any]],
    evaluator: Evaluator,
    external: Mapping[str, Mapping[str, Any]] | None = None,
    bests: Mapping[str, Mapping[str, Any]] | None = None,
    search: Mapping[str, Any] | None = None,
) -> Task:
    """Return the task with every text that `late` names filled in; raises TemplateError.

    `outputs` maps the ids of finished tasks to their outputs, `external` the keys of those of other
    experiments, and `bests` the ids of groups to the values of their best member. `search` has the values of
    a trial. Texts that `late` does not name are not searched: a value is no expression.
    """
    if not task.late:
        return task
    names = names_of(spec, identity, outputs, task, external=external, bests=bests, search=search)
    fields: dict[str, Any] = {}
    for pointer in task.late:
        name, *keys = _keys(pointer)
        value = fields[name] if name in fields else _field(task, name)
        is_typed = (name, *keys[:1]) == ("cache", "also") or (name == "args" and task.kind == "partial")
        read = (
            fill
            if is_typed
            else functools.partial(_filled_text, is_inline=name == "body" and task.kind == "inline")
        )
        filled = functools.partial(read, names=names, evaluator=evaluator)
        fields[name] = _with_filled(value, keys, filled)
    if "cache" in fields:
        fields["cache"] = _rule(fields["cache"])
    if "workdir" in fields:
        fields["workdir"] = str(Path(spec.folder, fields["workdir"]))
    return replace(task, **fields, late=())


def _field(task: Task, name: str) -> Any:
    """A field as pointers of `late` refer to it."""
    return task.cache.to_json() if name == "cache" and task.cache is not None else getattr(task, name)


def _rule(fields: Mapping[str, Any]) -> CacheRule:
    """The rule of a task: with its values, no output may be outside of the folder of the task."""
    from nemorun_cli.storage.step_cache.declared_files import Glob  # noqa: PLC0415 - few tasks have the key

    rule = CacheRule.from_json(fields)
    for text in rule.outputs:
        if not Glob.of(text).is_inside or not Glob.of(text).rest:
            raise TemplateError(f"cache.outputs: {text} leaves the folder of the task")
    return rule


def late_texts(spec: Spec) -> set[str]:
    """The texts of all tasks that contain expressions over outputs."""
    texts = {task.when for task in spec.tasks if isinstance(task.when, str)}
    for task in spec.tasks:
        for pointer in task.late:
            name, *keys = _keys(pointer)
            texts.add(_at(_field(task, name), keys))
    return texts


def used_bests(task: Task, groups: Collection[str]) -> list[str]:
    """Those of these groups whose best member a task uses."""
    texts = [_at(_field(task, name), keys) for name, *keys in map(_keys, task.late)]
    texts += [task.when] if isinstance(task.when, str) else []
    names = {"tasks": {name: {"best": UNKNOWN} for name in groups}}
    references = (
        reference
        for text in texts
        for part in pieces(text)
        if isinstance(part, Expression)
        for reference in parsed(part.code, names).references
    )
    used = dict.fromkeys(each.keys[0] for each in references if is_of_best(each))
    return [name for name in used if name in groups]


def could_take_long(text: str) -> bool:
    """Whether an expression of a text needs an evaluator even if its values are small."""
    from nemorun_cli.spec.expressions import sandbox  # noqa: PLC0415 - as in value_of

    expressions = (parsed(part.code, {}) for part in pieces(text) if isinstance(part, Expression))
    return any(part.sole is None and not sandbox.compiled(part.code).is_simple for part in expressions)


def decide_when(
    task: Task,
    *,
    spec: Spec,
    identity: Identity,
    outputs: Mapping[str, Mapping[str, Any]],
    evaluator: Evaluator,
    external: Mapping[str, Mapping[str, Any]] | None = None,
    bests: Mapping[str, Mapping[str, Any]] | None = None,
    search: Mapping[str, Any] | None = None,
) -> bool:
    """Whether the `when` of a task lets it run; raises TemplateError if that is not a boolean."""
    if task.when is None or isinstance(task.when, bool):
        return task.when is not False
    names = names_of(spec, identity, outputs, task, external=external, bests=bests, search=search)
    value = fill(task.when, names, evaluator)
    if isinstance(value, bool):
        return value
    raise TemplateError(f"when: {task.when} evaluates to {shown(value)}, not true or false")


def names_of(
    spec: Spec,
    identity: Identity,
    outputs: Mapping[str, Mapping[str, Any]],
    task: Task,
    *,
    external: Mapping[str, Mapping[str, Any]] | None = None,
    bests: Mapping[str, Mapping[str, Any]] | None = None,
    search: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names that expressions of a task can use while the experiment runs."""
    return {
        "params": spec.params,
        "matrix": task.matrix,
        "search": {} if search is None else TrialValues(search, _searched_names(spec, task)),
        "env": spec.env,
        "experiment": experiment_names(identity),
        "experiments": _external_outputs(spec, external or {}),
        "tasks": _Tasks(spec, outputs, task.twins, bests or {}),
    }


def _external_outputs(spec: Spec, outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The value of `experiments` in expressions: outputs by alias and task."""
    found: dict[str, Any] = {}
    for external in spec.external:
        if external.task is not None and external.key in outputs:
            tasks = found.setdefault(external.alias, {"tasks": {}})["tasks"]
            tasks[external.task] = {"outputs": outputs[external.key]}
    return found


class TrialValues(Mapping[str, Any]):
    """The value of `search` in expressions: those of one trial.

    Params whose `when` is false are known, but have no value; `default` gives them one.

    Args:
        values: by name.
        names: further params of the search.
    """

    def __init__(self, values: Mapping[str, Any], names: Collection[str]) -> None:
        self._values, self._names = values, frozenset((*values, *names))

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _searched_names(spec: Spec, task: Task) -> tuple[str, ...]:
    rules = (group.search for group in spec.groups if group.id == task.group)
    return tuple(param.name for rule in rules if rule is not None for param in rule.params)


def experiment_names(identity: Identity) -> dict[str, Any]:
    """The value of `experiment` in expressions."""
    return {"id": identity.id, "name": identity.name, "dir": identity.directory}


class _Values(Mapping[str, Any]):
    """What expressions can use of a task or group: `outputs`, and of a group with a rule `best`.

    Each is looked up on demand: the best may not be known, which raises an error.
    """

    def __init__(self, sources: Mapping[str, Callable[[], Any]]) -> None:
        self._sources = sources

    def __getitem__(self, key: str) -> Any:
        return self._sources[key]()

    def __contains__(self, key: object) -> bool:
        return key in self._sources

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


class _Tasks(Mapping[str, Any]):
    """The values by task and group id, looked up on demand because there may be ten thousand tasks.

    The outputs of a group in which the task has matching members (`twins`) are reduced to these.
    """

    def __init__(
        self,
        spec: Spec,
        outputs: Mapping[str, Mapping[str, Any]],
        twins: Mapping[str, str | tuple[str, ...]],
        bests: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._groups = {group.id: group.members for group in spec.groups}
        self._outputs = outputs
        self._twins = twins
        self._bests = bests

    def __getitem__(self, name: str) -> _Values:
        if name not in self:
            raise KeyError(name)
        sources: dict[str, Callable[[], Any]] = {"outputs": lambda: self._outputs_of(name)}
        if name in self._bests:
            sources["best"] = lambda: self._bests[name]
        return _Values(sources)

    def _outputs_of(self, name: str) -> Any:
        members = self._twins.get(name, ())
        if isinstance(members, str):
            return self._outputs[members]
        if name in self._outputs:
            return self._outputs[name]
        members = members or self._groups[name]
        return {member[len(name) + 1 :]: self._outputs.get(member, {}) for member in members}

    def __contains__(self, name: object) -> bool:
        return name in self._outputs or name in self._groups or name in self._twins

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._outputs, *self._groups, *self._twins)))

    def __len__(self) -> int:
        return len(set(self))


@contextmanager
def named(expression: Expression) -> Iterator[None]:
    """Prefix the message of a TemplateError with the expression."""
    try:
        yield
    except TemplateError as fault:
        raw = expression.raw
        message = f"{raw if len(raw) <= _SHOWN else raw[: _SHOWN - 4] + '… }}'}: {fault.message}"
        raise TemplateError(message, hint=fault.hint, raw=raw) from None


def _checked(expression: Expression, names: Mapping[str, Any]) -> Parsed:
    """Return the parsed expression after checking the names that are written literally."""
    result = parsed(expression.code, names)
    for reference in result.references:
        _check_reference(reference, names)
    return result


def _check_reference(reference: Reference, names: Mapping[str, Any]) -> None:
    root, keys = reference.root, reference.keys
    if root == "secrets":
        hint = "a task reads it from its environment variable"
        raise TemplateError("secrets cannot be used in expressions", hint=hint)
    known = names.get(root, {})
    if known is UNKNOWN:
        return
    if root == "matrix" and not known:
        hint = "add one to the task, such as matrix: {lr: [0.1, 0.01]}"
        raise TemplateError("matrix can be used only in tasks with a matrix", hint=hint)
    if root == "search" and not isinstance(known, TrialValues) and not known:
        hint = "add a search to the task: search: {params: …, metric: …, trials: …}"
        raise TemplateError("search can be used only in tasks with a search", hint=hint)
    if keys and keys[0] not in known:
        kind = _KINDS_OF_NAMES.get(root, "value")
        raise TemplateError(f"{root}: no {kind} is called {keys[0]!r}", hint=choices(keys[0], known))
    if root == "experiments":
        _check_external(reference, known)
    if root == "tasks" and (len(keys) < _OUTPUTS_DEPTH or keys[1] not in ("outputs", "best")):
        raise TemplateError(f"{reference} cannot be used", hint="write tasks.<id>.outputs.<key>")


def is_of_best(reference: Reference) -> bool:
    """Whether a reference is to the best member of a group."""
    return reference.root == "tasks" and len(reference.keys) >= _OUTPUTS_DEPTH and reference.keys[1] == "best"


def _check_best(reference: Reference, tasks: Mapping[str, Any]) -> None:
    """Check a reference to the best of a group, before it is known."""
    name, _, *keys = reference.keys
    values = tasks[name]
    if "best" not in values:
        if not any(other.startswith(f"{name}/") for other in tasks):
            hint = "write tasks.<id>.outputs.<key>"
            raise TemplateError(f"{name} has no members, of which one could be the best", hint=hint)
        hint = f"add it to {name}, such as best: {{metric: loss, goal: minimize}}"
        raise TemplateError(f"{name} has no key `best`", hint=hint)
    known = values["best"]
    if known is None:
        message = f"{name} has several goals, of which no single trial is the best"
        raise TemplateError(message, hint="give its search one goal")
    if not keys or keys[0] not in known:
        hint = choices(keys[0], known) if keys else f"write {reference}.id, or another of: {', '.join(known)}"
        text = f"tasks.{name}.best has no {keys[0]!r}" if keys else f"{reference} cannot be used"
        raise TemplateError(text, hint=hint)
    params = known["params"]
    if keys[0] == "params" and keys[1:] and params is not UNKNOWN and keys[1] not in params:
        hint = choices(keys[1], params) if params else f"{name} has no matrix and no search"
        raise TemplateError(f"tasks.{name}.best.params has no {keys[1]!r}", hint=hint)


def _check_external(reference: Reference, known: Mapping[str, Any]) -> None:
    """Check that a reference is to an output of a task of another experiment that is waited for."""
    keys = reference.keys
    if len(keys) < _EXTERNAL_DEPTH or keys[1] != "tasks" or keys[3] != "outputs":
        hint = "write experiments['<alias>'].tasks.<id>.outputs.<key>"
        raise TemplateError(f"{reference} cannot be used", hint=hint)
    tasks = known[keys[0]]["tasks"]
    if keys[2] not in tasks:
        hint = choices(keys[2], tasks) or f"depend on it: {{experiment: {keys[0]}, task: {keys[2]}}}"
        raise TemplateError(f"experiments: no dependency is on {keys[2]!r} of {keys[0]}", hint=hint)


_EXTERNAL_DEPTH = 4  # keys up to and including `outputs`
_KINDS_OF_NAMES = {
    "experiments": "dependency on another experiment",
    "params": "param",
    "matrix": "axis",
    "search": "param",
    "env": "variable of the spec's env",
    "tasks": "task",
}
_OUTPUTS_DEPTH = 2  # keys up to and including `outputs`


def _looked_up(reference: Reference, names: Mapping[str, Any]) -> Any:
    try:
        value = lookup(names, reference)
        return dict(value) if isinstance(value, TrialValues) else value
    except KeyError as fault:
        path, key = fault.args
        if path == ("search",):
            advice = f"write search.{key} | default(…) for the trials in which its `when` is false"
            raise TemplateError(f"search.{key} has no value in this trial", hint=advice) from None
        parent = lookup(names, Reference(path[0], path[1:]))
        hint = choices(key, map(str, parent)) if isinstance(parent, Mapping) else None
        raise TemplateError(f"{'.'.join(path)} has no {key!r}", hint=hint) from None


def _joined(parts: list[str]) -> str:
    if sum(map(len, parts)) > MAX_TEXT:
        raise TemplateError(f"the text with its values is longer than {MAX_TEXT:,} characters")
    return "".join(parts)


def word_of(expression: Expression, value: Any, role: str = "inline") -> str:
    """Return the value as a word for shell text: a number, a boolean or a plain word.

    `role` is `inline` for the script of a task, or `shell` for shell text in the options of an executor.
    Raises TemplateError for any other value.
    """
    if isinstance(value, (str, int, float)):
        text = text_of(value)
        if _SAFE.fullmatch(text):
            return text
    target, hint = _SHELL_TEXTS[role]
    message = f"{expression.raw} evaluates to {shown(value)}, which cannot be put into {target}"
    raise TemplateError(message, hint=hint, raw=expression.raw)


def _keys(pointer: str) -> list[str]:
    """The keys of a JSON pointer (RFC 6901)."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value[key] if isinstance(value, Mapping) else value[int(key)]
    return value


def _with_filled(value: Any, keys: list[str], filled: Callable[[str], Any]) -> Any:
    """Return a copy of the value in which the text at the keys is filled in."""
    if not keys:
        return filled(value)
    key, *rest = keys
    if isinstance(value, Mapping):
        return {**value, key: _with_filled(value[key], rest, filled)}
    items = list(value)
    items[int(key)] = _with_filled(items[int(key)], rest, filled)
    return tuple(items) if isinstance(value, tuple) else items


def _filled_text(text: str, names: Mapping[str, Any], evaluator: Evaluator, *, is_inline: bool) -> str:
    if is_inline:
        return fill_inline(text, names, evaluator)
    filled = fill_text(text, names, evaluator)
    if "\0" in filled:
        raise TemplateError(f"{text} evaluates to text with a NUL character, which a process cannot receive")
    return filled


_SHOWN = 60  # characters of an expression in a message


def touches_unknown(expression: Parsed, names: Mapping[str, Any]) -> bool:
    """Whether the expression uses a value that is unknown because of another problem."""
    for reference in expression.references:
        if reference.root in ("tasks", "matrix", "search"):
            continue  # outputs and the values of a member come later
        try:
            value = lookup(names, reference)
        except KeyError:
            continue
        if value is UNKNOWN or (isinstance(value, Mapping) and UNKNOWN in value.values()):
            return True
    return False
