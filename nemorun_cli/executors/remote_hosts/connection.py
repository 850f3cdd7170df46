"""Runs commands over ssh: one round trip at a time carries all pending commands and file checks."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors import background_commands
from nemorun_cli.executors.background_commands import CommandResult, LocalCommands
from nemorun_cli.executors.remote_hosts import protocol, ssh_client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nemorun_cli.executors.background_commands import LocalCommand
    from nemorun_cli.executors.remote_hosts.protocol import (
        CommandOutput,
        FilePiece,
        RoundTripReport,
        WatchedFiles,
    )
    from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel

TIMEOUT: Final = 90.0  # seconds that a round trip may take; commands may retry for a minute
TRANSFER_TIMEOUT: Final = 3600.0  # seconds that an rsync may take; it ends by itself when no data arrives
POLL_EVERY: Final = 0.05  # seconds between polls while a caller waits for a round trip
MOST_SHOWN: Final = 500  # characters of ssh's error output that are shown


class RemoteRequest:
    """One shell command that a round trip runs on the remote host."""

    def __init__(self, connection: Connection, text: str, name: str) -> None:
        self._connection, self.text, self.name = connection, text, name
        self.asked = time.monotonic()
        self.result: CommandResult | None = None

    def answer(self) -> CommandResult | None:
        """The answer; None until it has arrived."""
        if self.result is None:
            self._connection.receive()
        return self.result

    def wait(self, seconds: float) -> CommandResult | None:
        """Wait for the answer; None if it does not arrive in time."""
        self._connection.wait(lambda: self.result is not None, seconds)
        return self.result


class Connection:
    """Runs commands on the remote host, one round trip at a time.

    Args:
        tunnel: how the host is reached.
        prelude: shell text that precedes the commands of each round trip, such as functions they call.

    Attributes:
        experiment: the experiment's id, for messages to a person.
        problem: why the last round trip failed; None if it succeeded.
        last_success: the monotonic start time of the last successful round trip.
    """

    def __init__(self, tunnel: Tunnel, *, prelude: str = "") -> None:
        self.tunnel, self.processes = tunnel, LocalCommands()
        self.count = 0
        self.experiment = "EXP"
        self.problem: str | None = None
        self.last_success = 0.0
        self._prelude = prelude
        self._watched: Callable[[], WatchedFiles | None] = lambda: None
        self._on_pieces: Callable[[Sequence[FilePiece]], None] = lambda _: None
        self._waiting: list[RemoteRequest] = []
        self._sent: list[RemoteRequest] = []
        self._process: LocalCommand | None = None
        self._marker = ""
        self._is_refresh_requested = self._is_repeated = False

    def watch(
        self,
        watched: Callable[[], WatchedFiles | None],
        on_pieces: Callable[[Sequence[FilePiece]], None],
    ) -> None:
        """Check files in each round trip, too.

        Args:
            watched: returns the files to check; None for no files.
            on_pieces: receives the files that a round trip fetched.
        """
        self._watched, self._on_pieces = watched, on_pieces

    # -- requests ---------------------------------------------------------------------------------

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when a round trip has finished."""
        return self.processes.fileno()

    def send(self, text: str, *, name: str) -> RemoteRequest:
        """Run this shell text in the next round trip."""
        self.count += 1
        request = RemoteRequest(self, text, name)
        self._waiting.append(request)
        return request

    def request_refresh(self) -> None:
        """Start the next round trip as soon as possible, even without pending requests."""
        self._is_refresh_requested = True

    def collect(self) -> None:
        """Receive a finished round trip, and start the next one if requests are pending."""
        self.receive()
        if self._process is None and (self._waiting or self._is_refresh_requested):
            self._start()

    def due(self) -> float | None:
        """Now if a round trip can start, otherwise when the running one exceeds its timeout."""
        if self._process is None and (self._waiting or self._is_refresh_requested):
            return time.monotonic()
        return self.processes.due()

    def wait(self, is_done: Callable[[], bool], seconds: float) -> None:
        """Make round trips until `is_done` or the time limit."""
        end = time.monotonic() + seconds
        while not is_done() and (remaining := end - time.monotonic()) > 0:
            self.collect()
            if self._process is not None:
                self._process.wait(min(remaining, POLL_EVERY))
            self.receive()

    @property
    def is_idle(self) -> bool:
        """Whether no round trip is running or pending."""
        return self._process is None and not self._waiting and not self._is_refresh_requested

    def close(self) -> None:
        """Send pending requests, and release the round trip; it continues without this process."""
        if self._process is None and self._waiting:
            self._start()
        self.processes.close()

    # -- round trips ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._marker = f"exp-{secrets.token_hex(16)}"
        self._sent, self._waiting, self._is_refresh_requested = self._waiting, [], False
        now = time.monotonic()
        for request in self._sent:
            request.asked = now
        text = protocol.script(
            [request.text for request in self._sent],
            self._watched(),
            marker=self._marker,
            pre_command=self.tunnel.pre_command,
            prelude=self._prelude,
        )
        self._process = self.processes.start(
            self.tunnel.shell(),
            ssh_client.environment(),
            stdin=text.encode(errors="surrogateescape"),
            timeout=TIMEOUT,
        )

    def receive(self) -> None:
        """Process a finished round trip: the files first, so that no answer is newer than the files."""
        process = self._process
        answer = process.answer() if process else None
        if process is None or answer is None:
            return
        self._process = None
        report = protocol.parse(process.output, process.complaint, marker=self._marker)
        complaint = report.rest or answer.complaint
        if not report.is_whole and not self._is_repeated and ssh_client.was_not_sent(complaint):
            self._is_repeated = True
            self._waiting = [*self._sent, *self._waiting]
            self._start()
            return
        self._is_repeated = False
        self.problem = None if report.is_whole else self.explain(complaint)
        if report.is_whole:
            self.last_success = process.asked
        try:
            self._on_pieces(report.pieces)
        finally:  # also if the files could not be written, for example to a full disk
            self._deliver(report, requests=self._sent)

    def _deliver(self, report: RoundTripReport, *, requests: Sequence[RemoteRequest]) -> None:
        for index, request in enumerate(requests):
            if index < len(report.outputs):
                request.result = _result(report.outputs[index], request)
            else:
                request.result = CommandResult(
                    code=None, complaint=self.problem or "", asked=request.asked, connection_failed=True
                )

    def explain(self, complaint: str) -> str:
        """The message for an error of ssh, to show as the state of a task."""
        if ssh_client.needs_person(complaint):
            return f"ssh needs you: exp doctor {self.experiment}"
        reason = " ".join(complaint.split())[:MOST_SHOWN]
        printed, is_refused, code = reason.partition(protocol.REFUSED)
        if is_refused:
            return f"{self.tunnel.host}: {is_refused}{code}{f': {printed}' if printed else ''}".rstrip()
        return f"ssh cannot reach {self.tunnel.host}: {reason or 'the connection broke'}"


def _result(output: CommandOutput, request: RemoteRequest) -> CommandResult:
    text = output.output.decode(errors="surrogateescape")
    complaint = output.complaint.decode(errors="surrogateescape").strip()
    if output.code:
        complaint = complaint or text.strip()
    return CommandResult(
        code=output.code,
        output=text,
        complaint=complaint[-background_commands.MOST_SHOWN :],
        asked=request.asked,
    )
