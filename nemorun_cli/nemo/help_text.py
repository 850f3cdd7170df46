"""`help`: the arguments of a function or class, for a person."""

from __future__ import annotations

import inspect
from typing import Any

from nemorun_cli.nemo import printing


def help(entity: Any, with_docs: bool = True, console: Any = None, namespace: str | None = None) -> None:  # noqa: A001, FBT001, FBT002 - NeMo-Run's signature
    """Print the arguments of a callable with their types and defaults, and its documentation.

    Args:
        entity: a function or a class.
        with_docs: whether its documentation is printed.
        console: no effect.
        namespace: no effect.
    """
    del console, namespace
    if not callable(entity):
        printing.lines([f"{entity!r} is not callable"])
        return
    name = f"{getattr(entity, '__module__', '')}.{getattr(entity, '__qualname__', repr(entity))}"
    printing.lines([name, *_arguments(entity)])
    if with_docs and (text := inspect.getdoc(entity)):
        printing.lines(["", *text.splitlines()])


def _arguments(entity: Any) -> list[str]:
    try:
        parameters = inspect.signature(entity).parameters.values()
    except (TypeError, ValueError) as error:  # of some functions written in C
        return [f"  its arguments are not known: {error}"]
    return [f"  {parameter}" for parameter in parameters]
