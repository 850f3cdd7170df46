"""Whether what a plugin made of a launch can be: nothing of it may break what follows."""

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


def faults(before: Launch, found: Launch, task: Task) -> Iterator[str]:
    """What is wrong with a launch that a plugin gave, the first of which is worth telling."""
    if moved := [name for name in FIXED if getattr(found, name) != getattr(before, name)]:
        yield f"{', '.join(moved)} cannot be changed"
    if not all(isinstance(word, str) and "\0" not in word for word in found.prefix):
        yield "prefix has to be words"
    yield from _of_env(found.env)
    yield from _of_times(found)
    try:
        attempt_end.signal_number(found.stop_signal)
        json.dumps([plain(found.args), dict(found.options)], allow_nan=False)
    except (ValueError, TypeError) as error:
        yield str(error)
    yield from _of_args(found, task)
    if isinstance(found.resources, Resources) and found.resources != before.resources:
        asked = json.dumps({"type": found.type, **found.options})
        if told := _misfit(found.executor, asked, found.resources):
            yield f"resources: {told}"
    if found.options != before.options:
        known = executors.options_schema(found.type) or {}
        for wrong in checks.check(dict(found.options), known, ("executors", found.executor)):
            yield f"{dotted(wrong.place)}: {wrong.message}"


@lru_cache(maxsize=64)  # members of a sweep ask for the same
def _misfit(executor: str, options: str, wanted: Resources) -> str | None:
    return executors.why_unsatisfiable(executor, json.loads(options), wanted, ask=True)


def plain(args: tuple[Any, ...] | Mapping[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
    """Arguments as a task has them."""
    return dict(args) if isinstance(args, Mapping) else tuple(args)


def _of_env(env: Mapping[str, str]) -> Iterator[str]:
    for name, value in env.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            yield f"{name!r} cannot be the name of a variable here"
        if not isinstance(value, str) or "\0" in value:
            yield f"the variable {name} has to be text"


def _of_times(found: Launch) -> Iterator[str]:
    for name, value in (("timeout", found.timeout), ("stop_grace", found.stop_grace)):
        if value is None and name == "timeout":
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            yield f"{name} has to be seconds"
    if not isinstance(found.retry, Retry):
        yield "retry has to be a Retry"
    if not isinstance(found.resources, Resources):
        yield "resources has to be a Resources"


def _of_args(found: Launch, task: Task) -> Iterator[str]:
    if isinstance(task.args, dict) != isinstance(found.args, Mapping):
        yield f"args has to be a {'mapping' if isinstance(task.args, dict) else 'tuple'}"
    for pointer in task.late:
        name, *keys = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
        if name in ("args", "env") and _at(getattr(task, name), keys) != _at(getattr(found, name), keys):
            yield f"{pointer} waits for the outputs of other tasks, and has to stay as it is"


def _at(value: Any, keys: Sequence[str]) -> Any:
    """What stands at a pointer's keys, or None."""
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, (list, tuple)) else value[key]
        except (LookupError, TypeError, ValueError):
            return None
    return value
