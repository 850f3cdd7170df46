"""`exp diff`: the differences between two experiments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, tables, terminal
from nemorun_cli.cli.options import Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment import difference, run
from nemorun_cli.model import code_package, wording
from nemorun_cli.model.problems import dotted
from nemorun_cli.views.reports import spec_diff
from nemorun_cli.views.reports.spec_diff import ABSENT, Difference, Differences

if TYPE_CHECKING:
    from collections.abc import Sequence


def command(
    first: Annotated[
        str,
        typer.Argument(
            metavar="OLD",
            help="Experiment name, id, id prefix, or `latest`.",
            autocompletion=completion.experiments,
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(
            metavar="NEW", help="Experiment to compare it with.", autocompletion=completion.experiments
        ),
    ],
    *,
    is_json: Json = False,
) -> None:
    """Show the differences between two experiments.

    Compares their specs, shipped code, environments and results.

    Examples:
      exp diff training_1795899919 latest
      exp diff baseline training --json      the latest of each name
    """
    old, new = run.find(first).status(), run.find(second).status()
    found = difference.between(old, new)
    if is_json:
        terminal.write_json(found.to_json())
        return
    sections = {
        "spec": rows(found.spec),
        "shipped code": [[str(path[0]), _shown(before), _shown(after)] for path, before, after in found.code],
        "environment at start": [
            [str(path[0]), *_pair(before, after)] for path, before, after in found.environment
        ],
        "results": _result_rows(found.results),
    }
    ids = (old.files.id, new.files.id)
    heads = (Column("FIELD"), *(Column(experiment_id, is_flexible=True) for experiment_id in ids))
    for number, (title, lines) in enumerate((title, lines) for title, lines in sections.items() if lines):
        terminal.write_lines([*([""] if number else []), title])
        tables.show(heads, lines)
    if not any(sections.values()):
        terminal.write_line("no differences")


def _shown(value: Any) -> str:
    """A file's content or a commit as a short hash; a link as its target."""
    text = _text(value)
    return text if text.startswith("->") else text[: code_package.SHORT]


def rows(spec_differences: Differences) -> list[list[str]]:
    """The differences between two specs as rows of a table: field, before, after."""
    changed = [
        [_field_name(change), *_pair(change.before, change.after)] for change in spec_differences.fields
    ]
    removed = [[name, "a task", tables.NOTHING] for name in spec_differences.removed]
    return [*changed, *removed, *([name, tables.NOTHING, "a task"] for name in spec_differences.added)]


def _result_rows(results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]) -> list[list[str]]:
    table = []
    for name, before, after in results:
        table.append([name, _ending(before), _ending(after)])
        for path, old, new in spec_diff.of_values(before["outputs"], after["outputs"]):
            table.append([f"{name}: {dotted(path)}", *_pair(old, new)])
    return table


def _ending(result: dict[str, Any]) -> str:
    """A task's result in a few words."""
    parts = [result["status"], result["reason"] or ""]
    parts.append("" if result["exit_code"] in (None, 0) else f"exit code {result['exit_code']}")
    parts.append(f"attempt {result['attempt']}" if result["attempt"] > 1 else "")
    parts.append(wording.seconds(result["active"]))
    return ", ".join(part for part in parts if part)


def _field_name(change: Difference) -> str:
    """A field with its task, or with its group and the number of members."""
    field = dotted(change.path)
    if not change.tasks:
        return field
    if change.group is None or len(change.tasks) == 1:
        return f"{change.tasks[0]}: {field}"
    return f"{change.group} ({len(change.tasks)} members): {field}"


def _pair(before: Any, after: Any) -> tuple[str, str]:
    """Two values for people; long ones are cut to the part where they begin to differ."""
    old, new = _text(before), _text(after)
    if max(len(old), len(new)) <= LONGEST:
        return old, new
    same = next(
        (index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
        min(len(old), len(new)),
    )
    start = max(0, same - LONGEST // 3)
    return _cut(old, start), _cut(new, start)


LONGEST: Final = 60  # characters of a value in a table


def _cut(text: str, start: int) -> str:
    if len(text) <= LONGEST:
        return text
    end = start + LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _text(value: Any) -> str:
    if value is None or value is ABSENT:
        return tables.NOTHING
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
