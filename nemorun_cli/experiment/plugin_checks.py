"""Checks a launch that a plugin changed, so that no bad value reaches the later steps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import executors
from nemorun_cli.model import attempt_end
from nemorun_cli.model.problems import dotted
from nemorun_cli.model.resources import Resources
from nemorun_cli.model.spec import Retry
from nemorun_cli.plugins import CHANGEABLE, Launch
from nemorun_cli.spec.schema import checks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nemorun_cli.model.spec import Task

FIXED: Final = tuple(item.name for item in fields(Launch) if item.name not in CHANGEABLE)

_VARIABLE: Final = re.compile(r"(?!EXP_|NEMORUN_HOME\Z)[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def faults(before: Launch, after: Launch, task: Task) -> Iterator[str]:
    """The problems of a launch that a plugin returned; callers report the first."""
    if fixed := [name for name in FIXED if getattr(after, name) != getattr(before, name)]:
        yield f"{', '.join(fixed)} cannot be changed"
    if not all(isinstance(word, str) and "\0" not in word for word in after.prefix):
        yield "prefix must be words"
    yield from _of_env(after.env)
    yield from _of_times(after)
    try:
        attempt_end.signal_number(after.stop_signal)
        json.dumps([plain(after.args), dict(after.options)], allow_nan=False)
    except (ValueError, TypeError) as error:
        yield str(error)
    yield from _of_args(after, task)
    if isinstance(after.resources, Resources) and after.resources != before.resources:
        options = json.dumps({"type": after.type, **after.options})
        if reason := _why_unsatisfiable(after.executor, options, after.resources):
            yield f"resources: {reason}"
    if after.options != before.options:
        known = executors.options_schema(after.type) or {}
        for problem in checks.check(dict(after.options), known, ("executors", after.executor)):
            yield f"{dotted(problem.place)}: {problem.message}"


@lru_cache(maxsize=64)  # members of a sweep request the same
def _why_unsatisfiable(executor: str, options: str, resources: Resources) -> str | None:
    return executors.why_unsatisfiable(executor, json.loads(options), resources, ask=True)


def plain(args: tuple[Any, ...] | Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
    """Arguments in the type that a task holds."""
    return dict(args) if isinstance(args, Mapping) else tuple(args)


def _of_env(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            yield f"{name!r} cannot be the name of a variable"
        if not isinstance(value, str) or "\0" in value:
            yield f"the variable {name} must be text"


def _of_times(after: Launch) -> Iterator[str]:
    for name, value in (("timeout", after.timeout), ("stop_grace", after.stop_grace)):
        if value is None and name == "timeout":
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            yield f"{name} must be seconds"
    if not isinstance(after.retry, Retry):
        yield "retry must be a Retry"
    if not isinstance(after.resources, Resources):
        yield "resources must be a Resources"


def _of_args(after: Launch, task: Task) -> Iterator[str]:
    if isinstance(task.args, dict) != isinstance(after.args, Mapping):
        yield f"args must be a {'mapping' if isinstance(task.args, dict) else 'tuple'}"
    for pointer in task.late:
        name, *keys = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
        if name in ("args", "env") and _at(getattr(task, name), keys) != _at(getattr(after, name), keys):
            yield f"{pointer} waits for the outputs of other tasks and cannot be changed"


def _at(value: Any, keys: Sequence[str]) -> Any:
    """The value at a pointer's keys, or None."""
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, (list, tuple)) else value[key]
        except (LookupError, TypeError, ValueError):
            return None
    return value
