"""Checks a ledger: whether it is complete and consistent, and whether the attempts on disk agree with it."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerDamagedError
from nemorun_cli.experiment.maintenance import lost_suggestions, salvage
from nemorun_cli.experiment.maintenance.salvage import Salvage
from nemorun_cli.model.status import MOVES, Reason, TaskStatus
from nemorun_cli.storage import attempts, ledger
from nemorun_cli.storage import events as kinds
from nemorun_cli.storage.state import ExperimentState
from nemorun_cli.storage.step_cache import taking
from nemorun_cli.system.files import RefusedFileError, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.step_cache.taking import TakenResult

FSCK_FORMAT: Final = "exp.fsck/1"
_ATTEMPT: Final = re.compile(r"attempt-([1-9][0-9]*)", re.ASCII)

Key = tuple[str, int]  # task id, attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFinding:
    """One problem of a ledger; a note (`is_damage` false) is reported but not repaired.

    `kind` is a word for scripts: damaged_line, no_beginning, illegal_move, unknown_attempt,
    different_end, lost_suggestion, torn_tail or missing_attempt.
    """

    kind: str
    message: str
    is_damage: bool = True
    line: int | None = None
    task: str | None = None
    attempt: int | None = None

    def to_json(self) -> dict[str, Any]:
        """An entry of `findings` in `exp.fsck/1`."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """The result of a check.

    Attributes:
        events: the possible events of the ledger, in its order.
        read: everything that could be read of the ledger.
        begun: the attempts on disk that a shim started, in their order.
        endings: by attempt, the end in its exit record, where the ledger has a different one.
        taken: by attempt, the earlier result that it has instead of a run.
        suggestions: the values of trials whose suggestion is lost, from their records, by task.
    """

    events: tuple[Event, ...]
    findings: tuple[LedgerFinding, ...]
    read: Salvage
    begun: tuple[Key, ...]
    endings: Mapping[Key, AttemptEnd]
    taken: Mapping[Key, TakenResult]
    suggestions: Mapping[str, Mapping[str, Any]]

    @property
    def is_sound(self) -> bool:
        """Whether there is no damage."""
        return not any(finding.is_damage for finding in self.findings)


def examine(files: ExperimentFiles, spec: Spec) -> LedgerCheck:
    """Check an experiment; nothing is changed.

    Raises:
        LedgerNewerError: a newer version wrote the ledger.
        NotFoundError: the experiment does not exist (any more).
    """
    begun = tuple(_begun(files, spec))  # read before the ledger, which records an attempt before it exists
    read = _read(files)
    events, refused = possible(read.events, spec)
    known = {(event["task"], event["attempt"]) for event in events if event["event"] == kinds.SUBMITTED}
    endings = dict(_different_ends(files, read.events))
    started = {task for task, _ in (*known, *begun)}
    lost = {
        name: lost_suggestions.recorded(files, spec, name, rule)
        for name, rule in lost_suggestions.find(events, spec, started=started)
    }
    missing = [key for key in sorted(known) if not files.attempt(*key).directory.is_dir()]
    return LedgerCheck(
        events=tuple(events),
        findings=(
            *_ledger_findings(files, read, refused),
            *(_unknown_attempt(key) for key in begun if key not in known),
            *(_different_end(key, ending, read.events) for key, ending in endings.items()),
            *(_lost_suggestion(name, values) for name, values in lost.items()),
            *(_missing_attempt(files, key) for key in missing),
        ),
        read=read,
        begun=begun,
        endings=endings,
        taken=dict(_taken(files, spec)),
        suggestions={name: values for name, values in lost.items() if values is not None},
    )


def possible(events: Iterable[Event], spec: Spec) -> tuple[list[Event], list[str]]:
    """The events that can follow one another, and the problems of the others."""
    history = ExperimentState.of(spec)
    kept: list[Event] = []
    refused: list[str] = []
    for event in events:
        if (reason := refusal(history, event)) is None:
            kept.append(event)
        else:
            refused.append(reason)
    return kept, refused


def refusal(history: ExperimentState, event: Event) -> str | None:
    """Apply an event, or return the reason why it cannot follow the earlier events."""
    if event["event"] == kinds.RESUMED:
        states = [history.tasks.get(name) for name in event["tasks"] if name not in history.removed]
        if not all(state and TaskStatus.PENDING in MOVES[state.status] for state in states):
            return f"resumed at {event['time']}: some of its tasks cannot run again"
    if event["event"] == kinds.SUBMITTED:
        state = history.tasks.get(event["task"])
        if state is not None and state.attempt != event["attempt"]:
            return (
                f"submitted of {event['task']} at {event['time']}: "
                f"attempt {event['attempt']} is in the place of attempt {state.attempt}"
            )
    before = len(history.ignored)
    history.apply(event)
    return history.ignored[-1] if len(history.ignored) > before else None


def _read(files: ExperimentFiles) -> Salvage:
    try:
        events, reader = ledger.read_settled(files.ledger)
    except LedgerDamagedError:
        return salvage.read(_content(files))
    return Salvage(events=tuple(events), torn=reader.torn)


def _content(files: ExperimentFiles) -> bytes:
    """The bytes of a damaged ledger; none if what has its place is no file, such as a folder or a link."""
    try:
        return read_bytes(files.ledger, limit=ledger.LARGEST_LEDGER, follows_link=False)
    except RefusedFileError as error:
        if error.errno == errno.EFBIG:
            raise
        return b""


def _begun(files: ExperimentFiles, spec: Spec) -> Iterator[Key]:
    """The attempts on disk that a shim claimed, in their order."""
    for task in spec.tasks:
        for number in _numbers(files, task):
            if attempts.claimed_pid(files.attempt(task.id, number)) is not None:
                yield task.id, number


def _taken(files: ExperimentFiles, spec: Spec) -> Iterator[tuple[Key, TakenResult]]:
    """The attempts on disk that have an earlier result."""
    for task in spec.tasks:
        for number in _numbers(files, task) if task.cache is not None else ():
            if (result := taking.taken(files.attempt(task.id, number))) is not None:
                yield (task.id, number), result


def _numbers(files: ExperimentFiles, task: Task) -> list[int]:
    """The numbers of the attempts at a task that have a folder."""
    try:
        names = [entry.name for entry in os.scandir(files.task(task.id))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(int(match[1]) for name in names if (match := _ATTEMPT.fullmatch(name)))


def _different_ends(files: ExperimentFiles, events: Sequence[Event]) -> Iterator[tuple[Key, AttemptEnd]]:
    """The ends where the ledger differs from the attempt's own record, which takes precedence."""
    for event in events:
        if event["event"] != kinds.ENDED or event.get("reason") == Reason.ABANDONED:
            continue
        ending = attempts.read_ending(files.attempt(event["task"], event["attempt"]))
        if ending is None or ending.reason is Reason.LOST:
            continue
        exit_code = event.get("exit_code")
        if exit_code is None and event["status"] == TaskStatus.CANCELLED:
            continue  # cancelled without waiting for it
        if exit_code != ending.exit_code and (exit_code is None or ending.exit_code is not None):
            yield (event["task"], event["attempt"]), ending


