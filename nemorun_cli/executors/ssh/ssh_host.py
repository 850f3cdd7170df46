"""One host of an experiment: starts, examines and signals attempts there, and reads what capacity it has."""

from __future__ import annotations

import errno
import hashlib
import json
import shlex
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors.remote_hosts.connection import Connection
from nemorun_cli.executors.remote_hosts.remote_experiment import RemoteExperiment
from nemorun_cli.executors.remote_hosts.upload import own_folder
from nemorun_cli.executors.ssh.placement import HostCapacity
from nemorun_cli.system import files
from nemorun_cli.system.files import RefusedFileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nemorun_cli.executors import Job
    from nemorun_cli.executors.remote_hosts.connection import RemoteRequest
    from nemorun_cli.executors.remote_hosts.upload import Upload
    from nemorun_cli.executors.ssh.ssh_options import SshHost
    from nemorun_cli.storage.paths import AttemptFiles, ExperimentFiles

FOLDER: Final = "remote-hosts"  # in the experiment's folder: a file for each host, with its remote folder
PLACE: Final = "host.json"  # in an attempt's folder: the host that may have it
TICKET: Final = "ticket-"  # begins the name of the file by which an attempt is started once
PROGRAM: Final = files.read_bytes(
    Path(__file__).with_name("host.sh")
).decode()  # read now: an upgrade may remove it
PROGRAM_KEY: Final = hashlib.sha256(PROGRAM.encode()).hexdigest()[:8]
TENTHS: Final = 10  # `host.sh` counts tenths of a second
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
PAUSE: Final = 5.0  # seconds for which a host is not tried again after a failure that is no one task's
LIMIT: Final = 20.0  # seconds that a first answer may take


@dataclass(frozen=True, slots=True, kw_only=True)
class LookResult:
    """The state of an attempt on its host, when it was examined there.

    `state` is `held` (something of it runs), `stray` (only what it left behind runs), `ended`, `claimed` (it
    has ended without a record), `absent` (it never starts), `missing` (without a folder) or `unknown`.
    """

    state: str
    asked: float
    boot: str | None


@dataclass(slots=True)
class StartBatch:
    """Attempts that are being sent to a host and started there, in this order."""

    upload: Upload
    jobs: list[Job]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartResult:
    """The result of starting one attempt: a word of `host.sh`, or `lost` if no answer arrived."""

    job: Job
    word: str
    text: str = ""


@dataclass(slots=True)
class _Requests:
    """What was asked of the host and is not answered yet."""

    look: RemoteRequest | None = None
    looked_at: list[Path] = field(default_factory=list)
    capacity: RemoteRequest | None = None


