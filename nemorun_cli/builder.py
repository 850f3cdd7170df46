"""A spec built in Python, call by call as with NeMo-Run; the result equals the content of a YAML file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Final, Self

from nemorun_cli.cli import program_errors
from nemorun_cli.errors import UsageError
from nemorun_cli.model import titles
from nemorun_cli.model.problems import choices
from nemorun_cli.parts import Command, Executor, LocalExecutor, Partial, Script, given, plain
from nemorun_cli.spec import calling_program, python_specs
from nemorun_cli.supervisor import client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.experiment.run import Run
    from nemorun_cli.json_documents import PlanDocument
    from nemorun_cli.parts import CacheKeys, Task
    from nemorun_cli.spec.document import Document
    from nemorun_cli.storage.paths import Home

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
        program = calling_program.calling()
        self.path = program.path
        self._is_imported = program.is_imported
        self._is_program = program.is_main
        self._checks = program.is_main if check is None else check
        self._is_quiet = quiet
        if self._checks:
            program_errors.report_from(str(self.path))
        self._home: Home | None = None  # instead of the one from the environment
        self._run: Run | None = None  # the last one
        self._codes: list[int] = []  # of each open block the first exit code of its waited runs but 0
        self.lines: dict[tuple[str, ...], int] = {} if program.line is None else {(): program.line}
        self._executors: dict[str, Executor] = {}
        self._tasks: dict[str, dict[str, Any]] = {}
        self.wanted_id: str | None = None
        self.key: str | None = None
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
        self._codes.append(0)
        if self._starts_by_itself():
            client.prepare()  # a run is likely, and a supervisor takes as long to start as what comes before
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        code = self._codes.pop()
        if not self._codes and self._starts_by_itself():
            client.dismiss()
        if kind is None and code:
            raise SystemExit(code)

    def add(
        self,
        task: Task | Sequence[Task],
        executor: Executor | str | Sequence[Executor | str] | None = None,
        *,
        name: str = "",
        dependencies: Sequence[str | Mapping[str, Any]] | None = None,
        plugins: Sequence[object] | None = None,
        tail_logs: bool | None = None,
        cache: bool | CacheKeys | None = None,
        **keys: Any,
    ) -> str:
        """Add a task, or a list of tasks that run in parallel as a group; return its id.

        Args:
            task: the task, or the tasks of the group.
            executor: where it runs; one for all tasks of a group, or a list with one per task.
            name: the id; by default derived from the name of the script, program or function. A second task
                of a name gets a number: `train_1`.
            dependencies: ids of the tasks that must succeed first, or mappings that name something outside of
                the experiment, such as `{"experiment": "digits", "task": "train"}`.
            plugins: plugins for this task: instances, or mappings `{"uses": …, "with": …}`.
            tail_logs: whether its output is shown while the experiment is watched.
            cache: whether an equal earlier result is used instead of a run, or what counts in addition:
                `{"inputs": ["data/*"], "outputs": ["model.pt"], "also": [2], "env": ["SEED"]}`.
            keys: other keys of a task: `timeout`, `retry`, `resources`, `matrix`, `search`, `when`, …

        Raises:
            UsageError: a list of tasks has no name, or a dependency was not added.
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
        entry |= {} if cache is None else {"cache": plain(cache)}
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
        python_specs.hand_over(self, as_sets(flags))
        self._python = calling_program.own_python()
        if self._is_imported and os.environ.get("EXP_TASK"):
            raise calling_program.imported_by_task(self.path)
        runs: list[Run] = []  # the one that is started, also if Ctrl-C ends the watching
        if not direct:
            client.prepare()  # it takes as long to start as what follows
        try:
            from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

            code = run_built.run(
                self.document(flags),
                note=runs.append,
                is_direct=bool(direct),
                is_detached=bool(detach),
                quiet=self._is_quiet if quiet is None else quiet,
                home=self._home,
            )
        finally:
            client.dismiss()
            self._run = runs[0] if runs else self._run
        if code and (self._checks if check is None else check):
            if not self._codes:
                raise SystemExit(code)
            self._codes[-1] = self._codes[-1] or code
        return runs[0]

    def dryrun(self) -> PlanDocument:
        """Print what would run, and return it as the document `exp.plan/1`; nothing is created."""
        return self._plans(is_quiet=False)

    def _plans(self, *, is_quiet: bool) -> PlanDocument:
        python_specs.hand_over(self, [])
        self._python = calling_program.own_python()
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        return run_built.show(self.document({}), quiet=is_quiet, home=self._home)

    def document(self, flags: Mapping[str, bool | None]) -> Document:
        """The built spec, checked; raises SpecError with all of its problems."""
        from nemorun_cli.cli import run_built  # noqa: PLC0415 - slow to import

        return run_built.read(self, as_sets(flags))

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """The plugins, each with the ids of its tasks; None means all tasks."""
        return list(self._plugins)

    def _starts_by_itself(self) -> bool:
        """Whether it belongs to a program that starts its runs, not to a task, a notebook or `exp run`."""
        return self._is_program and not os.environ.get("EXP_TASK") and not python_specs.is_building()

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

    def _note_line(self, place: tuple[str, ...]) -> None:
        """Note the line of the program that is at work, for problems of what it builds there."""
        if (line := calling_program.line_at_work(self.path)) is not None:
            self.lines[place] = line

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
        name = _free(wanted, "-", 2, {**self._keys.get("executors", {}), **self._executors})
        self._executors[name] = executor
        return name

    def _new_id(self, name: str, task: Task | Sequence[Task]) -> str:
        if name:
            return _free(name, "_", len(self._tasks), self._tasks)
        if not isinstance(task, (Script, Command, Partial)):
            raise UsageError("a list of tasks needs a name", hint='add([…], name="evaluate")')
        wanted = _INVALID_IN_ID.sub("_", task.name())[:60].lstrip("_.-") or "task"
        return _free(wanted, "-", 2, self._tasks)


def _free(wanted: str, separator: str, number: int, taken: Mapping[str, Any]) -> str:
    """The wanted name, or with the first number from this one on that makes it free."""
    name = wanted
    while name in taken:
        name, number = f"{wanted}{separator}{number}", number + 1
    return name


def as_sets(flags: Mapping[str, bool | None]) -> list[str]:
    """The flags that are not None, as `--set` changes of the spec's `run` section."""
    return [f"run.{name}={str(value).lower()}" for name, value in flags.items() if value is not None]
