"""A spec built in Python, call by call as with NeMo-Run: what comes of it is what a YAML file would hold."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from nemorun_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.experiment import Run
    from nemorun_cli.load import Document

_NO_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+|^[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Script:
    """A script: the path of a file, or its text as `inline`; run by `entrypoint`, or else by bash."""

    path: str | os.PathLike[str] | None = None
    inline: str | None = field(default=None, kw_only=True)
    args: Sequence[Any] = field(default=(), kw_only=True)
    env: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    entrypoint: str | Sequence[str] | None = field(default=None, kw_only=True)

    def entry(self) -> dict[str, Any]:
        """The task as a spec has it."""
        if (self.path is None) == (self.inline is None):
            raise UsageError("a Script is either a path or an inline text")
        what = {"inline": self.inline} if self.path is None else {"script": os.fspath(self.path)}
        return {**what, **_given(args=list(self.args), env=dict(self.env), entrypoint=self.entrypoint)}

    def name(self) -> str:
        """What the task is called if nothing else is said."""
        return "script" if self.path is None else Path(self.path).name


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments: a list, or a text that is split as a shell would, but run without one."""

    command: str | Sequence[Any]
    env: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    def entry(self) -> dict[str, Any]:
        """The task as a spec has it."""
        command = self.command if isinstance(self.command, str) else list(self.command)
        return {"command": command, **_given(env=dict(self.env))}

    def name(self) -> str:
        """What the task is called if nothing else is said."""
        words = self.command.split() if isinstance(self.command, str) else [str(one) for one in self.command]
        return Path(words[0]).name if words else "command"


class _Call:
    """A callable and the arguments that it is given by name."""

    __slots__ = ("args", "target")

    def __init__(self, target: Callable[..., Any] | str, /, **args: Any) -> None:
        object.__setattr__(self, "target", _target(target))
        object.__setattr__(self, "args", MappingProxyType(args))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.args.items())
        return f"{type(self).__name__}({self.target!r}{given})"

    target: str
    args: Mapping[str, Any]


class Config(_Call):
    """A value that the task builds first: a class or function, and its arguments."""


class Partial(_Call):
    """A Python callable, or its name as `module:function`, with its arguments by name.

    The task imports it anew: it has to be at the top of a module that lies beside the program or is
    installed where the task runs.
    """

    def entry(self) -> dict[str, Any]:
        """The task as a spec has it."""
        return {"partial": self.target, **_given(args=_plain(dict(self.args)))}

    def name(self) -> str:
        """What the task is called if nothing else is said."""
        return self.target.rpartition(":")[2]


Task: TypeAlias = "Script | Command | Partial"


