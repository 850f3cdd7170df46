"""The tasks of a resolved spec: each member with all that it takes from its group and the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nemorun_cli.model import units
from nemorun_cli.model.handlers import DEFAULT_TIMEOUT, LAST, RUN_AFTER
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.model.resources import NOTHING
from nemorun_cli.model.spec import DEFAULT_STOP_GRACE, DEFAULT_STOP_SIGNAL, Kind, Retry, Task
from nemorun_cli.spec.expressions.fill import LateText, as_plain, late_texts, words
from nemorun_cli.spec.expressions.syntax import TemplateError
from nemorun_cli.spec.tasks import callables
from nemorun_cli.spec.tasks.dependencies import Member, members_of
from nemorun_cli.spec.tasks.env_layers import EnvLayering, EnvLayers
from nemorun_cli.spec.tasks.resource_requests import VISIBLE, ResourceRequests
from nemorun_cli.storage.paths import script_copy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Handler
    from nemorun_cli.spec.tasks.dependencies import MemberGraph, Twins
    from nemorun_cli.spec.tasks.expand import Expansion
    from nemorun_cli.spec.tasks.extensions import Extensions
    from nemorun_cli.spec.tasks.metric_section import MetricSection
    from nemorun_cli.storage.paths import ExperimentFiles

KINDS: tuple[Kind, ...] = ("script", "inline", "command", "partial")
_MOST_FINDINGS = 20  # of one sweep: the others would say the same
_ALIKE = (
    "workdir",
    "entrypoint",
    "secrets",
    "resources",
    "retry",
    "artifacts",
    "metrics",
    "env_inherit",
    "description",
    "packager",
    "launcher",
)
_NOT_OF_HANDLERS = frozenset(("allow_failure", "dependency_type"))
_INTERPRETERS = {"script": "bash", "inline": "bash", "partial": "python3"}


class TaskBuilder:
    """Builds the tasks of one spec whose form is right; what is wrong with their meaning is in `findings`."""

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        folder: Path,
        executors: Mapping[str, Mapping[str, Any]],
        outside: Sequence[str],
        copies: ExperimentFiles | None,
        filled: frozenset[Place],
        expansion: Expansion,
        types: ExecutorTypes,
        chosen: Collection[str] | None = None,  # of whom alone it is asked whether they can ever run
        ill: Collection[str | int] = (),
    ) -> None:
        self.findings: list[Finding] = []
        self._measured: MetricSection | None = None
        self._chosen: Extensions | None = None
        self.late: dict[str, tuple[LateText, ...]] = {}  # by task, the texts that wait for outputs
        self.secrets: dict[str, dict[str, Any]] = {}  # where the secrets of all tasks come from
        self.plugins: list[tuple[str, list[Any], Place]] = []  # by task, and where they stand
        self._data = data
        self._laying = EnvLayering(folder)
        sound = {name: options for name, options in executors.items() if name not in ill}
        self._types = types
        self._requests = ResourceRequests(
            sound, types.why_unsatisfiable
        )  # one whose options are wrong cannot be asked
        self._chosen_ids = chosen
        self._filled = filled
        self._folder = folder
        self._executors = executors
        self._outside = outside
        self._copies = copies
        self._defaults: Mapping[str, Any] = data.get("defaults", {})
        self._below: dict[str, EnvLayers] = {}
        self._expansion = expansion
        self._told: set[Place] = set()  # where something was found that members of a sweep share
        self._looked_up: set[tuple[str, ...]] = set()  # callables, each in the folders of a task

    def tasks(self, graph: MemberGraph) -> list[Task]:
        """Every task that says what to run, in the order of the file; handlers come last."""
        found: list[Task] = []
        for name, entry in self._data.get("tasks", {}).items():
            first, before = None, len(self.findings)
            for member in self._members(name, entry, graph.members[name]):
                twins = graph.twins.get(member.name, {}).get(member.id, {})
                task = self._task(member, graph.needs_of(member.id), len(found), twins)
                if task is not None:
                    task = task if first is None else _sharing(task, first)
                    first = first or task
                    found.append(task)
                if len(self.findings) - before > _MOST_FINDINGS:
                    break
            self._check_group_keys(name, entry)
            if entry.get("together"):
                several = [task for task in found if task.group == name and self._is_chosen(task.id)]
                self._requests.check_together(several, ("tasks", name))
        found += self._handlers(len(found))
        self.findings += [*self._laying.findings, *self._requests.findings]
        if self._measured:
            self.findings += self._measured.findings
        if self._chosen:
            self.findings += self._chosen.findings
        return found

    def _handlers(self, first: int) -> list[Task]:
        found: list[Task] = []
        for section in RUN_AFTER:
            before = tuple(task.id for task in found) if section == LAST else ()
            for name, entry in self._data.get(section, {}).items():
                member = Member(f"{section}/{name}", section, entry, (section, name))
                for key in _NOT_OF_HANDLERS & entry.keys():
                    self._find((*member.place, key), "is not for a handler: nothing depends on it")
                task = self._task(member, (), first + len(found))
                if task is not None:
                    timeout = DEFAULT_TIMEOUT if task.timeout is None else task.timeout
                    handler = cast("Handler", section)
                    found.append(
                        replace(
                            task,
                            group=section,
                            handler=handler,
                            timeout=timeout,
                            dependencies=before,
                            dependency_type="afterany",
                            allow_failure=False,
                        )
                    )
            if section in self._data and section in self._data.get("tasks", {}):
                hint = "give it another name"
                message = f"cannot be called {section!r}: the ids of handlers begin so"
                self.findings.append(
                    Finding(place=("tasks", section), on_key=True, message=message, hint=hint)
                )
        return found

    def _members(self, name: str, entry: Mapping[str, Any], ids: tuple[str, ...]) -> Iterator[Member]:
        """The members of a task, or of each combination of its matrix."""
        sweep = self._expansion.sweeps.get(name)
        if sweep is None:
            yield from members_of(name, entry, ids)
            return
        size = len(ids) // len(sweep.combinations)
        places = {one.name: number * size for number, one in enumerate(sweep.combinations)}
        for one, filled in self._expansion.entries(name, entry):
            begin = places[one.name]
            yield from members_of(name, filled, ids[begin : begin + size], one.values)

    def _task(
        self, member: Member, needs: tuple[str, ...], index: int, twins: Twins | None = None
    ) -> Task | None:
        kind = next((kind for kind in KINDS if kind in member.own), None)
        if kind is None:
            return None
        own = {**self._defaults, **(member.group or {}), **member.own}
        executor = self._executor(member)
        layers = self._layers(member, executor)
        task = Task(
            id=member.id,
            index=index,
            kind=kind,
            body=self._body(member, kind),
            executor=executor,
            workdir=self._workdir(member, own, executor),
            group=None if member.group is None and member.matrix is None else member.name,
            args=self._args(member, own, kind),
            entrypoint=self._entrypoint(member, own, kind),
            env=layers.env,
            secrets=self._secrets(member, layers),
            env_inherit=self._env_inherit(own, executor),
            dependencies=needs,
            dependency_type=own.get("dependency_type", "afterok"),
            when=own.get("when"),
            resources=self._resources(member, executor, layers),
            retry=self._retry(member),
            timeout=self._duration(own.get("timeout"), member, "timeout"),
            stop_signal=own.get("stop_signal", DEFAULT_STOP_SIGNAL).removeprefix("SIG"),
            stop_grace=self._duration(own.get("stop_grace", DEFAULT_STOP_GRACE), member, "stop_grace") or 0.0,
            allow_failure=own.get("allow_failure", False),
            tail_logs=own.get("tail_logs"),
            artifacts=tuple(own.get("artifacts", ())),
            metrics=self._metrics(member) if "metrics" in own else {},
            description=member.own.get("description"),
            packager=self._packager(member, own, executor),
            launcher=self._launcher(member, own, executor),
            matrix=dict(member.matrix or {}),
            twins=twins or {},
        )
        if own.get("plugins"):
            self.plugins.append((task.id, own["plugins"], self._place(member, "plugins")))
        if kind == "partial":
            self._check_callables(task, member)
        return self._with_late(task)

    def _find(self, place: Place, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(place=place, message=message, hint=hint))

    def _place(self, member: Member, key: str) -> Place:
        """Where a key that a task may have from its group or the defaults stands."""
        if key in member.own:
            return (*member.place, key)
        if member.group is not None and key in member.group:
            return ("tasks", member.name, key)
        return ("defaults", key)

    def _executor(self, member: Member) -> str:
        name, place = self._executor_named(member)
        if name not in self._executors:
            known = list(dict.fromkeys([*self._executors, *self._outside]))
            self._find(place, f"no executor is called {name!r}", choices(name, known))
        return name

    def _executor_named(self, member: Member) -> tuple[str, Place]:
        place = self._place(member, "executor")
        own = member.own.get("executor")
        if isinstance(own, str):
            return own, place
        if isinstance(own, list):
            self._find(place, "is a list, which only a group can have", "name one executor")
            return own[0], place
        shared = (member.group or {}).get("executor")
        if isinstance(shared, list):
            count = len((member.group or {})["group"])
            if len(shared) != count:
                self._find(
                    place,
                    f"names {len(shared)} executors for {count} members",
                    "one a member, or one for all",
                )
            index = min(member.number, len(shared) - 1)
            return shared[index], (*place, index)
        if shared is None and "executor" not in self._defaults:
            return self._data.get("executor", "local"), ("executor",)
        return shared or self._defaults["executor"], place

    def _layers(self, member: Member, executor: str) -> EnvLayers:
        if executor not in self._below:
            layers = EnvLayers()
            for section, place in (
                (self._executors.get(executor, {}), ("executors", executor)),
                (self._data, ()),
                (self._defaults, ("defaults",)),
            ):
                layers = self._laying.over(layers, section, place)
            self._below[executor] = layers
        layers = self._below[executor]
        if member.group is not None:
            layers = self._laying.over(layers, member.group, ("tasks", member.name))
        return self._laying.over(layers, member.own, member.place)

    def _secrets(self, member: Member, layers: EnvLayers) -> tuple[str, ...]:
        """The names of the task's secrets; each name has one source in the whole spec."""
        for name, source in layers.secrets.items():
            if self.secrets.setdefault(name, source) != source:
                hint = "give one of them another name; a secret has one source in this version"
                place = (*self._place(member, "secrets"), name)
                self._find(place, f"the secret {name} comes from elsewhere in another task", hint)
        return tuple(layers.secrets)

    def _body(self, member: Member, kind: Kind) -> str | tuple[str, ...]:
        place, value = (*member.place, kind), member.own[kind]
        if kind == "command":
            argv = self._words(value, place)
            if argv[:1] == ("",):
                self._find(place, "names no program")
            return argv
        if kind == "script":
            path = self._folder / Path(value).expanduser()
            if not (path.is_file() or (self._copies and script_copy(str(path), self._copies).is_file())):
                what = "is a folder" if path.is_dir() else "there is no file"
                self._find(place, f"{what} {path}", "script is a path; a script's text goes into inline")
            return str(path)
        if "\0" in value:
            self._find(place, "holds a NUL, which no process takes")
        return cast(str, value)

    def _words(self, value: Any, place: Place) -> tuple[str, ...]:
        try:
            found = tuple(words(value))
        except TemplateError as fault:
            self._find(place, fault.message, fault.hint)
            return ()
        if any("\0" in word for word in found):
            self._find(place, "holds a NUL, which no process takes")
        return found

    def _workdir(self, member: Member, own: Mapping[str, Any], executor: str) -> str:
        value = own.get("workdir")
        if value is None:
            return str(self._folder)
        if isinstance(value, LateText):
            return value
        path, place = self._folder / Path(value).expanduser(), self._place(member, "workdir")
        is_theirs = Path(value).is_absolute() and self._types.has_remote_paths(
            executor, self._executors.get(executor, {})
        )
        if place not in self._filled and not path.is_dir() and not is_theirs:
            self._find(place, f"there is no folder {path}")
        return str(path)

    def _args(self, member: Member, own: Mapping[str, Any], kind: Kind) -> tuple[Any, ...] | dict[str, Any]:
        value, place = own.get("args"), self._place(member, "args")
        if kind == "partial":
            if isinstance(value, list):
                self._find(place, "must be a mapping for a partial", "name each argument: {lr: 0.1}")
                return {}
            return value or {}
        if isinstance(value, dict):
            self._find(place, f"must be a list for {kind}", "only a partial takes arguments by name")
            return ()
        return self._words(value or [], place)

    def _entrypoint(self, member: Member, own: Mapping[str, Any], kind: Kind) -> tuple[str, ...]:
        if kind == "command":
            if "entrypoint" in member.own:
                hint = "put the program first in the command"
                self._find((*member.place, "entrypoint"), "is not for a command", hint)
            return ()
        given = own.get("entrypoint", _INTERPRETERS[kind])
        place = self._place(member, "entrypoint")
        if kind == "partial" and place[0] == "defaults":  # those of scripts
            return (_INTERPRETERS[kind],)
        return self._words(given, place)

    def _env_inherit(self, own: Mapping[str, Any], executor: str) -> str | tuple[str, ...]:
        below = self._executors.get(executor, {}).get("env_inherit", "all")
        value = own.get("env_inherit", self._data.get("env_inherit", below))
        return tuple(value) if isinstance(value, list) else cast(str, value)

    def _packager(self, member: Member, own: Mapping[str, Any], executor: str) -> dict[str, Any] | None:
        below = self._executors.get(executor, {})
        if "packager" in own:
            value, place = own["packager"], self._place(member, "packager")
        elif "packager" in self._data:
            value, place = self._data["packager"], ("packager",)
        elif "packager" in below:
            value, place = below["packager"], ("executors", executor, "packager")
        else:
            return None
        return self._choosing().packager(value, place)

    def _launcher(self, member: Member, own: Mapping[str, Any], executor: str) -> dict[str, Any]:
        if "launcher" not in own:
            return {}
        place, options = self._place(member, "launcher"), self._executors.get(executor, {})
        return self._choosing().launcher(own["launcher"], place, executor=executor, options=options)

    def _choosing(self) -> Extensions:
        if self._chosen is None:
            from nemorun_cli.spec.tasks.extensions import Extensions  # noqa: PLC0415 - only for specs that name one

            self._chosen = Extensions()
        return self._chosen

    def _retry(self, member: Member) -> Retry:
        sections = (self._defaults, member.group or {}, member.own)
        merged: dict[str, Any] = {}
        for section in sections:
            merged |= section.get("retry", {})
        if not merged:
            return Retry()
        given = merged.get("on", ["any"])
        causes = given if isinstance(given, list) else [given]
        patterns = tuple(one["log"] for one in causes if isinstance(one, dict))
        self._check_patterns(patterns, member)
        return Retry(
            limit=int(merged.get("limit", 0)),
            delay=self._duration(merged.get("delay", 0.0), member, "retry", "delay") or 0.0,
            backoff=float(merged.get("backoff", 1.0)),
            max_delay=self._duration(merged.get("max_delay"), member, "retry", "max_delay"),
            on=tuple(one for one in causes if not isinstance(one, dict)),
            log=patterns,
        )

    def _check_patterns(self, patterns: Sequence[str], member: Member) -> None:
        for pattern in patterns:
            from nemorun_cli.system import log_search  # noqa: PLC0415 - few tasks look for any

            try:
                log_search.compiled(pattern)
            except log_search.SearchPatternError as fault:
                hint = "log is a regular expression of Python"
                place = (*self._place(member, "retry"), "on")
                if place not in self._told:
                    self._told.add(place)
                    self._find(place, f"{pattern!r} {fault}", hint)

    def _resources(self, member: Member, executor: str, layers: EnvLayers) -> Resources:
        sections = self._sections(member)
        if member.name in RUN_AFTER:  # to tell how it went needs no GPU because tasks do
            sections = sections[-1:]
        if not any("resources" in section for section, _ in sections):
            return NOTHING
        wanted = self._requests.of(sections, executor, is_asked=self._is_chosen(member.id))
        if wanted.gpus is not None and VISIBLE in layers.env:
            hint = "leave it out: each task is given its own GPUs, and their numbers"
            self._find((*self._place(member, "env"), VISIBLE), "does not go with resources.gpus", hint)
        return wanted

    def _is_chosen(self, task: str) -> bool:
        return self._chosen_ids is None or task in self._chosen_ids

    def _metrics(self, member: Member) -> dict[str, tuple[str, ...]]:
        sections = self._sections(member)
        if not any("metrics" in section for section, _ in sections):
            return {}
        if self._measured is None:
            from nemorun_cli.spec.tasks.metric_section import MetricSection  # noqa: PLC0415 - few tasks are measured

            self._measured = MetricSection()
        return self._measured.patterns(sections)

    def _sections(self, member: Member) -> Sequence[tuple[Mapping[str, Any], Place]]:
        """What a task takes its keys from, later ones winning, each with its place."""
        group: Place = ("tasks", member.name)
        return (self._defaults, ("defaults",)), (member.group or {}, group), (member.own, member.place)

    def _duration(self, value: Any, member: Member, *keys: str) -> float | None:
        try:
            return None if value is None else units.duration(value)
        except ValueError as fault:
            self._find((*self._place(member, keys[0]), *keys[1:]), str(fault))
            return None

    def _check_group_keys(self, name: str, entry: Mapping[str, Any]) -> None:
        if "fail_fast" in entry and "group" not in entry and "matrix" not in entry:
            self._find(("tasks", name, "fail_fast"), "is for groups and tasks with a matrix only")
        if "together" in entry and "matrix" in entry:
            hint = "max_parallel of the matrix says how many run at once"
            self._find(("tasks", name, "together"), "does not go with a matrix in this version", hint)
        elif "together" in entry and "group" not in entry:
            self._find(("tasks", name, "together"), "is for groups only")

    def _check_callables(self, task: Task, member: Member) -> None:
        if isinstance(task.workdir, LateText) or not task.entrypoint:
            return
        is_local = self._executors.get(task.executor, {}).get("type") == "local"
        interpreter = task.entrypoint[0]
        folders = callables.search_path(
            task.workdir, python_path=task.env.get("PYTHONPATH", ""), interpreter=interpreter
        )
        targets = [(str(task.body), (*member.place, "partial"))]
        targets += callables.targets(task.args, self._place(member, "args"))
        for target, place in targets:
            looked_up = (target, *folders[:1], task.env.get("PYTHONPATH", ""), interpreter, str(place))
            if looked_up in self._looked_up:
                continue
            self._looked_up.add(looked_up)
            try:
                callables.look_up(target, folders)
            except callables.NotThereError as fault:
                # What is in an image or on another machine cannot be seen from here.
                if is_local:
                    self._find(place, fault.message, fault.hint)

    def _with_late(self, task: Task) -> Task:
        """The task with what waits for outputs listed by pointers and held as plain text."""
        fields = {name: getattr(task, name) for name in ("body", "args", "env", "workdir", "when")}
        found = [
            (pointer, text)
            for name, value in fields.items()
            for pointer, text in late_texts(value, f"/{name}")
        ]
        if not found:
            return task
        self.late[task.id] = tuple(text for _, text in found)
        plain = {name: as_plain(value) for name, value in fields.items()}
        pointers = tuple(pointer for pointer, _ in found if pointer != "/when")
        return replace(task, **plain, late=pointers)


def _sharing(task: Task, first: Task) -> Task:
    """The task with the very objects of another one where they are equal: there may be ten thousand."""
    alike = {key: value for key in _ALIKE if getattr(task, key) == (value := getattr(first, key))}
    return replace(task, **alike)
