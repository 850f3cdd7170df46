"""The JSON documents about records, their files and their comparison, for the commands and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.tracking.store.file_index import full_path

if TYPE_CHECKING:
    from nemorun_cli.experiment.records.compare import Comparison
    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.experiment.records.grouping import GroupedComparison, RowGroup
    from nemorun_cli.experiment.records.targets import TargetRecord
    from nemorun_cli.tracking.outbox.delivery import Delivery
    from nemorun_cli.tracking.store.file_index import File

RECORDS_FORMAT: Final = "exp.records/1"
FILES_FORMAT: Final = "exp.files/1"
COMPARE_FORMAT: Final = "exp.compare/1"


def of_record(chosen: TargetRecord, delivery: Delivery | None = None) -> dict[str, Any]:
    """An entry of `records` in `exp.records/1`; `delivery` is how much of it has arrived on its server."""
    last, record = chosen.decisive, chosen.record
    return {
        **chosen.to_json(),
        "reason": last.reason,
        "message": last.message,
        "opened": chosen.openings[0].opened,
        "ended": last.ended,
        "description": record.description,
        "tags": record.tags,
        "notes": [note.to_json() for note in record.notes],
        "bindrs": record.bindrs,
        "metadata": record.metadata,
        "sync": None if delivery is None else delivery.to_json(),
        "openings": [
            {
                "id": opening.id,
                "generation": opening.generation,
                "status": str(opening.status),
                "state": opening.state,
                "opened": opening.opened,
                "ended": opening.ended,
                "experiment": opening.facts.get("exp_id"),
                "task": opening.facts.get("task"),
                "attempt": opening.facts.get("attempt"),
                "host": opening.facts.get("host"),
                "pid": opening.facts.get("pid"),
            }
            for opening in chosen.openings
        ],
    }


def of_file(record: TargetRecord, file: File) -> dict[str, Any]:
    """A file in `exp.files/1`, without the fields of its record."""
    return {
        "name": full_path(file),
        "version": file["version"],
        "bytes": file["sizeBytes"],
        "type": file["contentType"],
        "checksum": file["checksum"],
        "saved": file["uploadedAt"],
        "tags": file["tags"],
        "bindrs": file["bindrs"],
        "description": file["description"],
        "metadata": file["metadata"],
        "path": record.data.files.content_path(file),
    }


def comparison(compared: Comparison, grouped: GroupedComparison | None) -> dict[str, Any]:
    """The document `exp.compare/1`."""
    best = compared.best
    document: dict[str, Any] = {
        "schema": COMPARE_FORMAT,
        "differing": compared.differing,
        "rows": [row.to_json() for row in compared.rows],
        "best": None if best is None else {"metric": best.key.title, "goal": str(best.goal)},
        "ties": [],
        "excluded": [],
    }
    if best is not None:
        document["excluded"] = [
            {**_identity(row), "reason": str(why.reason), "message": why.message}
            for row, why in best.excluded
        ]
        document["ties"] = [_identity(row) for row in best.ties] if grouped is None else []
    if grouped is not None:
        document["group_by"], document["over"] = [key.title for key in grouped.by], grouped.over
        document["groups"] = [_group(group, grouped) for group in grouped.groups]
        document["group_ties"] = [_group(group, grouped) for group in grouped.ties]
    return document


def _identity(row: ComparedRow) -> dict[str, Any]:
    entry = row.of.to_json()
    return {name: entry[name] for name in ("prefix", "task", "experiment", "status")}


def _group(group: RowGroup, grouped: GroupedComparison) -> dict[str, Any]:
    return {
        "task": group.task,
        "params": group.values,
        "runs": len(group.members),
        "counts": dict(group.statuses),
        "members": [_identity(row) for row in group.members],
        "metrics": {key.title: group.spread(key).to_json() for key in grouped.of.columns},
    }
