"""The check of a spec's form against its JSON Schema, and what is wrong in words."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.loading.conformance import UnsupportedError, compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Finding, Place


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
    return [] if _experiment_check()(data) else _wrong(_suspects(data), _whole(), ())


def _suspects(data: Any) -> Any:
    """The data less the tasks that are right, for jsonschema takes a second for a thousand of them."""
    tasks = data.get("tasks") if isinstance(data, dict) else None
    if not isinstance(tasks, dict):
        return data
    is_task = _part("#/$defs/task")
    wrong = {name: task for name, task in tasks.items() if not (is_name(name) and is_task(task))}
    # One stays, so that the tasks do not seem to be missing.
    return {**data, "tasks": wrong or dict(list(tasks.items())[:1])}


def check(data: Any, schema: Mapping[str, Any], place: Place = ()) -> list[Finding]:
    """What is wrong with the data at `place` by a schema of its own, such as an executor's."""
    try:
        if compiled(schema)(data):
            return []
    except UnsupportedError:
        pass  # jsonschema knows every keyword
    return _wrong(data, schema, place)


@functools.cache
def _part(reference: str) -> Any:
    return compiled({"$ref": reference, "$defs": experiment()["$defs"]})


def is_param(entry: Any) -> bool:
    """Whether an entry of `params` has the right form."""
    return bool(_part("#/$defs/param")(entry))


def is_name(text: str) -> bool:
    """Whether the text can name an experiment, a task or a member."""
    return bool(_part("#/$defs/name")(text))


def is_matrix(entry: Any) -> bool:
    """Whether the value of a `matrix` has the right form."""
    return bool(_part("#/$defs/matrix")(entry))


def check_task(entry: Any, place: Place) -> list[Finding]:
    """What is wrong with the form of one task."""
    part = {"$ref": "#/$defs/task", "$defs": experiment()["$defs"]}
    return [] if _part("#/$defs/task")(entry) else _wrong(entry, part, place)


def check_files(entry: Any, place: Place) -> list[Finding]:
    """What is wrong with the form of an `extends` or an `include`."""
    part = {"$ref": "#/$defs/files", "$defs": experiment()["$defs"]}
    return [] if _part("#/$defs/files")(entry) else _wrong(entry, part, place)


def is_env_file(entry: Any) -> bool:
    """Whether the value of an `env_file` has the right form."""
    return bool(_part("#/$defs/envFile")(entry))


@functools.cache
def _whole() -> dict[str, Any]:
    """The schema of a spec together with all that it takes in; its parts alone may lack something."""
    parts: dict[str, Any] = experiment()["$defs"]
    executor = {**parts["executor"], "required": ["type"]}
    return {**experiment(), "required": ["tasks"], "$defs": {**parts, "executor": executor}}


@functools.cache
def _experiment_check() -> Any:
    return compiled(_whole())


def _wrong(data: Any, schema: Mapping[str, Any], place: Place) -> list[Finding]:
    # jsonschema takes longer to import than most specs take to check, and only wrong ones need it.
    from nemorun_cli.loading import violations  # noqa: PLC0415

    return list(violations.found(data, schema, place))


def keys_at(place: Place) -> tuple[list[str], bool]:
    """The keys that a mapping at the place can have, and whether it takes names of the user's besides."""
    parts: list[Mapping[str, Any]] = [experiment()]
    for key in place:
        parts = [found for part in parts for found in below(part, str(key))]
    keys = dict.fromkeys(name for part in parts for name in properties(part))
    return list(keys), any(names(part) is not None for part in parts)


def is_free_at(place: Place) -> bool:
    """Whether a mapping at the place takes any keys, as options do that others check."""
    parts: list[Mapping[str, Any]] = [experiment()]
    for key in place:
        parts = [found for part in parts for found in below(part, str(key))]
        if any(_is_free(piece) for part in parts for piece in pieces(part)):
            return True
    return False


def _is_free(piece: Mapping[str, Any]) -> bool:
    keywords = {"properties", "additionalProperties", "unevaluatedProperties", "allOf", "anyOf", "oneOf"}
    kinds = piece.get("type", ())
    return "object" in ([kinds] if isinstance(kinds, str) else kinds) and not keywords & piece.keys()


def below(part: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """What the schema says of a key, of a name of the user's, or of an item of a list."""
    if key in (known := properties(part)):
        return [known[key]]
    named = names(part)
    if named is not None:
        return [named]
    return [piece["items"] for piece in pieces(part) if "items" in piece and key.isdigit()]


def properties(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The keys that a part of the schema knows, those of what it takes in and of its alternatives too."""
    found: dict[str, Mapping[str, Any]] = {}
    for piece in pieces(part):
        found |= piece.get("properties", {})
    return found


def names(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What the schema says of entries under names of the user's; None where it takes none."""
    for piece in pieces(part):
        if isinstance(piece.get("additionalProperties"), dict):
            entry: Mapping[str, Any] = piece["additionalProperties"]
            return entry
    return None


def known_keys(part: Mapping[str, Any]) -> list[str]:
    """The keys that a mapping of this schema can have, in the order in which it tells them."""
    return list(properties(part))


def pieces(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A part of the schema, and whatever holds besides or instead: `$ref`, `allOf`, `anyOf`, `then`."""
    if "$ref" in part:
        yield from pieces(experiment()["$defs"].get(part["$ref"].removeprefix("#/$defs/"), {}))
    for keyword in ("allOf", "anyOf"):
        for inner in part.get(keyword, ()):
            yield from pieces(inner)
    if "then" in part:
        yield from pieces(part["then"])
    yield part
