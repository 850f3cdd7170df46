"""The ends that attempts recorded themselves, while a supervisor does not respond and records none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nemorun_cli.model.clock import stamp
from nemorun_cli.scheduler.attempt_result import conclude
from nemorun_cli.spec import secret_values
from nemorun_cli.storage import attempts, events
from nemorun_cli.system import locks
from nemorun_cli.views import known_secrets

if TYPE_CHECKING:
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import ExperimentState

EVIDENCE: Final = "its exit record; the ledger does not have it yet, as its supervisor does not respond"


def apply(history: ExperimentState, files: ExperimentFiles, spec: Spec) -> None:
    """Apply to the state the ends that live attempts recorded, unless one still holds its lock.

    Nothing is written, and nothing is decided: a task that will be retried has failed, for the moment.
    """
    secrets = known_secrets.of_experiment(files, spec, history)
    for name, state in history.tasks.items():
        if not state.is_live:
            continue
        attempt = files.attempt(name, state.attempt)
        ending = attempts.read_ending(attempt)
        if ending is None or locks.is_held(attempt.lock):
            continue
        ending = conclude(
            ending,
            sent=None,
            requested=state.cancel,
            written=attempt.outputs,
            inside=attempt.root,
            secrets=secrets,
            are_known=secrets.keys() >= secret_values.of_tasks(spec),
        )
        fields = {"event": events.ENDED, "time": stamp(ending.ended), "task": name, "attempt": state.attempt}
        history.apply({**fields, **replace(ending, evidence=EVIDENCE).to_event()})
