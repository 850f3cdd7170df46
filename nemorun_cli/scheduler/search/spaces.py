"""The space of a search in Optuna's terms: its distributions, and values in both forms.

A choice is its index for Optuna, which knows only some types and holds 1, 1.0 and true for equal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nemorun_cli.errors import ExpError
from nemorun_cli.model.search import ParamKind
from nemorun_cli.scheduler.search.faults import SearchFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna.trial import Trial

    from nemorun_cli.model.search import SearchParam, SearchRule

    Distribution = FloatDistribution | IntDistribution | CategoricalDistribution
    Holds = Callable[[str, Mapping[str, Any]], bool]

_MOST_SHOWN: Final = 60  # characters of a value in a message


class OptunaSpace:
    """The params of a rule.

    Args:
        rule: the rule.
        holds: whether a condition is true for the values of the params above it.

    Raises:
        SearchFault: Optuna refuses a param.
    """

    def __init__(self, rule: SearchRule, holds: Holds) -> None:
        self._holds = holds
        self.params: Final = {param.name: param for param in rule.params}
        self.distributions: Final = {param.name: _distribution(param) for param in rule.params}
        self._indices = {
            param.name: {exact_text(choice): index for index, choice in enumerate(param.choices)}
            for param in rule.params
        }

    @property
    def has_conditions(self) -> bool:
        """Whether some param has a value only in some trials."""
        return any(param.when is not None for param in self.params.values())

    def is_active(self, name: str, values: Mapping[str, Any]) -> bool:
        """Whether a param has a value in a trial with these values of the params above it.

        Raises:
            SearchFault: its condition cannot be evaluated.
        """
        when = self.params[name].when
        try:
            return when is None or self._holds(when, values)
        except ExpError as error:
            raise SearchFault(f"the condition of {name}: {error}") from error

    def drawn(self, trial: Trial, name: str) -> Any:
        """The value of a param that the sampler of a trial suggests, as the spec knows it."""
        match self.distributions[name]:
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return self.outer(name, trial.suggest_float(name, low, high, step=step, log=log))
            case IntDistribution(low=low, high=high, step=step, log=log):
                return self.outer(name, trial.suggest_int(name, low, high, step=step, log=log))
            case CategoricalDistribution(choices=choices):
                return self.outer(name, trial.suggest_categorical(name, choices))

    def outer(self, name: str, value: Any) -> Any:
        """A value of Optuna's as the spec knows it."""
        param = self.params[name]
        match param.kind:
            case ParamKind.FLOAT:
                return float(value)
            case ParamKind.INT:
                return int(value)
            case ParamKind.CHOICES:
                return param.choices[value]

    def inner(self, name: str, value: Any) -> Any:
        """A value of the spec as Optuna knows it.

        Raises:
            SearchFault: the param cannot have this value.
        """
        param = self.params.get(name)
        if param is None:
            raise SearchFault(f"no param is called {name!r} (there are: {', '.join(self.params)})")
        if param.kind is ParamKind.CHOICES:
            index = self._indices[name].get(exact_text(value))
            if index is None:
                raise SearchFault(f"{name} cannot be {_shown(value)}: it is none of its choices")
            return index
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise SearchFault(f"{name} cannot be {_shown(value)}, which is no number")
        is_whole = param.kind is ParamKind.INT
        if is_whole and value != value // 1:
            raise SearchFault(f"{name} cannot be {_shown(value)}, which is no whole number")
        number = int(value) if is_whole else float(value)
        distribution = self.distributions[name]
        if not distribution._contains(float(number)):  # noqa: SLF001 - Optuna has no other name for it
            raise SearchFault(f"{name} cannot be {_shown(value)}: {_range_text(param)}")
        return number


def _distribution(param: SearchParam) -> Distribution:
    try:
        if param.kind is ParamKind.CHOICES:
            return CategoricalDistribution(range(len(param.choices)))
        assert param.low is not None  # noqa: S101 - a number has a range
        assert param.high is not None  # noqa: S101 - the same
        if param.kind is ParamKind.FLOAT:
            return FloatDistribution(param.low, param.high, log=param.log, step=param.step)
        step = 1 if param.step is None else int(param.step)
        return IntDistribution(int(param.low), int(param.high), log=param.log, step=step)
    except (ValueError, TypeError, OverflowError) as error:
        raise SearchFault(f"Optuna refuses the param {param.name}: {error}") from error


def exact_text(value: Any) -> str:
    """A text that is equal only for equal values of the same types: for 1, 1.0 and true it differs."""
    return json.dumps(value, sort_keys=True)


def _range_text(param: SearchParam) -> str:
    text = f"it is from {param.low:g} to {param.high:g}"
    return text if param.step is None else f"{text} in steps of {param.step:g}"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
