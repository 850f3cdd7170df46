"""The keys by which rows are compared, sorted and filtered: metrics, params and fields of the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from nemorun_cli.errors import UsageError
from nemorun_cli.experiment.records.compared_row import AGGREGATES
from nemorun_cli.model import metric_keys
from nemorun_cli.model.best import split_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nemorun_cli.experiment.records.compared_row import ComparedRow
    from nemorun_cli.model.metric_keys import Field

MOST_NAMED: Final = 20  # keys that an error lists
RECORD: Final = "record."  # before the name of a field of the record, where a param has the same name
PARAMS: Final = "params."
FIELDS: Final[Mapping[str, Callable[[ComparedRow], Any]]] = {
    "status": lambda row: str(row.of.status),
    "task": lambda row: row.of.task,
    "prefix": lambda row: row.of.record.prefix,
    "experiment": lambda row: row.of.experiment,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a key means; `title` names its column.

    Attributes:
        name: of the param or field, or the key of the metric without its aggregate.
        aggregate: of a metric, as given; None if none was.
        is_hidden: whether it is a field of the record, and a param has the same name.
        get: returns its value in a row, None where the row has none.
    """

    kind: Literal["metric", "param", "record"]
    name: str
    get: Callable[[ComparedRow], Any]
    field: Field | None = None
    aggregate: str | None = None
    is_hidden: bool = False

    @property
    def title(self) -> str:
        """The name of its column."""
        if self.is_hidden:
            return f"{RECORD}{self.name}"
        return self.name if self.aggregate is None else f"{self.name}:{self.aggregate}"


def param_key(name: str) -> Key:
    """The key of the param with exactly this name."""
    return Key(kind="param", name=name, get=lambda row: row.params.get(name))


def by_title(keys: Iterable[Key]) -> list[Key]:
    """The keys, each once, although several texts mean it."""
    return list({key.title: key for key in keys}.values())


class RowKeys:
    """The metrics and params of rows, found by full or short name."""

    def __init__(self, all_rows: Sequence[ComparedRow]) -> None:
        self.titles = metric_keys.titles(field for row in all_rows for field in row.statistics)
        self.params = list(dict.fromkeys(name for row in all_rows for name in row.params))
        self._params = frozenset(self.params)

    @property
    def metrics(self) -> list[str]:
        """The key of each metric."""
        return list(self.titles.values())

    @property
    def all_metrics(self) -> list[Key]:
        """Each metric by its last value."""
        return [self._of(field, None) for field in self.titles]

    def find(self, text: str) -> Key | None:
        """What a text means; None if nothing.

        An exact form such as `params.lr` goes before all names, a full name before the end of one, and a
        name before an aggregate: `top:max` is the metric of this name where there is one. A param goes
        before the field of the record with its name.

        Raises:
            UsageError: it means several metrics.
        """
        return (
            self._exact(text)
            or self._full(text)
            or self._record(text)
            or self._metric(text, metric_keys.matching(text, self.titles), None)
            or self._aggregate(text)
        )

    def is_known(self, text: str) -> bool:
        """Whether a text means something, or several metrics."""
        try:
            return self.find(text) is not None
        except UsageError:
            return True

    def resolve(self, text: str) -> Key:
        """What a text means.

        Raises:
            UsageError: nothing, or several metrics.
        """
        key = self.find(text)
        if key is None:
            known = ", ".join([*self.metrics, *self.params][:MOST_NAMED]) or "none"
            raise UsageError(f"there is no metric or param {text!r}", hint=f"there are: {known}")
        return key

    def metric(self, text: str) -> Key:
        """The metric, with its aggregate, that a text means, whatever else has this name.

        Raises:
            UsageError: none matches, or several do.
        """
        key = self._metric(text, metric_keys.matching(text, self.titles), None) or self._aggregate(text)
        if key is not None:
            return key
        if self.resolve(text).kind == "param":
            raise UsageError(f"{text!r} is a param, not a metric", hint="params are shown where they differ")
        raise UsageError(f"{text!r} is a field of the record, not a metric")

    def param(self, text: str) -> Key:
        """The param or field of the record that a text means.

        Raises:
            UsageError: none, or a metric.
        """
        key = self._exact(text) or (param_key(text) if text in self._params else self._record(text))
        if key is not None:
            return key
        if self.find(text) is not None:
            raise UsageError(f"{text!r} is a metric", hint=f"params are: {', '.join(self.params) or 'none'}")
        known = ", ".join(self.params[:MOST_NAMED]) or "none"
        raise UsageError(f"there is no param {text!r}", hint=f"there are: {known}")

    def is_hidden(self, text: str) -> bool:
        """Whether a text means a param although the record has a field of the same name."""
        return text in FIELDS and text in self._params

    def _full(self, text: str) -> Key | None:
        """The metric with this key, the param of this name, or the metric with this exact or plain key."""
        with_title = [field for field, title in self.titles.items() if title == text]
        if not with_title and text in self._params:
            return param_key(text)
        return self._metric(text, with_title or metric_keys.named_fully(text, self.titles), None)

    def _exact(self, text: str) -> Key | None:
        """What a text with `params.` or `record.` before the name means."""
        if text.startswith(RECORD):
            return self._record(text.removeprefix(RECORD))
        name = text.removeprefix(PARAMS)
        return param_key(name) if name != text and name in self._params else None

    def _record(self, name: str) -> Key | None:
        get = FIELDS.get(name)
        return None if get is None else Key(kind="record", name=name, get=get, is_hidden=name in self._params)

    def _aggregate(self, text: str) -> Key | None:
        """The key of a metric that is followed by one of AGGREGATES."""
        name, aggregate = split_key(text, AGGREGATES)
        if aggregate is None:
            return None
        return self._metric(text, metric_keys.matching(name, self.titles), aggregate)

    def _metric(self, text: str, matching: Sequence[Field], aggregate: str | None) -> Key | None:
        if len(matching) > 1:
            titles = {self.titles[field] for field in matching}
            listed = ", ".join(sorted(titles, key=self.metrics.index))
            raise UsageError(f"{text!r} matches several metrics: {listed}", hint="name one of them")
        return self._of(matching[0], aggregate) if matching else None

    def _of(self, field: Field, aggregate: str | None) -> Key:
        name = aggregate or "last"
        return Key(
            kind="metric",
            name=self.titles[field],
            get=lambda row: row.statistic(field, name),
            field=field,
            aggregate=aggregate,
        )
