"""The events of a ledger: every kind with its fields, how readers treat it, and how it is shown.

This is the only list of them. A new kind is one entry of `KINDS` and a step in `storage.state`; salvage,
rebuilding, the timeline, the listing and the published schema take the rest from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import forms, labels
from nemorun_cli.model.clock import unix
from nemorun_cli.model.forms import (
    AMOUNT,
    ATTEMPT,
    COUNT,
    FLAG,
    ID,
    IDS,
    INTEGER,
    NUMBER,
    OBJECT,
    PATH,
    PID,
    TEXT,
    TEXTS,
    TIME,
    Form,
    is_inside,
    mapping_of,
)
from nemorun_cli.model.status import ENDS, ExperimentStatus, Reason, TaskStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Event = dict[str, Any]

CREATED: Final = "created"
SUPERVISOR_STARTED: Final = "supervisor_started"
SUPERVISOR_ENDED: Final = "supervisor_ended"
SUBMITTED: Final = "submitted"
QUEUED: Final = "queued"
RETURNED: Final = "returned"
STARTED: Final = "started"
UNKNOWN: Final = "unknown"
STOP_REQUESTED: Final = "stop_requested"
FINGERPRINTED: Final = "fingerprinted"
KEPT: Final = "kept"
ENDED: Final = "ended"
RETRIED: Final = "retried"
SKIPPED: Final = "skipped"
EXTERNAL_ENDED: Final = "external_ended"
BEST_CHOSEN: Final = "best_chosen"
SUGGESTED: Final = "suggested"
RUNG_REACHED: Final = "rung_reached"
TRIAL_ENDED: Final = "trial_ended"
CANCEL_REQUESTED: Final = "cancel_requested"
RESUMED: Final = "resumed"
CONCLUDED: Final = "concluded"
FINISHED: Final = "finished"
ENVIRONMENT_STARTED: Final = "python_environment_started"
ENVIRONMENT_ENDED: Final = "python_environment_ended"
TAGGED: Final = "tagged"
NOTED: Final = "noted"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _is_positive(value: Any) -> bool:
    return type(value) is int and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_time(value: Any) -> bool:
    try:
        unix(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return False
    return True


def _is_usage(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    forms = {"memory": COUNT, "cpu": AMOUNT, "gpu_memory": COUNT}
    return all(value.get(name) is None or form.fits(value[name]) for name, form in forms.items())


def _are_unmatched(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and all(_is_text(each.get(name)) for name in ("series", "pattern", "reason"))
        and COUNT.fits(each.get("at"))
        for each in value
    )


def _are_unjudged(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict)
        and all(_is_text(each.get(name)) for name in ("metric", "reason"))
        and _are_texts(each.get("names"))
        for each in value
    )


def _are_excluded(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, dict) and all(_is_text(each.get(name)) for name in ("task", "reason", "message"))
        for each in value
    )


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(forms.is_float, value))


def _is_rung_value(value: Any) -> bool:
    return forms.is_float(value) or value in ("inf", "-inf")


def _are_steps(value: Any) -> bool:
    return isinstance(value, dict) and all(map(forms.is_float, value.values()))


def _is_origin(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(_is_text(value.get(name)) for name in ("experiment", "task"))
        and ATTEMPT.fits(value.get("attempt"))
    )


def _is_signal(value: Any) -> bool:
    from nemorun_cli.model.attempt_end import signal_number  # noqa: PLC0415 - only to check an event

    try:
        signal_number(value)
    except (ValueError, AttributeError):
        return False
    return True


def _is_reason(value: Any) -> bool:
    return value in set(Reason)


def _are_tasks(value: Any) -> bool:
    """Of a cancel the task names, of a resume attempt numbers by task, of the creation a count."""
    if isinstance(value, dict):
        return all(map(_is_positive, value.values()))
    return _are_texts(value) or _is_integer(value)


FIELDS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "time": _is_time,
    "by": _is_text,
    "task": _is_text,
    "attempt": _is_positive,
    "status": _is_text,
    "reason": _is_reason,
    "message": _is_text,
    "exit_code": _is_integer,
    "job_id": _is_text,
    "started": _is_time,
    "not_before": _is_time,
    "evidence": _is_text,
    "outputs": _is_mapping,
    "usage": _is_mapping,
    "symptom": _is_text,
    "unmatched": _are_unmatched,
    "unjudged": _are_unjudged,
    "metric": _is_text,
    "gpus": _is_text,
    "after": _is_text,
    "rule": _is_text,
    "tasks": _are_tasks,
    "signal": _is_signal,
    "grace": _is_number,
    "duration": _is_number,
    "abandon": _is_flag,
    "pid": _is_positive,
    "host": _is_text,
    "boot": _is_text,
    "user": _is_text,
    "counts": _is_mapping,
    "active": _is_number,
    "clock_step": _is_number,
    "revision": _is_positive,
    "changed": _are_texts,
    "added": _are_texts,
    "removed": _are_texts,
    "id": _is_text,
    "name": _is_text,
    "format": _is_text,
    "rebuilt": _is_flag,
    "external": _is_text,
    "text": _is_text,
    "group": _is_text,
    "goal": _is_text,
    "winner": _is_text,
    "value": forms.is_float,
    "tied": _are_texts,
    "excluded": _are_excluded,
    "python_environment": _is_text,
    "environment_text": _is_text,
    "python_version": _is_text,
    "installed": _is_mapping,
    "fingerprint": _is_text,
    "number": _is_positive,
    "params": _is_mapping,
    "written": _is_mapping,
    "outcome": _is_text,
    "values": _are_numbers,
    "pruned_at": forms.is_float,
    "pruned_value": forms.is_float,
    "pruned_task": _is_text,
    "rung": _is_positive,
    "rung_value": _is_rung_value,
    "step": forms.is_float,
    "last_step": forms.is_float,
    "pruner": _is_text,
    "judged": _are_steps,
    "parts": _is_mapping,
    "cached_from": _is_origin,
}
"""The type of each field that some event has; a field has one meaning in all events."""

_OPTIONAL_TEXT: Final = TEXT | None
_ITEM_FORMS: Final[Mapping[str, Form]] = {
    CREATED: COUNT,
    CANCEL_REQUESTED: TEXTS | None,
    RESUMED: mapping_of(ATTEMPT, "an object of attempts' numbers"),
}
"""The form of the field `tasks`, by the kind of event."""

STORED: Final[Mapping[str, Form]] = {
    "event": TEXT,
    "time": TIME,
    "by": _OPTIONAL_TEXT,
    "task": ID,
    "attempt": ATTEMPT,
    "status": TEXT,
    "reason": _OPTIONAL_TEXT,
    "message": _OPTIONAL_TEXT,
    "exit_code": INTEGER | None,
    "job_id": _OPTIONAL_TEXT,
    "started": TIME | None,
    "not_before": TIME | None,
    "evidence": _OPTIONAL_TEXT,
    "outputs": OBJECT,
    "usage": Form(_is_usage, "the usage of an attempt") | None,
    "symptom": _OPTIONAL_TEXT,
    "unmatched": Form(_are_unmatched, "a list of metric patterns"),
    "unjudged": Form(_are_unjudged, "a list of metrics"),
    "metric": _OPTIONAL_TEXT,
    "gpus": _OPTIONAL_TEXT,
    "signal": Form(_is_signal, "a signal") | None,
    "grace": AMOUNT | None,
    "duration": NUMBER | None,
    "abandon": FLAG,
    "pid": PID,
    "host": TEXT,
    "boot": TEXT,
    "user": TEXT,
    "counts": mapping_of(COUNT, "an object of counts"),
    "active": AMOUNT | None,
    "revision": ATTEMPT,
    "changed": TEXTS,
    "added": TEXTS,
    "removed": TEXTS,
    "id": TEXT,
    "name": TEXT,
    "key": _OPTIONAL_TEXT,
    "rerun_of": _OPTIONAL_TEXT,
    "tags": TEXTS,
    "prefix": Form(is_inside, "the prefix of a record") | None,
    "home": PATH,
    "version": _OPTIONAL_TEXT,
    "environment": OBJECT | None,
    "external": TEXT,
    "text": TEXT,
    "group": ID,
    "goal": TEXT,
    "winner": ID,
    "value": Form(forms.is_float, "a finite number"),
    "tied": IDS,
    "excluded": Form(_are_excluded, "a list of members, each with the reason why it cannot be the best"),
    "python_environment": TEXT,
    "environment_text": TEXT,
    "python_version": _OPTIONAL_TEXT,
    "installed": mapping_of(TEXT, "an object of packages' versions"),
    "fingerprint": TEXT,
    "number": ATTEMPT,
    "params": OBJECT,
    "written": OBJECT,
    "outcome": TEXT,
    "values": Form(_are_numbers, "a list of finite numbers"),
    "pruned_at": Form(forms.is_float, "a finite number"),
    "pruned_value": Form(forms.is_float, "a finite number"),
    "pruned_task": ID,
    "rung": ATTEMPT,
    "rung_value": Form(_is_rung_value, "a number"),
    "step": Form(forms.is_float, "a finite number"),
    "last_step": Form(forms.is_float, "a finite number"),
    "pruner": _OPTIONAL_TEXT,
    "judged": Form(_are_steps, "an object of steps"),
    "parts": mapping_of(TEXT, "an object of texts"),
    "cached_from": Form(_is_origin, "an attempt as experiment, task and attempt") | None,
}
"""The form that readers need of each field, whatever wrote it."""

WORDED: Final = ("by", "message", "evidence", "text")
"""The fields whose text is not the spec's, and comes from people, tasks, engines and errors."""


