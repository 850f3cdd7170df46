"""The values of a resolved spec and their JSON form, which `resolved.json` holds and the supervisor runs.

All values are plain data: reading them back needs no YAML, no schema and no expressions.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, field, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, Self

from nemorun_cli.model.best import BestRule, Goal
from nemorun_cli.model.code_package import Package
from nemorun_cli.model.python_environment import PythonEnvironment
from nemorun_cli.model.resources import NOTHING, Resources
from nemorun_cli.model.search import SearchRule, id_of_trial
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.model.stop_rules import StopRule
from nemorun_cli.model.stored_tasks import StoredTasks
from nemorun_cli.model.trial_variants import TrialVariant, TrialVariants, is_among

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence

RESOLVED_FORMAT = "exp.resolved/1"

Kind = Literal["script", "inline", "command", "partial"]
DependencyType = Literal["afterok", "afterany", "afternotok"]
Handler = Literal["on_success", "on_failure", "on_exit"]

# What runs a script, an inline text or a partial by default. The first failed command ends an inline text; in
# experiments that began before that, it runs as a script does.
BASH = ("bash",)
STRICT_BASH = ("bash", "-e", "-o", "pipefail")
PYTHON = ("python3",)

# When a group ends, if no member is named; ids of members contain a slash.
UNTIL_ALL = "all"
UNTIL_ANY = "any"

# The fields of a task that are the same in each form that a trial can take.
SAME_IN_FORMS = frozenset(
    (
        *("id", "index", "group", "dependencies", "external", "twins"),
        *("handler", "matrix", "searched", "variants"),
    )
)

DEFAULT_STOP_SIGNAL = "TERM"
DEFAULT_STOP_GRACE = 10.0  # seconds between the stop signal and KILL


@dataclass(frozen=True, slots=True)
class Identity:
    """The values of `${{ experiment.id }}`, `.name` and `.dir`; `directory` is the experiment's folder."""

    id: str
    name: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed task is retried; times are in seconds."""

    limit: int = 0
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    on: tuple[int | str, ...] = ("any",)
    log: tuple[str, ...] = ()  # patterns that are searched at the end of the output


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task, ready to be planned; groups and matrices are expanded into these. Times are in seconds.

    `late` lists JSON pointers (RFC 6901) to those texts of this task that contain expressions over other
    tasks' outputs, or over the values of its trial. They are evaluated when the task starts. `searched` has
    those of other keys, whose fields have values of a point of the space until the trial has its own. These
    are evaluated with its suggestion, or taken from `variants`. No other text is evaluated.
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
    dependencies: tuple[str, ...] = ()  # ids of tasks, with groups expanded into their members
    external: tuple[str, ...] = ()  # keys of what it waits for outside of the experiment
    dependency_type: DependencyType = "afterok"
    when: str | bool | None = None
    resources: Resources = NOTHING
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    stop_signal: str = DEFAULT_STOP_SIGNAL
    stop_grace: float = DEFAULT_STOP_GRACE
    allow_failure: bool = False
    tail_logs: bool | None = None
    stderr_to_stdout: bool = True  # whether its log also has its standard error
    artifacts: tuple[str, ...] = ()
    metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)  # patterns for its output, by series
    stop: tuple[StopRule, ...] = ()  # conditions on metrics that end an attempt
    cache: CacheRule | None = None  # whether and by what an earlier result is reused
    description: str | None = None
    packager: dict[str, Any] | None = None  # the packager's options; None if nothing is shipped
    python: dict[str, Any] | None = None  # its Python environment; None for the Python on its PATH
    launcher: dict[str, Any] = field(default_factory=dict)  # launchers' options by name, outermost first
    late: tuple[str, ...] = ()
    searched: dict[str, str] = field(default_factory=dict)  # texts over a trial's values, by JSON pointer
    variants: TrialVariants | None = None  # the fields that must be known before a trial has its values
    matrix: dict[str, Any] = field(default_factory=dict)  # the values of this member's matrix axes
    twins: dict[str, str | tuple[str, ...]] = field(default_factory=dict)  # ids of matching members, by group
    handler: Handler | None = None  # the outcome after which a handler runs; None for other tasks
    prefix: tuple[str, ...] = ()  # arguments that plugins put before the command

    def changed(self, fields: Mapping[str, Any]) -> Task:
        """The task with other values of some fields; `dataclasses.replace` takes five times as long."""
        task = object.__new__(Task)
        for name, read, write in _TASK_SLOTS:
            write(task, fields[name] if name in fields else read(self))
        return task

    @property
    def may_be_cached(self) -> bool:
        """Whether it has `cache`, or a trial has it with some values."""
        if self.variants is None or "cache" not in self.variants.entries[0].fields:
            return self.cache is not None
        return any(entry.fields.get("cache") is not None for entry in self.variants.entries)

    @property
    def possible(self) -> Iterator[Task]:
        """The forms that a trial can take; for other tasks, the task."""
        if self.variants is None:
            yield self
            return
        for variant in self.variants.entries:
            yield self.changed({**variant.fields, "variants": None})


def possible_forms(tasks: Iterable[Task]) -> Iterator[Task]:
    """Tasks in each form that they can take; the forms of the trials of a search are given once."""
    seen: set[int] = set()
    for task in tasks:
        if task.variants is None:
            yield task
        elif id(task.variants) not in seen:
            seen.add(id(task.variants))
            yield from task.possible


def with_forms(forms: Sequence[tuple[Mapping[str, Any], Task]]) -> Task:
    """The task of a trial that can take these forms, each with the values of the params that decide it."""
    first = forms[0][1]
    names = [name for name in _OF_FORMS if len({repr(getattr(task, name)) for _, task in forms}) > 1]
    entries = tuple(
        TrialVariant(values=values, fields={name: getattr(task, name) for name in names})
        for values, task in forms
    )
    params = tuple(dict.fromkeys(name for values, _ in forms for name in values))
    return first.changed({"variants": TrialVariants(params=params, entries=entries)})


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginUse:
    """A plugin as the spec uses it, for the whole experiment or, with `tasks`, for these tasks.

    Secrets in `options` are `{secret: name}`; only the plugin receives their values. `hears` is whether the
    supervisor sends it events. With `values`, of these trials only those have it whose values are among them.
    """

    uses: str
    options: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[str, ...] | None = None
    place: tuple[str | int, ...] = ()
    hears: bool = False
    values: tuple[Mapping[str, Any], ...] | None = None

    def is_for(self, values: Mapping[str, Any]) -> bool:
        """Whether trials with these values have the plugin."""
        return self.values is None or any(is_among(some, values) for some in self.values)

    @property
    def is_module(self) -> bool:
        """Whether it is given as `module:Class`, which is imported from the spec's folder first."""
        return ":" in self.uses

    def to_json(self) -> dict[str, Any]:
        """An entry of `plugins` in `exp.plan/1` and `exp.show/1`."""
        return {"uses": self.uses, "tasks": self.tasks, "hears": self.hears}

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets in its options."""
        return tuple(_secrets_in(self.options))

    def options_with(self, values: Mapping[str, str]) -> dict[str, Any]:
        """The options with each secret replaced by its value."""
        return {key: _with_secrets(item, values) for key, item in self.options.items()}


def _secrets_in(value: Any) -> Iterator[str]:
    if is_secret(value):
        yield value["secret"]
    elif isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _secrets_in(item)


def _with_secrets(value: Any, values: Mapping[str, str]) -> Any:
    if is_secret(value):
        return values[value["secret"]]
    if isinstance(value, dict):
        return {key: _with_secrets(item, values) for key, item in value.items()}
    return [_with_secrets(item, values) for item in value] if isinstance(value, list) else value


def is_secret(value: Any) -> bool:
    """Whether an option's value refers to a secret."""
    return isinstance(value, dict) and value.keys() == {"secret"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Several members that form one node of the graph; with `axes` it is a sweep, with `search` a search.

    At most `max_parallel` members run at once. After `max_failures` failed members the rest are skipped.
    `best` is by what its best member is chosen, if tasks may use that one.
    The group ends when all members have ended, or with its leader: `until` is UNTIL_ALL, UNTIL_ANY (the first
    member that succeeds leads), or the id of the member that leads.
    """

    id: str
    members: tuple[str, ...]
    fail_fast: bool = False
    together: bool = False
    until: str = UNTIL_ALL
    description: str | None = None
    axes: tuple[str, ...] = ()
    max_parallel: int | None = None
    max_failures: int | None = None
    best: BestRule | None = None
    search: SearchRule | None = None

    @property
    def is_template(self) -> bool:
        """Whether its members are made from one task: those of a sweep or a search."""
        return bool(self.axes) or self.search is not None

    @property
    def has_trials_of_several(self) -> bool:
        """Whether each trial of its search is a group of tasks."""
        return self.search is not None and id_of_trial(self.members[0]) != self.members[0]

    def unit_of(self, member: str) -> str:
        """What counts as one member when members are compared: a member, or the trial of a task."""
        return member if self.search is None else id_of_trial(member)

    @property
    def members_meet(self) -> bool:
        """Whether the members find each other: those of a sweep or a search do not."""
        return (self.together or self.has_leader) and not self.is_template

    @property
    def has_leader(self) -> bool:
        """Whether a member's end can end the others."""
        return self.until != UNTIL_ALL

    @property
    def leader(self) -> str | None:
        """The id of the member that leads, if one is named; a task can be called `any` or `all`."""
        return None if self.until in (UNTIL_ALL, UNTIL_ANY) else self.until

    def may_lead(self, member: str) -> bool:
        """Whether the success of a member ends the others."""
        return self.until == UNTIL_ANY or self.leader == member


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """Something outside of the experiment that tasks wait for: another experiment, its task, or a Slurm job.

    Attributes:
        key: what names it in the tasks that wait for it, and in events.
        alias: the name of the other experiment in expressions.
        given: the other experiment's name or id, as in the spec.
        experiment: its id, once this experiment is created.
        task: a task or a group of it; None for the whole experiment.
        slurm_job: the id of the job; None for an experiment.
        executor: where the job is asked for.
    """

    key: str
    alias: str = ""
    given: str = ""
    experiment: str | None = None
    task: str | None = None
    slurm_job: str | None = None
    executor: str | None = None

    @property
    def text(self) -> str:
        """What it is, in a few words: `train of digits_1795328686`."""
        if self.slurm_job is not None:
            return f"the Slurm job {self.slurm_job}"
        named = self.experiment or self.given
        return f"the experiment {named}" if self.task is None else f"{self.task} of {named}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The `run:` section; `max_parallel` None means the number of CPUs; times are in seconds.

    Without `cache`, no result is kept or taken. The tasks in `refresh` run, and replace what is kept of them.
    """

    detach: bool = False
    sequential: bool = False
    tail_logs: bool = False
    direct: bool = False
    max_parallel: int | None = None
    max_failures: int | None = None
    timeout: float | None = None
    cache: bool = True
    refresh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A spec as resolved for one experiment.

    `executors` maps names to options, including `type`. `secrets` maps names to their sources, never to
    their values. `folder` is the spec file's folder. `strict_inline` is whether inline texts without an
    entrypoint run with STRICT_BASH.
    """

    name: str
    folder: str
    tasks: tuple[Task, ...] | StoredTasks[Task]
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
    plugins: tuple[PluginUse, ...] = ()
    packages: tuple[Package, ...] = ()  # what was shipped when the experiment was created
    environments: tuple[PythonEnvironment, ...] = ()  # those that are made for its tasks
    revision: int = 1  # the number of this revision of the experiment's spec
    removed: tuple[str, ...] = ()  # ids of tasks that only earlier revisions have
    strict_inline: bool = True
    title: str | None = None
    external: tuple[External, ...] = ()  # what tasks wait for outside of the experiment

    @property
    def possible_tasks(self) -> Iterator[Task]:
        """The tasks in each form that they can take; the forms of the trials of a search are given once.

        So are those of members of large sweeps that differ in `stored_tasks.OWN_FIELDS` alone.
        """
        return possible_forms(self.tasks.distinct if isinstance(self.tasks, StoredTasks) else self.tasks)

    @property
    def sampling(self) -> float | None:
        """Seconds between samples of what a task uses of CPU, memory and GPUs; None if none are taken."""
        return self.tracking.get("system")

    @property
    def server(self) -> str | None:
        """The address of the server that gets a copy of what is recorded; None if nothing is sent."""
        return self.tracking.get("dash_url")

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the tasks."""
        return _ids_of(self.tasks)

    @property
    def kin(self) -> Iterable[Task]:
        """For each task itself or, of a large sweep, one that differs in `stored_tasks.OWN_FIELDS` alone.

        Unlike the members themselves, these are in memory.
        """
        return kin_of(self.tasks)

    def named(self, task_id: str) -> Task:
        """The task of an id that is one of `ids`."""
        return task_named(self.tasks, task_id)

    def by_id(self) -> MutableMapping[str, Task]:
        """The tasks by their ids."""
        if isinstance(self.tasks, StoredTasks):
            return self.tasks.by_id()
        return {task.id: task for task in self.tasks}

    def package(self, task: Task) -> Package | None:
        """What was shipped for a task, or None if it runs in the original folder."""
        if task.packager is None:
            return None
        return next((package for package in self.packages if package.packager == task.packager), None)

    def environment(self, task: Task) -> PythonEnvironment | None:
        """The Python environment that is made for a task; None if it has none, or one that exists."""
        wanted = task.python.get("environment") if task.python is not None else None
        return next((each for each in self.environments if each.id == wanted), None) if wanted else None

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back.

        Tasks omit values that equal their default. Values that all members of a sweep have in common are
        stored once, in `shared`: a sweep may have ten thousand members.
        """
        document: dict[str, Any] = {"schema": RESOLVED_FORMAT}
        document |= {item.name: getattr(self, item.name) for item in fields(self)}
        document["run"] = asdict(self.run)
        document["packages"] = [package.to_json() for package in self.packages]
        document["environments"] = [each.to_json() for each in self.environments]
        document["plugins"] = [asdict(use) for use in self.plugins]
        document["external"] = [asdict(each) for each in self.external]
        members: dict[str, list[Task]] = {group.id: [] for group in self.groups}
        for task in self.tasks:
            if task.group in members:
                members[task.group].append(task)
        shared = {group.id: _common(members[group.id]) for group in self.groups if group.is_template}
        if shared:
            document["shared"] = {name: _compact(each.values, {}) for name, each in shared.items()}
        document["tasks"] = [
            shared[task.group].entry(task) if task.group in shared else _compact(_values(task), {})
            for task in self.tasks
        ]
        document["groups"] = [_group_entry(group, members[group.id]) for group in self.groups]
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """A spec from the output of `to_json`; unknown fields of a later version are ignored."""
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        values.setdefault("strict_inline", False)
        make, entries = task_maker(document.get("shared", {})), document["tasks"]
        is_plain = isinstance(entries, list)  # else `TaskEntries`
        tasks = values["tasks"] = tuple(map(make, entries)) if is_plain else entries.tasks(make)
        members: dict[str | None, list[str]] = {}
        for name, kin in zip(_ids_of(tasks), kin_of(tasks), strict=True):
            members.setdefault(kin.group, []).append(name)
        values["groups"] = tuple(_group(entry, members) for entry in document["groups"])
        run = _known(RunOptions, document["run"])
        values["run"] = RunOptions(**{**run, "refresh": tuple(run.get("refresh", ()))})
        values["packages"] = tuple(Package.from_json(entry) for entry in document.get("packages", ()))
        values["environments"] = tuple(
            PythonEnvironment.from_json(entry) for entry in document.get("environments", ())
        )
        values["plugins"] = tuple(_plugin_use(entry) for entry in document.get("plugins", ()))
        values["external"] = tuple(
            External(**_known(External, entry)) for entry in document.get("external", ())
        )
        for key in ("tags", "bindrs", "removed"):
            values[key] = tuple(values.get(key, ()))
        return cls(**values)


# The slots of a task with their readers and writers, which work for frozen values too.
_TASK_SLOTS: list[tuple[str, Callable[[Task], Any], Callable[[Task, Any], None]]] = [
    (item.name, getattr(Task, item.name).__get__, getattr(Task, item.name).__set__) for item in fields(Task)
]
_TASK_DEFAULTS: dict[str, Any] = {
    item.name: item.default if item.default_factory is MISSING else item.default_factory()
    for item in fields(Task)
}
_OF_FORMS = tuple(name for name in _TASK_DEFAULTS if name not in SAME_IN_FORMS)
_TASK_TUPLES = ("entrypoint", "secrets", "dependencies", "external", "artifacts", "late", "prefix")
_REQUIRED = frozenset(key for key, value in _TASK_DEFAULTS.items() if value is MISSING)
_OWN = frozenset(("id", "index", "matrix", "twins"))  # fields that members of a sweep never share
_NESTED = ("retry", "resources", "cache")  # fields whose values are dataclasses
_LISTED = ("stop",)  # fields whose values are tuples of dataclasses


def _variants(document: dict[str, Any]) -> TrialVariants | None:
    if not document["entries"]:
        return None
    return TrialVariants(
        params=tuple(document["params"]),
        entries=tuple(
            TrialVariant(values=entry["values"], fields=_read(entry["fields"]))
            for entry in document["entries"]
        ),
    )


_READERS: dict[str, Callable[[Any], Any]] = {
    "resources": Resources.from_json,
    "stop": lambda rules: tuple(StopRule.from_json(rule) for rule in rules),
    "cache": CacheRule.from_json,
    "variants": _variants,
}
_CONVERTED = frozenset((*_TASK_TUPLES, *_READERS, "body", "env_inherit", "retry", "metrics", "twins"))
_MERGED = ("args", "env")  # fields of which members may share single entries, if they are mappings


def _ids_of(tasks: Sequence[Task]) -> Sequence[str]:
    return tasks.ids if isinstance(tasks, StoredTasks) else [task.id for task in tasks]


def kin_of(tasks: Sequence[Task]) -> Iterable[Task]:
    """See `Spec.kin`."""
    return tasks.kin if isinstance(tasks, StoredTasks) else tasks


def task_named(tasks: Sequence[Task], task_id: str) -> Task:
    """The task of an id that one of them has."""
    if isinstance(tasks, StoredTasks):
        found: Task = tasks.named(task_id)
        return found
    return next(task for task in tasks if task.id == task_id)


def _values(task: Task) -> dict[str, Any]:
    return {key: getattr(task, key) for key in _TASK_DEFAULTS}


def _compact(values: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The values that equal neither their default nor the shared value."""
    entry: dict[str, Any] = {}
    for key, value in values.items():
        if key in shared:
            common = shared[key]
            if not _is_same(value, common) and len(value) > len(common):
                entry[key] = {name: item for name, item in value.items() if name not in common}
        elif value != _TASK_DEFAULTS[key]:
            entry[key] = _plain(key, value)
    return entry


def _plain(key: str, value: Any) -> Any:
    """The value of a field in JSON."""
    if key in _LISTED:
        return [asdict(item) for item in value]
    if isinstance(value, TrialVariants):
        entries = [
            {
                "values": entry.values,
                "fields": {name: _plain(name, item) for name, item in entry.fields.items()},
            }
            for entry in value.entries
        ]
        return {"params": list(value.params), "entries": entries}
    return asdict(value) if key in _NESTED and value is not None else value


@dataclass(frozen=True, slots=True)
class _Common:
    """The values that the members of a sweep have in common, and the fields in which they differ."""

    values: dict[str, Any]
    varying: tuple[str, ...]

    def entry(self, task: Task) -> dict[str, Any]:
        """The JSON form of a member, without what is common."""
        return _compact({key: getattr(task, key) for key in self.varying}, self.values)


def _common(tasks: list[Task]) -> _Common:
    """The values that all tasks have in common; of the mappings in `_MERGED`, the common entries."""
    if not tasks:
        return _Common({}, tuple(_TASK_DEFAULTS))
    common = {key: value for key, value in _values(tasks[0]).items() if key not in _OWN}
    varying = [key for key in _TASK_DEFAULTS if key in _OWN]
    for key in list(common):
        values = list(map(attrgetter(key), tasks))
        first = common[key]
        if all(value is first or _is_same(value, first) for value in values):
            continue
        varying.append(key)
        del common[key]
        if key in _MERGED and all(isinstance(value, dict) for value in values):
            common[key] = {
                name: item
                for name, item in first.items()
                if all(name in value and _is_same(value[name], item) for value in values)
            }
    return _Common(common, tuple(sorted(varying, key=list(_TASK_DEFAULTS).index)))


def _is_same(value: Any, other: Any) -> bool:
    """Whether the values are equal in value and type.

    Mappings and lists count as equal only if they are the same object: their items may differ in type, as
    `1 == True`.
    """
    if value is other:
        return True
    return type(value) is type(other) and not isinstance(value, (dict, list)) and bool(value == other)


def _read(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task from an entry of its JSON form."""
    values = {key: value for key, value in entry.items() if key in _TASK_DEFAULTS}
    if isinstance(values.get("args"), list):
        values["args"] = tuple(values["args"])
    # Most entries of a sweep have nothing else to convert, and there may be many.
    return values if _CONVERTED.isdisjoint(values) else _converted(values)


def _converted(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task from their JSON forms."""
    for key in _TASK_TUPLES:
        if key in values:
            values[key] = tuple(values[key])
    for key in ("body", "env_inherit"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    if "retry" in values:
        retry = _known(Retry, values["retry"])
        retry |= {key: tuple(retry[key]) for key in ("on", "log") if key in retry}
        values["retry"] = Retry(**retry)
    for key, of_json in _READERS.items():
        if values.get(key) is not None:
            values[key] = of_json(values[key])
    if "metrics" in values:
        values["metrics"] = {name: tuple(patterns) for name, patterns in values["metrics"].items()}
    if "twins" in values:
        values["twins"] = {
            group: ids if isinstance(ids, str) else tuple(ids) for group, ids in values["twins"].items()
        }
    return values


def task_maker(shared: Mapping[str, dict[str, Any]]) -> Callable[[dict[str, Any]], Task]:
    """A function that makes tasks from their entries; those of one sweep share what they have in common.

    It raises TypeError or LookupError for an entry that lacks a field.
    """
    commons = {name: _read(entry) for name, entry in shared.items()}
    needed = {name: _REQUIRED - common.keys() for name, common in commons.items()}
    bases: dict[str, Task] = {}

    def make(entry: dict[str, Any]) -> Task:
        own = _read(entry)
        name = own["id"].partition("/")[0]
        common = commons.get(name)
        if common is None:
            return Task(**own)
        for key in _MERGED:
            if key in own and isinstance(common.get(key), dict):
                own[key] = {**common[key], **own[key]}
        if name in bases and needed[name] <= own.keys():
            return bases[name].changed(own)
        task = Task(**{**common, **own})
        bases[name] = Task(**{**common, **{key: own[key] for key in needed[name]}})
        return task

    return make


def _group_entry(group: Group, members: list[Task]) -> dict[str, Any]:
    """A group's fields; without `members` if they are made from one task, and are all tasks that name it."""
    entry = {item.name: getattr(group, item.name) for item in fields(group)}
    if group.is_template and group.members == tuple(task.id for task in members):
        del entry["members"]
    if group.best is not None:
        entry["best"] = asdict(group.best)
    if group.search is not None:
        entry["search"] = group.search.to_json()
    return entry


def _group(entry: dict[str, Any], members: Mapping[str | None, Sequence[str]]) -> Group:
    """A group from its entry, which may lack the ids of its members: then all that name it are."""
    values = _known(Group, entry)
    if "members" not in values:
        values["members"] = members.get(values["id"], ())
    for key in ("members", "axes"):
        values[key] = tuple(values.get(key, ()))
    if values.get("best") is not None:
        rule = values["best"]
        values["best"] = BestRule(metric=rule["metric"], goal=Goal(rule["goal"]))
    if values.get("search") is not None:
        values["search"] = SearchRule.from_json(values["search"])
    return Group(**values)


def _plugin_use(entry: dict[str, Any]) -> PluginUse:
    values = _known(PluginUse, entry)
    for key in ("tasks", "place", "values"):
        if isinstance(values.get(key), list):
            values[key] = tuple(values[key])
    return PluginUse(**values)


def _known(kind: type, entry: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {key: value for key, value in entry.items() if key in names}
