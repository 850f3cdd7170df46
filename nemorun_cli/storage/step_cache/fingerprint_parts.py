"""The fingerprint of a task, from its filled-in keys and from what they refer to. Has no effects."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import step_cache
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.model.step_cache import DIGEST, MOST_FILES, CacheRule, Fingerprint, PartKind, part

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.spec import Spec, Task

SHORTEST_HIDDEN: Final = 4  # characters of a variable's value; a shorter one is in every text
_UNDECIDED: Final = (TaskStatus.FAILED, TaskStatus.CANCELLED)


class UndeterminedError(Exception):
    """A fingerprint cannot be determined; the message states why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentResult:
    """How a task ended on which another one depends.

    Attributes:
        status: its own.
        outputs: of its last attempt.
        fingerprint: the id of its fingerprint; None if it has no `cache`.
    """

    status: TaskStatus
    outputs: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a task refers to, as it is now.

    Attributes:
        inputs: for each glob, the digests of the files that match it, by name.
        script: the digest of its script; None for other kinds of tasks.
        parents: the tasks that it depends on, by id.
        image: what identifies the image that it runs in; None if it runs in none, or that is not known.
        options: those of its executor that change what its tasks result in.
        variables: the inherited environment variables that count; None for one that is not set.
        python: what identifies its Python; None if that is part of an image or on another host.
    """

    inputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    script: str | None = None
    parents: Mapping[str, ParentResult] = field(default_factory=dict)
    image: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str | None] = field(default_factory=dict)
    python: str | None = None


def fingerprint(task: Task, spec: Spec, around: Surroundings) -> Fingerprint:
    """The fingerprint of a task with `cache` whose expressions are all filled in.

    Raises:
        UndeterminedError: a task that it depends on has failed, whose result nothing describes.
    """
    package = spec.package(task)
    parts: dict[str, str] = {
        PartKind.RUN: _shown(_run(task, spec, around.script), task),
        **_arguments(task),
        **{part(PartKind.PARAM, name): step_cache.short(value) for name, value in task.matrix.items()},
        **dict(_inputs(around.inputs)),
        **({PartKind.CODE: DIGEST + package.hash[:32]} if package is not None else {}),
        **dict(_parents(task, around.parents)),
        **({PartKind.IMAGE: around.image} if around.image is not None else {}),
        **({PartKind.EXECUTOR: _shown(around.options, task)} if around.options else {}),
        **_variables(task, around.variables),
        **({PartKind.PYTHON: around.python} if around.python is not None else {}),
    }
    rule = task.cache or CacheRule()
    if rule.also:
        parts[PartKind.ALSO] = _shown(rule.also, task)
    if results := _results(task, rule):
        parts[PartKind.RESULTS] = _shown(results, task)
    return Fingerprint.of(parts)


def _run(task: Task, spec: Spec, script: str | None) -> dict[str, Any]:
    """What runs; paths in the folder of the spec are relative to it, so that the folder can move."""
    body: Any = task.body
    if task.kind == "script":
        body = [_inside(str(task.body), spec), script]
    values = {
        task.kind: body,
        "entrypoint": task.entrypoint,
        "prefix": task.prefix,
        "launcher": task.launcher,
        "gpus": task.resources.gpus if task.launcher else None,  # for which a launcher starts processes
        "workdir": _inside(task.workdir, spec),
    }
    return {key: value for key, value in values.items() if value not in ((), {}, ".", None)}


def _inside(path: str, spec: Spec) -> str:
    return str(Path(path).relative_to(spec.folder)) if Path(path).is_relative_to(spec.folder) else path


def _arguments(task: Task) -> dict[str, str]:
    if isinstance(task.args, dict):
        return {part(PartKind.ARG, name): _shown(value, task) for name, value in task.args.items()}
    return {PartKind.ARGS: _shown(task.args, task)} if task.args else {}


def _inputs(inputs: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """The declared files; of many, one part for each glob. A glob without a match is a state as any other."""
    are_few = len({name for files in inputs.values() for name in files}) <= MOST_FILES
    for glob, files in inputs.items():
        if not files:
            yield part(PartKind.INPUT, glob), step_cache.ABSENT
        elif are_few:
            yield from ((part(PartKind.INPUT, name), DIGEST + files[name][:32]) for name in files)
        else:
            digest = step_cache.digest(sorted(files.items()))
            yield part(PartKind.INPUT, glob), f"{digest} of {len(files)} files"


def _parents(task: Task, parents: Mapping[str, ParentResult]) -> Iterator[tuple[str, str]]:
    """The tasks that it depends on; of many, one part for each group.

    Those of its own combination or trial have the name of the member: other trials can have the same values.
    """
    twins = ((name, member) for name, member in task.twins.items() if isinstance(member, str))
    own = {member: name for name, member in twins if "/" in name}  # others are of a sweep of that name
    nodes: dict[str, dict[str, list[Any]]] = {}
    for name in task.dependencies:
        parent = parents[name]
        if parent.status in _UNDECIDED:
            raise UndeterminedError(f"{name}, on which it depends, is {parent.status}")
        called = own.get(name, name)
        node = called if len(task.dependencies) <= MOST_FILES else name.partition("/")[0]
        ended = [parent.fingerprint, parent.outputs]
        if parent.status is not TaskStatus.SUCCEEDED:
            ended.append(str(parent.status))
        nodes.setdefault(node, {})[called] = ended
    for node, members in nodes.items():
        yield part(PartKind.PARENT, node), step_cache.digest(members)


def _variables(task: Task, inherited: Mapping[str, str | None]) -> dict[str, str]:
    """The digests of variables: their values are written nowhere. Secrets are none of them."""
    values = {**inherited, **task.env}
    return {
        part(PartKind.ENV, name): step_cache.ABSENT if value is None else step_cache.digest(value)
        for name, value in values.items()
        if name not in task.secrets
    }


def _results(task: Task, rule: CacheRule) -> dict[str, Any]:
    values = {
        "outputs": sorted(set(rule.outputs)),
        "artifacts": sorted(set(task.artifacts)),
        "metrics": task.metrics,
        "stop": [asdict(condition) for condition in task.stop],
    }
    return {key: value for key, value in values.items() if value}


def _shown(value: Any, task: Task) -> str:
    """The text of a short value, or the digest of one that is long or contains the value of a variable."""
    known = {str(item) for item in _leaves(task.matrix)}
    hidden = {text for text in task.env.values() if len(text) >= SHORTEST_HIDDEN and text not in known}
    texts = [str(item) for item in _leaves(value)]
    if any(each in text for each in hidden for text in texts):
        return step_cache.digest(value)
    return step_cache.short(value)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
