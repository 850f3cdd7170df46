"""Dependencies on other experiments and on Slurm jobs, as tasks name them in `dependencies`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding
from nemorun_cli.model.spec import External
from nemorun_cli.spec.expressions.syntax import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place


class Externals:
    """What the tasks of a spec wait for outside of its experiment.

    Attributes:
        all: each once, in the order of the spec.
        findings: entries that contradict others.
    """

    def __init__(self, tasks: Any) -> None:
        self.all: list[External] = []
        self.findings: list[Finding] = []
        self._keys: dict[str, tuple[str, ...]] = {}
        given: dict[str, str] = {}  # by alias
        for name, place, entry in _entries(tasks):
            external = _external(entry)
            alias = external.alias
            if alias and given.setdefault(alias, external.given) != external.given:
                message = f"{alias!r} is {given[alias]} in another dependency"
                hint = "give one of the two another name, with as: …"
                self.findings.append(Finding(place=place, message=message, hint=hint))
                continue
            if external.key in self._keys.get(name, ()):
                self.findings.append(Finding(place=place, message=f"{external.text} is named twice"))
                continue
            self._keys[name] = (*self._keys.get(name, ()), external.key)
            if all(external.key != known.key for known in self.all):
                self.all.append(external)

    def of(self, name: str) -> tuple[str, ...]:
        """The keys of what the task, or the members of the group, with this name wait for."""
        return self._keys.get(name, ())

    def names(self) -> dict[str, Any]:
        """What `experiments` is in expressions: the tasks that are waited for, with unknown outputs."""
        found: dict[str, Any] = {}
        for external in self.all:
            if external.alias:
                tasks = found.setdefault(external.alias, {"tasks": {}})["tasks"]
                if external.task is not None:
                    tasks[external.task] = {"outputs": UNKNOWN}
        return found


def is_external(entry: Any) -> bool:
    """Whether an item of `dependencies` names something outside of the experiment."""
    return isinstance(entry, dict) and ("experiment" in entry or "slurm_job" in entry)


def place_of(tasks: Any, external: External) -> Place:
    """Where a spec names something outside of its experiment, also if a key of the entry was wrong."""
    named = [(place, _external(entry)) for _, place, entry in _entries(tasks)]
    same = [place for place, other in named if other.key == external.key]
    alike = [place for place, other in named if other.given == external.given]
    return next(iter([*same, *alike]), ("tasks",))


def key_of(alias: str, task: str | None) -> str:
    """The key of an experiment, or of a task of it; no id of a task has a colon."""
    return alias if task is None else f"{alias}:{task}"


def _external(entry: Mapping[str, Any]) -> External:
    if "slurm_job" in entry:
        job = str(entry["slurm_job"])
        return External(key=f"slurm_job:{job}", slurm_job=job)
    given, task = entry["experiment"], entry.get("task")
    alias = entry.get("as", given)
    return External(key=key_of(alias, task), alias=alias, given=given, task=task)


def _entries(tasks: Any) -> Iterator[tuple[str, Place, Mapping[str, Any]]]:
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        listed = task.get("dependencies") if isinstance(task, dict) else None
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            if is_external(entry) and all(
                isinstance(value, (str, int)) and not isinstance(value, bool) for value in entry.values()
            ):
                yield name, ("tasks", name, "dependencies", index), entry
