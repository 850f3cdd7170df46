"""What differs between two experiments: their specs, shipped code, environments and results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.storage import shipped_code, spec_revisions
from nemorun_cli.views.reports import spec_diff
from nemorun_cli.views.reports.spec_diff import Difference, Differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.views.snapshot import Snapshot

DIFF_FORMAT: Final = "exp.diff/1"
RESULTS: Final = ("status", "reason", "exit_code", "attempt", "duration", "active", "outputs")
NO_DIFFERENCE: Final = frozenset(("duration", "active"))  # shown, but always different

Change = tuple[tuple[str | int, ...], Any, Any]  # the path of a value, before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentDifference:
    """The differences; `results` has each common task whose results differ, before and after."""

    old: Snapshot
    new: Snapshot
    spec: Differences
    code: Sequence[Change]
    environment: Sequence[Change]
    results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]

    def to_json(self) -> dict[str, Any]:
        """The document `exp.diff/1`."""
        before, after = map(_side, (self.old, self.new))
        return {
            "schema": DIFF_FORMAT,
            "before": before,
            "after": after,
            "spec": [change.to_json() for change in self.spec.fields],
            "added": list(self.spec.added),
            "removed": list(self.spec.removed),
            "code": list(map(_change, self.code)),
            "environment": list(map(_change, self.environment)),
            "results": [
                {"task": name, "before": earlier, "after": later} for name, earlier, later in self.results
            ],
        }


def between(old: Snapshot, new: Snapshot, *, with_code: bool = True) -> ExperimentDifference:
    """The differences between two experiments.

    Args:
        old: the earlier one.
        new: the later one.
        with_code: whether the folders of the shipped code, which the specs name, are read.
    """
    code: list[Change] = []
    if with_code:
        before, after = (shipped_code.contents(each.spec.packages) for each in (old, new))
        code = list(spec_diff.of_values(before, after))
    return ExperimentDifference(
        old=old,
        new=new,
        spec=spec_diff.of_specs(
            _anonymous(old),
            _anonymous(new),
            old_text=spec_revisions.texts(old.files),
            new_text=spec_revisions.texts(new.files),
        ),
        code=code,
        environment=list(spec_diff.of_values(_environment(old), _environment(new))),
        results=list(_results(old, new)),
    )


def _side(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": snapshot.files.id,
        "name": snapshot.spec.name,
        "status": snapshot.status,
        "rerun_of": snapshot.history.created.get("rerun_of"),
    }


def _change(change: Change) -> dict[str, Any]:
    path, before, after = change
    return Difference(path=path, before=before, after=after).to_json()


def _anonymous(snapshot: Snapshot) -> Any:
    """The spec without the experiment's id and directory, which always differ between experiments."""
    spec, files = snapshot.spec, snapshot.files
    texts = {json.dumps(str(files.directory))[1:-1]: "EXP_DIR", json.dumps(files.id)[1:-1]: "EXP_ID"}
    document = json.dumps(spec.to_json())
    for text, name in texts.items():
        document = document.replace(text, f"${{{name}}}")
    return type(spec).from_json(json.loads(document))


def _environment(snapshot: Snapshot) -> dict[str, Any]:
    environment = snapshot.history.created.get("environment")
    return environment if isinstance(environment, dict) else {}


def _results(old: Snapshot, new: Snapshot) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The common tasks whose results differ: id, results before, results after."""
    indices = {task.id: index for index, task in enumerate(new.spec.tasks)}
    for index, task in enumerate(old.spec.tasks):
        if task.id not in indices:
            continue
        entries = old.task_json(task.id, index), new.task_json(task.id, indices[task.id])
        before, after = ({key: entry[key] for key in RESULTS} for entry in entries)
        if any(before[key] != after[key] for key in RESULTS if key not in NO_DIFFERENCE):
            yield task.id, before, after
