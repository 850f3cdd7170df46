"""The runs of NeMo-Run in the same home, as far as their files show; these are only read."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.clock import stamp
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from nemorun_cli.storage.paths import ForeignRun, Home

LARGEST: Final = 1 << 26  # bytes of the list of tasks, which holds their arguments
LATEST_SECOND: Final = 1 << 34  # larger numbers in an id are nanoseconds

_TIME: Final = re.compile(r"_(\d{1,20})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class ForeignSummary:
    """One run of NeMo-Run. It does not record how its tasks ended, so there is no status."""

    id: str
    title: str
    created: str | None  # by its id, else by its first file; None if that was removed meanwhile
    tasks: int | None  # tasks and groups; None if their list cannot be read
    directory: Path

    def to_json(self) -> dict[str, Any]:
        """An entry of `foreign` in `exp.list/1`."""
        return {
            "id": self.id,
            "title": self.title,
            "created": self.created,
            "tasks": self.tasks,
            "directory": str(self.directory),
        }


def newest_first(home: Home) -> list[ForeignSummary]:
    """The runs of NeMo-Run in this home."""
    found = [_summary(run) for run in home.foreign()]
    return sorted(found, key=lambda each: (each.created or "", each.id), reverse=True)


def _summary(run: ForeignRun) -> ForeignSummary:
    directory = run.directory
    return ForeignSummary(
        id=directory.name,
        title=directory.parent.name,
        created=_created(run),
        tasks=_count(run.tasks),
        directory=directory,
    )


def _created(run: ForeignRun) -> str | None:
    if match := _TIME.search(run.directory.name):
        number = int(match[1])
        return stamp(number if number < LATEST_SECOND else number / 1e9)
    try:
        return stamp(run.config.stat().st_mtime)
    except OSError:
        return None


def _count(path: Path) -> int | None:
    try:
        tasks = json.loads(read_bytes(path, limit=LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return len(tasks) if isinstance(tasks, list) else None