def _nothing(event: Event) -> list[str]:
    del event
    return []


def _cancel_details(event: Event) -> list[str]:
    names = event.get("tasks")
    parts = ["all tasks" if names is None else ", ".join(names)]
    parts += [event["reason"]] if event.get("reason") else []
    parts += [f"{word} {event[word]}" for word in ("signal", "grace") if word in event]
    return parts + (["abandoning running attempts"] if event.get("abandon") else [])


def _resume_details(event: Event) -> list[str]:
    parts = [f"to run again: {', '.join(event['tasks']) or 'nothing'}"]
    return parts + ([f"with revision {event['revision']} of the spec"] if event.get("revision") else [])


def _tag_details(event: Event) -> list[str]:
    return [*(f"+{tag}" for tag in event["added"]), *(f"-{tag}" for tag in event["removed"])]


def _note_details(event: Event) -> list[str]:
    return [labels.excerpt(event["text"])]


def _status_details(event: Event) -> list[str]:
    return [event["status"]]


def _supervisor_details(event: Event) -> list[str]:
    return [f"pid {event.get('pid')} on {event.get('host')}"]


_DETAILS: Final = {
    "exit_code": "exit code",
    "job_id": "job",
    "gpus": "GPUs",
    "after": "after",
    "rule": "by retry.on",
    "not_before": "not before",
    "evidence": "evidence:",
    "fingerprint": "fingerprint",
}


