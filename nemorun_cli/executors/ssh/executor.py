"""Runs tasks on hosts behind ssh that have no scheduler, each under the shim, on a host that has capacity.

Whether an attempt runs is decided on its host, by the lock that its processes hold there; its exit record and
what it writes are copied back. A task waits here until a host has capacity for it; its host is noted
before anything is sent there.
"""

from __future__ import annotations

import re
import secrets as random
import select
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
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
from nemorun_cli.executors.escalation import Escalation
from nemorun_cli.executors.remote_hosts import task_environment
from nemorun_cli.executors.remote_hosts.remote_paths import RemotePaths
from nemorun_cli.executors.remote_hosts.ssh_client import Tunnel
from nemorun_cli.executors.shim_call import NO_FOLDER, shim_line
from nemorun_cli.executors.ssh import placement
from nemorun_cli.executors.ssh.launch_text import LAUNCH, SECRETS, launch_text, secrets_text
from nemorun_cli.executors.ssh.placement import PlacementRequest
from nemorun_cli.executors.ssh.ssh_host import (
    TICKET,
    HostOfExperiment,
    note_boot,
    note_of,
    read_place,
    remove_place,
    write_place,
)
from nemorun_cli.executors.ssh.ssh_options import OPTIONS_SCHEMA, SshHost, hosts_of, names_in
from nemorun_cli.model import attempt_end, group_hosts, remote_host
from nemorun_cli.model.attempt_end import lost
from nemorun_cli.storage import attempts
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.system import crashpoints, environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors.remote_hosts.connection import RemoteRequest
    from nemorun_cli.executors.ssh.placement import HostCapacity
    from nemorun_cli.executors.ssh.ssh_host import LookResult, StartResult
    from nemorun_cli.model.attempt_end import AttemptEnd
    from nemorun_cli.model.plan import Plan
    from nemorun_cli.model.resources import Resources

TICKET_BYTES: Final = 8
REPEAT_STOP: Final = 5.0  # seconds after the end of a grace period until a stop is sent again
UNREADABLE_AFTER: Final = 3  # looks that report a finished attempt of which no readable record arrives


@dataclass(slots=True)
class _Stop:
    """The termination of one attempt."""

    escalation: Escalation
    request: RemoteRequest | None = None
    repeat_at: float = 0.0


@dataclass(slots=True)
class _SshAttempt:
    """An attempt that this process tracks.

    Attributes:
        host: the one that has it, or may have it; None while it waits for one.
        is_sent: whether a start may have reached the host, so that only the host knows its state.
        asked_after: states that the host was asked for before this monotonic time do not count.
        earlier_host: the host on which it has to start, unless that is away: that of the attempt before it,
            where the files of its task are.
        ends_seen: how often the host reported that it had finished, while no record arrived.
        waits_for: the kinds of capacity and the hosts with problems that were reported for it last.
    """

    job: Job
    host: HostOfExperiment | None = None
    is_sent: bool = False
    asked_after: float = 0.0
    stop: _Stop | None = None
    has_stray: bool = False
    earlier_host: str | None = None
    ends_seen: int = 0
    waits_for: tuple[frozenset[str], frozenset[str]] | None = None
    reported: AttemptStatus | None = None


