"""`@ml_dash_experiment`: a record around each call of a function, coroutine or generator."""

from __future__ import annotations

import functools
import inspect
from contextlib import AbstractContextManager, aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterator

ARGUMENT: Final = "experiment"


class _Call(NamedTuple):
    """The arguments of one call, including the experiment if the function has a parameter for it."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


if TYPE_CHECKING:
    Function = Callable[..., Any]
    Opened = Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[_Call]]


def wrap(function: Function, opening: Callable[[], AbstractContextManager[Any]], *, params: bool) -> Function:
    """Wrap a function so that a record is open while its body runs, also for generators and coroutines.

    Args:
        function: the function to wrap.
        opening: returns a context manager that opens the record of one call and yields the experiment.
        params: whether to record the arguments as params.
    """
    signature = inspect.signature(function)

    @contextmanager
    def opened(positional: tuple[Any, ...], named: dict[str, Any]) -> Iterator[_Call]:
        with opening() as experiment:
            if ARGUMENT in signature.parameters and ARGUMENT not in named:
                named = {**named, ARGUMENT: experiment}
            if params:
                experiment.params.set(_arguments(signature, positional, named))
            yield _Call(positional, named)

    return functools.wraps(function)(_wrapper(function)(function, opened))


def _arguments(
    signature: inspect.Signature, positional: tuple[Any, ...], named: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name, including defaults."""
    bound = signature.bind(*positional, **named)
    bound.apply_defaults()
    arguments = {name: value for name, value in bound.arguments.items() if name != ARGUMENT}
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(name, {})
    return arguments


def _wrapper(function: Function) -> Callable[[Function, Opened], Function]:
    """The wrapper for this kind of function."""
    if inspect.isasyncgenfunction(function):
        return _async_generator
    if inspect.isgeneratorfunction(function):
        return _generator
    return _coroutine if inspect.iscoroutinefunction(function) else _plain


def _plain(function: Function, opened: Opened) -> Function:
    def wrapped(*positional: Any, **named: Any) -> Any:
        with opened(positional, named) as call:
            return function(*call.positional, **call.named)

    return wrapped


def _coroutine(function: Function, opened: Opened) -> Function:
    async def wrapped(*positional: Any, **named: Any) -> Any:
        with opened(positional, named) as call:
            return await function(*call.positional, **call.named)

    return wrapped


def _generator(function: Function, opened: Opened) -> Function:
    def wrapped(*positional: Any, **named: Any) -> Generator[Any, Any, Any]:
        with opened(positional, named) as call:
            return (yield from function(*call.positional, **call.named))

    return wrapped


def _async_generator(function: Function, opened: Opened) -> Function:
    async def wrapped(*positional: Any, **named: Any) -> AsyncIterator[Any]:
        with opened(positional, named) as call:
            async with aclosing(function(*call.positional, **call.named)) as items:
                async for item in items:
                    yield item

    return wrapped
