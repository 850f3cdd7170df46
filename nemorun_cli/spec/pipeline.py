"""Resolves a document into a Spec; each step removes invalid parts from the data before the next.

The steps: type the params; fill in the expressions; check against the schema; check the meaning and build
the tasks; remove tasks that are not selected. All steps report errors, each cause once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import SpecError, UsageError
from nemorun_cli.model import units
from nemorun_cli.model.handlers import RUN_AFTER
from nemorun_cli.model.plain_text import text_of
from nemorun_cli.model.problems import Finding, choices
from nemorun_cli.model.spec import (
    External,
    Group,
    Identity,
    PluginUse,
    RunOptions,
    Spec,
    Task,
    possible_forms,
)
from nemorun_cli.spec.expressions.evaluate import experiment_names
from nemorun_cli.spec.expressions.fill import DoubtfulText, Filler, LateText
from nemorun_cli.spec.expressions.helper import Helper
from nemorun_cli.spec.expressions.syntax import OPENING, UNKNOWN
from nemorun_cli.spec.prune import cut
from nemorun_cli.spec.schema import checks
from nemorun_cli.spec.tasks import best_rules, dependencies, leaders
from nemorun_cli.spec.tasks.build import TaskBuilder
from nemorun_cli.spec.tasks.env_layers import EnvLayering, EnvLayers
from nemorun_cli.spec.tasks.expand import Expansion
from nemorun_cli.spec.tasks.externals import Externals
from nemorun_cli.system.user import expanded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.python_environment import PythonEnvironment
    from nemorun_cli.spec.document import Document

# Options of executors of every type.
_OF_SERVER = frozenset(("dash_url", "logs", "spec", "code"))  # keys of `tracking`
_SHARED_OPTIONS = frozenset(("type", "env", "env_file", "env_inherit", "packager", "python"))


class Resolution:
    """Resolves one document into a Spec; each step adds its errors to the findings."""

    def __init__(self, document: Document, identity: Identity) -> None:
        self.uses_identity = False
        self._document = document
        self._identity = identity
        self._folder = document.folder
        self._findings: list[Finding] = []

    def spec(self, findings: Sequence[Finding] = ()) -> Spec:
        """Return the resolved spec; raise SpecError with these and all other findings."""
        self._findings += findings
        with Helper() as helper:
            return self._resolved(helper)

    def _resolved(self, helper: Helper) -> Spec:
        values = self._params()
        filler = self._filler(values, helper)
        expansion = Expansion(filler, self._identity.id)
        data = self._filled(filler, expansion)
        data = self._without_invalid(data, filler, expansion)
        executors = {"local": {"type": "local"}, **data.get("executors", {})}
        self._check_options(executors)
        spec = self._build(data, executors, values, filler, expansion)
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
        from nemorun_cli.spec import param_values as parameters  # noqa: PLC0415 - only for a spec with params

        values, findings = parameters.values(
            section, self._document.params, unconfirmed, positions=self._document.param_positions
        )
        self._findings += findings
        return values

    def _filler(self, values: Mapping[str, Any], helper: Helper) -> Filler:
        names = {
            "params": values,
            "matrix": {},
            "search": {},
            "env": {},
            "experiment": experiment_names(self._identity),
            "tasks": _unknown_outputs(self._document.data.get("tasks"), None),
            "experiments": Externals(self._document.data.get("tasks")).names(),
        }
        return Filler(names, helper.evaluate)

    def _filled(self, filler: Filler, expansion: Expansion) -> dict[str, Any]:
        """Return the data with expressions filled in: first in env and each matrix, to which others refer."""
        data = dict(self._document.data)
        texts = [self._document.text, *self._document.others.values(), *self._document.options.values()]
        has_expressions = any(OPENING in text for text in texts)
        if has_expressions:
            self._fill_env(data, filler)
        tasks = data.get("tasks")
        if isinstance(tasks, dict):
            data["tasks"] = tasks = expansion.expand(tasks)
        if has_expressions:
            filler.names["tasks"] = _unknown_outputs(tasks, expansion)
            rest = {key: value for key, value in data.items() if key not in ("env", "env_file", "tasks")}
            data.update(filler.spec(rest))
            data["tasks"] = self._filled_tasks(tasks, filler, expansion)
        self._findings += [*filler.findings, *expansion.findings]
        filler.findings.clear()
        expansion.findings.clear()
        self.uses_identity = filler.uses_identity or expansion.uses_identity
        return data

    @staticmethod
    def _filled_tasks(tasks: Any, filler: Filler, expansion: Expansion) -> Any:
        if not isinstance(tasks, dict):
            return filler.tree(tasks, ("tasks",))
        return {
            name: expansion.filled(name, task)
            if isinstance(task, dict) and ("matrix" in task or "search" in task)
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
                is_unknown = isinstance(filled, (DoubtfulText, dict, list)) or filled is None
                env[name] = UNKNOWN if is_unknown else text_of(filled)

    def _without_invalid(self, data: dict[str, Any], filler: Filler, expansion: Expansion) -> dict[str, Any]:
        """Return the data without values that fail the schema or could not be filled in."""
        unfilled = filler.unfilled
        unchecked = unfilled | filler.varying  # checked after they are filled in
        findings = [finding for finding in checks.check_experiment(data) if finding.place not in unchecked]
        self._findings += findings
        name = self._document.name
        if "name" not in data and not checks.is_name(name):
            message = f"has no name, and the name of its file, {name!r}, is not valid for an experiment"
            hint = "write name: … with letters, digits, . _ -"
            self._findings.append(Finding(place=(), message=message, hint=hint))
        places = unfilled.union(finding.place for finding in findings if not finding.is_incomplete)
        places |= {("tasks", name) for name in expansion.unconfirmed}
        return cut(data, places) if places else data

    def _check_options(self, executors: Mapping[str, Mapping[str, Any]]) -> None:
        document = self._document
        for name, entry in executors.items():
            executor_type = entry.get("type")
            if executor_type is None:
                continue
            options_schema = document.executors.options_schema(executor_type)
            if options_schema is None:
                message, hint = (
                    f"no type of executor is called {executor_type!r}",
                    choices(executor_type, document.executors.names()),
                )
                self._findings.append(Finding(place=("executors", name, "type"), message=message, hint=hint))
                continue
            options = {key: value for key, value in entry.items() if key not in _SHARED_OPTIONS}
            self._findings += checks.check(options, options_schema, ("executors", name))

    def _build(
        self,
        data: Mapping[str, Any],
        executors: Mapping[str, Mapping[str, Any]],
        values: Mapping[str, Any],
        filler: Filler,
        expansion: Expansion,
    ) -> Spec:
        run = self._run(data.get("run", {}))
        graph, findings = dependencies.graph(data.get("tasks", {}), expansion, sequential=run.sequential)
        selected_ids = self._selected_ids(graph, data) if self._document.only else None
        externals = Externals(data.get("tasks", {}))
        self._findings += externals.findings
        builder = TaskBuilder(
            data,
            folder=self._folder,
            executors=executors,
            outside=self._document.known,
            copies=self._document.copies,
            filled=frozenset(filler.filled),
            unique=frozenset(filler.unique),
            expansion=expansion,
            externals=externals,
            types=self._document.executors,
            selected=selected_ids,
            invalid_executors={
                finding.place[1]
                for finding in self._findings
                if finding.place[:1] == ("executors",) and finding.place[1:]
            },
            invalid_bests={finding.place[1] for finding in self._findings if finding.place[2:3] == ("best",)},
            strict_inline=self._document.strict_inline,
        )
        tasks = builder.tasks(graph)
        if run.refresh:
            sound = () if builder.findings else tasks  # a wrong `cache` is a problem of its own
            run = replace(run, refresh=tuple(sorted(self._refreshed(run.refresh, graph, sound))))
        self._findings += [*findings, *builder.findings, *filler.findings, *expansion.findings]
        self._check_uses(tasks, builder, graph, unconfirmed=expansion.unconfirmed)
        plugins = self._plugins(data, builder)
        groups = _groups(data.get("tasks", {}), graph, expansion)
        groups += _sections(tasks)
        if selected_ids is not None:
            tasks, groups = self._keep_selected(tasks, groups, builder, selected_ids)
        if run.direct:
            self._check_direct(run, tasks, groups, executors)
        used = {task.executor for task in possible_forms(tasks)} | executors.keys() - self._document.brought
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
            secrets=builder.secrets,
            description=data.get("description"),
            tags=tuple(data.get("tags", ())),
            bindrs=tuple(data.get("bindrs", ())),
            prefix=data.get("prefix"),
            title=data.get("title"),
            tracking=self._tracking(data.get("tracking", {}), prefix=data.get("prefix")),
            external=tuple(_used_externals(externals, tasks)),
            plugins=_uses_for(plugins, tasks),
            strict_inline=self._document.strict_inline,
            environments=_used_environments(builder.environments, tasks),
        )

    def _selected_ids(self, graph: dependencies.MemberGraph, data: Mapping[str, Any]) -> set[str]:
        """Return the ids that `only` matches."""
        from nemorun_cli.spec.tasks.select import matching  # noqa: PLC0415 - only with `--only`

        handlers = {name: tuple(f"{name}/{handler}" for handler in data.get(name, {})) for name in RUN_AFTER}
        sections = {name: ids for name, ids in handlers.items() if ids}
        selected_ids, findings = matching(self._document.only, {**graph.members, **sections})
        self._findings += findings
        return selected_ids

    def _refreshed(
        self, names: Sequence[str], graph: dependencies.MemberGraph, tasks: Sequence[Task]
    ) -> set[str]:
        """Return the ids of the tasks that `run.refresh` names; each name must mean some with `cache`."""
        from nemorun_cli.spec.tasks.select import matching  # noqa: PLC0415 - only with `--refresh`

        ids, findings = matching(names, graph.members)
        plain = {task.id for task in tasks if task.cache is None}
        for name in names:
            if (meant := matching([name], graph.members)[0]) and meant <= plain:
                message = f"{name} has no cache, so it has no earlier result and runs in any case"
                findings.append(Finding(place=(), message=message, hint="leave it out, or give it cache"))
        self._findings += [replace(finding, place=("run", "refresh"), option=None) for finding in findings]
        return ids

    def _plugins(self, data: Mapping[str, Any], builder: TaskBuilder) -> list[PluginUse]:
        if not data.get("plugins") and not builder.plugins:
            return []
        from nemorun_cli.spec.tasks.plugin_uses import PluginUses  # noqa: PLC0415 - only for specs with plugins

        uses = PluginUses(self._folder, EnvLayering(self._folder), builder.secrets)
        plugins = uses.of_all(data.get("plugins", ()), ("plugins",)) + uses.of_tasks(builder.plugins)
        self._findings += uses.findings
        return plugins

    def _run(self, section: Mapping[str, Any]) -> RunOptions:
        values = dict(section)
        if "timeout" in values:
            try:
                values["timeout"] = units.timeout(values["timeout"])
            except ValueError as fault:
                self._findings.append(Finding(place=("run", "timeout"), message=str(fault)))
                del values["timeout"]
        values["refresh"] = tuple(values.get("refresh", ()))
        return RunOptions(**values)

    def _tracking(self, section: Mapping[str, Any], *, prefix: str | None) -> dict[str, Any]:
        """The section `tracking`, with its interval in seconds and a `dash_root` without a leading `~`.

        Its `dash_url` is an address in the normal form, also if the spec has `true`.
        """
        values = dict(section)
        if any(key in values for key in _OF_SERVER):
            from nemorun_cli.spec import servers  # noqa: PLC0415 - only for specs with a server

            values, findings = servers.resolved(values, prefix=prefix)
            self._findings += findings
        try:
            seconds = units.sampling(values.pop("system", False))
        except ValueError as fault:
            self._findings.append(Finding(place=("tracking", "system"), message=str(fault)))
        else:
            values |= {} if seconds is None else {"system": seconds}
        if str(values.get("dash_root", "")).startswith("~"):
            try:
                values["dash_root"] = str(expanded(values["dash_root"]))
            except UsageError as error:
                place = ("tracking", "dash_root")
                self._findings.append(Finding(place=place, message=error.message, hint=error.hint))
        return values

    def _check_uses(
        self,
        tasks: Sequence[Task],
        builder: TaskBuilder,
        graph: dependencies.MemberGraph,
        *,
        unconfirmed: Collection[str],
    ) -> None:
        """Check that tasks use only outputs of tasks that they depend on; not those of unconfirmed ones."""
        # Names and the tasks whose outputs they use; one check holds for all members of a name.
        checked: set[tuple[str, str]] = set()
        for task in tasks:
            if task.handler is not None:
                continue  # handlers run after all tasks
            name = task.group or task.id
            for text in builder.late.get(task.id, ()):
                for used, raw in _of_confirmed(text.uses, unconfirmed):
                    is_best = used in text.bests
                    if (used in task.twins and not is_best) or (name, used) in checked:
                        continue
                    if name not in graph.matching:
                        checked.add((name, used))
                    if _is_external(used):
                        self._check_external_use(task, used, raw, text)
                    elif not graph.waits_for(task.id, graph.members.get(used, (used,))):
                        message = f"{raw}: {name} does not depend on {used}"
                        hint = f"add {used} to the dependencies of {name}"
                        if is_best:
                            message, hint = best_rules.unawaited(name, used, raw, task=task, graph=graph)
                        self._findings.append(
                            Finding(place=text.place, message=message, hint=hint, needle=raw)
                        )

    def _check_external_use(self, task: Task, used: str, raw: str, text: LateText) -> None:
        if used not in task.external:
            alias, _, name = used.partition(":")
            message = f"{raw}: {task.group or task.id} does not depend on {name} of {alias}"
            hint = f"add {{experiment: {alias}, task: {name}}} to its dependencies"
            self._findings.append(Finding(place=text.place, message=message, hint=hint, needle=raw))

    def _keep_selected(
        self, tasks: Sequence[Task], groups: Sequence[Group], builder: TaskBuilder, selected_ids: set[str]
    ) -> tuple[list[Task], list[Group]]:
        """Return only the selected tasks, and the groups with the members selected."""
        from nemorun_cli.spec.tasks.select import selected  # noqa: PLC0415 - only with `--only`

        members = {group.id: group.members for group in groups}
        for task in tasks:
            if task.id in selected_ids:
                self._check_selected_uses(task, builder.late.get(task.id, ()), members, selected_ids)
        kept = [
            leaders.without_missing(
                replace(group, members=tuple(m for m in group.members if m in selected_ids))
            )
            for group in groups
        ]
        alone = [replace(task, external=()) if task.external else task for task in tasks]
        return selected(alone, selected_ids), [group for group in kept if group.members]

    def _check_selected_uses(
        self,
        task: Task,
        late: Sequence[LateText],
        members: Mapping[str, tuple[str, ...]],
        selected_ids: set[str],
    ) -> None:
        for text in late:
            for used, raw in text.uses.items():
                if _is_external(used):
                    message = f"{raw}: {task.id} needs outputs of another experiment, which --only leaves out"
                    self._findings.append(Finding(place=text.place, message=message, needle=raw))
                    continue
                matching = None if used in text.bests else task.twins.get(used)
                needed = (matching,) if isinstance(matching, str) else matching or members.get(used, (used,))
                if not selected_ids.issuperset(needed):
                    what = "best" if used in text.bests else "outputs"
                    message = f"{raw}: {task.id} needs the {what} of {used}, which --only leaves out"
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
        elsewhere = [
            task.id
            for task in tasks
            if not self._document.executors.capabilities(
                task.executor, executors.get(task.executor, {})
            ).runs_here
        ]
        judged = [task.id for task in tasks if task.stop and task.kind == "partial"]
        reasons = {
            f"is not possible with stop of a partial, which nothing interrupts ({', '.join(judged)})": bool(
                judged
            ),
            "is not possible with run.detach": run.detach,
            f"is not possible with groups ({', '.join(named)})": bool(named),
            f"is local only ({', '.join(elsewhere)} would run elsewhere)": bool(elsewhere),
        }
        for message, holds in reasons.items():
            if holds:
                self._findings.append(Finding(place=("run", "direct"), message=message))


def _of_confirmed(uses: Mapping[str, str], unconfirmed: Collection[str]) -> list[tuple[str, str]]:
    return [(used, raw) for used, raw in uses.items() if used.partition("/")[0] not in unconfirmed]


def _is_external(used: str) -> bool:
    """Whether an expression uses the outputs of another experiment: no id of a task has a colon."""
    return ":" in used


def _used_externals(externals: Externals, tasks: Sequence[Task]) -> Iterator[External]:
    """What the tasks wait for outside of the experiment; a Slurm job is asked for where its task runs."""
    executors: dict[str, str] = {}
    for task in tasks:
        for key in task.external:
            executors.setdefault(key, task.executor)
    for external in externals.all:
        if external.key in executors:
            executor = executors[external.key] if external.slurm_job is not None else None
            yield replace(external, executor=executor)


def _used_environments(
    environments: Mapping[str, PythonEnvironment], tasks: Sequence[Task]
) -> tuple[PythonEnvironment, ...]:
    """The Python environments that are made for these tasks, in the order of their first use."""
    ids = dict.fromkeys(str(task.python.get("environment")) for task in possible_forms(tasks) if task.python)
    return tuple(environments[name] for name in ids if name in environments)


def _unknown_outputs(tasks: Any, expansion: Expansion | None) -> dict[str, Any]:
    """Return every id that expressions can name, with outputs, and a best member, that are not known yet."""
    by_id: dict[str, Any] = {}
    unknown = {"outputs": UNKNOWN}
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        by_id[name] = unknown
        if not isinstance(task, dict):
            continue
        if best_rules.has_best(task):
            has_params = "matrix" in task or "search" in task
            params = [] if not has_params else expansion.keys_of(name) if expansion else None
            by_id[name] = {**unknown, "best": best_rules.unknown_values(params)}
        elif len(best_rules.goals_of(task)) > 1:
            by_id[name] = {**unknown, "best": None}
        group, sweep = task.get("group", []), expansion.sweeps.get(name) if expansion else None
        if isinstance(group, list) and all(isinstance(member, dict) for member in group):
            ids = (*dependencies.member_ids(name, task, sweep), *dependencies.member_ids(name, task))
            by_id = dict.fromkeys(ids, unknown) | by_id
    return by_id


def _env_file_values(section: Any, folder: Path) -> dict[str, str]:
    """Return the variables of the spec's env files for expressions; errors are reported later."""
    if not checks.is_env_file(section):
        return {}
    return EnvLayering(folder).over(EnvLayers(), {"env_file": section}, ()).env


