"""The process of one plugin that listens to events: `python -m nemorun_cli.experiment.listener_process`.

It reads its request from standard input, as one line of JSON. Each further byte means that the ledger may
have new events, and the end of input that no more will come. The process reads the ledger itself, stores its
position, and exits when it has delivered all events.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import select
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.experiment.run import Run
from nemorun_cli.model import masking
from nemorun_cli.model.clock import stamp
from nemorun_cli.model.control_characters import LAYOUT, escaped
from nemorun_cli.plugins import SUPERVISOR_GONE, Plugin, discovery
from nemorun_cli.plugins.faults import Fault
from nemorun_cli.storage import events, spec_copies
from nemorun_cli.storage.ledger import reader_of
from nemorun_cli.storage.paths import ExperimentFiles, Home
from nemorun_cli.system import locks
from nemorun_cli.system.files import descriptor_to_append, descriptor_to_change
from nemorun_cli.system.masked_stream import masked_output

if TYPE_CHECKING:
    from nemorun_cli.model.spec import PluginUse
    from nemorun_cli.storage.events import Event
    from nemorun_cli.storage.paths import ListenerFiles

HARD: Final = 2.0  # times the limit: then the process exits if the plugin could not be interrupted
PREDECESSOR_WAIT: Final = 900.0  # seconds: the process of an earlier supervisor may still be delivering
LOOK_EVERY: Final = 5.0  # seconds between reads of the ledger, in case a wake-up is lost
LATE: Final = (
    "nemorun_cli.experiment.cancel",
    "nemorun_cli.plugins.builtin.webhook",
    "nemorun_cli.views.exit_records",
    "nemorun_cli.views.follow",
    "urllib.request",
)
MOST_FAULTS: Final = 1000  # recorded per process


class TooLongError(Exception):
    """A plugin exceeded its time limit for an event."""


class Listener:
    """One plugin and its position in the ledger."""

    def __init__(self, number: int, use: PluginUse, run: Run) -> None:
        self._files, self._use, self._run = run.files.hearer(number), use, run
        self._ledger = reader_of(run.files.ledger)
        self._position = descriptor_to_change(self._files.heard)
        self._delivered = int(os.read(self._position, 32) or b"0")
        self._seen = 0
        self._is_finished = False
        self._faults = 0
        self._suggested: dict[str, dict[str, Any]] = {}  # the values of trials
        self._plugin: Any = None

    def make(self, values: dict[str, str]) -> bool:
        """Construct the plugin; returns whether that succeeded."""
        try:
            self._plugin = discovery.find(self._use.uses)(**self._use.options_with(values))
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it is recorded
            self._record(error, None)
            return False
        return True

    def listen(self) -> None:
        """Deliver events to the plugin until no more will come."""
        wakeups = select.poll()
        wakeups.register(0, select.POLLIN)
        input_ended = False
        while True:
            for event in self._news():
                self._seen += 1
                self._is_finished = event["event"] == events.FINISHED or (
                    self._is_finished and event["event"] != events.RESUMED
                )
                if event["event"] == events.SUGGESTED:
                    self._suggested[event["task"]] = event["params"]
                if self._seen > self._delivered:
                    self._deliver(event)
                    os.pwrite(self._position, b"%020d\n" % self._seen, 0)
            if input_ended and not self._is_finished:
                self._deliver({"event": SUPERVISOR_GONE, "time": stamp(), "by": f"plugin {self._use.uses}"})
            if input_ended:
                return
            if wakeups.poll(LOOK_EVERY * 1000):
                input_ended = not os.read(0, 65536)
            else:
                self._import_late()

    def _import_late(self) -> None:
        """Import what a plugin may need of `run` later, when an upgrade may have replaced the package."""
        for name in LATE:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    def _news(self) -> list[Event]:
        """The new events; none of a damaged ledger, whose supervisor ends without having recorded that."""
        try:
            return self._ledger.read()
        except LedgerError as error:
            _log(error.message)
            return []

    def _deliver(self, event: Event) -> None:
        kinds, tasks = getattr(self._plugin, "events", None), self._use.tasks
        if (kinds is not None and event["event"] not in kinds) or (
            tasks is not None
            and (
                event.get("task") not in tasks or not self._use.is_for(self._suggested.get(event["task"], {}))
            )
        ):
            return
        limit = float(getattr(self._plugin, "limit", Plugin.limit))
        signal.setitimer(signal.ITIMER_REAL, limit)
        faulthandler.dump_traceback_later(HARD * limit, exit=True)
        try:
            try:
                self._plugin.on_event(event, self._run)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                faulthandler.cancel_dump_traceback_later()
        except Exception as error:  # noqa: BLE001 - as in `make`
            self._record(error, event)

    def _record(self, error: Exception, event: Event | None) -> None:
        text = "".join(traceback.format_exception(error)).rstrip()
        _log(masking.mask(text, self._run.secrets))
        self._faults += 1
        if self._faults <= MOST_FAULTS:
            details = event or {}
            fault = Fault(
                plugin=self._use.uses,
                time=stamp(),
                error=masking.mask_message(f"{type(error).__name__}: {error}", self._run.secrets),
                event=details.get("event"),
                task=details.get("task"),
            )
            _append(self._files, json.dumps(fault.to_json()) + "\n")


def _log(text: str) -> None:
    """Write to the plugin's log, which people read on a terminal."""
    sys.stderr.write(f"{stamp()} {escaped(text, kept=LAYOUT)}\n")


def main() -> int:
    """Deliver an experiment's events to one plugin until no more will come."""
    request = json.loads(_first_line())
    files = ExperimentFiles(Path(request["directory"]))
    number = request["number"]
    if len(sys.argv) > 1:  # "waiting", and the descriptor that shows this
        if locks.take(files.hearer(number).lock, patience=PREDECESSOR_WAIT) is None:
            _log("another process of this plugin is still running")
            return 1
        os.close(int(sys.argv[2]))
    spec = spec_copies.read_copy(files)
    signal.signal(signal.SIGALRM, _interrupt)
    if spec.plugins[number].is_module:  # only then: the folder could shadow imports of other plugins
        sys.path.insert(0, spec.folder)
    run = Run(files, Home(Path(request["home"])), set(request["hidden"]))
    with masked_output(run.secrets):
        listener = Listener(number, spec.plugins[number], run)
        if not listener.make(request["secrets"]):
            return 1
        with contextlib.suppress(ExpError):  # the experiment was removed meanwhile
            listener.listen()
    return 0


def _first_line() -> bytes:
    """The request, read byte by byte: what follows it on the pipe must stay unread."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return line


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise TooLongError("it exceeded its time limit for one event")


def _append(listener: ListenerFiles, line: str) -> None:
    descriptor = descriptor_to_append(listener.faults)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
