"""Slurm asked over ssh: all that is to be asked and to be looked at goes in one round trip at a time."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm import commands, ssh
from nemorun_cli.executors.slurm.commands import CommandResult, LocalCommands
from nemorun_cli.executors.slurm.remote import protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from nemorun_cli.executors.slurm.commands import LocalCommand
    from nemorun_cli.executors.slurm.remote.protocol import (
        CommandOutput,
        FilePiece,
        RoundTripReport,
        WatchedFiles,
    )
    from nemorun_cli.executors.slurm.ssh import Tunnel

PATIENCE: Final = 90.0  # seconds that a trip may take; sbatch itself tries for a minute while Slurm is busy
AGAIN: Final = 0.05  # seconds between looks at whether a trip is back, for who waits for it
MOST_TOLD: Final = 500  # characters of what ssh complains of


class RemoteRequest:
    """One command that a trip does there."""

    def __init__(self, trips: Connection, text: str, name: str) -> None:
        self._trips, self.text, self.name = trips, text, name
        self.asked = time.monotonic()
        self.told: CommandResult | None = None

    def answer(self) -> CommandResult | None:
        """The answer, if it is back."""
        if self.told is None:
            self._trips.arrive()
        return self.told

    def wait(self, seconds: float) -> CommandResult | None:
        """The answer, waited for; None if it is not back in time."""
        self._trips.wait(lambda: self.told is not None, seconds)
        return self.told


class Connection:
    """Asks Slurm's commands on the far side, one round trip at a time.

    Args:
        tunnel: how it is reached.
        given: sbatch's options that a spec gives, whose defaults in the environment do not count.
        watched: what every trip looks at besides.
        take: gets what it found.

    Attributes:
        experiment: whose trips these are, for a person who has to help.
        trouble: why the last trip failed; None if it did not.
        looked: the monotonic time at which the last one left that came to its end.
    """

    def __init__(
        self,
        tunnel: Tunnel,
        given: Iterable[str],
        *,
        watched: Callable[[], WatchedFiles | None],
        take: Callable[[Sequence[FilePiece]], None],
    ) -> None:
        self.tunnel, self.processes = tunnel, LocalCommands()
        self.own, self.count = "--me", 0
        self.experiment = "EXP"
        self.trouble: str | None = None
        self.looked = 0.0
        self._given, self._watched, self._take = frozenset(given), watched, take
        self._waiting: list[RemoteRequest] = []
        self._sent: list[RemoteRequest] = []
        self._process: LocalCommand | None = None
        self._mark = ""
        self._is_look_due = False

    # -- asking -----------------------------------------------------------------------------------

    def fileno(self) -> int | None:
        """A descriptor that becomes readable when a trip is over."""
        return self.processes.fileno()

    def ask(self, argv: Sequence[str]) -> RemoteRequest:
        """Ask one of Slurm's commands, with the next trip."""
        return self.send(self.text(argv), name=argv[0])

    def text(self, argv: Sequence[str]) -> str:
        """The shell text that asks one of Slurm's commands."""
        kept = commands.kept(argv[0], self._given)
        return protocol.ask(argv, settings=kept, fixed=commands.fixed(argv[0]), path=commands.PATH)

    def send(self, text: str, *, name: str) -> RemoteRequest:
        """Have this shell text run there, with the next trip."""
        self.count += 1
        errand = RemoteRequest(self, text, name)
        self._waiting.append(errand)
        return errand

    def look(self) -> None:
        """Have the next trip begin now, also if nothing is to be asked."""
        self._is_look_due = True

    def collect(self) -> None:
        """Take in a trip that is back, and send what waits."""
        self.arrive()
        if self._process is None and (self._waiting or self._is_look_due):
            self._go()

    def due(self) -> float | None:
        """At once if something waits to be sent, else when a trip takes too long."""
        if self._process is None and (self._waiting or self._is_look_due):
            return time.monotonic()
        return self.processes.due()

    def wait(self, is_enough: Callable[[], bool], seconds: float) -> None:
        """Go on with trips until it is enough, or the time is over."""
        end = time.monotonic() + seconds
        while not is_enough() and (left := end - time.monotonic()) > 0:
            self.collect()
            if self._process is not None:
                self._process.wait(min(left, AGAIN))
            self.arrive()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing waits to be sent."""
        return self._process is None and not self._waiting and not self._is_look_due

    def close(self) -> None:
        """Send what still waits, and let go: it goes on without us."""
        if self._process is None and self._waiting:
            self._go()
        self.processes.close()

    # -- trips ------------------------------------------------------------------------------------

    def _go(self) -> None:
        self._mark = f"exp-{secrets.token_hex(16)}"
        self._sent, self._waiting, self._is_look_due = self._waiting, [], False
        now = time.monotonic()
        for errand in self._sent:
            errand.asked = now
        text = protocol.script([errand.text for errand in self._sent], self._watched(), mark=self._mark)
        self._process = self.processes.start(
            self.tunnel.shell(),
            ssh.environment(),
            told=text.encode(errors="surrogateescape"),
            patience=PATIENCE,
        )

    def arrive(self) -> None:
        """Take in a trip that is back: first what it found, so that nothing said of it is newer."""
        process = self._process
        answer = process.answer() if process else None
        if process is None or answer is None:
            return
        self._process = None
        report = protocol.parse(process.output, process.complaint, mark=self._mark)
        self.trouble = None if report.is_whole else self.explain(report.rest or answer.complaint)
        if report.is_whole:
            self.looked = process.asked
        try:
            self._take(report.pieces)
        finally:  # also if there is no room here for what was found
            self._tell(report, asked=self._sent)

    def _tell(self, report: RoundTripReport, *, asked: Sequence[RemoteRequest]) -> None:
        for index, errand in enumerate(asked):
            if index < len(report.said):
                errand.told = _answer(report.said[index], errand)
            else:
                errand.told = CommandResult(
                    code=None, complaint=self.trouble or "", asked=errand.asked, is_lost=True
                )

    def explain(self, complaint: str) -> str:
        """What a failure of ssh means for who looks at a task."""
        if ssh.needs_person(complaint):
            return f"ssh needs you: exp doctor {self.experiment}"
        said = " ".join(complaint.split())[:MOST_TOLD]
        return f"ssh does not reach {self.tunnel.host}: {said or 'the connection broke'}"


def _answer(said: CommandOutput, errand: RemoteRequest) -> CommandResult:
    output = said.output.decode(errors="surrogateescape")
    complaint = said.complaint.decode(errors="surrogateescape").strip()
    if said.code:
        complaint = complaint or output.strip()
    return CommandResult(
        code=said.code, output=output, complaint=complaint[: commands.MOST_TOLD], asked=errand.asked
    )


TRAVEL: Final = 3600.0  # seconds that bringing files may take; rsync itself ends when nothing moves
