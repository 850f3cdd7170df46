"""`exp schema`: the keys that a spec can contain."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nemorun_cli.cli import completion, terminal
from nemorun_cli.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Iterator


def command(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="Key to explain, as tasks.retry (default: the whole spec).",
            autocompletion=completion.schema_paths,
            show_default=False,
        ),
    ] = "",
    *,
    is_json: Json = False,
) -> None:
    """Explain the keys of a spec.

    With --json, the options of installed executors, launchers, packagers and plugins are part of it.

    Examples:
      exp schema                    list the top-level keys
      exp schema tasks.retry        explain a key and the keys below it
      exp schema executors.slurm    explain the options of a type of executor
      exp schema --json > .exp.schema.json   write the JSON Schema for editors
    """
    from nemorun_cli.spec.schema import reference  # noqa: PLC0415 - not for the help

    if is_json:
        terminal.write_json(_installed(path))
    else:
        text = reference.describe(path, width=terminal.width(sys.stdout))
        terminal.write_lines(text.splitlines())
    if nearest := reference.meant(path):
        terminal.warn(f"{path} is read as a name of your choice: did you mean {nearest}?")
    if not is_json:
        example = reference.example(path)
        terminal.suggest(f"exp schema {example} · exp init" if example else "exp init", is_wanted=True)


def _installed(path: str) -> dict[str, Any]:
    """The schema of this installation, or a part of it."""
    from nemorun_cli.spec.schema import lookup, published  # noqa: PLC0415 - imports every executor

    with _printing_to_stderr():  # what other packages print is not part of the document
        schema, problems = published.installed()
    for problem in problems:
        terminal.warn(f"warning: {problem}")
    return lookup.part(schema, path)


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """Send what is written to stdout within the block to stderr, also by C code and child processes."""
    sys.stdout.flush()
    own = os.dup(1)
    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(own, 1)
        os.close(own)
