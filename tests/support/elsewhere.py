"""An experiment as somebody else may have packed it: it claims to run on a remote cluster and in Docker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from support.hostile_values import batch

from nemorun_cli.system import locks

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import ExperimentFiles

TUNNEL = {"host": "127.0.0.1", "port": 9, "job_dir": "/jobs", "artifacts": ["results/**"]}


def on_engines(document: dict[str, Any], **executors: str) -> dict[str, Any]:
    """A resolved spec whose named tasks run on `cluster`, behind ssh, or in `box`, a container."""
    document["executors"] |= {"cluster": {"type": "slurm", "tunnel": TUNNEL}, "box": {"type": "docker"}}
    for task in document["tasks"]:
        task["executor"] = executors.get(task["id"], "local")
    return document


def interrupted(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events up to a moment at which tasks ran, under a supervisor of this host that is gone."""
    kept = [event for event in events if event["event"] in {"created", "supervisor_started"}]
    for event in kept[1:]:
        event |= {"pid": 2**22 + 1, "host": locks.hostname(), "boot": locks.boot_id()}
    return kept + [event for event in events if event["event"] in {"submitted", "started"}]


def events_of(files: ExperimentFiles) -> list[dict[str, Any]]:
    """The events of a ledger, without its markers."""
    return [entry for entry in map(json.loads, files.ledger.read_text().splitlines()) if "mark" not in entry]


def pretend(files: ExperimentFiles, **executors: str) -> None:
    """Let a finished experiment look as if its tasks still ran on these executors."""
    document = on_engines(json.loads(files.resolved.read_text()), **executors)
    files.resolved.write_text(json.dumps(document))
    files.ledger.write_bytes(batch([json.dumps(event) for event in interrupted(events_of(files))]))
