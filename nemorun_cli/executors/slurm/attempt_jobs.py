"""The Slurm jobs of attempts: their ids, what Slurm last reported about them, and the files they left."""

from __future__ import annotations

import contextlib
import os
import re
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.dependency import DECLINED, DECLINED_BEFORE, excludes, parents_of
from nemorun_cli.executors.slurm.het_job import STEP
from nemorun_cli.executors.slurm.sbatch_answer import is_job_id
from nemorun_cli.executors.slurm.squeue import NEVER
from nemorun_cli.executors.slurm.submissions import Submission, Submissions, submissions_folder
from nemorun_cli.model.clock import age
from nemorun_cli.storage import attempts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.executors.slurm.job_states import JobStates
    from nemorun_cli.executors.slurm.squeue import QueueRow

# What slurmstepd prints of a job that it kills by OverMemoryKill, or that the kernel kills.
OVER_MEMORY: Final = re.compile(r"exceeded .*memory limit.*killed|oom[-_]kill event", re.IGNORECASE)
LOST_AFTER: Final = 15.0  # seconds without a trace of a job until it counts as lost


class AttemptJobs:
    """Answers questions about attempts' jobs from the experiments' folders and Slurm's last answer."""

    def __init__(self, states: JobStates) -> None:
        self._states = states
        self._submissions: dict[Path, Submissions] = {}

    @property
    def news(self) -> list[Path]:
        """The files to which jobs append a line when they start and finish."""
        return [submissions.news for submissions in self._submissions.values()]

    def of_experiment(self, job: Job) -> Submissions:
        """The submissions of the attempt's experiment."""
        root = job.files.root or job.experiment_files.directory
        if root not in self._submissions:
            self._submissions[root] = Submissions(submissions_folder(job))
        return self._submissions[root]

    def submissions(self, job: Job) -> Sequence[Submission]:
        """The attempt's submissions; more than one if an earlier one was unconfirmed or declined."""
        return self.of_experiment(job).of(job.key)

    def note_cluster(self, job: Job) -> None:
        """Query Slurm for the clusters of the attempt's jobs."""
        for submission in self.submissions(job):
            self._states.note_cluster(submission)

    def cluster_flags(self, job: Job) -> list[str]:
        """The flags of Slurm's commands for the cluster of the attempt's last job."""
        submissions = self.submissions(job)
        return submissions[-1].cluster_flags if submissions else []

    def _in_force(self, job: Job) -> list[Submission]:
        """The submissions that count: an early one that was followed by another was declined."""
        submissions = self.submissions(job)
        return [
            submission
            for submission in submissions
            if not submission.is_early or submission is submissions[-1]
        ]

    def row(self, job: Job) -> QueueRow | None:
        """The attempt's job as Slurm reports it; of several, one that has not finished."""
        rows = [
            row for submission in self._in_force(job) if (row := self._states.row_of(submission, job.key))
        ]
        return next((row for row in rows if row.phase != "over"), rows[-1] if rows else None)

    def start(self, job: Job, row: QueueRow) -> float | None:
        """When the attempt's job started; not before its submission, as Slurm reports whole seconds."""
        made = max((submission.made for submission in self._in_force(job)), default=0.0)
        return None if row.start is None else max(row.start, made)

    def redundant_ids(self, job: Job) -> list[str]:
        """Queued jobs of a finished attempt's other submissions, which would only find it claimed."""
        submissions = self.submissions(job)
        if len(submissions) == 1 or self.is_coscheduled(job):
            return []  # Slurm may still report the attempt's own job as queued, and it must not be cancelled
        rows = [row for submission in submissions if (row := self._states.row_of(submission, job.key))]
        return [row.job_id for row in rows if row.phase == "queued"]

    def id_of(self, job: Job) -> str | None:
        """Slurm's id of the attempt's job."""
        ids = [job_id for submission in self._in_force(job) if (job_id := submission.id_of(job.key))]
        if ids:
            return ids[-1]
        return job.job_id if job.job_id is not None and is_job_id(job.job_id) else None

    def is_answer_current(self, job: Job) -> bool:
        """Whether Slurm's last answer was requested after the attempt was submitted."""
        asked = self._states.asked
        return asked is not None and all(asked > submission.sent for submission in self.submissions(job))

    def is_silent(self, job: Job, seconds: float = LOST_AFTER) -> bool:
        """Whether an attempt has written nothing for so long that no exit record is to be expected."""
        last = max((submission.made for submission in self.submissions(job)), default=0.0)
        for path in (job.files.claim, job.files.log):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                last = max(last, path.lstat().st_mtime)
        return age(last) > seconds

    def keep_output(self, job: Job) -> None:
        """Let what Slurm printed about a job whose script did not begin be found in the attempt's folder."""
        submissions = self.submissions(job)
        if not submissions or job.files.backend_output.exists():
            return
        with contextlib.suppress(OSError):  # it exists only on the cluster, or was already kept
            os.link(submissions[-1].output_of(job.key), job.files.backend_output)

    def was_over_memory(self, job: Job) -> bool:
        """Whether Slurm printed that it killed the job for its memory."""
        try:
            text = job.files.read(job.files.backend_output).decode("utf-8", errors="replace")
        except OSError:
            return False
        return OVER_MEMORY.search(text) is not None

    def is_coscheduled(self, job: Job) -> bool:
        """Whether its task is a step of a job that also runs other tasks."""
        submissions = self.submissions(job)
        return bool(submissions) and submissions[-1].is_coscheduled

    def step_id(self, job: Job) -> str | None:
        """The id of the job step that runs its task, once the step has started."""
        with contextlib.suppress(OSError):  # the step has not written it, or the task replaced it
            text = job.files.read(job.files.directory / STEP).decode("ascii", errors="replace").strip()
            return text if is_job_id(text) else None  # a task can write an option of scancel there
        return None

    def is_early(self, job: Job) -> bool:
        """Whether its job was queued before the task was ready, and has to check first whether it may run."""
        submissions = self.submissions(job)
        return bool(submissions) and submissions[-1].is_early

    def can_never_start(self, job: Job, row: QueueRow) -> bool:
        """Whether its job's dependency can no longer be met, so that Slurm itself cancels the job.

        Slurm reports this together with the parent's end, whose record may become visible later.

        Args:
            job: an attempt.
            row: its job as Slurm last reported it.
        """
        if not self.is_early(job) or attempts.claimed_pid(job.files) is not None:
            return False
        submission = self.submissions(job)[-1]
        return row.reason == NEVER or any(
            excludes(kind, parent)
            for kind, job_id in parents_of(submission.dependency, submission.indices[job.key])
            for parent in self._states.rows_of(job_id)
            # Slurm may have restarted its count, so that another, later job has the parent's id.
            if parent.submit is None or row.submit is None or parent.submit <= row.submit
        )

    def has_declined(self, job: Job) -> bool:
        """Whether its job found that the task may not run, or not yet."""
        if not self.is_early(job) or attempts.claimed_pid(job.files) is not None:
            return False
        return any((job.files.directory / name).exists() for name in (DECLINED, DECLINED_BEFORE))
