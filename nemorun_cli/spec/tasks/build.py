"""Builds the tasks of a resolved spec: each member with the keys of its group and of the defaults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nemorun_cli.model import group_hosts, units
from nemorun_cli.model.handlers import DEFAULT_TIMEOUT, LAST, RUN_AFTER
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.model.resources import NOTHING
from nemorun_cli.model.spec import (
    BASH,
    DEFAULT_STOP_GRACE,
    DEFAULT_STOP_SIGNAL,
    PYTHON,
    STRICT_BASH,
    Group,
    Kind,
    Retry,
    Task,
    with_forms,
)
from nemorun_cli.model.step_cache import CacheRule
from nemorun_cli.spec.expressions import searched_keys
from nemorun_cli.spec.expressions.fill import LateText, VaryingText, as_plain, late_texts, words
from nemorun_cli.spec.expressions.syntax import OPENING, Expression, TemplateError, parsed, pieces
from nemorun_cli.spec.tasks import best_rules, callables, leaders, plugin_entries
from nemorun_cli.spec.tasks.dependencies import Member, members_of
from nemorun_cli.spec.tasks.env_layers import EnvLayering, EnvLayers
from nemorun_cli.spec.tasks.plugin_entries import PluginEntries
from nemorun_cli.spec.tasks.resource_requests import VISIBLE, ResourceRequests
from nemorun_cli.storage.paths import script_copy
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from nemorun_cli.executors.capabilities import Capabilities
    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.python_environment import PythonEnvironment
    from nemorun_cli.model.resources import Resources
    from nemorun_cli.model.spec import Handler
    from nemorun_cli.model.stop_rules import StopRule
    from nemorun_cli.spec.tasks.cached_files import CachedFiles
    from nemorun_cli.spec.tasks.callables import CalledTarget
    from nemorun_cli.spec.tasks.dependencies import Matching, MemberGraph
    from nemorun_cli.spec.tasks.expand import Expansion
    from nemorun_cli.spec.tasks.extensions import Extensions
    from nemorun_cli.spec.tasks.externals import Externals
    from nemorun_cli.spec.tasks.metric_section import MetricSection
    from nemorun_cli.spec.tasks.python_section import PythonSection
    from nemorun_cli.spec.tasks.signatures import Signature
    from nemorun_cli.storage.paths import ExperimentFiles

KINDS: tuple[Kind, ...] = ("script", "inline", "command", "partial")
_MOST_FINDINGS = 20  # per task name: further members would repeat them
_MOST_LATE = 1_000  # expressions of a task that are filled in later and are more than a name
_SHARED_FIELDS = (
    "workdir",
    "entrypoint",
    "secrets",
    "resources",
    "retry",
    "artifacts",
    "metrics",
    "stop",
    "cache",
    "env_inherit",
    "description",
    "packager",
    "python",
    "launcher",
)
_MERGED_KEYS = frozenset(("resources", "retry"))  # of which a member overrides single keys
_VARIED = ("args", "env", "when")  # keys of a sweep that decide about nothing but the field of their name
_BODIES = ("inline", "command")
_NO_TWINS: Matching = {}  # one object for all members
_NOT_FOR_HANDLERS = frozenset(("allow_failure", "dependency_type"))
_INTERPRETERS = {"script": BASH, "inline": STRICT_BASH, "partial": PYTHON}


class TaskBuilder:
    """Builds the tasks of one spec that has passed the schema; collects other errors in `findings`."""

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        folder: Path,
        executors: Mapping[str, Mapping[str, Any]],
        outside: Sequence[str],
        copies: ExperimentFiles | None,
        filled: frozenset[Place],
        unique: frozenset[Place],
        expansion: Expansion,
        types: ExecutorTypes,
        selected: Collection[str] | None = None,  # tasks whose resources are checked; None for all
        invalid_executors: Collection[str | int] = (),
        invalid_bests: Collection[str | int] = (),  # tasks whose key `best` is reported already
        externals: Externals,
        strict_inline: bool = True,
    ) -> None:
        self.findings: list[Finding] = []
        self._metric_section: MetricSection | None = None
        self._extensions: Extensions | None = None
        self._python_section: PythonSection | None = None
        self.late: dict[str, tuple[LateText, ...]] = {}  # per task, the texts that need outputs
        self.secrets: dict[str, dict[str, Any]] = {}  # the sources of all tasks' secrets
        self.plugins: list[PluginEntries] = []
        self._data = data
        self._env_layering = EnvLayering(folder)
        valid = {name: options for name, options in executors.items() if name not in invalid_executors}
        self._interpreters = _INTERPRETERS if strict_inline else {**_INTERPRETERS, "inline": BASH}
        self._types = types
        # An executor with invalid options cannot check a request.
        self._resource_requests = ResourceRequests(valid, types.why_unsatisfiable)
        self._selected = selected
        self._invalid_bests = invalid_bests
        self._filled, self._unique = filled, unique
        self._folder = folder
        self._executors = executors
        self._outside = outside
        self._copies = copies
        self._defaults: Mapping[str, Any] = data.get("defaults", {})
        self._executor_layers: dict[str, EnvLayers] = {}
        self._expansion = expansion
        self._externals = externals
        self._reported: set[Place] = set()  # places shared by members that have a finding
        self._cached_files: CachedFiles | None = None
        self._cache_places: dict[str, Place] = {}  # of tasks with `cache`
        self._checked_callables: set[tuple[str, ...]] = set()  # a callable and where it was looked up

    def tasks(self, graph: MemberGraph) -> list[Task]:
        """Return every task that has a body, in the order of the file; handlers come last."""
        tasks: list[Task] = []
        for name, entry in self._data.get("tasks", {}).items():
            of_name = self._trials if name in self._expansion.searches else self._tasks_of
            tasks += of_name(name, entry, graph, len(tasks))
            self._check_group_keys(name, entry, graph.members[name])
            if entry.get("together") or "until" in entry:
                self._check_simultaneous(name, entry, [task for task in tasks if task.group == name])
        tasks += self._handlers(len(tasks))
        self._check_claims(tasks)
        self._check_packagers()
        self.findings += [*self._env_layering.findings, *self._resource_requests.findings]
        if self._metric_section:
            self.findings += self._metric_section.findings
        if self._extensions:
            self.findings += self._extensions.findings
        if self._python_section:
            self.findings += self._python_section.findings
        return tasks

    def _tasks_of(
        self, name: str, entry: Mapping[str, Any], graph: MemberGraph, index: int
    ) -> Iterator[Task]:
        """Yield a task, or the members of a group or a matrix; `index` is that of the first."""
        first, findings_before = None, len(self.findings)
        varying: Collection[str] | None = None  # keys; None if each member is built from all of its keys
        count_before, matched = self._count_findings(), graph.matching.get(name, {})
        for member in self._members(name, entry, graph.members[name]):
            is_ordered = member.id in graph.siblings
            matching = graph.matching_of(member.id) if is_ordered else matched.get(member.id, {})
            needs = graph.needs_of(member.id)
            if first is not None and varying is not None:
                own = {"index": index, "dependencies": needs, "twins": matching or _NO_TWINS}
                task: Task | None = self._variant(first, member, varying, own)
            else:
                task = self._task(member, needs, index, matching)
                if task is not None and first is not None:
                    task = _with_shared_fields(task, first)
            if task is not None:
                if first is None:
                    first = task
                    is_sound = self._count_findings() == count_before
                    varying = self._varying_keys(name, entry, first) if is_sound else None
                index += 1
                yield task
            if len(self.findings) - findings_before > _MOST_FINDINGS:
                break

    def _varying_keys(self, name: str, entry: Mapping[str, Any], first: Task) -> Collection[str] | None:
        """Return the keys in which the members of a sweep differ from the first one, which has no findings.

        None if more than the values of these keys has to be looked at for each member.
        """
        if (
            name not in self._expansion.sweeps
            or name in self._expansion.searches
            or "group" in entry
            or self._selected is not None
            or first.kind == "partial"
            or first.cache is not None
            or first.id in self.late
            or entry.get("plugins")
            or self._defaults.get("plugins")
        ):
            return None
        keys = self._expansion.varying_keys(entry)
        return keys if keys <= {*_VARIED, *_BODIES} else None

    def _variant(self, first: Task, member: Member, varying: Collection[str], own: Mapping[str, Any]) -> Task:
        """Return a member of a sweep that differs from the first in some keys, and in its `own` fields."""
        own = {**own, "id": member.id, "matrix": member.matrix}
        if "args" in varying:
            own["args"] = self._args(member, member.own, first.kind)
        if "env" in varying:
            own["env"] = self._layers(member, first.executor).env
        if "when" in varying:
            own["when"] = member.own["when"]
        if first.kind in varying:
            own["body"] = self._body(member, first.kind)
        return first.changed(own)

    def _check_claims(self, tasks: Sequence[Task]) -> None:
        """Report outputs that several tasks claim."""
        if self._cache_places:
            from nemorun_cli.spec.tasks import cache_section  # noqa: PLC0415 - few tasks have the key

            self.findings += cache_section.claims(tasks, self._cache_places)

    @property
    def environments(self) -> dict[str, PythonEnvironment]:
        """The Python environments that are made for the tasks, by id."""
        return self._python_section.environments if self._python_section else {}

    def _handlers(self, first_index: int) -> list[Task]:
        handlers: list[Task] = []
        for section in RUN_AFTER:
            upstream = tuple(task.id for task in handlers) if section == LAST else ()
            for name, entry in self._data.get(section, {}).items():
                member = Member(f"{section}/{name}", section, entry, (section, name))
                for key in _NOT_FOR_HANDLERS & entry.keys():
                    self._report((*member.place, key), "does not apply to handlers: nothing depends on them")
                task = self._task(member, (), first_index + len(handlers))
                if task is not None:
                    timeout = DEFAULT_TIMEOUT if task.timeout is None else task.timeout
                    handler = cast("Handler", section)
                    handlers.append(
                        replace(
                            task,
                            group=section,
                            handler=handler,
                            timeout=timeout,
                            dependencies=upstream,
                            dependency_type="afterany",
                            allow_failure=False,
                        )
                    )
            if section in self._data and section in self._data.get("tasks", {}):
                hint = "rename the task"
                message = f"cannot be called {section!r}: the ids of handlers begin with this name"
                self.findings.append(
                    Finding(place=("tasks", section), on_key=True, message=message, hint=hint)
                )
        return handlers

    def _members(self, name: str, entry: Mapping[str, Any], ids: tuple[str, ...]) -> Iterator[Member]:
        """Yield the members of a task, or of each combination of its matrix."""
        sweep = self._expansion.sweeps.get(name)
        if sweep is None:
            yield from members_of(name, entry, ids)
            return
        size = len(ids) // len(sweep.combinations)
        offsets = {combination.name: number * size for number, combination in enumerate(sweep.combinations)}
        for combination, filled in self._expansion.entries(name, entry):
            offset = offsets[combination.name]
            yield from members_of(name, filled, ids[offset : offset + size], combination.values)

    def _trials(self, name: str, entry: Mapping[str, Any], graph: MemberGraph, index: int) -> Iterator[Task]:
        """Yield the tasks of the trials of a search; trials differ in their ids alone."""
        ids, size = graph.members[name], len(entry.get("group", (None,)))
        forms: list[list[tuple[Mapping[str, Any], Task]]] = [[] for _ in range(size)]  # by task of a trial
        uses: list[list[PluginEntries]] = [[] for _ in range(size)]
        plugins, self.plugins, before = self.plugins, [], self._count_findings()
        for point, variant in self._expansion.points(name, entry):
            for number, member in enumerate(members_of(name, point, ids[:size], {})):
                needs, matching = graph.needs_of(member.id), graph.matching_of(member.id)
                task = self._task(member, needs, index + number, matching)
                if variant is not None and task is not None:
                    forms[number].append((variant, task))
                    uses[number] += [
                        replace(use, tasks=ids[number::size], values=variant) for use in self.plugins
                    ]
                self.plugins.clear()
            is_one = not forms[0] or not forms[0][0][0]
            if self._count_findings() - before > (0 if is_one else _MOST_FINDINGS):
                break  # further points would repeat them
        for of_task, known in zip(uses, forms, strict=True):
            plugins += plugin_entries.of_variants(of_task, len(known))
        self.plugins = plugins
        if not all(forms):
            return
        searched = [dict(_searched_texts(keys)) for keys in _sections_of(entry)]
        models = [_with_searched(known, texts) for known, texts in zip(forms, searched, strict=True)]
        for number, trial in enumerate(ids):
            model = models[number % size]
            if (late := self.late.get(model.id)) is not None:
                self.late[trial] = late
            if model.id in self._cache_places:
                self._cache_places[trial] = self._cache_places[model.id]
            is_ordered = trial in graph.order
            yield replace(
                model,
                id=trial,
                index=index + number,
                dependencies=graph.needs_of(trial) if is_ordered else model.dependencies,
                twins=graph.matching_of(trial) if is_ordered else model.twins,
            )

    def _count_findings(self) -> int:
        parts = (
            self._resource_requests,
            self._extensions,
            self._metric_section,
            self._python_section,
            self._env_layering,
        )
        return len(self.findings) + sum(len(part.findings) for part in parts if part is not None)

    def _task(
        self, member: Member, needs: tuple[str, ...], index: int, matching: Matching | None = None
    ) -> Task | None:
        kind = next((kind for kind in KINDS if kind in member.own), None)
        if kind is None:
            if not member.own:
                return None
            # What it runs was invalid or has a wrong key, which is reported: check the rest of it.
            rest = {key: value for key, value in member.own.items() if key != "entrypoint"}
            kind, member = "command", replace(member, own={**rest, "command": ["true"], "args": []})
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
            external=() if member.place[0] != "tasks" else self._externals.of(member.name),
            dependency_type=own.get("dependency_type", "afterok"),
            when=own.get("when"),
            resources=self._resources(member, executor, layers),
            retry=self._retry(member),
            timeout=self._duration(own.get("timeout"), member, "timeout", read=units.timeout),
            stop_signal=own.get("stop_signal", DEFAULT_STOP_SIGNAL).removeprefix("SIG"),
            stop_grace=self._duration(own.get("stop_grace", DEFAULT_STOP_GRACE), member, "stop_grace") or 0.0,
            allow_failure=own.get("allow_failure", False),
            tail_logs=own.get("tail_logs"),
            stderr_to_stdout=self._joins_stderr(member, own, executor),
            artifacts=tuple(own.get("artifacts", ())),
            metrics=self._metrics(member) if "metrics" in own else {},
            stop=self._stop(member, own["stop"]) if "stop" in own else (),
            description=member.own.get("description"),
            packager=self._packager(member, own, executor),
            python=self._python(member, own, executor),
            launcher=self._launcher(member, own, executor),
            matrix=dict(member.matrix or {}),
            twins=matching or {},
        )
        if own.get("plugins"):
            place = self._place(member, "plugins")
            self.plugins.append(PluginEntries(tasks=(task.id,), entries=own["plugins"], place=place))
        if kind == "partial":
            self._check_callables(task, member, self._named_python(member, own, executor)[0])
        if own.get("cache", False) is not False:
            task = self._with_cache(task, member, own["cache"])
        return self._with_late(task)

    def _with_cache(self, task: Task, member: Member, value: Any) -> Task:
        """Return the task with the rule of its `cache`; report once for each place what is wrong with it."""
        from nemorun_cli.spec.tasks import cache_section  # noqa: PLC0415 - few tasks have the key

        place = self._place(member, "cache")
        if member.place[0] in RUN_AFTER:
            if "cache" in member.own:
                self._report(place, "does not apply to handlers: they run after every outcome")
            return task
        rule = cache_section.rule(value)
        if rule is None or not self._is_selected(task.id):
            return task
        refusal = cache_section.refusal(member.group)
        found = list(cache_section.findings(value, place, task, self._capabilities(task.executor)))
        if refusal is not None:
            found = [Finding(place=place, message=refusal, hint="leave it out, or write cache: false")]
        elif not found and not isinstance(task.workdir, LateText):
            if task.kind == "partial":
                rule = replace(rule, inputs=(*rule.inputs, *self._modules(task)))
            task = replace(task, cache=rule)
            unique = cache_section.unique(self._unique, member, task.executor)
            files = self._files_of_caches()
            found = [*files.undeclared(task, place), *files.unmatched(task, place), *unique]
        for finding in found:
            if (*finding.place, finding.message) not in self._reported:
                self._reported.add((*finding.place, finding.message))
                self.findings.append(finding)
        self._cache_places[task.id] = place
        return replace(task, cache=rule)

    def _files_of_caches(self) -> CachedFiles:
        if self._cached_files is None:
            from nemorun_cli.spec.tasks.cached_files import CachedFiles  # noqa: PLC0415 - few tasks have the key

            self._cached_files = CachedFiles()
        return self._cached_files

    def _modules(self, task: Task) -> Iterator[str]:
        """The globs of the modules that a partial names: they count as inputs."""
        from nemorun_cli.spec.tasks import cached_files  # noqa: PLC0415 - few tasks have the key

        folders = self._module_folders(task)
        names = [str(task.body), *(target.name for target in callables.targets(task.args, ()))]
        yield from dict.fromkeys(cached_files.modules(task, self._folder, folders, names))

    def _report(self, place: Place, message: str, hint: str | None = None) -> None:
        self.findings.append(Finding(place=place, message=message, hint=hint))

    def _place(self, member: Member, key: str) -> Place:
        """Return the place of a key that a task may inherit from its group or the defaults."""
        if key in member.own:
            return (*member.place, key)
        if member.group is not None and key in member.group:
            return ("tasks", member.name, key)
        return ("defaults", key)

    def _executor(self, member: Member) -> str:
        name, place = self._executor_named(member)
        if name not in self._executors:
            known = list(dict.fromkeys([*self._executors, *self._outside]))
            self._report(place, f"no executor is called {name!r}", choices(name, known))
        return name

    def _executor_named(self, member: Member) -> tuple[str, Place]:
        place = self._place(member, "executor")
        own = member.own.get("executor")
        if isinstance(own, str):
            return own, place
        if isinstance(own, list):
            self._report(place, "is a list, which only a group can have", "name one executor")
            return own[0], place
        shared = (member.group or {}).get("executor")
        if isinstance(shared, list):
            count = len((member.group or {})["group"])
            if len(shared) != count:
                self._report(
                    place,
                    f"names {len(shared)} executors for {count} members",
                    "list one per member, or name one for all",
                )
            index = min(member.number, len(shared) - 1)
            return shared[index], (*place, index)
        if shared is None and "executor" not in self._defaults:
            return self._data.get("executor", "local"), ("executor",)
        return shared or self._defaults["executor"], place

    def _layers(self, member: Member, executor: str) -> EnvLayers:
        if executor not in self._executor_layers:
            layers = EnvLayers()
            for section, place in (
                (self._executors.get(executor, {}), ("executors", executor)),
                (self._data, ()),
                (self._defaults, ("defaults",)),
            ):
                layers = self._env_layering.over(layers, section, place)
            self._executor_layers[executor] = layers
        layers = self._executor_layers[executor]
        if member.group is not None:
            layers = self._env_layering.over(layers, member.group, ("tasks", member.name))
        return self._env_layering.over(layers, member.own, member.place)

    def _secrets(self, member: Member, layers: EnvLayers) -> tuple[str, ...]:
        """Return the names of the task's secrets; each name has one source in the whole spec."""
        for name, source in layers.secrets.items():
            if self.secrets.setdefault(name, source) != source:
                hint = "rename one of the two: in this version a secret has one source"
                place = (*self._place(member, "secrets"), name)
                self._report(place, f"the secret {name} has another source in another task", hint)
        return tuple(layers.secrets)

    def _body(self, member: Member, kind: Kind) -> str | tuple[str, ...]:
        place, value = (*member.place, kind), member.own[kind]
        if kind == "command":
            argv = self._words(value, place)
            if argv[:1] == ("",):
                self._report(place, "names no program")
            return argv
        if kind == "script":
            path = self._folder / expanded(value)
            if not (path.is_file() or (self._copies and script_copy(str(path), self._copies).is_file())):
                problem = "is a folder:" if path.is_dir() else "there is no file"
                self._report(
                    place, f"{problem} {path}", "script is a path; put the text of a script into inline"
                )
            return str(path)
        if "\0" in value:
            self._report(place, "holds a NUL, which no process takes")
        return cast(str, value)

    def _words(self, value: Any, place: Place) -> tuple[str, ...]:
        try:
            argv = tuple(words(value))
        except TemplateError as fault:
            self._report(place, fault.message, fault.hint)
            return ()
        if any("\0" in word for word in argv):
            self._report(place, "holds a NUL, which no process takes")
        return argv

    def _workdir(self, member: Member, own: Mapping[str, Any], executor: str) -> str:
        value = own.get("workdir")
        if value is None:
            return str(self._folder)
        if isinstance(value, LateText):
            return value
        path, place = self._folder / expanded(value), self._place(member, "workdir")
        is_remote = Path(value).is_absolute() and self._capabilities(executor).has_remote_paths
        if place not in self._filled and not path.is_dir() and not is_remote:
            self._report(place, f"there is no folder {path}")
        return str(path)

    def _joins_stderr(self, member: Member, own: Mapping[str, Any], executor: str) -> bool:
        is_joined = bool(own.get("stderr_to_stdout", True))
        if not is_joined and not self._capabilities(executor).separates_stderr:
            place = self._place(member, "stderr_to_stdout")
            self._report(place, f"the executor {executor} cannot write standard error to a file of its own")
        return is_joined

    def _capabilities(self, executor: str) -> Capabilities:
        return self._types.capabilities(executor, self._executors.get(executor, {}))

    def _args(self, member: Member, own: Mapping[str, Any], kind: Kind) -> tuple[Any, ...] | dict[str, Any]:
        value, place = own.get("args"), self._place(member, "args")
        if kind == "partial":
            if isinstance(value, list):
                self._report(place, "must be a mapping for a partial", "name each argument: {lr: 0.1}")
                return {}
            return value or {}
        if isinstance(value, dict):
            self._report(place, f"must be a list for {kind}", "only a partial takes arguments by name")
            return ()
        return self._words(value or [], place)

    def _entrypoint(self, member: Member, own: Mapping[str, Any], kind: Kind) -> tuple[str, ...]:
        if kind == "command":
            if "entrypoint" in member.own:
                hint = "put the program first in the command"
                self._report((*member.place, "entrypoint"), "does not apply to a command", hint)
            return ()
        place = self._place(member, "entrypoint")
        if "entrypoint" not in own or (kind == "partial" and place[0] == "defaults"):  # meant for scripts
            return self._interpreters[kind]
        return self._words(own["entrypoint"], place)

    def _env_inherit(self, own: Mapping[str, Any], executor: str) -> str | tuple[str, ...]:
        default = self._executors.get(executor, {}).get("env_inherit", "all")
        value = own.get("env_inherit", self._data.get("env_inherit", default))
        return tuple(value) if isinstance(value, list) else cast(str, value)

    def _packager(self, member: Member, own: Mapping[str, Any], executor: str) -> dict[str, Any] | None:
        options = self._executors.get(executor, {})
        if "packager" in own:
            value, place = own["packager"], self._place(member, "packager")
        elif "packager" in self._data:
            value, place = self._data["packager"], ("packager",)
        elif "packager" in options:
            value, place = options["packager"], ("executors", executor, "packager")
        else:
            return None
        return self._extension_section().packager(value, place)

    def _named_python(self, member: Member, own: Mapping[str, Any], executor: str) -> tuple[Any, Place]:
        """Return the value of `python` for a task, and its place; None if there is no value."""
        if "python" in own:
            return own["python"], self._place(member, "python")
        return self._executors.get(executor, {}).get("python"), ("executors", executor, "python")

    def _python(self, member: Member, own: Mapping[str, Any], executor: str) -> dict[str, Any] | None:
        value, place = self._named_python(member, own, executor)
        if value is None or not self._is_selected(member.id):
            return None
        if self._python_section is None:
            from nemorun_cli.spec.tasks.python_section import PythonSection  # noqa: PLC0415 - only for specs that name one

            self._python_section = PythonSection(self._folder, self._copies)
        return self._python_section.resolved(
            value, place, executor=executor, capabilities=self._capabilities(executor)
        )

    def _check_packagers(self) -> None:
        """Check the packagers that no task uses: another one overrides them, or no task has the executor."""
        sections: list[tuple[Mapping[str, Any], Place]] = [(self._data, ()), (self._defaults, ("defaults",))]
        for name, options in self._executors.items():
            if name not in self._outside:  # what is in files of other experiments is of no concern
                sections.append((options, ("executors", name)))
        for name, entry in self._data.get("tasks", {}).items():
            if "group" in entry and "matrix" not in entry:
                sections.append((entry, ("tasks", name)))
        for section, place in sections:
            if "packager" in section and OPENING not in str(section["packager"]):
                self._extension_section().packager(section["packager"], (*place, "packager"))

    def _launcher(self, member: Member, own: Mapping[str, Any], executor: str) -> dict[str, Any]:
        if "launcher" not in own:
            return {}
        place, options = self._place(member, "launcher"), self._executors.get(executor, {})
        return self._extension_section().launcher(own["launcher"], place, executor=executor, options=options)

    def _extension_section(self) -> Extensions:
        if self._extensions is None:
            from nemorun_cli.spec.tasks.extensions import Extensions  # noqa: PLC0415 - only for specs that name one

            self._extensions = Extensions()
        return self._extensions

    def _retry(self, member: Member) -> Retry:
        sections = (self._defaults, member.group or {}, member.own)
        merged: dict[str, Any] = {}
        for section in sections:
            merged |= section.get("retry", {})
        if not merged:
            return Retry()
        on = merged.get("on", ["any"])
        causes = on if isinstance(on, list) else [on]
        patterns = tuple(cause["log"] for cause in causes if isinstance(cause, dict))
        self._check_patterns(patterns, member)
        return Retry(
            limit=int(merged.get("limit", 0)),
            delay=self._duration(merged.get("delay", 0.0), member, "retry", "delay") or 0.0,
            backoff=float(merged.get("backoff", 1.0)),
            max_delay=self._duration(merged.get("max_delay"), member, "retry", "max_delay"),
            on=tuple(cause for cause in causes if not isinstance(cause, dict)),
            log=patterns,
        )

    def _check_patterns(self, patterns: Sequence[str], member: Member) -> None:
        for pattern in patterns:
            from nemorun_cli.system import log_search  # noqa: PLC0415 - few tasks have patterns
            from nemorun_cli.system.patterns import check_length  # noqa: PLC0415 - the same
            from nemorun_cli.system.regex_timeout import SearchPatternError  # noqa: PLC0415 - the same

            try:
                check_length(pattern)
                log_search.compiled(pattern)
            except SearchPatternError as fault:
                hint = "log is a Python regular expression"
                place = (*self._place(member, "retry"), "on")
                if place not in self._reported:
                    self._reported.add(place)
                    self._report(place, f"{pattern!r} {fault}", hint)

    def _resources(self, member: Member, executor: str, layers: EnvLayers) -> Resources:
        sections = self._sections(member)
        if member.name in RUN_AFTER:  # a handler does not inherit the resources of tasks
            sections = sections[-1:]
        if not any("resources" in section for section, _ in sections):
            return NOTHING
        request = self._resource_requests.of(sections, executor, is_checked=self._is_selected(member.id))
        if request.gpus is not None and VISIBLE in layers.env:
            hint = "leave it out: each task gets GPUs of its own, and their indices"
            self._report(
                (*self._place(member, "env"), VISIBLE), "cannot be combined with resources.gpus", hint
            )
        return request

    def _is_selected(self, task: str) -> bool:
        return self._selected is None or task in self._selected

    def _metrics(self, member: Member) -> dict[str, tuple[str, ...]]:
        sections = self._sections(member)
        if not any("metrics" in section for section, _ in sections):
            return {}
        if self._metric_section is None:
            from nemorun_cli.spec.tasks.metric_section import MetricSection  # noqa: PLC0415 - few tasks have metrics

            self._metric_section = MetricSection()
        return self._metric_section.patterns(sections)

    def _stop(self, member: Member, value: Any) -> tuple[StopRule, ...]:
        from nemorun_cli.spec.tasks import stop_section  # noqa: PLC0415 - few tasks have the key

        place = self._place(member, "stop")
        rules, findings = stop_section.rules(value, place)
        if place not in self._reported:
            self._reported.add(place)
            self.findings += findings
        return rules

    def _sections(self, member: Member) -> Sequence[tuple[Mapping[str, Any], Place]]:
        """Return the sections that a task takes its keys from, each with its place; later ones win."""
        group: Place = ("tasks", member.name)
        return (self._defaults, ("defaults",)), (member.group or {}, group), (member.own, member.place)

    def _duration(
        self, value: Any, member: Member, *keys: str, read: Callable[[Any], float] = units.duration
    ) -> float | None:
        try:
            return None if value is None else read(value)
        except ValueError as fault:
            self._report((*self._place(member, keys[0]), *keys[1:]), str(fault))
            return None

    def _check_group_keys(self, name: str, entry: Mapping[str, Any], ids: Sequence[str]) -> None:
        for message, hint in leaders.faults(name, entry, ids):
            self._report(("tasks", name, "until"), message, hint)
        for keys, message, hint in () if name in self._invalid_bests else best_rules.faults(entry):
            self._report(("tasks", name, "best", *keys), message, hint)
        if "fail_fast" in entry and "group" not in entry and "matrix" not in entry:
            self._report(("tasks", name, "fail_fast"), "applies only to groups and tasks with a matrix")
        if "together" in entry and "matrix" in entry:
            hint = "max_parallel of the matrix limits how many run at once"
            self._report(
                ("tasks", name, "together"), "cannot be combined with a matrix in this version", hint
            )
        elif "together" in entry and "group" not in entry:
            self._report(("tasks", name, "together"), "applies only to groups")
        self._check_member_names(name, entry, ids)

    def _check_member_names(self, name: str, entry: Mapping[str, Any], ids: Sequence[str]) -> None:
        """Report members that find each other and would have one variable for their hosts."""
        until = leaders.until_of(name, entry)
        group = Group(id=name, members=tuple(ids), together=entry.get("together", False), until=until)
        if "group" not in entry or "matrix" in entry or not group.members_meet:
            return
        names = [group_hosts.member_name(name, member) for member in ids]
        for earlier, member in group_hosts.same_variables(names):
            self._report(
                ("tasks", name, "group", names.index(member), "name"),
                f"cannot be {member!r} next to {earlier!r}:"
                f" both would have their host in {group_hosts.variable(member)}",
                "choose names that differ in letters or digits, not only in case and punctuation",
            )

    def _check_simultaneous(self, name: str, entry: Mapping[str, Any], tasks: Sequence[Task]) -> None:
        """Check that the members of a group can run at the same time, as far as they have to."""
        selected = [task for task in tasks if self._is_selected(task.id)]
        if entry.get("together"):
            self._resource_requests.check_together(selected, ("tasks", name))
            return
        leader = next((task for task in selected if task.id == leaders.until_of(name, entry)), None)
        if leader is not None and self._capabilities(leader.executor).has_machine:
            self._resource_requests.check_with_leader(leader, selected, ("tasks", name))

    def _check_callables(self, task: Task, member: Member, python: Any) -> None:
        if isinstance(task.workdir, LateText) or not task.entrypoint:
            return
        capabilities = self._capabilities(task.executor)
        interpreter = self._interpreter(task)
        folders = self._module_folders(task)
        has_args = "args" in member.own or "args" in (member.group or {})
        at = self._place(member, "args") if has_args else (*member.place, "partial")
        own = callables.called(str(task.body), task.args, (*member.place, "partial"), at=at)
        for place, identity in callables.unmade(task.args, at, []):
            self._report(place, f"no earlier argument has _id_: {identity}")
        for target in (own, *callables.targets(task.args, at)):
            key = (target.name, *folders[:1], task.env.get("PYTHONPATH", ""), interpreter, str(target.place))
            if key in self._checked_callables:
                continue
            self._checked_callables.add(key)
            try:
                signature = callables.look_up(target.name, folders)
            except callables.TargetNotFoundError as fault:
                # The content of an image or of another host cannot be checked locally.
                is_made = isinstance(python, dict) and "uv" in python
                if capabilities.runs_here and not is_made:
                    self._report(target.place, fault.message, fault.hint)
                continue
            if signature is not None and not capabilities.has_remote_paths:
                self._check_call(target, signature)

    @staticmethod
    def _interpreter(task: Task) -> str:
        if task.python is None:
            return task.entrypoint[0] if task.entrypoint else PYTHON[0]
        return f"{task.python.get('venv') or task.python.get('conda') or ''}/bin/python"

    def _module_folders(self, task: Task) -> tuple[str, ...]:
        """The folders where a partial finds its modules."""
        return callables.search_path(
            task.workdir,
            python_path=f"{self._folder}:{task.env.get('PYTHONPATH', '')}",
            interpreter=self._interpreter(task),
            has_environment=task.python is not None,
        )

    def _check_call(self, target: CalledTarget, signature: Signature) -> None:
        """Report arguments that a callable does not take, and those that it lacks."""
        if target.count is None:
            return
        name = target.name.rpartition(":")[2]
        faults = signature.faults(name, target.count, target.named, is_partial=target.is_partial)
        for place, message, hint in faults:
            self._report((*target.arguments, *place), message, hint)

    def _with_late(self, task: Task) -> Task:
        """Return the task with plain texts, and pointers to those that need outputs."""
        fields = {name: getattr(task, name) for name in ("body", "args", "env", "workdir", "when")}
        if task.cache is not None:
            fields["cache"] = task.cache.to_json()
        late = [
            (pointer, text)
            for name, value in fields.items()
            for pointer, text in late_texts(value, f"/{name}")
        ]
        if not late:
            return task
        self.late[task.id] = tuple(text for _, text in late)
        self._check_number([text for _, text in late])
        plain = {name: as_plain(value) for name, value in fields.items()}
        if task.cache is not None:
            plain["cache"] = CacheRule.from_json(plain["cache"])
        pointers = tuple(pointer for pointer, _ in late if pointer != "/when")
        return replace(task, **plain, late=pointers)

    def _check_number(self, late: Sequence[LateText]) -> None:
        """Check how many expressions the supervisor would compile for one task."""
        if sum(text.count(OPENING) for text in late) <= _MOST_LATE:
            return
        expressions = [part for text in late for part in pieces(text) if isinstance(part, Expression)]
        if sum(parsed(part.code, {}).sole is None for part in expressions) > _MOST_LATE:
            message = f"more than {_MOST_LATE:,} expressions of the task use outputs of tasks"
            self._report(late[0].place, message, "compute them in one task, and use its outputs")


