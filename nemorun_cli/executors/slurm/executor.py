"""Runs tasks as jobs of a Slurm cluster, each under the shim; members with equal requests as job arrays.

A task has finished when its shim has written `exit.json`, which does not depend on Slurm. Slurm is queried
for all jobs at once; its answer decides if there is no exit record, and explains why Slurm terminated a task.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.executors import (
    Answer,
    AttemptStatus,
    Capabilities,
    Diagnosis,
    Job,
    JobError,
    Key,
    answer_each,
    job_error,
)
from nemorun_cli.executors.remote_hosts import task_environment
from nemorun_cli.executors.shim_call import NO_FOLDER, shim_line, with_note
from nemorun_cli.executors.slurm import het_job, member_places, sbatch_answer
from nemorun_cli.executors.slurm.access import SharedCluster
from nemorun_cli.executors.slurm.attempt_jobs import LOST_AFTER, AttemptJobs
from nemorun_cli.executors.slurm.dependency import SIGNALLED, UPSTREAM, Batch, arguments, batches
from nemorun_cli.executors.slurm.foreign_jobs import ForeignJobs
from nemorun_cli.executors.slurm.job_script import NEAR_LIMIT, NEAR_LIMIT_BEFORE, RUNNING, member_text
from nemorun_cli.executors.slurm.job_states import URGENT, JobStates
from nemorun_cli.executors.slurm.sbatch_answer import Accepted, Refused
from nemorun_cli.executors.slurm.sbatch_options import (
    OPTIONS_SCHEMA,
    Request,
    argv,
    clash,
    request,
    result_options,
    uses_srun,
)
from nemorun_cli.executors.slurm.sbatch_queue import SbatchQueue
from nemorun_cli.executors.slurm.scancel import JobStop, grouped
from nemorun_cli.executors.slurm.squeue import CAUSES, NEVER, QueueRow, ending_of, is_news, waiting_message
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import SIGNAL_BASE, AttemptEnd, failed_launch, lost, signal_number
from nemorun_cli.model.clock import age
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import crashpoints, environment
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors.background_commands import PendingCommand
    from nemorun_cli.executors.slurm.access import ClusterAccess
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

RECORD_DELAY: Final = 3.0  # seconds that an exit record may be delayed after the job has finished in Slurm
CAUSE_DELAY: Final = 5.0  # seconds that a recorded end waits for Slurm to report a cause
ACCOUNTING_PATIENCE: Final = 600.0  # seconds that a verdict waits for accounting while that does not answer
CANCEL_DELAY: Final = 30.0  # the same while the job is being cancelled: it also has to have left Slurm

_NEVER_STARTS: Final = "Slurm reports that its dependency can never be satisfied"
_YIELDED: Final = (
    "its job, queued early, gave way to a task that is ready, because of a limit of submitted jobs"
)


@dataclass(slots=True)
class _TrackedAttempt:
    """An attempt that this process tracks.

    Attributes:
        is_adopted: another process submitted it, so that the age of its state is unknown.
        reported: the last status, which is not repeated.
        queued_row: the last row whose reason for waiting was reported.
        settling_since: the monotonic time since which only the confirmation of its end is missing.
        cancel: its cancellation, if that was requested.
        has_yielded: it was queued early, and was removed from the queue because of a limit of jobs.
    """

    job: Job
    is_adopted: bool
    reported: AttemptStatus | None = None
    queued_row: QueueRow | None = None
    settling_since: float | None = None
    cancel: JobStop | None = None
    has_yielded: bool = False


class SlurmExecutor:
    """Runs tasks on a local or remote Slurm cluster; Slurm itself limits how many run at once."""

    options_schema: ClassVar[Mapping[str, Any]] = OPTIONS_SCHEMA

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """Slurm limits how many tasks run; with a tunnel, their folders are those of another host."""
        return Capabilities(
            counts_toward_max_parallel=False,
            has_remote_paths="tunnel" in options,
            is_remote="tunnel" in options,
            checks_requests=True,
            queues_early=True,
            ends_groups=True,
            is_container="container_image" in options,
            knows_jobs=True,
            records_samples=True,
            submits_arrays=True,
            separates_stderr=True,
            identifies_image="container_image" in options,
            result_options=result_options(options),
            environment_host=_host_of(options) if "container_image" not in options else None,
        )

    def environments(self, files: ExperimentFiles) -> tuple[Sequence[str], str, str | None]:
        """Environments are made on the host of the tunnel, in the folder of this home there."""
        from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths  # noqa: PLC0415 - only with a tunnel
        from nemorun_cli.executors.slurm.remote.cluster import note_of  # noqa: PLC0415 - the same
        from nemorun_cli.executors.slurm.tunnel_options import tunnel_of  # noqa: PLC0415 - the same

        tunnel = tunnel_of(self._options)
        paths = RemotePaths(tunnel, files, note=note_of(files))
        return tunnel.shell(), str(paths.environments), tunnel.pre_command

    def image(self) -> str | Path:
        """The file of the image if it is one of this machine; else its name: Slurm knows no digest."""
        path = Path(self._options["container_image"])
        return path if "tunnel" not in self._options and path.is_file() else str(path)

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options, self._secrets = options, secrets
        self._access = _access_for(options)
        self._commands = self._access.commands
        self._states = JobStates(self._commands)
        self._foreign = ForeignJobs(self._commands)
        self._jobs = AttemptJobs(self._states)
        self._tracked: dict[Key, _TrackedAttempt] = {}
        self._absent: set[Key] = set()  # reported as absent, and may be submitted again
        self._queue = SbatchQueue(self._call)
        self._unreported: list[AttemptStatus] = []  # results of earlier submissions, for the next `poll`
        self._unanswered: set[Key] = set()  # sbatch was not called for them, or has not answered
        self._requests: list[tuple[Job, Request]] = []  # to be written once the longest array is known

    def queue(self) -> str:
        """The cluster, by how it is reached: any of its jobs can wait for any other."""
        return f"slurm {json.dumps(self._options.get('tunnel'), sort_keys=True)}"

    def plan(self, plan: Plan) -> Plan:
        """The plan with the flags for sbatch, and with srun where the task needs it."""
        files = ExperimentFiles(Path(plan.env["EXP_DIR"]))  # of another host, these are local copies
        has_container = "container_image" in self._options
        earlier = attempts.earlier(files, plan.task, plan.attempt) if has_container else ()
        plan = self._access.plan(plan)
        if isinstance(plan.env_inherit, tuple):
            plan = plan.without_inherited(environment.names(plan.env_inherit))
            plan = replace(
                plan, secrets=(*plan.secrets, *task_environment.named_secrets(plan, self._secrets))
            )
        requested = request(self._options, plan)
        line = argv(self._options, plan, earlier=earlier)
        return replace(plan, argv=line, details={**plan.details, **requested.to_json()})

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Submit attempts, as arrays where their requests are equal; `poll` reports later results."""
        if len(jobs) > 1:
            self._states.max_array()  # Slurm answers while the requests are made
        errors = list(answer_each(jobs, self._request))
        keys = {job.key for job in jobs}
        statuses = [*self._unreported, *self._send()]
        self._unreported = [status for status in statuses if status.key not in keys]
        return [*errors, *(status for status in statuses if status.key in keys)]

    def _request(self, job: Job) -> None:
        """Add the request of a job to those to submit, unless it may have been submitted before."""
        is_new = attempts.make_folders(job.files)
        if job.plan and "container_image" in self._options and "tunnel" not in self._options:
            make_folder(job.plan.env["EXP_DASH_ROOT"])  # which is mounted
        if self._may_exist(job) and not is_new:
            self._tracked[job.key] = _TrackedAttempt(job, is_adopted=True)
            return
        assert job.plan is not None  # noqa: S101 - the core submits nothing without a plan
        environment.require_fit(
            task_environment.inherited(job.plan)
            | job.plan.env
            | task_environment.secret_values(job.plan, self._secrets),
            job.plan.argv,
        )
        self._absent.discard(job.key)
        self._tracked[job.key] = _TrackedAttempt(job, is_adopted=False)
        self._unanswered.add(job.key)
        self._requests.append((job, request(self._options, job.plan)))

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """The changes since the last call, by the attempts' records and Slurm's last answer."""
        self._tracked = {key: tracked for key, tracked in self._tracked.items() if key in jobs}
        self._requests = [entry for entry in self._requests if entry[0].key in jobs]
        statuses: list[AttemptStatus] = [*self._unreported, *self._send()]
        self._unreported, errors = [], []
        settled = {status.key for status in statuses if status.state in ("over", "absent")}
        adopted = [job for key, job in jobs.items() if key not in self._tracked and key not in settled]
        for job in adopted:
            self._tracked[job.key] = _TrackedAttempt(job, is_adopted=True)
            self._jobs.note_cluster(job)
        news, tracked_jobs = self._jobs.news, [*jobs.values()]
        has_news = self._access.refresh(news, tracked_jobs)
        if adopted:
            self._states.refresh_now()
            self._access.refresh_now(news, tracked_jobs)
            self._states.query_accounting_now(self._unlisted(adopted))
        if has_news and self._states.complaint:
            self._states.hurry(URGENT)
        is_new = self._states.refresh() or has_news or bool(adopted)
        for tracked in list(self._tracked.values()):
            try:
                if (is_new or tracked.settling_since is not None) and (status := self._status(tracked)):
                    statuses += self._with_start(tracked, status)
            except OSError as error:  # of this attempt's files alone
                errors.append(job_error(tracked.job, error))
                tracked.reported = None
                self._states.hurry()
        self._advance_cancels()
        self._commands.collect()
        return [*statuses, *errors]

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Remove queued jobs; signal running ones, and KILL them after the grace period."""
        for job in jobs:
            tracked = self._tracked.setdefault(job.key, _TrackedAttempt(job, is_adopted=True))
            name = attempt_end.short_signal(signal or job.stop_signal)
            seconds = job.stop_grace if grace is None else grace
            if tracked.cancel:
                tracked.cancel.hurry(signal=name, grace=seconds)
            else:
                by_steps = any(submission.by_steps for submission in self._jobs.submissions(job))
                tracked.cancel = JobStop(signal=name, grace=seconds, by_steps=by_steps)
        self._unreported += self._withdrawn()
        self._advance_cancels()
        self._states.hurry(URGENT)
        return ()

    def wakeup(self) -> int | None:
        """A descriptor that becomes readable when one of Slurm's commands has finished."""
        return self._commands.fileno()

    def due(self) -> float | None:
        """The monotonic time of the next refresh, query or cancel command."""
        times = [
            self._commands.due(),
            self._queue.due,
            time.monotonic() if self._unreported else None,
        ]
        if self._requests:
            times.append(self._states.max_array_due)
        if self._tracked:
            times += [self._access.due(), self._states.due]
        times += [
            tracked.cancel.due
            for tracked in self._tracked.values()
            if tracked.cancel and self._can_be_cancelled(tracked)
        ]
        return min((due for due in times if due is not None), default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Whether Slurm answers, and would accept a job with these options."""
        from nemorun_cli.executors.slurm.check import diagnose  # noqa: PLC0415 - only `doctor` needs it

        for diagnosis in self._access.check():
            yield diagnosis
            if not diagnosis.is_ok:
                return
        yield from diagnose(self._options, self._commands)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why the options contradict the resources, or no node can provide them; None if neither holds."""
        if (message := clash(self._options, wanted)) or not ask:
            return message
        from nemorun_cli.executors.slurm.check import why_unsatisfiable  # noqa: PLC0415 - only before a start

        return why_unsatisfiable(self._options, wanted, self._commands)

    def machine(self, *, with_gpus: bool) -> None:
        """None: tasks use no resources of this machine."""
        del with_gpus

    def foreign_end(self, job_id: str) -> AttemptEnd | None:
        """The end of a job that `exp` did not submit; None while it is not known."""
        return self._foreign.end(job_id)

    def close(self) -> None:
        """Stop querying; the jobs continue."""
        self._commands.close()

    # -- submitting -----------------------------------------------------------------------------------

    def _may_exist(self, job: Job) -> bool:
        """Whether an attempt was submitted before, so that its job may exist."""
        if attempts.claimed_pid(job.files) is not None:
            return True
        return bool(self._jobs.submissions(job)) and job.key not in self._absent

    def _write_requests(self) -> list[AttemptStatus]:
        """Queue the requests for sbatch; several of them once Slurm has reported how long an array may be."""
        longest = self._states.max_array() if len(self._requests) > 1 else 1
        if not self._requests or longest is None:
            return []
        requests, self._requests = self._requests, []
        size = self._jobs.of_experiment(requests[0][0]).size
        return [
            status
            for batch in batches(requests, longest=longest, size=size)
            for status in self._enqueue(batch)
        ]

    def _enqueue(self, batch: Batch, *, is_next: bool = False) -> list[AttemptStatus]:
        """Write a submission and queue it; if its files cannot be written, its members do not start."""
        try:
            self._queue.add(self._write(batch), batch, is_next=is_next)
        except OSError as error:
            return [self._unwritten(self._tracked[job.key], error) for job in batch.jobs]
        return []

    def _unwritten(self, tracked: _TrackedAttempt, error: OSError) -> AttemptStatus:
        self._unanswered.discard(tracked.job.key)
        failed = job_error(tracked.job, error)
        if failed.is_shortage:
            return replace(self._report_absent(tracked, failed.message), is_shortage=True)
        return self._report_finished(tracked, failed_launch(failed.message))

    def _write(self, batch: Batch) -> Submission:
        texts = {}
        parts = len(het_job.components(batch.each)) if batch.each else 0
        slices, others = member_places.nodes(batch), self._company_elsewhere(batch)
        for index, job in enumerate(batch.jobs):
            plan = job.plan
            assert plan is not None  # noqa: S101 - see `submit`
            upstream = arguments(job.upstream, self._access.cluster_path)
            if upstream:  # its own downstream jobs read this
                attempts.put(job.files.directory / UPSTREAM, "".join(f"{word}\0" for word in upstream))
            if batch.each:
                id_file = str(self._access.cluster_path(job.files.directory / het_job.STEP))
                component = index if parts > 1 else None
                step = het_job.step(
                    batch.each[index],
                    plan.argv,
                    id_file=id_file,
                    component=component,
                    first_node=slices[index].first,
                )
                plan = replace(plan, argv=step)
            attempts.write_plan(job.files, plan)
            env = task_environment.inherited(plan)
            attempt = self._access.cluster_path(job.files.directory)
            line = shim_line(attempt, plan, plan.argv[0])
            texts[job.key] = member_text(
                plan,
                attempt=attempt,
                mask=line[4],
                env=env | plan.env,
                arguments=line[1:],
                upstream=upstream,
                peers=member_places.words(batch, index, slices, others),
            )
        submissions = self._jobs.of_experiment(batch.jobs[0])
        by_steps = uses_srun(self._options) or any(job.plan and job.plan.company for job in batch.jobs)
        return submissions.make(batch, texts, by_steps=by_steps, cluster_path=self._access.cluster_path)

    def _company_elsewhere(self, batch: Batch) -> dict[str, PurePath]:
        """The folders of attempts of a co-scheduled group that run in other jobs, by task."""
        plan = batch.jobs[0].plan
        if plan is None or not plan.company:
            return {}
        own = {job.task for job in batch.jobs}
        return {
            tracked.job.task: self._access.cluster_path(tracked.job.files.directory)
            for tracked in self._tracked.values()
            if tracked.job.task in plan.peers.keys() - own
        }

    def _secrets_of(self, jobs: Iterable[Job]) -> dict[Path, Secrets]:
        return {
            job.files.directory: task_environment.secret_values(job.plan, self._secrets)
            for job in jobs
            if job.plan and job.plan.secrets
        }

    def _call(self, submission: Submission, batch: Batch) -> PendingCommand:
        return self._access.submit(submission, batch.jobs, self._secrets_of(batch.jobs))

    def _send(self) -> Sequence[AttemptStatus]:
        """Submit what waits for it; returns the new results."""
        unwritten = self._write_requests()
        return [
            *unwritten,
            *(
                status
                for submission, batch, answer in self._queue.answers()
                for status in self._answered(submission, batch, answer)
            ),
        ]

    def _withdrawn(self) -> list[AttemptStatus]:
        """Drop what Slurm never received: requests, and submissions whose members are all being cancelled."""
        message = "its job was not submitted"
        tracked = [self._tracked[job.key] for job, _ in self._requests if job.key in self._tracked]
        dropped = [one for one in tracked if one.cancel]
        keys = {one.job.key for one in dropped}
        self._unanswered -= keys
        self._requests = [entry for entry in self._requests if entry[0].key not in keys]
        return [
            *(self._report_absent(one, message) for one in dropped),
            *(
                status
                for submission in self._queue.withdraw(self._is_cancelled)
                for status in self._returned(submission, message)
            ),
        ]

    def _is_cancelled(self, submission: Submission) -> bool:
        return all(tracked.cancel for tracked in self._members(submission))

    def _members(self, submission: Submission) -> list[_TrackedAttempt]:
        return [self._tracked[key] for key in submission.members if key in self._tracked]

    def _answered(
        self, submission: Submission, batch: Batch, answer: Accepted | Refused
    ) -> Iterable[AttemptStatus]:
        """The statuses of the members of a submission that sbatch has answered."""
        self._states.hurry()
        if isinstance(answer, Accepted):
            crashpoints.point("attempt.spawned")
            return self._accepted(submission, answer)
        if answer.kind == "never":
            return self._refused_for_good(submission, answer)
        if answer.kind == "limit":
            return self._limited(submission, batch, answer)
        self._unanswered -= submission.indices.keys()
        # Slurm may have accepted it: the next answer of squeue shows this by the job's folder or name.
        message = f"it is unconfirmed whether Slurm accepted its job: {answer.reason}"
        return [self._report(tracked, "unknown", message=message) for tracked in self._members(submission)]

    def _accepted(self, submission: Submission, answer: Accepted) -> Iterable[AttemptStatus]:
        self._unanswered -= submission.indices.keys()
        submission.save_id(answer.job_id, answer.cluster)
        self._states.note_cluster(submission)
        return [
            self._report(tracked, "queued", job_id=submission.id_of(tracked.job.key))
            for tracked in self._members(submission)
        ]

    def _refused_for_good(self, submission: Submission, answer: Refused) -> Iterable[AttemptStatus]:
        if submission.is_early:  # a problem is reported when the task is submitted at its turn
            return self._returned(submission, answer.reason)
        self._unanswered -= submission.indices.keys()
        message = f"Slurm refused its job: {answer.reason}; correct the executor's options, see: exp doctor"
        return [
            self._report_finished(tracked, failed_launch(message)) for tracked in self._members(submission)
        ]

    def _limited(self, submission: Submission, batch: Batch, answer: Refused) -> Iterable[AttemptStatus]:
        """Try again when other jobs have ended; early jobs yield, and arrays are split."""
        if submission.is_early or self._is_cancelled(submission):
            return self._returned(submission, answer.limit)
        self._let_early_jobs_yield(len(batch.jobs))
        idle_since = None if self._states.has_live_jobs else self._states.asked
        is_hopeless = self._queue.is_hopeless(submission, idle_since=idle_since)
        unwritten: list[AttemptStatus] = []
        if submission.is_array:
            middle = len(batch.jobs) // 2
            for jobs in (batch.jobs[middle:], batch.jobs[:middle]):
                unwritten += self._enqueue(replace(batch, jobs=jobs, indices=None), is_next=True)
        elif is_hopeless and answer.is_own:
            reason = f"{answer.reason} (although you have no other job, so that this limit permits none)"
            return self._refused_for_good(submission, replace(answer, reason=reason))
        else:
            self._queue.add(submission, batch)
        message = sbatch_answer.waiting(answer)
        waiting = (
            self._report_new(tracked, "queued", message=message) for tracked in self._members(submission)
        )
        return [*unwritten, *(status for status in waiting if status)]

    def _let_early_jobs_yield(self, count: int) -> None:
        """Remove up to so many early jobs from the queue, the last ones first, unless they start just now."""
        early = [tracked for tracked in self._tracked.values() if self._waits_early(tracked)]
        for tracked in early[-count:]:
            tracked.has_yielded = True
            self._scancel(tracked.job, "--state=PENDING", str(self._jobs.id_of(tracked.job)))

    def _waits_early(self, tracked: _TrackedAttempt) -> bool:
        row = self._jobs.row(tracked.job)
        is_early = row is not None and row.phase == "queued" and self._jobs.is_early(tracked.job)
        return is_early and not (tracked.has_yielded or tracked.cancel) and not _is_claimed(tracked)

    def _returned(self, submission: Submission, reason: str) -> list[AttemptStatus]:
        """Report the members of a submission that is not in Slurm's queue as absent."""
        self._unanswered -= submission.indices.keys()
        message = f"Slurm did not queue it early: {reason}" if submission.is_early else reason
        return [self._report_absent(tracked, message) for tracked in self._members(submission)]

    # -- status ---------------------------------------------------------------------------------------

    def _status(self, tracked: _TrackedAttempt) -> AttemptStatus | None:
        """The status of one attempt, by its record and Slurm's last answer; None if nothing changed."""
        ending = attempts.read_ending(tracked.job.files)
        if self._access.is_behind(tracked.job) or (ending is None and tracked.job.key in self._unanswered):
            return None
        row = self._jobs.row(tracked.job)
        if ending is not None:
            return None if self._awaits_id(tracked) else self._status_recorded(tracked, ending, row)
        if (row is None or row.phase == "over") and (reason := self._why_withdrawn(tracked)):
            return self._report_absent(tracked, reason)
        if (problem := self._access.problem or self._states.complaint) is not None:
            tracked.settling_since = None
            return self._report_new(tracked, "unknown", message=problem)
        if row is not None:
            return self._status_in_slurm(tracked, row)
        is_unlisted = self._jobs.is_answer_current(tracked.job)
        return self._status_unlisted(tracked) if is_unlisted else self._status_claimed(tracked)

    def _why_withdrawn(self, tracked: _TrackedAttempt) -> str | None:
        """Why an early job has left Slurm without having begun; None if neither it nor exp ended it so."""
        if self._jobs.has_declined(tracked.job):
            return "its parents' records did not permit it to run"
        if tracked.has_yielded and not _is_claimed(tracked):
            self._queue.hurry()
            return _YIELDED
        return None

    def _status_in_slurm(self, tracked: _TrackedAttempt, row: QueueRow) -> AttemptStatus | None:
        """The status of an attempt without an exit record, by its job in Slurm."""
        if row.phase is None:
            message = f"Slurm reports {row.state}, which exp does not know"
            return self._report_new(tracked, "unknown", message=message)
        if (row.reason == NEVER or row.state == "CANCELLED") and self._jobs.can_never_start(tracked.job, row):
            if row.phase == "queued":
                self._scancel(tracked.job, row.job_id)
            return self._report_absent(tracked, _NEVER_STARTS)
        if row.phase == "over":
            return self._status_unrecorded(tracked, row)
        if row.phase == "queued":
            return self._status_queued(tracked, row)
        tracked.settling_since = None
        if self._jobs.is_early(tracked.job) and not _is_claimed(tracked):
            message = "its job has started, and checks whether the task may run"
            return self._report_new(tracked, "queued", job_id=row.job_id, message=message)
        job_id, since = row.job_id, self._jobs.start(tracked.job, row)
        claimed = self._status_claimed(tracked)
        return claimed or self._report_new(tracked, "running", job_id=job_id, since=since)

    def _status_claimed(self, tracked: _TrackedAttempt) -> AttemptStatus | None:
        """Running, if the shim has claimed the attempt; known earlier and more exactly than from Slurm."""
        try:
            since = tracked.job.files.claim.stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        if self._awaits_id(tracked):
            return None
        job_id = self._jobs.id_of(tracked.job)
        return self._report_new(tracked, "running", job_id=job_id, since=since)

    def _awaits_id(self, tracked: _TrackedAttempt) -> bool:
        """Whether sbatch printed no id of its job, and squeue, which has it, has not answered since."""
        is_known = self._jobs.id_of(tracked.job) is not None or self._states.complaint is not None
        if is_known or self._jobs.is_answer_current(tracked.job):
            return False
        tracked.settling_since = tracked.settling_since or time.monotonic()
        self._states.hurry(URGENT)
        return True

    def _status_queued(self, tracked: _TrackedAttempt, row: QueueRow) -> AttemptStatus | None:
        if not _is_claimed(tracked):
            tracked.settling_since = None
            if (
                tracked.queued_row
                and tracked.reported
                and tracked.reported.state == "queued"
                and not is_news(tracked.queued_row, row, now=time.time())
            ):
                return None
            tracked.queued_row = row
            return self._report_new(tracked, "queued", job_id=row.job_id, message=waiting_message(row))
        is_silent = tracked.is_adopted and self._jobs.is_silent(tracked.job)
        if (
            row.submit is not None
            and len(self._jobs.submissions(tracked.job)) == 1
            and (self._has_settled(tracked, LOST_AFTER) or is_silent)
        ):
            self._scancel(tracked.job, row.job_id)
            return self._report_finished(tracked, lost("Slurm requeued its job after it had started"))
        return self._report_new(tracked, "running", job_id=row.job_id)

    def _status_recorded(
        self, tracked: _TrackedAttempt, ending: AttemptEnd, row: QueueRow | None
    ) -> AttemptStatus | None:
        """The end of an attempt with an exit record, once no process is left and Slurm can report a cause."""
        is_watched = (tracked.job.files.directory / RUNNING).exists()
        is_plain = ending.status is TaskStatus.FAILED and ending.reason in (Reason.EXIT, Reason.SIGNAL)
        if not (is_plain or is_watched or tracked.cancel):
            return self._report_finished(tracked, ending)
        if tracked.settling_since is None:
            tracked.settling_since = time.monotonic()
        is_asked = self._is_asked_since(tracked, ending.ended or 0.0)
        has_finished = row.phase == "over" if row else is_asked
        # While the job of a co-scheduled group continues, Slurm did not terminate one of its steps.
        has_finished |= is_asked and not is_watched and self._jobs.is_coscheduled(tracked.job)
        delay = CANCEL_DELAY if tracked.cancel else CAUSE_DELAY
        is_old = age(ending.ended or 0.0) > delay or self._has_settled(tracked, delay)
        if has_finished or (is_old and not is_watched):
            return self._report_finished(tracked, self._with_cause(tracked, ending, row))
        self._states.hurry(URGENT)
        return None

    def _is_asked_since(self, tracked: _TrackedAttempt, ended: float) -> bool:
        """Whether Slurm's last answer was requested after an attempt had left its exit record."""
        asked = self._states.asked
        if asked is None or tracked.settling_since is None:
            return False
        asked_ago = time.monotonic() - asked
        # An adopted attempt's record may be older than the first query, which preceded its reading.
        is_old = tracked.is_adopted and time.time() - asked_ago > ended + RECORD_DELAY
        return is_old or asked > tracked.settling_since

    def _with_cause(self, tracked: _TrackedAttempt, ending: AttemptEnd, row: QueueRow | None) -> AttemptEnd:
        if ending.status is not TaskStatus.FAILED or tracked.cancel:
            return ending
        if row and (cause := CAUSES.get(row.state)):
            return replace(ending, reason=cause[0], message=cause[1])
        if row and row.state == "CANCELLED":
            cancelled = ending_of(row)
            return replace(
                ending, status=cancelled.status, reason=cancelled.reason, message=cancelled.message
            )
        markers = (NEAR_LIMIT, NEAR_LIMIT_BEFORE)
        if any((tracked.job.files.directory / name).exists() for name in markers):
            message = "it ended after the signal that announced its time limit"
            return replace(ending, reason=Reason.TIMEOUT, message=message)
        return ending

    def _status_unrecorded(self, tracked: _TrackedAttempt, row: QueueRow) -> AttemptStatus | None:
        """Slurm reports that the job has finished: its exit record may not be visible yet."""
        if not tracked.job.files.directory.is_dir():  # no record is to be expected
            return self._report_finished(tracked, with_note(ending_of(row), NO_FOLDER))
        was_claimed = _is_claimed(tracked)
        has_ended_itself = row.state in ("COMPLETED", "FAILED")
        is_late = row.end is not None and age(row.end) > RECORD_DELAY
        is_forgotten = tracked.is_adopted and not self._states.lists(row.job_id)
        is_late |= is_forgotten and self._jobs.is_silent(tracked.job)
        if not (was_claimed or has_ended_itself) or is_late or self._has_settled(tracked, RECORD_DELAY):
            return self._report_finished(tracked, ending_of(row))
        return None

    def _status_unlisted(self, tracked: _TrackedAttempt) -> AttemptStatus | None:
        """Slurm answers, but does not list the job: it was never accepted, or has finished some time ago."""
        job_id, claimed = self._jobs.id_of(tracked.job), attempts.claimed_pid(tracked.job.files)
        if job_id is None and claimed is None:
            return self._report_absent(tracked, None)
        self._states.query_accounting([job_id] if job_id else [])
        if job_id and not self._states.is_accounted(job_id) and not self._is_out_of_patience(tracked):
            self._states.hurry()
            doubt = self._states.doubt
            return self._report_new(tracked, "unknown", message=doubt) if doubt else None
        if claimed is None and (ending := self._queue_cancel(tracked)):
            if tracked.queued_row and self._jobs.can_never_start(tracked.job, tracked.queued_row):
                return self._report_absent(tracked, _NEVER_STARTS)
            return self._report_finished(tracked, ending)
        return self._status_lost(tracked, job_id, is_claimed=claimed is not None)

    def _status_lost(
        self, tracked: _TrackedAttempt, job_id: str | None, *, is_claimed: bool
    ) -> AttemptStatus | None:
        """No trace of a job: after some time it is lost, and an early one returns to the scheduler."""
        is_silent = tracked.is_adopted and self._jobs.is_silent(tracked.job)
        is_lost = is_silent or self._has_settled(tracked, LOST_AFTER)
        if is_lost and not is_claimed and self._jobs.is_early(tracked.job):
            return self._report_absent(tracked, "it left Slurm's queue without having started")
        if is_lost:
            name = f"job {job_id}" if job_id else "its job"
            ending = lost(f"Slurm no longer knows {name}, which left no exit record")
            return self._report_finished(tracked, ending)
        self._states.hurry()
        return None

    def _unlisted(self, jobs: Iterable[Job]) -> list[str]:
        """The ids of jobs without an exit record that squeue does not list."""
        if self._states.complaint is not None:
            return []
        return [
            job_id
            for job in jobs
            if (job_id := self._jobs.id_of(job))
            and self._jobs.row(job) is None
            and attempts.read_ending(job.files) is None
        ]

    def _is_out_of_patience(self, tracked: _TrackedAttempt) -> bool:
        """Whether accounting has not answered for so long that the verdict does not wait any more."""
        is_silent = tracked.is_adopted and self._jobs.is_silent(tracked.job, ACCOUNTING_PATIENCE)
        return is_silent or self._has_settled(tracked, ACCOUNTING_PATIENCE)

    def _queue_cancel(self, tracked: _TrackedAttempt) -> AttemptEnd | None:
        """A cancel, if the job was queued: Slurm keeps no trace of an array job cancelled in the queue."""
        first_sent = tracked.cancel.first_sent if tracked.cancel else None
        if first_sent and (self._states.asked or 0.0) > first_sent:
            return AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason.CANCELLED)
        if tracked.queued_row and self._has_settled(tracked, RECORD_DELAY):
            message = "it was removed from Slurm's queue, not by exp"
            return AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason.CANCELLED, message=message)
        return None

    def _has_settled(self, tracked: _TrackedAttempt, seconds: float) -> bool:
        now = time.monotonic()
        if tracked.settling_since is None:
            tracked.settling_since = now
        return now - tracked.settling_since > seconds

    def _can_be_cancelled(self, tracked: _TrackedAttempt) -> bool:
        """Whether the job's id is known, and its files are recent enough to decide whether it has started."""
        if tracked.job.key in self._unanswered or self._jobs.id_of(tracked.job) is None:
            return False
        return tracked.cancel is None or self._access.is_current(tracked.cancel.requested)

    # -- reporting ------------------------------------------------------------------------------------

    def _report(self, tracked: _TrackedAttempt, state: Any, **fields: Any) -> AttemptStatus:
        tracked.reported = AttemptStatus(key=tracked.job.key, state=state, **fields)
        return tracked.reported

    def _report_new(self, tracked: _TrackedAttempt, state: Any, **fields: Any) -> AttemptStatus | None:
        before = tracked.reported
        return None if self._report(tracked, state, **fields) == before else tracked.reported

    def _report_absent(self, tracked: _TrackedAttempt, message: str | None) -> AttemptStatus:
        """Report an attempt that was never started, and that no existing job will start."""
        self._absent.add(tracked.job.key)
        self._untrack(tracked)
        return AttemptStatus(key=tracked.job.key, state="absent", message=message)

    def _report_finished(self, tracked: _TrackedAttempt, ending: AttemptEnd) -> AttemptStatus:
        if redundant := self._jobs.redundant_ids(tracked.job):
            self._scancel(tracked.job, *redundant)
        self._jobs.keep_output(tracked.job)
        was_signalled = self._was_signalled(tracked, ending)
        ending = self._with_memory(tracked, ending)
        if shortfall := self._access.shortfall(tracked.job):
            message = f"{ending.message}; {shortfall}" if ending.message else shortfall
            ending = replace(ending, message=message)
        self._untrack(tracked)
        self._queue.hurry()
        return AttemptStatus(
            key=tracked.job.key,
            state="over",
            job_id=self._jobs.id_of(tracked.job),
            ending=ending,
            evidence=None,
            was_signalled=was_signalled,
        )

    def _was_signalled(self, tracked: _TrackedAttempt, ending: AttemptEnd) -> bool | None:
        """Whether its job received a signal before an attempt had ended; None if its files do not show that.

        The job writes both files on one node, so their times can be compared. Steps receive signals from
        Slurm, and KILL leaves no file.
        """
        submitted = self._jobs.submissions(tracked.job)
        by_kill = ending.exit_code == SIGNAL_BASE + signal_number("KILL")
        if by_kill or not submitted or any(submission.by_steps for submission in submitted):
            return None
        files = tracked.job.files
        try:
            ended = files.exit.lstat().st_mtime_ns
            return (files.directory / SIGNALLED).lstat().st_mtime_ns <= ended
        except FileNotFoundError:
            return False if files.exit.exists() else None
        except OSError:
            return None

    def _with_memory(self, tracked: _TrackedAttempt, ending: AttemptEnd) -> AttemptEnd:
        """The end of an attempt, which Slurm may have killed for its memory without a state of its own."""
        reasons = (Reason.SIGNAL, Reason.CANCELLED, Reason.LOST)
        if tracked.cancel or ending.reason not in reasons or not self._jobs.was_over_memory(tracked.job):
            return ending
        reason, message = CAUSES["OUT_OF_MEMORY"]
        return replace(ending, status=TaskStatus.FAILED, reason=reason, message=message)

    def _scancel(self, job: Job, *job_ids: str) -> None:
        self._commands.ask(["scancel", "--quiet", *self._jobs.cluster_flags(job), *job_ids])

    def _with_start(self, tracked: _TrackedAttempt, status: AttemptStatus) -> Sequence[AttemptStatus]:
        """The status, preceded by the start of a task that finished before it was reported as running."""
        ending, reported = status.ending, tracked.reported
        if ending is None or ending.started is None or (reported and reported.state == "running"):
            return [status]
        start = AttemptStatus(key=status.key, state="running", job_id=status.job_id, since=ending.started)
        return [start, status]

    def _untrack(self, tracked: _TrackedAttempt) -> None:
        self._access.remove_secrets(tracked.job)
        self._tracked.pop(tracked.job.key, None)

    def _are_all_cancelled(self, job: Job) -> bool:
        """Whether all unfinished members of its job are being cancelled, so that the job may be cancelled."""
        members = (self._tracked.get(key) for key in self._jobs.submissions(job)[-1].members)
        return all(member.cancel for member in members if member)

    def _advance_cancels(self) -> None:
        """Send the cancel commands that are due."""
        now, due = time.monotonic(), []
        for tracked in self._tracked.values():
            if tracked.cancel and tracked.cancel.due <= now and self._can_be_cancelled(tracked):
                row = self._jobs.row(tracked.job)
                has_begun = _is_claimed(tracked)
                is_queued = not has_begun and (row is None or row.phase == "queued")
                job_id = self._jobs.id_of(tracked.job) or ""
                flags = self._jobs.cluster_flags(tracked.job)
                if self._jobs.is_coscheduled(tracked.job):
                    if not self._are_all_cancelled(tracked.job):
                        if step_id := self._jobs.step_id(tracked.job):
                            due.append(((*tracked.cancel.next_step_command(), *flags), step_id))
                        continue
                    job_id = self._jobs.submissions(tracked.job)[-1].job_id or job_id
                due.append(((*tracked.cancel.next_command(is_queued=is_queued), *flags), job_id))
        for command in grouped(due):
            self._commands.ask(command)
            self._states.hurry(URGENT)


def _is_claimed(tracked: _TrackedAttempt) -> bool:
    """Whether its job has begun."""
    return attempts.claimed_pid(tracked.job.files) is not None


def _host_of(options: Mapping[str, Any]) -> str | None:
    """The host of the tunnel; None without one, or if it is invalid."""
    tunnel = options.get("tunnel")
    host = tunnel.get("host") if isinstance(tunnel, dict) else None
    return host if isinstance(host, str) else None


def _access_for(options: Mapping[str, Any]) -> ClusterAccess:
    """Access to the cluster of an executor with these options."""
    if "tunnel" in options:
        from nemorun_cli.executors.slurm.remote.cluster import RemoteCluster  # noqa: PLC0415 - only for remote clusters

        return RemoteCluster(options)
    return SharedCluster(options)