def origin_text(origin: Mapping[str, Any]) -> str:
    """The attempt whose result a cached one is, in a few words: `prepare of digits_1795328686, attempt 2`."""
    number = f", attempt {origin['attempt']}" if origin["attempt"] > 1 else ""
    return f"{origin['task']} of {origin['experiment']}{number}"


def _environment_details(event: Event) -> list[str]:
    parts = [event["environment_text"]] + ([str(event["status"])] if "status" in event else [])
    count = len(event.get("installed", {}))
    return parts + (
        [f"{count} package{'' if count == 1 else 's'}"] if event.get("status") == TaskStatus.SUCCEEDED else []
    )


def _external_details(event: Event) -> list[str]:
    return [f"{event['external']} is {event['status']}"]


def _best_details(event: Event) -> list[str]:
    winner = event.get("winner", "none of its members")
    by = f"{event['goal']} {event['metric']}"
    chosen = f"{event['group']}: {winner} ({by}" + (f": {event['value']:g})" if "value" in event else ")")
    excluded = event.get("excluded")
    return [chosen] + ([f"{len(excluded)} excluded"] if excluded else [])


def _suggestion_details(event: Event) -> list[str]:
    return [f"{name}={forms.shown(value)}" for name, value in event["params"].items()]


def _result_details(event: Event) -> list[str]:
    parts = [str(event["outcome"])]
    parts += [", ".join(f"{value:g}" for value in event["values"])] if event.get("values") else []
    if "pruned_value" in event:
        parts.append(f"{event['pruned_value']:g}")
    return parts + ([f"at {event['pruned_at']:g}"] if "pruned_at" in event else [])


