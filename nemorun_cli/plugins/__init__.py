"""Plugins: code that changes tasks and their executors before launch, or receives events.

A plugin is a class with one or both of the hooks below. A run without plugins does not import this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from nemorun_cli.model.resources import NOTHING, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.spec import Identity, Kind, Retry
    from nemorun_cli.storage.events import Event

ENTRY_POINTS: Final = "nemorun_cli.plugins"
PAGE: Final = "docs/extend/plugins.md"
HOOKS: Final = ("change", "on_event")
SUPERVISOR_GONE: Final = "supervisor_gone"  # sent by the process of the plugin, not in the ledger

BUILT_IN: Final = {
    "env": "nemorun_cli.plugins.builtin.env:Env",
    "mlflow": "nemorun_cli.plugins.builtin.mlflow:Mlflow",
    "notify": "nemorun_cli.plugins.builtin.notify:Notify",
    "nsys": "nemorun_cli.plugins.builtin.nsys:Nsys",
    "preemption": "nemorun_cli.plugins.builtin.preemption:Preemption",
    "wandb": "nemorun_cli.plugins.builtin.wandb:Wandb",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One task as it will be started, with the options of its executor.

    A plugin returns a changed copy (`dataclasses.replace`, or the methods below). It may change the fields
    in CHANGEABLE; the others are for information. Times are in seconds.

    Attributes:
        experiment: the id, the name and the directory of the experiment.
        tracked: the prefix under which the experiment is tracked.
        executor: the name of the executor; `type` is its type.
        secrets: the names of the secrets that the task receives.
        prefix: words before the command, such as a profiler, which has to run the rest as a command.
        env: variables, including those of the spec; `EXP_…` variables override them.
        options: the options of the executor for this task.
    """

    experiment: Identity
    tracked: str
    task: str
    group: str | None
    matrix: Mapping[str, Any]
    kind: Kind
    workdir: str
    executor: str
    type: str
    secrets: tuple[str, ...]
    prefix: tuple[str, ...] = ()
    args: tuple[Any, ...] | Mapping[str, Any] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    retry: Retry
    resources: Resources = NOTHING
    stop_signal: str
    stop_grace: float
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_env(self, **variables: str) -> Self:
        """Return a copy with these variables set."""
        return replace(self, env={**self.env, **variables})

    def with_options(self, **options: Any) -> Self:
        """Return a copy with these options of its executor."""
        return replace(self, options={**self.options, **options})

    def with_prefix(self, *words: str) -> Self:
        """Return a copy with these words before its command and before its current prefix."""
        return replace(self, prefix=(*words, *self.prefix))


CHANGEABLE: Final = (
    "prefix",
    "args",
    "env",
    "timeout",
    "retry",
    "resources",
    "stop_signal",
    "stop_grace",
    "options",
)


class Plugin:
    """An optional base class of plugins; any class with either hook is a plugin.

    The `with` of the spec is passed to the class as keyword arguments.

    Attributes:
        schema: a JSON Schema of these arguments.
        events: the kinds of events that it receives, None for all; see `exp events`.
        limit: the seconds that it may spend on one event.
    """

    schema: ClassVar[Mapping[str, Any]] = {}
    events: ClassVar[frozenset[str] | None] = None
    limit: ClassVar[float] = 60.0

    def change(self, launch: Launch) -> Launch:
        """Return the launch, changed or not; called for each task before anything is created.

        It may be called again for another id, so the result must depend on the arguments alone. An exception
        stops the launch.
        """
        return launch

    def on_event(self, event: Event, run: Any) -> None:
        """Process an event of the ledger; called in the order of events, in a separate process per plugin.

        An exception is recorded and has no other effect.

        Args:
            event: the event, as `exp events --json` prints it.
            run: the experiment, a `nemorun_cli.Run`.
        """


@dataclass(frozen=True, slots=True)
class GivenPlugin:
    """A plugin passed in Python, and its tasks or groups; None for all.

    `plugin` is an object, or a mapping as in a spec: `{"uses": …, "with": {…}}`.
    """

    plugin: object
    tasks: tuple[str, ...] | None = None


def has_hook(plugin: object, name: str) -> bool:
    """Whether a plugin defines the hook `name`: `change` or `on_event`."""
    hook = getattr(type(plugin), name, None)
    return hook is not None and hook is not getattr(Plugin, name)


def hook_problem(plugin: object) -> tuple[str, str] | None:
    """Why an object would do nothing as a plugin, as the predicate of its name, and the remedy; else None."""
    if hasattr(plugin, "hear") and not has_hook(plugin, "on_event"):
        remedy = "see 'Names of earlier versions' in docs/extend/executors.md"
        return "implements an earlier protocol: `hear` is now `on_event`", remedy
    if any(has_hook(plugin, name) for name in HOOKS):
        return None
    if isinstance(plugin, type):
        return "is a class", f"give an instance of it: {plugin.__name__}(…)"
    message = "has no hook and would do nothing: a plugin has change(launch) or on_event(event, run)"
    if not callable(getattr(plugin, "setup", None)):
        return message, f"see {PAGE}"
    return message, (
        "setup(task, executor) is the hook of NeMo-Run: write change(launch), which returns a changed copy,"
        " or use the Experiment of nemorun_cli.nemo, which calls setup"
    )
