"""A changed spec for a started experiment: what differs, which tasks run again, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment import changed_searches, create
from nemorun_cli.model.problems import dotted
from nemorun_cli.model.spec import Identity
from nemorun_cli.scheduler import resume_plan, trial_fields
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import ledger, spec_revisions
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.supervisor.assignment import ResumeRequest
from nemorun_cli.system.files import RefusedFileError, make_folder, read_bytes
from nemorun_cli.views.reports import spec_diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.storage.spec_revisions import Texts
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.reports.spec_diff import Differences
    from nemorun_cli.views.snapshot import Snapshot

# Fields of a task that only affect how it is run. Any other field affects its results.
SAFE: Final = frozenset(
    (
        *("allow_failure", "artifacts", "cache", "description", "executor", "metrics", "resources", "retry"),
        *("stderr_to_stdout", "stop", "stop_grace", "stop_signal", "tail_logs", "timeout"),
    )
)

_USED: Final = re.compile(r"\b(params|env)\b(?:\.([\w-]+)|\[\s*['\"]([^'\"]+)['\"]\s*\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A changed spec, compared with the one it replaces.

    Attributes:
        spec: the new spec, with its revision number.
        found: all differences.
        changed: the tasks that compute something else than before, with the fields that changed.
        begun: the changed tasks that had an attempt: its results are not those of the new spec.
        back: tasks that an earlier revision removed and this one adds again.
        continued: trials that their search did not need any more and needs again, with the reason.
    """

    spec: Spec
    found: Differences
    changed: Mapping[str, tuple[str, ...]]
    begun: tuple[str, ...]
    back: tuple[str, ...]
    continued: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        """Whether the two specs are equal."""
        return not (self.found.fields or self.found.added or self.found.removed)

    def reasons(self) -> dict[str, str]:
        """The reason why each task runs again that had an attempt, or was not needed."""
        changed = {name: f"changed: {_listed(self.changed[name])}" for name in self.begun}
        back = dict.fromkeys(self.back, "removed by an earlier revision and added again")
        return {**self.continued, **back, **changed}


def compare(snapshot: Snapshot, spec: Spec, *, old_text: Texts, new_text: Texts) -> NewRevision:
    """Compare a changed spec with that of an experiment.

    Raises:
        UsageError: it removes or changes a task that is alive, or a search that has suggested values.
    """
    old = snapshot.spec
    changed_searches.refuse(old, spec, snapshot.history)
    before, after = (trial_fields.as_suggested(each, snapshot.history) for each in (old, spec))
    differences = spec_diff.of_specs(before, after, old_text=old_text, new_text=new_text)
    changed: dict[str, list[str]] = {}
    for difference in differences.fields:
        for name in difference.tasks if difference.path[0] not in SAFE else ():
            changed.setdefault(name, []).append(dotted(difference.path))
    old_tasks = {task.id: task for task in old.tasks}
    for task in spec.tasks:
        if task.id not in old_tasks:
            continue
        if values := [*_used_values(old_tasks[task.id], task, old, spec), *_used_bests(task, old, spec)]:
            changed.setdefault(task.id, []).extend(values)
    states = snapshot.history.tasks
    revision = NewRevision(
        spec=replace(
            spec,
            revision=old.revision + 1,
            removed=tuple(sorted({*old.removed, *differences.removed} - {task.id for task in spec.tasks})),
        ),
        found=differences,
        changed={name: tuple(fields) for name, fields in changed.items()},
        begun=tuple(name for name in changed if _has_begun(states[name])),
        back=tuple(name for name in differences.added if name in old.removed),
        continued=changed_searches.continued(old, spec, snapshot.history),
    )
    _refuse_live(revision, before, after, states)
    return revision


def _has_begun(state: TaskState) -> bool:
    return state.submitted is not None or state.attempt > 1


def _used_values(before: Task, after: Task, old: Spec, new: Spec) -> list[str]:
    """The params and variables with changed values that are named in texts filled in at launch."""
    texts = json.dumps([after.when if isinstance(after.when, str) else "", after.body, after.args, after.env])
    if not (after.late or isinstance(after.when, str)) or before.late != after.late:
        return []
    used = []
    for match in _USED.finditer(texts.replace('\\"', '"')):
        old_values, new_values = getattr(old, match[1]), getattr(new, match[1])
        name = match[2] or match[3]
        if old_values.get(name) != new_values.get(name) if name else old_values != new_values:
            used.append(f"{match[1]}.{name}" if name else match[1])
    return list(dict.fromkeys(used))


def _used_bests(task: Task, old: Spec, new: Spec) -> list[str]:
    """The groups whose best member a task uses, and which is chosen by another rule than before."""
    before = {group.id: group.best for group in old.groups}
    other = [group.id for group in new.groups if group.best != before.get(group.id, group.best)]
    if not other or not (task.late or isinstance(task.when, str)):
        return []
    from nemorun_cli.spec.expressions import evaluate  # noqa: PLC0415 - few changes are of such a rule

    return [f"tasks.{name}.best" for name in evaluate.used_bests(task, other)]


