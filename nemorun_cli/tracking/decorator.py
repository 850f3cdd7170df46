"""`@ml_dash_experiment`: a record around each call of a function, coroutine or generator."""

from __future__ import annotations

import functools
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from nemorun_cli.tracking.experiment import Experiment

ARGUMENT: Final = "experiment"


class _Call:
    """One call: the experiment, and the arguments with the experiment among them if the function asks for it."""

    def __init__(
        self,
        signature: inspect.Signature,
        experiment: Experiment,
        given: tuple[tuple[Any, ...], dict[str, Any]],
    ) -> None:
        self.experiment = experiment
        self.positional, self.named = given
        self._signature = signature
        if ARGUMENT in signature.parameters and ARGUMENT not in self.named:
            self.named = {**self.named, ARGUMENT: experiment}

    def record_arguments(self) -> None:
        """Record what the function was called with as params, its defaults included."""
        bound = self._signature.bind(*self.positional, **self.named)
        bound.apply_defaults()
        arguments = {name: value for name, value in bound.arguments.items() if name != ARGUMENT}
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name, {})
        self.experiment.params.set(arguments)


def wrap(function: Callable[..., Any], make: Callable[[], Experiment], *, params: bool) -> Callable[..., Any]:
    """The function with a record open while its body runs, to its last step where it is a generator or a
    coroutine.

    Args:
        function: what is called.
        make: gives the experiment of one call.
        params: whether to record the arguments as params.
    """
    signature = inspect.signature(function)

    def call(*positional: Any, **named: Any) -> _Call:
        return _Call(signature, make(), (positional, named))

    def begin(of: _Call) -> None:
        if params:
            of.record_arguments()

    if inspect.isasyncgenfunction(function):

        async def wrapped_async_generator(*positional: Any, **named: Any) -> AsyncIterator[Any]:
            this = call(*positional, **named)
            with this.experiment.run:
                begin(this)
                async with aclosing(function(*this.positional, **this.named)) as items:
                    async for item in items:
                        yield item

        return functools.wraps(function)(wrapped_async_generator)

    if inspect.isgeneratorfunction(function):

        def wrapped_generator(*positional: Any, **named: Any) -> Iterator[Any]:
            this = call(*positional, **named)
            with this.experiment.run:
                begin(this)
                return (yield from function(*this.positional, **this.named))

        return functools.wraps(function)(wrapped_generator)

    if inspect.iscoroutinefunction(function):

        async def wrapped_coroutine(*positional: Any, **named: Any) -> Any:
            this = call(*positional, **named)
            with this.experiment.run:
                begin(this)
                return await function(*this.positional, **this.named)

        return functools.wraps(function)(wrapped_coroutine)

    def wrapped_function(*positional: Any, **named: Any) -> Any:
        this = call(*positional, **named)
        with this.experiment.run:
            begin(this)
            return function(*this.positional, **this.named)

    return functools.wraps(function)(wrapped_function)
