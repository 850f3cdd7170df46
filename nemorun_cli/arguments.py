"""The arguments of callables in the form of a spec, from which a task builds equal ones of the same types.

What JSON has is itself. Everything else is a call that the task makes (`_target_`, `_args_`), a name that it
looks up (`_ref_`), or is refused: a value never arrives as another one.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeVar

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from inspect import BoundArguments, Signature

_T = TypeVar("_T")
Made: TypeAlias = "dict[int, tuple[object, dict[str, Any]]]"  # deferred calls by identity, with their entries
MOST_LEVELS: Final = 64
RESERVED: Final = frozenset(("_target_", "_args_", "_partial_", "_ref_", "_id_", "_same_"))
# Types whose text is all there is to them, by module.
_OF_TEXT: Final = {"decimal": ("Decimal",), "fractions": ("Fraction",), "uuid": ("UUID",)}


class Deferred:
    """What a task gets as a call, and what is no `Call` itself, since it can be changed.

    One that is in the arguments more than once is called once: the task gets one object in all places.
    """

    __slots__ = ()

    def as_call(self) -> Call:
        """The call, as it is now; raises UsageError if a task cannot import its callable."""
        raise NotImplementedError


class Call:
    """A callable and its arguments; those that it takes by position have their names where they have one."""

    __slots__ = ("args", "positional", "target")

    is_passed_on: ClassVar[bool] = False  # as an argument it stays to be called by the receiver

    def __init__(self, target: Callable[..., Any] | str, /, *positional: Any, **args: Any) -> None:
        if not isinstance(target, str):
            positional, args = bound(target, positional, args)
        object.__setattr__(self, "target", name_of(target))
        object.__setattr__(self, "positional", positional)
        object.__setattr__(self, "args", MappingProxyType(args))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment]  # arguments may be lists

    def __reduce__(self) -> tuple[Any, ...]:
        return _recall, (type(self), self.target, self.positional, dict(self.args))

    def _parts(self) -> tuple[Any, ...]:
        return self.target, self.positional, self.args

    def __repr__(self) -> str:
        given_by_position = "".join(f", {value!r}" for value in self.positional)
        named = "".join(f", {name}={value!r}" for name, value in self.args.items())
        return f"{type(self).__name__}({self.target!r}{given_by_position}{named})"

    target: str
    positional: tuple[Any, ...]
    args: Mapping[str, Any]


def _recall(kind: type[Call], target: str, positional: tuple[Any, ...], args: dict[str, Any]) -> Call:
    """The copy of a call."""
    return kind(target, *positional, **args)


def bound(
    target: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a callable: by name where they have one, else by position.

    Raises:
        UsageError: it does not take them.
    """
    if (signature := signature_of(target)) is None:
        return tuple(positional), dict(named)
    return _split(bind(target, signature, positional, named))


def signature_of(target: Callable[..., Any]) -> Signature | None:
    """The signature of a callable; None if it is compiled and has none."""
    import inspect  # noqa: PLC0415 - takes some milliseconds, which a program without partials saves

    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def bind(
    target: Callable[..., Any], signature: Signature, positional: Sequence[Any], named: Mapping[str, Any]
) -> BoundArguments:
    """The arguments by the parameters of the signature, of which some may be missing; raises UsageError."""
    try:
        return signature.bind_partial(*positional, **named)
    except TypeError as error:
        names = [name for name, one in signature.parameters.items() if one.kind not in _STARRED]
        raise UsageError(f"{shown_name(target)}: {error}", hint=_guess(error, named, names)) from None


def shown_name(target: Callable[..., Any] | str) -> str:
    """The name of a callable for messages, whether or not a task can import it."""
    try:
        return name_of(target)
    except UsageError:
        return getattr(target, "__qualname__", None) or repr(target)


_STARRED: Final = (2, 4)  # the kinds of *args and **kwargs of inspect.Parameter


def _guess(error: TypeError, named: Mapping[str, Any], names: Sequence[str]) -> str:
    wrong = next((name for name in named if f"'{name}'" in str(error)), "")
    return choices(wrong, names)


def _split(found: BoundArguments) -> tuple[tuple[Any, ...], dict[str, Any]]:
    positional: list[Any] = []
    named: dict[str, Any] = {}
    parameters = found.signature.parameters
    has_rest = any(parameters[name].kind == parameters[name].VAR_POSITIONAL for name in found.arguments)
    for name, value in found.arguments.items():
        kind = parameters[name].kind
        if kind == parameters[name].VAR_POSITIONAL:
            positional += value
        elif kind == parameters[name].VAR_KEYWORD:
            named |= value
        elif kind == parameters[name].POSITIONAL_ONLY or (
            has_rest and kind == parameters[name].POSITIONAL_OR_KEYWORD
        ):
            positional.append(value)
        else:
            named[name] = value
    return tuple(positional), named


