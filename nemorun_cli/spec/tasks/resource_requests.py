"""The `resources` of a task, from the task, its group and the defaults, and whether they are satisfiable."""

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
    """Collects requests and checks each once per executor; collects errors in `findings`.

    Args:
        executors: the options of each executor by its name.
        why_unsatisfiable: returns why an executor (name, options) can never satisfy a request; None skips
            the check.
    """

    def __init__(
        self, executors: Mapping[str, Mapping[str, Any]], why_unsatisfiable: WhyUnsatisfiable | None
    ) -> None:
        self.findings: list[Finding] = []
        self._executors = executors
        self._why_unsatisfiable = why_unsatisfiable
        self._by_section: dict[tuple[tuple[str, Any], ...], Resources] = {}
        self._checked: set[tuple[str, Resources, Place]] = set()

    def of(self, sections: Iterable[Section], executor: str, *, is_checked: bool = True) -> Resources:
        """Return what a task requests; `sections` have their places, later ones win key by key.

        Args:
            sections: the defaults, the group and the task.
            executor: the executor of the task.
            is_checked: whether to check that the executor can satisfy it; not for a task that is not run.
        """
        merged: dict[str, Any] = {}
        own_place: Place = ()
        for section, place in sections:
            if own := section.get("resources"):
                merged |= own
                own_place = (*place, "resources")
        if not merged:
            return NOTHING
        key = tuple(sorted(merged.items()))
        if key not in self._by_section:
            self._by_section[key] = self._read(merged, own_place)
        request = self._by_section[key]
        if is_checked:
            self._check(executor, request, own_place)
        return request

    def check_together(self, tasks: Sequence[Task], place: Place) -> None:
        """Check that an executor can satisfy the requests of tasks that start together."""
        for executor in dict.fromkeys(task.executor for task in tasks):
            requests = [task.resources for task in tasks if task.executor == executor]
            if len(requests) > 1 and any(requests):
                self._check(executor, Resources.total(requests), (*place, "together"))

    def check_with_leader(self, leader: Task, members: Iterable[Task], place: Place) -> None:
        """Check that each member can run at the same time as the leader, if they share one machine."""
        for member in members:
            if member.id != leader.id and member.executor == leader.executor and member.resources:
                total = Resources.total([leader.resources, member.resources])
                hint = f"{member.id} and {leader.id} run at the same time: request less, or use two executors"
                self._check(leader.executor, total, (*place, "until"), hint=hint)

    def _read(self, section: Mapping[str, Any], place: Place) -> Resources:
        memory = section.get("memory")
        try:
            size = None if memory is None else units.size(memory)
        except ValueError as fault:
            self.findings.append(Finding(place=(*place, "memory"), message=str(fault)))
            size = None
        gpus = section.get("gpus")  # JSON Schema accepts 1.0 as an integer
        return Resources(cpus=section.get("cpus"), memory=size, gpus=None if gpus is None else int(gpus))

    def _check(self, executor: str, request: Resources, place: Place, *, hint: str | None = None) -> None:
        if self._why_unsatisfiable is None or executor not in self._executors or not request:
            return
        if (executor, request, place) in self._checked:
            return
        self._checked.add((executor, request, place))
        try:
            reason = self._why_unsatisfiable(executor, self._executors[executor], request)
        except ExpError:  # an error of the executor itself is reported elsewhere
            return
        if reason:
            hint = hint or "request less, or name another executor"
            self.findings.append(Finding(place=place, message=f"on {executor}: {reason}", hint=hint))