def _rung_details(event: Event) -> list[str]:
    return [f"rung {event['rung']}", f"{float(event['rung_value']):g} at {event['step']:g}"]


def _task_details(event: Event) -> list[str]:
    parts = [f"attempt {event['attempt']}"] if "attempt" in event else []
    parts += [str(event[key]) for key in ("status", "reason") if event.get(key)]
    parts += [f"{word} {event[key]}" for key, word in _DETAILS.items() if event.get(key) is not None]
    if event.get("cached_from"):
        parts.append(f"from {origin_text(event['cached_from'])}")
    return parts + ([f"outputs {', '.join(event['outputs'])}"] if event.get("outputs") else [])


@dataclass(frozen=True, slots=True, kw_only=True)
class EventKind:
    """One kind of event.

    Attributes:
        required: the fields that it always has, in addition to `event`, `time` and `by`.
        optional: the fields that it may have.
        statuses: the values that its field `status` can have.
        is_of_attempt: whether it is about one attempt at a task, which was submitted before it.
        is_request: whether a person or a program asked for it, so that `by` is shown.
        may_follow_end: whether it can come after `finished` without a resume between the two.
        is_open: whether any process may append it; all others only the holder of `supervisor.lock`.
        details: its content without its kind, task and message, as parts of a line for people.
    """

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    is_of_attempt: bool = False
    is_request: bool = False
    may_follow_end: bool = False
    is_open: bool = False
    details: Callable[[Event], list[str]] = _nothing

    @property
    def is_of_task(self) -> bool:
        """Whether it is about one task, and not about the experiment as a whole."""
        return "task" in self.required


def _of_attempt(required: str = "", optional: str = "", **more: Any) -> EventKind:
    return EventKind(
        required=frozenset({"task", "attempt", *required.split()}),
        optional=frozenset({"message", *optional.split()}),
        is_of_attempt=True,
        details=_task_details,
        **more,
    )


_ATTEMPT_ENDS: Final = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED})

