"""The states of a cluster's jobs: one query for all of them, at growing intervals, and its answers."""

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
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors import Key
    from nemorun_cli.executors.slurm.commands import PendingCommand, SlurmCommands
    from nemorun_cli.executors.slurm.submissions import Submission

SHORTEST: Final = 0.5  # seconds from an answer of squeue to the next query, after an event
LONGEST: Final = 30.0  # the same, after a long time without events
GROWTH: Final = 1.5
URGENT: Final = 0.2  # the same, when only Slurm's confirmation that a task has finished is missing
FIRST_ANSWER: Final = 10.0  # seconds that the first query waits for Slurm
ACCOUNTING_EVERY: Final = 2.0  # seconds between queries of sacct for jobs that squeue no longer lists
DEFAULT_ARRAY: Final = 1001  # Slurm's default of MaxArraySize


class JobStates:
    """The jobs of this user as Slurm last reported them.

    Attributes:
        complaint: why the last query failed; None if it succeeded.
        asked: the monotonic time at which the last successful query was started; None before the first.
        answers: the number of answered queries, including failed ones.
    """

    def __init__(self, commands: SlurmCommands) -> None:
        self._commands = commands
        self._rows: dict[str, QueueRow] = {}
        self._ids_by_name: dict[str, str] = {}
        self._accounted: dict[str, QueueRow] = {}
        self._query: PendingCommand | None = None
        self._accounting: PendingCommand | None = None
        self._has_accounting: bool | None = None
        self._next_accounting = 0.0
        self._pauses = Backoff(first=SHORTEST, longest=LONGEST, growth=GROWTH)
        self._max_array: int | None = None
        self._next = 0.0
        self.complaint: str | None = None
        self.asked: float | None = None
        self.answers = 0

    @property
    def due(self) -> float | None:
        """The monotonic time of the next query; None while one is pending."""
        return self._next if self._query is None else None

    def hurry(self, within: float = SHORTEST) -> None:
        """Query soon, and often for a while, because of an event."""
        self._pauses.shorten(within)
        if self._query is None:
            self._next = min(self._next, time.monotonic() + within)

    def refresh(self) -> bool:
        """Collect answers, and start a query if one is due; returns whether there is a new answer."""
        is_new = self._collect_accounting()
        if self._query is None:
            if time.monotonic() >= self._next:
                self._query = self._commands.ask([*SQUEUE, self._commands.own])
            return is_new
        return self._collect() or is_new

    def refresh_now(self) -> None:
        """Query and wait for the answer, at most `FIRST_ANSWER` seconds."""
        if self._query is None:
            self._query = self._commands.ask([*SQUEUE, self._commands.own])
        self._query.wait(FIRST_ANSWER)
        if not self._collect():
            self.complaint = f"Slurm does not answer: squeue did not respond within {FIRST_ANSWER:g} s"

    def row_of(self, submission: Submission, key: Key) -> QueueRow | None:
        """The job of one member; None if Slurm does not report it, or has reused its id for another job."""
        if submission.job_id is None and (array_id := self._ids_by_name.get(submission.name)):
            submission.save_id(array_id)
        job_id = submission.id_of(key)
        for rows in (self._rows, self._accounted):
            row = rows.get(job_id or "")
            if row is not None and is_of(row, name=submission.name, made=submission.made):
                return row
        return None

    def rows_of(self, job_id: str) -> Sequence[QueueRow]:
        """The jobs of an id as `--dependency` takes it: `7_2` is one job, `7` may be a whole array."""
        if row := self._rows.get(job_id):
            return [row]
        return [row for listed, row in self._rows.items() if listed.startswith((f"{job_id}_", f"{job_id}+"))]

    def query_accounting(self, ids: Iterable[str]) -> None:
        """Query accounting, if the cluster has it, for jobs that squeue no longer lists."""
        missing = sorted(set(ids))
        now = time.monotonic()
        if not missing or self._accounting or self._has_accounting is False or now < self._next_accounting:
            return
        self._next_accounting = now + ACCOUNTING_EVERY
        self._accounting = self._commands.ask([*SACCT, f"--jobs={','.join(missing)}"])

    def max_array(self) -> int:
        """How many jobs an array may have on this cluster."""
        if self._max_array is None:
            answer = self._commands.ask(["scontrol", "show", "config"]).wait(FIRST_ANSWER)
            if answer is None or not answer.is_good:
                return DEFAULT_ARRAY
            limits = re.findall(r"\b(?:MaxArraySize\s*=\s*|max_array_tasks=)(\d+)", answer.output)
            self._max_array = min((int(limit) for limit in limits), default=DEFAULT_ARRAY)
        return self._max_array

    def _collect(self) -> bool:
        answer = self._query.answer() if self._query else None
        if answer is None:
            return False
        self._query = None
        self.answers += 1
        self._next = self._pauses.due()
        if not answer.is_good:
            reason = answer.complaint or f"squeue failed with exit code {answer.code}"
            self.complaint = reason if answer.connection_failed else f"Slurm does not answer: {reason}"
            return True
        self.complaint, self.asked = None, answer.asked
        rows = list(parse_squeue(answer.output))
        self._rows = {job_id: row for row in rows for job_id in expand(row.job_id)}
        self._ids_by_name = {row.name: re.split("[_+]", row.job_id)[0] for row in rows}
        return True

    def _collect_accounting(self) -> bool:
        answer = self._accounting.answer() if self._accounting else None
        if answer is None:
            return False
        self._accounting = None
        if answer.is_good:
            self._has_accounting = True
            rows = parse_sacct(answer.output)
            self._accounted |= {job_id: row for row in rows for job_id in expand(row.job_id)}
            return True
        if "disabled" in answer.complaint or answer.code is None:
            self._has_accounting = False
        return False
