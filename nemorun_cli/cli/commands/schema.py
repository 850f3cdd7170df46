"""`exp schema`: what a spec can hold."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import Json


def command(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Where in a spec, as tasks.retry; all of it without one.",
            autocompletion=completion.schema_paths,
            show_default=False,
        ),
    ] = "",
    *,
    is_json: Json = False,
) -> None:
    """Explain the keys of a spec."""
    from nemorun_cli.spec.schema import reference  # noqa: PLC0415 - not for the help

    if is_json:
        terminal.write_json(reference.part(path))
    else:
        terminal.write(reference.describe(path))
        if found := reference.meant(path):
            terminal.warn(f"{path} is read as a name of yours: did you mean {found}?")
        terminal.suggest(f"exp schema {path + '.' if path else ''}KEY · exp init", is_wanted=True)
