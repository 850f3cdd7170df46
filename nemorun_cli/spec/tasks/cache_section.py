"""The key `cache` of a task: what counts for its result, and what is wrong with the declaration."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.errors import UsageError
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.spec import UNTIL_ALL
from nemorun_cli.model.step_cache import CacheRule, canonical
from nemorun_cli.spec.expressions.syntax import OPENING
from nemorun_cli.storage.step_cache import declared_files
from nemorun_cli.storage.step_cache.declared_files import Folders, Glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nemorun_cli.executors.capabilities import Capabilities
    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Task
    from nemorun_cli.spec.tasks.dependencies import Member

_COUNTED: Final = frozenset(
    ("inline", "script", "command", "partial", "args", "entrypoint", "launcher", "workdir", "env", "cache")
)
_NOWHERE: Final = "/"  # a folder for globs that are not searched


def rule(value: bool | Mapping[str, Any]) -> CacheRule | None:  # noqa: FBT001 - it is a value of the spec
    """The rule of a `cache` that has passed the schema; None for false."""
    if isinstance(value, bool):
        return CacheRule() if value else None
    return CacheRule.from_json(
        {**value, "inputs": _normal(value, "inputs"), "outputs": _normal(value, "outputs")}
    )


def _normal(value: Mapping[str, Any], key: str) -> list[str]:
    """The globs without what means nothing; those with expressions that are filled in later as they are."""
    texts = value.get(key, ())
    return list(dict.fromkeys(text if OPENING in text else str(Glob.of(text)) for text in texts))


def findings(value: Any, place: Place, task: Task, capabilities: Capabilities) -> Iterator[Finding]:
    """What is wrong with the globs and variables of a `cache` that has passed the schema."""
    if not isinstance(value, dict):
        return
    for key in ("inputs", "outputs"):
        for number, text in enumerate(value.get(key, ())):
            yield from _of_glob(text, (*place, key, number), is_output=key == "outputs")
    own = [str(Glob.of(text)) for text in value.get("inputs", ()) if OPENING not in text]
    for number, text in enumerate(value.get("outputs", ())):
        if both := [glob for glob in own if declared_files.overlap(glob, text)]:
            message = f"is among the inputs, too ({both[0]}): each run would change what it depends on"
            yield Finding(place=(*place, "outputs", number), message=message, hint="leave it out of inputs")
    if value.get("outputs") and capabilities.is_remote:
        message = f"cannot be kept: the files of {task.executor} are on another host"
        hint = "leave outputs out: what `artifacts` downloads is kept, and the values in $EXP_OUTPUT"
        yield Finding(place=(*place, "outputs"), message=message, hint=hint)
    for number, name in enumerate(value.get("env", ())):
        at = (*place, "env", number)
        if name in task.secrets:
            message = f"{name} is a secret, which never counts"
            yield Finding(place=at, message=message, hint="leave it out; add a version number to also")
        elif name not in task.env and task.env_inherit != "all" and name not in task.env_inherit:
            message = f"the task does not inherit {name}"
            yield Finding(place=at, message=message, hint="add it to env_inherit, or leave it out")


def _of_glob(text: str, place: Place, *, is_output: bool) -> Iterator[Finding]:
    if OPENING in text:  # checked when it is filled in
        return
    try:
        glob = Glob.of(text)
        glob.root(Folders(Path(_NOWHERE), Path(_NOWHERE)))
    except UsageError as fault:  # ~ of an unknown user
        yield Finding(place=place, message=fault.message, hint=fault.hint)
        return
    if is_output and not glob.is_inside:
        hint = "write it into the workdir or into $EXP_SHARED; `..`, `~` and absolute paths leave them"
        yield Finding(place=place, message=f"{text} leaves the folder of the task", hint=hint)
    elif glob.start == declared_files.SHARED and not glob.is_inside:
        message = f"{text} leaves $EXP_SHARED"
        yield Finding(place=place, message=message, hint="name the files by their own path")
    elif not glob.rest:
        hint = "name the files, or write ** for all of them"
        yield Finding(place=place, message=f"{text} is a whole folder, not a glob of files in it", hint=hint)
    elif text.startswith("$") and glob.start != declared_files.SHARED:
        message = f"{text} begins with a variable that is not filled in"
        hint = "only $EXP_SHARED is; for others, write ${{ env.NAME }}"
        yield Finding(place=place, message=message, hint=hint)
    elif ".." in itertools.dropwhile(lambda part: not _has_magic(part), glob.rest.split("/")):
        hint = "write .. before the first * ? or ["
        yield Finding(place=place, message=f"{text} has .. after a wildcard", hint=hint)


def _has_magic(part: str) -> bool:
    return not Glob("", part).is_plain


def refusal(group: Mapping[str, Any] | None) -> str | None:
    """Why the members of a group cannot be reused one by one; None if they can."""
    if group is None:
        return None
    if group.get("together"):
        return "cannot be used in a group with together: its members need each other while they run"
    if group.get("until", UNTIL_ALL) != UNTIL_ALL:
        return "cannot be used in a group with until: how it ends depends on which members run"
    return None


def unique(places: Iterable[Place], member: Member, executor: str) -> Iterator[Finding]:
    """The texts of a task that differ in each experiment, so that nothing would ever be reused.

    Args:
        places: of all texts with the id or the folder of the experiment.
        member: the task in the spec.
        executor: the name of its executor.
    """
    above: list[Place] = [("defaults",)] if member.group is None else [("defaults",), ("tasks", member.name)]
    given = {*member.own, *(member.group or {})}
    for place in places:
        own = place[: len(member.place)] == member.place and place[len(member.place) :][:1]
        inherited = next((place[len(each)] for each in above if place[: len(each)] == each), None)
        is_env = place[:1] == ("env",) or place[:3] == ("executors", executor, "env")
        if (
            is_env
            or inherited == "env"
            or (own and own[0] in _COUNTED)
            or (inherited in _COUNTED and inherited not in given)
        ):
            hint = "use $EXP_ID, $EXP_DIR or $EXP_SHARED in the program: these do not count"
            message = f"is different in each experiment, so that {member.name} could never be reused"
            yield Finding(place=place, message=message, hint=hint)


def claims(tasks: Iterable[Task], places: Mapping[str, Place]) -> Iterator[Finding]:
    """The outputs that several tasks claim: a file would be that of whichever wrote it last.

    Those of a task whose folder is not known yet, such as one of a trial's own, are not compared.

    Args:
        tasks: all tasks.
        places: the place of `cache`, by task.
    """
    by_folder: dict[str, list[_Output]] = {}
    for task in tasks:
        for text in task.cache.outputs if task.cache is not None else ():
            if OPENING in text or OPENING in task.workdir or "/workdir" in task.late:
                continue  # different for each trial, as a rule
            glob = Glob.of(text)
            whole = str(glob) if glob.start else f"{declared_files.escaped(task.workdir)}/{glob.rest}"
            copy = "" if glob.start or task.packager is None else canonical(task.packager)
            by_folder.setdefault(copy, []).append(_Output(declared_files.beginning(whole), whole, text, task))
    reported: set[Place] = set()
    for outputs in by_folder.values():
        for pair in _overlapping(outputs):
            first, second = sorted(pair, key=lambda output: output.task.index)
            place = (*places[second.task.id], "outputs")
            if place not in reported:
                reported.add(place)
                yield _claim(first, second, place)


class _Output(NamedTuple):
    """A glob of outputs: what comes before its first wildcard, with its folder, and as the spec has it."""

    beginning: str
    whole: str
    text: str
    task: Task


def _overlapping(outputs: Iterable[_Output]) -> Iterator[tuple[_Output, _Output]]:
    """Pairs of globs of different tasks that overlap: each glob in at most one of them as the later one.

    Globs overlap only if what comes before the first wildcard of one is the beginning of the other, so that
    only those are compared: a sweep may have ten thousand members.
    """
    before: list[_Output] = []  # whose beginnings are those of the next one
    for output in sorted(outputs, key=lambda output: (output.beginning, output.task.index)):
        while before and not output.beginning.startswith(before[-1].beginning):
            before.pop()
        clash = next((other for other in before if _is_claimed_twice(output, other)), None)
        if clash is None:
            before.append(output)
        else:
            yield clash, output  # what overlaps with this one most likely overlaps with the other


def _is_claimed_twice(one: _Output, other: _Output) -> bool:
    return one.task is not other.task and declared_files.overlap(one.whole, other.whole)


def _claim(first: _Output, second: _Output, place: Place) -> Finding:
    task, other = first.task, second.task
    what = second.text if first.text == second.text else f"{first.text} and {second.text}, which overlap"
    hint = "give each task files of its own"
    if task.group is not None and task.group == other.group and other.matrix:
        names = ", ".join(f"${{{{ matrix.{name} }}}}" for name in other.matrix)
        hint = f"put the values of the matrix into the names of the files: {names}"
    elif task.group is not None and task.group == other.group:
        hint = "put the values of the trial into the names of the files: ${{ search.NAME }}"
    return Finding(place=place, message=f"{task.id} and {other.id} both write {what}", hint=hint)
