"""Fills in tasks with a matrix for each combination, and those with a search once for all trials."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding, shown
from nemorun_cli.spec.expressions.fill import VaryingText
from nemorun_cli.spec.expressions.syntax import UNKNOWN
from nemorun_cli.spec.schema import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.spec.expressions.fill import Filler
    from nemorun_cli.spec.tasks.matrix import Combination, Sweep

    Names = Mapping[str, Any]
    Fill = Callable[[Names, str], Any]

MOST_MEMBERS = 200_000  # of all sweeps of a spec

# Values of these keys remain strings after filling, so their schema is not checked again.
_ALWAYS_TEXT = frozenset(("command", "inline", "args", "env", "when"))


def file_axes(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each axis of a spec that names a file: the task, the axis and the path."""
    tasks = data.get("tasks")
    for name, task in tasks.items() if isinstance(tasks, dict) else ():
        section = task.get("matrix") if isinstance(task, dict) else None
        for axis, value in section.items() if isinstance(section, dict) else ():
            if isinstance(value, dict) and isinstance(value.get("file"), str) and len(value) == 1:
                yield name, axis, value["file"]


class Expansion:
    """The sweeps and searches of one spec.

    Attributes:
        sweeps: the expanded matrix of each task, and the trials of each search.
        searches: the rule of each search, by task.
        unconfirmed: tasks whose matrix or search is invalid; later checks skip them.
        uses_identity: whether a search has a seed by the id of the experiment.
        findings: the errors.

    Args:
        filler: fills in expressions.
        experiment: the id of the experiment.
    """

    def __init__(self, filler: Filler, experiment: str) -> None:
        self.sweeps: dict[str, Sweep] = {}
        self.searches: dict[str, SearchRule] = {}
        self.uses_identity = False
        self._experiment = experiment
        self.unconfirmed: set[str] = set()
        self.findings: list[Finding] = []
        self._filler = filler
        self._members = 0  # of all sweeps
        # What expressions can name of each task's matrix or search, where known.
        self._names: dict[str, dict[str, Any]] = {}

    def expand(self, tasks: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in each matrix and search, expand it into `sweeps`, and return the tasks."""
        expanded = dict(tasks)
        for name, task in tasks.items():
            if isinstance(task, dict) and "search" in task:
                from nemorun_cli.spec.tasks.search_space import filled_section  # noqa: PLC0415 - only for searches

                section = filled_section(task["search"], ("tasks", name, "search"), self._filler)
                expanded[name] = {**task, "search": section}
                self._expand_search(name, expanded[name])
            elif isinstance(task, dict) and "matrix" in task:
                section = self._filler.tree(task["matrix"], ("tasks", name, "matrix"))
                expanded[name] = {**task, "matrix": section}
                self._expand(name, expanded[name])
        return expanded

    def keys_of(self, name: str) -> list[str] | None:
        """The keys of a task's matrix or search in expressions; None if they are not known."""
        names = self._names.get(name)
        return None if names is None else list(names)

    def _expand_search(self, name: str, task: dict[str, Any]) -> None:
        from nemorun_cli.spec.tasks import search_section, search_space  # noqa: PLC0415 - only for searches

        place: Place = ("tasks", name, "search")
        section = task["search"]
        if names := search_space.names_of(section):
            self._names[name] = names
        conflicts = list(search_section.conflicts(task, ("tasks", name)))
        self.findings += conflicts
        if conflicts or self._is_unfilled(place) or not checks.is_search(section):
            self.unconfirmed.add(name)
            return
        seed = search_section.seed_of(self._experiment, name)
        rule, findings = search_section.rule_of(section, place, seed=seed)
        self.findings += findings
        group = task.get("group")
        self._members += section["trials"] * (len(group) if isinstance(group, list) and group else 1)
        if self._is_beyond() or rule is None:
            self.unconfirmed.add(name)
            return
        self.uses_identity |= "seed" not in section
        self.searches[name] = rule
        self.sweeps[name] = search_section.trials_of(name, rule, section)

    def _is_unfilled(self, place: Place) -> bool:
        return any(unfilled[: len(place)] == place for unfilled in self._filler.unfilled)

    def _is_beyond(self) -> bool:
        """Whether there are too many members, which is reported."""
        if self._members > MOST_MEMBERS:
            message = f"the matrices and searches of the spec have more than {MOST_MEMBERS:,} members in all"
            self.findings.append(Finding(place=("tasks",), message=message))
        return self._members > MOST_MEMBERS

    def _expand(self, name: str, task: dict[str, Any]) -> None:
        place: Place = ("tasks", name, "matrix")
        is_beyond = self._members > MOST_MEMBERS  # which is reported once
        if self._is_unfilled(place) or is_beyond or not checks.is_matrix(task["matrix"]):
            self.unconfirmed.add(name)
            return
        from nemorun_cli.spec.tasks import axis_values, matrix  # noqa: PLC0415 - only for sweeps

        task["matrix"], findings = axis_values.listed(task["matrix"], place)
        self.findings += findings
        if any(isinstance(value, dict) for value in task["matrix"].values()):
            self.unconfirmed.add(name)  # an axis has an error, which is reported
            return
        self._names[name] = dict.fromkeys(matrix.names_of(task["matrix"]), UNKNOWN)
        group = task.get("group")
        size = len(group) if isinstance(group, list) and group else 1
        sweep, findings = matrix.expand(task["matrix"], place, size=size)
        self.findings += findings
        self._members += 0 if sweep is None else len(sweep.combinations)
        if self._members > MOST_MEMBERS:
            message = f"the matrices of the spec have more than {MOST_MEMBERS:,} members in all"
            self.findings.append(Finding(place=place, message=message))
            sweep = None
        if sweep is None:
            self.unconfirmed.add(name)
        else:
            self.sweeps[name] = sweep

    def filled(self, name: str, task: Mapping[str, Any]) -> dict[str, Any]:
        """Return a task with the expressions filled in that do not depend on its combination."""
        known, root = self._names.get(name), "search" if "search" in task else "matrix"
        self._filler.names[root] = UNKNOWN if known is None else known
        rest = {key: value for key, value in task.items() if key != root}
        filled: dict[str, Any] = {root: task[root], **self._filler.tree(rest, ("tasks", name))}
        self._filler.names[root] = {}
        return {key: filled[key] for key in task}

    def points(
        self, name: str, task: Mapping[str, Any]
    ) -> Iterator[tuple[dict[str, Any], Mapping[str, Any] | None]]:
        """Yield a task with a search at some points of its space; report invalid values, each place once.

        Each variant of the trials comes with the values that decide it, other points with None. There is one
        variant if no key needs values of a trial before it starts.
        """
        from nemorun_cli.spec.tasks import trial_points  # noqa: PLC0415 - only for searches

        rest = {key: value for key, value in task.items() if key != "search"}
        fill, doubts = _fill_of(rest) or (lambda *_: rest), self._filler.doubts
        space = trial_points.Space(self.searches[name].params, rest)
        self.findings += space.findings
        reported: set[Place] = set()
        for point in () if space.findings else space.points():
            at = ", ".join(f"{param} {shown(value)}" for param, value in point.values.items())
            names = {**self._filler.names, "search": point.values}
            filled = fill(names, f"a trial with {at}")
            findings = checks.check_task(filled, ("tasks", name)) if filled is not rest else []
            findings = [*self._of_varying(findings), *trial_points.inline_faults(rest, names)]
            self._report(findings, f"a trial with {at}", reported)
            is_new = filled is not rest or point.variant is not None
            if is_new and not findings and self._filler.doubts == doubts:
                yield filled, point.variant

    @staticmethod
    def varying_keys(task: Mapping[str, Any]) -> set[str]:
        """Return the keys of a task with a matrix whose values differ between its combinations."""
        return {key for key, value in task.items() if key != "matrix" and _fill_of(value)}

    def entries(self, name: str, task: Mapping[str, Any]) -> Iterator[tuple[Combination, dict[str, Any]]]:
        """Yield each combination with its task; report and skip those with invalid values."""
        rest = {key: value for key, value in task.items() if key != "matrix"}
        fill = _fill_of(rest)
        needs_check = any(key not in _ALWAYS_TEXT and _fill_of(value) for key, value in rest.items())
        needs_check |= isinstance(rest.get("args"), VaryingText)
        reported: set[Place] = set()
        names = dict(self._filler.names)
        for combination in self.sweeps[name].combinations:
            if fill is None:
                yield combination, rest
                continue
            doubts_before = self._filler.doubts
            names["matrix"] = combination.values
            filled = fill(names, f"{name}/{combination.name}")
            if self._filler.doubts > doubts_before:
                continue
            if needs_check and (findings := checks.check_task(filled, ("tasks", name))):
                self._report(self._of_varying(findings), f"{name}/{combination.name}", reported)
                continue
            yield combination, filled

    def _of_varying(self, findings: list[Finding]) -> list[Finding]:
        """The findings in texts that are filled in for each member, or below: others are reported already."""
        varying = self._filler.varying
        return [
            finding
            for finding in findings
            if any(finding.place[:end] in varying for end in range(len(finding.place) + 1))
        ]

    def _report(self, findings: list[Finding], member: str, reported: set[Place]) -> None:
        """Report each place once, for the first member with an invalid value."""
        for finding in findings:
            if finding.place not in reported:
                reported.add(finding.place)
                self.findings.append(replace(finding, message=f"{finding.message} (of {member})"))


def _fill_of(value: Any) -> Fill | None:
    """Return the function that fills in a value for a combination, or None if the value does not vary."""
    if isinstance(value, VaryingText):
        return value.fill
    if isinstance(value, dict):
        parts = {key: fill for key, item in value.items() if (fill := _fill_of(item))}
        if not parts:
            return None
        return lambda names, member: {**value, **{key: fill(names, member) for key, fill in parts.items()}}
    if isinstance(value, list):
        items = [_fill_of(item) for item in value]
        if not any(items):
            return None
        pairs = list(zip(value, items, strict=True))
        return lambda names, member: [fill(names, member) if fill else item for item, fill in pairs]
    return None
