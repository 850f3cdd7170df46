"""Starts one process for each plugin that listens to events and wakes it through a pipe.

The ledger is the queue: the process reads it on its own, so the supervisor never waits for a plugin.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.plugins.faults import hearing
from nemorun_cli.system import locks
from nemorun_cli.system.files import descriptor_to_append, make_folder
from nemorun_cli.system.process_limits import callers_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from nemorun_cli.model.spec import Spec
    from nemorun_cli.storage.paths import ExperimentFiles


_MODULE: Final = "nemorun_cli.experiment.listener_process"


class Listeners:
    """The processes of the plugins that listen to an experiment's events.

    Args:
        files: the paths of the experiment.
        spec: the resolved spec.
        home: `$NEMORUN_HOME`.
        secrets: values by name; a plugin receives the ones its options name, and all values to mask.
        report: called with each error message.
    """

    def __init__(
        self,
        files: ExperimentFiles,
        spec: Spec,
        *,
        home: Path,
        secrets: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        self._pipes: dict[str, int] = {}
        self._report = report
        for number, use in hearing(spec):
            order = {
                "directory": str(files.directory),
                "home": str(home),
                "number": number,
                "secrets": {name: secrets[name] for name in use.secrets if name in secrets},
                "hidden": sorted(secrets.values()),
            }
            try:
                self._pipes[use.uses] = _start(files, number, order, folder=spec.folder)
            except OSError as error:
                report(f"cannot start the listener of the plugin {use.uses}: {error}")

    def poke(self) -> None:
        """Wake the processes: the ledger may have new events."""
        for name, pipe in list(self._pipes.items()):
            try:
                os.write(pipe, b"!")
            except BlockingIOError:
                continue  # the pipe is full of unread wake-ups
            except OSError:
                self._report(f"the plugin {name} receives no more events: its process has terminated")
                os.close(self._pipes.pop(name))

    def close(self) -> None:
        """Close the pipes: each process reads the remaining events and exits."""
        for pipe in self._pipes.values():
            os.close(pipe)
        self._pipes.clear()


def _start(files: ExperimentFiles, number: int, order: Mapping[str, Any], *, folder: str) -> int:
    """Start one process; returns the write end of the pipe that wakes it."""
    own = files.hearer(number)
    make_folder(own.directory)
    # Lock before the process starts: otherwise a command that waits for the listener could find it unlocked.
    # If the process of an earlier supervisor still has the lock, the new one is known to wait for it.
    waiting = locks.share(own.waiting)
    lock = locks.try_take(own.lock)
    role, held = (["waiting", str(waiting)], waiting) if lock is None else ([], lock)
    log = descriptor_to_append(own.log)
    read, write = os.pipe2(os.O_CLOEXEC)
    try:
        with callers_limits():
            subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, *role],
                stdin=read,
                stdout=log,
                stderr=log,
                cwd=folder if os.path.isdir(folder) else "/",  # noqa: PTH112 - a text
                start_new_session=True,
                pass_fds=[held],
            )
        os.write(write, json.dumps(order).encode() + b"\n")
        os.set_blocking(write, False)
    except BaseException:
        os.close(write)
        raise
    finally:
        for descriptor in (read, log, waiting, *([lock] if lock is not None else [])):
            os.close(descriptor)
    return write