def name_of(target: Callable[..., Any] | str) -> str:
    """The name by which a task can import a callable: `module:name`."""
    if isinstance(target, str):
        return target
    owner = getattr(target, "__self__", None)
    if isinstance(owner, type):  # a class method, which may be inherited
        return f"{name_of(owner)}.{target.__name__}"
    if isinstance(target, MethodType):
        raise UsageError(
            f"a task cannot import {target.__qualname__} of an object",
            hint="write a function that makes the object and calls its method",
        )
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "")
    if not module or not name or "<" in name:
        raise UsageError(f"a task cannot import {target!r}", hint="define it at the top level of a module")
    if module == "__main__":
        scope = getattr(target, "__globals__", None) or vars(sys.modules["__main__"])
        file = scope.get("__file__")
        if file is None:
            raise UsageError(
                f"a task cannot import {name}: it is not in a file",
                hint="move it to a module next to the notebook",
            )
        module = Path(file).stem
    return f"{module}:{name}"


def mapping(
    positional: Sequence[Any], named: Mapping[str, Any], place: str, made: Made | None = None
) -> dict[str, Any]:
    """The arguments of a call in the form of a spec.

    Args:
        positional: those by position.
        named: those by name.
        place: where they are, for errors.
        made: the calls that the task makes anyway; those of these arguments are added.

    Raises:
        UsageError: one of them, which the message names by its place, cannot be passed to a task.
    """
    made = {} if made is None else made
    by_position = _items(positional, place, made)
    by_name = {name: portable(value, f"{place}.{name}", made) for name, value in named.items()}
    return {**({"_args_": by_position} if by_position else {}), **by_name}


def portable(value: Any, place: str, made: Made | None = None) -> Any:
    """A value in the form of a spec; see `mapping`."""
    made = {} if made is None else made
    if place.count(".") > MOST_LEVELS:
        raise UsageError(f"{place[:80]}…: it is nested too deeply, or contains itself")
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else _call("builtins:float", repr(value))
    if type(value) is list:
        return _items(value, place, made)
    if type(value) is dict and all(type(key) is str and key not in RESERVED for key in value):
        return {key: portable(item, f"{place}.{key}", made) for key, item in value.items()}
    return _other(value, place, made)


def _other(value: Any, place: str, made: Made) -> Any:
    """A value that is no JSON: how a task makes it, or finds it."""
    for contains in (_deferred, _call_given, _collection, _dataclass):
        if (entry := contains(value, place, made)) is not None:
            return entry
    for is_single in (_reference, _number_or_text):
        if (entry := is_single(value, place)) is not None:
            return entry
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise UsageError(
        f"{place}: a task cannot get a value of {kind}",
        hint="let the task make it: Config(Class, …), or pass what it is made from",
    )


def _call(target: str, *positional: Any, **named: Any) -> dict[str, Any]:
    return {"_target_": target, **({"_args_": list(positional)} if positional else {}), **named}


def _items(values: Any, place: str, made: Made) -> list[Any]:
    return [portable(item, f"{place}.{index}", made) for index, item in enumerate(values)]


def _deferred(value: Any, place: str, made: Made) -> dict[str, Any] | None:
    """A call that can be changed, which the task makes once: `_id_` names it, `_same_` is its result."""
    if not isinstance(value, Deferred):
        return None
    known = made.get(id(value))
    if known is None:
        made[id(value)] = (value, {})
        entry = _call_given(_at(place, value.as_call), place, made)
        made[id(value)] = (value, entry or {})
        return entry
    if not known[1]:
        raise UsageError(f"{place}: it contains itself")
    number = known[1].setdefault("_id_", 1 + sum("_id_" in entry for _, entry in made.values()))
    return {"_same_": number}


def _call_given(value: Any, place: str, made: Made) -> dict[str, Any] | None:
    """A Config, a Partial or a functools.partial."""
    from functools import partial  # noqa: PLC0415 - many programs have no such value

    if isinstance(value, Call):
        own = {"_partial_": True} if value.is_passed_on else {}
        return {"_target_": value.target, **own, **mapping(value.positional, value.args, place, made)}
    if type(value) is partial:
        target = name_of(value.func)
        return {"_target_": target, "_partial_": True, **mapping(value.args, value.keywords, place, made)}
    return None


