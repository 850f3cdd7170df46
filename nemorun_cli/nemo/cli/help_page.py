"""The page of `python program.py --help`: arguments with their types and defaults, factories and options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.nemo.cli import factories, options
from nemorun_cli.nemo.cli.annotations import UNKNOWN, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.nemo.cli.entrypoints import Entrypoint


def lines(entrypoint: Entrypoint) -> Iterator[str]:
    """The lines of the page."""
    yield f"Usage: python {Path(sys.argv[0]).name} [OPTIONS] [name=value …]"
    yield from ("", entrypoint.name, *entrypoint.help_str.partition("Args:")[0].strip().splitlines())
    known = entrypoint.parameters()
    yield from _section("Arguments", [_argument(name, each) for name, each in known.items()])
    for name, parameter in known.items():
        fitting = factories.fitting_argument(entrypoint.fn, name, parameter.annotation)
        if parameter.annotation is UNKNOWN:  # it takes what any factory makes
            fitting = [each for each in fitting if each.argument == name]
        yield from _section(f"Factories for {name}", [_factory(each) for each in fitting])
    yield from _section(
        "Factories for --factory", [_factory(each) for each in factories.of_function(entrypoint.fn)]
    )
    yield from _section("Executors (executor=NAME)", [_factory(each) for each in factories.of_executors()])
    if entrypoint.enable_executor:
        yield from _section("Options", [(", ".join(each.names), each.about) for each in options.shown()])


def _argument(name: str, parameter: Any) -> tuple[str, str]:
    default = "" if parameter.default is parameter.empty else f" = {_short(parameter.default)}"
    return name, f"{described(parameter.annotation)}{default}"


def _factory(known: factories.Factory) -> tuple[str, str]:
    about = (known.function.__doc__ or "").strip().partition("\n")[0]
    return f"{known.name}({factories.arguments_of(known.function)})", about


def _section(title: str, rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        width = max(len(name) for name, _ in rows)
        yield ""
        yield f"{title}:"
        yield from (f"  {name:<{width}}  {about}".rstrip() for name, about in rows)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_SHOWN = 80  # characters of a default
