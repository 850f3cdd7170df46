"""A spec as read: its text, its data and the options that change it, not yet bound to an experiment."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nemorun_cli.model.spec import RunOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nemorun_cli.executors.executor_types import ExecutorTypes
    from nemorun_cli.model.problems import FilePosition, Finding, Place, Problem
    from nemorun_cli.model.spec import Spec
    from nemorun_cli.plugins import GivenPlugin
    from nemorun_cli.spec.compose.composition import Sources
    from nemorun_cli.spec.compose.executor_files import ExecutorOrigin
    from nemorun_cli.storage.paths import ExperimentFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A spec that was read and checked, not yet bound to an experiment.

    Attributes:
        folder: the folder that its relative paths are relative to: absolute, with symbolic links.
        text: the spec as given, for the experiment's own copy.
        others: by file name, the texts of the files that it extends or includes and of external executors.
        params: the values of params, each `name=value`; those that files gave have a position.
        whole: the spec merged with those files, before `sets`; None if there are no such files.
        spec: the resolved spec if it is the same for every identity.
        warnings: what the spec probably does not mean, in the order of the file.
        strict_inline: that of the spec; false for a revision of an experiment in which it is false.
        wanted_id: the id that the experiment gets unless it is taken; None for one of its creation time.
        key: the logical run that a program names; an option of the command overrides it.
    """

    name: str
    path: Path
    folder: Path
    text: str
    is_file: bool = True
    run: RunOptions = field(default_factory=RunOptions)
    sources: Sources = field(repr=False)
    others: Mapping[str, str] = field(default_factory=dict, repr=False)
    whole: Mapping[str, Any] | None = field(default=None, repr=False)
    origins: Mapping[str, ExecutorOrigin] = field(
        default_factory=dict, repr=False
    )  # where each executor comes from
    brought: frozenset[str] = frozenset()  # external executors, ignored unless a task names them
    known: tuple[str, ...] = ()  # the names of all external executors
    data: Mapping[str, Any] = field(repr=False)
    options: Mapping[Place, str] = field(
        default_factory=dict, repr=False
    )  # the --set option behind each place
    params: tuple[str, ...] = ()
    param_positions: Mapping[str, FilePosition] = field(default_factory=dict, repr=False)
    sets: tuple[str, ...] = ()
    sweeps: tuple[str, ...] = ()  # params that are axes, each `name=values`
    only: tuple[str, ...] = ()
    executors: ExecutorTypes = field(repr=False)
    copies: ExperimentFiles | None = None  # the experiment whose copies of scripts are used
    shipped: ExperimentFiles | None = None  # the experiment whose shipped code is used
    plugins: tuple[GivenPlugin, ...] = ()  # passed in Python, after those of the spec
    spec: Spec | None = field(default=None, repr=False)
    warnings: tuple[Problem, ...] = ()
    strict_inline: bool = True
    wanted_id: str | None = None
    key: str | None = None

    def attributed(self, finding: Finding) -> Finding:
        """Return the finding with the option that set the value, if any."""
        for place, option in self.options.items():
            if finding.option is None and finding.place[: len(place)] == place:
                return replace(finding, option=option)
        return finding
