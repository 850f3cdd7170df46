"""Starts an entrypoint with the arguments of the program."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import ExpError, UsageError
from nemorun_cli.nemo.cli.entrypoints import entrypoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def main(
    fn: Callable[..., Any],
    default_factory: Callable[..., Any] | None = None,
    default_executor: Any = None,
    default_plugins: Any = None,
    cmd_defaults: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> None:
    """Start a function with the arguments of the program; see `entrypoint`, whose arguments it takes too.

    Args:
        fn: an entrypoint, or a function that becomes one.
        default_factory: in place of that of the entrypoint.
        default_executor: the same.
        default_plugins: the same.
        cmd_defaults: options that are on without being given, such as `{"direct": True}`.

    Raises:
        SystemExit: the arguments are wrong (2), or what ran did not succeed.
    """
    caller = sys._getframe(1).f_globals.get("__file__")  # noqa: SLF001 - the program, for its errors
    try:
        made = getattr(fn, "cli_entrypoint", None)
        if made is not None and kwargs:
            raise UsageError(
                f"{made.name} is an entrypoint already",
                hint=f"give {', '.join(kwargs)} to its @run.cli.entrypoint",
            )
        made = made or getattr(entrypoint(**kwargs)(fn), "cli_entrypoint")  # noqa: B009 - mypy does not know it
        given = {
            "default_factory": default_factory,
            "default_executor": default_executor,
            "default_plugins": default_plugins,
        }
        chosen = replace(made, **{name: value for name, value in given.items() if value is not None})
        from nemorun_cli.nemo.cli import command  # noqa: PLC0415 - slow to import, and no task needs it

        command.run(chosen, sys.argv[1:], cmd_defaults or {})
    except ExpError as error:
        _end(error, caller)


def _end(error: ExpError, program: str | None) -> None:
    """End the program with an error as the command line does; `exp run` itself reports what it runs."""
    from nemorun_cli.cli import app, run_built, terminal  # noqa: PLC0415 - only after an error
    from nemorun_cli.spec import python_specs  # noqa: PLC0415 - the same

    if python_specs.only_builds():
        raise error
    path = Path(program or "program")
    if python_specs.place_of(error, path) != str(path):
        run_built.report(error, path)  # what the program itself built is wrong
    else:
        terminal.say_lines(f"{terminal.PROGRAM}: {app.describe(error)}".split("\n"))
    raise SystemExit(error.exit_code)
