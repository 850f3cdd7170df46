"""What a sampler of a search cannot do, and the packages that it needs on the machine of the supervisor."""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.model import search_grid
from nemorun_cli.model.best import OUTPUTS
from nemorun_cli.model.problems import Finding
from nemorun_cli.model.search import ParamKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nemorun_cli.model.problems import Place
    from nemorun_cli.model.search import SearchRule

_TOO_OLD: Final = ("0", "1", "2", "3")  # first parts of versions of Optuna
INSTALL: Final = "install it: pip install 'nemorun-cli[search]'"
_PACKAGES: Final = {"cmaes": "cmaes", "qmc": "scipy"}  # that samplers need in addition to Optuna
_LEAST_CMAES: Final = 2  # numbers; with one, Optuna draws it at random


def faults(rule: SearchRule, section: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    """What is wrong with a search whose keys are right by themselves.

    Args:
        rule: the search.
        section: its keys.
        place: its place in the spec.
    """
    at: Place = (*place, "sampler") if "sampler" in section else place
    if len(rule.goals) > 1:
        if rule.pruner is not None:
            message = f"cannot prune by {len(rule.goals)} goals"
            hint = "leave it out, or search for one goal"
            yield Finding(place=(*place, "pruner"), message=message, hint=hint)
        if rule.sampler == "cmaes":
            yield Finding(place=at, message="cmaes has one goal", hint="write sampler: nsgaii or tpe")
    if rule.pruner is not None and rule.metrics[0].startswith(OUTPUTS):
        message = "cannot prune by an output, which is known only when a trial has ended"
        yield Finding(place=(*place, "pruner"), message=message, hint="leave it out, or compare a metric")
    if rule.sampler == "cmaes":
        yield from _cmaes_faults(rule, at)
    if rule.sampler == "grid":
        yield from _grid_faults(rule, place)
    if len(rule.start_with) > rule.trials:
        message = f"has values for {len(rule.start_with)} trials, but trials is {rule.trials}"
        yield Finding(place=(*place, "start_with"), message=message)
    yield from _missing_packages(rule, at)


def _cmaes_faults(rule: SearchRule, at: Place) -> Iterator[Finding]:
    numbers = [param for param in rule.params if param.kind is not ParamKind.CHOICES and param.when is None]
    if len(numbers) < _LEAST_CMAES:
        message = f"cmaes needs two numbers without `when`, and the space has {len(numbers)}"
        yield Finding(place=at, message=message, hint="write sampler: tpe")


def _grid_faults(rule: SearchRule, place: Place) -> Iterator[Finding]:
    """A grid needs points that can be listed, and has no more trials than points."""
    for param in rule.params:
        at: Place = (*place, "params", param.name)
        if param.kind is ParamKind.FLOAT and param.step is None and param.low != param.high:
            message = "has no step, which sampler: grid needs to list its values"
            yield Finding(place=at, message=message, hint="add step, or write choices: […]")
        elif param.log:
            message = "cannot be combined with sampler: grid"
            yield Finding(place=(*at, "log"), message=message, hint="write choices: […]")
    points = search_grid.size(rule) or 0
    if points > search_grid.LARGEST:
        message = f"grid would have {points:,} points, which is more than {search_grid.LARGEST:,}"
        yield Finding(place=(*place, "sampler"), message=message, hint="write sampler: random or qmc")
    elif 0 < points < rule.trials:
        message = f"is {rule.trials}, but the grid has {points:,} points"
        yield Finding(place=(*place, "trials"), message=message, hint=f"write trials: {points}")


def _missing_packages(rule: SearchRule, at: Place) -> Iterator[Finding]:
    """What is not installed; Optuna itself is slow to import, so it is only looked for."""
    needed = ["optuna"] + ([_PACKAGES[rule.sampler]] if rule.sampler in _PACKAGES else [])
    missing = [package for package in needed if find_spec(package) is None]
    if "optuna" not in missing and (version := metadata.version("optuna")).partition(".")[0] in _TOO_OLD:
        yield Finding(place=at, message=f"needs Optuna 4 or later, not {version}", hint=INSTALL)
    if missing:
        subject = "search" if missing[0] == "optuna" else f"sampler: {rule.sampler}"
        message = f"{subject} needs {' and '.join(missing)}, which {_verb(missing)} not installed"
        yield Finding(place=at, message=message, hint=INSTALL)


def _verb(missing: list[str]) -> str:
    return "is" if len(missing) == 1 else "are"
