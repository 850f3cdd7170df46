"""A spec built in Python, call by call as with NeMo-Run; the result equals the content of a YAML file."""

from __future__ import annotations

import builtins
import os
import re
import shutil
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.errors import ExpError, UsageError
from nemorun_cli.model import titles
from nemorun_cli.model.problems import choices
from nemorun_cli.parts import Command, Executor, LocalExecutor, Partial, Script, given, plain
from nemorun_cli.spec import python_specs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.parts import Task
    from nemorun_cli.spec.document import Document

_INVALID_IN_ID: Final = re.compile(r"[^A-Za-z0-9._-]+|^[^A-Za-z0-9]+")


class Builder:
    """Collects tasks and runs them as one experiment.

    Args:
        title: the experiment's name, or any title, which gives it one.
        executor: the default executor of the tasks: an executor, or the name of a configured one.
        check: whether the program ends with the exit code of a run that it waited for, if that is not 0; by
            default, if the program itself creates this: not a module, a notebook, a prompt or a test.
        quiet: whether runs print only warnings, errors and the tasks' output that `tail_logs` shows, which
            then goes to standard error.
        keys: other keys of a spec: `params`, `env`, `defaults`, `tags`, …

    Paths are relative to the folder of the calling program, or to the working folder in a notebook.

    As a context manager it ends the program when the block is left, with the exit code of the first waited
    run that did not succeed: FAILED 1, CANCELLED 5, INTERRUPTED 9. Inside of the block nothing ends it.
    """

    def __init__(
        self,
        title: str,
        executor: Executor | str | None = None,
        *,
        check: bool | None = None,
        quiet: bool = False,
        **keys: Any,
    ) -> None:
        frame = sys._getframe(1)  # noqa: SLF001 - paths are relative to the calling program
        caller = frame.f_globals
        file = caller.get("__file__")
        self.path = Path(os.path.abspath(file)) if file else Path.cwd() / "spec.yaml"  # noqa: PTH100 - keeps links
        self._is_imported = caller.get("__name__") != "__main__"
        self._checks = _is_program(caller) if check is None else check
        self._is_quiet = quiet
        if self._checks and sys.excepthook is sys.__excepthook__:
            sys.excepthook = self._end_program
        self._is_open = False  # within its `with` block
        self._code = 0  # the exit code of the first waited run in the block that did not succeed
        self.lines: dict[tuple[str, ...], int] = {(): frame.f_lineno} if file else {}
        self._executors: dict[str, Executor] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self._python: str | None = None  # that of local partials; None for `python3` of their PATH
        self._plugins: list[tuple[object, tuple[str, ...] | None]] = []
        for plugin in keys.pop("plugins", ()):
            self._plugins.append((plugin, None))
        self._keys = {"name" if titles.NAME.match(title) else "title": title, **keys}
        if executor is not None:
            self._keys["executor"] = self._executor_name(executor)

    def __repr__(self) -> str:
        """The title and the number of tasks."""
        title = self._keys.get("title", self._keys.get("name"))
        return f"Builder({title!r}, {len(self._tasks)} task{'' if len(self._tasks) == 1 else 's'})"

    def __enter__(self) -> Self:
        self._is_open, self._code = True, 0
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_open = False
        if kind is None and self._code:
            raise SystemExit(self._code)

    def add(
        self,
        task: Task | Sequence[Task],
        executor: Executor | str | Sequence[Executor | str] | None = None,
        *,
        name: str = "",
        dependencies: Sequence[str | Mapping[str, Any]] | None = None,
        plugins: Sequence[object] | None = None,
        tail_logs: bool | None = None,
        **keys: Any,
    ) -> str:
        """Add a task, or a list of tasks that run in parallel as a group; return its id.

        Args:
            task: the task, or the tasks of the group.
            executor: where it runs; one for all tasks of a group, or a list with one per task.
            name: the id; by default derived from the name of the script, program or function.
            dependencies: ids of the tasks that must succeed first, or mappings that name something outside of
                the experiment, such as `{"experiment": "digits", "task": "train"}`.
            plugins: plugins for this task: instances, or mappings `{"uses": …, "with": …}`.
            tail_logs: whether its output is shown while the experiment is watched.
            keys: other keys of a task: `timeout`, `retry`, `resources`, `matrix`, `when`, …

        Raises:
            UsageError: the name is already used, a list of tasks has no name, or a dependency was not added.
        """
        task_id = self._new_id(name, task)
        self._require_added(task_id, dependencies or ())
        self._note_line(("tasks", task_id))
        if isinstance(task, (Script, Command, Partial)):
            entry = task.entry(f"tasks.{task_id}.args")
        else:
            members = enumerate(task)
            entry = {"group": [each.entry(f"tasks.{task_id}.group.{n}.args") for n, each in members]}
        if executor is not None:
            entry["executor"] = (
                self._executor_name(executor)
                if isinstance(executor, (str, Executor))
                else [self._executor_name(each) for each in executor]
            )
        entry |= {key: plain(value) for key, value in keys.items()}
        entry |= given(dependencies=list(dependencies or ()), tail_logs=tail_logs)
        self._tasks[task_id] = entry
        self._plugins += [(plugin, (task_id,)) for plugin in plugins or ()]
        return task_id

    @property
    def spec(self) -> dict[str, Any]:
        """The content of an equivalent YAML file, without plugins."""
        own = {
            name: dict(executor.options)
            for name, executor in self._executors.items()
            if executor != LocalExecutor()
        }
        executors = {**self._keys.get("executors", {}), **own}
        tasks = {name: self._with_python(entry, entry.get("executor")) for name, entry in self._tasks.items()}
        return {**self._keys, **({"executors": executors} if executors else {}), "tasks": tasks}

    def run(
        self,
        *,
        sequential: bool | None = None,
        detach: bool | None = None,
        tail_logs: bool | None = None,
        direct: bool | None = None,
        check: bool | None = None,
        quiet: bool | None = None,
    ) -> Run:
        """Start the experiment and, unless it is detached, watch it until it is finished; return its handle.

        Args:
            sequential: run one task after the other, in the order in which they were added.
            detach: return as soon as the experiment has started.
            tail_logs: show the tasks' output.
            direct: run it in this process, one task at a time.
            check: whether the program ends with its exit code, if that is not 0; by default as given to the
                constructor. Within a `with` block the program ends when the block is left.
            quiet: whether only warnings and errors are printed; by default as given to the constructor.

        Raises:
            SpecError: the built spec has problems; the error holds all of them.
            EngineError: an engine that it needs is absent, down or refuses.
            UsageError: a task imported the program, which would start the experiment again.
            SystemExit: the run, which was waited for, did not succeed, and `check` is on.
        """
        flags = {"sequential": sequential, "detach": detach, "tail_logs": tail_logs, "direct": direct}
        python_specs.hand_over(self, _sets(flags))
        self._python = _own_python()
        if self._is_imported and os.environ.get("EXP_TASK"):
            raise UsageError(
                f"{self.path} was imported by a task and would start the experiment again: "
                'put the call of run() under if __name__ == "__main__":'
            )
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        run, code = run_built.run(
            self.document(flags),
            is_direct=bool(direct),
            is_detached=bool(detach),
            quiet=self._is_quiet if quiet is None else quiet,
        )
        if code and (self._checks if check is None else check):
            if not self._is_open:
                raise SystemExit(code)
            self._code = self._code or code
        return run

    def dryrun(self) -> dict[str, Any]:
        """Print what would run, and return it as the document `exp.plan/1`; nothing is created."""
        python_specs.hand_over(self, [])
        self._python = _own_python()
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        return run_built.show(self.document({}))

    def document(self, flags: Mapping[str, bool | None]) -> Document:
        """The built spec, checked; raises SpecError with all of its problems."""
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        return run_built.read(self, _sets(flags))

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """The plugins, each with the ids of its tasks; None means all tasks."""
        return list(self._plugins)

    def _with_python(self, entry: dict[str, Any], executor: Any) -> dict[str, Any]:
        """A task or a member whose partial runs here, with the Python of this program."""
        if "group" in entry:
            count = len(entry["group"])
            each = executor if isinstance(executor, list) else [executor] * count
            members = [self._with_python(*pair) for pair in zip(entry["group"], each, strict=False)]
            return {**entry, "group": members} if len(members) == count else entry
        if self._python is None or "partial" not in entry or "entrypoint" in entry:
            return entry
        return {**entry, "entrypoint": [self._python]} if self._is_local(executor) else entry

    def _is_local(self, executor: Any) -> bool:
        name = executor or self._keys.get("executor") or "local"
        if name in self._executors:
            return bool(self._executors[name].options["type"] == "local")
        return bool(self._keys.get("executors", {}).get(name, {"type": name}).get("type") == "local")

    def _end_program(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """End the program with an error of ours as the command line does; others keep their traceback."""
        if not isinstance(error, ExpError):
            sys.__excepthook__(kind, error, trace)
            return
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        run_built.report(error, self.path)
        raise SystemExit(error.exit_code)

    def _note_line(self, place: tuple[str, ...]) -> None:
        """Note the line of the program that is at work, for problems of what it builds there."""
        frame = sys._getframe(2)  # noqa: SLF001 - the caller of the public method
        while frame is not None and frame.f_code.co_filename != str(self.path):
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            self.lines[place] = frame.f_lineno

    def _require_added(self, task_id: str, dependencies: Sequence[str | Mapping[str, Any]]) -> None:
        """Check that the dependencies of a task are tasks, groups or members that were added."""
        for name in dependencies:
            if isinstance(name, str) and not any(
                name == known or name.startswith(f"{known}/") for known in self._tasks
            ):
                raise UsageError(
                    f"{task_id} depends on {name!r}, which was not added", hint=choices(name, self._tasks)
                )

    def _executor_name(self, executor: Executor | str) -> str:
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

    def _new_id(self, name: str, task: Task | Sequence[Task]) -> str:
        if name:
            if name in self._tasks:
                raise UsageError(f"a task {name!r} already exists", hint="use a different name for each task")
            return name
        if not isinstance(task, (Script, Command, Partial)):
            raise UsageError("a list of tasks needs a name", hint='add([…], name="evaluate")')
        wanted = _INVALID_IN_ID.sub("_", task.name())[:60].lstrip("_.-") or "task"
        name, number = wanted, 2
        while name in self._tasks:
            name, number = f"{wanted}-{number}", number + 1
        return name


def _is_program(caller: Mapping[str, Any]) -> bool:
    """Whether the module with these globals is a program that runs by itself, in its main thread."""
    is_main = caller.get("__name__") == "__main__" and "__file__" in caller
    is_watched = sys.flags.interactive or hasattr(sys, "ps1") or hasattr(builtins, "__IPYTHON__")
    is_tested = "pytest" in sys.modules
    return (
        is_main and not is_watched and not is_tested and threading.current_thread() is threading.main_thread()
    )


def _own_python() -> str | None:
    """The interpreter of this program; None if `python3` on PATH is of the same environment."""
    found = shutil.which("python3")
    is_same = found is not None and Path(found).parent == Path(sys.executable).parent
    return None if is_same else sys.executable


def _sets(flags: Mapping[str, bool | None]) -> list[str]:
    """The flags that are not None, as `--set` changes of the spec's `run` section."""
    return [f"run.{name}={str(value).lower()}" for name, value in flags.items() if value is not None]
