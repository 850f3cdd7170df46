"""Params: what a spec declares, and the values that `-p` gives them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.spec.expressions.syntax import UNKNOWN
from nemorun_cli.spec.yaml.parser import option_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.model.problems import Place

_DECLARING = frozenset(("type", "default", "required"))  # keys that make a mapping a declaration
_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One declared param; `type` None takes anything."""

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

    def fault(self, value: Any) -> str | None:
        """What is wrong with the value, if anything is."""
        if self.type is not None and not _is_a(value, self.type):
            return f"must be {_WORDS[self.type]}, not {shown(value)}"
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(shown(choice) for choice in self.choices)}, not {shown(value)}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            # Written so that .nan, which compares with nothing, is within no bounds.
            if self.minimum is not None and not value >= self.minimum:
                return f"must be at least {self.minimum}, not {shown(value)}"
            if self.maximum is not None and not value <= self.maximum:
                return f"must be at most {self.maximum}, not {shown(value)}"
        if self.pattern is not None and isinstance(value, str) and not re.search(self.pattern, value):
            return f"must match {self.pattern}, and {shown(value)} does not"
        return None


def declared(section: Mapping[str, Any]) -> dict[str, Param]:
    """The params of a spec's `params` section, whose form was checked."""
    return {name: _declaration(name, entry) for name, entry in section.items()}


def values(
    section: Mapping[str, Any], given: Sequence[str], unconfirmed: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], list[Finding]]:
    """The value of each param, given as `name=value` or by default, and what is wrong with them.

    UNKNOWN stands for a value that is wrong, and for those of `unconfirmed` params, whose
    declarations are wrong themselves.
    """
    options: dict[str, str] = {}
    findings: list[Finding] = []
    for option in given:
        name, equals, _ = option.partition("=")
        if not equals:
            finding = Finding(place=(), option=f"-p {option}", message="has no =", hint="write -p name=value")
            findings.append(finding)
        elif name not in section:
            message = f"no param is called {name!r}"
            place: Place = ("params", name)
            findings.append(
                Finding(place=place, option=f"-p {option}", message=message, hint=choices(name, section))
            )
        else:
            options[name] = option
    found: dict[str, Any] = {}
    for name, entry in section.items():
        param = None if name in unconfirmed else _declaration(name, entry)
        found[name], finding_or_none = _value(name, param, options.get(name))
        findings += [finding_or_none] if finding_or_none else []
    return found, findings


def _value(name: str, param: Param | None, option: str | None) -> tuple[Any, Finding | None]:
    if param is None:
        return UNKNOWN, None
    place: Place = ("params", name)
    wrong = _declaration_fault(param)
    if wrong is not None:
        key, message = wrong
        return UNKNOWN, Finding(place=(*place, key), message=message)
    if option is not None:
        return _given(param, option)
    if param.has_default:
        return (int(param.default) if _is_whole(param, param.default) else param.default), None
    if param.required:
        hint = f"give it with -p {name}=… or by a default"
        return UNKNOWN, Finding(place=place, message="has no value", hint=hint, on_key=True)
    return None, None


def _given(param: Param, option: str) -> tuple[Any, Finding | None]:
    text = option.partition("=")[2]
    try:
        value = option_value(text)
    except ValueError as fault:
        value, message = UNKNOWN, str(fault)
    else:
        if param.type == "string" and not isinstance(value, str):
            value = text  # `-p version=3.10` for a text is the text 3.10
        message = param.fault(value) or ""
    if not message:
        return (int(value) if _is_whole(param, value) else value), None
    place: Place = ("params", param.name)
    return UNKNOWN, Finding(place=place, option=f"-p {option}", message=message, hint=param.help)


def _is_whole(param: Param, value: Any) -> bool:
    return param.type == "integer" and isinstance(value, float)


def _declaration(name: str, entry: Any) -> Param:
    if not (isinstance(entry, dict) and _DECLARING & entry.keys()):
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


def _declaration_fault(param: Param) -> tuple[str, str] | None:
    """The key of a declaration that is wrong, and why."""
    if param.pattern is not None:
        try:
            re.compile(param.pattern)
        except re.error as fault:
            return "pattern", f"is no regular expression: {fault}"
    if param.has_default and param.default is not None:
        message = param.fault(param.default)
        return None if message is None else ("default", message)
    return None


def _is_a(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float):
        return kind == "number" or (kind == "integer" and math.isfinite(value) and value.is_integer())
    fitting = {"string": str, "number": int, "integer": int, "array": list, "object": dict}
    return kind in fitting and isinstance(value, fitting[kind])


def _type_of(value: Any) -> str | None:
    kinds = {str: "string", bool: "boolean", list: "array", dict: "object"}
    for kind, name in kinds.items():
        if isinstance(value, kind):
            return name
    if isinstance(value, int):
        return "integer"
    return "number" if isinstance(value, float) else None
