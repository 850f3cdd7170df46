"""A spec built in Python, call by call as with NeMo-Run: what comes of it is what a YAML file would hold."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import UsageError
from nemorun_cli.parts import Command, Executor, LocalExecutor, Partial, Script, given, plain
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.parts import Task
    from nemorun_cli.spec.document import Document

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+|^[^A-Za-z0-9]+")


class Builder:
    """Collects tasks and runs them as one experiment.

    Args:
        title: the experiment's name.
        executor: where tasks run that name none: an executor, or the name of one that is described.
        keys: other keys of a spec: `params`, `env`, `defaults`, `tags`, …

    Paths are relative to the folder of the program that makes it, or to the working folder in a notebook.
    """

    def __init__(self, title: str, executor: Executor | str | None = None, **keys: Any) -> None:
        caller = sys._getframe(1).f_globals  # noqa: SLF001 - whose program it is says where its paths begin
        file = caller.get("__file__")
        self.path = Path(os.path.abspath(file)) if file else Path.cwd() / "spec.yaml"  # noqa: PTH100 - keeps links
        self._is_imported = caller.get("__name__") != "__main__"
        self._executors: dict[str, Executor] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._plugins: list[tuple[object, tuple[str, ...] | None]] = []
        for plugin in keys.pop("plugins", ()):
            self._plugins.append((plugin, None))
        self._keys = {"name": title, **keys}
        if executor is not None:
            self._keys["executor"] = self._named(executor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def add(
        self,
        task: Task | Sequence[Task],
        executor: Executor | str | Sequence[Executor | str] | None = None,
        *,
        name: str = "",
        dependencies: Sequence[str] | None = None,
        plugins: Sequence[object] | None = None,
        tail_logs: bool | None = None,
        **keys: Any,
    ) -> str:
        """Add a task, or a list of tasks that run in parallel and count as one; gives its id.

        Args:
            task: what runs.
            executor: where; for a list of tasks one for all of them, or a list with one for each.
            name: the id; by default made of the script's, the program's or the function's name.
            dependencies: ids of what must have succeeded first.
            plugins: for this task, made already or as `{"uses": …, "with": …}`.
            tail_logs: whether its output is shown while the experiment is watched.
            keys: other keys of a task: `timeout`, `retry`, `resources`, `matrix`, `when`, …

        Raises:
            UsageError: the name is taken, or missing for a list.
        """
        task_id = self._free(name, task)
        if isinstance(task, (Script, Command, Partial)):
            entry = task.entry()
        else:
            entry = {"group": [one.entry() for one in task]}
        if executor is not None:
            entry["executor"] = (
                self._named(executor)
                if isinstance(executor, (str, Executor))
                else [self._named(one) for one in executor]
            )
        entry |= {key: plain(value) for key, value in keys.items()}
        entry |= given(dependencies=list(dependencies or ()), tail_logs=tail_logs)
        self._tasks[task_id] = entry
        self._plugins += [(plugin, (task_id,)) for plugin in plugins or ()]
        return task_id

    @property
    def spec(self) -> dict[str, Any]:
        """What a YAML file would hold; plugins that were made are not in it."""
        own = {name: dict(one.options) for name, one in self._executors.items() if one != LocalExecutor()}
        executors = {**self._keys.get("executors", {}), **own}
        return {**self._keys, **({"executors": executors} if executors else {}), "tasks": dict(self._tasks)}

    def run(
        self,
        *,
        sequential: bool | None = None,
        detach: bool | None = None,
        tail_logs: bool | None = None,
        direct: bool | None = None,
    ) -> Run:
        """Start the experiment and watch it to its end, unless it is detached; gives a handle of it.

        Args:
            sequential: one task after the other, in the order in which they were added.
            detach: return as soon as it has begun.
            tail_logs: show what the tasks write.
            direct: run it in this very process, one task at a time.

        Raises:
            SpecError: with all problems of what was built.
            EngineError: an engine that it needs is absent, down or refuses.
            UsageError: a task imported the program, which starts it all again.
        """
        flags = {"sequential": sequential, "detach": detach, "tail_logs": tail_logs, "direct": direct}
        python_specs.hand_over(self, _sets(flags))
        if self._is_imported and os.environ.get("EXP_TASK"):
            raise UsageError(
                f"{self.path} was imported by a task and would start the experiment again: "
                'put what starts it under if __name__ == "__main__":'
            )
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - what runs experiments is heavy

        return run_built.run(self.document(flags), is_direct=bool(direct), is_detached=bool(detach))

    def dryrun(self) -> dict[str, Any]:
        """Show what would run, and give it as the document `exp.plan/1`; nothing is created."""
        python_specs.hand_over(self, [])
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - what runs experiments is heavy

        return run_built.show(self.document({}))

    def document(self, flags: Mapping[str, bool | None]) -> Document:
        """What was built, checked; raises SpecError with all of its problems."""
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - what checks specs is heavy

        return run_built.read(self, _sets(flags))

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """The plugins that were given, each with the tasks that it is for; None for all."""
        return list(self._plugins)

    def _named(self, executor: Executor | str) -> str:
        if isinstance(executor, str):
            return executor
        for name, known in self._executors.items():
            if known == executor:
                return name
        kind = str(executor.options["type"])
        wanted = executor.name or (kind if kind != "local" or executor == LocalExecutor() else "local-2")
        name = wanted
        number = 2
        while name in self._executors:
            name, number = f"{wanted}-{number}", number + 1
        self._executors[name] = executor
        return name

    def _free(self, name: str, task: Task | Sequence[Task]) -> str:
        if name:
            if name in self._tasks:
                raise UsageError(f"there is a task {name!r} already", hint="give each its own name")
            return name
        if not isinstance(task, (Script, Command, Partial)):
            raise UsageError("a list of tasks needs a name", hint='add([…], name="evaluate")')
        wanted = _NO_NAME.sub("_", task.name())[:60].lstrip("_.-") or "task"
        name, number = wanted, 2
        while name in self._tasks:
            name, number = f"{wanted}-{number}", number + 1
        return name


def _sets(flags: Mapping[str, bool | None]) -> list[str]:
    """Flags that were given, as changes of the spec's `run` section."""
    return [f"run.{name}={str(value).lower()}" for name, value in flags.items() if value is not None]
