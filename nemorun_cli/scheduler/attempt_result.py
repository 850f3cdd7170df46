"""The final result of an attempt: its exit, unless it was cancelled or its outputs are invalid."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import masking
from nemorun_cli.model.attempt_end import SIGNAL_BASE, signal_number
from nemorun_cli.model.clock import age, stamp, unix
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler.leaders import GROUP_REASONS
from nemorun_cli.storage import attempts, outputs
from nemorun_cli.storage.state import Cancel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.spec import Group, Task
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.paths import AttemptFiles

CLOCK_SKEW: Final = 1.0  # seconds by which the clocks of two nodes of a cluster may differ
LEADER_PATIENCE: Final = 30.0  # seconds after its end that a stopped member waits for the end of its leader
STOPPED_AS: Final = {
    Reason.UNTIL: TaskStatus.SUCCEEDED,
    Reason.TARGET: TaskStatus.SUCCEEDED,
    Reason.DIVERGED: TaskStatus.FAILED,
    Reason.PRUNED: TaskStatus.SUCCEEDED,
}
"""The status of an attempt that was stopped, by the reason; with all other reasons it is CANCELLED."""

_NEVER_BY_STOP: Final = frozenset({Reason.LOST, Reason.ABANDONED, Reason.LAUNCH})


def cancel_of(
    schedule: Schedule,
    task_id: str,
    ending: AttemptEnd,
    *,
    sent: Cancel | None,
    files: AttemptFiles,
    has_local_clock: bool = False,
    was_signalled: bool | None = None,
) -> Cancel | None:
    """The cancel that counts for the result of an attempt; None if the attempt ended by itself.

    A supervisor stops an attempt whose `stop` is met. A member of a group that ends with its leader is
    stopped by a supervisor, or by the script of a job. Its own result counts if it ended before that.

    Args:
        schedule: the tasks and their states.
        task_id: the task of the attempt.
        ending: the result that the executor reported.
        sent: the cancel that the executor carried out.
        files: the files of the attempt.
        has_local_clock: whether its times are by the clock of this machine.
        was_signalled: whether a signal had reached it before its end, if its executor knows that.
    """
    stop = schedule.history.tasks[task_id].stop
    if stop is not None and was_signalled is not False:
        task = schedule.tasks[task_id]
        if _ended_by_stop(task, stop, ending, sent=sent, files=files, has_local_clock=has_local_clock):
            return stop
    sent = None if sent is stop else sent
    requested = schedule.history.tasks[task_id].cancel
    cancel = sent or (requested if ending.status is TaskStatus.FAILED else None)
    group = schedule.group_with_leader(task_id)
    if group is None or (cancel is not None and cancel.reason not in GROUP_REASONS):
        return cancel
    stopped = attempts.stop_time(files)
    if (sent is None and stopped is None) or (end := schedule.group_end(group)) is None:
        return None
    began = stopped if has_local_clock else _end_of_leader(schedule, group, task_id)
    if ending.ended and began and ending.ended < began:
        return None
    by, time = (cancel.by, cancel.time) if cancel else (group.id, stamp(stopped))
    return Cancel(by=by, time=time, whole=False, reason=end.reason, message=end.message)


def _ended_by_stop(
    task: Task,
    stop: Cancel,
    ending: AttemptEnd,
    *,
    sent: Cancel | None,
    files: AttemptFiles,
    has_local_clock: bool,
) -> bool:
    """Whether an attempt ended because of its `stop`, and not by itself before the signal.

    Where the executor does not know whether the signal reached it, the clocks of two machines decide.
    If a supervisor was killed while it passed the signal on, only an exit code that a signal causes is
    evidence: a failure never counts as success.
    """
    if ending.reason in _NEVER_BY_STOP:
        return False
    began = attempts.stop_time(files)
    if began is None and sent is not stop:
        return False
    tolerance = 0.0 if has_local_clock else CLOCK_SKEW
    if ending.ended and began and ending.ended < began - tolerance:
        return False
    if sent is stop or attempts.is_stop_confirmed(files):
        return True
    signals = {signal_number(task.stop_signal), signal_number("KILL")}
    return ending.exit_code is not None and ending.exit_code - SIGNAL_BASE in signals


def _end_of_leader(schedule: Schedule, group: Group, task_id: str) -> float | None:
    """When the leader ended, with a tolerance, if its times are by the clocks of the same cluster."""
    if group.leader is None or schedule.tasks[group.leader].executor != schedule.tasks[task_id].executor:
        return None
    ended = schedule.history.tasks[group.leader].ended
    return None if ended is None else unix(ended) - CLOCK_SKEW


def awaits_leader(schedule: Schedule, task_id: str, ending: AttemptEnd, files: AttemptFiles) -> bool:
    """Whether a stopped member's result depends on an end of its leader that is not known yet."""
    group = schedule.group_with_leader(task_id)
    if group is None or schedule.history.tasks[task_id].stop is not None:
        return False
    if attempts.stop_time(files) is None or schedule.group_end(group) is not None:
        return False
    return ending.ended is not None and age(ending.ended) < LEADER_PATIENCE


