"""The key `until` of a group: which member's end is the end of the group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.problems import choices
from nemorun_cli.model.spec import UNTIL_ALL, UNTIL_ANY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nemorun_cli.model.spec import Group

_WORDS: Final = (UNTIL_ALL, UNTIL_ANY)


def until_of(name: str, entry: Mapping[str, Any]) -> str:
    """The value of a group's field `until`, with a member by its id."""
    until = str(entry.get("until", UNTIL_ALL))
    return until if until in _WORDS or until.startswith(f"{name}/") else f"{name}/{until}"


def without_missing(group: Group) -> Group:
    """The group, which has no leader if the member that leads was left out."""
    is_missing = group.until not in _WORDS and group.until not in group.members
    return replace(group, until=UNTIL_ALL) if is_missing else group


def faults(name: str, entry: Mapping[str, Any], ids: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """What is wrong with the key `until` of a task, each with a hint.

    Args:
        name: the task's name.
        entry: its keys.
        ids: the ids of its members.
    """
    until = str(entry.get("until", UNTIL_ALL))
    if "until" not in entry:
        return
    if "search" in entry:
        return  # reported as a conflict
    if "group" not in entry and "matrix" not in entry:
        yield "applies only to groups and tasks with a matrix", None
    elif "matrix" in entry and not (until == UNTIL_ALL or (until == UNTIL_ANY and "group" not in entry)):
        subject = "a group with a matrix" if "group" in entry else "a task with a matrix"
        allowed = "all" if "group" in entry else "all or any"
        yield f"of {subject} can only be {allowed} in this version", None
    elif until in _WORDS:
        if f"{name}/{until}" in ids:
            yield f"is unclear: a member is called {until}", f"write {name}/{until} for the member"
    elif until_of(name, entry) not in ids:
        members = [member.removeprefix(f"{name}/") for member in ids]
        yield f"names no member of the group: {until!r}", choices(until, [*members, *_WORDS])
