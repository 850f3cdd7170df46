"""The `resources` of a task, from the task, its group and the defaults, and whether they can ever be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.model import units
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.resources import NOTHING, Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors.executor_types import WhyUnsatisfiable
    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.spec import Task

    Section = tuple[Mapping[str, Any], Place]

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"


class ResourceRequests:
    """Collects requests; each one is checked once for each executor, and what is wrong is in `findings`.

    Args:
        executors: the options of each by its name.
        why_unsatisfiable: why an executor (name, options) can never meet a request; None skips the question.
    """

    def __init__(
        self, executors: Mapping[str, Mapping[str, Any]], why_unsatisfiable: WhyUnsatisfiable | None
    ) -> None:
        self.findings: list[Finding] = []
        self._executors = executors
        self._misfit = why_unsatisfiable
        self._known: dict[tuple[tuple[str, Any], ...], Resources] = {}
        self._checked: set[tuple[str, Resources, Place]] = set()

    def of(self, sections: Iterable[Section], executor: str, *, is_asked: bool = True) -> Resources:
        """What a task asks for; of sections, each with its place, later ones win key by key.

        Unless `is_asked`, nobody asks whether it can be had: the task is left out.
        """
        merged: dict[str, Any] = {}
        at: Place = ()
        for section, place in sections:
            if given := section.get("resources"):
                merged |= given
                at = (*place, "resources")
        if not merged:
            return NOTHING
        key = tuple(sorted(merged.items()))
        if key not in self._known:
            self._known[key] = self._read(merged, at)
        wanted = self._known[key]
        if is_asked:
            self._check(executor, wanted, at)
        return wanted

    def check_together(self, tasks: Sequence[Task], place: Place) -> None:
        """Whether what starts at once can be had at once."""
        for executor in dict.fromkeys(task.executor for task in tasks):
            several = [task.resources for task in tasks if task.executor == executor]
            if len(several) > 1 and any(several):
                self._check(executor, Resources.total(several), (*place, "together"))

    def _read(self, given: Mapping[str, Any], place: Place) -> Resources:
        memory = given.get("memory")
        try:
            size = None if memory is None else units.size(memory)
        except ValueError as fault:
            self.findings.append(Finding(place=(*place, "memory"), message=str(fault)))
            size = None
        gpus = given.get("gpus")  # JSON Schema takes 1.0 for a whole number, too
        return Resources(cpus=given.get("cpus"), memory=size, gpus=None if gpus is None else int(gpus))

    def _check(self, executor: str, wanted: Resources, place: Place) -> None:
        if self._misfit is None or executor not in self._executors or not wanted:
            return
        if (executor, wanted, place) in self._checked:
            return
        self._checked.add((executor, wanted, place))
        try:
            told = self._misfit(executor, self._executors[executor], wanted)
        except ExpError:  # what is wrong with the executor itself is told of it
            return
        if told:
            hint = "ask for less, or name another executor"
            self.findings.append(Finding(place=place, message=f"on {executor}: {told}", hint=hint))
