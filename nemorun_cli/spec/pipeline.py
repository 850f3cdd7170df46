"""One way from a document to a Spec: what each step refuses is cut out before the next.

The steps: type the params; fill in the expressions; check the form; check the meaning and build the
tasks; leave out what is not selected. What is wrong is told by all of them, each cause once.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError
from nemorun_cli.model import units
from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.model.spec import Group, Identity, PluginUse, RunOptions, Spec, Task
from nemorun_cli.spec.expressions.evaluate import experiment_names
from nemorun_cli.spec.expressions.fill import DoubtfulText, Filler, LateText
from nemorun_cli.spec.expressions.syntax import OPENING, UNKNOWN
from nemorun_cli.spec.prune import cut
from nemorun_cli.spec.schema import checks
from nemorun_cli.spec.tasks import dependencies
from nemorun_cli.spec.tasks.build import TaskBuilder
from nemorun_cli.spec.tasks.env_layers import EnvLayering, EnvLayers
from nemorun_cli.spec.tasks.expand import Expansion

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nemorun_cli.spec.document import Document
    from nemorun_cli.spec.tasks.matrix import Sweep

_SHARED_OPTIONS = frozenset(
    ("type", "env", "env_file", "env_inherit", "packager")
)  # of executors of every type


class Resolution:
    """One way from a document to a Spec; each step adds to `findings`."""

    def __init__(self, document: Document, identity: Identity) -> None:
        self.uses_identity = False
        self._document = document
        self._identity = identity
        self._folder = Path(os.path.abspath(document.path)).parent  # noqa: PTH100 - keeps symbolic links
        self._findings: list[Finding] = []

    def spec(self, findings: Sequence[Finding] = ()) -> Spec:
        """The resolved spec; raises SpecError with these and all other findings."""
        self._findings += findings
        values = self._params()
        filler = self._filler(values)
        expansion = Expansion(filler)
        data = self._filled(filler, expansion)
        data = self._with_right_form(data, filler, expansion)
        executors = {"local": {"type": "local"}, **data.get("executors", {})}
        self._check_options(executors)
        spec = self._built(data, executors, values, filler, expansion)
        document = self._document
        if self._findings:
            findings = [document.attributed(finding) for finding in self._findings]
            raise SpecError(document.sources.in_order(findings))
        return spec

    def _params(self) -> dict[str, Any]:
        section = self._document.data.get("params")
        if not isinstance(section, dict):
            section = {}
        unconfirmed = frozenset(name for name, entry in section.items() if not checks.is_param(entry))
        if not (section or self._document.params):
            return {}
        from nemorun_cli.spec import param_values as parameters  # noqa: PLC0415 - only for a spec that has some

        values, findings = parameters.values(section, self._document.params, unconfirmed)
        self._findings += findings
        return values

    def _filler(self, values: Mapping[str, Any]) -> Filler:
        names = {
            "params": values,
            "matrix": {},
            "env": {},
            "experiment": experiment_names(self._identity),
            "tasks": _outputs_to_come(self._document.data.get("tasks"), {}),
        }
        return Filler(names)

    def _filled(self, filler: Filler, expansion: Expansion) -> dict[str, Any]:
        """The data with its expressions filled in; first env and each matrix, which the others name."""
        data = dict(self._document.data)
        texts = [self._document.text, *self._document.others.values(), *self._document.options.values()]
        has_expressions = any(OPENING in text for text in texts)
        if has_expressions:
            self._fill_env(data, filler)
        tasks = data.get("tasks")
        if isinstance(tasks, dict):
            data["tasks"] = tasks = expansion.expand(tasks)
        if has_expressions:
            filler.names["tasks"] = _outputs_to_come(tasks, expansion.sweeps)
            rest = {key: value for key, value in data.items() if key not in ("env", "env_file", "tasks")}
            data.update(filler.spec(rest))
            data["tasks"] = self._filled_tasks(tasks, filler, expansion)
        self._findings += [*filler.findings, *expansion.findings]
        filler.findings.clear()
        expansion.findings.clear()
        self.uses_identity = filler.uses_identity
        return data

    @staticmethod
    def _filled_tasks(tasks: Any, filler: Filler, expansion: Expansion) -> Any:
        if not isinstance(tasks, dict):
            return filler.tree(tasks, ("tasks",))
        return {
            name: expansion.filled(name, task)
            if isinstance(task, dict) and "matrix" in task
            else filler.tree(task, ("tasks", name))
            for name, task in tasks.items()
        }

    def _fill_env(self, data: dict[str, Any], filler: Filler) -> None:
        data["env_file"] = filler.tree(data.get("env_file", []), ("env_file",))
        env: dict[str, Any] = dict(_env_file_values(data["env_file"], self._folder))
        filler.names["env"] = env
        section = data.get("env")
        if isinstance(section, dict):
            data["env"] = {}
            for name, value in section.items():
                filled = data["env"][name] = filler.tree(value, ("env", name))
                in_doubt = isinstance(filled, (DoubtfulText, dict, list)) or filled is None
                env[name] = UNKNOWN if in_doubt else text_of(filled)

    def _with_right_form(self, data: dict[str, Any], filler: Filler, expansion: Expansion) -> dict[str, Any]:
        """The data without what has a wrong form, or could not be filled."""
        unfilled = filler.unfilled
        in_doubt = unfilled | filler.varying  # whose form is checked where it is filled
        findings = [found for found in checks.check_experiment(data) if found.place not in in_doubt]
        self._findings += findings
        name = self._document.name
        if "name" not in data and not checks.is_name(name):
            message = f"has no name, and that of its file, {name!r}, is no name for an experiment"
            hint = "write name: … with letters, digits, . _ -"
            self._findings.append(Finding(place=(), message=message, hint=hint))
        places = unfilled.union(found.place for found in findings)
        places |= {("tasks", name) for name in expansion.unconfirmed}
        return cut(data, places) if places else data

    def _check_options(self, executors: Mapping[str, Mapping[str, Any]]) -> None:
        document = self._document
        for name, entry in executors.items():
            kind = entry.get("type")
            if kind is None:
                continue
            options_schema = document.executors.options_schema(kind)
            if options_schema is None:
                message, hint = (
                    f"no type of executor is called {kind!r}",
                    choices(kind, document.executors.names()),
                )
                self._findings.append(Finding(place=("executors", name, "type"), message=message, hint=hint))
                continue
            options = {key: value for key, value in entry.items() if key not in _SHARED_OPTIONS}
            self._findings += checks.check(options, options_schema, ("executors", name))

    def _built(
        self,
        data: Mapping[str, Any],
        executors: Mapping[str, Mapping[str, Any]],
        values: Mapping[str, Any],
        filler: Filler,
        expansion: Expansion,
    ) -> Spec:
        run = self._run(data.get("run", {}))
        graph, findings = dependencies.graph(data.get("tasks", {}), expansion, sequential=run.sequential)
        chosen = self._chosen(graph, data) if self._document.only else None
        building = TaskBuilder(
            data,
            folder=self._folder,
            executors=executors,
            outside=self._document.known,
            copies=self._document.copies,
            filled=frozenset(filler.filled),
            expansion=expansion,
            types=self._document.executors,
            chosen=chosen,
            ill={one.place[1] for one in self._findings if one.place[:1] == ("executors",) and one.place[1:]},
        )
        tasks = building.tasks(graph)
        self._findings += [*findings, *building.findings, *filler.findings, *expansion.findings]
        self._check_uses(tasks, building, graph)
        plugins = self._plugins(data, building)
        groups = _groups(data.get("tasks", {}), graph, expansion)
        groups += _sections(tasks)
        if chosen is not None:
            tasks, groups = self._selected(tasks, groups, building, chosen)
        if run.direct:
            self._check_direct(run, tasks, groups, executors)
        used = {task.executor for task in tasks} | executors.keys() - self._document.brought
        own_env = EnvLayering(self._folder).over(
            EnvLayers(), {key: data[key] for key in ("env", "env_file") if key in data}, ()
        )
        return Spec(
            name=self._document.name,
            folder=str(self._folder),
            tasks=tuple(tasks),
            groups=tuple(groups),
            executors={
                name: {
                    key: value for key, value in entry.items() if key == "type" or key not in _SHARED_OPTIONS
                }
                for name, entry in executors.items()
                if name in used
            },
            run=run,
            params=dict(values),
            env=own_env.env,
            secrets=building.secrets,
            description=data.get("description"),
            tags=tuple(data.get("tags", ())),
            bindrs=tuple(data.get("bindrs", ())),
            prefix=data.get("prefix"),
            tracking=dict(data.get("tracking", {})),
            plugins=_of_these(plugins, tasks),
        )

    def _chosen(self, graph: dependencies.MemberGraph, data: Mapping[str, Any]) -> set[str]:
        """The ids that `only` means."""
        from nemorun_cli.spec.tasks.select import meant  # noqa: PLC0415 - only with `--only`

        handlers = {name: tuple(f"{name}/{one}" for one in data.get(name, {})) for name in RUN_AFTER}
        sections = {name: ids for name, ids in handlers.items() if ids}
        chosen, findings = meant(self._document.only, {**graph.members, **sections})
        self._findings += findings
        return chosen

    def _plugins(self, data: Mapping[str, Any], building: TaskBuilder) -> list[PluginUse]:
        if not data.get("plugins") and not building.plugins:
            return []
        from nemorun_cli.spec.tasks.plugin_uses import PluginUses  # noqa: PLC0415 - only for specs with plugins

        plugged = PluginUses(self._folder, EnvLayering(self._folder), building.secrets)
        found = plugged.of_all(data.get("plugins", ()), ("plugins",)) + plugged.of_tasks(building.plugins)
        self._findings += plugged.findings
        return found

    def _run(self, section: Mapping[str, Any]) -> RunOptions:
        values = dict(section)
        if "timeout" in values:
            try:
                values["timeout"] = units.duration(values["timeout"])
            except ValueError as fault:
                self._findings.append(Finding(place=("run", "timeout"), message=str(fault)))
                del values["timeout"]
        return RunOptions(**values)

    def _check_uses(
        self, tasks: Sequence[Task], building: TaskBuilder, graph: dependencies.MemberGraph
    ) -> None:
        """A task may use the outputs of what it waits for, and of nothing else."""
        known: set[tuple[str, str]] = set()  # whose members are all alike, and what they wait for
        for task in tasks:
            if task.handler is not None:
                continue  # when it runs, all are over
            name = task.group or task.id
            for text in building.late.get(task.id, ()):
                for used, raw in text.uses.items():
                    if used in task.twins or (name, used) in known:
                        continue
                    if name not in graph.twins:
                        known.add((name, used))
                    if not graph.waits_for(task.id, graph.members.get(used, (used,))):
                        message = f"{raw}: {name} does not depend on {used}"
                        hint = f"add {used} to the dependencies of {name}"
                        self._findings.append(
                            Finding(place=text.place, message=message, hint=hint, needle=raw)
                        )

    def _selected(
        self, tasks: Sequence[Task], groups: Sequence[Group], building: TaskBuilder, chosen: set[str]
    ) -> tuple[list[Task], list[Group]]:
        """The chosen tasks alone, and what is left of the groups."""
        from nemorun_cli.spec.tasks.select import selected  # noqa: PLC0415 - only with `--only`

        members = {group.id: group.members for group in groups}
        for task in tasks:
            if task.id in chosen:
                self._check_selected_uses(task, building.late.get(task.id, ()), members, chosen)
        kept = [replace(group, members=tuple(m for m in group.members if m in chosen)) for group in groups]
        return selected(tasks, chosen), [group for group in kept if group.members]

    def _check_selected_uses(
        self, task: Task, late: Sequence[LateText], members: Mapping[str, tuple[str, ...]], chosen: set[str]
    ) -> None:
        for text in late:
            for used, raw in text.uses.items():
                twin = task.twins.get(used)
                wanted = (twin,) if isinstance(twin, str) else twin or members.get(used, (used,))
                if not chosen.issuperset(wanted):
                    message = f"{raw}: {task.id} needs the outputs of {used}, which --only leaves out"
                    hint = f"add --only {used}"
                    self._findings.append(Finding(place=text.place, message=message, hint=hint, needle=raw))

    def _check_direct(
        self,
        run: RunOptions,
        tasks: Sequence[Task],
        groups: Sequence[Group],
        executors: Mapping[str, Mapping[str, Any]],
    ) -> None:
        named = [group.id for group in groups if group.id not in RUN_AFTER]
        elsewhere = [task.id for task in tasks if executors.get(task.executor, {}).get("type") != "local"]
        reasons = {
            "is not possible with run.detach": run.detach,
            f"is not possible with groups ({', '.join(named)})": bool(named),
            f"is local only ({', '.join(elsewhere)} would run elsewhere)": bool(elsewhere),
        }
        for message, holds in reasons.items():
            if holds:
                self._findings.append(Finding(place=("run", "direct"), message=message))


def _outputs_to_come(tasks: Any, sweeps: Mapping[str, Sweep]) -> dict[str, Any]:
    """Every id that expressions can name, with outputs that are not known yet."""
    found: dict[str, Any] = {}
    to_come = {"outputs": UNKNOWN}
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        found[name] = to_come
        if not isinstance(task, dict):
            continue
        group, sweep = task.get("group", []), sweeps.get(name)
        if isinstance(group, list) and all(isinstance(member, dict) for member in group):
            ids = dependencies.member_ids(name, task, sweep)
            found |= dict.fromkeys(ids, to_come)
    return found


def _env_file_values(given: Any, folder: Path) -> dict[str, str]:
    """What the spec's own env files give to expressions; what is wrong with them is told later."""
    if not checks.is_env_file(given):
        return {}
    return EnvLayering(folder).over(EnvLayers(), {"env_file": given}, ()).env


