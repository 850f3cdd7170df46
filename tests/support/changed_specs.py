"""Changed specs for an experiment, and what a resume would do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from support.workspace import Exp


def change(spec: Path, *replacements: tuple[str, str]) -> Path:
    """The spec with texts replaced."""
    text = spec.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    spec.write_text(text)
    return spec


def plan(exp: Exp, *options: str | Path) -> dict[str, Any]:
    """What a resume of `study` would do, by task, and the rest of the document."""
    document = exp("resume", "study", "--dry-run", "--json", *options).json
    return {**document, "tasks": {task["id"]: (task["action"], task["reason"]) for task in document["tasks"]}}


def attempts(exp: Exp) -> dict[str, int]:
    """The present attempt of each task."""
    return {task["id"]: task["attempt"] for task in exp.status()["tasks"]}
