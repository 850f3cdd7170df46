"""The factories of a program: functions that make values for arguments, chosen by their names."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import choices
from nemorun_cli.nemo.cli.annotations import UNKNOWN, bare, members, parameters, produced
from nemorun_cli.nemo.executors import Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Fn = TypeVar("Fn", bound=Callable[..., Any])

DEFAULT: Final = "default"
"""By this name the default factory of a target is chosen too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Factory:
    """A registered factory.

    Attributes:
        target: for what it was registered: a class, or a callable whose `argument` it makes, or which it
            makes a Partial of; UNKNOWN means what it returns.
        namespace: the name that it was registered under instead.
    """

    function: Callable[..., Any]
    name: str
    target: Any = UNKNOWN
    argument: str | None = None
    namespace: str | None = None
    is_default: bool = False

    @property
    def made(self) -> tuple[Any, ...]:
        """What it makes: classes, other types, or callables of which it makes a Partial."""
        return (self.target,) if self.target is not UNKNOWN else members(produced(self.function))

    def answers(self, name: str) -> bool:
        """Whether it is chosen by a name: its own, the same with its module, or that of the default."""
        module = getattr(self.function, "__module__", "")
        return name in (self.name, f"{module}.{self.name}") or (name == DEFAULT and self.is_default)


_registered: list[Factory] = []


@overload
def factory(fn: Fn, target: Any = None) -> Fn: ...


@overload
def factory(
    fn: None = None,
    target: Any = None,
    *,
    target_arg: str | None = None,
    is_target_default: bool = False,
    name: str | None = None,
    namespace: str | None = None,
) -> Callable[[Fn], Fn]: ...


def factory(
    fn: Fn | None = None,
    target: Any = None,
    *,
    target_arg: str | None = None,
    is_target_default: bool = False,
    name: str | None = None,
    namespace: str | None = None,
) -> Any:
    """Register a function that makes values for the arguments of an entrypoint: `model=my_model(hidden=3)`.

    Args:
        fn: the function; it returns a Config, a Partial or a value, and names its type in its annotation.
        target: make values for this class, or a Partial of this function, in place of the annotated type.
        target_arg: make only this argument of `target`.
        is_target_default: whether it is chosen by the name `default` too.
        name: by default that of the function.
        namespace: a name to find it under in place of a type; see `resolve_factory`.

    Raises:
        UsageError: there is neither a target nor an annotation of what the function returns.
    """
    if target_arg and target is None:
        raise UsageError("target_arg needs a target", hint="factory(target=function, target_arg='model')")

    def register(function: Fn) -> Fn:
        given = UNKNOWN if target is None else target
        if given is UNKNOWN and namespace is None and not _has_annotation(function):
            raise UsageError(
                f"the factory {function.__name__} does not name the type that it makes",
                hint=f"def {function.__name__}(…) -> run.Config[Model], or factory(target=Model)",
            )

        @functools.wraps(function)
        def made(*positional: Any, **named: Any) -> Any:
            return function(*positional, **named)

        made.__factory__ = True  # type: ignore[attr-defined]
        made.wrapped = function  # type: ignore[attr-defined]
        _registered.append(
            Factory(
                function=made,
                name=name or function.__name__,
                target=given,
                argument=target_arg,
                namespace=namespace,
                is_default=is_target_default,
            )
        )
        return cast("Fn", made)

    return register if fn is None else register(fn)


def _has_annotation(function: Callable[..., Any]) -> bool:
    return "return" in getattr(function, "__annotations__", {})


def resolve_factory(target: Any, name: str) -> Callable[..., Any]:
    """The factory of a class, or in a namespace, that has a name.

    Raises:
        UsageError: none has the name.
    """
    fitting = list(_of(target))
    for known in reversed(fitting):
        if known.answers(name):
            return known.function
    shown = target if isinstance(target, str) else getattr(target, "__name__", target)
    raise UsageError(f"{shown} has no factory {name!r}", hint=choices(name, _names(fitting)))


def list_factories(type_or_namespace: Any) -> list[Callable[..., Any]]:
    """The factories of a class, or in a namespace, in the order of their registration."""
    return [known.function for known in _of(type_or_namespace)]


def _of(target: Any) -> Iterable[Factory]:
    if isinstance(target, str):
        return [known for known in _registered if known.namespace == target]
    return _for_types(members(target))


def fitting_argument(owner: Any, argument: str, annotation: Any) -> list[Factory]:
    """The factories that can make an argument; of two with the same name the latter is chosen.

    Args:
        owner: the callable that has the argument.
    """
    # An argument without an annotation takes what any factory makes.
    any_type = [known for known in _registered if known.argument is None and known.namespace is None]
    of_types = any_type if annotation is UNKNOWN else _for_types(members(annotation))
    return [*of_types, *(known for known in _registered if _is_for(known, owner, argument))]


def _is_for(known: Factory, owner: Any, argument: str) -> bool:
    return known.argument == argument and is_same(known.target, owner)


def _for_types(kinds: Iterable[Any]) -> list[Factory]:
    wanted = [bare(kind) for kind in kinds]
    return [
        known
        for known in _registered
        if known.argument is None
        and known.namespace is None
        and any(_fits(made, kind) for made in known.made for kind in wanted)
    ]


def _fits(made: Any, wanted: Any) -> bool:
    if wanted in (UNKNOWN, Any, object) or made is UNKNOWN:
        return False
    return is_same(made, wanted) or (
        isinstance(made, type) and isinstance(wanted, type) and issubclass(made, wanted)
    )


def is_same(one: Any, other: Any) -> bool:
    """Whether two targets are one: a program has its functions once as `__main__`, and once if imported."""
    return one is other or one == other or (_identity(one) is not None and _identity(one) == _identity(other))


def _identity(target: Any) -> tuple[str, str] | None:
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    if module is None or name is None:
        return None
    file = getattr(sys.modules.get(module), "__file__", None)
    return file or module, name


def of_function(target: Callable[..., Any]) -> list[Factory]:
    """The factories that make a Partial of a function."""
    return [known for known in _for_types([target]) if any(is_same(made, target) for made in known.made)]


def of_executors() -> list[Factory]:
    """The factories that make executors."""
    return _for_types([Executor])


def of_program(target: Callable[..., Any], name: str) -> Callable[..., Any] | None:
    """A function of the program that makes a Partial of `target`, as its annotation shows, by its name."""
    function = getattr(target, "__globals__", {}).get(name)
    made = produced(function) if callable(function) and not isinstance(function, type) else UNKNOWN
    return function if made is not UNKNOWN and is_same(made, target) else None


def arguments_of(known: Callable[..., Any]) -> str:
    """The parameters of a factory with their defaults, for `--help`."""
    return ", ".join(
        name if parameter.default is UNKNOWN else f"{name}={parameter.default!r}"
        for name, parameter in parameters(known).items()
    )


def _names(known: Iterable[Factory]) -> list[str]:
    return list(dict.fromkeys(each.name for each in known))
