"""Why a task with `cache` ran, or whence its result is: what changed since its last earlier success."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, NotFoundError
from nemorun_cli.model.control_characters import escaped
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import ABSENT, DIGEST, Fingerprint, PartKind
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.ledger import read_settled
from nemorun_cli.storage.paths import Home, age_key
from nemorun_cli.views.reports.cause import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.model.spec import Task
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.views.snapshot import Snapshot

MOST_READ: Final = 50  # experiments that are searched for an earlier success, the newest first
MOST_NAMED: Final = 4  # parts that one sentence names
LONGEST: Final = 60  # characters of a value in a sentence

_NAMES: Final = {
    PartKind.RUN: "what runs",
    PartKind.ARGS: "its arguments",
    PartKind.ARG: "the argument {}",
    PartKind.PARAM: "the value of {}",
    PartKind.INPUT: "the file {}",
    PartKind.CODE: "the shipped code",
    PartKind.PARENT: "the result of {}",
    PartKind.IMAGE: "the image",
    PartKind.EXECUTOR: "the options of its executor",
    PartKind.ENV: "the variable {}",
    PartKind.PYTHON: "its Python",
    PartKind.ALSO: "the values of `also`",
    PartKind.RESULTS: "what is kept of it",
}
_SHOWS_VALUES: Final = (
    *(PartKind.RUN, PartKind.ARGS, PartKind.ARG, PartKind.PARAM, PartKind.EXECUTOR, PartKind.ALSO),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierSuccess:
    """An attempt that succeeded, and what its result depended on."""

    experiment: str
    task: str
    attempt: int
    ended: str
    parts: Mapping[str, str]

    @property
    def origin(self) -> dict[str, Any]:
        """The attempt, as `cached_from` has it."""
        return {"experiment": self.experiment, "task": self.task, "attempt": self.attempt}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """What is known about the reuse of a task's result.

    Attributes:
        fingerprint: the id of its fingerprint; None while it is not determined, or if it cannot be.
        parts: those of the fingerprint.
        earlier: the newest earlier success of the task in an experiment of the same name, if there is one.
        changed: the parts that differ from those.
        is_kept: whether its own result is kept for later experiments; None if that is not decided.
        message: one sentence: whence its result is, or why it ran.
        note: why an equal earlier result was not used, or why its own was not kept.
    """

    fingerprint: str | None
    parts: Mapping[str, str]
    earlier: EarlierSuccess | None
    changed: tuple[str, ...]
    is_kept: bool | None
    message: str | None
    note: str | None

    def to_json(self) -> dict[str, Any]:
        """The field `reuse` of a task in `exp.why/1`."""
        return {
            "fingerprint": self.fingerprint,
            "compared_with": None if self.earlier is None else self.earlier.origin,
            "changed": changed_json(self.changed, self.earlier, self.parts),
            "kept": self.is_kept,
            "message": self.message,
            "note": self.note,
        }

    def causes(self) -> Iterator[Cause]:
        """The sentences among the causes of a task's status."""
        for text in (self.message, self.note):
            if text is not None:
                yield Cause(kind="cache", message=text)


def changed_json(
    changed: Iterable[str], earlier: EarlierSuccess | None, parts: Mapping[str, str]
) -> list[dict[str, str | None]]:
    """The field `changed`: the parts that differ from those of an earlier success."""
    before = {} if earlier is None else earlier.parts
    return [{"part": name, "before": before.get(name), "after": parts.get(name)} for name in changed]


class EarlierSuccesses:
    """The successes of tasks with `cache` in experiments of one name, whose ledgers are read once.

    Args:
        home: that contains the experiments.
        name: theirs.
        but: the id of one that is left out.
    """

    def __init__(self, home: Home, name: str, *, but: str) -> None:
        ids = (found for _, found in home.readable_ids([name]) if found != but)
        newest = islice(home.readable(sorted(ids, key=age_key, reverse=True)), MOST_READ)
        self._unread = (_successes(experiment) for experiment in newest)
        self._read: list[dict[str, list[EarlierSuccess]]] = []  # by task, of the experiments that were read

    def newest(self, task: str, *, before: str | None = None) -> EarlierSuccess | None:
        """The newest success of a task, or the newest before a time."""
        for successes in self._experiments():
            for success in reversed(successes.get(task, ())):
                if before is None or success.ended <= before:
                    return success
        return None

    def _experiments(self) -> Iterator[dict[str, list[EarlierSuccess]]]:
        yield from self._read
        for successes in self._unread:
            self._read.append(successes)
            yield successes


