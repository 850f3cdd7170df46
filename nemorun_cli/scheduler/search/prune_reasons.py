"""Why a pruner gave a trial up, in words: what its value was compared with."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, Final

from optuna.trial import TrialState

from nemorun_cli.model.best import Goal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import FrozenTrial

    from nemorun_cli.model.search import SearchRule

RUNG: Final = "completed_rung_"  # with its number, the key of a trial's value at a rung of successive halving
_FACTORS: Final = {"asha": 4, "hyperband": 3}  # Optuna's reduction factors, unless the rule has one
_PARTS: Final = {2: "half", 3: "third", 4: "quarter"}


def reason(rule: SearchRule, trial: FrozenTrial, others: Sequence[FrozenTrial], value: float) -> str:
    """Why a trial is pruned at its last value.

    Args:
        rule: a rule with a pruner.
        trial: the trial, with the values until then.
        others: all trials of its study.
        value: its last value.
    """
    if math.isnan(value):
        return "its value is NaN"
    reasons: dict[str | None, Callable[..., str]] = {
        "asha": _of_rungs,
        "hyperband": _of_rungs,
        "median": _of_median,
        "threshold": _of_threshold,
        "patient": _of_patience,
    }
    return reasons[rule.pruner](rule, trial, others, value)


def _of_rungs(rule: SearchRule, trial: FrozenTrial, others: Sequence[FrozenTrial], value: float) -> str:
    factor = rule.pruner_options.get("reduction_factor", _FACTORS[str(rule.pruner)])
    part = _PARTS.get(factor, f"1/{factor}")
    if rule.pruner == "hyperband":
        return f"{value:g} is not among the best {part} of the trials of its bracket"
    key = max((key for key in trial.system_attrs if key.startswith(RUNG)), key=_rung)
    count = sum(key in other.system_attrs for other in others)
    if count <= rule.pruner_options.get("bootstrap_count", 0):
        return f"it is one of the first {count} trials at rung {_rung(key) + 1}"
    return f"{value:g} is not among the best {part} of {count} trials at rung {_rung(key) + 1}"


def _rung(key: str) -> int:
    return int(key.removeprefix(RUNG))


def _of_median(rule: SearchRule, trial: FrozenTrial, others: Sequence[FrozenTrial], value: float) -> str:
    del value
    step = trial.last_step
    at_step = [
        other.intermediate_values[step]
        for other in others
        if other.state is TrialState.COMPLETE and step in other.intermediate_values
    ]
    known = [number for number in at_step if not math.isnan(number)]
    own = [number for number in trial.intermediate_values.values() if not math.isnan(number)]
    is_minimized = rule.goals[0] is Goal.MINIMIZE
    best = min(own) if is_minimized else max(own)
    which, side = ("lowest", "above") if is_minimized else ("highest", "below")
    trials = "trial" if len(at_step) == 1 else "trials"
    median = statistics.median(known)
    return f"its {which} value {best:g} is {side} the median {median:g} of {len(at_step)} complete {trials}"


def _of_threshold(rule: SearchRule, trial: FrozenTrial, others: Sequence[FrozenTrial], value: float) -> str:
    del trial, others
    upper, lower = rule.pruner_options.get("upper"), rule.pruner_options.get("lower")
    if upper is not None and value > upper:
        return f"{value:g} is above upper {upper:g}"
    return f"{value:g} is below lower {lower:g}"


def _of_patience(rule: SearchRule, trial: FrozenTrial, others: Sequence[FrozenTrial], value: float) -> str:
    del trial, others, value
    options: dict[str, Any] = dict(rule.pruner_options)
    delta = options.get("min_delta", 0)
    count = options["patience"] + 1
    text = f"no improvement in {count} values" if count > 1 else "no improvement in its last value"
    return f"{text} by more than {delta:g}" if delta else text
