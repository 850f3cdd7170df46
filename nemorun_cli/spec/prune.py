"""Removes invalid values from a spec's data, so that the next check does not report them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.model.problems import Place

_REFERENCED = frozenset(("tasks", "executors"))  # sections whose entries others refer to by name
_CONDITION = "stop"  # the key of tasks with conditions


def cut(data: dict[str, Any], places: Iterable[Place]) -> dict[str, Any]:
    """Return a copy of the data without the values at these places.

    Entries that others refer to by name, and members of a group, are emptied instead. A list with an
    invalid item is removed as a whole, because the places of its other items must not change, and so is a
    condition of `stop`, whose keys mean something only together.
    """
    for place in sorted(places, key=len, reverse=True):
        if place:
            data = _without(data, place, ())
    return data


def _without(value: Any, place: Place, above: Place) -> Any:
    key, rest = place[0], place[1:]
    if isinstance(value, dict):
        if key not in value:
            return value
        inner = value[key]
        if rest and isinstance(inner, list) and not _is_group((*above, key)):
            rest = ()
        if key == _CONDITION and above and above[-1] not in _REFERENCED:
            rest = ()
        if rest:
            return {**value, key: _without(inner, rest, (*above, key))}
        if len(above) == 1 and above[0] in _REFERENCED:
            return {**value, key: {}}
        return {name: item for name, item in value.items() if name != key}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        copy = list(value)
        copy[key] = _without(copy[key], rest, (*above, key)) if rest else {}
        return copy
    return value


def _is_group(place: Place) -> bool:
    return len(place) == 3 and place[0] == "tasks" and place[2] == "group"  # noqa: PLR2004 - tasks, id, group
