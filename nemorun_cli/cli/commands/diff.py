"""`exp diff`: the differences between two experiments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from nemorun_cli.cli import completion, tables, terminal
from nemorun_cli.cli.options import Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment import run
from nemorun_cli.model import code_package, wording
from nemorun_cli.model.problems import dotted
from nemorun_cli.storage import shipped_code, spec_revisions
from nemorun_cli.views.reports import spec_diff
from nemorun_cli.views.reports.spec_diff import ABSENT, Difference, Differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.views.snapshot import Snapshot

DIFF_FORMAT: Final = "exp.diff/1"
RESULTS: Final = ("status", "reason", "exit_code", "attempt", "duration", "active", "outputs")
NO_DIFFERENCE: Final = frozenset(("duration", "active"))  # shown, but always different


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
    spec_differences = spec_diff.of_specs(
        anonymous(old),
        anonymous(new),
        old_text=spec_revisions.texts(old.files),
        new_text=spec_revisions.texts(new.files),
    )
    before, after = (shipped_code.contents(each.spec.packages) for each in (old, new))
    code = list(spec_diff.of_values(before, after))
    environment = list(spec_diff.of_values(_environment(old), _environment(new)))
    results = list(_results(old, new))
    if is_json:
        document = _document(old, new, spec_differences, code=code, environment=environment, results=results)
        terminal.write_json(document)
        return
    sections = {
        "spec": rows(spec_differences),
        "shipped code": [[str(path[0]), _shown(before), _shown(after)] for path, before, after in code],
        "environment at start": [
            [str(path[0]), *_pair(before, after)] for path, before, after in environment
        ],
        "results": _result_rows(results),
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


def anonymous(snapshot: Snapshot) -> Any:
    """The spec without the experiment's id and directory, which always differ between experiments."""
    spec, files = snapshot.spec, snapshot.files
    texts = {json.dumps(str(files.directory))[1:-1]: "EXP_DIR", json.dumps(files.id)[1:-1]: "EXP_ID"}
    document = json.dumps(spec.to_json())
    for text, name in texts.items():
        document = document.replace(text, f"${{{name}}}")
    return type(spec).from_json(json.loads(document))


def _environment(snapshot: Snapshot) -> dict[str, Any]:
    environment = snapshot.history.created.get("environment")
    return environment if isinstance(environment, dict) else {}


def _results(old: Snapshot, new: Snapshot) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The common tasks whose results differ: id, results before, results after."""
    indices = {task.id: index for index, task in enumerate(new.spec.tasks)}
    for index, task in enumerate(old.spec.tasks):
        if task.id not in indices:
            continue
        entries = old.task_json(task.id, index), new.task_json(task.id, indices[task.id])
        before, after = ({key: entry[key] for key in RESULTS} for entry in entries)
        if any(before[key] != after[key] for key in RESULTS if key not in NO_DIFFERENCE):
            yield task.id, before, after


def _document(
    old: Snapshot,
    new: Snapshot,
    spec_differences: Differences,
    *,
    code: Sequence[tuple[Any, Any, Any]],
    environment: Sequence[tuple[Any, Any, Any]],
    results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]],
) -> dict[str, Any]:
    """The document `exp.diff/1`."""
    sides = [
        {
            "id": snapshot.files.id,
            "name": snapshot.spec.name,
            "status": snapshot.status,
            "rerun_of": snapshot.history.created.get("rerun_of"),
        }
        for snapshot in (old, new)
    ]
    return {
        "schema": DIFF_FORMAT,
        "before": sides[0],
        "after": sides[1],
        "spec": [change.to_json() for change in spec_differences.fields],
        "added": list(spec_differences.added),
        "removed": list(spec_differences.removed),
        "code": [Difference(path=path, before=before, after=after).to_json() for path, before, after in code],
        "environment": [
            Difference(path=path, before=before, after=after).to_json() for path, before, after in environment
        ],
        "results": [{"task": name, "before": before, "after": after} for name, before, after in results],
    }


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
