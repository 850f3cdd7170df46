"""`Config` and `Partial`: calls whose arguments are attributes, which can be read and changed."""

from __future__ import annotations

import copy
import functools
import reprlib
import typing
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from nemorun_cli import arguments, parts
from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo.parameters import ABSENT, Parameters, callable_given

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

T = TypeVar("T")
_DRAWN: Final = ("visualize", "diff", "save_config_img")


class ArgumentError(UsageError, AttributeError, TypeError):
    """A callable does not take this argument, or it has no value.

    Programs may catch it as the errors that NeMo-Run raises: TypeError for a call that is made, and
    AttributeError for an attribute.
    """


class MutableCall(arguments.Deferred, Generic[T]):
    """A callable and its arguments; those with a name are attributes.

    Reading an argument that was not given returns its default. Of a default that can be changed in place (a
    list, a Config, a dataclass) it is a copy, which is passed on if it was changed.
    """

    __slots__ = (
        "__arguments__",
        "__defaults__",
        "__fn_or_cls__",
        "__known__",
        "__positional__",
        "__weakref__",
    )

    __fn_or_cls__: Callable[..., T]
    __arguments__: dict[str, Any]  # those that were given, by name
    __defaults__: dict[str, Any]  # copies of the defaults that were read and can be changed in place
    __positional__: list[Any]  # the arguments without a name
    __known__: Parameters

    def __init__(
        self, fn_or_cls: Callable[..., T], /, *args: Any, bind_args: bool = True, **kwargs: Any
    ) -> None:
        target = _target(fn_or_cls)
        known = Parameters(target)
        try:
            named, positional = known.bound(args, kwargs)
        except UsageError as error:
            raise ArgumentError(error.message, hint=error.hint) from None
        if bind_args:
            positional = [changeable(value) for value in positional]
            named = {name: changeable(value) for name, value in named.items()} | _annotated(known, named)
        self.__setstate__((target, named, {}, positional))

    def __getstate__(self) -> tuple[Any, ...]:
        return (
            self.__fn_or_cls__,
            dict(self.__arguments__),
            dict(self.__defaults__),
            list(self.__positional__),
        )

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        target, named, defaults, positional = state
        object.__setattr__(self, "__fn_or_cls__", target)
        object.__setattr__(self, "__arguments__", named)
        object.__setattr__(self, "__defaults__", defaults)
        object.__setattr__(self, "__positional__", positional)
        object.__setattr__(self, "__known__", Parameters(target))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # of a copy that is not complete, or asked for by a protocol
        if (value := self._value(name)) is not ABSENT:
            return value
        raise self._no_argument(name, "is not set" if self.__known__.accepts(name) else None)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)  # such as the __orig_class__ of Config[T](…)
        if not self.__known__.accepts(name):
            raise self._no_argument(name, None)
        self.__arguments__[name] = changeable(value)
        self.__defaults__.pop(name, None)

    def __delattr__(self, name: str) -> None:
        self.__defaults__.pop(name, None)
        if self.__arguments__.pop(name, ABSENT) is ABSENT:
            raise self._no_argument(name, "is not set" if self.__known__.accepts(name) else None)

    def __dir__(self) -> list[str]:
        """The names of the arguments, as NeMo-Run lists them, and the methods."""
        return sorted({*self.__known__.names(), *self.__arguments__, *_METHODS})

    def __eq__(self, other: object) -> bool:
        """Whether they make equal calls, whether or not an argument with the default's value is given."""
        if type(self) is not type(other) or not isinstance(other, MutableCall):
            return NotImplemented
        if (self.__fn_or_cls__, self.__positional__) != (other.__fn_or_cls__, other.__positional__):
            return False
        given = {*self.__arguments__, *self.__defaults__, *other.__arguments__, *other.__defaults__}
        return all(self._stored(name) == other._stored(name) for name in given)  # noqa: SLF001 - its own class

    __hash__ = None  # type: ignore[assignment]  # they can be changed

    @reprlib.recursive_repr("<…>")
    def __repr__(self) -> str:
        given = [_short(value) for value in self.__positional__]
        given += [f"{name}={_short(value)}" for name, value in self._named().items()]
        target = getattr(self.__fn_or_cls__, "__qualname__", None) or repr(self.__fn_or_cls__)
        return f"<{type(self).__name__}[{target}({', '.join(given)})]>"

    def clone(self) -> Self:
        """A copy that has nothing in common with this one.

        Raises:
            UsageError: an argument cannot be copied, and no task can get it.
        """
        try:
            return copy.deepcopy(self)
        except Exception:  # objects raise anything from their copy; which one it is, is found below
            arguments.portable(self, "args")
            raise

    def walk(self, visit: Callable[[Any], object] | None = None, /, **changes: Callable[[Any], Any]) -> Self:
        """Change arguments here and in all calls that are arguments, and return this.

        Args:
            visit: it is called with this and each of these calls, which it may change.
            changes: for the name of an argument, what returns its value for a call that has one.
        """
        for call in self._calls(set()):
            if visit is not None:
                visit(call)
            for name, change in changes.items():
                if call._value(name) is not ABSENT:  # noqa: SLF001 - its own class
                    setattr(call, name, change(call))
        return self

    def broadcast(self, **values: Any) -> Self:
        """Set arguments here and in all calls that are arguments and have them, and return this."""
        return self.walk(**{name: functools.partial(_constant, value) for name, value in values.items()})

    def _named(self) -> dict[str, Any]:
        """The arguments that were given by name, and the defaults that were changed."""
        changed = {name: value for name, value in self.__defaults__.items() if value != self._default(name)}
        return {**changed, **self.__arguments__}

    def _passed(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call, by position and by name.

        Defaults that are calls are among them: the function gets what they make.
        """
        defaults = self.__known__.defaults().items()
        named = {name: value for name, value in defaults if isinstance(value, MutableCall)} | self._named()
        positional = self.__positional__
        index, names = self.__known__.before_rest(len(positional))
        values = [named.pop(name) if name in named else self._stored(name) for name in names]
        if ABSENT in values:
            raise self._no_argument(names[values.index(ABSENT)], "is not set")
        return [*positional[:index], *values, *positional[index:]], named

    def _calls(self, seen: set[int]) -> Iterator[MutableCall[Any]]:
        """This, and then all calls that are arguments of it, each once."""
        seen.add(id(self))
        yield self
        unread = [
            name
            for name in self.__known__.names()
            if not isinstance(self.__known__.factory(name), FunctionType)
        ]
        names = dict.fromkeys([*unread, *self.__arguments__, *self.__defaults__])
        nested = [self._value(name) for name in names if isinstance(self._stored(name), MutableCall)]
        for value in [*nested, *self.__positional__]:
            if isinstance(value, MutableCall) and id(value) not in seen:
                yield from value._calls(seen)  # noqa: SLF001 - its own class

    def _value(self, name: str) -> Any:
        """The argument or its default; the copy of one that can be changed in place."""
        value = self._stored(name)
        is_read = name in self.__arguments__ or name in self.__defaults__
        if not is_read and isinstance(value, (MutableCall, list, dict, set, bytearray)):
            value = self.__defaults__[name] = _copied(value)
        return value

    def _stored(self, name: str) -> Any:
        for values in (self.__arguments__, self.__defaults__):
            if name in values:
                return values[name]
        return self._default(name)

    def _default(self, name: str) -> Any:
        default = self.__known__.defaults().get(name, ABSENT)
        factory = self.__known__.factory(name)
        if default is ABSENT or factory is None:
            return changeable(default)
        is_simple = not isinstance(factory, type) or factory in (list, dict, set)
        return changeable(factory()) if is_simple else Config(factory)

    def _no_argument(self, name: str, problem: str | None) -> ArgumentError:
        target = arguments.shown_name(self.__fn_or_cls__)
        if name in _DRAWN and problem is None:
            return ArgumentError(
                f"{name} draws a picture with graphviz, which exp does not do",
                hint="print() shows the arguments",
            )
        if problem is not None:
            return ArgumentError(f"{target}: its argument {name!r} {problem}")
        return ArgumentError(f"{target} has no argument {name!r}", hint=choices(name, self.__known__.names()))


class Config(MutableCall[T]):
    """A call that the task makes before the call it is an argument of."""

    __slots__ = ()

    def as_call(self) -> parts.Config:
        """The call, as it is now; raises UsageError if a task cannot import its callable."""
        positional, named = self._passed()
        return parts.Config(self.__fn_or_cls__, *positional, **named)


class Partial(MutableCall[T]):
    """A Python function and its arguments: a task, or an argument that its receiver calls."""

    __slots__ = ()

    def as_call(self) -> parts.Partial:
        """The call, as it is now; raises UsageError if a task cannot import its callable."""
        positional, named = self._passed()
        return parts.Partial(self.__fn_or_cls__, *positional, **named)

    def translated(self) -> parts.Partial:
        """The task for a `Builder`."""
        return self.as_call()

    def default_name(self) -> str:
        """The default name of the task: the module and the function."""
        return arguments.shown_name(self.__fn_or_cls__).replace(":", ".")


_METHODS: Final = ("broadcast", "clone", "walk")


def cast(kind: type[MutableCall[Any]], call: MutableCall[Any]) -> MutableCall[Any]:
    """The same call as a Config or as a Partial."""
    made: MutableCall[Any] = object.__new__(kind)
    made.__setstate__(call.__getstate__())
    return made


def resolved(call: MutableCall[Any]) -> dict[str, Any]:
    """The arguments of a call by name, also those that have only a default."""
    names = [*call.__known__.names(), *call.__arguments__]
    values = {name: getattr(call, name, ABSENT) for name in names}
    by_position = {str(index): value for index, value in enumerate(call.__positional__)}
    return {**by_position, **{name: value for name, value in values.items() if value is not ABSENT}}


def build(value: Any) -> Any:
    """The value with the results of its Configs in place of them, and functions in place of its Partials."""
    return _built(value, {})


def _built(value: Any, made: dict[int, Any]) -> Any:
    if isinstance(value, MutableCall):
        if id(value) not in made:
            made[id(value)] = _result(value, made)
        return made[id(value)]
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(_built(item, made) for item in value)
    if type(value) is dict:
        return {key: _built(item, made) for key, item in value.items()}
    return value


def _result(call: MutableCall[Any], made: dict[int, Any]) -> Any:
    positional, named = (_built(each, made) for each in call._passed())  # noqa: SLF001 - a function of the class
    if isinstance(call, Partial):
        return functools.partial(call.__fn_or_cls__, *positional, **named)
    return call.__fn_or_cls__(*positional, **named)


def _target(given: Any) -> Any:
    if isinstance(given, MutableCall):
        raise ArgumentError(
            f"{given!r} is a {type(given).__name__} already",
            hint="change its arguments, or those of its clone()",
        )
    target = callable_given(given)
    if not callable(target):
        raise ArgumentError(f"{given!r} cannot be called", hint="give a function or a class")
    return target


def changeable(value: Any) -> Any:
    """An instance of a dataclass as a Config; other values as they are."""
    fields = arguments.fields_of(value)
    return value if fields is None else Config(type(value), **fields)


def _annotated(known: Parameters, named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are None or not given, and have a call in their annotation."""
    found = ((name, kind, typing.get_origin(kind)) for name, kind in known.annotated())
    return {
        name: origin(*typing.get_args(kind))
        for name, kind, origin in found
        if named.get(name) is None and isinstance(origin, type) and issubclass(origin, MutableCall)
    }


def _copied(value: Any) -> Any:
    """A copy whose lists, mappings, sets and calls can be changed; the other values are the same."""
    if isinstance(value, MutableCall):
        return value.clone()
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_copied, value))
    return copy.copy(value) if isinstance(value, (set, bytearray)) else value


def _constant(value: Any, call: object) -> Any:
    del call
    return value


def _short(value: Any, most: int = 200) -> str:
    text = repr(value)
    return text if len(text) <= most or isinstance(value, MutableCall) else text[: most - 1] + "…"
