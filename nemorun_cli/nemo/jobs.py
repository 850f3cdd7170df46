"""What an experiment consists of: jobs, and groups of them, which can be changed until it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import plugins as hooks
from nemorun_cli.errors import UsageError
from nemorun_cli.model import titles
from nemorun_cli.nemo.working_folder import placed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nemorun_cli import parts

OF_GROUP: Final = frozenset({"dependency_type"})  # keys that a group has, and none of its members
LONGEST: Final = 60  # characters of an id, so that a number fits
_HOOKS: Final = ("change", "on_event")  # of this package's own plugins
_INVALID: Final = re.compile(r"[^A-Za-z0-9._-]+")
_BODY: Final = ("script", "inline", "command", "partial", "args")  # keys of a spec that are the task itself


class AddedJobs(list[Any]):
    """The jobs and groups of an experiment, in the order in which they were added."""


class AddedTasks(list[Any]):
    """The tasks of an experiment; for a group the list of its tasks."""


@dataclass(frozen=True, slots=True)
class MemberWithKeys:
    """A task of a group, with keys of its own; what a `Builder` takes in place of a task."""

    task: parts.Script | parts.Command | parts.Partial
    keys: Mapping[str, Any]

    def entry(self, place: str) -> dict[str, Any]:
        """The member in the form of a spec."""
        return {**self.task.entry(place), **self.keys}


@dataclass(kw_only=True)
class _Added:
    """What jobs and groups have in common.

    Attributes:
        plugins: of this package's own kind, which change the spec; others have done their work.
        tail_logs: whether its output is shown while the experiment is watched; None for as the run has it.
        keys: other keys of the task in a spec.
        line: the line of the program that added it.
        stored: its form in the spec of an earlier experiment; what was changed in its tasks overrides it.
    """

    id: str
    plugins: list[Any] = field(default_factory=list)
    tail_logs: bool | None = None
    dependencies: list[Any] = field(default_factory=list)
    keys: dict[str, Any] = field(default_factory=dict)
    line: int | None = None
    stored: Mapping[str, Any] | None = None

    def _changed_keys(self) -> dict[str, Any]:
        """The keys of the task of an earlier experiment that are fields here, if they were changed."""
        now = {"dependencies": self.dependencies, "tail_logs": self.tail_logs, **self.keys}
        before = self.stored or {}
        return {
            key: value for key, value in now.items() if value != before.get(key) and (value or key in before)
        }


@dataclass(kw_only=True)
class AddedJob(_Added):
    """One task, a Partial or a Script, and where it runs."""

    task: Any
    executor: Any

    @property
    def content(self) -> Any:
        """The task."""
        return self.task

    def pairs(self) -> list[tuple[Any, Any]]:
        """The task with its executor."""
        return [(self.task, self.executor)]

    def parts(self, program: Path) -> tuple[Any, Any, dict[str, Any]]:
        """The task, the executor and the other keys as a `Builder` takes them; `program` is the folder."""
        executor, keys = self.executor.translated()
        task, own = placed(self.task.translated(), executor, {**keys, **self.keys}, program=program)
        return task, executor, own

    def entry(self) -> dict[str, Any]:
        """The form of the task of an earlier experiment in a spec."""
        return {**_with_task(self.stored or {}, self.task, f"tasks.{self.id}.args"), **self._changed_keys()}

    def require_portable(self) -> None:
        """Refuse arguments that a task cannot get, and fields that have no counterpart."""
        self.executor.translated()
        task = self.task.translated()
        task.entry(f"tasks.{self.id}.args")


@dataclass(kw_only=True)
class AddedGroup(_Added):
    """Tasks that run in parallel and count as one, each with an executor."""

    tasks: list[Any]
    executors: list[Any]

    @property
    def content(self) -> list[Any]:
        """The tasks."""
        return self.tasks

    @property
    def executor(self) -> Any:
        """The executor of the first task."""
        return self.executors[0]

    def pairs(self) -> list[tuple[Any, Any]]:
        """The tasks, each with its executor."""
        return list(zip(self.tasks, self.executors, strict=True))

    def parts(self, program: Path) -> tuple[Any, Any, dict[str, Any]]:
        """The members, their executors and the keys of the group; see `AddedJob.parts`."""
        translated = [executor.translated() for executor in self.executors]
        keys = {key: value for key, value in translated[0][1].items() if key in OF_GROUP}
        members = []
        for task, (executor, own) in zip(self.tasks, translated, strict=True):
            of_member = {key: value for key, value in own.items() if key not in OF_GROUP}
            members.append(MemberWithKeys(*placed(task.translated(), executor, of_member, program=program)))
        for_group = type(self.executors[0]).group_keys()
        return members, [executor for executor, _ in translated], {**for_group, **keys, **self.keys}

    def entry(self) -> dict[str, Any]:
        """The form of the group of an earlier experiment in a spec."""
        stored = dict(self.stored or {})
        place = f"tasks.{self.id}.group"
        stored["group"] = [
            _with_task(member, task, f"{place}.{number}.args")
            for number, (member, task) in enumerate(zip(stored.get("group", ()), self.tasks, strict=True))
        ]
        return {**stored, **self._changed_keys()}

    def require_portable(self) -> None:
        """Refuse arguments that a task cannot get, and fields that have no counterpart."""
        for executor in self.executors:
            executor.translated()
        for number, task in enumerate(self.tasks):
            task.translated().entry(f"tasks.{self.id}.group.{number}.args")


def made(job_id: str, task: Any, executor: Any) -> AddedJob | AddedGroup:
    """The job or the group of what `add` got; its tasks and executors are copies of these.

    Raises:
        UsageError: a task, an executor, or the number of executors is wrong.
    """
    for each in task if isinstance(task, (list, tuple)) else [task]:
        _require(each, "a task", "a run.Partial or a run.Script")
    if isinstance(task, (list, tuple)):
        return AddedGroup(
            id=job_id, tasks=[each.clone() for each in task], executors=_for_each(executor, len(task))
        )
    _require(executor, "an executor", "a run.LocalExecutor(), or another one")
    return AddedJob(id=job_id, task=task.clone(), executor=executor.clone())


def default_name(task: Any) -> str:
    """The name of a task that got none."""
    _require(task, "a task", "a run.Partial or a run.Script")
    return str(task.default_name())


def valid_id(name: str) -> str:
    """A name as the id of a task: with `_` for what an id cannot contain."""
    text = _INVALID.sub("_", name)[:LONGEST].lstrip("._-") or "task"
    return text if titles.NAME.match(text) else f"x-{text}"


def parted(plugins: Any) -> tuple[list[Any], list[Any]]:
    """The plugins that change tasks when they are added, and those of this package's own kind.

    Raises:
        UsageError: one of them has no hook.
    """
    changing, own = [], []
    for plugin in _listed(plugins):
        if isinstance(plugin, dict) or any(hooks.has_hook(plugin, hook) for hook in _HOOKS):
            own.append(plugin)
        elif callable(getattr(plugin, "setup", None)) and not isinstance(plugin, type):
            changing.append(plugin)
        else:
            raise UsageError(
                f"{plugin!r} is not a plugin",
                hint="give an instance of a class with setup(self, task, executor)",
            )
    return changing, own


def _listed(plugins: Any) -> Sequence[Any]:
    if plugins is None:
        return ()
    return plugins if isinstance(plugins, (list, tuple)) else (plugins,)


def _require(value: Any, what: str, wanted: str) -> None:
    if isinstance(value, type) or not hasattr(value, "translated"):
        raise UsageError(f"{value!r} is not {what}", hint=f"give {wanted}")


def _for_each(executor: Any, count: int) -> list[Any]:
    """The executors of the members of a group, as copies."""
    given = list(executor) if isinstance(executor, (list, tuple)) else [executor]
    if len(given) == 1:
        given *= count
    if count == 0 or len(given) != count:
        raise UsageError(
            f"a group of {count} tasks has {len(given)} executors", hint="give one, or one for each task"
        )
    for each in given:
        _require(each, "an executor", "a run.LocalExecutor(), or another one")
    return [each.clone() for each in given]


def _with_task(stored: Mapping[str, Any], task: Any, place: str) -> dict[str, Any]:
    """A stored task with what a changed Partial or Script has in place of it; others are as they were."""
    if not hasattr(task, "translated"):
        return dict(stored)
    others = {key: value for key, value in stored.items() if key not in _BODY}
    return {**others, **task.translated().entry(place)}
