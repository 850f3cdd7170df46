"""The line at which bash ended an inline text, in the form that is shown: masked, bounded, printable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nemorun_cli.model.masking import mask
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.storage import failed_line
from nemorun_cli.views import log_excerpt

if TYPE_CHECKING:
    from collections.abc import Collection

    from nemorun_cli.storage.failed_line import FailedLine
    from nemorun_cli.views.snapshot import Snapshot


def of_task(snapshot: Snapshot, name: str, *, secrets: Collection[str]) -> FailedLine | None:
    """The line that ended the latest attempt of a failed task; None if it is not known."""
    state = snapshot.history.tasks[name]
    if state.status is not TaskStatus.FAILED or not state.submitted:
        return None
    line = failed_line.read(snapshot.files.attempt(name, state.attempt), state.exit_code)
    if line is None:
        return None
    file, text = (part and log_excerpt.displayed(mask(part, secrets)) for part in (line.file, line.text))
    return replace(line, file=file, text=text)
