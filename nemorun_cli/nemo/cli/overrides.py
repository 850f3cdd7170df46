"""Applies arguments such as `model.hidden=256` to the Partial of an entrypoint, or to an executor."""

from __future__ import annotations

import copy
import dataclasses
import typing
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo.calls import Config, MutableCall
from nemorun_cli.nemo.cli import operations
from nemorun_cli.nemo.cli.annotations import (
    UNKNOWN,
    classes,
    described,
    is_collection,
    members,
    parameters,
    takes_any_name,
)
from nemorun_cli.nemo.cli.assignments import path_of
from nemorun_cli.nemo.cli.conversion import MISSING, converted
from nemorun_cli.nemo.cli.making import BASES, maker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nemorun_cli.nemo.cli.assignments import Step, WrittenValue


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """The place of a value: what it may be, and whose argument it is in."""

    annotation: Any
    owner: Any
    argument: str
    path: str


def apply(root: Any, given: Iterable[WrittenValue], *, prefix: str = "", annotation: Any = UNKNOWN) -> Any:
    """The value with all arguments applied, in their order; whole values first, then what is in them.

    Args:
        root: a Partial, a Config or an instance of a dataclass, which is changed, or another value.
        given: the arguments.
        prefix: the name of the root in messages, such as `executor`.
        annotation: what the root may be.

    Raises:
        UsageError: an argument does not exist, or its value does not fit.
    """
    for assignment in _ordered(given):
        slot = _Slot(annotation=annotation, owner=None, argument="", path=prefix)
        root = _changed(root, slot, assignment.steps, assignment)
    return root


def _ordered(given: Iterable[WrittenValue]) -> list[WrittenValue]:
    """The arguments, those that set a whole value before those that change a part of it.

    Raises:
        UsageError: a part is set before the whole that would discard it.
    """
    parts = list(given)
    for index, whole in enumerate(parts):
        lost = next((part for part in parts[:index] if whole.operator == "=" and _is_in(part, whole)), None)
        if lost is not None:
            raise UsageError(
                f"{whole.argument} would discard {lost.argument}, which is given before it",
                hint=f"give {whole.path}=… first",
            )
    return parts


def _is_in(part: WrittenValue, whole: WrittenValue) -> bool:
    return len(part.steps) > len(whole.steps) and part.steps[: len(whole.steps)] == whole.steps


def _changed(value: Any, slot: _Slot, steps: Sequence[Step], assignment: WrittenValue) -> Any:
    """The value, with the one at the end of the steps changed."""
    if not steps:
        return _leaf(value, slot, assignment)
    if value is MISSING or value is None:
        value = _empty(slot, assignment)
    old, inner = _child(value, slot, steps[0])
    new = _changed(old, inner, steps[1:], assignment)
    return _with(value, steps[0], new, slot)


def _leaf(old: Any, slot: _Slot, assignment: WrittenValue) -> Any:
    make = maker(slot.owner, slot.argument, slot.path)
    if assignment.operator == "=":
        return converted(assignment.value, slot.annotation, place=slot.path, make=make)
    return operations.applied(
        old, assignment.operator, assignment.value, slot.annotation, place=slot.path, make=make
    )


def _empty(slot: _Slot, assignment: WrittenValue) -> Any:
    """What a value without a default begins as, so that a part of it can be set."""
    kinds = classes(slot.annotation)
    if len(kinds) == 1 and kinds[0] not in BASES:
        return Config(kinds[0])
    if any(
        is_collection(kind) and (typing.get_origin(kind) or kind) is dict for kind in members(slot.annotation)
    ):
        return {}
    raise UsageError(
        f"{assignment.argument}: {slot.path} has no value yet",
        hint=f"give {slot.path}=… first ({described(slot.annotation)})",
    )


def _child(value: Any, slot: _Slot, step: Step) -> tuple[Any, _Slot]:
    """A value in another one, MISSING if none exists, and its place."""
    path = _joined(slot.path, step)
    if isinstance(value, (list, tuple)):
        index = _index(value, step, slot.path)
        return value[index], dataclasses.replace(slot, annotation=_of_item(slot.annotation, index), path=path)
    if isinstance(value, dict):
        inner = dataclasses.replace(slot, annotation=_of_value(slot.annotation), path=path)
        return value.get(step, MISSING), inner
    owner = value.__fn_or_cls__ if isinstance(value, MutableCall) else type(value)
    name = _name(value, owner, step, slot.path)
    known = parameters(owner)
    annotation = known[name].annotation if name in known else UNKNOWN
    return _value(value, name), _Slot(annotation=annotation, owner=owner, argument=name, path=path)


