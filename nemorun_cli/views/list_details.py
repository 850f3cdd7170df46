"""What lists know of an experiment in addition to its ledger: from its spec, and what is searched in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.storage.paths import ExperimentFiles

LARGEST: Final = 1 << 26  # bytes of a resolved spec
LONGEST: Final = 200  # characters of a description or a message; an experiment's own view has all of it


def spec_document(files: ExperimentFiles) -> Any:
    """The resolved spec of an experiment as plain data; None if it cannot be read."""
    try:
        return json.loads(files.read(files.resolved, limit=LARGEST))
    except (ExpError, OSError, ValueError, RecursionError):
        return None


def executors(document: Any) -> list[str]:
    """The names of the executors of a resolved spec's tasks, each once."""
    if not isinstance(document, dict):
        return []
    shared = document.get("shared")
    parts = [*_list(document.get("tasks")), *(shared.values() if isinstance(shared, dict) else ())]
    parts += [fields for part in parts if isinstance(part, dict) for fields in _forms(part.get("variants"))]
    names = (part.get("executor") for part in parts if isinstance(part, dict))
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _forms(variants: Any) -> list[Any]:
    """The fields of the forms that a trial can take."""
    entries = _list(variants.get("entries")) if isinstance(variants, dict) else []
    return [entry.get("fields") for entry in entries if isinstance(entry, dict)]


def description(document: Any) -> str | None:
    """The first line of a resolved spec's description."""
    return first_line(document.get("description")) if isinstance(document, dict) else None


def searched(experiment_id: str, title: str | None, description: str | None, tags: Sequence[str]) -> str:
    """What a text is searched in, in lower case."""
    return "\n".join([experiment_id, title or "", description or "", *tags]).lower()


def first_line(text: Any) -> str | None:
    """The first line of a text, shortened; None for what is none."""
    if not isinstance(text, str) or not (lines := text.strip().splitlines()):
        return None
    return lines[0] if len(lines[0]) <= LONGEST else f"{lines[0][: LONGEST - 1]}…"


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
