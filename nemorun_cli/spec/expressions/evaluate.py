"""Evaluates expressions `${{ … }}` when a spec is resolved or when the parents of a task have finished."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import choices, shown
from nemorun_cli.spec.expressions.syntax import (
    OPENING,
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


def evaluate(expression: Expression, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression as plain data; raises TemplateError if it cannot be evaluated."""
    with named(expression):
        return value_of(_checked(expression, names), names)


def value_of(expression: Parsed, names: Mapping[str, Any]) -> Any:
    """Return the value of an expression that was already parsed and checked; raises TemplateError."""
    if expression.sole is not None:
        return _looked_up(expression.sole, names)
    from nemorun_cli.spec.expressions import sandbox  # noqa: PLC0415 - Jinja2 is slow to import, and not needed for a plain name

    return sandbox.evaluate(expression.code, names)


def compile_only(expression: Expression, names: Mapping[str, Any]) -> Parsed:
    """Check the syntax and the names of an expression that is evaluated later; raises TemplateError."""
    with named(expression):
        checked = _checked(expression, names)
        if checked.sole is None:
            from nemorun_cli.spec.expressions import sandbox  # noqa: PLC0415 - as in evaluate

            sandbox.compiled(checked.code)
        return checked


def fill(text: str, names: Mapping[str, Any]) -> Any:
    """Return the text with its expressions filled in; a text that is a single expression keeps its type."""
    if OPENING not in text:
        return text
    sole = sole_expression(text)
    return fill_text(text, names) if sole is None else evaluate(sole, names)


def fill_text(text: str, names: Mapping[str, Any]) -> str:
    """Return the text with its expressions filled in as text; raises TemplateError."""
    parts = [part if isinstance(part, str) else text_of(evaluate(part, names)) for part in pieces(text)]
    return _joined(parts)


def fill_inline(text: str, names: Mapping[str, Any]) -> str:
    """Return the text of a script with its expressions filled in as plain words; raises TemplateError."""
    return _joined(
        [part if isinstance(part, str) else word_of(part, evaluate(part, names)) for part in pieces(text)]
    )


def fill_late(
    task: Task, *, spec: Spec, identity: Identity, outputs: Mapping[str, Mapping[str, Any]]
) -> Task:
    """Return the task with every text that `late` names filled in; raises TemplateError.

    `outputs` maps the ids of finished tasks to their outputs. Texts that `late` does not name are
    not searched, so that a value is never mistaken for an expression.
    """
    if not task.late:
        return task
    names = names_of(spec, identity, outputs, task)
    fields: dict[str, Any] = {}
    for pointer in task.late:
        name, *keys = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
        value = fields[name] if name in fields else getattr(task, name)
        filled = functools.partial(_filled_field, task, name, names)
        fields[name] = _with_filled(value, keys, filled)
    if "workdir" in fields:
        fields["workdir"] = str(Path(spec.folder, fields["workdir"]))
    return replace(task, **fields, late=())


def decide_when(
    task: Task, *, spec: Spec, identity: Identity, outputs: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether the `when` of a task lets it run; raises TemplateError if that is not a boolean."""
    if task.when is None or isinstance(task.when, bool):
        return task.when is not False
    value = fill(task.when, names_of(spec, identity, outputs, task))
    if isinstance(value, bool):
        return value
    raise TemplateError(f"when: {task.when} evaluates to {shown(value)}, not true or false")


def names_of(
    spec: Spec, identity: Identity, outputs: Mapping[str, Mapping[str, Any]], task: Task
) -> dict[str, Any]:
    """The names that expressions of a task can use while the experiment runs."""
    return {
        "params": spec.params,
        "matrix": task.matrix,
        "env": spec.env,
        "experiment": experiment_names(identity),
        "tasks": _Tasks(spec, outputs, task.twins),
    }


def experiment_names(identity: Identity) -> dict[str, Any]:
    """The value of `experiment` in expressions."""
    return {"id": identity.id, "name": identity.name, "dir": identity.directory}


class _Tasks(Mapping[str, Any]):
    """Outputs by task and group id, looked up on demand because there may be ten thousand tasks.

    A group in which the task has matching members (`twins`) is reduced to these.
    """

    def __init__(
        self,
        spec: Spec,
        outputs: Mapping[str, Mapping[str, Any]],
        twins: Mapping[str, str | tuple[str, ...]],
    ) -> None:
        self._groups = {group.id: group.members for group in spec.groups}
        self._outputs = outputs
        self._twins = twins

    def __getitem__(self, name: str) -> dict[str, Any]:
        members = self._twins.get(name, ())
        if isinstance(members, str):
            return {"outputs": self._outputs[members]}
        if name in self._outputs:
            return {"outputs": self._outputs[name]}
        members = members or self._groups[name]
        return {"outputs": {member[len(name) + 1 :]: self._outputs.get(member, {}) for member in members}}

    def __contains__(self, name: object) -> bool:
        return name in self._outputs or name in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter({**dict.fromkeys(self._outputs), **dict.fromkeys(self._groups)})

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
    if keys and keys[0] not in known:
        kind = _KINDS_OF_NAMES.get(root, "value")
        raise TemplateError(f"{root}: no {kind} is called {keys[0]!r}", hint=choices(keys[0], known))
    if root == "tasks" and (len(keys) < _OUTPUTS_DEPTH or keys[1] != "outputs"):
        raise TemplateError(f"{reference} cannot be used", hint="write tasks.<id>.outputs.<key>")


_KINDS_OF_NAMES = {
    "params": "param",
    "matrix": "axis",
    "env": "variable of the spec's env",
    "tasks": "task",
}
_OUTPUTS_DEPTH = 2  # keys up to and including `outputs`


def _looked_up(reference: Reference, names: Mapping[str, Any]) -> Any:
    try:
        return lookup(names, reference)
    except KeyError as fault:
        path, key = fault.args
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


def _filled_field(task: Task, field: str, names: Mapping[str, Any], text: str) -> Any:
    if field == "body" and task.kind == "inline":
        return fill_inline(text, names)
    if field == "args" and task.kind == "partial":
        return fill(text, names)
    filled = fill_text(text, names)
    if "\0" in filled:
        raise TemplateError(f"{text} evaluates to text with a NUL character, which a process cannot receive")
    return filled


_SHOWN = 60  # characters of an expression in a message


def touches_unknown(expression: Parsed, names: Mapping[str, Any]) -> bool:
    """Whether the expression uses a value that is unknown because of another problem."""
    for reference in expression.references:
        if reference.root in ("tasks", "matrix"):
            continue  # outputs and matrix values come later
        try:
            value = lookup(names, reference)
        except KeyError:
            continue
        if value is UNKNOWN or (isinstance(value, Mapping) and UNKNOWN in value.values()):
            return True
    return False
