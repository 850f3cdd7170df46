"""`dryrun_fn`: what a task would be called with."""

from __future__ import annotations

from typing import Any

from nemorun_cli import arguments
from nemorun_cli.nemo import calls, printing
from nemorun_cli.nemo.scripts import Script


def dryrun_fn(task: Any, executor: Any = None, build: bool = False) -> None:  # noqa: FBT001, FBT002 - as in NeMo-Run
    """Print the arguments that a task would get, its defaults included, and its executor.

    Args:
        task: a Partial, a Config or a Script.
        executor: printed too.
        build: whether the arguments are built, by which errors in them are raised.

    Raises:
        TypeError: it is no task.
    """
    if not isinstance(task, (calls.MutableCall, Script)):
        raise TypeError(f"{task!r} is no task: give a Partial or a Script")
    printing.lines([*_lines(task), *_executor_lines(executor)])
    if build:
        calls.build(task)


def _lines(task: calls.MutableCall[Any] | Script) -> list[str]:
    if isinstance(task, Script):
        given = {name: value for name, value in vars(task).items() if value}
        return [f"Dry run for task {task.default_name()}", *_table(given)]
    name = arguments.shown_name(task.__fn_or_cls__)
    return [f"Dry run for task {name}", "Resolved Arguments", *_table(calls.resolved(task))]


def _executor_lines(executor: Any) -> list[str]:
    return [] if executor is None else ["Executor", f"  {executor!r}"]


def _table(values: dict[str, Any]) -> list[str]:
    width = max(map(len, values), default=0)
    return [f"  {name:<{width}}  {value!r}" for name, value in values.items()]
