"""The check of a spec's form against its JSON Schema, and what is wrong in words."""

from __future__ import annotations

import functools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.conformance import UnsupportedError, compiled
from nemorun_cli.problems import Finding, choices, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jsonschema import ValidationError

    from nemorun_cli.problems import Place


@functools.cache
def folder() -> Path:
    """Where the published schemas are: in the package as installed, beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@functools.cache
def experiment() -> dict[str, Any]:
    """The schema of a spec."""
    document: dict[str, Any] = json.loads((folder() / "experiment.schema.json").read_bytes())
    return document


def check_experiment(data: Any) -> list[Finding]:
    """What is wrong with the form of a spec."""
    return [] if _experiment_conforms(data) else list(_findings(data, experiment()))


def check(data: Any, schema: Mapping[str, Any], place: Place = ()) -> list[Finding]:
    """What is wrong with the data at `place` by a schema of its own, such as an executor's."""
    try:
        if compiled(schema)(data):
            return []
    except UnsupportedError:
        pass  # jsonschema knows every keyword
    return list(_findings(data, schema, place))


@functools.cache
def _part(reference: str) -> Any:
    return compiled({"$ref": reference, "$defs": experiment()["$defs"]})


def is_param(entry: Any) -> bool:
    """Whether an entry of `params` has the right form."""
    return bool(_part("#/$defs/param")(entry))


def is_env_file(entry: Any) -> bool:
    """Whether the value of an `env_file` has the right form."""
    return bool(_part("#/$defs/envFile")(entry))


def keys_at(place: Place) -> tuple[list[str], bool]:
    """The keys that a mapping at the place can have, and whether it takes names of the user's besides."""
    return [], True


