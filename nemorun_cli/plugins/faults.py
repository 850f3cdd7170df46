"""Exceptions of plugins while they process events."""

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

SETTLE_WAIT: Final = 30.0  # seconds that a watching command waits for plugins to process the last event
SETTLE_PAUSE: Final = 0.01  # seconds between its checks
MOST_FAULTS: Final = 100  # shown per plugin


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An exception of a plugin; `event` and `task` are None outside of an event, as in its constructor."""

    plugin: str
    time: str
    error: str
    event: str | None = None
    task: str | None = None

    @property
    def line(self) -> str:
        """The fault as one line of text."""
        about = " ".join(part for part in (self.event, self.task) if part)
        return f"{self.plugin} failed{f' on {about}' if about else ''}: {self.error}"

    def to_json(self) -> dict[str, Any]:
        """Return an entry of `faults` in `exp.show/1`, which is also a line of the file."""
        return asdict(self)


def hearing(spec: Spec) -> Iterator[tuple[int, PluginUse]]:
    """Yield the plugins that receive events, each with its number in the spec."""
    return ((number, use) for number, use in enumerate(spec.plugins) if use.hears)


def settle(files: ExperimentFiles, spec: Spec, *, patience: float = SETTLE_WAIT) -> bool:
    """Wait at most `patience` seconds for plugins to process all events; return whether they have."""
    deadline = time.monotonic() + patience
    for number, _ in hearing(spec):
        listener = files.hearer(number)
        # In this order: a process that waited holds the lock before it stops waiting.
        while locks.is_shared(listener.waiting) or locks.is_held(listener.lock):
            if time.monotonic() > deadline:
                return False
            time.sleep(SETTLE_PAUSE)
    return True


def faults(files: ExperimentFiles, spec: Spec) -> list[Fault]:
    """Return the exceptions of plugins while they processed events, in the order of the spec."""
    recorded: list[Fault] = []
    for number, _ in hearing(spec):
        with contextlib.suppress(OSError):
            data = files.read(files.hearer(number).faults)
            lines = data.decode("utf-8", errors="replace").splitlines()
            recorded += [Fault(**entry) for entry in map(_parsed, lines[:MOST_FAULTS]) if entry]
    return recorded


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None  # incomplete after a crash
    return entry if isinstance(entry, dict) else None