class SshExecutor:
    """Runs tasks on the hosts of its options; each host limits how many run there at once."""

    options_schema: ClassVar[Mapping[str, Any]] = OPTIONS_SCHEMA

    @classmethod
    def capabilities(cls, options: Mapping[str, Any]) -> Capabilities:
        """The hosts limit how many tasks run; a Python environment is made on a host if there is only one."""
        names = names_in(options)
        return Capabilities(
            counts_toward_max_parallel=False,
            has_remote_paths=True,
            is_remote=True,
            checks_requests=True,
            separates_stderr=True,
            submits_arrays=True,
            environment_host=names[0] if len(names) == 1 else None,
        )

    def __init__(self, name: str, options: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        self.name = name
        self._options, self._secrets = options, secrets
        self._hosts = {host.file_name: HostOfExperiment(host) for host in hosts_of(options)}
        self._events = select.epoll() if hasattr(select, "epoll") else None
        for host in self._hosts.values():
            self._register(host)
        self._tracked: dict[Key, _SshAttempt] = {}
        self._unreported: list[AttemptStatus] = []

    def _register(self, host: HostOfExperiment) -> None:
        if self._events is not None and (descriptor := host.connection.fileno()) is not None:
            self._events.register(descriptor, select.EPOLLIN)

    def environments(self, files: ExperimentFiles) -> tuple[Sequence[str], str, str | None]:
        """Environments are made on the only host, in the folder of this home there."""
        (host,) = (host.host for host in self._hosts.values())
        paths = RemotePaths(host.tunnel, files, note=note_of(files, host))
        return host.tunnel.shell(), str(paths.environments), host.tunnel.pre_command

    def plan(self, plan: Plan) -> Plan:
        """The plan with the paths of the hosts, which are the same on all of them."""
        files = ExperimentFiles(Path(plan.env["EXP_DIR"]))
        hosts = [host.host for host in self._hosts.values()]
        plan = RemotePaths(hosts[0].tunnel, files, note=note_of(files, hosts[0])).plan(plan)
        if isinstance(plan.env_inherit, tuple):
            plan = plan.without_inherited(environment.names(plan.env_inherit))
            named = task_environment.named_secrets(plan, self._secrets)
            plan = replace(plan, secrets=(*plan.secrets, *named))
        details = {name: value for name, value in plan.details.items() if name != "host"}
        return replace(plan, details={**details, "hosts": [host.name for host in hosts]})

    def submit(self, jobs: Sequence[Job]) -> Iterable[Answer]:
        """Write what the attempts need; they wait until a host has capacity, which `poll` finds."""
        return list(answer_each(jobs, self._submit))

    def _submit(self, job: Job) -> AttemptStatus | None:
        is_new = attempts.make_folders(job.files)
        if not is_new and (read_place(job.files) or attempts.claimed_pid(job.files) is not None):
            return self._adopt(job)
        plan = job.plan
        assert plan is not None  # noqa: S101 - the core submits nothing without a plan
        env = task_environment.inherited(plan) | plan.env
        secrets = task_environment.secret_values(plan, self._secrets)
        environment.require_fit(env | secrets, plan.argv)
        attempts.write_plan(job.files, plan)
        folder = Path(plan.env["EXP_OUTPUT"]).parent
        line = shim_line(folder, plan, plan.argv[0])
        attempts.put(job.files.directory / LAUNCH, launch_text(plan, line, env=env))
        tracked = self._tracked[job.key] = _SshAttempt(job)
        with suppress(OSError):
            earlier = job.experiment_files.attempt(job.task, job.attempt - 1)
            tracked.earlier_host = read_place(earlier).get("host")
        return self._report(tracked, "queued")

    def _adopt(self, job: Job) -> AttemptStatus | None:
        """Track an attempt that another process submitted; a host that the options lack is added."""
        place = read_place(job.files)
        noted = _host_of(place) if place else self._host_in(job.job_id)
        if noted is None and (ending := attempts.read_ending(job.files)) is not None:
            return AttemptStatus(key=job.key, state="over", job_id=job.job_id, ending=ending)
        if noted is None and job.job_id is not None:  # it was started
            return AttemptStatus(key=job.key, state="over", job_id=job.job_id, ending=lost(NO_FOLDER))
        if noted is None and not place:
            return AttemptStatus(key=job.key, state="absent")
        if noted is None:
            message = f"{job.files.directory}: what was noted about its host cannot be used"
            return AttemptStatus(key=job.key, state="unknown", message=message)
        if noted.file_name not in self._hosts:
            self._hosts[noted.file_name] = HostOfExperiment(noted)
            self._register(self._hosts[noted.file_name])
        host = self._hosts[noted.file_name]
        self._tracked[job.key] = _SshAttempt(job, host, is_sent=True, asked_after=time.monotonic() - 1e-9)
        return None

    def _host_in(self, job_id: str | None) -> SshHost | None:
        """The host that the id of a started attempt names, if its folder with the note was removed."""
        name = (job_id or "").rpartition(":")[0]
        return next((host.host for host in self._hosts.values() if host.name == name), None)

    def poll(self, jobs: Mapping[Key, Job]) -> Iterable[Answer]:
        """The changes since the last call, by what the hosts reported last."""
        self._tracked = {key: tracked for key, tracked in self._tracked.items() if key in jobs}
        answers: list[Answer] = [*self._unreported]
        self._unreported = []
        settled = {answer.key for answer in answers}
        adopted = [job for key, job in jobs.items() if key not in self._tracked and key not in settled]
        answers += answer_each(adopted, self._adopt)
        self._refresh()
        for host in self._hosts.values():
            for started in host.started():
                if (tracked := self._tracked.get(started.job.key)) is not None:
                    answers += self._started(tracked, started)
        if adopted:
            self._wait_for([job for job in adopted if job.key in self._tracked])
        answers += self._place()
        for tracked in list(self._tracked.values()):
            try:
                answers += self._status(tracked)
            except OSError as error:  # of this attempt's files alone
                answers.append(job_error(tracked.job, error))
                tracked.reported = None
        self._advance_stops()
        for host in self._hosts.values():
            host.connection.collect()
        return answers

    def _refresh(self) -> None:
        waiting = [tracked for tracked in self._tracked.values() if tracked.host is None]
        with_gpus = any(tracked.job.plan and tracked.job.plan.resources.gpus for tracked in waiting)
        for host in self._hosts.values():
            jobs = self._jobs_on(host)
            if jobs or waiting:
                host.refresh(jobs, with_capacity=bool(waiting), with_gpus=with_gpus)
            else:
                host.receive()

    def _jobs_on(self, host: HostOfExperiment) -> list[Job]:
        return [tracked.job for tracked in self._tracked.values() if tracked.host is host and tracked.is_sent]

    def _wait_for(self, adopted: Sequence[Job]) -> None:
        """Wait for the first answer about attempts that another process submitted."""
        for host in self._hosts.values():
            own = [job for job in self._jobs_on(host) if job in adopted]
            if own:
                host.wait_for_looks(own, since=self._tracked[own[0].key].asked_after)

    def cancel(self, jobs: Sequence[Job], *, signal: str | None, grace: float | None) -> Iterable[JobError]:
        """Drop attempts that wait; signal others on their hosts, and KILL them after the grace period."""
        for job in jobs:
            if job.key not in self._tracked and (status := self._adopt(job)) is not None:
                self._unreported.append(status)
                continue
            tracked = self._tracked[job.key]
            name = attempt_end.short_signal(signal or job.stop_signal)
            seconds = job.stop_grace if grace is None else grace
            if tracked.host is None:
                self._unreported.append(self._report_absent(tracked, "it had not been started"))
            elif tracked.stop is None:
                tracked.stop = _Stop(Escalation(name, seconds))
            else:
                tracked.stop.escalation.hurry(name, seconds)
                tracked.stop.request = None
        self._advance_stops()
        return ()

    def wakeup(self) -> int | None:
        """A descriptor that becomes readable when something that was asked of a host has finished."""
        return self._events.fileno() if self._events else None

    def due(self) -> float | None:
        """The monotonic time of the next round trip to a host."""
        is_waiting = any(tracked.host is None for tracked in self._tracked.values())
        used = {id(tracked.host) for tracked in self._tracked.values()}
        times = [host.due(is_used=is_waiting or id(host) in used) for host in self._hosts.values()]
        times.append(time.monotonic() if self._unreported else None)
        return min((due for due in times if due is not None), default=None)

    def check(self) -> Iterable[Diagnosis]:
        """Whether each host can be reached and has what is needed; tasks can run if one does."""
        from nemorun_cli.executors.ssh.check import diagnose  # noqa: PLC0415 - only in the foreground

        return diagnose(list(self._hosts.values()))

    def machine(self, *, with_gpus: bool) -> None:
        """None: tasks use no resources of this machine."""
        del with_gpus

    def why_unsatisfiable(self, wanted: Resources, *, ask: bool) -> str | None:
        """Why no host can ever provide these resources; None if one can, or if that is not known."""
        if not ask:
            return None
        from nemorun_cli.executors.ssh.check import why_unsatisfiable  # noqa: PLC0415 - only before a start

        return why_unsatisfiable(list(self._hosts.values()), wanted)

    def close(self) -> None:
        """Close the connections; the tasks continue."""
        for host in self._hosts.values():
            host.close()
        if self._events:
            self._events.close()

    # -- placing --------------------------------------------------------------------------------------

    def _place(self) -> list[AttemptStatus]:
        """Send tasks to hosts in the order of their submission, co-scheduled members together."""
        hosts = {host.name: host for host in self._hosts.values()}
        capacities = {name: host.capacity for name, host in hosts.items() if host.can_take and host.capacity}
        statuses: list[AttemptStatus] = []
        blocked: set[str] = set()  # for which an earlier task waits: later ones that request them wait, too
        placed: dict[str, list[_SshAttempt]] = {}
        for members in self._waiting():
            requests = [self._request(member, hosts) for member in members]
            fit = placement.fit(requests, capacities, blocked=blocked)
            if fit is None:
                blocked |= placement.short_everywhere(requests, capacities)
                statuses += [status for each in members for status in self._report_waiting(each, capacities)]
                continue
            capacities = fit.capacities
            for member, name in zip(members, fit.hosts, strict=True):
                member.host = hosts[name]
                placed.setdefault(name, []).append(member)
        for name, batch in placed.items():
            self._send(hosts[name], batch)
        return statuses

    def _request(self, tracked: _SshAttempt, hosts: Mapping[str, HostOfExperiment]) -> PlacementRequest:
        """What an attempt needs: after a retry the host of the attempt before it, unless that is away."""
        earlier = hosts.get(tracked.earlier_host or "")
        only = earlier.name if earlier is not None and earlier.problem is None else None
        return PlacementRequest(wanted=_wanted(tracked), name=tracked.job.task, only=only)

    def _waiting(self) -> list[list[_SshAttempt]]:
        """The attempts that wait for a host: each alone, or with the members of its co-scheduled group."""
        groups: dict[str | Key, list[_SshAttempt]] = {}
        for tracked in self._tracked.values():
            if tracked.host is None and tracked.job.plan is not None:
                groups.setdefault(tracked.job.plan.company or tracked.job.key, []).append(tracked)
        return list(groups.values())

    def _report_waiting(
        self, tracked: _SshAttempt, capacities: Mapping[str, HostCapacity]
    ) -> list[AttemptStatus]:
        problems = {host.name: host.problem for host in self._hosts.values() if host.problem}
        if not capacities and not problems:
            return []  # nothing is known yet
        kinds = {kind for capacity in capacities.values() for kind in capacity.shortages(_wanted(tracked))}
        if tracked.waits_for == (frozenset(kinds), frozenset(problems)):
            return []
        tracked.waits_for = frozenset(kinds), frozenset(problems)
        message = placement.waiting_message(capacities, problems, _wanted(tracked))
        return self._report_new(tracked, "queued", message=message)

    def _send(self, host: HostOfExperiment, batch: Sequence[_SshAttempt]) -> None:
        """Send attempts to a host and start them there; what cannot be noted here waits."""
        jobs, secrets, variables = [], dict[Path, str](), dict[Path, list[str]]()
        for tracked in batch:
            job = tracked.job
            ticket = f"{TICKET}{random.token_hex(TICKET_BYTES)}"
            try:
                remove_place(job.files)
                attempts.touch(job.files.directory / ticket)
                write_place(job, host.host, ticket)
            except OSError:  # a full disk
                tracked.host = None
                continue
            jobs.append(job)
            plan = job.plan
            if plan and plan.secrets:
                values = task_environment.secret_values(plan, self._secrets)
                secrets[job.files.directory / SECRETS] = secrets_text(values)
            variables[job.files.directory] = self._hosts_of_peers(tracked)
        if jobs:
            host.start(jobs, secrets, variables)

    def _hosts_of_peers(self, tracked: _SshAttempt) -> list[str]:
        """The variables with the hosts of those members of its group that have one."""
        plan = tracked.job.plan
        peers = plan.peers if plan else {}
        by_task = {other.job.task: other for other in self._tracked.values() if other.host is not None}
        hosts = {name: [_address(by_task[task].host)] for task, name in peers.items() if task in by_task}
        return [f"{name}={value}" for name, value in group_hosts.variables(hosts).items()]

    def _started(self, tracked: _SshAttempt, started: StartResult) -> list[AttemptStatus]:
        """What the answer to a start means for one attempt."""
        host = tracked.host
        assert host is not None  # noqa: S101 - it was sent to one
        tracked.is_sent, tracked.asked_after = True, time.monotonic()
        if started.word == "started":
            crashpoints.point("attempt.spawned")
            pid, _, rest = started.text.partition(" ")
            with suppress(OSError):
                note_boot(tracked.job, rest.split(" ")[0])
            if pid.isdigit():
                return self._report_new(tracked, "running", job_id=f"{host.name}:{pid}")
            return []
        if started.word in ("held", "lost"):  # only a look can find out
            return []
        remove_place(tracked.job.files)
        tracked.is_sent = False
        if started.word == "withdrawn":
            return [self._report_absent(tracked, None)]
        if started.word == "failed":
            host.block(started.text)
        if tracked.stop is not None:
            return [self._report_absent(tracked, "it had not been started")]
        if tracked.job.plan and tracked.job.plan.company:
            tracked.earlier_host = host.name  # the other members were given its address
        tracked.host = None
        return []

    # -- status ---------------------------------------------------------------------------------------

    def _status(self, tracked: _SshAttempt) -> list[AttemptStatus]:
        """The status of one attempt; nothing if it did not change."""
        host = tracked.host
        if host is None or not tracked.is_sent or host.experiment.is_behind(tracked.job):
            return []
        look = host.look(tracked.job, since=tracked.asked_after)
        ending = attempts.read_ending(tracked.job.files)
        if ending is not None and look is not None and look.state == "ended":
            return self._report_finished(tracked, ending)
        if (problem := host.connection.problem) is not None:
            return self._report_new(tracked, "unknown", message=problem)
        if look is None:
            return []
        return self._status_seen(tracked, host, look)

    def _status_seen(
        self, tracked: _SshAttempt, host: HostOfExperiment, look: LookResult
    ) -> list[AttemptStatus]:
        """The status by what the host reported, without an exit record."""
        if look.state in ("held", "stray"):
            return self._status_alive(tracked, host, look)
        if look.state == "absent":
            remove_place(tracked.job.files)
            return [self._report_absent(tracked, None)]
        if look.state == "ended":
            return self._status_unreadable(tracked, host, look)
        if look.state in ("missing", "claimed"):
            ending = lost(NO_FOLDER) if look.state == "missing" else self._lost(tracked, host, look)
            return self._report_finished(tracked, ending)
        message = f"{host.name} cannot examine it: is its disk full?"
        return self._report_new(tracked, "unknown", message=message)

    def _status_alive(
        self, tracked: _SshAttempt, host: HostOfExperiment, look: LookResult
    ) -> list[AttemptStatus]:
        """Something of the attempt runs; what a killed guard could not end is ended."""
        if look.state == "stray" and tracked.stop is None and not tracked.has_stray:
            tracked.has_stray = True
            name = attempt_end.short_signal(tracked.job.stop_signal)
            tracked.stop = _Stop(Escalation(name, tracked.job.stop_grace))
        pid = attempts.claimed_pid(tracked.job.files)
        if pid is None:
            return self._report_new(tracked, "queued", message=f"it is being started on {host.name}")
        if tracked.reported and tracked.reported.state == "running":
            return []
        job_id = f"{host.name}:{pid}" if pid else None
        return self._report_new(tracked, "running", job_id=job_id, since=_claimed(tracked.job))

    def _status_unreadable(
        self, tracked: _SshAttempt, host: HostOfExperiment, look: LookResult
    ) -> list[AttemptStatus]:
        """The host has an exit record that has not arrived yet, or cannot be read."""
        tracked.ends_seen += 1
        tracked.asked_after = look.asked
        if tracked.ends_seen >= UNREADABLE_AFTER:
            return self._report_finished(tracked, lost(f"its exit record on {host.name} could not be read"))
        host.experiment.hurry()
        return []

    def _lost(self, tracked: _SshAttempt, host: HostOfExperiment, look: LookResult) -> AttemptEnd:
        """The end of an attempt that left neither a process nor an exit record."""
        boot = read_place(tracked.job.files).get("boot")
        if boot and look.boot and boot != look.boot:
            return lost(f"{host.name} was restarted while it ran")
        if tracked.stop is not None:
            name = tracked.stop.escalation.next_signal()
            return lost(f"it was terminated by {name}; its exit code is not known")
        return lost(f"it disappeared from {host.name}: it left no process, no lock and no exit record")

    def _advance_stops(self) -> None:
        """Send the stops that are due; one that the host did not receive is sent again."""
        now = time.monotonic()
        for tracked in self._tracked.values():
            stop, host = tracked.stop, tracked.host
            if stop is None or host is None or not tracked.is_sent or host.connection.problem:
                continue
            answer = stop.request.answer() if stop.request is not None else None
            if answer is not None and (not answer.is_good or now >= stop.repeat_at):
                stop.request = None
            if stop.request is None:
                remaining = stop.escalation.deadline - now
                stop.request = host.stop(
                    tracked.job, signal=stop.escalation.next_signal(), grace=max(0.0, remaining)
                )
                stop.repeat_at = max(now, stop.escalation.deadline) + REPEAT_STOP

    # -- reporting ------------------------------------------------------------------------------------

    def _report(self, tracked: _SshAttempt, state: Any, **fields: Any) -> AttemptStatus:
        tracked.reported = AttemptStatus(key=tracked.job.key, state=state, **fields)
        return tracked.reported

    def _report_new(self, tracked: _SshAttempt, state: Any, **fields: Any) -> list[AttemptStatus]:
        before = tracked.reported
        status = self._report(tracked, state, **fields)
        return [] if status == before else [status]

    def _report_absent(self, tracked: _SshAttempt, message: str | None) -> AttemptStatus:
        self._tracked.pop(tracked.job.key, None)
        return AttemptStatus(key=tracked.job.key, state="absent", message=message)

    def _report_finished(self, tracked: _SshAttempt, ending: AttemptEnd) -> list[AttemptStatus]:
        """The end of an attempt, preceded by its start if that was not reported."""
        host, reported = tracked.host, tracked.reported
        assert host is not None  # noqa: S101 - it ended on one
        if shortfall := host.experiment.shortfall(tracked.job):
            message = f"{ending.message}; {shortfall}" if ending.message else shortfall
            ending = replace(ending, message=message)
        pid = attempts.claimed_pid(tracked.job.files)
        job_id = f"{host.name}:{pid}" if pid else tracked.job.job_id
        self._tracked.pop(tracked.job.key, None)
        over = AttemptStatus(key=tracked.job.key, state="over", job_id=job_id, ending=ending)
        if ending.started is None or (reported and reported.state == "running"):
            return [over]
        return [
            AttemptStatus(key=tracked.job.key, state="running", job_id=job_id, since=ending.started),
            over,
        ]


def _wanted(tracked: _SshAttempt) -> Resources:
    assert tracked.job.plan is not None  # noqa: S101 - only attempts with plans wait
    return tracked.job.plan.resources


def _address(host: HostOfExperiment | None) -> str:
    """The address at which other hosts reach a host: that of its ssh server, as ssh reached it."""
    assert host is not None  # noqa: S101 - of a task that has one
    return host.address or host.name


def _claimed(job: Job) -> float | None:
    """When the shim of an attempt began, by the clock of its host."""
    with suppress(OSError):
        return job.files.claim.stat().st_mtime
    return None


def _host_of(place: Mapping[str, Any]) -> SshHost | None:
    """The host that was noted for an attempt; None if what was noted cannot be used in commands."""
    forms = {
        "host": remote_host.HOST,
        "job_dir": remote_host.FOLDER,
        "user": remote_host.USER,
        "identity": remote_host.IDENTITY,
        "pre_command": "",
        "limits": "",
    }
    given = {name: place[name] for name in forms if place.get(name) is not None}
    is_valid = all(isinstance(value, str) and re.match(forms[name], value) for name, value in given.items())
    port = place.get("port")
    if (
        not is_valid
        or not {"host", "job_dir", "limits"} <= given.keys()
        or type(port) not in (int, type(None))
    ):
        return None
    limits = given.pop("limits")
    return SshHost(tunnel=Tunnel.of({**given, "port": port}), limits=limits)
