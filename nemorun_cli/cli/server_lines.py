"""The line about the server of an experiment: what goes there, or why nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.cli import terminal

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles


def report(files: ExperimentFiles, spec: Spec) -> None:
    """Print it to standard error, if the spec names a server and there is something new to say."""
    if spec.server is not None:
        from nemorun_cli.experiment import server_notes  # noqa: PLC0415 - only for specs with a server

        if (line := server_notes.line(files, spec)) is not None:
            terminal.warn(line)
