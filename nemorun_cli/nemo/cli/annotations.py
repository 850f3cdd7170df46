"""The annotations of the parameters of callables: resolved, taken apart and described."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections import abc
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.nemo.calls import MutableCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNKNOWN: Final = inspect.Parameter.empty
"""The annotation of what has none, or has one with a name that only type checkers import."""

_COLLECTIONS: Final = (
    *(list, tuple, set, frozenset, dict),
    *(abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable, abc.Set, abc.MutableSet),
    *(abc.Mapping, abc.MutableMapping),
)
_STARRED: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters that a callable takes by name, with their annotations resolved."""
    return {
        name: parameter.replace(annotation=_annotation(target, name, parameter))
        for name, parameter in _signature(target).items()
        if parameter.kind not in _STARRED
    }


def takes_any_name(target: Callable[..., Any]) -> bool:
    """Whether a callable has `**kwargs`."""
    return any(parameter.kind == parameter.VAR_KEYWORD for parameter in _signature(target).values())


def returned(target: Callable[..., Any]) -> Any:
    """The resolved annotation of what a callable returns; UNKNOWN if it has none."""
    try:
        annotation = inspect.signature(target).return_annotation
    except (TypeError, ValueError):  # of a compiled one it is unknown
        return UNKNOWN
    return _resolved(target, "return", annotation)


def produced(target: Callable[..., Any]) -> Any:
    """What a factory makes: the annotation of what it returns, or `T` of a `Config[T]` or `Partial[T]`."""
    annotation = returned(target)
    origin = typing.get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, MutableCall):
        return typing.get_args(annotation)[0]
    return annotation


def _signature(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        if (
            isinstance(target, type) and type(target).__call__ is not type.__call__
        ):  # of a metaclass of its own
            return dict(list(inspect.signature(target.__init__).parameters.items())[1:])  # type: ignore[misc]
        return inspect.signature(target).parameters
    except (TypeError, ValueError):  # of a compiled one it is unknown
        return {"kwargs": inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD)}


def _annotation(target: Callable[..., Any], name: str, parameter: inspect.Parameter) -> Any:
    """The annotation of a parameter; one without has the class of a default that is made by a call."""
    annotation = _resolved(target, name, parameter.annotation)
    if annotation is UNKNOWN and isinstance(parameter.default, MutableCall):
        kind = parameter.default.__fn_or_cls__
        return kind if isinstance(kind, type) else UNKNOWN
    if parameter.default is not None or annotation in (UNKNOWN, Any):
        return annotation
    # `x: int = None` is meant as Optional.
    return typing.Optional[annotation]  # noqa: UP045 - the annotation may be a text


def _resolved(target: Callable[..., Any], name: str, annotation: Any) -> Any:
    """An annotation, with the names in it looked up where the program itself has them."""
    for scope in _scopes(target, name):
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            return typing.get_type_hints(holder, scope, include_extras=True)[name]
        except Exception:  # noqa: BLE001, S112 - an annotation is an expression of the program, and may raise anything
            continue
    return UNKNOWN


def _scopes(target: Callable[..., Any], name: str) -> Iterator[dict[str, Any]]:
    """The global names where an annotation of a callable may have been written."""
    if isinstance(target, type):
        for base in target.__mro__:
            if name in inspect.get_annotations(base):
                yield vars(sys.modules[base.__module__])
        target = target.__init__  # type: ignore[misc]
    scope = getattr(inspect.unwrap(target), "__globals__", None)
    if scope is not None:
        yield scope


def members(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; of anything else, itself. `Annotated`, `NewType` and aliases are unpacked."""
    annotation = bare(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(each for one in typing.get_args(annotation) for each in members(one))
    return (annotation,)


def bare(annotation: Any) -> Any:
    """An annotation without `Annotated`, and what `NewType`, a type variable or an alias is made of."""
    if typing.get_origin(annotation) is typing.Annotated:
        return bare(typing.get_args(annotation)[0])
    if hasattr(annotation, "__supertype__"):
        return bare(annotation.__supertype__)
    if type(annotation).__name__ == "TypeAliasType":
        return bare(annotation.__value__)
    if isinstance(annotation, typing.TypeVar):
        return Any
    return annotation


def is_collection(annotation: Any) -> bool:
    """Whether an annotation is that of a list, a tuple, a set, a dict or one of their abstract types."""
    return (typing.get_origin(annotation) or annotation) in _COLLECTIONS


def classes(annotation: Any) -> list[type]:
    """The classes of an annotation whose values are made by calls, not written as literals."""
    return [each for each in members(annotation) if _is_made(each)]


def _is_made(annotation: Any) -> bool:
    if not isinstance(annotation, type) or is_collection(annotation):
        return False
    if annotation in (object, UNKNOWN) or issubclass(annotation, Enum):
        return False
    return annotation.__module__ not in ("builtins", "collections.abc", "pathlib", "types", "typing")


def described(annotation: Any) -> str:
    """An annotation as a message shows it: `int`, `list[int]`, `int or None`, `one of 'a', 'b'`."""
    known = [_described(each) for each in members(annotation)]
    return " or ".join(dict.fromkeys(known))


def _described(annotation: Any) -> str:
    if annotation in (UNKNOWN, Any, object):
        return "any value"
    if annotation in (None, type(None)):
        return "None"
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(map(repr, typing.get_args(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"{annotation.__name__} ({', '.join(annotation.__members__)})"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
