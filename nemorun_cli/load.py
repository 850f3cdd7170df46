"""From a spec's YAML to a resolved Spec, or to all of its problems at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nemorun_cli.errors import SpecError
from nemorun_cli.problems import Problem
from nemorun_cli.spec import Group, Identity, Retry, RunOptions, Spec, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Document", "Identity", "read", "resolve", "validate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A spec that was read and checked, not yet bound to an experiment."""

    name: str
    run: RunOptions
    text: str
    path: Path
    data: dict[str, Any] = field(repr=False)


def read(
    source: Path | str | Mapping[str, Any],
    *,
    params: Sequence[str] = (),
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    executor_schemas: Callable[[str], Mapping[str, Any] | None] | None = None,
    executor_types: Sequence[str] = ("local",),
) -> Document:
    """The spec, checked; raises SpecError with all problems."""
    del params, sets, executor_schemas, executor_types, only
    path = Path(source) if isinstance(source, (str, Path)) else Path("spec.yaml")
    try:
        text = path.read_text() if isinstance(source, (str, Path)) else yaml.safe_dump(dict(source))
        data = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as fault:
        raise SpecError([Problem(message=str(fault), file=str(path))]) from fault
    if not isinstance(data, dict) or "tasks" not in data:
        raise SpecError([Problem(message="no tasks", file=str(path))])
    run = {key: value for key, value in data.get("run", {}).items() if key in RunOptions.__slots__}
    return Document(name=data.get("name", path.stem), run=RunOptions(**run), text=text, path=path, data=data)


def resolve(document: Document, identity: Identity) -> Spec:
    """The spec as one experiment runs it."""
    del identity
    data, folder = document.data, str(document.path.absolute().parent)
    tasks: list[Task] = []
    groups: list[Group] = []
    members: dict[str, tuple[str, ...]] = {}
    for name, entry in data["tasks"].items():
        entries = entry.get("group", [entry])
        ids = tuple(f"{name}/{item.get('name', i)}" for i, item in enumerate(entries)) if "group" in entry else (name,)
        members[name] = ids
        if "group" in entry:
            groups.append(Group(id=name, members=ids))
        for task_id, item in zip(ids, entries, strict=True):
            merged = {**data.get("defaults", {}), **entry, **item}
            kind = next(kind for kind in ("script", "inline", "command", "partial") if kind in item)
            body = item[kind]
            tasks.append(
                Task(
                    id=task_id, index=len(tasks), kind=kind,  # type: ignore[arg-type]
                    body=(body.split() if isinstance(body, str) else tuple(body)) if kind == "command" else body,
                    executor=merged.get("executor", data.get("executor", "local")),
                    workdir=str(Path(folder, merged.get("workdir", "."))),
                    group=name if "group" in entry else None,
                    args=merged.get("args", {}) if kind == "partial" else tuple(map(str, merged.get("args", ()))),
                    entrypoint=tuple(str(merged.get("entrypoint", "python3" if kind == "partial" else "bash")).split()),
                    env={**data.get("env", {}), **merged.get("env", {})},
                    dependencies=tuple(m for d in merged.get("dependencies", ()) for m in members.get(d, (d,))),
                    dependency_type=merged.get("dependency_type", "afterok"),
                    retry=Retry(**merged.get("retry", {})),
                    timeout=merged.get("timeout"),
                    allow_failure=merged.get("allow_failure", False),
                )
            )
    return Spec(
        name=document.name, folder=folder, tasks=tuple(tasks), groups=tuple(groups), run=document.run,
        executors={"local": {"type": "local"}, **data.get("executors", {})}, params=data.get("params", {}),
    )


def validate(source: Path | str | Mapping[str, Any], *, params: Sequence[str] = (), sets: Sequence[str] = ()) -> Spec:
    """The spec as it would be resolved, with a tentative identity."""
    document = read(source, params=params, sets=sets)
    name = document.name
    return resolve(document, Identity(f"{name}_0", name, f"/experiments/{name}/{name}_0"))