class HostOfExperiment:
    """One host, for one experiment.

    Args:
        host: its options.

    Attributes:
        capacity: what it reported last; None if that is not known.
        address: its address, as ssh reached it; None if that is not known.
        complaint: why it cannot take tasks now, if it answers.
    """

    def __init__(self, host: SshHost) -> None:
        self.host = host
        self.connection = Connection(host.tunnel)
        self.experiment = RemoteExperiment(self.connection, note_of=lambda files: note_of(files, host))
        self.capacity: HostCapacity | None = None
        self.address: str | None = None
        self.complaint: str | None = None
        self._blocked_until = 0.0
        self._looks: dict[Path, LookResult] = {}
        self._requests = _Requests()
        self._start: StartBatch | None = None
        self._is_installed = False

    @property
    def name(self) -> str:
        """What the spec calls it."""
        return self.host.name

    @property
    def slots(self) -> str:
        """Begins the path of the folder on the host in which all tasks of its user record their slots."""
        return f"{self.host.tunnel.job_dir}/slots"

    @property
    def problem(self) -> str | None:
        """Why it cannot be used now; None if it can, as far as is known."""
        return self.connection.problem or (self.complaint if time.monotonic() < self._blocked_until else None)

    @property
    def can_take(self) -> bool:
        """Whether attempts can be sent to it now."""
        return self._start is None and self.capacity is not None and self.problem is None

    def look(self, job: Job, *, since: float) -> LookResult | None:
        """The last state of an attempt that was asked for after this monotonic time."""
        look = self._looks.get(job.files.directory)
        return look if look is not None and look.asked > since else None

    # -- round trips ------------------------------------------------------------------------------

    def refresh(self, jobs: Sequence[Job], *, with_capacity: bool, with_gpus: bool) -> None:
        """Fetch files, states and, if wanted, the capacity, at growing intervals."""

        def ask() -> None:
            self.ask(jobs, with_capacity=with_capacity, with_gpus=with_gpus)

        self.experiment.refresh(jobs, before=ask)
        self.receive()

    def ask(self, jobs: Sequence[Job], *, with_capacity: bool, with_gpus: bool) -> None:
        """Ask for the states of attempts, and for the capacity, in the next round trip."""
        if jobs and self._requests.look is None:
            self.experiment.paths_for(jobs[0].experiment_files)
            folders = [job.files.directory for job in jobs]
            listing = "".join(f"{self.experiment.remote_path(folder)}\n" for folder in folders)
            text = f'read -r exp_boot <{BOOT_ID}; echo "$exp_boot"; {self._program_text()}'
            text += f" && /bin/sh {self._program} look <<'exp-end'\n{listing}exp-end"
            self._requests.look, self._requests.looked_at = self.connection.send(text, name="look"), folders
        if with_capacity and self._requests.capacity is None:
            self._requests.capacity = self.ask_capacity(with_gpus=with_gpus)

    def ask_capacity(self, *, with_gpus: bool) -> RemoteRequest:
        """Ask for the capacity alone, which needs no file on the host."""
        arguments = ["capacity", self.slots, self.host.limits, str(int(with_gpus))]
        text = f"/bin/sh -s {shlex.join(arguments)} <<'exp-end'\n{PROGRAM}\nexp-end"
        return self.connection.send(text, name="capacity")

    def receive(self) -> None:
        """Take the answers that have arrived."""
        requests = self._requests
        if requests.look is not None and (answer := requests.look.answer()) is not None:
            boot, *states = answer.output.splitlines() or [""]
            if len(states) == len(requests.looked_at):
                self._is_installed = True
                self._looks = {
                    folder: LookResult(state=state, asked=answer.asked, boot=boot)
                    for folder, state in zip(requests.looked_at, states, strict=True)
                }
            requests.look = None
        if requests.capacity is not None and (answer := requests.capacity.answer()) is not None:
            self.capacity = HostCapacity.of(answer.output)
            self.address = self.capacity.address if self.capacity else self.address
            if self.capacity is None and not answer.connection_failed:
                self.block(answer.complaint or "it does not report its capacity")
            requests.capacity = None

    def wait_for_looks(self, jobs: Sequence[Job], *, since: float) -> None:
        """Wait until the states of these attempts are known, up to a time limit."""
        end = time.monotonic() + LIMIT
        while (remaining := end - time.monotonic()) > 0:
            self.ask(jobs, with_capacity=False, with_gpus=False)
            request = self._requests.look
            self.connection.request_refresh()
            self.connection.wait(lambda: request is None or request.result is not None, remaining)  # noqa: B023 - awaited here
            self.receive()
            if self.connection.problem or all(self.look(job, since=since) for job in jobs):
                self.experiment.refresh_now()
                return

    def block(self, complaint: str) -> None:
        """Send no attempts to the host for a while."""
        self.complaint, self._blocked_until = " ".join(complaint.split()), time.monotonic() + PAUSE

    def due(self, *, is_used: bool) -> float | None:
        """The monotonic time of the next round trip."""
        times = [self.connection.due(), self.experiment.due() if is_used else None]
        return min((due for due in times if due is not None), default=None)

    # -- starting and stopping --------------------------------------------------------------------

    def start(
        self, jobs: Sequence[Job], secrets: Mapping[Path, str], variables: Mapping[Path, Iterable[str]]
    ) -> None:
        """Send attempts to the host and start them there.

        Args:
            jobs: the attempts, each with its plan and its `PLACE`.
            secrets: texts by the local path of the file that has each on the host.
            variables: further ones of the tasks, by the attempt's folder.
        """
        self.experiment.paths_for(jobs[0].experiment_files)
        commands = [self._start_text(job, variables.get(job.files.directory, ())) for job in jobs]
        text = f"{{ {self._program_text()}; }} && {{ {'; '.join(commands)}; }}"
        upload = self.experiment.start(jobs, text, name="start", private=secrets)
        self._start = StartBatch(upload, list(jobs))

    def _start_text(self, job: Job, variables: Iterable[str]) -> str:
        plan = job.plan
        assert plan is not None  # noqa: S101 - only attempts with plans are started
        wanted = plan.resources
        arguments = [
            self.slots,
            self.host.limits,
            str(self.experiment.remote_path(job.files.directory)),
            read_place(job.files)["ticket"],
            plan.stop_signal.removeprefix("SIG"),
            str(round(plan.stop_grace * TENTHS)),
            f"{wanted.cpus or 0:g}:{wanted.memory or 0}:{wanted.gpus or 0}",
            f"{job.experiment}/{job.task}",
            *variables,
        ]
        return f"/bin/sh {self._program} start {shlex.join(arguments)}"

    def started(self) -> list[StartResult]:
        """The results of starting the attempts that were sent, once they are known."""
        if self._start is None or (answer := self._start.upload.answer()) is None:
            return []
        start, self._start = self._start, None
        lines = [line.partition(" ") for line in answer.output.splitlines()]
        self.capacity = None
        self.experiment.hurry()
        if not start.upload.is_sent or (not answer.connection_failed and not lines):
            self.block(answer.complaint)
            return [StartResult(job=job, word="unsent", text=answer.complaint) for job in start.jobs]
        self._is_installed = True
        known = [
            StartResult(job=job, word=line[0], text=line[2])
            for job, line in zip(start.jobs, lines, strict=False)
        ]
        return [*known, *(StartResult(job=job, word="lost") for job in start.jobs[len(known) :])]

    def stop(self, job: Job, *, signal: str, grace: float) -> RemoteRequest:
        """Signal all processes of an attempt, and KILL them after the grace period, which the host counts."""
        self.experiment.paths_for(job.experiment_files)
        folder = str(self.experiment.remote_path(job.files.directory))
        arguments = [folder, signal, str(round(max(0.0, grace) * TENTHS))]
        text = f"{{ {self._program_text()}; }} && /bin/sh {self._program} stop {shlex.join(arguments)}"
        self.experiment.hurry()
        return self.connection.send(text, name="stop")

    @property
    def _program(self) -> str:
        return f"{self.experiment.remote_home}/programs/host-{PROGRAM_KEY}.sh"

    def _program_text(self) -> str:
        """The shell text that writes the host's program, if it is missing; one that runs is never changed."""
        if self._is_installed:
            return "true"
        path, home = self._program, self.experiment.remote_home
        folder, part = path.rpartition("/")[0], f"{path}.$$"
        # Who owns this folder can replace what is in it; one that the spec names may belong to a group.
        owned = [home.parent, home] if self.host.is_default_folder else [home]
        checks = " && ".join(own_folder(place, key="") for place in owned)
        return (
            f"mkdir -p {home} && {checks} && {{ [ -e {path} ] ||"
            f" {{ mkdir -p {folder} && printf %s {shlex.quote(PROGRAM)} >{part} && mv {part} {path}; }}; }}"
        )

    def close(self) -> None:
        """Release the connection; attempts continue."""
        self.connection.close()


