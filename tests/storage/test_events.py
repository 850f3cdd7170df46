"""The table of the ledger's events, and that every reader takes its kinds and fields from there."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from nemorun_cli.experiment.maintenance import salvage
from nemorun_cli.model.attempt_end import AttemptEnd
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.model.usage import Usage
from nemorun_cli.spec.schema import walk
from nemorun_cli.storage import events, ledger, state
from nemorun_cli.storage.state import TaskState

SAMPLES: dict[str, Any] = {
    "time": "2026-11-22T03:11:33.120Z",
    "by": "somebody",
    "task": "train",
    "attempt": 1,
    "status": "FAILED",
    "reason": "exit",
    "message": "a message",
    "exit_code": 3,
    "job_id": "17",
    "started": "2026-11-22T03:11:33.120Z",
    "not_before": "2026-11-22T03:11:33.120Z",
    "evidence": "exit.json",
    "outputs": {"a": 1},
    "usage": {"memory": 1},
    "active": 1.5,
    "symptom": "lost",
    "unmatched": [{"series": "train", "pattern": "a", "reason": "never", "at": 0}],
    "gpus": "0,1",
    "after": "exit",
    "rule": "any",
    "tasks": ["train"],
    "signal": "TERM",
    "grace": 1.5,
    "duration": 2.5,
    "abandon": True,
    "pid": 1,
    "host": "node1",
    "boot": "b",
    "user": "u",
    "counts": {"FAILED": 1},
    "revision": 2,
    "changed": ["train"],
    "added": [],
    "removed": [],
    "id": "e_1",
    "name": "e",
    "format": "exp.ledger/1",
    "rebuilt": True,
    "external": "other:train",
    "text": "a note",
    "group": "train",
    "metric": "loss",
    "goal": "minimize",
    "winner": "train/a",
    "value": 0.5,
    "tied": ["train/b"],
    "excluded": [{"task": "train/c", "reason": "status", "message": "is FAILED"}],
    "python_environment": "46314df17cd59908",
    "environment_text": "uv: numpy, Python 3.12.4",
    "python_version": "3.12.4",
    "installed": {"numpy": "2.1.0"},
    "fingerprint": "46314df17cd59908",
    "number": 1,
    "params": {"lr": 0.1},
    "written": {"relative_params": {}},
    "outcome": "pruned",
    "values": [0.5],
    "pruned_at": 3,
    "pruned_value": 0.7,
    "rung": 2,
    "rung_value": "-inf",
    "step": 4,
    "pruner": "asha reduction_factor=2",
    "last_step": 9,
    "judged": {"train/trial-0004": 17},
    "parts": {"param:lr": "0.1"},
    "cached_from": {"experiment": "e_0", "task": "train", "attempt": 2},
}
KINDS = list(events.KINDS)


def event(kind: str) -> events.Event:
    """An event of a kind, with every field that it can have."""
    row = events.KINDS[kind]
    names = {"time", "by", *row.required, *row.optional}
    entry = {"event": kind, **{name: value for name, value in SAMPLES.items() if name in names}}
    return entry | ({"tasks": {"train": 2}} if kind == events.RESUMED else {})


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_valid_with_its_fields_and_not_without(kind: str) -> None:
    """An event with all of its fields is valid; without one that it must have, or with a wrong type, not."""
    whole = event(kind)
    assert events.is_valid(whole)
    for name in {"time", *events.KINDS[kind].required}:
        assert not events.is_valid({key: value for key, value in whole.items() if key != name}), name
    for name in whole.keys() - {"event"}:
        assert not events.is_valid({**whole, name: object()}), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_survives_a_repair(kind: str) -> None:
    """Whole lines of a damaged batch are read back, whatever their kind."""
    batch = ledger.encode([event(events.CREATED), event(kind)])
    damaged = batch.replace(b'"mark"', b'"mork"') + ledger.encode([event(events.SUPERVISOR_STARTED)])
    read = salvage.read(damaged)
    assert [entry["event"] for entry in read.events] == [events.CREATED, kind, events.SUPERVISOR_STARTED]
    assert read.unconfirmed == {0, 1}


def test_every_kind_has_a_step_in_the_state() -> None:
    """The fold of a ledger knows every kind, as one about a task or about the experiment as a whole."""
    of_tasks = {kind for kind, row in events.KINDS.items() if row.is_of_task}
    assert set(state._TASK_EVENTS) == of_tasks
    assert set(state._EXPERIMENT_EVENTS) == set(KINDS) - of_tasks


def test_the_published_schema_has_every_kind_and_every_field() -> None:
    """events.schema.json names the kinds, and describes each field that an event can have."""
    form = json.loads((walk.folder() / "events.schema.json").read_text(encoding="utf-8"))
    assert set(form["properties"]["event"]["examples"]) == set(KINDS)
    assert set(events.FIELDS) - set(form["properties"]) == set()
    used = {name for row in events.KINDS.values() for name in (*row.required, *row.optional)}
    assert used - set(events.FIELDS) == set()


UNCHECKED = {
    "after": "shown as text only",
    "rule": "the same",
    "clock_step": "read by no command",
    "format": "compared with the formats that are known",
    "tasks": "its form depends on the kind",
}
"""Fields of events without a form in `STORED`."""


def test_every_field_has_a_form_that_readers_check() -> None:
    """What was stored is not used as it is, except where its type is of no importance."""
    used = {name for row in events.KINDS.values() for name in (*row.required, *row.optional)}
    assert used - set(events.STORED) == set(UNCHECKED)


def test_an_event_of_a_later_version_is_described_by_its_fields() -> None:
    """A kind that this version does not know is shown with what it says."""
    entry = {"event": "paused", "task": "train", "attempt": 2, "message": "for a while"}
    assert events.describe(entry) == "attempt 2, for a while"
    assert not events.is_valid({**entry, "time": SAMPLES["time"]})


def test_the_end_of_an_attempt_goes_to_the_ledger_and_back_whole() -> None:
    """What an end records is what is read from the ledger, field by field; its start has its own event."""
    end = AttemptEnd(
        status=TaskStatus.FAILED,
        exit_code=3,
        reason=Reason.EXIT,
        message="a message",
        ended=1_795_000_000.5,
        usage=Usage(memory=1, cpu=0.5, gpu_memory=2),
        outputs={"a": 1},
        symptom="lost",
        job_id="17",
        evidence="exit.json",
    )
    assert [field.name for field in fields(end) if getattr(end, field.name) in (None, {})] == ["started"]
    entry = {"event": events.ENDED, "time": "2026-11-18T14:26:40.500Z", **end.to_event()}
    read = AttemptEnd.from_event(entry)
    assert {field.name: getattr(read, field.name) for field in fields(end) if field.name != "ended"} == {
        field.name: getattr(end, field.name) for field in fields(end) if field.name != "ended"
    }
    assert set(end.to_event()) <= {field.name for field in fields(TaskState)}
    assert set(end.to_event()) <= {*events.KINDS[events.ENDED].required, *events.KINDS[events.ENDED].optional}