def conclude(
    ending: AttemptEnd,
    *,
    sent: Cancel | None,
    requested: Cancel | None,
    written: Path,
    inside: Path | None,
    secrets: Mapping[str, str],
    are_known: bool = True,
) -> AttemptEnd:
    """Return the result to record, with the outputs of the task.

    Args:
        ending: the result that the executor reported.
        sent: the cancel that the executor carried out.
        requested: a requested cancel, possibly carried out by a process that crashed.
        written: the `$EXP_OUTPUT` file of the task; it may be missing.
        inside: the folder of its experiment, in which no link is followed.
        secrets: values that must not appear in outputs.
        are_known: whether these are all secrets; if not, no message quotes an output.

    Raises:
        OSError: this machine lacks what it needs to read the outputs now.
    """
    cancel = sent or (requested if ending.status is TaskStatus.FAILED else None)
    if cancel is not None:
        message = cancel.message or f"cancelled by {cancel.by}"
        reason = Reason(cancel.reason)
        status = STOPPED_AS.get(reason, TaskStatus.CANCELLED)
        ending = replace(ending, status=status, reason=reason, message=message)
    try:
        hidden = {value for value in secrets.values() if value}
        shown = partial(masking.mask, values=hidden) if are_known else _unshown
        values = outputs.read(written, inside=inside, shown=shown) if os.path.lexists(written) else {}
        _refuse_secrets(values, hidden)
    except ValueError as error:
        values = {}
        if ending.status is TaskStatus.SUCCEEDED:
            message = f"the outputs are invalid: {error}"
            ending = replace(ending, status=TaskStatus.FAILED, reason=Reason.OUTPUTS, message=message)
    return replace(ending, outputs=values) if values or ending.outputs else ending


def _unshown(line: str) -> str:
    del line
    return masking.MASK


def _refuse_secrets(values: Mapping[str, Any], hidden: Collection[str]) -> None:
    """Refuse a text that is a secret, or contains a form of one that would be masked; a number that is one.

    Masked, the output would be another value than the one that other tasks receive.
    """
    for key, value in values.items() if hidden else ():
        is_line = _is_line_with_secret(key, value, hidden)
        if is_line or any(_is_secret(text, hidden) for text in _texts({key: value})):
            name = masking.MASK if is_line else masking.mask(key, hidden)
            raise ValueError(f"{name} is or contains the value of a secret, which must not be an output")


def _is_line_with_secret(key: str, value: Any, hidden: Collection[str]) -> bool:
    """Whether the line of an output is a secret with `=` in it, which has its beginning as the key."""
    mark, text = ("=", value) if isinstance(value, str) else (":=", json.dumps(value))
    return any(mark in form and form in f"{key}{mark}{text}" for form in masking.forms(hidden))


def _is_secret(value: str | float, hidden: Collection[str]) -> bool:
    if isinstance(value, str):
        return value in hidden or masking.contains(value, hidden)
    text = json.dumps(value)  # a short number is too often the same by chance
    return len(text) >= masking.SHORTEST_MASKED and text in hidden


def _texts(value: Any) -> Iterator[str | float]:
    """The texts and numbers of a JSON value, and its keys."""
    if isinstance(value, str | int | float):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
