"""`exp serve check`: check every replica against its checksums."""

from __future__ import annotations

from typing import Annotated

import typer

from nemorun_cli.cli import serving, terminal
from nemorun_cli.cli.options import Json
from nemorun_cli.serve.store import checking


def command(
    *,
    root: Annotated[
        str,
        typer.Option(
            "--root", metavar="FOLDER", help="The folder in which the server collects what others send."
        ),
    ],
    is_json: Json = False,
) -> int:
    """Check every replica against its checksums.

    Reads all files and changes nothing; the server may run. Prints each problem with its remedy. What a
    record names and lacks is a problem once it has ended; before, it may still arrive.

    Examples:
      exp serve check --root /srv/exp
    """
    report = checking.check(serving.path(root))
    if is_json:
        terminal.write_json(report.to_json())
        return report.exit_code
    for found in (*report.problems, *report.notes):
        terminal.write_lines([f"{found.kind}  {found.path}: {found.message}", f"  -> {found.remedy}"])
    count = len(report.problems)
    terminal.say(
        f"checked {report.files} files of {report.records} records and {report.experiments} experiments: "
        f"{count or 'no'} problem{'' if count == 1 else 's'}"
        + (f", {len(report.notes)} not here yet, or lost" if report.notes else "")
    )
    return report.exit_code
