"""Tasks with a matrix, filled in for each of its combinations: what does not vary is shared by all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nemorun_cli.model.problems import Finding
from nemorun_cli.spec.expressions.fill import VaryingText
from nemorun_cli.spec.expressions.syntax import UNKNOWN
from nemorun_cli.spec.schema import checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.spec.expressions.fill import Filler
    from nemorun_cli.spec.tasks.matrix import Combination, Sweep

    Names = Mapping[str, Any]
    Fill = Callable[[Names, str], Any]

# Keys whose texts stay texts whatever is put in, so that their form need not be checked again.
_FREE = frozenset(("command", "inline", "args", "env", "when"))


class Expansion:
    """The sweeps of one spec.

    Attributes:
        sweeps: what the matrix of each task stands for.
        unconfirmed: tasks whose matrix has problems; nothing more is said about them.
        findings: what is wrong.
    """

    def __init__(self, filler: Filler) -> None:
        self.sweeps: dict[str, Sweep] = {}
        self.unconfirmed: set[str] = set()
        self.findings: list[Finding] = []
        self._filler = filler
        self._names: dict[str, list[str]] = {}  # what the matrix of each task gives, as far as that is known

    def expand(self, tasks: Mapping[str, Any]) -> dict[str, Any]:
        """The tasks with each matrix filled in, and expanded into `sweeps`."""
        found = dict(tasks)
        for name, task in tasks.items():
            if isinstance(task, dict) and "matrix" in task:
                section = self._filler.tree(task["matrix"], ("tasks", name, "matrix"))
                found[name] = {**task, "matrix": section}
                self._expand(name, found[name])
        return found

    def _expand(self, name: str, task: Mapping[str, Any]) -> None:
        place: Place = ("tasks", name, "matrix")
        is_unfilled = any(one[: len(place)] == place for one in self._filler.unfilled)
        if is_unfilled or not checks.is_matrix(task["matrix"]):
            self.unconfirmed.add(name)
            return
        from nemorun_cli.spec.tasks import matrix  # noqa: PLC0415 - only for sweeps

        self._names[name] = matrix.names_of(task["matrix"])
        group = task.get("group")
        size = len(group) if isinstance(group, list) and group else 1
        sweep, findings = matrix.expand(task["matrix"], place, size=size)
        self.findings += findings
        if sweep is None:
            self.unconfirmed.add(name)
        else:
            self.sweeps[name] = sweep

    def filled(self, name: str, task: Mapping[str, Any]) -> dict[str, Any]:
        """A task with what all of its combinations have in common filled in."""
        known = self._names.get(name)
        self._filler.names["matrix"] = UNKNOWN if known is None else dict.fromkeys(known, UNKNOWN)
        rest = {key: value for key, value in task.items() if key != "matrix"}
        filled: dict[str, Any] = {"matrix": task["matrix"], **self._filler.tree(rest, ("tasks", name))}
        self._filler.names["matrix"] = {}
        return {key: filled[key] for key in task}

    def entries(self, name: str, task: Mapping[str, Any]) -> Iterator[tuple[Combination, dict[str, Any]]]:
        """The task as each combination has it; those whose values do not fit are told, and left out."""
        rest = {key: value for key, value in task.items() if key != "matrix"}
        fill = _fill_of(rest)
        needs_check = any(key not in _FREE and _fill_of(value) for key, value in rest.items())
        needs_check |= isinstance(rest.get("args"), VaryingText)
        told: set[Place] = set()
        for one in self.sweeps[name].combinations:
            if fill is None:
                yield one, rest
                continue
            before = self._filler.doubts
            filled = fill({**self._filler.names, "matrix": one.values}, f"{name}/{one.name}")
            if self._filler.doubts > before:
                continue
            if needs_check and (wrong := checks.check_task(filled, ("tasks", name))):
                self._tell(wrong, f"{name}/{one.name}", told)
                continue
            yield one, filled

    def _tell(self, wrong: list[Finding], member: str, told: set[Place]) -> None:
        """Each place once, by the first member whose value does not fit there."""
        for finding in wrong:
            if finding.place in self._filler.varying and finding.place not in told:
                told.add(finding.place)
                message = f"{finding.message} (of {member})"
                self.findings.append(Finding(place=finding.place, message=message, hint=finding.hint))


def _fill_of(value: Any) -> Fill | None:
    """What fills a value in for a combination; None for one that does not vary."""
    if isinstance(value, VaryingText):
        return value.fill
    if isinstance(value, dict):
        parts = {key: fill for key, item in value.items() if (fill := _fill_of(item))}
        if not parts:
            return None
        return lambda names, whose: {**value, **{key: fill(names, whose) for key, fill in parts.items()}}
    if isinstance(value, list):
        items = [_fill_of(item) for item in value]
        if not any(items):
            return None
        pairs = list(zip(value, items, strict=True))
        return lambda names, whose: [fill(names, whose) if fill else item for item, fill in pairs]
    return None
