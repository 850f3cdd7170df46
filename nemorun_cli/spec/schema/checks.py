"""Checks specs and their parts against the JSON Schema, with a finding for each violation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nemorun_cli.spec.schema.validator import UnsupportedError, compiled
from nemorun_cli.spec.schema.walk import experiment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Finding, Place


def check_experiment(data: Any) -> list[Finding]:
    """Return the violations in a spec."""
    return [] if _experiment_check()(data) else _violations(_without_valid_tasks(data), _whole(), ())


def _without_valid_tasks(data: Any) -> Any:
    """Return the data without its valid tasks, since jsonschema needs a second for a thousand tasks."""
    tasks = data.get("tasks") if isinstance(data, dict) else None
    if not isinstance(tasks, dict):
        return data
    is_task = _part("#/$defs/task")
    invalid = {name: task for name, task in tasks.items() if not (is_name(name) and is_task(task))}
    # One task stays, since an empty `tasks` would be a violation.
    return {**data, "tasks": invalid or dict(list(tasks.items())[:1])}


def check(data: Any, schema: Mapping[str, Any], place: Place = ()) -> list[Finding]:
    """Return the violations in the data at `place` of a separate schema, such as an executor's."""
    try:
        if compiled(schema)(data):
            return []
    except UnsupportedError:
        pass  # jsonschema supports every keyword
    return _violations(data, schema, place)


@functools.cache
def _part(reference: str) -> Any:
    return compiled({"$ref": reference, "$defs": experiment()["$defs"]})


def is_param(entry: Any) -> bool:
    """Whether an entry of `params` is valid."""
    return bool(_part("#/$defs/param")(entry))


def is_name(text: str) -> bool:
    """Whether the text is a valid name of an experiment, a task or a member."""
    return bool(_part("#/$defs/name")(text))


def is_axis(text: str) -> bool:
    """Whether the text is a valid name of an axis."""
    return bool(_part("#/$defs/axisName")(text))


def is_matrix(entry: Any) -> bool:
    """Whether the value of a `matrix` is valid."""
    return bool(_part("#/$defs/matrix")(entry))


def is_search(entry: Any) -> bool:
    """Whether the value of a `search` is valid."""
    return bool(_part("#/$defs/search")(entry))


def check_task(entry: Any, place: Place) -> list[Finding]:
    """Return the violations in one task."""
    part = {"$ref": "#/$defs/task", "$defs": experiment()["$defs"]}
    return [] if _part("#/$defs/task")(entry) else _violations(entry, part, place)


def check_secret(source: Any, place: Place) -> list[Finding]:
    """Return the violations in the source of a secret."""
    part = {"$ref": "#/$defs/secret", "$defs": experiment()["$defs"]}
    return [] if _part("#/$defs/secret")(source) else _violations(source, part, place)


def check_files(entry: Any, place: Place) -> list[Finding]:
    """Return the violations in an `extends` or an `include`."""
    part = {"$ref": "#/$defs/files", "$defs": experiment()["$defs"]}
    return [] if _part("#/$defs/files")(entry) else _violations(entry, part, place)


def is_env_file(entry: Any) -> bool:
    """Whether the value of an `env_file` is valid."""
    return bool(_part("#/$defs/envFile")(entry))


@functools.cache
def _whole() -> dict[str, Any]:
    """Return the schema of a spec after merging its files; a single file may lack required keys."""
    parts: dict[str, Any] = experiment()["$defs"]
    executor = {**parts["executor"], "required": ["type"]}
    return {**experiment(), "required": ["tasks"], "$defs": {**parts, "executor": executor}}


@functools.cache
def _experiment_check() -> Any:
    return compiled(_whole())


def _violations(data: Any, schema: Mapping[str, Any], place: Place) -> list[Finding]:
    # Importing jsonschema takes longer than checking most specs, and only invalid specs need it.
    from nemorun_cli.spec.schema import violations  # noqa: PLC0415 - see above

    return list(violations.find(data, schema, place))
