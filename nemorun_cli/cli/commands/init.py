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
from nemorun_cli.system import files

DEFAULT_NAME: Final = "experiment"
_MODE: Final = 0o666  # less the umask: both files are the user's, and can be shared


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
    schema = _schema()
    try:
        files.write_new(path, spec_template.text(path.stem, file=path.name).encode(), mode=_MODE)
    except FileExistsError:
        raise UsageError(f"{path} already exists", hint="nothing was written; choose another name") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    schema_path = path.with_name(spec_template.SCHEMA_FILE)
    is_new = _write_schema(schema_path, schema)
    terminal.write_line(str(path))
    if is_new:
        terminal.warn(f"{schema_path} is the schema for editors")
    terminal.suggest(f"exp validate {path} · exp graph {path} · exp run {path}", is_wanted=True)


def _schema() -> bytes:
    """Return the schema that the spec names for editors: as `exp schema --json` prints it, but compact."""
    schema = json.loads((walk.folder() / "experiment.schema.json").read_bytes())
    return json.dumps(schema, separators=(",", ":")).encode() + b"\n"


def _write_schema(path: Path, schema: bytes) -> bool:
    """Write the schema; one that exists is kept.

    Returns:
        Whether it was written.
    """
    try:
        files.write_new(path, schema, mode=_MODE)
    except FileExistsError:
        if not files.is_regular(path):
            terminal.warn(f"warning: {path}, which editors use, is no file that they can read")
        return False
    except OSError as error:
        terminal.warn(f"warning: cannot write {path}, which editors use: {error.strerror}")
        return False
    return True