def _collection(value: Any, place: str, made: Made) -> dict[str, Any] | None:
    if type(value) in (tuple, set, frozenset):
        items = value if type(value) is tuple else sorted(value, key=repr)
        return _call(f"builtins:{type(value).__name__}", _items(items, place, made))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _call(name_of(type(value)), *_items(value, place, made))
    if type(value) is dict or f"{type(value).__module__}.{type(value).__name__}" == "collections.OrderedDict":
        pairs = [
            [portable(key, place, made), portable(item, f"{place}.{key}", made)]
            for key, item in value.items()
        ]
        return _call(name_of(type(value)), pairs)
    return None


def _reference(value: Any, place: str) -> dict[str, Any] | None:
    """A function, a class, or a member of an enum."""
    from enum import Enum, Flag  # noqa: PLC0415 - many programs have no such value

    if isinstance(value, Enum):
        if isinstance(value, Flag) and value.name not in type(value).__members__:
            return _call(name_of(type(value)), value.value)
        return {"_ref_": f"{name_of(type(value))}.{value.name}"}
    owner = getattr(value, "__self__", None)
    if isinstance(value, (FunctionType, type)) or (
        isinstance(value, (BuiltinFunctionType, MethodType)) and isinstance(owner, (ModuleType, type))
    ):
        return {"_ref_": _named(value, place)}
    return None


def _named(value: Any, place: str) -> str:
    return _at(place, lambda: name_of(value))


def _at(place: str, find: Callable[[], _T]) -> _T:
    """The result of a function whose errors get the place of the argument."""
    try:
        return find()
    except UsageError as error:
        raise UsageError(f"{place}: {error.message}", hint=error.hint) from None


def _number_or_text(value: Any, place: str) -> dict[str, Any] | None:
    del place
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    if kind is complex:
        return _call(name, *(portable(part, "") for part in (value.real, value.imag)))
    if kind is range:
        return _call(name, value.start, value.stop, value.step)
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _call(name, portable(value.item(), ""))
    return _of_text(value, name) or _moment(value, name)


def _of_text(value: Any, name: str) -> dict[str, Any] | None:
    module, _, kind = name.partition(":")
    if type(value) in (bytes, bytearray):
        return _call(f"{name}.fromhex", value.hex())
    if isinstance(value, PurePath) and module.partition(".")[0] == "pathlib":
        return _call(f"pathlib:{kind}", str(value))
    return _call(name, str(value)) if kind in _OF_TEXT.get(module, ()) else None


def _moment(value: Any, name: str) -> dict[str, Any] | None:
    if name == "datetime:timedelta":
        return _call(name, value.days, value.seconds, value.microseconds)
    if name not in ("datetime:date", "datetime:time", "datetime:datetime"):
        return None
    if getattr(value, "tzinfo", None) is not None or getattr(value, "fold", 0) == 1:
        return None  # a time zone is more than its text
    return _call(f"{name}.fromisoformat", value.isoformat())


def _dataclass(value: Any, place: str, made: Made) -> dict[str, Any] | None:
    if (named := fields_of(value)) is None:
        return None
    return {"_target_": _named(type(value), place), **mapping((), named, place, made)}


def fields_of(value: Any) -> dict[str, Any] | None:
    """What an instance of a dataclass is made from; None for others, and if its fields are not all of it."""
    import dataclasses  # noqa: PLC0415 - many programs have no such value

    known = getattr(type(value), "__dataclass_fields__", None)
    if known is None:
        return None
    fields = dataclasses.fields(value)
    if len(fields) != len(known) - _class_variables(known) or getattr(value, "__dict__", {}).keys() - known:
        return None  # made with values that it did not keep, or has more than its fields
    named = {field.name: getattr(value, field.name) for field in fields if field.init}
    is_plain = len(named) == len(fields) and not hasattr(type(value), "__post_init__")
    return named if is_plain or _is_made_from(value, named) else None


def _is_made_from(value: Any, named: Mapping[str, Any]) -> bool:
    """Whether another instance with these fields is equal: `__post_init__` may have changed them."""
    try:
        again = type(value)(**named)
        pairs = [(getattr(value, name), getattr(again, name)) for name in value.__dataclass_fields__]
        return all(one is other or one == other for one, other in pairs)
    except Exception:  # noqa: BLE001 - `__post_init__` and `==` are the user's and may raise anything
        return False


def _class_variables(known: Mapping[str, Any]) -> int:
    return sum(str(getattr(field, "_field_type", "")) == "_FIELD_CLASSVAR" for field in known.values())