def shown(value: Any) -> str:
    """A value as messages quote it: short, and without control characters."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    written = getattr(value, "written", None)
    text = written if written is not None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


_SHOWN = 60  # characters of a value in a message


@functools.cache
def _experiment_check() -> Any:
    return compiled(experiment())


def _experiment_conforms(data: Any) -> bool:
    return bool(_experiment_check()(data))


def _findings(data: Any, schema: Mapping[str, Any], place: Place = ()) -> Iterator[Finding]:
    # jsonschema takes longer to import than most specs take to check, and only wrong ones need it.
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    told: set[tuple[Place, bool]] = set()
    for error in sorted(Draft202012Validator(schema).iter_errors(data), key=_rank):
        for finding in _translate(error, place):
            about = (finding.place, finding.on_key)
            if about not in told and (finding.place, True) not in told:
                told.add(about)
                yield finding


_RANKS = {"type": 0, "unevaluatedProperties": 1, "additionalProperties": 1, "not": 1, "oneOf": 3}


def _rank(error: ValidationError) -> int:
    """A value of a wrong type is told as that only; a task without a kind only where nothing explains it."""
    return _RANKS.get(str(error.validator), 2)


def _translate(error: ValidationError, base: Place) -> Iterator[Finding]:
    place: Place = (*base, *error.absolute_path)
    keyword = str(error.validator)
    if len(error.schema_path) > 1 and "propertyNames" in list(error.relative_schema_path):
        yield _key_finding(error, place)
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        yield from _unknown_keys(error, place)
    elif keyword == "not":
        yield Finding(place=place, on_key=True, message="is not available in this version yet")
    elif keyword == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield Finding(
            place=place,
            on_key=True,
            message=f"needs the key {missing[0]!r}",
            hint=_key_hint(error, missing[0]),
        )
    elif keyword == "oneOf" and all("required" in branch for branch in error.validator_value):
        if isinstance(error.instance, dict):
            yield _kinds(error, place)
    elif keyword in ("anyOf", "oneOf"):
        yield from _branches(error, place, base)
    else:
        yield _value_finding(error, place, keyword)


def _key_finding(error: ValidationError, place: Place) -> Finding:
    title = error.schema.get("title") if isinstance(error.schema, dict) else None
    wanted = title or f"what matches {error.validator_value}"
    return Finding(place=(*place, error.instance), on_key=True, message=f"{error.instance!r} is not {wanted}")


def _unknown_keys(error: ValidationError, place: Place) -> Iterator[Finding]:
    known = _known_keys(error.schema)
    for key in error.instance:
        if key not in known:
            yield Finding(
                place=(*place, key), on_key=True, message=f"unknown key {key!r}", hint=choices(key, known)
            )


def _known_keys(schema: Any) -> list[str]:
    """The keys that a schema knows, in the order in which it tells them."""
    names: dict[str, None] = {}
    for part in schema.get("allOf", ()):
        names |= dict.fromkeys(_known_keys(target(part, experiment())))
    return list(names | dict.fromkeys(schema.get("properties", {})))


def _key_hint(error: ValidationError, missing: str) -> str | None:
    meant = nearest(missing, error.instance)
    return f"is {meant!r} meant to be it?" if meant else None


def _kinds(error: ValidationError, place: Place) -> Finding:
    names = [branch["required"][0] for branch in error.validator_value]
    present = [name for name in names if name in error.instance]
    listed = ", ".join(names[:-1]) + f" or {names[-1]}"
    if not present:
        return Finding(
            place=place, on_key=True, message="says nothing to run", hint=f"give it one of {listed}"
        )
    both = " and ".join(present)
    return Finding(
        place=(*place, present[1]), on_key=True, message=f"has {both}", hint=f"it is exactly one of {listed}"
    )


def _branches(error: ValidationError, place: Place, base: Place) -> Iterator[Finding]:
    """What is wrong by the alternative that the value was meant to be: the first one whose type it has."""
    by_branch: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        by_branch.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    for inners in by_branch.values():
        if not any(inner.validator == "type" and not inner.relative_path for inner in inners):
            if "title" in error.schema and not any(
                inner.relative_path or _about_keys(inner) for inner in inners
            ):
                break
            for inner in inners:
                yield from _translate(inner, base)
            return
    yield _value_finding(error, place, str(error.validator))


def _about_keys(error: ValidationError) -> bool:
    return error.validator in ("additionalProperties", "required")


def _value_finding(error: ValidationError, place: Place, keyword: str) -> Finding:
    found, wanted, title = error.instance, error.validator_value, error.schema.get("title")
    empty = keyword in ("minLength", "minItems", "minProperties") and wanted == 1
    if empty and not found:
        return Finding(place=place, message="must not be empty")
    if keyword == "uniqueItems":
        return Finding(place=place, message="names something twice")
    if keyword == "enum":
        listed = ", ".join(str(value) for value in wanted)
        hint = choices(found, map(str, wanted)) if isinstance(found, str) else None
        return Finding(place=place, message=f"must be one of {listed}, not {shown(found)}", hint=hint)
    if title is None:
        title = _plain_wish(keyword, wanted)
    return Finding(place=place, message=f"must be {title}, not {shown(found)}")


_TYPE_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


def _plain_wish(keyword: str, wanted: Any) -> str:
    if keyword == "type":
        names: Sequence[str] = [wanted] if isinstance(wanted, str) else wanted
        return " or ".join(_TYPE_WORDS[name] for name in names)
    phrases = {
        "const": shown(wanted),
        "minimum": f"at least {wanted}",
        "maximum": f"at most {wanted}",
        "exclusiveMinimum": f"more than {wanted}",
        "exclusiveMaximum": f"less than {wanted}",
        "pattern": f"text that matches {wanted}",
        "maxLength": f"at most {wanted} characters long",
        "maxItems": f"at most {wanted} items long",
    }
    return phrases.get(keyword, f"valid by {keyword}: {shown(wanted)}")


def target(part: Mapping[str, Any], root: Mapping[str, Any]) -> dict[str, Any]:
    """A subschema with what its `$ref` leads to taken in; its own keywords win."""
    if "$ref" not in part:
        return dict(part)
    name = str(part["$ref"]).removeprefix("#/$defs/")
    return {
        **target(root["$defs"][name], root),
        **{key: value for key, value in part.items() if key != "$ref"},
    }
