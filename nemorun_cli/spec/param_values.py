"""Params: the declarations in a spec, and their values from `-p` or by default."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.spec.expressions.syntax import UNKNOWN
from nemorun_cli.spec.yaml.parser import option_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.problems import FilePosition, Place

_SEARCH_TIME = 5.0  # seconds that the searches for the patterns of all params may take
_DECLARATION_KEYS = frozenset(("type", "default", "required"))  # a mapping with any of these is a declaration
_TYPE_NAMES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One declared param; `type` None accepts any value."""

    name: str
    type: str | None = None
    default: Any = None
    has_default: bool = False
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] | None = None
    pattern: str | None = None
    help: str | None = None

    def fault(self, value: Any, deadline: float) -> str | None:
        """Return why the value is invalid, or None; all searches for patterns end at `deadline`."""
        if self.type is not None and not _has_type(value, self.type):
            return f"must be {_TYPE_NAMES[self.type]}, not {shown(value)}"
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(shown(choice) for choice in self.choices)}, not {shown(value)}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # The negations make .nan invalid: every comparison with it is false.
            if self.minimum is not None and not value >= self.minimum:
                return f"must be at least {self.minimum}, not {shown(value)}"
            if self.maximum is not None and not value <= self.maximum:
                return f"must be at most {self.maximum}, not {shown(value)}"
        if self.pattern is not None and isinstance(value, str):
            return _mismatch(self.pattern, value, deadline)
        return None


def _mismatch(pattern: str, value: str, deadline: float) -> str | None:
    """Return why a text does not match a pattern that compiles, or None."""
    from nemorun_cli.system import patterns  # noqa: PLC0415 - few params have patterns
    from nemorun_cli.system.regex_timeout import PATIENCE, TooSlowError  # noqa: PLC0415 - the same

    rest = deadline - time.monotonic()
    try:
        if rest > 0 and patterns.matches(pattern, value, seconds=min(rest, PATIENCE)):
            return None
    except TooSlowError:
        rest = 0
    if rest <= 0:
        return f"must match {pattern}, for which the search in {shown(value)} takes too long"
    return f"must match {pattern}, not {shown(value)}"


def declared(section: Mapping[str, Any]) -> dict[str, Param]:
    """Return the params of a `params` section that has passed the schema."""
    return {name: _declaration(name, entry) for name, entry in section.items()}


def with_default(entry: Any, value: Any) -> Any:
    """A declaration with another default; a plain one stays plain if that declares the same type."""
    if isinstance(entry, dict) and _DECLARATION_KEYS & entry.keys():
        return {**entry, "default": value}
    kind = _type_of(entry)
    is_declaration = isinstance(value, dict) and bool(_DECLARATION_KEYS & value.keys())
    if is_declaration or (kind is not None and kind != _type_of(value)):
        return {"type": kind, "default": value} if kind else {"default": value}
    return value


def values(
    section: Mapping[str, Any],
    given: Sequence[str],
    unconfirmed: frozenset[str] = frozenset(),
    *,
    positions: Mapping[str, FilePosition] = MappingProxyType({}),
) -> tuple[dict[str, Any], list[Finding]]:
    """Return the value of each param, from `given` (`name=value`) or its default, and the errors.

    The value is UNKNOWN if it is invalid, and for `unconfirmed` params, whose declarations are invalid.
    Values with a position are from a file: they have the type that is written there.
    """
    options: dict[str, str] = {}
    findings: list[Finding] = []
    for option in given:
        name, equals, _ = option.partition("=")
        if not equals:
            hint = "write -p name=value, or -p @file for a file of values"
            findings.append(Finding(place=(), option=f"-p {option}", message="has no =", hint=hint))
        elif name not in section:
            message = f"no param is called {name!r}"
            place: Place = ("params", name)
            findings.append(
                Finding(
                    place=place,
                    option=f"-p {option}",
                    position=positions.get(option),
                    message=message,
                    hint=choices(name, section),
                )
            )
        else:
            options[name] = option
    values: dict[str, Any] = {}
    deadline = time.monotonic() + _SEARCH_TIME
    for name, entry in section.items():
        param = None if name in unconfirmed else _declaration(name, entry)
        given_option = options.get(name)
        position = None if given_option is None else positions.get(given_option)
        values[name], problem = _value(name, param, given_option, deadline, position)
        findings += [problem] if problem else []
    return values, findings


