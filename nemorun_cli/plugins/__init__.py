"""Plugins: code that changes tasks and their executors before launch, or hears of what happens.

A plugin is a class with one or both of the hooks below. A run without plugins imports nothing of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from nemorun_cli.model.resources import NOTHING, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nemorun_cli.model.spec import Identity, Kind, Retry
    from nemorun_cli.storage.ledger import Event

ENTRY_POINTS: Final = "nemorun_cli.plugins"
SUPERVISOR_GONE: Final = "supervisor_gone"  # told to plugins by their own process, and in no ledger

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

    A plugin gives back a changed one (`dataclasses.replace`, or the methods below). It may change what
    CHANGEABLE names; the rest tells what this is about. Times are in seconds.

    Attributes:
        experiment: the id, the name and the directory of the experiment.
        tracked: the prefix under which the experiment is tracked.
        executor: the name of the executor, and `type` its type.
        secrets: the names of the secrets that it gets.
        prefix: words in front of the command, as of a profiler; what they start has to start the rest.
        env: variables; those of the spec are in it, `EXP_…` come over them.
        options: of the executor, for this task.
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
        """The same with these variables set."""
        return replace(self, env={**self.env, **variables})

    def with_options(self, **options: Any) -> Self:
        """The same with these options of its executor."""
        return replace(self, options={**self.options, **options})

    def with_prefix(self, *words: str) -> Self:
        """The same with these words in front of its command, and of what is in front of it already."""
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
    """What plugins may derive from; a class with either hook will do.

    It is made with what the spec gives it by `with`, as keyword arguments. `schema` is a JSON Schema of
    these. `events` are the kinds of events that it hears of, None for all; see `exp events`. `limit` is how
    many seconds it may take over one.
    """

    schema: ClassVar[Mapping[str, Any]] = {}
    events: ClassVar[frozenset[str] | None] = None
    limit: ClassVar[float] = 60.0

    def change(self, launch: Launch) -> Launch:
        """The launch of a task as it shall be; called for each task before anything is created.

        It may be called again for another id, so it decides by its arguments alone. What it raises stops
        the launch.
        """
        return launch

    def on_event(self, event: Event, run: Any) -> None:
        """Take note of an event of the ledger, in a process of this plugin's own, in their order.

        What it raises is recorded and changes nothing.

        Args:
            event: the event, as `exp events --json` prints it.
            run: the experiment, a `nemorun_cli.Run`.
        """


@dataclass(frozen=True, slots=True)
class GivenPlugin:
    """A plugin that was given in Python, and the tasks or groups that it is for; None for all.

    `plugin` is one that was made, or a mapping as in a spec: `{"uses": …, "with": {…}}`.
    """

    plugin: object
    tasks: tuple[str, ...] | None = None


def has_hook(plugin: object, name: str) -> bool:
    """Whether a plugin has a hook of its own, `change` or `on_event`."""
    hook = getattr(type(plugin), name, None)
    return hook is not None and hook is not getattr(Plugin, name)
