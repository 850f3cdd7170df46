"""What is known of the jobs on a cluster: one question for all, asked ever less often, and its answers."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.squeue import (
    SACCT,
    SQUEUE,
    QueueRow,
    expand,
    is_of,
    parse_sacct,
    parse_squeue,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nemorun_cli.executors import Key
    from nemorun_cli.executors.slurm.commands import PendingCommand, SlurmCommands
    from nemorun_cli.executors.slurm.submissions import Submission

SHORTEST: Final = 0.5  # seconds from an answer of squeue to the next question, after something happened
LONGEST: Final = 30.0  # the same, when nothing happens for long
GROWTH: Final = 1.5
URGENT: Final = 0.2  # the same, when an end waits only for Slurm's word
FIRST_ANSWER: Final = 10.0  # seconds that a look from outside waits for Slurm
ACCOUNTS_EVERY: Final = 2.0  # seconds between questions for sacct about jobs that squeue no longer has
DEFAULT_ARRAY: Final = 1001  # Slurm's own MaxArraySize


class Cluster:
    """The jobs of this user as Slurm last told them.

    Attributes:
        complaint: why the last question was not answered; None while Slurm answers.
        asked: the monotonic time of the last question that was answered well, if any was.
        answers: how many questions were answered, well or not.
    """

    def __init__(self, commands: SlurmCommands) -> None:
        self._commands = commands
        self._rows: dict[str, QueueRow] = {}
        self._ids_by_name: dict[str, str] = {}
        self._past: dict[str, QueueRow] = {}
        self._question: PendingCommand | None = None
        self._account: PendingCommand | None = None
        self._keeps_accounts: bool | None = None
        self._next_account = 0.0
        self._pause = SHORTEST
        self._max_array: int | None = None
        self._next = 0.0
        self.complaint: str | None = None
        self.asked: float | None = None
        self.answers = 0

    @property
    def due(self) -> float | None:
        """The monotonic time of the next question; None while an answer is on its way."""
        return self._next if self._question is None else None

    def hurry(self, within: float = SHORTEST) -> None:
        """Ask soon, and again often for a while, because something happened."""
        self._pause = min(self._pause, within)
        if self._question is None:
            self._next = min(self._next, time.monotonic() + within)

    def look(self) -> bool:
        """Take in answers, and ask if it is time to; says whether there is a new answer."""
        is_new = self._take_accounts()
        if self._question is None:
            if time.monotonic() >= self._next:
                self._question = self._commands.ask([*SQUEUE, self._commands.own])
            return is_new
        return self._take() or is_new

    def look_now(self) -> None:
        """Ask and wait for the answer, for who looks only once."""
        if self._question is None:
            self._question = self._commands.ask([*SQUEUE, self._commands.own])
        self._question.wait(FIRST_ANSWER)
        if not self._take():
            self.complaint = f"Slurm does not answer: squeue has not for {FIRST_ANSWER:g} s"

    def find(self, submission: Submission, key: Key) -> QueueRow | None:
        """The job of one member, if Slurm has it; an id that is another's by now does not count."""
        if submission.job_id is None and (found := self._ids_by_name.get(submission.name)):
            submission.remember(found)
        job_id = submission.id_of(key)
        for rows in (self._rows, self._past):
            row = rows.get(job_id or "")
            if row is not None and is_of(row, name=submission.name, made=submission.made):
                return row
        return None

    def account_for(self, ids: Iterable[str]) -> None:
        """Ask accounting, where there is one, about jobs that squeue no longer has."""
        wanted = sorted(set(ids))
        now = time.monotonic()
        if not wanted or self._account or self._keeps_accounts is False or now < self._next_account:
            return
        self._next_account = now + ACCOUNTS_EVERY
        self._account = self._commands.ask([*SACCT, f"--jobs={','.join(wanted)}"])

    def max_array(self) -> int:
        """How many jobs an array may have here."""
        if self._max_array is None:
            answer = self._commands.ask(["scontrol", "show", "config"]).wait(FIRST_ANSWER)
            if answer is None or not answer.is_good:
                return DEFAULT_ARRAY
            limits = re.findall(r"\b(?:MaxArraySize\s*=\s*|max_array_tasks=)(\d+)", answer.output)
            self._max_array = min((int(limit) for limit in limits), default=DEFAULT_ARRAY)
        return self._max_array

    def _take(self) -> bool:
        answer = self._question.answer() if self._question else None
        if answer is None:
            return False
        self._question = None
        self.answers += 1
        self._next = time.monotonic() + self._pause
        self._pause = min(LONGEST, self._pause * GROWTH)
        if not answer.is_good:
            said = answer.complaint or f"squeue ended with {answer.code}"
            self.complaint = said if answer.is_lost else f"Slurm does not answer: {said}"
            return True
        self.complaint, self.asked = None, answer.asked
        rows = list(parse_squeue(answer.output))
        self._rows = {job_id: row for row in rows for job_id in expand(row.job_id)}
        self._ids_by_name = {row.name: re.split("[_+]", row.job_id)[0] for row in rows}
        return True

    def _take_accounts(self) -> bool:
        answer = self._account.answer() if self._account else None
        if answer is None:
            return False
        self._account = None
        if answer.is_good:
            self._keeps_accounts = True
            rows = parse_sacct(answer.output)
            self._past |= {job_id: row for row in rows for job_id in expand(row.job_id)}
            return True
        if "disabled" in answer.complaint or answer.code is None:
            self._keeps_accounts = False
        return False
