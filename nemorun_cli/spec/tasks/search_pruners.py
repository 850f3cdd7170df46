"""The pruner of a search: its options, by Optuna's names without the prefix `n_`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.model.problems import Finding, choices, shown
from nemorun_cli.model.search import PRUNERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place

AUTO: Final = "auto"  # estimated by Optuna from the first trials that complete


class _Option(NamedTuple):
    """An option: its name in Optuna, its least value (None for any number), and whether it can be `auto`."""

    name: str
    least: int | None = 0
    is_whole: bool = True
    has_auto: bool = False


_RATE: Final = _Option("reduction_factor", 2)
_BOOTSTRAP: Final = _Option("bootstrap_count")
_WARMUP: Final = {"warmup_steps": _Option("n_warmup_steps"), "interval_steps": _Option("interval_steps", 1)}
OPTIONS: Final[Mapping[str, Mapping[str, _Option]]] = {
    "asha": {
        "min_resource": _Option("min_resource", 1, has_auto=True),
        "reduction_factor": _RATE,
        "min_early_stopping_rate": _Option("min_early_stopping_rate"),
        "bootstrap_count": _BOOTSTRAP,
    },
    "hyperband": {
        "min_resource": _Option("min_resource", 1),
        "max_resource": _Option("max_resource", 1, has_auto=True),
        "reduction_factor": _RATE,
        "bootstrap_count": _BOOTSTRAP,
    },
    "median": {
        "startup_trials": _Option("n_startup_trials"),
        **_WARMUP,
        "min_trials": _Option("n_min_trials", 1),
    },
    "threshold": {
        "lower": _Option("lower", None, is_whole=False),
        "upper": _Option("upper", None, is_whole=False),
        **_WARMUP,
    },
    "patient": {"patience": _Option("patience"), "min_delta": _Option("min_delta", is_whole=False)},
}
_RESOURCES: Final = {"asha": "min_resource", "hyperband": "max_resource"}  # which bootstrap_count needs


def pruner_of(value: Any, place: Place) -> tuple[str | None, dict[str, Any], list[Finding]]:
    """The pruner of a search, its options by Optuna's names, and what is wrong with them.

    Args:
        value: the key `pruner`; None without it.
        place: its place in the spec.
    """
    if value is None:
        return None, {}, []
    entry: Mapping[str, Any] = {"type": value} if isinstance(value, str) else value
    name, at = entry["type"], place if isinstance(value, str) else (*place, "type")
    if not isinstance(name, str) or name not in PRUNERS:
        hint = choices(str(name), PRUNERS)
        return None, {}, [Finding(place=at, message=f"no pruner is called {shown(name)}", hint=hint)]
    options = {key: item for key, item in entry.items() if key != "type"}
    findings = list(_findings(name, options, place))
    known = OPTIONS[name]
    if findings:
        return None, {}, findings
    return name, {known[key].name: item for key, item in options.items()}, []


def _findings(name: str, options: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    known = OPTIONS[name]
    for key, value in options.items():
        if key not in known:
            message, hint = f"{name} has no option {key!r}", choices(key, known)
            yield Finding(place=(*place, key), message=message, hint=hint, on_key=True)
        elif problem := _problem(known[key], value):
            yield Finding(place=(*place, key), message=problem)
    if name == "patient" and "patience" not in options:
        hint = "write {type: patient, patience: 5}: how many values may be no better than those before"
        yield Finding(place=place, message="patient has no patience", hint=hint)
    if name == "threshold":
        yield from _threshold_findings(options, place)
    resource = _RESOURCES.get(name, "")
    if options.get("bootstrap_count") not in (None, 0) and options.get(resource, AUTO) == AUTO:
        hint = f"write {resource} as a number"
        yield Finding(
            place=(*place, "bootstrap_count"), message=f"needs a {resource} that is known", hint=hint
        )


def _threshold_findings(options: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    lower, upper = options.get("lower"), options.get("upper")
    if lower is None and upper is None:
        hint = "add upper: trials with a greater value are pruned; or lower"
        yield Finding(place=place, message="threshold has neither lower nor upper", hint=hint)
    elif isinstance(lower, (int, float)) and isinstance(upper, (int, float)) and lower > upper:
        yield Finding(place=(*place, "lower"), message=f"is greater than upper: {lower} > {upper}")


def _problem(option: _Option, value: Any) -> str | None:
    """What is wrong with the value of an option."""
    if option.has_auto and value == AUTO:
        return None
    kind = "a whole number" if option.is_whole else "a number"
    wanted = kind if option.least is None else f"{kind} from {option.least} on"
    wanted += f" or {AUTO}" if option.has_auto else ""
    is_number = isinstance(value, int if option.is_whole else (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or abs(value) > _MOST:
        return f"must be {wanted}, not {shown(value)}"
    if option.least is not None and value < option.least:
        return f"must be {wanted}, not {shown(value)}"
    return None


_MOST: Final = 10**15
