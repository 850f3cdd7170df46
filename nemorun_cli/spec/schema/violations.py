"""Translates errors of jsonschema into findings: one per cause, at the place that has to be changed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator

from nemorun_cli.model import forms
from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.problems import Finding, choices, nearest, shown
from nemorun_cli.spec.schema import foreign_words
from nemorun_cli.spec.schema.walk import keys_at, known_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jsonschema import ValidationError

    from nemorun_cli.model.problems import Place


MOST: Final = 1_000  # violations that are reported


def find(data: Any, schema: Mapping[str, Any], place: Place = ()) -> Iterator[Finding]:
    """Yield the violations in the data at `place`, each cause once; of very many, the first ones."""
    return islice(_find_all(data, schema, place), MOST)


def _find_all(data: Any, schema: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    reported: set[Place] = set()
    for error in sorted(Draft202012Validator(schema).iter_errors(data), key=_rank):
        explained = _wants_a_key(error) and _is_misspelled_at(error, place, reported)
        for finding in () if explained else _translate(error, place):
            if finding.place not in reported:
                reported.add(finding.place)
                yield finding


def _wants_a_key(error: ValidationError) -> bool:
    """Whether the error means that one of several keys is required."""
    return str(error.validator) in ("oneOf", "anyOf") and all(
        isinstance(branch, dict) and branch.keys() == {"required"} for branch in _argument(error)
    )


def _is_misspelled_at(error: ValidationError, base: Place, reported: set[Place]) -> bool:
    """Whether an unknown key was reported here that is probably one of the missing keys, misspelled."""
    place = (*base, *error.absolute_path)
    wanted = [branch["required"][0] for branch in _argument(error)]
    unknown = [str(key_place[-1]) for key_place in reported if key_place and key_place[:-1] == place]
    return any(nearest(key, wanted) for key in unknown)


_RANKS = {"type": 0, "unevaluatedProperties": 1, "additionalProperties": 1, "not": 1, "oneOf": 3}


def _rank(error: ValidationError) -> int:
    """Rank an error: a wrong type hides further errors at its place, a missing body is reported last."""
    return _RANKS.get(str(error.validator), 2)


def _translate(error: ValidationError, base: Place) -> Iterator[Finding]:
    place: Place = (*base, *error.absolute_path)
    keyword, argument, instance = str(error.validator), _argument(error), _instance(error)
    if len(error.schema_path) > 1 and "propertyNames" in list(error.relative_schema_path):
        yield _key_finding(error, place)
    elif keyword in ("additionalProperties", "unevaluatedProperties"):
        yield from _unknown_keys(error, place)
    elif keyword == "required":
        yield from _missing_key(error, place)
    elif keyword == "oneOf" and all("required" in branch for branch in argument):
        if isinstance(instance, dict):
            yield _kinds(error, place)
    elif keyword == "anyOf" and _wants_a_key(error):
        if isinstance(instance, dict):
            keys = " or ".join(repr(branch["required"][0]) for branch in argument)
            yield Finding(place=place, on_key=True, message=f"needs the key {keys}")
    elif keyword in ("anyOf", "oneOf"):
        yield from _branches(error, place, base)
    else:
        yield _value_finding(error, place, keyword)


def _key_finding(error: ValidationError, place: Place) -> Finding:
    name = str(_instance(error))
    allowed = _schema(error).get("title") or f"text that matches {_argument(error)}"
    return Finding(place=(*place, name), on_key=True, message=f"{name!r} is not {allowed}")


def _unknown_keys(error: ValidationError, place: Place) -> Iterator[Finding]:
    known = known_keys(_schema(error))
    if len(place) == len(("executors", "name")) and place[0] == "executors":
        known = [*keys_at(place)[0], *known]  # those of every type, and those of this type
    missing = [name for name in _schema(error).get("required", ()) if name not in _instance(error)]
    unknown = [key for key in _instance(error) if key not in known]
    for key in unknown:
        hint = _hint_elsewhere(key, place) or foreign_words.hint(key, place, known)
        if hint is None and len(unknown) == len(missing) == 1 and not nearest(key, known):
            hint = f"did you mean {missing[0]}?"
        hint = hint or choices(key, known)
        yield Finding(place=(*place, key), on_key=True, message=f"unknown key {key!r}", hint=hint)


def _hint_elsewhere(key: str, place: Place) -> str | None:
    """Return a hint for a key of tasks that handlers or groups do not have, or of the spec in `tracking`."""
    if place == ("tracking",):
        return f"write {key} at the top of the spec, next to tracking" if key in keys_at(())[0] else None
    if len(place) == len(("on_exit", "name")) and place[0] in RUN_AFTER:
        return _OF_HANDLERS.get(key)
    if len(place) == len(("tasks", "name", "group", 0)) and place[::2] == ("tasks", "group"):
        return _OF_GROUPS[key].format(key) if key in _OF_GROUPS else None
    return None


_OF_HANDLERS: Final = {
    "dependencies": "remove it: handlers wait for all tasks",
    "group": "write one handler for each",
    "matrix": "write one handler for each",
    "search": "write it in a task: a handler runs once",
}
_OF_GROUPS: Final = {  # keys that members of a group do not have
    "matrix": "write {} next to group: it applies to all members",
    "search": "write it next to group: each trial has all members of the group",
}


def _missing_key(error: ValidationError, place: Place) -> Iterator[Finding]:
    keys, known = _instance(error), known_keys(_schema(error))
    missing = next(name for name in _argument(error) if name not in keys)
    unknown = [key for key in keys if key not in known]
    misspelled = nearest(missing, unknown) or foreign_words.word_for(missing, unknown)
    if misspelled and _schema(error).get("additionalProperties") is False:
        return  # the unknown key is reported, with the missing one as its hint
    hint = f"is {misspelled!r} a misspelling of it?" if misspelled else None
    yield Finding(place=place, on_key=True, message=f"needs the key {missing!r}", hint=hint)


def _kinds(error: ValidationError, place: Place) -> Finding:
    names = [branch["required"][0] for branch in _argument(error)]
    present = [name for name in names if name in _instance(error)]
    listed = ", ".join(names[:-1]) + f" or {names[-1]}"
    if not present:
        hint = f"add one of {listed}"
        return Finding(place=place, on_key=True, is_incomplete=True, message="has nothing to run", hint=hint)
    both = " and ".join(present)
    return Finding(
        place=(*place, present[1]), on_key=True, message=f"has {both}", hint=f"use exactly one of {listed}"
    )


def _branches(error: ValidationError, place: Place, base: Place) -> Iterator[Finding]:
    """Yield the violations of the probably intended alternative: of the same type, with most of the keys."""
    of_type = [inners for inners in _alternatives(error) if not any(map(_misses_type, inners))]
    for inners in sorted(of_type, key=_wrong_keys):
        is_within = any(inner.relative_path or _about_keys(inner) for inner in inners)
        if is_within or "title" not in _schema(error):
            for inner in sorted(inners, key=_rank):
                yield from _translate(inner, base)
            return
    yield _value_finding(error, place, str(error.validator))


def _wrong_keys(errors: Sequence[ValidationError]) -> int:
    """How many keys a mapping lacks, or has too many, by the errors of an alternative."""
    own = [error for error in errors if not error.relative_path]
    unknown = [error for error in own if error.validator == "additionalProperties"]
    return sum(error.validator == "required" for error in own) + sum(
        key not in known_keys(_schema(error)) for error in unknown for key in _instance(error)
    )


def _alternatives(error: ValidationError) -> list[list[ValidationError]]:
    """Return the errors of each alternative."""
    alternatives: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        alternatives.setdefault(inner.relative_schema_path[0], []).append(inner)
    return list(alternatives.values())


def _misses_type(error: ValidationError) -> bool:
    """Whether the error means that the value has a different type."""
    if error.relative_path:
        return False
    if error.validator == "anyOf":
        return all(any(map(_misses_type, inners)) for inners in _alternatives(error))
    return error.validator == "type"


def _suggestion(given: Any, allowed: Sequence[Any]) -> str | None:
    closest = nearest(given, map(str, allowed)) if isinstance(given, str) else None
    return f"did you mean {closest}?" if closest else None


def _instance(error: ValidationError) -> Any:
    return error.instance


def _argument(error: ValidationError) -> Any:
    return error.validator_value


def _schema(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, dict) else {}


def _about_keys(error: ValidationError) -> bool:
    return error.validator in ("additionalProperties", "required")


def _value_finding(error: ValidationError, place: Place, keyword: str) -> Finding:
    given, argument, title = _instance(error), _argument(error), _schema(error).get("title")
    empty = keyword in ("minLength", "minItems", "minProperties") and argument == 1
    if empty and not given:
        return Finding(place=place, message="must not be empty")
    if keyword == "uniqueItems":
        return Finding(place=place, message="contains a value twice")
    if keyword == "enum":
        listed = ", ".join(str(value) for value in argument)
        hint = _suggestion(given, argument)
        return Finding(place=place, message=f"must be one of {listed}, not {shown(given)}", hint=hint)
    if title is None:
        title = _plain_requirement(keyword, argument)
    elif keyword == "maximum" and argument == forms.MOST:
        title += f", at most {argument:g}"
    return Finding(place=place, message=f"must be {title}, not {shown(given)}", hint=_meant(place, given))


def _meant(place: Place, given: Any) -> str | None:
    """Return a hint for a text in the form of something else, if it has one."""
    if not isinstance(given, str):
        return None
    if place == ("name",) and given.isprintable() and given.strip():
        return f"a text for people is a title, in place of the name: title: {given}"
    module, dot, name = given.rpartition(".")
    is_dotted = dot and all(part.isidentifier() for part in given.split("."))
    return f"did you mean {module}:{name}?" if is_dotted and place[-1:] == ("partial",) else None


_TYPE_WORDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


def _plain_requirement(keyword: str, argument: Any) -> str:
    if keyword == "type":
        names: Sequence[str] = [argument] if isinstance(argument, str) else argument
        return " or ".join(_TYPE_WORDS[name] for name in names)
    phrases = {
        "const": shown(argument),
        "minimum": f"at least {argument}",
        "maximum": f"at most {argument}",
        "exclusiveMinimum": f"more than {argument}",
        "exclusiveMaximum": f"less than {argument}",
        "pattern": f"text that matches {argument}",
        "maxLength": f"at most {argument} characters long",
        "maxItems": f"at most {argument} items long",
    }
    return phrases.get(keyword, f"valid for {keyword}: {shown(argument)}")
