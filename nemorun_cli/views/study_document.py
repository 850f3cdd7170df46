"""The whole of a search as JSON: its space, the history of its trials, slices, and importances."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nemorun_cli.storage import creation_mark
from nemorun_cli.storage.paths import Home
from nemorun_cli.views import importances, searches

if TYPE_CHECKING:
    from nemorun_cli.views.searches import StudyView, Trial
    from nemorun_cli.views.snapshot import Snapshot


def of_experiment(snapshot: Snapshot, *, computes: bool = True) -> list[dict[str, Any]]:
    """The field `searches` of `exp.show/1` and `exp.search/1`; without importances unless it `computes`."""
    return [
        _of_study(snapshot, study, computes=computes)
        for study in searches.of(snapshot.spec, snapshot.history)
    ]


def _of_study(snapshot: Snapshot, study: StudyView, *, computes: bool) -> dict[str, Any]:
    suggested = [trial for trial in study.trials if trial.suggestion is not None]
    shares = importances.of(study, is_own=_is_own(snapshot)) if computes else importances.NOT_ASKED
    return {
        **searches.to_json(study, snapshot.sweep(study.group)),
        "params": [
            {**asdict(param), "kind": str(param.kind), "choices": list(param.choices)}
            for param in study.rule.params
        ],
        "history": [_past(snapshot, trial) for trial in suggested],
        "slices": [
            {
                "param": param.name,
                "points": [
                    {"number": trial.number, "value": trial.params[param.name], "values": list(trial.values)}
                    for trial in suggested
                    if trial.values is not None and param.name in trial.params
                ],
            }
            for param in study.rule.params
        ],
        "importances": shares.shares,
        "importances_message": shares.message,
    }


def _is_own(snapshot: Snapshot) -> bool:
    files = snapshot.files
    supervisor = snapshot.history.supervisor
    return not snapshot.is_replica and creation_mark.is_own(
        Home(files.home), files, snapshot.spec, supervisor
    )


def _past(snapshot: Snapshot, trial: Trial) -> dict[str, Any]:
    state, states = trial.state, list(trial.states.values())
    durations = [seconds for each in states if (seconds := snapshot.active_duration(each)) is not None]
    return {
        **trial.to_json(),
        "task": trial.task,
        "tasks": list(trial.states),
        "status": state.status,
        "reason": state.reason,
        "started": min((each.started for each in states if each.started), default=None),
        "ended": max((each.ended for each in states if each.ended), default=None) if trial.is_over else None,
        "duration": round(sum(durations), 6) if durations else None,
    }