def _groups(tasks: Mapping[str, Any], graph: dependencies.MemberGraph, expansion: Expansion) -> list[Group]:
    groups: list[Group] = []
    for name, task in tasks.items():
        sweep = expansion.sweeps.get(name)
        if sweep is None and "group" not in task:
            continue
        group = Group(
            id=name,
            members=graph.members[name],
            fail_fast=task.get("fail_fast", False),
            together=task.get("together", False),
            until=leaders.until_of(name, task),
            description=task.get("description"),
            best=best_rules.rule_of(task, expansion.searches.get(name)),
        )
        if sweep is not None:
            group = replace(
                group,
                fail_fast=group.fail_fast or sweep.fail_fast,
                axes=sweep.axes,
                search=expansion.searches.get(name),
                max_parallel=sweep.max_parallel,
                max_failures=sweep.max_failures,
            )
        groups.append(group)
    return groups


def _sections(tasks: Sequence[Task]) -> list[Group]:
    """Return the handlers of each section as a group, so that its name selects all of them."""
    members: dict[str, list[str]] = {}
    for task in tasks:
        if task.handler is not None:
            members.setdefault(task.handler, []).append(task.id)
    return [Group(id=section, members=tuple(ids)) for section, ids in members.items()]


def _uses_for(plugins: Sequence[PluginUse], tasks: Sequence[Task]) -> tuple[PluginUse, ...]:
    """Return the plugin uses restricted to these tasks, without uses that apply to none of them."""
    ids = {task.id for task in tasks}
    kept = (
        use
        if use.tasks is None
        else replace(use, tasks=tuple(task_id for task_id in use.tasks if task_id in ids))
        for use in plugins
    )
    return tuple(use for use in kept if use.tasks != ())