def _refuse_live(revision: NewRevision, old: Spec, spec: Spec, states: Mapping[str, TaskState]) -> None:
    """Refuse a revision that changes, moves or removes a live task; trials have their values."""
    new = {task.id: task for task in spec.tasks}
    alive = []
    for task in old.tasks:
        if not states[task.id].is_live:
            continue
        new_task = new.get(task.id)
        executors = [spec.executors.get(task.executor) for spec in (old, spec)]
        is_moved = new_task is None or new_task.executor != task.executor or executors[0] != executors[1]
        if is_moved or task.id in revision.changed:
            alive.append(task.id)
    if alive:
        raise UsageError(
            f"still alive, but removed, changed or moved by the new spec: {', '.join(alive)}",
            hint="cancel them first, or wait until they have finished",
        )


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:MOST_LISTED]) + (", …" if len(listed) > MOST_LISTED else "")


MOST_LISTED: Final = 5  # fields or tasks in a line


def refuse_unaccepted(revision: NewRevision) -> None:
    """Refuse a revision that changes tasks which have already run.

    Raises:
        UsageError: it changes such a task.
    """
    if revision.begun:
        changed = [f"{name} ({_listed(revision.changed[name])})" for name in revision.begun]
        more = len(changed) - MOST_LISTED
        raise UsageError(
            f"changed since they ran: {', '.join(changed[:MOST_LISTED])}"
            + (f", and {more} more" if more > 0 else ""),
            hint="--accept-changes runs them and all tasks below them again; --dry-run shows all changes",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecChange:
    """A changed spec and the plan of the resume that applies it.

    Attributes:
        decisions: one for each task.
        below: the tasks that `--from` selects.
    """

    revision: NewRevision
    schedule: Schedule
    decisions: list[Decision]
    below: list[str]


def plan(
    files: ExperimentFiles, document: Document, *, below: Sequence[str], snapshot: Snapshot
) -> SpecChange:
    """Plan a resume with a changed spec; nothing is written.

    Raises:
        SpecError: the spec has problems.
        UsageError: it belongs to another experiment, or it changes a live task.
    """
    if document.name != snapshot.spec.name:
        raise UsageError(
            f"the spec is called {document.name!r}, but {files.id} is {snapshot.spec.name!r}",
            hint="start it as an experiment of its own: exp run",
        )
    if not snapshot.spec.strict_inline:
        document = replace(document, strict_inline=False, spec=None)
    identity = Identity(id=files.id, name=document.name, directory=str(files.directory))
    known = {each.given: each.experiment for each in snapshot.spec.external if each.experiment}
    resolved = create.resolve(document, identity, known=known)
    spec = replace(resolved, packages=snapshot.spec.packages)
    revision = compare(snapshot, spec, old_text=spec_revisions.texts(files), new_text=_texts_of(document))
    history = ExperimentState.of(revision.spec)
    history.apply_all(ledger.read_settled(files.ledger)[0])
    names = replace(snapshot, spec=revision.spec, history=history).match_tasks(below)
    schedule = Schedule(revision.spec, history)
    decisions = resume_plan.decide(schedule, below=names, changes=revision.reasons())
    return SpecChange(revision=revision, schedule=schedule, decisions=decisions, below=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedChange:
    """A change of spec that was accepted."""

    files: ExperimentFiles
    home: Home
    document: Document
    change: SpecChange

    @property
    def spec(self) -> Spec:
        """The new spec."""
        return self.change.revision.spec

    @contextlib.contextmanager
    def written(self, by: str) -> Iterator[ResumeRequest]:
        """Stage the new revision for the supervisor; yields the request to resume with it."""
        revision = self.change.revision
        with create.shipping(self.spec, self.document, self.home) as shipments:
            packages = shipments.unpack(self.files) if shipments else ()
            staged = _stage(self.files, self.document, replace(self.spec, packages=packages))
        request = ResumeRequest(
            by=by,
            below=tuple(self.change.below),
            changes=revision.reasons(),
            staged=staged,
            revision={
                "revision": self.spec.revision,
                "changed": list(revision.changed),
                "added": list(revision.found.added),
                "removed": list(revision.found.removed),
            },
        )
        try:
            yield request
        finally:
            shutil.rmtree(staged, ignore_errors=True)  # absent if the supervisor took it


def order(
    files: ExperimentFiles,
    home: Home,
    document: Document,
    snapshot: Snapshot,
    *,
    below: Sequence[str],
    accepts: bool,
) -> AcceptedChange | None:
    """The accepted change, or None if it would change nothing.

    Raises:
        SpecError: the spec has problems.
        UsageError: the change is refused.
    """
    change = plan(files, document, below=below, snapshot=snapshot)
    revision = change.revision
    if revision.is_nothing and resume_plan.is_pointless(snapshot.history, change.decisions):
        return None
    if not accepts:
        refuse_unaccepted(revision)
    resume_plan.refuse_late(change.schedule, change.decisions)
    return AcceptedChange(files=files, home=home, document=document, change=change)


def _stage(files: ExperimentFiles, document: Document, spec: Spec) -> Path:
    """Write a revision to a hidden staging folder, and return that folder."""
    folder = files.revisions / f".new-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    staged = ExperimentFiles(folder)
    make_folder(folder)
    create.write_copies(staged, document, spec, directory=files.directory)
    return folder


def _texts_of(document: Document) -> Texts:
    """The texts of the scripts that a new revision would copy."""
    copies = spec_revisions.texts(document.copies) if document.copies else None

    def text(source: str) -> str | None:
        if copies is not None and (copied := copies(source)) is not None:
            return copied
        try:
            return read_bytes(source).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError, RefusedFileError):
            return None

    return text
