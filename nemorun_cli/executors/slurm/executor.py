"""Tasks as jobs of a Slurm cluster, each under the shim; members with equal requests as job arrays.

A task has ended when its shim says so in `exit.json`, which needs no Slurm. What Slurm says is asked
for all jobs at once, and decides where there is no such record, or why the task was ended.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nemorun_cli.executors import AttemptStatus, Diagnosis, Job, Key
from nemorun_cli.executors.shim_call import shim_line
from nemorun_cli.executors.slurm import het_job
from nemorun_cli.executors.slurm.access import SharedCluster
from nemorun_cli.executors.slurm.attempt_jobs import LOST_AFTER, Jobs
from nemorun_cli.executors.slurm.dependency import BEHIND, Batch, arguments, batches
from nemorun_cli.executors.slurm.job_script import NEAR_LIMIT, RUNNING, member_text
from nemorun_cli.executors.slurm.job_states import URGENT, Cluster
from nemorun_cli.executors.slurm.sbatch_options import (
    OPTIONS_SCHEMA,
    Request,
    argv,
    clash,
    request,
    uses_srun,
)
from nemorun_cli.executors.slurm.scancel import JobStop, commands
from nemorun_cli.executors.slurm.squeue import CAUSES, NEVER, QueueRow, ending_of, is_news, waiting_message
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import AttemptEnd, failed_launch, lost
from nemorun_cli.model.status import Reason, TaskStatus
from nemorun_cli.storage import attempts
from nemorun_cli.system import crashpoints, environment, files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nemorun_cli.executors.slurm.access import ClusterAccess
    from nemorun_cli.executors.slurm.commands import CommandResult, PendingCommand
    from nemorun_cli.executors.slurm.job_script import Secrets
    from nemorun_cli.executors.slurm.submissions import Submission
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

SETTLING: Final = 3.0  # seconds that an exit record may take to be seen after Slurm says that the job is over
WORD: Final = 5.0  # seconds that an end may wait for Slurm to say why
GONE: Final = 30.0  # the same, for a job that is being cancelled, and has to be seen gone

# What commands say when Slurm cannot be asked now; all else is a refusal.
_OUTAGE: Final = re.compile(
    r"unable to contact|timed out|connection (refused|reset)|zero bytes|temporarily (unable|unavailable)"
    r"|configuration source|authentication|munge|standby|transport endpoint|did not end within"
    r"|unexpected message|try again later",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Held:
    """An attempt in hand.

    Attributes:
        is_adopted: another process submitted it, so that nothing is known of how long it is as it is.
        told: the last sighting, which is not repeated.
        queued: the last answer whose reason for waiting was told.
        since: the monotonic time from which on only a last word is waited for.
    """

    job: Job
    is_adopted: bool
    told: AttemptStatus | None = None
    queued: QueueRow | None = None
    since: float | None = None
    stop: JobStop | None = None


class SlurmExecutor:
    """Runs tasks on the cluster whose commands are here; Slurm itself limits how many run at once."""

    counts_toward_max_parallel: ClassVar[bool] = False
    options_schema: ClassVar[Mapping[str, Any]] = OPTIONS_SCHEMA

    @staticmethod
    def has_remote_paths(options: Mapping[str, Any]) -> bool:
        """Those of the far side of a tunnel."""
        return "tunnel" in options

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options, self._secrets = options, secrets
        self._site = _site(options)
        self._commands = self._site.commands
        self._cluster = Cluster(self._commands)
        self._jobs = Jobs(self._cluster)
        self._held: dict[Key, _Held] = {}
        self._absent: set[Key] = set()  # said to be absent, so that another submission is right
        self._waiting: deque[tuple[Submission, Sequence[Job]]] = deque()
        self._sending: tuple[Submission, PendingCommand] | None = None
        self._answered: list[AttemptStatus] = []  # what became of earlier submissions, for `poll` to tell
        self._unsent: set[Key] = set()  # sbatch was not asked for them, or has not answered

    def queue(self) -> str:
        """The cluster, and how it is reached: jobs there can wait for each other, whatever they ask for."""
        return f"slurm {json.dumps(self._options.get('tunnel'), sort_keys=True)}"

    def plan(self, plan: Plan) -> Plan:
        """The plan with what sbatch will be told, and under srun where tasks are to be spread."""
        plan = self._site.plan(plan)
        asked = request(self._options, plan)
        return replace(plan, argv=argv(self._options, plan), details={**plan.details, **asked.to_json()})

    def submit(self, jobs: Sequence[Job]) -> Iterable[AttemptStatus]:
        """Hand attempts to sbatch, as arrays where their requests are equal; `poll` tells what came of it."""
        requests: list[tuple[Job, Request]] = []
        for job in jobs:
            is_new = attempts.make_folders(job.files)
            if self._may_be_there(job) and not is_new:
                self._held[job.key] = _Held(job, is_adopted=True)
                continue
            self._absent.discard(job.key)
            self._held[job.key] = _Held(job, is_adopted=False)
            assert job.plan is not None  # noqa: S101 - the core submits nothing without a plan
            requests.append((job, request(self._options, job.plan)))
        if requests:
            size = self._jobs.all_of(jobs[0]).size
            for batch in batches(requests, longest=self._cluster.max_array, size=size):
                self._waiting.append((self._write(batch), batch.jobs))
        keys = {job.key for job in jobs}
        found = [*self._answered, *self._send()]
        self._answered = [sighting for sighting in found if sighting.key not in keys]
        return [sighting for sighting in found if sighting.key in keys]

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[AttemptStatus]:
        """What the attempts' records and Slurm's last answer tell that was not told yet."""
        self._held = {key: held for key, held in self._held.items() if key in jobs}
        found, self._answered = [*self._answered, *self._send()], []
        done = {sighting.key for sighting in found if sighting.state == "over"}
        strangers = [job for key, job in jobs.items() if key not in self._held and key not in done]
        for job in strangers:
            self._held[job.key] = _Held(job, is_adopted=True)
        news, looked_after = self._jobs.news, [*jobs.values()]
        has_news = self._site.look(news, looked_after)
        if strangers:
            self._cluster.look_now()
            self._site.look_now(news, looked_after)
        if has_news and self._cluster.complaint:
            self._cluster.hurry(URGENT)
        is_new = self._cluster.look() or has_news or bool(strangers)
        for held in list(self._held.values()):
            if (is_new or held.since is not None) and (sighting := self._judge(held)):
                found += self._with_start(held, sighting)
        self._advance()
        self._commands.collect()
        return found

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> None:
        """Take back what waits; signal what runs, and KILL it after the grace period."""
        for job in jobs:
            held = self._held.setdefault(job.key, _Held(job, is_adopted=True))
            name = attempt_end.short_signal(signal or job.stop_signal)
            patience = job.stop_grace if grace is None else grace
            if held.stop:
                held.stop.hurry(signal=name, grace=patience)
            else:
                by_steps = any(one.by_steps for one in self._jobs.of(job))
                held.stop = JobStop(signal=name, grace=patience, by_steps=by_steps)
        self._advance()
        self._cluster.hurry(URGENT)

    def wakeup(self) -> int | None:
        """The descriptor that tells when one of Slurm's commands has ended."""
        return self._commands.fileno()

    def due(self) -> float | None:
        """When to look for news of jobs, to ask Slurm again, or to go on with a cancel."""
        times = [self._commands.due(), time.monotonic() if self._answered else None]
        if self._held:
            times += [self._site.due(), self._cluster.due]
        times += [held.stop.due for held in self._held.values() if held.stop and self._can_be_told(held)]
        return min((due for due in times if due is not None), default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Whether Slurm answers, and would take a job of these options."""
        from nemorun_cli.executors.slurm.check import diagnose  # noqa: PLC0415 - only `doctor` needs it

        for found in self._site.check():
            yield found
            if not found.is_ok:
                return
        yield from diagnose(self._options, self._commands)

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """What the options say otherwise, or more than any node has."""
        if (told := clash(self._options, wanted)) or not ask:
            return told
        from nemorun_cli.executors.slurm.check import why_unsatisfiable  # noqa: PLC0415 - only before a start

        return why_unsatisfiable(self._options, wanted, self._commands)

    def machine(self, *, with_gpus: bool) -> None:
        """None of this machine: the cluster has its own."""
        del with_gpus

    def close(self) -> None:
        """Stop asking; the jobs are Slurm's and go on."""
        self._commands.close()

    # -- submitting -----------------------------------------------------------------------------------

    def _may_be_there(self, job: Job) -> bool:
        """Whether an attempt was submitted before, and nobody has looked yet what came of it."""
        if attempts.claimed_pid(job.files) is not None:
            return True
        return bool(self._jobs.of(job)) and job.key not in self._absent

    def _write(self, batch: Batch) -> Submission:
        texts = {}
        parts = len(het_job.components(batch.each)) if batch.each else 0
        for index, job in enumerate(batch.jobs):
            plan = job.plan
            assert plan is not None  # noqa: S101 - see `submit`
            behind = arguments(job.upstream, self._site.place)
            if behind:  # for those who wait for it in turn
                files.write(job.files.directory / BEHIND, "".join(f"{word}\0" for word in behind))
            if batch.each:
                mark = str(self._site.place(job.files.directory / het_job.STEP))
                component = index if parts > 1 else None
                step = het_job.step(batch.each[index], plan.argv, mark=mark, component=component)
                plan = replace(plan, argv=step)
            attempts.write_plan(job.files, plan)
            env = environment.inherited(plan.env_inherit) if isinstance(plan.env_inherit, tuple) else {}
            attempt = self._site.place(job.files.directory)
            line = shim_line(attempt, plan, plan.argv[0])
            texts[job.key] = member_text(
                plan,
                attempt=attempt,
                mask=line[4],
                env=env | plan.env,
                arguments=line[1:],
                upstream=behind,
            )
        self._unsent |= texts.keys()
        submissions = self._jobs.all_of(batch.jobs[0])
        by_steps = uses_srun(self._options) or any(job.plan and job.plan.company for job in batch.jobs)
        return submissions.make(batch, texts, by_steps=by_steps, place=self._site.place)

    def _secrets_of(self, jobs: Iterable[Job]) -> dict[Path, Secrets]:
        return {
            job.files.directory: {name: self._secrets[name] for name in job.plan.secrets}
            for job in jobs
            if job.plan and job.plan.secrets
        }

    def _send(self) -> Sequence[AttemptStatus]:
        """Go on submitting, one after the other; gives what became of those that sbatch has answered."""
        found: list[AttemptStatus] = []
        while True:
            if self._sending:
                submission, question = self._sending
                answer = question.answer()
                if answer is None:
                    break
                self._sending = None
                found += self._sent(submission, answer)
            if not self._waiting:
                break
            submission, jobs = self._waiting.popleft()
            self._sending = submission, self._site.submit(submission, jobs, self._secrets_of(jobs))
        return found

    def _sent(self, submission: Submission, answer: CommandResult) -> Iterable[AttemptStatus]:
        self._cluster.hurry()
        self._unsent -= submission.indices.keys()
        members = [self._held[key] for key in submission.members if key in self._held]
        if answer.is_good:
            crashpoints.point("attempt.spawned")
            submission.remember(answer.output.strip().partition(";")[0])
            return [self._tell(held, "queued", job_id=submission.id_of(held.job.key)) for held in members]
        if answer.is_lost or _OUTAGE.search(answer.complaint):
            # It may have been taken: the next answer of squeue tells, by the job's name.
            message = f"it is not known whether Slurm took it: {answer.complaint}"
            return [self._tell(held, "unknown", message=message) for held in members]
        if submission.is_early:  # what there is to tell of it is told when its turn comes
            return [
                self._give_back(held, f"Slurm did not queue it early: {answer.complaint}") for held in members
            ]
        ending = failed_launch(f"Slurm did not take it: {answer.complaint}")
        return [self._over(held, ending) for held in members]

    # -- looking --------------------------------------------------------------------------------------

    def _judge(self, held: _Held) -> AttemptStatus | None:
        """How one attempt stands, by its record and by what Slurm last said."""
        ending = attempts.read_ending(held.job.files)
        if self._site.is_behind(held.job) or (ending is None and held.job.key in self._unsent):
            return None
        row = self._jobs.row(held.job)
        if ending is not None:
            return self._judge_ended(held, ending, row)
        if (row is None or row.phase == "over") and self._jobs.stood_back(held.job):
            return self._give_back(held, "the ends of those it waited for did not say that it may run")
        if (trouble := self._site.trouble or self._cluster.complaint) is not None:
            held.since = None
            return self._new(held, "unknown", message=trouble)
        if row is None:
            return self._judge_gone(held) if self._jobs.is_answered(held.job) else self._judge_claim(held)
        return self._judge_row(held, row)

    def _judge_row(self, held: _Held, row: QueueRow) -> AttemptStatus | None:
        """How an attempt without a record stands, by its job."""
        if row.phase is None:
            return self._new(held, "unknown", message=f"Slurm says {row.state}, which exp does not know")
        if row.reason == NEVER and attempts.claimed_pid(held.job.files) is None:
            if row.phase == "queued":
                self._commands.ask(["scancel", "--quiet", row.job_id])
            return self._give_back(held, "Slurm found that what it waited for can never come to pass")
        if row.phase == "over":
            return self._judge_unrecorded(held, row)
        if row.phase == "queued":
            return self._judge_queued(held, row)
        held.since = None
        if self._jobs.is_early(held.job) and attempts.claimed_pid(held.job.files) is None:
            message = "its job has begun, and sees whether it may run it"
            return self._new(held, "queued", job_id=row.job_id, message=message)
        since = self._jobs.start(held.job, row)
        return self._judge_claim(held) or self._new(held, "running", job_id=row.job_id, since=since)

    def _judge_claim(self, held: _Held) -> AttemptStatus | None:
        """A shim that has begun says so before Slurm is asked again, and knows better when."""
        try:
            since = held.job.files.claim.stat().st_mtime
        except FileNotFoundError:
            return None
        return self._new(held, "running", job_id=self._jobs.id_of(held.job), since=since)

    def _judge_queued(self, held: _Held, row: QueueRow) -> AttemptStatus | None:
        if attempts.claimed_pid(held.job.files) is None:
            held.since = None
            if held.queued and held.told and held.told.state == "queued" and not is_news(held.queued, row):
                return None
            held.queued = row
            return self._new(held, "queued", job_id=row.job_id, message=waiting_message(row))
        if (
            row.submit is not None
            and len(self._jobs.of(held.job)) == 1
            and self._has_settled(held, LOST_AFTER)
        ):
            self._commands.ask(["scancel", "--quiet", row.job_id])
            return self._over(held, lost("Slurm put it back into its queue after it had begun"))
        return self._new(held, "running", job_id=row.job_id)

    def _judge_ended(self, held: _Held, ending: AttemptEnd, row: QueueRow | None) -> AttemptStatus | None:
        """Nothing of it may be left, what is cancelled has to be gone, and Slurm may know why it failed."""
        is_watched = (held.job.files.directory / RUNNING).exists()
        is_plain = ending.status is TaskStatus.FAILED and ending.reason in (Reason.EXIT, Reason.SIGNAL)
        if not (is_plain or is_watched or held.stop):
            return self._over(held, ending)
        if held.since is None:
            held.since = time.monotonic()
        is_asked = (self._cluster.asked or 0.0) > held.since
        is_over = row.phase == "over" if row else is_asked
        # While a job goes on, that one of its steps has ended was not Slurm's doing.
        is_over |= is_asked and not is_watched and self._jobs.is_together(held.job)
        is_old = time.time() - (ending.ended or 0.0) > (GONE if held.stop else WORD)
        if is_over or (is_old and not is_watched):
            return self._over(held, self._explained(held, ending, row))
        self._cluster.hurry(URGENT)
        return None

    def _explained(self, held: _Held, ending: AttemptEnd, row: QueueRow | None) -> AttemptEnd:
        if ending.status is not TaskStatus.FAILED or held.stop:
            return ending
        if row and (cause := CAUSES.get(row.state)):
            return replace(ending, reason=cause[0], message=cause[1])
        if row and row.state == "CANCELLED":
            said = ending_of(row)
            return replace(ending, status=said.status, reason=said.reason, message=said.message)
        if (held.job.files.directory / NEAR_LIMIT).exists():
            message = "it ended after the signal that its time was nearly over"
            return replace(ending, reason=Reason.TIMEOUT, message=message)
        return ending

    def _judge_unrecorded(self, held: _Held, row: QueueRow) -> AttemptStatus | None:
        """Slurm says that the job is over: its record may still be on the way."""
        was_claimed = attempts.claimed_pid(held.job.files) is not None
        has_ended_itself = row.state in ("COMPLETED", "FAILED")
        is_late = row.end is not None and time.time() - row.end > SETTLING
        if not (was_claimed or has_ended_itself) or is_late or self._has_settled(held, SETTLING):
            return self._over(held, ending_of(row))
        return None

    def _judge_gone(self, held: _Held) -> AttemptStatus | None:
        """Slurm answers and does not have it: never taken, or over for so long that it has forgotten."""
        job_id, claimed = self._jobs.id_of(held.job), attempts.claimed_pid(held.job.files)
        if job_id is None and claimed is None:
            return self._give_back(held, None)
        self._cluster.account_for([job_id] if job_id else [])
        if claimed is None and (ending := self._taken_back(held)):
            return self._over(held, ending)
        is_gone = (held.is_adopted and self._jobs.is_quiet(held.job)) or self._has_settled(held, LOST_AFTER)
        if is_gone and claimed is None and self._jobs.is_early(held.job):
            return self._give_back(held, "it left Slurm's queue without having begun")
        if is_gone:
            known = f"job {job_id}" if job_id else "its job"
            return self._over(held, lost(f"Slurm no longer knows {known}, and it left no exit record"))
        self._cluster.hurry()
        return None

    def _taken_back(self, held: _Held) -> AttemptEnd | None:
        """Of a job of an array that is cancelled while it waits nothing is left to be seen."""
        if held.stop and held.stop.told and (self._cluster.asked or 0.0) > held.stop.told:
            return AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason.CANCELLED)
        if held.queued and self._has_settled(held, SETTLING):
            message = "it was taken out of Slurm's queue, and not by exp"
            return AttemptEnd(status=TaskStatus.CANCELLED, reason=Reason.CANCELLED, message=message)
        return None

    def _has_settled(self, held: _Held, seconds: float) -> bool:
        now = time.monotonic()
        if held.since is None:
            held.since = now
        return now - held.since > seconds

    def _can_be_told(self, held: _Held) -> bool:
        """Whether Slurm knows the job by an id that is known here, and so is whether it has begun."""
        if held.job.key in self._unsent or self._jobs.id_of(held.job) is None:
            return False
        return held.stop is None or self._site.has_seen(held.stop.made)

    # -- telling --------------------------------------------------------------------------------------

    def _tell(self, held: _Held, state: Any, **fields: Any) -> AttemptStatus:
        held.told = AttemptStatus(key=held.job.key, state=state, **fields)
        return held.told

    def _new(self, held: _Held, state: Any, **fields: Any) -> AttemptStatus | None:
        before = held.told
        return None if self._tell(held, state, **fields) == before else held.told

    def _give_back(self, held: _Held, message: str | None) -> AttemptStatus:
        """Of an attempt that was not begun, and will not be by any job that there is."""
        self._absent.add(held.job.key)
        self._drop(held)
        return AttemptStatus(key=held.job.key, state="absent", message=message)

    def _over(self, held: _Held, ending: AttemptEnd) -> AttemptStatus:
        if left := self._jobs.left(held.job):
            self._commands.ask(["scancel", "--quiet", *left])
        if lacks := self._site.shortfall(held.job):
            ending = replace(ending, message=f"{ending.message}; {lacks}" if ending.message else lacks)
        self._drop(held)
        return AttemptStatus(
            key=held.job.key, state="over", job_id=self._jobs.id_of(held.job), ending=ending, evidence=None
        )

    def _with_start(self, held: _Held, sighting: AttemptStatus) -> Sequence[AttemptStatus]:
        """An end led by the start, of a task that ended before it was seen running."""
        ending, told = sighting.ending, held.told
        if ending is None or ending.started is None or (told and told.state == "running"):
            return [sighting]
        start = AttemptStatus(key=sighting.key, state="running", job_id=sighting.job_id, since=ending.started)
        return [start, sighting]

    def _drop(self, held: _Held) -> None:
        self._site.forget(held.job)
        self._held.pop(held.job.key, None)

    def _is_all_stopped(self, job: Job) -> bool:
        """Whether all members of its job that are not over are being ended, so that the job may be."""
        held = (self._held.get(key) for key in self._jobs.of(job)[-1].members)
        return all(one.stop for one in held if one)

    def _advance(self) -> None:
        """Go on with what is being ended."""
        now, steps = time.monotonic(), []
        for held in self._held.values():
            if held.stop and held.stop.due <= now and self._can_be_told(held):
                row = self._jobs.row(held.job)
                has_begun = attempts.claimed_pid(held.job.files) is not None
                is_queued = not has_begun and (row is None or row.phase == "queued")
                job_id = self._jobs.id_of(held.job) or ""
                if self._jobs.is_together(held.job):
                    if not self._is_all_stopped(held.job):
                        if step := self._jobs.step(held.job):
                            steps.append((held.stop.step_alone(), step))
                        continue
                    job_id = self._jobs.of(held.job)[-1].job_id or job_id
                steps.append((held.stop.step(is_queued=is_queued), job_id))
        for command in commands(steps):
            self._commands.ask(command)
            self._cluster.hurry(URGENT)


def _site(options: Mapping[str, Any]) -> ClusterAccess:
    """How the cluster of an executor with these options is reached."""
    if "tunnel" in options:
        from nemorun_cli.executors.slurm.remote.cluster import RemoteCluster  # noqa: PLC0415 - only for remote clusters

        return RemoteCluster(options)
    return SharedCluster(options)
