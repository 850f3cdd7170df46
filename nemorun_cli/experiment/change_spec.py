"""A changed spec for an experiment that began: what is different, what has to run again, and who refuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment import create
from nemorun_cli.model.problems import dotted
from nemorun_cli.model.spec import Identity
from nemorun_cli.scheduler import resume_plan
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.storage import ledger, spec_revisions
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.system.files import make_folder
from nemorun_cli.views.reports import spec_diff

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.scheduler.resume_plan import Decision
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home
    from nemorun_cli.storage.spec_revisions import Texts
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.reports.spec_diff import Differences
    from nemorun_cli.views.snapshot import Snapshot

# Fields of a task that say how it is run. Any other one says what it is.
SAFE: Final = frozenset(
    (
        *("allow_failure", "artifacts", "description", "executor", "metrics", "resources", "retry"),
        *("stop_grace", "stop_signal", "tail_logs", "timeout"),
    )
)

_USED: Final = re.compile(r"\b(params|env)\b(?:\.([\w-]+)|\[\s*['\"]([^'\"]+)['\"]\s*\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRevision:
    """A changed spec, held against what it takes the place of.

    Attributes:
        spec: the new one, with its number.
        found: all that is different.
        changed: the tasks that are something else than they were, and what of them changed.
        begun: those of them that had an attempt: their results are not those of the new ones.
        back: tasks that were removed before and are there again.
    """

    spec: Spec
    found: Differences
    changed: Mapping[str, tuple[str, ...]]
    begun: tuple[str, ...]
    back: tuple[str, ...]

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is different."""
        return not (self.found.fields or self.found.added or self.found.removed)

    def reasons(self) -> dict[str, str]:
        """Why tasks that had an attempt run again."""
        changed = {name: f"changed: {_listed(self.changed[name])}" for name in self.begun}
        return {**dict.fromkeys(self.back, "it was removed before, and is there again"), **changed}


def compare(snapshot: Snapshot, spec: Spec, *, old_text: Texts, new_text: Texts) -> NewRevision:
    """What a changed spec means for an experiment.

    Raises:
        UsageError: something is alive that it removes or changes.
    """
    old = snapshot.spec
    found = spec_diff.of_specs(old, spec, old_text=old_text, new_text=new_text)
    changed: dict[str, list[str]] = {}
    for one in found.fields:
        for name in one.tasks if one.path[0] not in SAFE else ():
            changed.setdefault(name, []).append(dotted(one.path))
    before = {task.id: task for task in old.tasks}
    for task in spec.tasks:
        if task.id in before and (used := _used_values(before[task.id], task, old, spec)):
            changed.setdefault(task.id, []).extend(used)
    states = snapshot.history.tasks
    revision = NewRevision(
        spec=replace(
            spec,
            revision=old.revision + 1,
            removed=tuple(sorted({*old.removed, *found.removed} - {task.id for task in spec.tasks})),
        ),
        found=found,
        changed={name: tuple(fields) for name, fields in changed.items()},
        begun=tuple(name for name in changed if _has_begun(states[name])),
        back=tuple(name for name in found.added if name in old.removed),
    )
    _refuse_living(revision, old, states)
    return revision


def _has_begun(state: TaskState) -> bool:
    return state.submitted is not None or state.attempt > 1


def _used_values(before: Task, after: Task, old: Spec, new: Spec) -> list[str]:
    """The params and variables with other values now that texts name which are filled in later."""
    texts = json.dumps([after.when if isinstance(after.when, str) else "", after.body, after.args, after.env])
    if not (after.late or isinstance(after.when, str)) or before.late != after.late:
        return []
    found = []
    for match in _USED.finditer(texts.replace('\\"', '"')):
        one, other = getattr(old, match[1]), getattr(new, match[1])
        name = match[2] or match[3]
        if one.get(name) != other.get(name) if name else one != other:
            found.append(f"{match[1]}.{name}" if name else match[1])
    return list(dict.fromkeys(found))


def _refuse_living(revision: NewRevision, old: Spec, states: Mapping[str, TaskState]) -> None:
    """What lives cannot become something else, or move."""
    new = {task.id: task for task in revision.spec.tasks}
    alive = []
    for task in old.tasks:
        if not states[task.id].is_live:
            continue
        after = new.get(task.id)
        places = [spec.executors.get(task.executor) for spec in (old, revision.spec)]
        is_moved = after is None or after.executor != task.executor or places[0] != places[1]
        if is_moved or task.id in revision.changed:
            alive.append(task.id)
    if alive:
        raise UsageError(
            f"still alive, and removed or changed or moved by the new spec: {', '.join(alive)}",
            hint="cancel them first, or wait until they are over",
        )


