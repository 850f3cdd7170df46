"""Chooses the best member of each group that has a rule for it, when all its members have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import best, metric_keys
from nemorun_cli.model.search import tasks_of_trials
from nemorun_cli.supervisor.member_values import matching
from nemorun_cli.system import crashpoints
from nemorun_cli.system.process_limits import is_shortage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.best import BestRule
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.model.spec import Group, Spec
    from nemorun_cli.scheduler.decisions import Decisions
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.supervisor.member_values import MemberValues
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
        decisions: record what is chosen, and release the tasks that wait for it.
        values: reads the values of members.
    """

    def __init__(self, decisions: Decisions, values: MemberValues) -> None:
        self._decisions, self._schedule, self._values = decisions, decisions.schedule, values
        self._open = _unchosen(decisions.spec, self._schedule)
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
        members = choice.group.members
        for position in range(len(choice.read), len(members)):  # no copy: a sweep has up to 100,000 turns
            name = members[position]
            is_known = self._schedule.is_final(name)
            if not is_known or self._schedule.trials.lacks_result(choice.group, name):
                return
            if time.monotonic() > until:
                self.due = time.monotonic()
                return
            choice.read.append(self._values.read(choice.rule, name))

    def _choose(self, choice: _Choice) -> None:
        crashpoints.point("group.best")
        rule, members = choice.rule, list(choice.group.members)
        meant, aggregate = matching(rule, choice.read)
        if len(meant) > 1:
            named = ", ".join(sorted(map(metric_keys.plain, meant)))
            message = f"{rule.metric!r} matches several metrics: {named}"
            self._decisions.choose_best(choice.group, message=message)
            return
        metric = meant[0] if meant else None
        read = dict(zip(members, choice.read, strict=True))
        is_searched = choice.group.search is not None
        compared = tasks_of_trials(members).values() if is_searched else [(each,) for each in members]
        found = [
            self._values.candidate_of(names, rule, [read[each] for each in names], metric, aggregate)
            for names in compared
        ]
        members, candidates = [each for each, _ in found], [candidate for _, candidate in found]
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


def _unchosen(spec: Spec, schedule: Schedule) -> list[_Choice]:
    return [
        _Choice(group, group.best)
        for group in spec.groups
        if group.best is not None and schedule.chosen_best(group) is None
    ]
