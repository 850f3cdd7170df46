"""`run.cli`: functions of a program as commands with `key=value` arguments, in NeMo-Run's vocabulary."""

from nemorun_cli.nemo.cli.context import RunContext
from nemorun_cli.nemo.cli.entrypoints import Entrypoint, entrypoint, list_entrypoints
from nemorun_cli.nemo.cli.factories import factory, list_factories, resolve_factory
from nemorun_cli.nemo.cli.program import main

__all__ = [
    "Entrypoint",
    "RunContext",
    "entrypoint",
    "factory",
    "list_entrypoints",
    "list_factories",
    "main",
    "resolve_factory",
]
