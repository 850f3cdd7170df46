"""`exp init`: write a spec to start from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from nemorun_cli.cli import completion, spec_template, terminal
from nemorun_cli.errors import UsageError
from nemorun_cli.spec.schema import walk

DEFAULT_NAME: Final = "experiment"


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The experiment's name, or the path of its file.", show_default=False
        ),
    ] = DEFAULT_NAME,
) -> None:
    """Write a spec to start from."""
    path = Path(name) if name.endswith(completion.SPEC_ENDINGS) else Path(f"{name}.yaml")
    form = walk.experiment()["$defs"]["name"]
    if not re.search(form["pattern"], path.stem):
        raise UsageError(f"{path.stem!r} cannot name an experiment", hint=form["title"])
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(spec_template.text(path.stem, file=path.name))
    except FileExistsError:
        raise UsageError(
            f"{path} is there already", hint="nothing was written; choose another name"
        ) from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    terminal.write_line(str(path))
    terminal.suggest(f"exp validate {path} · exp graph {path} · exp run {path}", is_wanted=True)