def _listed(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:MOST_LISTED]) + (", …" if len(known) > MOST_LISTED else "")


MOST_LISTED: Final = 5  # fields or tasks in a line


def refuse_unaccepted(revision: NewRevision) -> None:
    """See that nothing that has begun is something else now.

    Raises:
        UsageError: something is, and nobody said that this is meant.
    """
    if revision.begun:
        told = [f"{name} ({_listed(revision.changed[name])})" for name in revision.begun]
        more = len(told) - MOST_LISTED
        raise UsageError(
            f"not what they were when they ran: {', '.join(told[:MOST_LISTED])}"
            + (f", and {more} more" if more > 0 else ""),
            hint="--accept-changes runs them and all below them again; --dry-run shows it all",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecChange:
    """What a changed spec means for an experiment, and what a resume does with it.

    Attributes:
        decisions: one for each task.
        below: the tasks that `--from` means.
    """

    revision: NewRevision
    decisions: list[Decision]
    below: list[str]


def plan(
    files: ExperimentFiles, document: Document, *, below: Sequence[str], snapshot: Snapshot
) -> SpecChange:
    """What a resume with a changed spec would do; nothing is changed.

    Raises:
        SpecError: the spec has problems.
        UsageError: it is another experiment's, or it changes what is alive.
    """
    if document.name != snapshot.spec.name:
        raise UsageError(
            f"the spec is called {document.name!r}, and {files.id} is {snapshot.spec.name!r}",
            hint="start it as an experiment of its own: exp run",
        )
    identity = Identity(id=files.id, name=document.name, directory=str(files.directory))
    spec = replace(create.resolve(document, identity), packages=snapshot.spec.packages)
    revision = compare(snapshot, spec, old_text=spec_revisions.texts(files), new_text=_texts_of(document))
    history = ExperimentState.of(revision.spec)
    history.apply_all(ledger.read_settled(files.ledger)[0])
    names = replace(snapshot, spec=revision.spec, history=history).match_tasks(below)
    schedule = Schedule(revision.spec, history)
    decisions = resume_plan.decide(schedule, below=names, changes=revision.reasons())
    return SpecChange(revision=revision, decisions=decisions, below=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedChange:
    """A change that may be made."""

    files: ExperimentFiles
    home: Home
    document: Document
    change: SpecChange

    @property
    def spec(self) -> Spec:
        """The new spec."""
        return self.change.revision.spec

    @contextlib.contextmanager
    def written(self) -> Iterator[dict[str, Any]]:
        """The new revision, written aside for a supervisor to take, and what that has to be told."""
        revision = self.change.revision
        with create.shipping(self.spec, self.document, self.home) as shipments:
            packages = shipments.unpack(self.files) if shipments else ()
            staged = _stage(self.files, self.document, replace(self.spec, packages=packages))
        told = {
            "from": self.change.below,
            "changes": revision.reasons(),
            "staged": str(staged),
            "revision": {
                "revision": self.spec.revision,
                "changed": list(revision.changed),
                "added": list(revision.found.added),
                "removed": list(revision.found.removed),
            },
        }
        try:
            yield told
        finally:
            shutil.rmtree(staged, ignore_errors=True)  # nothing is there if it was taken


def order(
    files: ExperimentFiles,
    home: Home,
    document: Document,
    snapshot: Snapshot,
    *,
    below: Sequence[str],
    accepts: bool,
) -> AcceptedChange | None:
    """The change, or None where it would change nothing.

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
    resume_plan.refuse_late(snapshot.history, change.decisions)
    return AcceptedChange(files=files, home=home, document=document, change=change)


def _stage(files: ExperimentFiles, document: Document, spec: Spec) -> Path:
    """Write a revision where nobody looks for one, and give its folder."""
    folder = files.revisions / f".new-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    staged = ExperimentFiles(folder)
    make_folder(folder)
    create.write_copies(staged, document, spec)
    return folder


def _texts_of(document: Document) -> Texts:
    """What the scripts hold that a new revision would copy."""
    kept = spec_revisions.texts(document.copies) if document.copies else None

    def text(source: str) -> str | None:
        if kept is not None and (found := kept(source)) is not None:
            return found
        path = Path(source)
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None

    return text
