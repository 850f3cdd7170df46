"""`exp diff`: what is different between two experiments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.cli import tables, terminal
from nemorun_cli.cli.options import ExperimentGiven, Json
from nemorun_cli.cli.tables import Column
from nemorun_cli.experiment import run
from nemorun_cli.model import code_package, wording
from nemorun_cli.model.problems import dotted
from nemorun_cli.storage import spec_revisions
from nemorun_cli.views.reports import spec_diff
from nemorun_cli.views.reports.spec_diff import ABSENT, Difference, Differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.views.snapshot import Snapshot

DIFF_FORMAT: Final = "exp.diff/1"
RESULTS: Final = ("status", "reason", "exit_code", "attempt", "duration", "outputs")
NO_DIFFERENCE: Final = frozenset(("duration",))  # which is shown, but never the same twice


def command(first: ExperimentGiven, second: ExperimentGiven, *, is_json: Json = False) -> None:
    """Show what is different between two experiments: their specs, code, environments and results."""
    old, new = run.find(first).status(), run.find(second).status()
    found = spec_diff.of_specs(
        anonymous(old),
        anonymous(new),
        old_text=spec_revisions.texts(old.files),
        new_text=spec_revisions.texts(new.files),
    )
    code = list(
        spec_diff.of_values(code_package.code(old.spec.packages), code_package.code(new.spec.packages))
    )
    environment = list(spec_diff.of_values(_environment(old), _environment(new)))
    results = list(_results(old, new))
    if is_json:
        terminal.write_json(_document(old, new, found, code=code, environment=environment, results=results))
        return
    sections = {
        "spec": rows(found),
        "code that was shipped": [[str(path[0]), *map(_shown, (one, other))] for path, one, other in code],
        "environment of its start": [[str(path[0]), *_pair(one, other)] for path, one, other in environment],
        "results": _result_rows(results),
    }
    heads = (Column("FIELD"), Column(old.files.id), Column(new.files.id))
    for number, (title, lines) in enumerate((title, lines) for title, lines in sections.items() if lines):
        terminal.write_lines([*([""] if number else []), title])
        tables.show(heads, lines)
    if not any(sections.values()):
        terminal.write_line("no difference")


def _shown(value: Any) -> str:
    """What a file holds, or a commit, by so much of its hash as tells it from others; where a link leads."""
    text = _text(value)
    return text if text.startswith("->") else text[: code_package.SHORT]


def rows(found: Differences) -> list[list[str]]:
    """The differences of two specs as rows of a table: field, before, after."""
    changed = [[_called(one), *_pair(one.before, one.after)] for one in found.fields]
    removed = [[name, "a task", tables.NOTHING] for name in found.removed]
    return [*changed, *removed, *([name, tables.NOTHING, "a task"] for name in found.added)]


def anonymous(snapshot: Snapshot) -> Any:
    """The spec without the experiment's own id and directory, which are never the same in another one."""
    spec, files = snapshot.spec, snapshot.files
    texts = {json.dumps(str(files.directory))[1:-1]: "EXP_DIR", json.dumps(files.id)[1:-1]: "EXP_ID"}
    document = json.dumps(spec.to_json())
    for text, name in texts.items():
        document = document.replace(text, f"${{{name}}}")
    return type(spec).from_json(json.loads(document))


def _environment(snapshot: Snapshot) -> dict[str, Any]:
    found = snapshot.history.created.get("environment")
    return found if isinstance(found, dict) else {}


def _results(old: Snapshot, new: Snapshot) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The tasks of both that came out differently: each with its results here and there."""
    places = {task.id: index for index, task in enumerate(new.spec.tasks)}
    for index, task in enumerate(old.spec.tasks):
        if task.id not in places:
            continue
        one, other = old.task_json(task.id, index), new.task_json(task.id, places[task.id])
        before, after = ({key: entry[key] for key in RESULTS} for entry in (one, other))
        if any(before[key] != after[key] for key in RESULTS if key not in NO_DIFFERENCE):
            yield task.id, before, after


def _document(
    old: Snapshot,
    new: Snapshot,
    found: Differences,
    *,
    code: Sequence[tuple[Any, Any, Any]],
    environment: Sequence[tuple[Any, Any, Any]],
    results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]],
) -> dict[str, Any]:
    """The document `exp.diff/1`."""
    sides = [
        {
            "id": one.files.id,
            "name": one.spec.name,
            "status": one.status,
            "rerun_of": one.history.created.get("rerun_of"),
        }
        for one in (old, new)
    ]
    return {
        "schema": DIFF_FORMAT,
        "before": sides[0],
        "after": sides[1],
        "spec": [one.to_json() for one in found.fields],
        "added": list(found.added),
        "removed": list(found.removed),
        "code": [Difference(path=path, before=one, after=other).to_json() for path, one, other in code],
        "environment": [
            Difference(path=path, before=before, after=after).to_json() for path, before, after in environment
        ],
        "results": [{"task": name, "before": before, "after": after} for name, before, after in results],
    }


def _result_rows(results: Sequence[tuple[str, dict[str, Any], dict[str, Any]]]) -> list[list[str]]:
    found = []
    for name, before, after in results:
        found.append([name, _ending(before), _ending(after)])
        for path, one, other in spec_diff.of_values(before["outputs"], after["outputs"]):
            found.append([f"{name}: {dotted(path)}", *_pair(one, other)])
    return found


def _ending(result: dict[str, Any]) -> str:
    """How a task came out, in a few words."""
    parts = [result["status"], result["reason"] or ""]
    parts.append("" if result["exit_code"] in (None, 0) else f"exit code {result['exit_code']}")
    parts.append(f"attempt {result['attempt']}" if result["attempt"] > 1 else "")
    parts.append("" if result["duration"] is None else wording.seconds(result["duration"]))
    return ", ".join(part for part in parts if part)


def _called(one: Difference) -> str:
    """A field with the task that it is of, or the group and how many of it."""
    field = dotted(one.path)
    if not one.tasks:
        return field
    if one.group is None or len(one.tasks) == 1:
        return f"{one.tasks[0]}: {field}"
    return f"{one.group} ({len(one.tasks)} members): {field}"


def _pair(before: Any, after: Any) -> tuple[str, str]:
    """Two values for people, cut to where they begin to differ if they are long."""
    one, other = _text(before), _text(after)
    if max(len(one), len(other)) <= LONGEST:
        return one, other
    same = next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    start = max(0, same - LONGEST // 3)
    return _cut(one, start), _cut(other, start)


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
