"""An experiment with a search that never ran: its ledger says what was suggested and how the trials ended."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from support.made_homes import SPEC, TASK

from nemorun_cli.model.best import Goal
from nemorun_cli.model.search import ParamKind, SearchParam, SearchRule, trial_id
from nemorun_cli.storage import ledger

if TYPE_CHECKING:
    from pathlib import Path

ID: Final = "study_1"
GROUP: Final = "train"
BEGAN: Final = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
TAKES: Final = timedelta(seconds=10)
PARAMS: Final = (
    SearchParam(name="lr", kind=ParamKind.FLOAT, low=1e-4, high=1.0, log=True),
    SearchParam(name="units", kind=ParamKind.INT, low=8, high=128, step=8),
    SearchParam(name="kind", kind=ParamKind.CHOICES, choices=("relu", "tanh")),
)
RULE: Final = SearchRule(
    params=PARAMS,
    metrics=("loss:min",),
    goals=(Goal.MINIMIZE,),
    trials=8,
    seed=7,
    pruner="median",
    start_with=({"lr": 0.1},),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTrial:
    """One trial: its params, and how it ended. Without an outcome it runs, if it `is_live`, or waits.

    `values` are those of a complete one; `pruned` the step and the value of a pruned one.
    """

    params: dict[str, Any]
    values: tuple[float, ...] | None = None
    pruned: tuple[float, float] | None = None
    failed: str | None = None
    is_live: bool = False


TRIALS: Final = (
    MadeTrial(params={"lr": 0.1, "units": 64, "kind": "relu"}, values=(0.25,)),
    MadeTrial(params={"lr": 0.0004, "units": 8, "kind": "tanh"}, pruned=(3, 0.93)),
    MadeTrial(params={"lr": 0.031, "units": 96, "kind": "relu"}, values=(0.125,)),
    MadeTrial(params={"lr": 0.9, "units": 128, "kind": "tanh"}, failed="CUDA out of memory"),
    MadeTrial(params={"lr": 0.05, "units": 80, "kind": "relu"}, values=(0.5,)),
    MadeTrial(params={"lr": 0.02, "units": 104, "kind": "relu"}, is_live=True),
)


def make(
    home: Path, *, rule: SearchRule = RULE, trials: tuple[MadeTrial, ...] = TRIALS, status: str | None = None
) -> str:
    """Write the experiment; with a status it has ended, and the trials that did not start are SKIPPED."""
    folder = home / "experiments" / "study" / ID
    folder.mkdir(parents=True)
    members = [trial_id(GROUP, number) for number in range(1, rule.trials + 1)]
    tasks = [
        {**TASK, "id": name, "index": index, "executor": "local", "group": GROUP}
        for index, name in enumerate(members)
    ]
    last = {**TASK, "id": "last", "index": len(members), "executor": "local", "dependencies": members}
    spec = {
        **SPEC,
        "name": "study",
        "tags": [],
        "description": None,
        "directory": str(folder),
        "executors": {"local": {"type": "local"}},
        "tasks": [*tasks, last],
        "groups": [{"id": GROUP, "members": members, "max_parallel": 2, "search": asdict(rule)}],
    }
    (folder / "resolved.json").write_text(json.dumps(spec))
    created = {
        "event": "created",
        "name": "study",
        "id": ID,
        "format": "exp.ledger/1",
        "version": "0.1.0",
        "tags": [],
        "tasks": len(tasks) + 1,
        "prefix": f"alice/study/{ID}",
        "home": str(home),
        **dict.fromkeys(("title", "key", "rerun_of")),
    }
    events: list[tuple[datetime, dict[str, Any]]] = [(BEGAN, created)]
    for number, trial in enumerate(trials, start=1):
        events += _of_trial(number, trial)
    if status is not None:
        end = BEGAN + TAKES * (len(trials) + 2)
        message = "the search is over: all its trials were started"
        events += [
            (end, {"event": "skipped", "task": name, "reason": "until", "message": message})
            for name in members[len(trials) :]
        ]
        events.append((end, {"event": "finished", "status": status, "counts": {}, "active": 60.0}))
    ordered = sorted(events, key=lambda entry: entry[0])
    batch = [
        {
            **event,
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "by": "a@b:1 (exp run)",
        }
        for time, event in ordered
    ]
    (folder / "ledger.jsonl").write_bytes(ledger.encode(batch))
    return ID


def _of_trial(number: int, trial: MadeTrial) -> list[tuple[datetime, dict[str, Any]]]:
    """The events of a trial: two run at once, and each takes ten seconds."""
    begin = BEGAN + TAKES * ((number + 1) // 2)
    end = begin + TAKES
    of = {"task": trial_id(GROUP, number), "attempt": 1}
    suggested = {
        "event": "suggested",
        "task": of["task"],
        "number": number,
        "params": trial.params,
        "written": {},
    }
    events = [(begin, suggested)]
    events += (
        [(begin, {"event": kind, **of}) for kind in ("submitted", "started")] if _has_begun(trial) else []
    )
    result: dict[str, Any] = {"event": "trial_ended", **of, "number": number}
    if trial.values is not None:
        events += [
            (end, {"event": "ended", **of, "status": "SUCCEEDED", "exit_code": 0}),
            (end, {**result, "outcome": "complete", "values": list(trial.values)}),
        ]
    elif trial.pruned is not None:
        at, value = trial.pruned
        message = f"loss {value:g} at step {at:g} is above the median 0.4 of 2 trials"
        events += [
            (end, {"event": "stop_requested", **of, "reason": "pruned", "message": message}),
            (end, {"event": "ended", **of, "status": "SUCCEEDED", "reason": "pruned", "message": message}),
            (
                end,
                {**result, "outcome": "pruned", "pruned_at": at, "pruned_value": value, "message": message},
            ),
        ]
    elif trial.failed is not None:
        ended = {"event": "ended", **of, "status": "FAILED", "reason": "exit", "exit_code": 1}
        events += [
            (end, {**ended, "message": trial.failed}),
            (end, {**result, "outcome": "failed", "message": trial.failed}),
        ]
    return events


def _has_begun(trial: MadeTrial) -> bool:
    return trial.is_live or any(each is not None for each in (trial.values, trial.pruned, trial.failed))