KINDS: Final[Mapping[str, EventKind]] = {
    CREATED: EventKind(
        required=frozenset({"id", "name", "format"}),
        optional=frozenset({"tasks", "message"}),
        is_request=True,
    ),
    SUPERVISOR_STARTED: EventKind(
        required=frozenset({"pid", "host"}),
        optional=frozenset({"boot", "user", "message"}),
        details=_supervisor_details,
    ),
    SUPERVISOR_ENDED: EventKind(optional=frozenset({"pid", "clock_step", "message"}), may_follow_end=True),
    SUBMITTED: _of_attempt(optional="reason gpus job_id"),
    QUEUED: _of_attempt(optional="job_id evidence"),
    RETURNED: _of_attempt(),
    STARTED: _of_attempt(optional="job_id evidence"),
    UNKNOWN: _of_attempt(optional="evidence"),
    STOP_REQUESTED: _of_attempt(required="reason", optional="metric pruned_at pruned_value pruned_task"),
    FINGERPRINTED: EventKind(
        required=frozenset({"task", "attempt", "fingerprint", "parts"}),
        optional=frozenset({"message"}),
        details=_task_details,
    ),
    KEPT: EventKind(
        required=frozenset({"task", "attempt"}),
        optional=frozenset({"message"}),
        details=_task_details,
    ),
    ENDED: _of_attempt(
        required="status",
        optional=(
            "exit_code reason outputs usage started duration job_id symptom evidence unmatched unjudged"
            " cached_from"
        ),
        statuses=_ATTEMPT_ENDS,
    ),
    RETRIED: EventKind(
        required=frozenset({"task", "attempt"}),
        optional=frozenset({"not_before", "after", "rule", "message"}),
        details=_task_details,
    ),
    SKIPPED: EventKind(
        required=frozenset({"task", "reason"}),
        optional=frozenset({"message", "pruned_at", "pruned_value", "pruned_task"}),
        details=_task_details,
    ),
    EXTERNAL_ENDED: EventKind(
        required=frozenset({"external", "status"}),
        optional=frozenset({"outputs", "message"}),
        statuses=frozenset({*ENDS, TaskStatus.UNKNOWN}),
        details=_external_details,
    ),
    BEST_CHOSEN: EventKind(
        required=frozenset({"group", "metric", "goal"}),
        optional=frozenset({"winner", "value", "tied", "excluded", "message"}),
        details=_best_details,
    ),
    SUGGESTED: EventKind(
        required=frozenset({"task", "number", "params"}),
        optional=frozenset({"written", "message"}),
        details=_suggestion_details,
    ),
    RUNG_REACHED: EventKind(
        required=frozenset({"task", "attempt", "number", "rung", "rung_value", "step"}),
        optional=frozenset({"pruner", "message"}),
        is_of_attempt=True,
        details=_rung_details,
    ),
    TRIAL_ENDED: EventKind(
        required=frozenset({"task", "attempt", "number", "outcome"}),
        optional=frozenset(
            {"values", "pruned_at", "pruned_value", "pruner", "last_step", "judged", "message"}
        ),
        is_of_attempt=True,
        details=_result_details,
    ),
    ENVIRONMENT_STARTED: EventKind(
        required=frozenset({"python_environment", "environment_text"}),
        optional=frozenset({"message"}),
        details=_environment_details,
    ),
    ENVIRONMENT_ENDED: EventKind(
        required=frozenset({"python_environment", "environment_text", "status"}),
        optional=frozenset({"python_version", "installed", "fingerprint", "message"}),
        statuses=_ATTEMPT_ENDS,
        details=_environment_details,
    ),
    CANCEL_REQUESTED: EventKind(
        required=frozenset({"by"}),
        optional=frozenset({"tasks", "signal", "grace", "abandon", "reason", "message"}),
        is_request=True,
        may_follow_end=True,
        is_open=True,
        details=_cancel_details,
    ),
    TAGGED: EventKind(
        required=frozenset({"by", "added", "removed"}),
        optional=frozenset({"message"}),
        is_request=True,
        may_follow_end=True,
        is_open=True,
        details=_tag_details,
    ),
    NOTED: EventKind(
        required=frozenset({"by", "text"}),
        optional=frozenset({"message"}),
        is_request=True,
        may_follow_end=True,
        is_open=True,
        details=_note_details,
    ),
    RESUMED: EventKind(
        required=frozenset({"tasks"}),
        optional=frozenset({"revision", "changed", "added", "removed", "message"}),
        is_request=True,
        details=_resume_details,
    ),
    CONCLUDED: EventKind(
        required=frozenset({"status"}),
        optional=frozenset({"message"}),
        statuses=frozenset(ExperimentStatus),
        details=_status_details,
    ),
    FINISHED: EventKind(
        required=frozenset({"status"}),
        optional=frozenset({"counts", "active", "clock_step", "message"}),
        statuses=frozenset(ExperimentStatus),
        details=_status_details,
    ),
}


