"""What is different between two resolved specs, field by field. No effects.

Fields are found in the values themselves: a new one of a task or a spec needs no line here.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Spec, Task
    from nemorun_cli.storage.spec_revisions import Texts

# What follows from other fields, or from the place in a file, and is no difference of its own.
_DERIVED: Final = frozenset(("id", "index", "kind", "body", "group", "late", "twins"))
_APART: Final = frozenset(("tasks", "groups", "revision", "removed", "packages"))
_OF_WATCHING: Final = frozenset(("detach", "tail_logs", "direct"))  # how a command goes along with it
_OF_GROUPS: Final = frozenset(("id", "members"))
TEXT: Final = "text of the script"  # the field that stands for what a script's file holds


class _Absent:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field with two values; ABSENT where it is not there.

    `tasks` are the tasks that it is a field of, which all have the same two values; there are none if
    it is one of the spec as a whole. `path` is where in the task or the spec it is.
    """

    path: Place
    before: Any
    after: Any
    tasks: tuple[str, ...] = ()
    group: str | None = None  # of which all these tasks are members

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
    """All that is different; `removed` and `added` are tasks that only the one or the other has."""

    fields: tuple[Difference, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]


def of_specs(before: Spec, after: Spec, *, old_text: Texts, new_text: Texts) -> Differences:
    """The differences between two specs.

    Args:
        before: the one.
        after: the other.
        old_text: what the scripts of the one hold.
        new_text: what the scripts of the other hold.
    """
    old, new = ({task.id: task for task in spec.tasks} for spec in (before, after))
    told: dict[tuple[Any, ...], Difference] = {}
    members: dict[tuple[Any, ...], list[str]] = {}
    for name, task in old.items():
        if name not in new:
            continue
        for found in of_tasks(task, new[name], old_text=old_text, new_text=new_text):
            # All members of a sweep with the same two values are one difference.
            key = (task.group or name, found.path, _key(found.before), _key(found.after))
            told.setdefault(key, found)
            members.setdefault(key, []).append(name)
    of_all = [
        Difference(path=path, before=one, after=other)
        for path, one, other in of_values(_of_spec(before, after), _of_spec(after, before))
    ]
    of_each = [
        Difference(
            path=found.path,
            before=found.before,
            after=found.after,
            tasks=tuple(members[key]),
            group=key[0] if members[key] != [key[0]] else None,
        )
        for key, found in told.items()
    ]
    return Differences(
        fields=(*of_all, *of_each),
        removed=tuple(name for name in old if name not in new),
        added=tuple(name for name in new if name not in old),
    )


def of_tasks(before: Task, after: Task, *, old_text: Texts, new_text: Texts) -> Iterator[Difference]:
    """The fields in which two versions of one task differ."""
    for path, one, other in of_values(_of_task(before), _of_task(after)):
        yield Difference(path=path, before=one, after=other, tasks=(after.id,))
    if before.kind == after.kind == "script":
        old, new = old_text(str(before.body)), new_text(str(after.body))
        if old != new:
            yield Difference(path=(TEXT,), before=old, after=new, tasks=(after.id,))


def of_values(before: Any, after: Any, path: Place = ()) -> Iterator[tuple[Place, Any, Any]]:
    """The places in which two values differ: mappings key by key, lists of one length item by item."""
    if type(before) is type(after) and before == after and not isinstance(before, (dict, list)):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from of_values(before.get(key, ABSENT), after.get(key, ABSENT), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from of_values(one, other, (*path, index))
    elif _key(before) != _key(after):
        yield path, before, after


def _key(value: Any) -> str:
    """A text that is the same for values that are the same, types included."""
    return repr(value) if value is ABSENT else json.dumps(value, sort_keys=True, default=str)


def _of_task(task: Task) -> dict[str, Any]:
    """A task's own fields; what it runs under the word for it."""
    values = {task.kind: _plain(task.body)}
    return values | _fields(task, without=_DERIVED)


def _of_spec(spec: Spec, other: Spec) -> dict[str, Any]:
    """A spec's own fields, and those of groups that the other one has too."""
    both = {group.id for group in other.groups}
    groups = {group.id: _fields(group, without=_OF_GROUPS) for group in spec.groups if group.id in both}
    run = _fields(spec.run, without=_OF_WATCHING)
    return {**_fields(spec, without=_APART), "run": run, "groups": groups}


def _fields(value: Any, *, without: Iterable[str]) -> dict[str, Any]:
    return {
        item.name: _plain(getattr(value, item.name)) for item in fields(value) if item.name not in without
    }


def _plain(value: Any) -> Any:
    """The value as JSON has it, all mappings with keys of text."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
