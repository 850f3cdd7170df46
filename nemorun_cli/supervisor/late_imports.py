"""Imports what a supervisor may need later, so that it survives an upgrade or a removal of its own package.

Most modules are imported when they are first needed, which keeps the start short. A supervisor can run for
weeks, and by then their files may be deleted or belong to another version.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from nemorun_cli import executors
from nemorun_cli.scheduler import evaluations
from nemorun_cli.scheduler.trial_fields import asks_for_gpus
from nemorun_cli.tracking.store import fast_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.scheduler.evaluations import Evaluations

IDLE: Final = 1.0  # seconds without any event, after which the imports delay nothing
LATEST: Final = 5.0  # seconds after the start, from which on a moment without an event suffices

ALWAYS: Final = (
    "nemorun_cli.storage.requests",
    "nemorun_cli.system.log_search",
    "nemorun_cli.system.trees",
    "nemorun_cli.tracking.access.reader",
    "nemorun_cli.tracking.access.supervisor_api",
    "nemorun_cli.tracking.store.record_paths",
    "nemorun_cli.tracking.store.row_forms",
)
EXPRESSIONS: Final = (
    "nemorun_cli.spec.expressions.evaluate",
    "nemorun_cli.spec.expressions.helper",
    "nemorun_cli.spec.expressions.sandbox",
    "nemorun_cli.spec.expressions.searched_keys",
    "jinja2.debug",
)
SAMPLING: Final = (
    "nemorun_cli.executors.process_usage",
    "nemorun_cli.supervisor.job_samples",
    "nemorun_cli.supervisor.system_samples",
)
BEST: Final = (
    "nemorun_cli.supervisor.best_choices",
    "nemorun_cli.tracking.access.metric_values",
    "fractions",
)
SERVER: Final = (
    "nemorun_cli.supervisor.shipping",
    "nemorun_cli.tracking.outbox.addresses",
    "nemorun_cli.tracking.outbox.changes",
)
# By executor type: what its modules import late.
SDK: Final = {"docker": ("docker", "docker.errors", "tarfile")}


class LateImports:
    """The imports of one supervisor: one at a time, while nothing else is to be done.

    Args:
        spec: the resolved spec, which decides what can be needed.
        report: called with a message if an import fails; others may still succeed.
        process: evaluates expressions; it is started if the spec has an expression that could take long.
    """

    def __init__(self, spec: Spec, report: Callable[[str], None], *, process: Evaluations) -> None:
        self._report = report
        self._steps: Iterator[Callable[[], object]] = _steps(spec, process)
        self._latest = time.monotonic() + LATEST
        self.due: float | None = time.monotonic() + IDLE  # monotonic; None once all imports are made

    def notice(self, *, is_idle: bool) -> None:
        """Make the next import if it is due and nothing has happened."""
        now = time.monotonic()
        if self.due is None:
            return
        if not is_idle:
            self.due = min(self._latest, now + IDLE)
        elif now >= self.due:
            self._make_next()

    def _make_next(self) -> None:
        step = next(self._steps, None)
        if step is None:
            self.due = None
            return
        try:
            step()
        except OSError:  # for lack of descriptors or memory, or on a file system that does not answer now
            self._steps = chain([step], self._steps)
            self.due = time.monotonic() + LATEST
        except Exception as error:  # noqa: BLE001 - another program may be replacing the files of any package
            self._report(f"something that may be needed later cannot be imported: {error!r}")


def _steps(spec: Spec, process: Evaluations) -> Iterator[Callable[[], object]]:
    needs_process = evaluations.are_needed(spec)
    if needs_process:
        yield process.start
    for name in needed(spec):
        yield partial(importlib.import_module, name)
    yield fast_json.fast_parser  # imports orjson if it is installed
    yield partial(pin, spec)
    if needs_process:
        yield process.check  # it has had time to import what it needs
    yield partial(importlib.import_module, "psutil")


def needed(spec: Spec) -> Iterator[str]:
    """The modules that a supervisor of this spec may import later."""
    yield from ALWAYS
    if any(task.metrics for task in spec.possible_tasks):
        yield "nemorun_cli.supervisor.output_metrics"
    if any(map(asks_for_gpus, spec.possible_tasks)):
        yield "nemorun_cli.system.gpu_query"
    if spec.sampling is not None:
        yield from SAMPLING
    if any(group.best is not None or group.search is not None for group in spec.groups):
        yield from BEST
    if spec.server is not None:
        yield from SERVER
        yield "subprocess"  # which starts a sender
    if any(task.late or task.searched or task.when is not None for task in spec.possible_tasks):
        yield from EXPRESSIONS
    if any(task.cache is not None for task in spec.possible_tasks):
        yield "nemorun_cli.storage.step_cache.declared_files"
    for kind in sorted(_types(spec)):
        yield from SDK.get(kind, ())
        yield from _siblings(executors.find(kind).__module__)


def pin(spec: Spec) -> None:
    """Keep the classes that installed packages registered, for which their metadata is read each time."""
    for kind in _types(spec):
        executors.pin(kind)
    names = {name for task in spec.possible_tasks for name in task.launcher}
    if names:
        from nemorun_cli.executors import launchers  # noqa: PLC0415 - only for tasks that have one

        for name in names:
            launchers.REGISTRY.pin(name)


def _types(spec: Spec) -> set[str]:
    names = {task.executor for task in spec.possible_tasks}
    return {spec.executors.get(name, {}).get("type", name) for name in names}


def _siblings(module: str) -> Iterator[str]:
    """The modules of an executor of this package that is a package itself."""
    package = module.rpartition(".")[0]
    if not package.startswith(f"{executors.__name__}."):
        return
    paths = importlib.import_module(package).__path__
    for found in pkgutil.walk_packages(paths, f"{package}."):
        yield found.name