def _ledger_findings(
    files: ExperimentFiles, read: Salvage, refused: Sequence[str]
) -> Iterator[LedgerFinding]:
    for number in read.damaged:
        yield LedgerFinding(
            kind="damaged_line", line=number, message=f"{files.ledger}:{number}: damaged since it was written"
        )
    if not read.events or read.events[0]["event"] != kinds.CREATED:
        yield LedgerFinding(
            kind="no_beginning", message=f"{files.ledger} does not begin with the creation of the experiment"
        )
    for text in refused:
        yield LedgerFinding(kind="illegal_move", message=text)
    if read.torn:
        text = f"the last {read.torn} bytes of {files.ledger} were never completed"
        yield LedgerFinding(
            kind="torn_tail", message=f"{text}; the next writer marks them as void", is_damage=False
        )


def _unknown_attempt(key: Key) -> LedgerFinding:
    task, number = key
    text = f"attempt {number} of {task} was started, but is not in the ledger"
    return LedgerFinding(kind="unknown_attempt", task=task, attempt=number, message=text)


def _different_end(key: Key, ending: AttemptEnd, events: Sequence[Event]) -> LedgerFinding:
    task, number = key
    recorded = next(
        event
        for event in events
        if event["event"] == kinds.ENDED and (event["task"], event["attempt"]) == key
    )
    text = (
        f"attempt {number} of {task} ended with {_exit_code_text(ending.exit_code)} in its own record, "
        f"but with {_exit_code_text(recorded.get('exit_code'))} in the ledger"
    )
    return LedgerFinding(kind="different_end", task=task, attempt=number, message=text)


def _exit_code_text(value: int | None) -> str:
    return "no known exit code" if value is None else f"exit code {value}"


def _lost_suggestion(name: str, values: Mapping[str, Any] | None) -> LedgerFinding:
    text = f"the ledger has no suggestion for {name}, which was started"
    more = "its record has the values" if values else "later suggestions cannot use its result"
    return LedgerFinding(
        kind="lost_suggestion", task=name, message=f"{text}; {more}", is_damage=values is not None
    )


def _missing_attempt(files: ExperimentFiles, key: Key) -> LedgerFinding:
    task, number = key
    text = f"attempt {number} of {task} is in the ledger, but {files.attempt(*key).directory} does not exist"
    return LedgerFinding(kind="missing_attempt", task=task, attempt=number, message=text, is_damage=False)