def _groups(tasks: Mapping[str, Any], graph: dependencies.MemberGraph, expansion: Expansion) -> list[Group]:
    found: list[Group] = []
    for name, task in tasks.items():
        sweep = expansion.sweeps.get(name)
        if sweep is None and "group" not in task:
            continue
        group = Group(
            id=name,
            members=graph.members[name],
            fail_fast=task.get("fail_fast", False),
            together=task.get("together", False),
            description=task.get("description"),
        )
        if sweep is not None:
            group = replace(
                group,
                fail_fast=group.fail_fast or sweep.fail_fast,
                axes=sweep.axes,
                max_parallel=sweep.max_parallel,
                max_failures=sweep.max_failures,
            )
        found.append(group)
    return found


def _sections(tasks: Sequence[Task]) -> list[Group]:
    """The handlers of each section as a group, by whose name all of them can be meant."""
    members: dict[str, list[str]] = {}
    for task in tasks:
        if task.handler is not None:
            members.setdefault(task.handler, []).append(task.id)
    return [Group(id=section, members=tuple(ids)) for section, ids in members.items()]


def _of_these(plugins: Sequence[PluginUse], tasks: Sequence[Task]) -> tuple[PluginUse, ...]:
    """The uses of plugins less the tasks that were left out, and less those that are for none."""
    ids = {task.id for task in tasks}
    kept = (
        use if use.tasks is None else replace(use, tasks=tuple(one for one in use.tasks if one in ids))
        for use in plugins
    )
    return tuple(use for use in kept if use.tasks != ())
