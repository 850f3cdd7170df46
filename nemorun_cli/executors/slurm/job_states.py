"""The states of a cluster's jobs: one query for all of them, at growing intervals, and its answers."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.squeue import (
    REQUEUED,
    SACCT,
    SCRIPT,
    SQUEUE,
    QueueRow,
    expand,
    foreign_text,
    is_of,
    parse_sacct,
    parse_squeue,
)
from nemorun_cli.system.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nemorun_cli.executors import Key
    from nemorun_cli.executors.background_commands import PendingCommand
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.submissions import Submission

SHORTEST: Final = 0.5  # seconds from an answer of squeue to the next query, after an event
LONGEST: Final = 30.0  # the same, after a long time without events
GROWTH: Final = 1.5
URGENT: Final = 0.2  # the same, when only Slurm's confirmation that a task has finished is missing
FIRST_ANSWER: Final = 10.0  # seconds that the first query, and the first array, wait for Slurm
ACCOUNTING_EVERY: Final = 2.0  # seconds between queries of sacct for jobs that squeue no longer lists
MOST_QUOTED: Final = 200  # characters of unexpected output in a message
DEFAULT_ARRAY: Final = 1001  # Slurm's default of MaxArraySize


class JobStates:
    """The jobs of this user as Slurm last reported them.

    Attributes:
        complaint: why the last query failed; None if it succeeded.
        asked: the monotonic time at which the last successful query was started; None before the first.
        answers: the number of answered queries, including failed ones.
        max_array_due: the monotonic time until which `max_array` waits for an answer.
    """

    def __init__(self, commands: SlurmCommands) -> None:
        self._commands = commands
        self._rows: dict[str, QueueRow] = {}
        self._ids: dict[str, str] = {}  # of jobs, by their names, folders and scripts
        self._banner: str | None = None  # what squeue printed in place of jobs
        self._clusters: set[str] = set()  # of the submissions; empty for the default one
        self._accounted: dict[str, QueueRow] = {}
        self._asked_for: frozenset[str] = frozenset()  # the ids in the pending query of accounting
        self._answered: set[str] = set()  # ids about which accounting has answered
        self._query: PendingCommand | None = None
        self._accounting: PendingCommand | None = None
        self._has_accounting: bool | None = None
        self._next_accounting = 0.0
        self._pauses = Backoff(first=SHORTEST, longest=LONGEST, growth=GROWTH)
        self._max_array: int | None = None
        self._config: PendingCommand | None = None  # the query for it
        self.max_array_due = 0.0
        self._next = 0.0
        self.complaint: str | None = None
        self._accounting_complaint: str | None = None
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
                self._query = self._commands.ask([*SQUEUE, self._commands.own, *self._cluster_flags()])
            return is_new
        return self._collect() or is_new

    def refresh_now(self) -> None:
        """Query and wait for the answer, at most `FIRST_ANSWER` seconds."""
        if self._query is None:
            self._query = self._commands.ask([*SQUEUE, self._commands.own, *self._cluster_flags()])
        self._query.wait(FIRST_ANSWER)
        if not self._collect():
            self.complaint = f"Slurm does not answer: squeue did not respond within {FIRST_ANSWER:g} s"

    def note_cluster(self, submission: Submission) -> None:
        """Query the cluster of this submission too."""
        self._clusters.add(submission.cluster)

    def _cluster_flags(self) -> list[str]:
        if not any(self._clusters):
            return []
        return [f"--clusters={'all' if '' in self._clusters else ','.join(sorted(self._clusters))}"]

    @property
    def has_live_jobs(self) -> bool:
        """Whether Slurm last reported any unfinished job of this user, also of none of our experiments."""
        return self._banner is not None or any(row.phase != "over" for row in self._rows.values())

    def row_of(self, submission: Submission, key: Key) -> QueueRow | None:
        """The job of one member; None if Slurm does not report it, or has reused its id for another job."""
        if submission.job_id is None:
            place = submission.place
            traits = (place, f"{place}/{SCRIPT}", submission.name)
            if job_id := next((self._ids[trait] for trait in traits if trait in self._ids), None):
                submission.save_id(job_id)
        job_id = submission.id_of(key)
        for rows in (self._rows, self._accounted):
            row = rows.get(job_id or "")
            if row is not None and is_of(
                row, name=submission.name, made=submission.made, folder=submission.place
            ):
                return row
        return None

    def lists(self, job_id: str) -> bool:
        """Whether squeue, and not accounting alone, reported the job."""
        return job_id in self._rows

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
        self._asked_for = frozenset(missing)
        argv = [*SACCT, *self._cluster_flags(), f"--jobs={','.join(missing)}"]
        self._accounting = self._commands.ask(argv)

    def query_accounting_now(self, ids: Iterable[str]) -> None:
        """The same, and wait for the answer, at most `FIRST_ANSWER` seconds."""
        self.query_accounting(ids)
        if self._accounting is not None:
            self._accounting.wait(FIRST_ANSWER)
            self._collect_accounting()

    def is_accounted(self, job_id: str) -> bool:
        """Whether accounting has answered about a job that squeue does not list, or there is no accounting.

        While accounting lists the job as unfinished, its answer is not final: its record may be late.
        """
        return self._has_accounting is False or job_id in self._answered

    @property
    def doubt(self) -> str | None:
        """Why a job that squeue does not list may exist nevertheless; None if there is no such reason."""
        if self._has_accounting is not False and self._accounting_complaint:
            return self._accounting_complaint
        return f"squeue listed no jobs, but printed: {self._banner[:MOST_QUOTED]}" if self._banner else None

    def max_array(self) -> int | None:
        """How many jobs an array may have on this cluster; None while Slurm has not answered yet."""
        if self._max_array is None:
            if self._config is None:
                self._config = self._commands.ask(["scontrol", "show", "config"])
                self.max_array_due = time.monotonic() + FIRST_ANSWER
            answer = self._config.answer()
            if answer is None:
                return None if time.monotonic() < self.max_array_due else DEFAULT_ARRAY
            self._config = None
            if not answer.is_good:
                return DEFAULT_ARRAY
            limits = re.findall(r"\b(?:MaxArraySize\s*=\s*|max_array_tasks=)(\d+)", answer.output)
            self._max_array = max(1, min((int(limit) for limit in limits), default=DEFAULT_ARRAY))
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
        self._banner = foreign_text(answer.output)
        self._rows = {job_id: row for row in rows for job_id in expand(row.job_id)}
        self._ids = {
            trait: re.split("[_+]", row.job_id)[0]
            for row in rows
            for trait in (row.name, row.folder, row.command)
            if trait
        }
        return True

    def _collect_accounting(self) -> bool:
        answer = self._accounting.answer() if self._accounting else None
        if answer is None:
            return False
        self._accounting = None
        if answer.is_good:
            self._has_accounting, self._accounting_complaint = True, None
            rows = {id_: row for row in parse_sacct(answer.output) for id_ in expand(row.job_id)}
            final = {id_: row for id_, row in rows.items() if row.phase == "over" or row.state in REQUEUED}
            self._accounted |= final
            unfinished = {id_ for id_, row in rows.items() if row.phase != "over"}
            self._answered |= self._asked_for - unfinished
            return True
        if "disabled" in answer.complaint or "there is no sacct" in answer.complaint:
            self._has_accounting = False
        else:
            self._accounting_complaint = f"accounting does not answer: {answer.complaint}"
        return False
