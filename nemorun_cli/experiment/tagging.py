"""Tags and notes of an experiment: events that any process may add to its ledger, at any time."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from nemorun_cli.errors import ExpError, UnreadableWarning
from nemorun_cli.executors import planning
from nemorun_cli.model import labels
from nemorun_cli.storage import requests
from nemorun_cli.system import user
from nemorun_cli.tracking import label_rules
from nemorun_cli.tracking.access import reader
from nemorun_cli.tracking.outbox import changes
from nemorun_cli.tracking.store import record_labels, record_paths
from nemorun_cli.views import observe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.storage.paths import ExperimentFiles, Home
    from nemorun_cli.views.snapshot import Snapshot


def tag(
    files: ExperimentFiles, home: Home, *, add: str | Iterable[str], remove: str | Iterable[str]
) -> Snapshot:
    """Add and remove tags of an experiment and of its own record; see `Run.tag`."""
    files.require_original()
    change = label_rules.tag_change(add, remove)
    before = observe.look(files, home=home.directory, observe=False)
    if labels.current(before.tags, [change]) != before.tags:
        requests.tag(files, change)
    _tag_record(before, home, change)
    return observe.look(files, home=home.directory, observe=False)


def note(files: ExperimentFiles, text: str) -> None:
    """Add a note to an experiment; see `Run.note`."""
    requests.note(files, label_rules.note_text(text))


def _tag_record(snapshot: Snapshot, home: Home, change: labels.TagChange) -> None:
    """Change the tags of the experiment's own record in the same way, also before a supervisor opens it."""
    root = os.path.abspath(planning.dash_root(snapshot.spec, home.directory))  # noqa: PTH100 - as tracking does it
    place = record_paths.Place(root, planning.prefix(snapshot.spec, snapshot.files.id))
    try:
        record = reader.record(root, place.prefix)
        if record is None and snapshot.is_over:
            return  # it was removed, and no supervisor opens it
        declared = snapshot.spec.tags if record is None else record.tags
        before = labels.current(declared, record_labels.read(place)[0] if record is None else ())
        if labels.current(before, [change]) != before:
            record_labels.tag(place, change, by=user.author())
            changes.changed(place)
    except (ExpError, OSError) as error:
        text = f"{snapshot.files.id} is tagged, but not its record {place.prefix}: {error}"
        warnings.warn(text, UnreadableWarning, stacklevel=4)
