"""The launcher protocol: a launcher prefixes a task's command line with a program that starts its processes.

A launcher is pure: its result is part of the plan, and the dry run shows it. To add one, write the module
and add a line to `REGISTRY`, or register the class of another package under the entry-point group
`nemorun_cli.launchers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nemorun_cli.errors import EngineError
from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NONE: Final = "none"  # in place of a launcher: the task is started directly

REGISTRY: Final = Registry(
    kind="launcher",
    group="nemorun_cli.launchers",
    built_in={
        "torchrun": "nemorun_cli.executors.launchers.torchrun:Torchrun",
        "wrap": "nemorun_cli.executors.launchers.wrap:Wrap",
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSetting:
    """Where a launched task runs: its executor's options from the spec, and its requested GPUs."""

    executor: Mapping[str, Any] = field(default_factory=dict)
    gpus: int | None = None


class Launcher(Protocol):
    """Created with its options from the spec, validated against `options_schema`."""

    options_schema: ClassVar[Mapping[str, Any]]

    def __init__(self, options: Any) -> None: ...

    def problems(self, setting: LaunchSetting) -> Iterable[str]:
        """The reasons why it cannot launch a task there, each with a remedy."""
        ...

    def argv(self, argv: tuple[str, ...], setting: LaunchSetting) -> tuple[str, ...]:
        """The command line that launches `argv`."""
        ...


def normal(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """Launchers by name with their options, outermost first; a name alone means no options."""
    named = {value: None} if isinstance(value, str) else dict(value)
    named.pop(NONE, None)
    return {name: {} if options is None else options for name, options in named.items()}


def make(name: str, options: Any) -> Launcher:
    """The launcher with this name and these options."""
    launcher: Launcher = REGISTRY.find(name)(options)
    return launcher


def launched(argv: tuple[str, ...], launchers: Mapping[str, Any], setting: LaunchSetting) -> tuple[str, ...]:
    """The command line with the prefixes of all launchers, the first one outermost.

    Raises:
        EngineError: a launcher, which may be user code, raised an exception.
    """
    for name, options in reversed(list(launchers.items())):
        try:
            argv = make(name, options).argv(argv, setting)
        except Exception as error:
            message = f"the launcher {name!r} is at fault: {type(error).__name__}: {error}"
            raise EngineError(message) from error
    return argv
