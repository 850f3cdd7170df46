"""The check of a spec's form against its JSON Schema, and what is wrong in words."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from nemorun_cli.spec.schema.validator import UnsupportedError, compiled
from nemorun_cli.spec.schema.walk import experiment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.problems import Finding, Place


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
    from nemorun_cli.spec.schema import violations  # noqa: PLC0415

    return list(violations.found(data, schema, place))
