"""The second hook, seen from a supervisor: a process for each plugin that hears of events, woken by a pipe.

The ledger is the queue: the process reads it by itself, so that nothing here waits for a plugin.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli import locks
from nemorun_cli.home import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from nemorun_cli.home import ExperimentFiles
    from nemorun_cli.spec import PluginUse, Spec

SETTLE_WAIT: Final = 30.0  # seconds that a command which watched waits for plugins to hear of the end
SETTLE_PAUSE: Final = 0.01  # seconds between its looks
MOST_FAULTS: Final = 100  # of one plugin, that are told

_MODULE: Final = "nemorun_cli.plugins.hearing"


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


class Audience:
    """The processes of the plugins that hear of an experiment's events.

    Args:
        files: where the experiment lies.
        spec: the spec as resolved.
        home: `$NEMORUN_HOME`.
        secrets: values by name; a plugin gets those that its options name, and all as what not to tell.
        tell: where to say what went wrong.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        *,
        home: Path,
        secrets: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        self._pipes: dict[str, int] = {}
        self._tell = tell
        for number, use in hearing(spec):
            orders = {
                "directory": str(files.directory),
                "home": str(home),
                "number": number,
                "secrets": {name: secrets[name] for name in use.secrets if name in secrets},
                "hidden": sorted(secrets.values()),
            }
            try:
                self._pipes[use.uses] = _start(files, number, orders, folder=spec.folder)
            except OSError as error:
                tell(f"the plugin {use.uses} cannot hear of anything: {error}")

    def poke(self) -> None:
        """Say that there may be news."""
        for name, pipe in list(self._pipes.items()):
            try:
                os.write(pipe, b"!")
            except BlockingIOError:
                continue  # it has been told often enough
            except OSError:
                self._tell(f"the plugin {name} hears no more: its process is gone")
                os.close(self._pipes.pop(name))

    def close(self) -> None:
        """Say that there is nothing more; who hears goes on until it has heard of all."""
        for pipe in self._pipes.values():
            os.close(pipe)
        self._pipes.clear()


def hearing(spec: Spec) -> Iterator[tuple[int, PluginUse]]:
    """The plugins that listen to events, each with its number in the spec."""
    return ((number, use) for number, use in enumerate(spec.plugins) if use.hears)


def _start(files: ExperimentFiles, number: int, orders: Mapping[str, Any], *, folder: str) -> int:
    """Start one process, and give the end of the pipe that wakes it."""
    own = files.hearer(number)
    make_folder(own.directory)
    # Locked from its first moment on, so that whoever waits for it does not come too early.
    lock = locks.try_take(own.lock)
    log = os.open(own.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, *([str(lock)] if lock is not None else [])],
            stdin=read,
            stdout=log,
            stderr=log,
            cwd=folder if os.path.isdir(folder) else "/",  # noqa: PTH112 - a text
            start_new_session=True,
            pass_fds=[lock] if lock is not None else [],
        )
        os.write(write, json.dumps(orders).encode() + b"\n")
        os.set_blocking(write, False)
    except BaseException:
        os.close(write)
        raise
    finally:
        for descriptor in (read, log, *([lock] if lock is not None else [])):
            os.close(descriptor)
    return write


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
