"""Optuna's samplers, a new one for each trial, with a seed of its own.

Optuna finds out which params there are from the trials that have finished, which takes longer with each of
them. A rule names its params, so the samplers here get them from it; what they draw is the same.
"""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler

from nemorun_cli.scheduler.search.faults import SearchFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

    from nemorun_cli.model.search import SearchRule
    from nemorun_cli.scheduler.search.spaces import OptunaSpace

WHOLE_STUDY: Final = 0  # in place of a trial's number, for what all trials share


def seed_of(rule: SearchRule, number: int) -> int:
    """The seed of what is drawn for a trial: 32 bits, the same in each version of Python."""
    return int.from_bytes(hashlib.sha256(f"{rule.seed}:{number}".encode()).digest()[:4], "big")


def sampler_of(rule: SearchRule, space: OptunaSpace, number: int) -> BaseSampler:
    """The sampler of a trial.

    Raises:
        SearchFault: its name is unknown.
    """
    seed = seed_of(rule, number)
    match rule.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "tpe":
            return _tpe(rule, space, seed)
        case "qmc":
            return _qmc(rule, space, RandomSampler(seed=seed))
        case "cmaes":
            return _cmaes(space, seed)
        case "nsgaii":
            return NSGAIISampler(seed=seed)
    raise SearchFault(f"no sampler is called {rule.sampler!r}")


def _tpe(rule: SearchRule, space: OptunaSpace, seed: int) -> BaseSampler:
    """The tree-structured Parzen estimator.

    Params are drawn together unless there are several goals, as is Optuna's default since its version 5. With
    conditions, those that occur together are (`group`). Trials that run count as poor ones (`constant_liar`):
    with eight trials at once in a space of 150 points, 8 of 96 trials equal another one that runs, and 43
    without it; the best values of twenty studies differ by less than their deviation.
    """
    if len(rule.goals) > 1:
        return TPESampler(seed=seed, multivariate=False, constant_liar=True)
    if space.has_conditions:
        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
    sampler = _KnownSpaceTPE(seed=seed, multivariate=True, constant_liar=True)
    sampler.known_space = _always(space)
    return sampler


def _qmc(rule: SearchRule, space: OptunaSpace, independent: BaseSampler) -> BaseSampler:
    """A Sobol sequence, of which each trial takes a point; it is scrambled by the seed of the study.

    Without that the first trial is the lowest corner of the space, whatever the seed. Optuna 4 draws choices
    at random.
    """
    takes_choices = int(optuna.__version__.partition(".")[0]) > 4  # noqa: PLR2004 - named above
    sampler = _KnownSpaceQMC(
        scramble=True,
        seed=seed_of(rule, WHOLE_STUDY),
        independent_sampler=independent,
        warn_independent_sampling=False,
    )
    sampler.known_space = {
        name: distribution
        for name, distribution in sorted(space.distributions.items())
        if not distribution.single()
        and (takes_choices or not isinstance(distribution, CategoricalDistribution))
    }
    return sampler


def _cmaes(space: OptunaSpace, seed: int) -> BaseSampler:
    """CMA-ES over the numbers that each trial has; choices and params with conditions are drawn at random."""
    sampler = _KnownSpaceCMA(seed=seed, warn_independent_sampling=False)
    sampler.known_space = {
        name: distribution
        for name, distribution in _always(space).items()
        if not isinstance(distribution, CategoricalDistribution)
    }
    return sampler


def _always(space: OptunaSpace) -> dict[str, BaseDistribution]:
    """The params that each trial has, but those with one value only, in the order that Optuna gives them."""
    return {
        name: distribution
        for name, distribution in sorted(space.distributions.items())
        if space.params[name].when is None and not distribution.single()
    }


class _KnownSpace(BaseSampler):
    """Takes the params that are drawn together from the rule."""

    known_space: Mapping[str, BaseDistribution] = MappingProxyType({})

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The params that are drawn together, by name."""
        del study, trial
        return dict(self.known_space)


class _KnownSpaceTPE(_KnownSpace, TPESampler):
    pass


class _KnownSpaceCMA(_KnownSpace, CmaEsSampler):
    """Without conditional params, which Optuna would add and drop as trials happen to have them."""


class _KnownSpaceQMC(_KnownSpace, QMCSampler):
    """Takes the first trial, too, from the sequence; Optuna draws that at random."""