def note_of(files: ExperimentFiles, host: SshHost) -> Path:
    """The local file that keeps the remote folder of an experiment on a host."""
    return files.directory / FOLDER / f"{host.file_name}.json"


def write_place(job: Job, host: SshHost, ticket: str) -> None:
    """Note durably which host may have an attempt, before anything is sent there."""
    place = {**asdict(host.tunnel), "limits": host.limits, "ticket": ticket}
    _write(job.files, place, is_durable=True)


def note_boot(job: Job, boot: str) -> None:
    """Note the boot id of the host on which an attempt was started."""
    _write(job.files, {**read_place(job.files), "boot": boot})


def _write(attempt: AttemptFiles, place: Mapping[str, Any], *, is_durable: bool = False) -> None:
    """Replace the note at once: a process that is killed leaves the former one or this one."""
    files.write_whole(attempt.directory / PLACE, json.dumps(place).encode(), is_durable=is_durable)


def read_place(attempt: AttemptFiles) -> dict[str, Any]:
    """What was noted about the host of an attempt; empty if no host can have it.

    Raises:
        RefusedFileError: the note is not a file, or not one that `exp` wrote.
        OSError: it cannot be read.
    """
    path = attempt.directory / PLACE
    try:
        place = json.loads(attempt.read(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError):
        place = None
    if not isinstance(place, dict) or not isinstance(place.get("ticket"), str):
        raise RefusedFileError(errno.EINVAL, "the note about the attempt's host cannot be read", str(path))
    return place


def remove_place(attempt: AttemptFiles) -> None:
    """Note that no host has an attempt."""
    (attempt.directory / PLACE).unlink(missing_ok=True)
    for ticket in attempt.directory.glob(f"{TICKET}*"):
        ticket.unlink(missing_ok=True)
