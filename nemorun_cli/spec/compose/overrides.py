"""`--set path.to.key=value`: changes any field of a spec before the spec is checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices, dotted, shown
from nemorun_cli.spec.compose.composition import OF_FILES
from nemorun_cli.spec.schema import walk
from nemorun_cli.spec.yaml.parser import option_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.model.problems import Place


@dataclass(frozen=True, slots=True)
class OverriddenSpec:
    """The changed data of a spec, the option that set each place, and the problems of the options."""

    data: dict[str, Any]
    options: dict[Place, str]
    findings: list[Finding]


def applied(data: dict[str, Any], sets: Sequence[str]) -> OverriddenSpec:
    """Return a copy of the data with each `path=value` set; the original is not modified."""
    options: dict[Place, str] = {}
    findings: list[Finding] = []
    for text in sets:
        option = f"--set {text}"
        path, _, written = text.partition("=")
        try:
            place = _place(data, path, text)
            data = _with(data, place, _value(written))
        except _OptionError as fault:
            findings.append(Finding(place=(path,), option=option, message=fault.message, hint=fault.hint))
        else:
            options[place] = option
    return OverriddenSpec(data, options, findings)


class _OptionError(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def _value(written: str) -> Any:
    try:
        return option_value(written)
    except ValueError as fault:
        raise _OptionError(str(fault)) from None


def _place(data: dict[str, Any], path: str, text: str) -> Place:
    """Return the keys of a path; existing names that contain dots are recognized."""
    if not path or path == text:
        raise _OptionError("is not path=value", "write for example --set run.max_parallel=2")
    parts = path.split(".")
    place: list[str | int] = []
    value: Any = data
    if parts[0] in OF_FILES:
        raise _OptionError(f"{parts[0]} cannot be changed by --set", "write it in the spec")
    while parts:
        if isinstance(value, list):
            key: str | int = _index(value, parts.pop(0), place)
            value = value[int(key)]
        elif isinstance(value, dict):
            key, parts = _key(value, parts, place)
            value = value.get(key, {})
        else:
            raise _OptionError(f"{dotted(tuple(place))} is {shown(value)}, which has no keys")
        place.append(key)
    return tuple(place)


def _index(value: list[Any], part: str, place: list[str | int]) -> int:
    if part.isascii() and part.isdigit() and int(part) < len(value):
        return int(part)
    where = dotted(tuple(place))
    raise _OptionError(
        f"{where} has no item {part!r}", f"valid items are 0 to {len(value) - 1}" if value else None
    )


def _key(value: dict[str, Any], parts: list[str], place: list[str | int]) -> tuple[str, list[str]]:
    """Return the next key of the path, and the rest of the path."""
    for count in range(len(parts), 0, -1):
        if ".".join(parts[:count]) in value:
            return ".".join(parts[:count]), parts[count:]
    key, rest = parts[0], parts[1:]
    known, takes_names = walk.keys_at(tuple(place))
    is_leaf_name = takes_names and not rest and place != ["params"]
    # Executors, plugins and launchers check their own options later.
    is_option = (place[:1] == ["executors"] and len(place) > 1) or walk.is_free_at(tuple(place))
    if key in known or is_leaf_name or is_option:
        return key, rest
    where = dotted(tuple(place)) or "the spec"
    raise _OptionError(f"{where} has no {key!r}", choices(key, [*value] if takes_names else known))


def _with(value: Any, place: Place, new: Any) -> Any:
    """Return a copy of the value with `new` at the place; only the containers on the way are copied."""
    if not place:
        return new
    key, rest = place[0], place[1:]
    if isinstance(value, list):
        copy = list(value)
        copy[int(key)] = _with(copy[int(key)], rest, new)
        return copy
    return {**value, str(key): _with(value.get(str(key), {}), rest, new)}
