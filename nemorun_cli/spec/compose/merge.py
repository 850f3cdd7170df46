"""One spec's data over another's: mappings key by key, everything else replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.problems import Finding, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Place

# What a task runs, with what belongs to that: another one takes the place of all of it.
BODIES: Final = frozenset(("script", "inline", "command", "partial", "group"))
OF_TASKS: Final = frozenset(("tasks", *RUN_AFTER))  # sections that hold tasks by name
_OF_BODY: Final = BODIES | {"args", "entrypoint"}
_VALUES: Final = frozenset(("args", "params", "matrix", "with"))  # in which null is a value like any other
_TASK_DEPTH: Final = 2


def merged(below: Mapping[str, Any], above: Mapping[str, Any], place: Place = ()) -> dict[str, Any]:
    """What is above over what is below: mappings key by key, lists and scalars replaced.

    A null takes away what is below, except where null is a value. What can only be one of several
    things is replaced as a whole: what a task runs, an executor of another type, a secret's source.
    """
    found = dict(_left(below, above, place))
    takes_away = not _VALUES.intersection(place)
    for key, value in above.items():
        old = found.get(key)
        if value is None and takes_away and key in found and key not in _VALUES:
            del found[key]
        elif isinstance(value, dict) and isinstance(old, dict):
            found[key] = merged(old, value, (*place, key))
        else:
            found[key] = value
    return found


def _left(below: Mapping[str, Any], above: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """What is left of what is below when something above takes its place."""
    is_entry = len(place) == _TASK_DEPTH
    if is_entry and place[0] in OF_TASKS:
        kinds = BODIES.intersection(above)
        if kinds and not kinds.intersection(below):
            return {key: value for key, value in below.items() if key not in _OF_BODY}
    elif is_entry and place[0] == "executors":
        if "extends" in above and above["extends"] != place[1]:
            return {}
        if "type" in above and "type" in below and above["type"] != below["type"]:
            return {}
    elif len(place) > 1 and place[-2] == "secrets":
        return {}
    if "_target_" in above and above["_target_"] != below.get("_target_"):
        return {}
    return below


def united(
    first: Mapping[str, Any], second: Mapping[str, Any], *, other: str, place: Place = ()
) -> tuple[dict[str, Any], list[Finding]]:
    """Both together, and what both have and is not the same.

    Args:
        first: what is there.
        second: what is added.
        other: how the file of the first is called, for people.
        place: where both stand.
    """
    found, findings = dict(first), []
    for key, value in second.items():
        there = (*place, key)
        if key not in found:
            found[key] = value
        elif not place and isinstance(value, dict) and isinstance(found[key], dict):
            found[key], clashes = united(found[key], value, other=other, place=there)
            findings += clashes
        elif found[key] != value:
            message = f"{dotted(there)} is in {other} too"
            hint = "rename one of them, or take the file by extends, so that one lies over the other"
            findings.append(Finding(place=there, on_key=True, message=message, hint=hint))
    return found, findings
