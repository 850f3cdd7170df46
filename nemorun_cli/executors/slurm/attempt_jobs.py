"""The jobs that attempts were submitted as: which they are, what Slurm last said of them, what they left."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.dependency import STOOD_BACK
from nemorun_cli.executors.slurm.het_job import STEP
from nemorun_cli.executors.slurm.submissions import Submission, Submissions, place
from nemorun_cli.storage import attempts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nemorun_cli.executors import Job
    from nemorun_cli.executors.slurm.job_states import Cluster
    from nemorun_cli.executors.slurm.squeue import QueueRow

LOST_AFTER: Final = 15.0  # seconds without a trace of a job until it is lost


class Jobs:
    """What is known of attempts' jobs, by the experiments' own folders and the cluster's last answer."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._submissions: dict[Path, Submissions] = {}

    @property
    def news(self) -> list[Path]:
        """The files to which jobs add a line when they begin and end."""
        return [one.news for one in self._submissions.values()]

    def all_of(self, job: Job) -> Submissions:
        """The submissions of the attempt's experiment."""
        folder = place(job)
        if folder not in self._submissions:
            self._submissions[folder] = Submissions(folder)
        return self._submissions[folder]

    def of(self, job: Job) -> Sequence[Submission]:
        """The attempt's submissions; more than one if some were in doubt."""
        return self.all_of(job).of(job.key)

    def _in_force(self, job: Job) -> list[Submission]:
        """The submissions that still say something: one that was made early, and given back, does not."""
        several = self.of(job)
        return [one for one in several if not one.is_early or one is several[-1]]

    def row(self, job: Job) -> QueueRow | None:
        """The attempt's job as Slurm tells it; the one that is not over, should there be several."""
        rows = [row for one in self._in_force(job) if (row := self._cluster.find(one, job.key))]
        return next((row for row in rows if row.phase != "over"), rows[-1] if rows else None)

    def start(self, job: Job, row: QueueRow) -> float | None:
        """When the attempt's job began; Slurm tells whole seconds, which may lie before its submission."""
        made = max((one.made for one in self._in_force(job)), default=0.0)
        return None if row.start is None else max(row.start, made)

    def left(self, job: Job) -> list[str]:
        """The jobs of other submissions of an attempt that is over, which would only find it claimed."""
        several = self.of(job)
        if len(several) == 1 or self.is_together(job):
            return []  # what runs may still be told as waiting, and has to end as what it is
        rows = [row for one in several if (row := self._cluster.find(one, job.key))]
        return [row.job_id for row in rows if row.phase == "queued"]

    def id_of(self, job: Job) -> str | None:
        """What Slurm calls the attempt's job."""
        ids = [found for one in self._in_force(job) if (found := one.id_of(job.key))]
        return ids[-1] if ids else job.job_id

    def is_answered(self, job: Job) -> bool:
        """Whether Slurm was asked after the attempt was submitted."""
        asked = self._cluster.asked
        return asked is not None and all(asked > one.sent for one in self.of(job))

    def is_quiet(self, job: Job) -> bool:
        """Whether nothing was heard of an attempt for so long that no record is on its way."""
        last = max((one.made for one in self.of(job)), default=0.0)
        for path in (job.files.claim, job.files.log):
            with contextlib.suppress(FileNotFoundError):
                last = max(last, path.stat().st_mtime)
        return time.time() - last > LOST_AFTER

    def is_together(self, job: Job) -> bool:
        """Whether its task is a step of a job that others have theirs in too."""
        submissions = self.of(job)
        return bool(submissions) and submissions[-1].is_together

    def step(self, job: Job) -> str | None:
        """The step of a job that runs its task, once that has begun."""
        with contextlib.suppress(FileNotFoundError):
            return (job.files.directory / STEP).read_text(encoding="ascii").strip() or None
        return None

    def is_early(self, job: Job) -> bool:
        """Whether its job was queued before it could run, and has to see whether it may."""
        submissions = self.of(job)
        return bool(submissions) and submissions[-1].is_early

    def stood_back(self, job: Job) -> bool:
        """Whether its job found that it may not run it, or not yet."""
        if not self.is_early(job) or attempts.claimed_pid(job.files) is not None:
            return False
        return (job.files.directory / STOOD_BACK).exists()