class Executor:
    """Where tasks run: a type and its options, in the words of a spec; `name` is how it is shown."""

    __slots__ = ("name", "options")

    name: str | None
    options: Mapping[str, Any]

    def __init__(self, kind: str, /, *, name: str | None = None, **options: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", MappingProxyType({"type": kind, **options}))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Executor):
            return NotImplemented
        return (self.name, self.options) == (other.name, other.options)

    __hash__ = None  # type: ignore[assignment]  # options hold lists

    def __repr__(self) -> str:
        return f"Executor({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"


class LocalExecutor(Executor):
    """This machine."""

    __slots__ = ()

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__("local", name=name, **options)


class DockerExecutor(Executor):
    """A container of its own for each attempt."""

    __slots__ = ()

    def __init__(self, *, image: str, name: str | None = None, **options: Any) -> None:
        super().__init__("docker", name=name, image=image, **options)


class SlurmExecutor(Executor):
    """A Slurm cluster; options are sbatch's with underscores."""

    __slots__ = ()

    def __init__(self, *, name: str | None = None, **options: Any) -> None:
        super().__init__("slurm", name=name, **options)


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
            self._keys["executor"] = self._executor(executor)

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
            several = isinstance(executor, (list, tuple))
            entry["executor"] = (
                [self._executor(one) for one in executor] if several else self._executor(executor)  # type: ignore[union-attr,arg-type]
            )
        dependencies = list(dependencies) if dependencies is not None else None
        entry |= {key: _plain(value) for key, value in keys.items()}
        entry |= _given(dependencies=dependencies, tail_logs=tail_logs)
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
        self._hand_over(flags)
        if self._is_imported and os.environ.get("EXP_TASK"):
            raise UsageError(
                f"{self.path} was imported by a task and would start the experiment again: "
                'put what starts it under if __name__ == "__main__":'
            )
        from nemorun_cli import building  # noqa: PLC0415 - what runs experiments is heavy

        return building.run(self.document(flags), is_direct=bool(direct), is_detached=bool(detach))

    def dryrun(self) -> dict[str, Any]:
        """Show what would run, and give it as the document `exp.plan/1`; nothing is created."""
        self._hand_over({})
        from nemorun_cli import building  # noqa: PLC0415 - what runs experiments is heavy

        return building.show(self.document({}))

    def document(self, flags: Mapping[str, bool | None]) -> Document:
        """What was built, checked; raises SpecError with all of its problems."""
        from nemorun_cli import building  # noqa: PLC0415 - what checks specs is heavy

        return building.read(
            self, [f"run.{name}={str(value).lower()}" for name, value in _given(**flags).items()]
        )

    @property
    def plugins(self) -> list[tuple[object, tuple[str, ...] | None]]:
        """The plugins that were given, each with the tasks that it is for; None for all."""
        return list(self._plugins)

    def _hand_over(self, flags: Mapping[str, bool | None]) -> None:
        """Leave the program here, if a command only wants to know what it builds."""
        if _asked.get():
            raise _Built(
                self, [f"run.{name}={str(value).lower()}" for name, value in _given(**flags).items()]
            )

    def _executor(self, executor: Executor | str) -> str:
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


class _Built(BaseException):
    """What a program builds, on its way to the command that asked; no `except Exception` keeps it."""

    def __init__(self, builder: Builder, sets: list[str]) -> None:
        super().__init__("built")
        self.builder, self.sets = builder, sets


_asked: ContextVar[bool] = ContextVar("asked", default=False)


def of_program(path: Path) -> tuple[Builder, list[str]]:
    """What a Python program builds: it is run up to where it would run or show an experiment.

    Raises:
        UsageError: it fails, or ends without that.
    """
    import runpy  # noqa: PLC0415 - only for programs
    import traceback  # noqa: PLC0415 - the same

    token = _asked.set(True)
    try:
        with _as_main(path), contextlib.redirect_stdout(sys.stderr):
            runpy.run_path(str(path), run_name="__main__")
    except _Built as built:
        return built.builder, built.sets
    except SystemExit:
        pass
    except Exception as error:  # the user's own program may raise anything
        own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f":{own[-1].lineno}" if own else ""
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        raise UsageError(f"{path}{line}: {message}", hint=getattr(error, "hint", None)) from error
    finally:
        _asked.reset(token)
    raise UsageError(
        f"{path} runs no experiment", hint="make a nemorun_cli.Builder, add tasks to it, and call its run()"
    )


@contextlib.contextmanager
def _as_main(path: Path) -> Iterator[None]:
    argv, search = list(sys.argv), list(sys.path)
    sys.argv[:] = [str(path)]
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.argv[:], sys.path[:] = argv, search


def _target(target: Callable[..., Any] | str) -> str:
    """How a task can import a callable: `module:name`."""
    if isinstance(target, str):
        return target
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", "")
    if not module or not name or "<" in name:
        raise UsageError(
            f"{target!r} cannot be imported by a task", hint="it has to be at the top of a module"
        )
    if module == "__main__":
        scope = getattr(target, "__globals__", None) or vars(sys.modules["__main__"])
        file = scope.get("__file__")
        if file is None:
            raise UsageError(f"{name} is in no file", hint="put it into a module beside the notebook")
        module = Path(file).stem
    return f"{module}:{name}"


def _plain(value: Any) -> Any:
    """The value as a spec can hold it; what is to be built first becomes a mapping with `_target_`."""
    if isinstance(value, Config):
        return {"_target_": value.target, **_plain(dict(value.args))}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _given(**values: Any) -> dict[str, Any]:
    """Those that are not None and not empty."""
    return {name: value for name, value in values.items() if value is not None and value not in ([], {}, ())}
