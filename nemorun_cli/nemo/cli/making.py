"""Makes the values of arguments that are calls: of registered factories, and of annotated classes."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.arguments import shown_name
from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo.calls import Config
from nemorun_cli.nemo.cli import factories
from nemorun_cli.nemo.cli.annotations import UNKNOWN, classes, described, members, parameters, takes_any_name
from nemorun_cli.nemo.cli.conversion import MISSING, converted
from nemorun_cli.nemo.cli.literals import Items, Name, NamedCall, Pairs, Scalar, Written
from nemorun_cli.nemo.executors import Executor
from nemorun_cli.nemo.plugins import Plugin

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.nemo.cli.conversion import Make

BASES: Final = (Executor, Plugin)
"""Classes whose values are always of a class derived from them."""


def maker(owner: Any, argument: str, place: str) -> Make:
    """Makes the values of one argument of a callable."""
    return functools.partial(_made, owner, argument, place)


def _made(owner: Any, argument: str, place: str, written: Written, annotation: Any) -> Any:
    """What a value names, or MISSING if it names nothing: then it is a literal or a text."""
    if isinstance(written.form, Pairs):
        return _of_mapping(owner, argument, place, written.form, annotation)
    kinds = classes(annotation)
    call = _call_in(written, is_text_a_name=bool(kinds) and str not in members(annotation))
    if call is None:
        return MISSING
    fitting = factories.fitting_argument(owner, argument, annotation)
    for known in reversed(fitting):
        if known.answers(call.name):
            return called(known.function, call, place)
    if (kind := _class(call.name, kinds, place)) is not None:
        return Config(kind, **_arguments(kind, call, place))
    if kinds and not _may_be_literal(call, annotation):
        names = [known.name for known in fitting] + [kind.__name__ for kind in kinds if kind not in BASES]
        shown = " or ".join(kind.__name__ for kind in kinds)
        raise UsageError(f"{place}: {shown} has no factory {call.name!r}", hint=choices(call.name, names))
    return MISSING


def _call_in(written: Written, *, is_text_a_name: bool) -> NamedCall | None:
    """The call that a value may be: of a name, with or without arguments."""
    form = written.form
    if isinstance(form, NamedCall):
        return form
    if isinstance(form, Name):
        return NamedCall(form.text, (), ())
    if is_text_a_name and isinstance(form, Scalar) and isinstance(form.value, str):
        return NamedCall(form.value, (), ())
    return None


def _may_be_literal(call: NamedCall, annotation: Any) -> bool:
    """Whether what names no factory can be a value of another type of a union."""
    others = [each for each in members(annotation) if each not in classes(annotation)]
    return any(each is not type(None) for each in others) or (
        type(None) in others and call.name.lower() in ("none", "null")
    )


def _subclasses(kind: type) -> Iterator[type]:
    """A class, and all classes derived from it that the program has imported."""
    yield kind
    derived: list[type] = type.__subclasses__(kind)
    for each in derived:
        yield from _subclasses(each)


def _class(name: str, kinds: Sequence[type], place: str) -> type | None:
    """The annotated class, or one derived from it, that has a name; its module may come before the name."""
    fitting = {kind: _names(kind) for base in kinds for kind in _subclasses(base)}
    chosen = [kind for kind, names in fitting.items() if name in names]
    if len(chosen) > 1 and "." not in name:
        raise UsageError(
            f"{place}: several classes are called {name}",
            hint="write one of " + ", ".join(fitting[kind][1] for kind in chosen),
        )
    return chosen[0] if chosen else None


def _names(kind: type) -> tuple[str, ...]:
    """The names of a class: its own, with its module, and as a task imports it."""
    own = f"{kind.__module__}.{kind.__qualname__}"
    return kind.__name__, own, shown_name(kind).replace(":", ".")


def called(function: Callable[..., Any], call: NamedCall, place: str) -> Any:
    """What a factory returns for the arguments of a call.

    Raises:
        UsageError: it does not take them, or needs more.
    """
    given = _arguments(function, call, place)
    missing = [
        name
        for name, parameter in parameters(function).items()
        if parameter.default is parameter.empty and name not in given
    ]
    if missing:
        raise UsageError(
            f"{place}: {call.name} needs {', '.join(missing)}", hint=f"{call.name}({missing[0]}=…)"
        )
    return function(**given)


def _arguments(function: Callable[..., Any], call: NamedCall, place: str) -> dict[str, Any]:
    """The arguments of a call by their names, converted to the annotations of the callable."""
    known = parameters(function)
    if len(call.positional) > len(known):
        raise UsageError(f"{place}: {call.name} takes at most {len(known)} arguments")
    pairs = [*zip(known, call.positional, strict=False), *call.named]
    given: dict[str, Any] = {}
    for name, written in pairs:
        if name in given:
            raise UsageError(f"{place}: {call.name} has {name} twice")
        given[name] = _argument(function, name, written, known, f"{place}: {call.name}")
    return given


def _argument(
    function: Callable[..., Any],
    name: str,
    written: Written,
    known: Mapping[str, inspect.Parameter],
    place: str,
) -> Any:
    if name not in known and not takes_any_name(function):
        raise UsageError(f"{place} has no argument {name!r}", hint=choices(name, known))
    annotation = known[name].annotation if name in known else UNKNOWN
    place = f"{place}: {name}"
    return converted(written, annotation, place=place, make=maker(function, name, place))


def _of_mapping(owner: Any, argument: str, place: str, form: Pairs, annotation: Any) -> Any:
    """What a dict of arguments describes: a call of the factory or class that it or the annotation names."""
    kinds = classes(annotation)
    named = {_key(key, place): value for key, value in form.pairs}
    target = named.pop("_target_", named.pop("_factory_", None))
    if not kinds or (target is None and len(kinds) > 1):
        return MISSING
    if len(named) + (target is not None) != len(form.pairs):
        raise UsageError(f"{place}: an argument is written twice")
    arguments = tuple(named.items())
    if target is None:
        call = NamedCall(kinds[0].__name__, (), arguments)
        return Config(kinds[0], **_arguments(kinds[0], call, place))
    name = _text_of(target).replace(":", ".")
    call = NamedCall(name, (), arguments)
    made = _made(owner, argument, place, Written(name, call), annotation)
    if made is MISSING:
        raise UsageError(f"{place}: {name} is none of {described(annotation)}")
    return made


def _key(written: Written, place: str) -> str:
    if isinstance(written.form, Items | Pairs | NamedCall):
        raise UsageError(f"{place}: {written.source!r} is no name of an argument")
    return _text_of(written)


def _text_of(written: Written) -> str:
    return str(written.form.value) if isinstance(written.form, Scalar) else written.source
