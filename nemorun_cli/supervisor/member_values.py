"""Reads by what members of a group are compared: values of a metric in their records, or an output."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import LedgerError, UsageError
from nemorun_cli.executors import planning
from nemorun_cli.model import best, forms, metric_keys, problems
from nemorun_cli.model.best import Candidate
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.scheduler import trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.model.best import BestRule
    from nemorun_cli.model.metric_keys import Field
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.scheduler.schedule import Schedule
    from nemorun_cli.storage.paths import ExperimentFiles
    from nemorun_cli.storage.state import TaskState
    from nemorun_cli.tracking.access.metric_values import MetricValues

_is_number: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch  # in JSON


class MemberValues:
    """Reads the values of members that have ended.

    Args:
        files: the files of the experiment.
        spec: its resolved spec.
        schedule: the states of its tasks.
        home: `$NEMORUN_HOME`.
        report: called with each message about a damaged line of a record, which is ignored.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        schedule: Schedule,
        *,
        home: Path,
        report: Callable[[str], None],
    ) -> None:
        self._files, self._schedule, self._report = files, schedule, report
        self._root = os.path.abspath(planning.dash_root(spec, home))  # noqa: PTH100 - as tracking does it
        self._prefix = planning.prefix(spec, files.id)

    def read(self, rule: BestRule, name: str) -> Mapping[Field, MetricValues] | str:
        """The metrics that the rule may mean of a member, or why they cannot be read.

        Raises:
            OSError: this machine lacks something for it now.
        """
        state = self._schedule.history.tasks[name]
        if rule.output is not None or state.status is not TaskStatus.SUCCEEDED:
            return {}
        from nemorun_cli.tracking.access import metric_values  # noqa: PLC0415 - few groups are compared

        keys = list(dict.fromkeys((rule.metric, best.split_key(rule.metric)[0])))
        values: dict[Field, MetricValues] = {}
        damaged: list[str] = []
        try:
            for root, prefix in self.records(name, state):
                written = metric_values.of_task(
                    root, prefix, keys, exp_id=self._files.id, task=name, report=damaged.append
                )
                values = written | values  # the own record comes first
        except (LedgerError, UsageError) as error:
            return error.message
        if damaged and not values:
            return damaged[0]
        for message in damaged:
            self._report(f"{rule.metric} of {name}: {message}")
        return values

    def attempt(self, name: str) -> int:
        """The number of the latest attempt at a member."""
        return self._schedule.history.tasks[name].attempt

    def records(self, name: str, state: TaskState) -> Iterator[tuple[str, str]]:
        """The records that a member may have written: its own, and those that its attempts registered."""
        from nemorun_cli.tracking.access import supervisor_api  # noqa: PLC0415 - few groups are compared

        places = [(self._root, f"{self._prefix}/{name}")]
        for attempt in range(1, state.attempt + 1):
            register = self._files.attempt(name, attempt).records
            places += supervisor_api.registered(register, inside=self._files.directory)
        yield from dict.fromkeys(places)

    def candidate(
        self,
        name: str,
        rule: BestRule,
        values: Mapping[Field, MetricValues] | str,
        metric: Field | None,
        aggregate: str,
    ) -> Candidate:
        """A member with the value by which it is compared.

        Args:
            name: the member.
            rule: by what it is compared.
            values: what `read` returned for it.
            metric: the metric that the rule means; None if it means none.
            aggregate: which of its values is compared.
        """
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
            shown = _shown(rule.output, last) if shown is None else shown
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

    def candidate_of(
        self,
        names: Sequence[str],
        rule: BestRule,
        read: Sequence[Mapping[Field, MetricValues] | str],
        metric: Field | None,
        aggregate: str,
    ) -> tuple[str, Candidate]:
        """A trial with the value by which it is compared, and its task that has the value.

        Args:
            names: its tasks.
            rule: by what it is compared.
            read: what `read` returned for each of them.
            metric: the metric that the rule means; None if it means none.
            aggregate: which of its values is compared.
        """
        states = [self._schedule.history.tasks[name] for name in names]
        candidates = [
            self.candidate(name, rule, values, metric, aggregate)
            for name, values in zip(names, read, strict=True)
        ]
        deciding = trials.deciding(states)
        if not states[deciding].is_unjudged_success and states[deciding].reason != Reason.TARGET:
            return names[deciding], candidates[deciding]
        having = [number for number, each in enumerate(candidates) if each.last is not None]
        if not having:
            unreadable = [number for number, each in enumerate(candidates) if each.unreadable]
            number = (unreadable or [deciding])[0]
            return names[number], candidates[number]
        if len(having) > 1:
            several = tuple(names[number].rpartition("/")[2] for number in having)
            return names[having[0]], replace(candidates[having[0]], several=several)
        return names[having[0]], candidates[having[0]]


def _shown(output: str | None, value: object) -> str:
    """A value that is no number; of a text that looks like one, with how the number is written."""
    text = problems.shown(value)
    if isinstance(value, str) and _is_number(value):
        return f"{text}, a text (write the number as {output}:={value})"
    return text


def matching(rule: BestRule, read: Iterable[Mapping[Field, MetricValues] | str]) -> tuple[list[Field], str]:
    """The metrics of all members that the key of a rule means, and which value of them is compared.

    Args:
        rule: the rule.
        read: what `MemberValues.read` returned for each member.
    """
    fields = {field for values in read if not isinstance(values, str) for field in values}
    titles = metric_keys.titles(sorted(fields, key=metric_keys.exact))
    key = rule.metric
    if meant := metric_keys.matching(key, titles):
        return meant, best.LAST
    name, aggregate = best.split_key(key)
    return metric_keys.matching(name, titles), aggregate or best.LAST
