"""Homes with many experiments that never ran: their ledgers say how they ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.storage import ledger

if TYPE_CHECKING:
    from pathlib import Path

NAMES: Final = ("nightly", "vit-finetune", "lr-range", "tokenizer-scan", "export-onnx", "sweep_failures")
TAGS: Final = ("vision", "digits", "text", "audio")
STATUSES: Final = ("COMPLETED",) * 8 + ("FAILED", "CANCELLED")
EXECUTORS: Final = ("local", "cluster", "gpu-box")
BETWEEN: Final = timedelta(minutes=11)
TASK: Final = {"kind": "inline", "body": "true", "workdir": "/", "entrypoint": ["bash", "-e"]}
SPEC: Final[dict[str, Any]] = {
    "schema": "exp.resolved/1",
    "folder": "/",
    "groups": [],
    "run": {
        **dict.fromkeys(("detach", "sequential", "tail_logs", "direct"), False),
        **dict.fromkeys(("max_parallel", "max_failures", "timeout"), None),
    },
    **{name: {} for name in ("params", "env", "secrets", "tracking")},
    **{name: [] for name in ("bindrs", "plugins", "packages", "removed", "external")},
    "prefix": None,
    "title": None,
    "revision": 1,
    "strict_inline": True,
}


def make(home: Path, number: int, *, latest: datetime | None = None) -> None:
    """Write so many experiments, each eleven minutes before the one after it."""
    time = latest or datetime.now(UTC) - BETWEEN
    for place in range(number):
        _write(home, place, time)
        time -= BETWEEN


def _write(home: Path, place: int, time: datetime) -> None:
    name, status = NAMES[place % len(NAMES)], STATUSES[place % len(STATUSES)]
    experiment_id = f"{name}_{int(time.timestamp())}"
    folder = home / "experiments" / name / experiment_id
    folder.mkdir(parents=True)
    executor, tag = EXECUTORS[place % len(EXECUTORS)], TAGS[place % len(TAGS)]
    others = {"COMPLETED": "SUCCEEDED"}.get(status, status)
    about = {"name": name, "tags": [tag], "description": f"The run before the last {place} ones"}
    spec = {
        **SPEC,
        **about,
        "directory": str(folder),
        "executors": {executor: {"type": "local"}},
        "tasks": [{**TASK, "id": f"t{index}", "index": index, "executor": executor} for index in range(3)],
    }
    (folder / "resolved.json").write_text(json.dumps(spec))
    by = f"{('alice', 'bo', 'carol')[place % 3]}@box:1 (exp run)"
    created = {
        **about,
        "id": experiment_id,
        "format": "exp.ledger/1",
        "tasks": 3,
        "title": None,
        "key": None,
        "rerun_of": None,
        "prefix": f"alice/{name}/{experiment_id}",
        "home": str(home),
        "version": "0.1.0",
    }
    del created["description"]
    events: list[dict[str, Any]] = [{"event": "created", **created}]
    if status == "CANCELLED":
        events.append({"event": "cancel_requested", "tasks": None})
    for index, end in enumerate(("SUCCEEDED", "SUCCEEDED", others)):
        of = {"task": f"t{index}", "attempt": 1}
        code = {"SUCCEEDED": 0, "FAILED": 1, "CANCELLED": None}[end]
        reason = {"reason": {"FAILED": "exit", "CANCELLED": "cancelled"}[end]} if end != "SUCCEEDED" else {}
        events += [
            {"event": "submitted", **of},
            {"event": "started", **of, "job_id": "1"},
            {"event": "ended", **of, "status": end, "exit_code": code, "job_id": "1", **reason},
        ]
    counts = {"SUCCEEDED": 3} if others == "SUCCEEDED" else {"SUCCEEDED": 2, others: 1}
    events.append({"event": "finished", "status": status, "active": 60.0 + place % 900, "counts": counts})
    stamped = []
    for event in events:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        stamped.append({"event": event["event"], "time": stamp, "by": by, **event})
    (folder / "ledger.jsonl").write_bytes(ledger.encode(stamped))
