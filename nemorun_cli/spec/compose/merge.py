"""Merges the data of specs: mappings key by key, everything else replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.problems import Finding, dotted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Place

# Keys that define what a task runs. A body of another kind replaces the body and its arguments.
BODIES: Final = frozenset(("script", "inline", "command", "partial", "group"))
OF_TASKS: Final = frozenset(("tasks", *RUN_AFTER))  # sections with tasks by name
_OF_BODY: Final = BODIES | {"args", "entrypoint"}
_VALUES: Final = frozenset(("args", "params", "matrix", "with"))  # in these, null is an ordinary value
_SPACE: Final = ("search", "params")  # of a task, in which a param is a mapping or a list
_TASK_DEPTH: Final = 2


def merged(below: Mapping[str, Any], above: Mapping[str, Any], place: Place = ()) -> dict[str, Any]:
    """Return `above` merged over `below`: mappings key by key, lists and scalars replaced.

    A null removes the value below, except where null is an ordinary value. The body of a task, an executor
    of another type and the source of a secret are replaced as a whole.
    """
    result = dict(_kept(below, above, place))
    null_removes = not _VALUES.intersection(place) or place[_TASK_DEPTH:] == _SPACE
    for key, value in above.items():
        old = result.get(key)
        if value is None and null_removes and key in result and key not in _VALUES:
            del result[key]
        elif isinstance(value, dict) and isinstance(old, dict):
            result[key] = merged(old, value, (*place, key))
        else:
            result[key] = value
    return result


def _kept(below: Mapping[str, Any], above: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    """Return the part of `below` that `above` does not replace as a whole."""
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
    """Return the union of two mappings, and a finding for each key with different values in both.

    Args:
        first: the existing data.
        second: the data to add.
        other: the name of the file of the first, for messages.
        place: the place of both in the spec.
    """
    union, findings = dict(first), []
    for key, value in second.items():
        key_place = (*place, key)
        if key not in union:
            union[key] = value
        elif not place and isinstance(value, dict) and isinstance(union[key], dict):
            union[key], clashes = united(union[key], value, other=other, place=key_place)
            findings += clashes
        elif union[key] != value:
            message = f"{dotted(key_place)} is also in {other}"
            hint = "rename one of them, or use extends instead of include, so that one overrides the other"
            findings.append(Finding(place=key_place, on_key=True, message=message, hint=hint))
    return union, findings