def _sections_of(entry: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The keys of each task of a trial: those of its group, and its own, which take precedence."""
    shared = {key: value for key, value in entry.items() if key not in ("group", "description")}
    for member in entry.get("group", ()):
        merged = {**shared, **member}
        for key in _MERGED_KEYS & shared.keys() & member.keys():
            if isinstance(shared[key], dict) and isinstance(member[key], dict):
                merged[key] = {**shared[key], **member[key]}
        yield merged
    if "group" not in entry:
        yield entry


def _searched_texts(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts over values of a trial in fields that are no texts, by the JSON pointers of these."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [((key,), value) for key, value in entry.items()]
    while pending:
        keys, value = pending.pop(0)
        if isinstance(value, VaryingText) and value.rest is not None:
            yield "/" + "/".join(searched_keys.field_keys(keys) or map(_escaped, keys)), value.rest
        elif isinstance(value, (dict, list)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            pending += [((*keys, key), item) for key, item in items]


def _with_searched(forms: Sequence[tuple[Mapping[str, Any], Task]], searched: dict[str, str]) -> Task:
    """The task of a trial with its texts over values, and its forms if any of these decides them."""
    if all(map(searched_keys.is_read_later, searched)):
        return replace(forms[0][1], searched=searched)
    return with_forms([(values, replace(task, searched=searched)) for values, task in forms])


def _escaped(key: str | int) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return str(key).replace("~", "~0").replace("/", "~1")


def _with_shared_fields(task: Task, first: Task) -> Task:
    """Return the task with objects of `first` in place of equal ones: a sweep may have ten thousand tasks."""
    shared = {key: value for key in _SHARED_FIELDS if getattr(task, key) == (value := getattr(first, key))}
    return replace(task, **shared)