OPEN: Final = frozenset(name for name, kind in KINDS.items() if kind.is_open)
"""The kinds that any process may append."""


def flaw(entry: Event) -> str | None:
    """Why readers cannot use an event that a ledger contains; None if they can."""
    name = entry.get("event")
    kind = KINDS.get(name) if type(name) is str else None
    if kind is not None and name not in _ITEM_FORMS and _is_as_usual(entry, kind):
        return None
    required = ("event",) if kind is None else ("event", "time", *kind.required)
    if problem := next(forms.flaws(entry, STORED, required=required), None):
        return problem
    if kind is not None and kind.statuses and entry["status"] not in kind.statuses:
        return f"status is {forms.shown(entry['status'])}, which {name} cannot have"
    if "tasks" in entry and (form := _ITEM_FORMS.get(name or "")) is not None:
        return form.flaw("tasks", entry["tasks"])
    return None


def _is_as_usual(entry: Event, kind: EventKind) -> bool:
    """Whether an event has no flaw, found quickly: a ledger may have a hundred thousand."""
    checks = _checks(kind.required, tuple(entry))
    if checks is None:
        return False
    for field, types, fits in checks:
        if type(value := entry[field]) not in types and not fits(value):
            return False
    return not kind.statuses or entry["status"] in kind.statuses


@lru_cache(maxsize=256)  # as many layouts as the kinds of events have, and some of other versions
def _checks(
    required: frozenset[str], keys: tuple[str, ...]
) -> tuple[tuple[str, frozenset[type], Callable[[Any], bool]], ...] | None:
    """How the fields of an event with these keys are checked; None if it lacks one that it needs."""
    if "time" not in keys or not required.issubset(keys):
        return None
    return tuple((key, STORED[key].types, STORED[key].fits) for key in keys if key in STORED)


def is_valid(entry: Event | None) -> bool:
    """Whether an entry has the form of an event that this version writes, field by field."""
    kind = KINDS.get(str(entry.get("event"))) if entry is not None else None
    if entry is None or kind is None or not {"time", *kind.required} <= entry.keys():
        return False
    if not all(fits(entry[name]) for name, fits in FIELDS.items() if name in entry):
        return False
    return not kind.statuses or entry["status"] in kind.statuses


def masked(event: Event, secrets: Iterable[str]) -> Event:
    """The event with the values of secrets masked in what other programs and people may have worded.

    Names, ids and results stay: a secret that equals one of them is no secret, and readers need them.
    """
    from nemorun_cli.model import masking  # noqa: PLC0415 - only for writers that know secrets

    worded = {key: event[key] for key in WORDED if isinstance(event.get(key), str)}
    return {**event, **{key: masking.mask_message(text, secrets) for key, text in worded.items()}}


def last(events: Sequence[Event], task_id: str, kind: str) -> Event | None:
    """The latest event of this kind about a task."""
    return next(
        (event for event in reversed(events) if event["event"] == kind and event.get("task") == task_id), None
    )


def summary(event: Event) -> str:
    """The content of an event without its time, kind, task and author, in one line for people."""
    kind = KINDS.get(event["event"])
    details = kind.details if kind is not None else _task_details  # a kind of a later version, by its fields
    return ", ".join([*details(event), *([str(event["message"])] if event.get("message") else [])])


def describe(event: Event) -> str:
    """The summary of an event, and the author if it is a request, in one line for people."""
    kind = KINDS.get(event["event"])
    asker = [f"by {event['by']}"] if kind is not None and kind.is_request and event.get("by") else []
    return ", ".join(part for part in [summary(event), *asker] if part)
