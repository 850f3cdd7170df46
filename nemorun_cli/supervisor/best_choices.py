"""Chooses the best member of each group that has a rule for it, when all its members have ended."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.model import best, forms, metric_keys, problems
from nemorun_cli.model.best import Candidate
from nemorun_cli.model.status import TaskStatus
from nemorun_cli.system import crashpoints
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.model.best import BestRule
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.scheduler.decisions import Decisions
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.tracking.access.metric_values import MetricValues

LOOK_TIME: Final = 0.05  # seconds per turn of the loop for reading records
RETRY: Final = 1.0  # seconds until a record is read again for which this machine lacked something


@dataclass(slots=True)
class _Choice:
    """A group whose best is not chosen yet: what its members ended with, in their order."""

    group: Group
    rule: BestRule
    read: list[Mapping[Field, MetricValues] | str] = field(default_factory=list)  # a text: why it cannot be


class BestChoices:
    """Reads the metric of each member soon after its end, so that little is left when the last one ends.

    Args:
        files: the files of the experiment.
        spec: its resolved spec.
        decisions: record what is chosen, and release the tasks that wait for it.
        home: `$NEMORUN_HOME`.
        report: called with each message about a damaged line of a record, which is ignored.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        decisions: Decisions,
        *,
        home: Path,
        report: Callable[[str], None],
    ) -> None:
        self._report = report
        self._files, self._decisions, self._schedule = files, decisions, decisions.schedule
        self._root = os.path.abspath(planning.dash_root(spec, home))  # noqa: PTH100 - as tracking does it
        self._prefix = planning.prefix(spec, files.id)
        self._open = _unchosen(spec, self._schedule)
        self.due: float | None = None  # monotonic; when records of ended members can be read

    def look(self) -> None:
        """Read the records of members that have ended, and choose where all have."""
        until = time.monotonic() + LOOK_TIME
        self.due = None
        for choice in list(self._open):
            try:
                self._read(choice, until)
            except OSError as error:
                if not is_shortage(error):
                    raise
                self.due = time.monotonic() + RETRY
            if len(choice.read) == len(choice.group.members):
                self._open.remove(choice)
                self._choose(choice)

    def _read(self, choice: _Choice, until: float) -> None:
        for name in choice.group.members[len(choice.read) :]:
            if not self._schedule.is_final(name):
                return
            if time.monotonic() > until:
                self.due = time.monotonic()
                return
            choice.read.append(self._values(choice.rule, name))

    def _values(self, rule: BestRule, name: str) -> Mapping[Field, MetricValues] | str:
        """The metrics that the rule may mean of a member, or why they cannot be read."""
        state = self._schedule.history.tasks[name]
        if rule.output is not None or state.status is not TaskStatus.SUCCEEDED:
            return {}
        from nemorun_cli.tracking.access import metric_values  # noqa: PLC0415 - few groups have a rule

        keys = list(dict.fromkeys((rule.metric, best.split_key(rule.metric)[0])))
        values: dict[Field, MetricValues] = {}
        damaged: list[str] = []
        try:
            for root, prefix in self._records(name, state):
                written = metric_values.of_task(
                    root, prefix, keys, exp_id=self._files.id, task=name, report=damaged.append
                )
                values = written | values  # the own record comes first
        except (LedgerError, UsageError) as error:
            return error.message
        if damaged and not values:
            return damaged[0]
        for message in damaged:
            self._report(f"the best by {rule.metric}: {name}: {message}")
        return values

    def _records(self, name: str, state: TaskState) -> Iterator[tuple[str, str]]:
        """The records that a member may have written: its own, and those that its attempts registered."""
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - few groups have a rule

        places = [(self._root, f"{self._prefix}/{name}")]
        for attempt in range(1, state.attempt + 1):
            register = self._files.attempt(name, attempt).records
            places += supervisor_api.registered(register, inside=self._files.directory)
        yield from dict.fromkeys(places)

    def _choose(self, choice: _Choice) -> None:
        crashpoints.point("group.best")
        rule, members = choice.rule, choice.group.members
        matching, aggregate = _matching(choice)
        if len(matching) > 1:
            named = ", ".join(sorted(map(metric_keys.plain, matching)))
            message = f"{rule.metric!r} matches several metrics: {named}"
            self._decisions.choose_best(choice.group, message=message)
            return
        metric = matching[0] if matching else None
        candidates = [
            self._candidate(name, rule, values, metric, aggregate)
            for name, values in zip(members, choice.read, strict=True)
        ]
        name = rule.output or (
            best.split_key(rule.metric)[0] if metric is None else metric_keys.plain(metric)
        )
        result = best.choose(candidates, rule.goal, metric=name)
        ranked = [members[index] for index in result.ranked]
        self._decisions.choose_best(
            choice.group,
            winner=ranked[0] if ranked else None,
            value=candidates[result.ranked[0]].value if ranked else None,
            tied=ranked[1 : result.tied] or None,
            excluded=[
                {"task": members[each.index], "reason": each.reason, "message": each.message}
                for each in result.excluded
            ]
            or None,
        )

    def _candidate(
        self,
        name: str,
        rule: BestRule,
        values: Mapping[Field, MetricValues] | str,
        metric: Field | None,
        aggregate: str,
    ) -> Candidate:
        state = self._schedule.history.tasks[name]
        unreadable = values if isinstance(values, str) else None
        last: Any = None
        value: Any = None
        shown = None
        if rule.output is not None:
            last = value = state.outputs.get(rule.output)
        elif not isinstance(values, str) and metric is not None and metric in values:
            statistics, shown = values[metric]
            last, value = statistics["last"], statistics[aggregate]  # type: ignore[literal-required] # one of AGGREGATES
        if shown is not None or (last is not None and type(last) not in {int, float}):
            shown = problems.shown(last) if shown is None else shown
            last = value = math.nan
        elif last is not None and best.is_finite(last) and not forms.is_float(value):
            shown, last = forms.shown(value), math.inf  # such as an integer beyond floats
        return Candidate(
            status=state.status,
            reason=state.reason,
            last=last,
            value=value,
            shown=shown,
            unreadable=unreadable,
        )


def _unchosen(spec: Spec, schedule: Schedule) -> list[_Choice]:
    return [
        _Choice(group, group.best)
        for group in spec.groups
        if group.best is not None and schedule.chosen_best(group) is None
    ]


def _matching(choice: _Choice) -> tuple[list[Field], str]:
    """The metrics of all members that the key of the rule means, and which value of them is compared."""
    fields = {field for values in choice.read if not isinstance(values, str) for field in values}
    titles = metric_keys.titles(sorted(fields, key=metric_keys.exact))
    key = choice.rule.metric
    if matching := metric_keys.matching(key, titles):
        return matching, best.LAST
    name, aggregate = best.split_key(key)
    return metric_keys.matching(name, titles), aggregate or best.LAST
