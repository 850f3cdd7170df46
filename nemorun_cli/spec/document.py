"""A spec as it was read: its text, its data and the options that change it; bound to no experiment yet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.spec import RunOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.model.problems import Finding, Place
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.plugins import GivenPlugin
    from nemorun_cli.spec.compose.composition import Sources
    from nemorun_cli.spec.compose.executor_files import ExecutorOrigin
    from nemorun_cli.storage.paths import ExperimentFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A spec that was read and checked, not yet bound to an experiment.

    `text` is the spec as it was given, for the experiment's own copy; `others` are the texts of the
    files that it extends or includes and of the executors from outside, by their names, and `whole` is
    the spec with all of that in it where there is any, before `sets`. `spec` is the resolved spec where
    that is the same for every identity.
    """

    name: str
    path: Path
    text: str
    is_file: bool = True
    run: RunOptions = field(default_factory=RunOptions)
    sources: Sources = field(repr=False)
    others: Mapping[str, str] = field(default_factory=dict, repr=False)
    whole: Mapping[str, Any] | None = field(default=None, repr=False)
    origins: Mapping[str, ExecutorOrigin] = field(default_factory=dict, repr=False)  # of executors
    brought: frozenset[str] = frozenset()  # executors from outside, which count only if a task names them
    known: tuple[str, ...] = ()  # the names of executors outside
    data: Mapping[str, Any] = field(repr=False)
    options: Mapping[Place, str] = field(default_factory=dict, repr=False)  # which --set brought what
    params: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    executors: ExecutorTypes = field(repr=False)
    copies: ExperimentFiles | None = None  # an experiment whose copies of scripts are taken
    shipped: ExperimentFiles | None = None  # an experiment whose shipped code is taken
    plugins: tuple[GivenPlugin, ...] = ()  # given in Python, after those of the spec
    spec: Spec | None = field(default=None, repr=False)

    def attributed(self, finding: Finding) -> Finding:
        """The finding with the option that brought the value, if one did."""
        for place, option in self.options.items():
            if finding.option is None and finding.place[: len(place)] == place:
                return replace(finding, option=option)
        return finding
