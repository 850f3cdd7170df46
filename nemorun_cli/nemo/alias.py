"""The name `nemo_run` for this package, and NeMo-Run's own modules by their names.

Programs get it from `exp run program.py` and in their tasks, where NeMo-Run itself is not installed.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from nemorun_cli import nemo

NAME: Final = "nemo_run"
# NeMo-Run's modules whose names programs import; each has all names of the package.
PARTS: Final = frozenset(
    [
        "api",
        "cli",
        "cli.api",
        "cli.cli_parser",
        "cli.lazy",
        "config",
        "core",
        "core.execution",
        "core.execution.base",
        "core.execution.dgxcloud",
        "core.execution.docker",
        "core.execution.kubeflow",
        "core.execution.kuberay",
        "core.execution.launcher",
        "core.execution.lepton",
        "core.execution.local",
        "core.execution.pytorchjob",
        "core.execution.skypilot",
        "core.execution.skypilot_jobs",
        "core.execution.slurm",
        "core.packaging",
        "core.packaging.base",
        "core.packaging.git",
        "core.packaging.hybrid",
        "core.packaging.pattern",
        "core.tunnel",
        "core.tunnel.client",
        "devspace",
        "devspace.base",
        "help",
        "package_info",
        "run",
        "run.api",
        "run.experiment",
        "run.plugin",
        "run.ray",
        "run.ray.cluster",
        "run.ray.job",
    ]
)
# Names that only NeMo-Run's own modules have.
OTHERS: Final = {
    "ExperimentPlugin": ("plugins", "Plugin"),
    "KubeRayExecutor": ("elsewhere", "KubeRayExecutor"),
    "Launcher": ("launchers", "Launcher"),
    "RayCluster": ("elsewhere", "RayCluster"),
    "RayJob": ("elsewhere", "RayJob"),
    "RunContext": ("cli", "RunContext"),
    "SlurmJobDetails": ("executors", "SlurmJobDetails"),
    "Tunnel": ("tunnels", "Tunnel"),
    "entrypoint": ("cli", "entrypoint"),
    "factory": ("cli", "factory"),
    "get_nemorun_home": ("home", "get_nemorun_home"),
    "main": ("cli", "main"),
    "set_nemorun_home": ("home", "set_nemorun_home"),
}


class Alias(ModuleType):
    """A module of NeMo-Run: its names are those of this package."""

    __path__: list[str] = []  # noqa: RUF012 - what makes it a package
    __all__ = nemo.__all__

    def __getattr__(self, name: str) -> Any:
        """A public name, imported at its first use."""
        if name in OTHERS:
            module, attribute = OTHERS[name]
            return getattr(importlib.import_module(f"{nemo.__name__}.{module}"), attribute)
        if name in nemo.__all__:
            return getattr(nemo, name)
        raise AttributeError(f"nemorun_cli offers no {self.__name__}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep the functions `run`, `help` and `cli`, which have modules of the same names."""
        if not (isinstance(value, Alias) and name in self.__all__):
            super().__setattr__(name, value)


class Loader:
    """Makes the modules."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        """The module."""
        return Alias(spec.name, nemo.__doc__)

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Nothing: its names are found when they are used."""


def find(name: str) -> ModuleSpec | None:
    """The specification of `nemo_run` or of one of its modules; None if there is no such module here."""
    root, _, part = name.partition(".")
    if root != NAME or (part and part not in PARTS):
        return None
    if part and not isinstance(sys.modules.get(NAME), Alias):  # NeMo-Run itself is installed
        return None
    return ModuleSpec(name, Loader(), is_package=True)  # type: ignore[arg-type]  # it has what a loader has
