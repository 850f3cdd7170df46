"""The ends that attempts recorded themselves, while a supervisor does not respond and records none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.clock import stamp
from nemorun_cli.scheduler import attempt_result
from nemorun_cli.scheduler.schedule import Schedule
from nemorun_cli.spec import secret_values
from nemorun_cli.storage import attempts, events
from nemorun_cli.system import locks
from nemorun_cli.views import known_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState, TaskState

EVIDENCE: Final = "its exit record; the ledger does not have it yet, as its supervisor does not respond"


def apply(history: ExperimentState, files: ExperimentFiles, spec: Spec) -> None:
    """Apply to the state the ends that live attempts recorded, unless one still holds its lock.

    Nothing is written, and nothing is decided: a task that will be retried has failed, for the moment.
    """
    secrets = known_secrets.of_experiment(files, spec, history)
    schedule, waiting = Schedule(spec, history), []
    ended = [
        (name, ending) for name in history.tasks if (ending := _ending(history.tasks[name], files, name))
    ]
    for name, ending in ended:
        attempt = files.attempt(name, history.tasks[name].attempt)
        if attempt_result.awaits_leader(schedule, name, ending, attempt):
            waiting.append((name, ending))
        else:
            _apply(schedule, name, ending, attempt, secrets)
    for name, ending in waiting:  # now that the end of their leader is known, if it has one
        attempt = files.attempt(name, history.tasks[name].attempt)
        if not attempt_result.awaits_leader(schedule, name, ending, attempt):
            _apply(schedule, name, ending, attempt, secrets)


def _ending(state: TaskState, files: ExperimentFiles, name: str) -> AttemptEnd | None:
    """The recorded end of a live attempt, unless it still holds its lock."""
    if not state.is_live:
        return None
    attempt = files.attempt(name, state.attempt)
    ending = attempts.read_ending(attempt)
    return None if ending is None or locks.is_held(attempt.lock) else ending


def _apply(
    schedule: Schedule, name: str, ending: AttemptEnd, attempt: AttemptFiles, secrets: Mapping[str, str]
) -> None:
    state = schedule.history.tasks[name]
    ending = attempt_result.conclude(
        ending,
        sent=attempt_result.cancel_of(schedule, name, ending, sent=None, files=attempt),
        requested=None,
        written=attempt.outputs,
        inside=attempt.root,
        secrets=secrets,
        are_known=secrets.keys() >= secret_values.of_tasks(schedule.spec),
    )
    fields = {"event": events.ENDED, "time": stamp(ending.ended), "task": name, "attempt": state.attempt}
    schedule.history.apply({**fields, **replace(ending, evidence=EVIDENCE).to_event()})
