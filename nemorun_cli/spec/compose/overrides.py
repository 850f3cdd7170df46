"""`--set path.to.key=value`: any field of a spec, changed before it is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices, dotted, shown
from nemorun_cli.spec.compose.composition import REFERENCES
from nemorun_cli.spec.schema import walk
from nemorun_cli.spec.yaml.parser import option_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.problems import Place


@dataclass(frozen=True, slots=True)
class OverriddenSpec:
    """The spec's data as changed, which option brought what, and which options are wrong."""

    data: dict[str, Any]
    options: dict[Place, str]
    findings: list[Finding]


def applied(data: dict[str, Any], sets: Sequence[str]) -> OverriddenSpec:
    """The data with each `path=value` put in; what was there before is left as it is."""
    options: dict[Place, str] = {}
    findings: list[Finding] = []
    for text in sets:
        option = f"--set {text}"
        path, _, written = text.partition("=")
        try:
            place = _place(data, path, text)
            data = _with(data, place, _value(written))
        except _RefusedError as fault:
            findings.append(Finding(place=(path,), option=option, message=fault.message, hint=fault.hint))
        else:
            options[place] = option
    return OverriddenSpec(data, options, findings)


class _RefusedError(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _value(written: str) -> Any:
    try:
        return option_value(written)
    except ValueError as fault:
        raise _RefusedError(str(fault)) from None


def _place(data: dict[str, Any], path: str, text: str) -> Place:
    """The keys of a path; names with dots in them are found where they are there."""
    if not path or path == text:
        raise _RefusedError("is no path=value", "write --set run.max_parallel=2")
    parts = path.split(".")
    place: list[str | int] = []
    value: Any = data
    if parts[0] in REFERENCES:
        raise _RefusedError(f"{parts[0]} names files, which are read before", "write it into a file")
    while parts:
        if isinstance(value, list):
            key: str | int = _index(value, parts.pop(0), place)
            value = value[int(key)]
        elif isinstance(value, dict):
            key, parts = _key(value, parts, place)
            value = value.get(key, {})
        else:
            raise _RefusedError(f"{dotted(tuple(place))} holds {shown(value)}, which has no keys")
        place.append(key)
    return tuple(place)


def _index(value: list[Any], part: str, place: list[str | int]) -> int:
    if part.isascii() and part.isdigit() and int(part) < len(value):
        return int(part)
    where = dotted(tuple(place))
    raise _RefusedError(
        f"{where} has no item {part!r}", f"its items are 0 to {len(value) - 1}" if value else None
    )


def _key(value: dict[str, Any], parts: list[str], place: list[str | int]) -> tuple[str, list[str]]:
    """The key that the path goes on with, and what is left of the path."""
    for count in range(len(parts), 0, -1):
        if ".".join(parts[:count]) in value:
            return ".".join(parts[:count]), parts[count:]
    key, rest = parts[0], parts[1:]
    known, takes_names = walk.keys_at(tuple(place))
    is_leaf_name = takes_names and not rest and place != ["params"]
    # Options of executors, plugins and launchers are for these to know: what is wrong is told later.
    is_option = (place[:1] == ["executors"] and len(place) > 1) or walk.is_free_at(tuple(place))
    if key in known or is_leaf_name or is_option:
        return key, rest
    where = dotted(tuple(place)) or "the spec"
    raise _RefusedError(f"{where} has no {key!r}", choices(key, [*value] if takes_names else known))


def _with(value: Any, place: Place, new: Any) -> Any:
    """A copy of the value with the new one at the place; nothing else is copied."""
    if not place:
        return new
    key, rest = place[0], place[1:]
    if isinstance(value, list):
        copy = list(value)
        copy[int(key)] = _with(copy[int(key)], rest, new)
        return copy
    return {**value, str(key): _with(value.get(str(key), {}), rest, new)}
