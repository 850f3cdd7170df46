"""Gets the records of an experiment that its server has and this machine has not, before a resume on it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError, NotFoundError
from nemorun_cli.executors import planning
from nemorun_cli.replication import pull

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.views.snapshot import Snapshot

LONGEST: Final = 10.0  # seconds for all records of an experiment
LONGEST_WAIT: Final = 2.0  # seconds for each answer of the server


def get(snapshot: Snapshot, home: Home) -> str | None:
    """Get what is missing, if another machine ran the experiment; returns what could not be had, or None.

    A program that continues from its last step finds it, whatever machine wrote it. Nothing here is changed
    or removed, and no error ends a resume.
    """
    server, holder = snapshot.spec.server, snapshot.holder
    if server is None or holder is None or holder.is_this_host:
        return None
    root = os.path.abspath(planning.dash_root(snapshot.spec, home.directory))  # noqa: PTH100 - as tracking does it
    end = time.monotonic() + LONGEST
    prefixes = _prefixes(snapshot)
    for number, prefix in enumerate(prefixes):
        left = end - time.monotonic()
        if left <= 0:
            return _note(prefixes[number:], server, f"it took longer than {LONGEST:g} s")
        try:
            pull.pull_record(server, root, prefix, limit=min(LONGEST_WAIT, left))
        except NotFoundError:
            continue  # the task has recorded nothing, or nothing has arrived
        except (ExpError, OSError) as error:
            return _note(
                prefixes[number:], server, error.message if isinstance(error, ExpError) else str(error)
            )
    return None


def _prefixes(snapshot: Snapshot) -> list[str]:
    """The records of the tasks that had an attempt, those that run again first."""
    own = planning.prefix(snapshot.spec, snapshot.files.id)
    states = snapshot.history.tasks
    begun = [name for name, state in states.items() if state.submitted is not None or state.attempt > 1]
    begun.sort(key=lambda name: states[name].status == "SUCCEEDED")
    return [*(f"{own}/{name}" for name in begun), own]


def _note(prefixes: list[str], server: str, reason: str) -> str:
    which = prefixes[0] if len(prefixes) == 1 else f"{prefixes[0]} and {len(prefixes) - 1} more records"
    return f"what {server} has of {which} was not looked at: {reason}"