class ReuseReader:
    """Compares tasks of an experiment with earlier ones.

    Args:
        snapshot: the experiment.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        home, files = Home(snapshot.files.home), snapshot.files
        self._earlier = EarlierSuccesses(home, snapshot.spec.name, but=files.id)

    def of_task(self, task: Task) -> Reuse | None:
        """What is known about the reuse of a task's result; None for a task without `cache`."""
        state = self._snapshot.history.tasks[task.id]
        if task.cache is None or (state.fingerprint is None and state.cache_note is None):
            return None
        is_run = state.fingerprint is not None and state.cached_from is None
        earlier = self._earlier.newest(task.id, before=state.submitted) if is_run else None
        changed = () if earlier is None else Fingerprint(state.parts).changes(Fingerprint(earlier.parts))
        return Reuse(
            fingerprint=state.fingerprint,
            parts=state.parts,
            earlier=earlier,
            changed=changed,
            is_kept=state.was_kept,
            message=_message(self._snapshot, state, earlier, changed) if state.fingerprint else None,
            note=_note(state),
        )


def _successes(experiment: ExperimentFiles) -> dict[str, list[EarlierSuccess]]:
    """The successes in an experiment that have a fingerprint, by task; none if it cannot be read."""
    try:
        events, _ = read_settled(experiment.ledger)
    except (LedgerError, NotFoundError, OSError):
        return {}  # it has its own report
    parts: dict[tuple[str, int], Mapping[str, str]] = {}
    found: dict[str, list[EarlierSuccess]] = {}
    for event in events:
        if event["event"] == kinds.FINGERPRINTED:
            parts[event["task"], event["attempt"]] = event["parts"]
        elif event["event"] == kinds.ENDED and event["status"] == TaskStatus.SUCCEEDED:
            task, number = event["task"], event["attempt"]
            if (task, number) in parts:
                success = EarlierSuccess(
                    experiment=experiment.id,
                    task=task,
                    attempt=number,
                    ended=event["time"],
                    parts=parts[task, number],
                )
                found.setdefault(task, []).append(success)
    return found


def _message(
    snapshot: Snapshot, state: TaskState, earlier: EarlierSuccess | None, changed: tuple[str, ...]
) -> str | None:
    if state.cached_from is not None:
        return "it did not run: nothing that it depends on has changed since then"
    ran = "it ran" if state.is_over else "it runs"
    if earlier is not None and not changed and state.cache_note:
        return None
    return why_it_runs(ran, snapshot.spec.name, earlier, state.parts, changed)


def why_it_runs(
    ran: str,
    experiment: str,
    earlier: EarlierSuccess | None,
    parts: Mapping[str, str],
    changed: tuple[str, ...],
) -> str:
    """The sentence that explains why a task with a fingerprint runs.

    Args:
        ran: `it ran`, in the tense that it has.
        experiment: the name of the experiment.
        earlier: the newest earlier success, if there is one.
        parts: those of the fingerprint.
        changed: those that differ from the earlier ones.
    """
    if earlier is None:
        return f"{ran} because no earlier experiment called {escaped(experiment)} has a success of it"
    whence = kinds.origin_text(earlier.origin)
    if not changed:
        return f"nothing that it depends on has changed since {whence}"
    named = [_described(part, earlier.parts, parts) for part in changed[:MOST_NAMED]]
    if len(changed) > MOST_NAMED:
        named.append(f"{len(changed) - MOST_NAMED} more")
    return f"{ran} because {_joined(named)} changed since {whence}"


def _note(state: TaskState) -> str | None:
    if state.cache_note is None:
        return None
    note = escaped(state.cache_note)
    return f"its result is not kept: {note}" if state.was_kept is False else note


def _joined(named: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))


def _described(part: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A part that changed, in words: `the argument lr (0.1 before)`."""
    kind, _, name = part.partition(":")
    text = _NAMES[PartKind(kind)].format(escaped(name)) if kind in set(PartKind) else escaped(part)
    old, new = before.get(part), after.get(part)
    if old in (None, ABSENT):
        return f"{text} (new)"
    if new in (None, ABSENT):
        return f"{text} (removed)"
    shown = _value(kind, old or "")
    return f"{text} ({escaped(shown)} before)" if shown is not None else text


def _value(kind: str, text: str) -> str | None:
    """The value of a part as a spec would have it; None if it is only a digest, or long."""
    if kind == PartKind.PYTHON:
        return text if len(text) <= LONGEST else None
    if kind not in _SHOWS_VALUES or text.startswith(DIGEST):
        return None
    try:
        value = json.loads(text)
    except ValueError:  # of a later version
        return None
    if kind == PartKind.RUN:
        value = value.get("command") or value.get("inline") if isinstance(value, dict) else None
    if isinstance(value, list) and kind in (PartKind.RUN, PartKind.ARGS):
        value = shlex.join(map(str, value))
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if value is not None and len(shown) <= LONGEST and "\n" not in shown else None