def _name(value: Any, owner: Any, step: Step, path: str) -> str:
    """The step as the name of an argument or a field."""
    if not isinstance(value, MutableCall) and not dataclasses.is_dataclass(value):
        raise UsageError(f"{path} is {value!r}, which has no parts", hint=f"give {path}=…")
    known = parameters(owner)
    if not isinstance(step, str) or (step not in known and not takes_any_name(owner)):
        shown = f"{path}: " if path else ""
        raise UsageError(
            f"{shown}{owner.__name__} has no argument {str(step)!r}", hint=choices(str(step), known)
        )
    return step


def _value(value: Any, name: str) -> Any:
    if isinstance(value, MutableCall) and name not in value.__arguments__ and hasattr(type(value), name):
        return MISSING  # an argument that is called like a method has its default
    return getattr(value, name, MISSING)


def _index(value: Sequence[Any], step: Step, path: str) -> int:
    index = int(step) if isinstance(step, int) or step.isdecimal() else None
    if index is None or not -len(value) <= index < len(value):
        raise UsageError(f"{path} has no item {step!r}: it has {len(value)}, counted from 0")
    return index


def _of_item(annotation: Any, index: int) -> Any:
    for kind in members(annotation):
        arguments = typing.get_args(kind)
        if is_collection(kind) and arguments:
            is_row = typing.get_origin(kind) is tuple and arguments[-1] is not ...
            return arguments[index] if is_row else arguments[0]
    return UNKNOWN


def _of_value(annotation: Any) -> Any:
    for kind in members(annotation):
        if is_collection(kind) and len(typing.get_args(kind)) == 2:  # noqa: PLR2004 - a key and a value
            return typing.get_args(kind)[1]
    return UNKNOWN


def _with(value: Any, step: Step, new: Any, slot: _Slot) -> Any:
    """The container with another value in it: itself if it can be changed, else one like it."""
    if isinstance(value, dict):
        return {**value, step: new}
    if isinstance(value, (list, tuple)):
        index = _index(value, step, slot.path)
        changed = [*value]
        changed[index] = new
        return changed if isinstance(value, list) else type(value)(changed)
    name = str(step)
    if not isinstance(value, MutableCall) and type(value).__dataclass_params__.frozen:
        return dataclasses.replace(value, **{name: new})
    setattr(value, name, new)
    return value


def _joined(path: str, step: Step) -> str:
    inner = path_of((step,))
    return inner if not path else f"{path}{'' if inner.startswith('[') else '.'}{inner}"


def missing(call: MutableCall[Any], path: str = "") -> list[str]:
    """The places of the arguments without a value that a call, and each call in it, needs."""
    found = []
    for name, parameter in parameters(call.__fn_or_cls__).items():
        place = _joined(path, name)
        value = call.__arguments__.get(name, MISSING)
        if value is MISSING and parameter.default is parameter.empty:
            found.append(place)
        for inner, config in _configs(value, place):
            found += missing(config, inner)
    return found


def _configs(value: Any, path: str) -> Iterator[tuple[str, Config[Any]]]:
    """The Configs of an argument, with their places: itself, or those in a list or a dict."""
    if isinstance(value, Config):
        yield path, value
    elif isinstance(value, (list, tuple, dict)):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for step, item in pairs:
            yield from _configs(item, _joined(path, step))


def with_defaults(call: MutableCall[Any]) -> MutableCall[Any]:
    """The call, with defaults that have calls in them as arguments, since these are made before the call."""
    for name, parameter in parameters(call.__fn_or_cls__).items():
        if name not in call.__arguments__ and _has_call(parameter.default):
            setattr(call, name, copy.deepcopy(parameter.default))
    return call


def _has_call(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_call, value))
    if isinstance(value, dict):
        return any(map(_has_call, value.values()))
    return isinstance(value, MutableCall)
