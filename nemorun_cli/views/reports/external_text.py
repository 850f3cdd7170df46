"""How it is with something outside of an experiment that its tasks wait for, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.storage.paths import Home
from nemorun_cli.views.observe import look

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.model.spec import External


def described(external: External, home: Path) -> str:
    """What is waited for, its present status by its ledger, and what a person can do about it."""
    if external.experiment is None:
        return external.text
    try:
        files = Home(home).experiment(external.experiment)
        if files is None:
            return f"{external.text}, which was removed"
        snapshot = look(files, home=home, observe=False)
    except ExpError as error:
        return f"{external.text}, which cannot be read: {error.message}"
    members = next((group.members for group in snapshot.spec.groups if group.id == external.task), ())
    names = members or ((external.task,) if external.task in snapshot.history.tasks else ())
    statuses = ", ".join(dict.fromkeys(snapshot.history.tasks[name].status for name in names if name))
    whole = f"its experiment is {snapshot.status}" if statuses else ""
    text = f"{external.text}, which is {statuses or snapshot.status}" + (f" ({whole})" if whole else "")
    if snapshot.status is ExperimentStatus.INTERRUPTED:
        text += f": nothing continues it; exp resume {external.experiment}"
    return text
