"""What an entrypoint knows about its run: where it runs, and the options of the command line."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - arguments are read by the annotations
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nemorun_cli.errors import UsageError
from nemorun_cli.nemo.executors import Executor  # noqa: TC001 - the same
from nemorun_cli.nemo.plugins import Plugin  # noqa: TC001 - the same

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nemorun_cli.nemo.experiment import Experiment


@dataclass(kw_only=True)
class RunContext:
    """The run of an entrypoint; one of an experiment gets it as its argument `ctx`.

    Attributes:
        name: that of the run, by default the entrypoint's.
        executor: where tasks run; None if none was chosen.
        plugins: the plugins that were chosen.
        sequential: whether tasks that were added by `add` run one after the other.
    """

    name: str
    direct: bool = False
    dryrun: bool = False
    factory: str | Callable[..., Any] | None = None
    yaml: str | None = None
    detach: bool = False
    skip_confirmation: bool = False
    tail_logs: bool = False
    to_yaml: str | None = None
    to_json: str | None = None
    sequential: bool = False
    executor: Executor | None = None
    plugins: Plugin | list[Plugin] | None = None
    _experiment: Any = field(default=None, init=False, repr=False)

    @property
    def is_direct(self) -> bool:
        """Whether tasks run in this process: if that was requested, or nothing else was chosen."""
        return self.direct or (self.executor is None and not self.detach)

    def launch(self, experiment: Experiment, sequential: bool = False) -> Any:  # noqa: FBT001, FBT002 - as in NeMo-Run
        """Run an experiment, or show it, as the command line requested it; return what its `run` returns."""
        if self.dryrun:
            return experiment.dryrun()
        return experiment.run(
            sequential=sequential, detach=self.detach, direct=self.is_direct, tail_logs=self.tail_logs
        )

    def add(self, task: Any, executor: Any = None, name: str = "", **options: Any) -> str:
        """Add a task to the run's own experiment, which starts when the entrypoint returns; return its id."""
        if self._experiment is None:
            from nemorun_cli.nemo.experiment import Experiment  # noqa: PLC0415 - many entrypoints make their own

            self._experiment = Experiment(self.name, executor=self.executor)
            self._experiment.__enter__()
        options = {"plugins": self.plugins or None, **options}
        return str(self._experiment.add(task, executor=executor, name=name, **options))

    def finish(self) -> None:
        """Start the run's own experiment, if it has tasks."""
        if self._experiment is not None:
            self.launch(self._experiment, sequential=self.sequential)
            self._experiment.__exit__(None, None, None)


def listed(plugins: Any) -> Sequence[Any]:
    """The plugins of a context as a list."""
    if plugins is None:
        return []
    return plugins if isinstance(plugins, (list, tuple)) else [plugins]


def require_context(kind: Any) -> type[RunContext]:
    """The class of an entrypoint's context; raises UsageError if it is none."""
    if kind is None:
        return RunContext
    if not (isinstance(kind, type) and issubclass(kind, RunContext)):
        raise UsageError(f"run_ctx_cls is {kind!r}", hint="give a subclass of run.cli.RunContext")
    return kind
