"""A cluster that is reached by ssh: files are uploaded by rsync, and what its jobs write is copied back."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.remote_hosts.protocol import EVIDENCE
from nemorun_cli.executors.remote_hosts.remote_experiment import RemoteExperiment
from nemorun_cli.executors.slurm.dependency import DECLINED, DECLINED_BEFORE, SIGNALLED
from nemorun_cli.executors.slurm.het_job import STEP
from nemorun_cli.executors.slurm.job_script import (
    NEAR_LIMIT,
    NEAR_LIMIT_BEFORE,
    RUNNING,
    SECRETS,
    secrets_text,
)
from nemorun_cli.executors.slurm.remote.slurm_connection import SlurmConnection
from nemorun_cli.executors.slurm.submissions import FOLDER
from nemorun_cli.executors.slurm.tunnel_options import tunnel_of
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Diagnosis, Job
    from nemorun_cli.executors.remote_hosts.upload import Upload
    from nemorun_cli.executors.slurm.commands import SlurmCommands
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan

NOTE: Final = "remote.json"  # in the experiment's folder of submissions: its remote folder
NOTE_BEFORE: Final = "there"  # its name in experiments that began before 0.1.0

# The files of an attempt that determine its state: those of any attempt, and what its job writes.
JOB_FILES: Final = (
    RUNNING,
    NEAR_LIMIT,
    DECLINED,
    STEP,
    SIGNALLED,
    NEAR_LIMIT_BEFORE,
    DECLINED_BEFORE,
    AttemptFiles(Path()).backend_output.name,
    *EVIDENCE,
)


class RemoteCluster:
    """A cluster behind a tunnel, for one experiment.

    Args:
        options: of the executor, with `tunnel`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._tunnel = tunnel_of(options)
        self._connection = SlurmConnection(self._tunnel, options)
        self.commands: SlurmCommands = self._connection
        self._experiment = RemoteExperiment(
            self._connection,
            note_of=note_of,
            artifacts=options["tunnel"].get("artifacts", []),
            names=JOB_FILES,
        )

    def check(self) -> Iterable[Diagnosis]:
        """Whether the host accepts the login and has what is needed; may prompt a person at the terminal."""
        from nemorun_cli.executors.remote_hosts import reachability  # noqa: PLC0415 - only in the foreground

        return reachability.diagnose(self._tunnel, self._connection)

    def plan(self, plan: Plan) -> Plan:
        """The plan with the remote paths of the experiment's folder, its home and its records."""
        return self._experiment.paths_for(ExperimentFiles(Path(plan.env["EXP_DIR"]))).plan(plan)

    def cluster_path(self, path: Path) -> Path:
        """The remote path of an experiment's file."""
        return self._experiment.remote_path(path)

    def submit(self, submission: Submission, jobs: Iterable[Job], secrets: Mapping[Path, Secrets]) -> Upload:
        """Upload the files by rsync, then call sbatch; secrets are sent only through ssh."""
        jobs = list(jobs)
        self._experiment.paths_for(jobs[0].experiment_files)
        sbatch = self._connection.text(["sbatch", "--parsable", str(self.cluster_path(submission.script))])
        private = {folder / SECRETS: secrets_text(values) for folder, values in secrets.items()}
        return self._experiment.start(
            jobs, sbatch, name="sbatch", folders=[submission.folder], private=private
        )

    def refresh(self, news: Iterable[Path], jobs: Iterable[Job]) -> bool:
        """Fetch new files, at growing intervals while nothing changes; returns whether anything changed."""
        del news
        return self._experiment.refresh(jobs)

    def refresh_now(self, news: Iterable[Path], jobs: Iterable[Job]) -> None:
        """Fetch until the files of all finished attempts exist locally, up to a time limit."""
        del news, jobs
        self._experiment.refresh_now()

    def due(self) -> float:
        """The monotonic time of the next refresh."""
        return self._experiment.due()

    @property
    def problem(self) -> str | None:
        """Why the last round trip to the remote host failed."""
        return self._experiment.problem

    def is_behind(self, job: Job) -> bool:
        """Whether an attempt wrote more than has been fetched."""
        return self._experiment.is_behind(job)

    def shortfall(self, job: Job) -> str | None:
        """Why some files of a finished attempt were not fetched."""
        return self._experiment.shortfall(job)

    def is_current(self, moment: float) -> bool:
        """Whether a round trip started after this time succeeded; if not, the next one starts at once."""
        return self._experiment.is_current(moment)

    def remove_secrets(self, job: Job) -> None:
        """Remove secrets that no job has read; a job that has started has removed them itself."""
        secrets = job.plan.secrets if job.plan else _secrets_of(job)
        if secrets and attempts.claimed_pid(job.files) is None:
            path = shlex.quote(str(self.cluster_path(job.files.directory / SECRETS)))
            self._connection.send(f"rm -f -- {path}", name="rm")


def note_of(files: ExperimentFiles) -> Path:
    """The local file that keeps the remote folder of an experiment."""
    before = files.directory / FOLDER / NOTE_BEFORE
    return before if before.exists() else files.directory / FOLDER / NOTE


def _secrets_of(job: Job) -> Sequence[str]:
    try:
        secrets: Sequence[str] = json.loads(job.files.read(job.files.plan))["secrets"]
    except (OSError, ValueError, LookupError):
        return ()
    return secrets
