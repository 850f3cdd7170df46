"""What a launcher is: it leads a task's command line with a program that starts the task's processes.

A launcher is pure: what it makes of a command line is part of the plan, and the dry run shows it. A new
one is added by its file and a line in `REGISTRY`, or by a package of its own that names its class under the
entry-point group `nemorun_cli.launchers`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from nemorun_cli.errors import EngineError
from nemorun_cli.system.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NONE: Final = "none"  # in place of a launcher: the task is started as it is

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
    """Where a launched task runs: the options of its executor as the spec gives them, and its own GPUs."""

    executor: Mapping[str, Any] = field(default_factory=dict)
    gpus: int | None = None


class Launcher(Protocol):
    """Made with its options as a spec gives them, checked against `options_schema`."""

    options_schema: ClassVar[Mapping[str, Any]]

    def __init__(self, options: Any) -> None: ...

    def problems(self, setting: LaunchSetting) -> Iterable[str]:
        """What makes it impossible there, each with what to do about it."""
        ...

    def argv(self, argv: tuple[str, ...], setting: LaunchSetting) -> tuple[str, ...]:
        """The command line that launches the given one."""
        ...


def normal(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """Launchers by name with their options, the leading one first; a name is short for one without any."""
    named = {value: None} if isinstance(value, str) else dict(value)
    named.pop(NONE, None)
    return {name: {} if options is None else options for name, options in named.items()}


def make(name: str, options: Any) -> Launcher:
    """The launcher of a name."""
    launcher: Launcher = REGISTRY.find(name)(options)
    return launcher


def launched(argv: tuple[str, ...], launchers: Mapping[str, Any], setting: LaunchSetting) -> tuple[str, ...]:
    """The command line led by all of the launchers, of which the first comes first.

    Raises:
        EngineError: one of them fails, which is anybody's code.
    """
    for name, options in reversed(list(launchers.items())):
        try:
            argv = make(name, options).argv(argv, setting)
        except Exception as error:
            message = f"the launcher {name!r} is at fault: {type(error).__name__}: {error}"
            raise EngineError(message) from error
    return argv
