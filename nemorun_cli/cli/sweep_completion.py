"""Completion of `--sweep`: the params of the spec on the command line, then the values that it names for one.

The spec is read as text: no program that stands for a spec is run, and no file that it includes is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from nemorun_cli.cli import completion
from nemorun_cli.errors import ExpError
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LARGEST: Final = 1 << 22  # bytes of a spec


def values(ctx: typer.Context, incomplete: str) -> list[str]:
    """`PARAM=` for each param; behind `=` and each comma the values that are not on the command line yet.

    They are the `choices` of the param or, without any, the values of axes of its name and its default.
    """
    spec = _spec(ctx)
    params = spec.get("params")
    if not isinstance(params, dict):
        return []
    name, equals, typed = incomplete.partition("=")
    if not equals:
        return completion.offered((f"{each}=" for each in params), incomplete)
    before, comma, _ = typed.rpartition(",")
    used = set(before.split(","))
    texts = dict.fromkeys(text for value in _known(spec, name) if (text := _text(value)) is not None)
    lead = f"{name}={before}{comma}"
    return completion.offered((lead + text for text in texts if text not in used), incomplete)


def _spec(ctx: typer.Context) -> Mapping[str, Any]:
    """The content of the spec on an unfinished command line, or of that of the experiment there."""
    words = [*ctx.args, *(ctx.params.get(name) for name in ("spec", "which"))]
    for word in words:
        if not isinstance(word, str) or word.startswith("-"):
            continue
        path = Path(word)
        if not word.endswith(completion.SPEC_ENDINGS):
            if path.suffix or (found := _experiment(word)) is None:
                continue
            path = found
        return _content(path)
    return {}


def _experiment(which: str) -> Path | None:
    from nemorun_cli.experiment.lookup import find_files  # noqa: PLC0415 - only for a rerun

    try:
        return find_files(which, Home.from_environment()).spec
    except (ExpError, OSError):
        return None


def _content(path: Path) -> Mapping[str, Any]:
    from nemorun_cli.spec.yaml.parser import parse  # noqa: PLC0415 - only to complete params
    from nemorun_cli.spec.yaml.source import SpecSource  # noqa: PLC0415 - the same

    try:
        content = parse(SpecSource(read_bytes(path, limit=LARGEST).decode(), file=str(path)))
    except (ExpError, OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _known(spec: Mapping[str, Any], name: str) -> Iterator[Any]:
    """The values that a spec names for a param."""
    entry = spec["params"].get(name)
    is_declared = isinstance(entry, dict)
    if is_declared and isinstance(entry.get("choices"), list):
        yield from entry["choices"]
        return
    tasks = spec.get("tasks")
    for task in tasks.values() if isinstance(tasks, dict) else ():
        axes = task.get("matrix") if isinstance(task, dict) else None
        axis = axes.get(name) if isinstance(axes, dict) else None
        yield from axis if isinstance(axis, list) else ()
    yield entry.get("default") if is_declared else entry


def _text(value: Any) -> str | None:
    """A value as `--sweep` takes it; None for one that would need quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return getattr(value, "written", None) or str(value)
    is_word = isinstance(value, str) and value.replace("-", "").replace("_", "").isalnum()
    return value if is_word and not value[0].isdigit() else None
