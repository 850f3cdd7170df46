"""The differences between two resolved specs, field by field. No effects.

Fields are read from the dataclasses: a new field of a task or a spec needs no change in this module.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from nemorun_cli.model.problems import dotted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Group, Spec, Task
    from nemorun_cli.storage.spec_revisions import Texts

# Fields derived from other fields, or from the position in a file; not differences of their own.
_DERIVED: Final = frozenset(("id", "index", "kind", "body", "group", "late", "searched", "twins", "variants"))
_APART: Final = frozenset(("tasks", "groups", "revision", "removed", "packages", "strict_inline"))
_OF_WATCHING: Final = frozenset(("detach", "tail_logs", "direct"))  # how a command follows the run
_OF_GROUPS: Final = frozenset(("id", "members"))
TEXT: Final = "text of the script"  # the field for the content of a script's file

Forms: TypeAlias = "dict[tuple[int, int], list[tuple[Place, Any, Any]]]"
"""The differences of the forms of trials, by the identities of both."""


class _Absent:
    """The value of a missing field."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field with two values; ABSENT if it is missing.

    `tasks` are the tasks with this field, which all have the same two values; empty for a field of the
    spec. `path` is the field's path in the task or the spec.
    """

    path: Place
    before: Any
    after: Any
    tasks: tuple[str, ...] = ()
    group: str | None = None  # the group of all these tasks

    def to_json(self) -> dict[str, Any]:
        """An entry of `spec` in `exp.diff/1` and of `changes` in `exp.resume/1`."""
        return {
            "tasks": list(self.tasks),
            "path": dotted(self.path),
            "change": "added" if self.before is ABSENT else "removed" if self.after is ABSENT else "changed",
            "before": None if self.before is ABSENT else self.before,
            "after": None if self.after is ABSENT else self.after,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """All differences; `removed` and `added` are the tasks that only the old or the new spec has."""

    fields: tuple[Difference, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def of_specs(before: Spec, after: Spec, *, old_text: Texts, new_text: Texts) -> Differences:
    """The differences between two specs.

    Args:
        before: the old spec.
        after: the new spec.
        old_text: returns the content of a script of the old spec.
        new_text: returns the content of a script of the new spec.
    """
    old, new = ({task.id: task for task in spec.tasks} for spec in (before, after))
    of_forms: Forms = {}
    distinct: dict[tuple[Any, ...], Difference] = {}
    members: dict[tuple[Any, ...], list[str]] = {}
    for name, task in old.items():
        if name not in new:
            continue
        for difference in (
            *of_tasks(task, new[name], old_text=old_text, new_text=new_text),
            *_of_variants(task, new[name], of_forms, old_text=old_text, new_text=new_text),
        ):
            # All members of a sweep with the same two values are one difference.
            key = (task.group or name, difference.path, _key(difference.before), _key(difference.after))
            distinct.setdefault(key, difference)
            members.setdefault(key, []).append(name)
    spec_differences = [
        Difference(path=path, before=old_value, after=new_value)
        for path, old_value, new_value in of_values(_of_spec(before, after), _of_spec(after, before))
    ]
    task_differences = [
        Difference(
            path=difference.path,
            before=difference.before,
            after=difference.after,
            tasks=tuple(members[key]),
            group=key[0] if members[key] != [key[0]] else None,
        )
        for key, difference in distinct.items()
    ]
    return Differences(
        fields=(*spec_differences, *task_differences),
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
    )


def of_tasks(before: Task, after: Task, *, old_text: Texts, new_text: Texts) -> Iterator[Difference]:
    """The fields in which two versions of one task differ."""
    for path, old_value, new_value in of_values(_of_task(before), _of_task(after)):
        yield Difference(path=path, before=old_value, after=new_value, tasks=(after.id,))
    if before.kind == after.kind == "script" and not (_has_bodies(before) and _has_bodies(after)):
        old, new = old_text(str(before.body)), new_text(str(after.body))
        if old != new:
            yield Difference(path=(TEXT,), before=old, after=new, tasks=(after.id,))


def _has_bodies(task: Task) -> bool:
    """Whether the forms of a trial differ in what they run."""
    return task.variants is not None and "body" in task.variants.entries[0].fields


def _of_variants(
    before: Task, after: Task, known: Forms, *, old_text: Texts, new_text: Texts
) -> Iterator[Difference]:
    """The fields in which the forms that a trial can take differ; all trials of a search share these."""
    key = id(before.variants), id(after.variants)
    if key not in known:
        forms = _forms(before, old_text), _forms(after, new_text)
        known[key] = list(of_values(*forms, ("forms",)))
    for path, old_value, new_value in known[key]:
        yield Difference(path=path, before=old_value, after=new_value, tasks=(after.id,))


def _forms(task: Task, text: Texts) -> dict[str, Any]:
    """The fields of each form of a trial by the values that decide it, as one text."""
    return {
        ", ".join(f"{name}={shown(value)}" for name, value in sorted(entry.values.items())): {
            **{name: _plain(value) for name, value in entry.fields.items() if name not in _DERIVED},
            **_body(task, entry.fields, text),
        }
        for entry in (task.variants.entries if task.variants is not None else ())
    }


def _body(task: Task, fields: Mapping[str, Any], text: Texts) -> dict[str, Any]:
    """What a form of a trial runs, if forms differ in that."""
    if "body" not in fields:
        return {}
    body: dict[str, Any] = {str(task.kind): _plain(fields["body"])}
    return body if task.kind != "script" else {**body, TEXT: text(str(fields["body"]))}


def of_values(before: Any, after: Any, path: Place = ()) -> Iterator[tuple[Place, Any, Any]]:
    """The paths at which two values differ, comparing mappings by key and lists of equal length by item."""
    if type(before) is type(after) and before == after and not isinstance(before, (dict, list)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from of_values(before.get(key, ABSENT), after.get(key, ABSENT), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old_item, new_item) in enumerate(zip(before, after, strict=True)):
            yield from of_values(old_item, new_item, (*path, index))
    elif _key(before) != _key(after):
        yield path, before, after


def _key(value: Any) -> str:
    """A text that is equal for equal values of equal types."""
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True, default=str)


def _of_task(task: Task) -> dict[str, Any]:
    """A task's own fields; its body is under the key of its kind."""
    varying = frozenset() if task.variants is None else task.variants.entries[0].fields.keys()
    values = _fields(task, without=_DERIVED | varying)
    if "body" not in varying:
        values = {task.kind: _plain(task.body)} | values
    for pointer, text in task.searched.items():
        with suppress(LookupError, TypeError, ValueError):  # of no field, in a spec of another program
            _put(values, pointer[1:].split("/"), text)
    # Values of a matrix in another order are the same members: what depends on all of them is the same.
    return {**values, "dependencies": sorted(task.dependencies)}


def _put(value: Any, keys: list[str], text: str) -> None:
    """Put the text of a field that depends on the values of a trial in place of the value of a sample."""
    for key in keys[:-1]:
        value = value[int(key) if isinstance(value, list) else key]
    value[int(keys[-1]) if isinstance(value, list) else keys[-1]] = text


def _of_spec(spec: Spec, other: Spec) -> dict[str, Any]:
    """A spec's own fields, and those of the groups that both specs have."""
    shared = {group.id for group in other.groups}
    groups = {group.id: _of_group(group) for group in spec.groups if group.id in shared}
    run = _fields(spec.run, without=_OF_WATCHING)
    return {**_fields(spec, without=_APART), "run": run, "groups": groups}


def _of_group(group: Group) -> dict[str, Any]:
    """A group's fields; the params of a search by their names."""
    values = _fields(group, without=_OF_GROUPS)
    if group.search is not None:
        values["search"]["params"] = {param["name"]: param for param in values["search"]["params"]}
    return values


def _fields(value: Any, *, without: Iterable[str]) -> dict[str, Any]:
    return {
        item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name not in without
    }


def _plain(value: Any) -> Any:
    """The value in JSON types, with strings as the keys of mappings."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