def _value(
    name: str, param: Param | None, option: str | None, deadline: float, position: FilePosition | None
) -> tuple[Any, Finding | None]:
    if param is None:
        return UNKNOWN, None
    place: Place = ("params", name)
    problem = _declaration_fault(param, deadline)
    if problem is not None:
        key, message = problem
        return UNKNOWN, Finding(place=(*place, key), message=message)
    if option is not None:
        return _option_value(param, option, deadline, position)
    if param.has_default:
        return (int(param.default) if _is_whole(param, param.default) else param.default), None
    if param.required:
        hint = f"set it with -p {name}=… or declare a default"
        return UNKNOWN, Finding(place=place, message="has no value", hint=hint, on_key=True)
    return None, None


def _option_value(
    param: Param, option: str, deadline: float, position: FilePosition | None
) -> tuple[Any, Finding | None]:
    text = option.partition("=")[2]
    try:
        value = option_value(text)
        fault = None
    except ValueError as error:
        value, fault = UNKNOWN, str(error)
    if param.type == "string" and not isinstance(value, str) and position is None:
        # `-p version=3.10` of a string param is the text 3.10, and `[INST] hello` need not be YAML.
        value, fault = text, None
    message = fault or param.fault(value, deadline) or ""
    if not message:
        return (int(value) if _is_whole(param, value) else value), None
    place: Place = ("params", param.name)
    return UNKNOWN, Finding(
        place=place, option=f"-p {option}", position=position, message=message, hint=param.help
    )


def _is_whole(param: Param, value: Any) -> bool:
    return param.type == "integer" and isinstance(value, float)


def _declaration(name: str, entry: Any) -> Param:
    if not (isinstance(entry, dict) and _DECLARATION_KEYS & entry.keys()):
        return Param(name=name, type=_type_of(entry), default=entry, has_default=True)
    allowed = entry.get("enum", entry.get("choices"))
    return Param(
        name=name,
        type=entry.get("type", _type_of(entry.get("default"))),
        default=entry.get("default"),
        has_default="default" in entry,
        required=entry.get("required", True),
        minimum=entry.get("minimum"),
        maximum=entry.get("maximum"),
        choices=None if allowed is None else tuple(allowed),
        pattern=entry.get("pattern"),
        help=entry.get("help"),
    )


def _declaration_fault(param: Param, deadline: float) -> tuple[str, str] | None:
    """Return the key of an invalid declaration and the reason, or None."""
    if param.pattern is not None:
        from nemorun_cli.system import patterns  # noqa: PLC0415 - few params have patterns
        from nemorun_cli.system.regex_timeout import SearchPatternError  # noqa: PLC0415 - the same

        try:
            patterns.compiled(param.pattern)
        except SearchPatternError as fault:
            return "pattern", str(fault)
    if param.has_default and param.default is not None:
        message = param.fault(param.default, deadline)
        return None if message is None else ("default", message)
    return None


def _has_type(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name == "boolean"
    if isinstance(value, float):
        return type_name == "number" or (
            type_name == "integer" and math.isfinite(value) and value.is_integer()
        )
    classes = {"string": str, "number": int, "integer": int, "array": list, "object": dict}
    return type_name in classes and isinstance(value, classes[type_name])


def _type_of(value: Any) -> str | None:
    type_names = {str: "string", bool: "boolean", list: "array", dict: "object"}
    for cls, name in type_names.items():
        if isinstance(value, cls):
            return name
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else None
