"""The values of a resolved spec, and their JSON form: what `resolved.json` holds and the supervisor runs.

Everything here is plain data: no YAML, no schema and no expressions are needed to read it back.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Literal, Self

RESOLVED_FORMAT = "exp.resolved/1"

Kind = Literal["script", "inline", "command", "partial"]
DependencyType = Literal["afterok", "afterany", "afternotok"]

DEFAULT_STOP_SIGNAL = "TERM"
DEFAULT_STOP_GRACE = 10.0  # seconds between the stop signal and KILL


@dataclass(frozen=True, slots=True)
class Identity:
    """What `${{ experiment.id }}`, `.name` and `.dir` give; `directory` is the experiment's own."""

    id: str
    name: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a task that failed is tried again; times in seconds."""

    limit: int = 0
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    on: tuple[int | str, ...] = ("any",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One member, ready to be planned: what a group or a matrix expands to.

    `late` lists JSON pointers (RFC 6901) into this task of the texts that hold expressions
    of other tasks' outputs; they are filled in when those have ended, and only they are
    ever taken for expressions. Times are in seconds.
    """

    id: str
    index: int
    kind: Kind
    body: str | tuple[str, ...]  # a path, a text, an argv, or module:function
    executor: str
    workdir: str
    group: str | None = None
    args: tuple[Any, ...] | dict[str, Any] = ()
    entrypoint: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    env_inherit: str | tuple[str, ...] = "all"
    dependencies: tuple[str, ...] = ()  # ids of members, groups already expanded
    dependency_type: DependencyType = "afterok"
    when: str | bool | None = None
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    stop_signal: str = DEFAULT_STOP_SIGNAL
    stop_grace: float = DEFAULT_STOP_GRACE
    allow_failure: bool = False
    tail_logs: bool | None = None
    artifacts: tuple[str, ...] = ()
    description: str | None = None
    late: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Several members that count as one task in the graph."""

    id: str
    members: tuple[str, ...]
    fail_fast: bool = False
    together: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The `run:` section; `max_parallel` None means the number of CPUs, times in seconds."""

    detach: bool = False
    sequential: bool = False
    tail_logs: bool = False
    direct: bool = False
    max_parallel: int | None = None
    max_failures: int | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A spec as resolved for one experiment.

    `executors` maps names to their options, `type` included. `secrets` maps names to where
    they come from, never to what they are. `folder` is the spec file's own folder.
    """

    name: str
    folder: str
    tasks: tuple[Task, ...]
    groups: tuple[Group, ...] = ()
    executors: dict[str, dict[str, Any]] = field(default_factory=dict)
    run: RunOptions = field(default_factory=RunOptions)
    params: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    description: str | None = None
    tags: tuple[str, ...] = ()
    bindrs: tuple[str, ...] = ()
    prefix: str | None = None
    tracking: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back; values that equal their default are left out of tasks."""
        document = {"schema": RESOLVED_FORMAT, **asdict(self)}
        document["tasks"] = [_compact(task) for task in self.tasks]
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """A spec as `to_json` wrote it; unknown fields of a later version are passed over."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        values["tasks"] = tuple(_task(entry) for entry in document["tasks"])
        values["groups"] = tuple(_group(entry) for entry in document["groups"])
        values["run"] = RunOptions(**_known(RunOptions, document["run"]))
        for key in ("tags", "bindrs"):
            values[key] = tuple(values[key])
        return cls(**values)


_TASK_DEFAULTS: dict[str, Any] = {
    item.name: item.default if item.default_factory is MISSING else item.default_factory()
    for item in fields(Task)
}
_TASK_TUPLES = ("entrypoint", "secrets", "dependencies", "artifacts", "late")


def _compact(task: Task) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    for key, default in _TASK_DEFAULTS.items():
        value = getattr(task, key)
        if value != default:
            entry[key] = asdict(value) if key == "retry" else value
    return entry


def _task(entry: dict[str, Any]) -> Task:
    values = {key: value for key, value in entry.items() if key in _TASK_DEFAULTS}
    for key in _TASK_TUPLES:
        if key in values:
            values[key] = tuple(values[key])
    for key in ("body", "args", "env_inherit"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    if "retry" in values:
        retry = _known(Retry, values["retry"])
        retry["on"] = tuple(retry["on"])
        values["retry"] = Retry(**retry)
    return Task(**values)


def _group(entry: dict[str, Any]) -> Group:
    values = _known(Group, entry)
    values["members"] = tuple(values["members"])
    return Group(**values)


def _known(kind: type, entry: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {key: value for key, value in entry.items() if key in names}
