"""`exp init`: create a starter spec."""

from __future__ import annotations

import json
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
            metavar="NAME",
            help="Name of the experiment, or path of the spec file (default: experiment.yaml).",
            show_default=False,
        ),
    ] = DEFAULT_NAME,
) -> None:
    """Create a starter spec.

    Next to it, .exp.schema.json is the JSON Schema that editors use. An existing one is not changed; after an
    upgrade, write it again with: exp schema --json > .exp.schema.json

    Examples:
      exp init                       create experiment.yaml
      exp init training              create training.yaml
      exp init specs/training.yaml
    """
    path = Path(name) if name.endswith(completion.SPEC_ENDINGS) else Path(f"{name}.yaml")
    form = walk.experiment()["$defs"]["name"]
    if not re.search(form["pattern"], path.stem):
        raise UsageError(f"{path.stem!r} cannot name an experiment", hint=form["title"])
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(spec_template.text(path.stem, file=path.name))
    except FileExistsError:
        raise UsageError(f"{path} already exists", hint="nothing was written; choose another name") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    schema = path.with_name(spec_template.SCHEMA_FILE)
    is_new = _write_schema(schema)
    terminal.write_line(str(path))
    if is_new:
        terminal.warn(f"{schema} is the schema for editors")
    terminal.suggest(f"exp validate {path} · exp graph {path} · exp run {path}", is_wanted=True)


def _write_schema(path: Path) -> bool:
    """Write the schema that the spec names for editors, as `exp schema --json` does; one that exists is kept.

    Returns:
        Whether it was written.
    """
    schema = json.loads((walk.folder() / "experiment.schema.json").read_bytes())
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(json.dumps(schema) + "\n")
    except FileExistsError:
        return False
    except OSError as error:
        terminal.warn(f"warning: cannot write {path}, which editors use: {error.strerror}")
        return False
    return True
