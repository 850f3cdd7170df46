"""What plugins raised when they heard of events."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.system import locks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.model.spec import PluginUse, Spec
    from nemorun_cli.storage.paths import ExperimentFiles


SETTLE_WAIT: Final = 30.0  # seconds that a command which watched waits for plugins to hear of the end


SETTLE_PAUSE: Final = 0.01  # seconds between its looks


MOST_FAULTS: Final = 100  # of one plugin, that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a plugin raised; `event` and `task` are None for what is about no event, as its own making."""

    plugin: str
    time: str
    error: str
    event: str | None = None
    task: str | None = None

    @property
    def line(self) -> str:
        """The same for people."""
        about = " ".join(part for part in (self.event, self.task) if part)
        return f"{self.plugin} failed{f' on {about}' if about else ''}: {self.error}"

    def to_json(self) -> dict[str, Any]:
        """An entry of `faults` in `exp.show/1`, and a line of the file."""
        return asdict(self)


def hearing(spec: Spec) -> Iterator[tuple[int, PluginUse]]:
    """The plugins that listen to events, each with its number in the spec."""
    return ((number, use) for number, use in enumerate(spec.plugins) if use.hears)


def settle(files: ExperimentFiles, spec: Spec, *, patience: float = SETTLE_WAIT) -> bool:
    """Wait until all plugins have heard of everything, at most so many seconds; says whether they have."""
    end = time.monotonic() + patience
    for number, _ in hearing(spec):
        while locks.is_held(files.hearer(number).lock):
            if time.monotonic() > end:
                return False
            time.sleep(SETTLE_PAUSE)
    return True


def faults(files: ExperimentFiles, spec: Spec) -> list[Fault]:
    """What plugins raised when they heard of events, in the order of the spec."""
    found: list[Fault] = []
    for number, _ in hearing(spec):
        with contextlib.suppress(FileNotFoundError):
            lines = files.hearer(number).faults.read_text(encoding="utf-8").splitlines()
            found += [Fault(**entry) for entry in map(_parsed, lines[:MOST_FAULTS]) if entry]
    return found


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None  # torn by a crash
    return entry if isinstance(entry, dict) else None
