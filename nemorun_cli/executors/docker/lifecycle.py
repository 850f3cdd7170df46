"""The two slow operations on a container, which run in threads: start it, and finish it.

Both can be killed at any line and repeated. A container is removed only after its result is recorded in
the attempt's folder, so the result does not depend on which process reads it, or when.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import AttemptStatus, Job
from nemorun_cli.executors.docker import container as containers
from nemorun_cli.executors.docker import experiment_network, mounts
from nemorun_cli.executors.docker.client import Engine, LogFile, NoSuchObjectError, RefusedError
from nemorun_cli.executors.docker.labels import LABEL
from nemorun_cli.executors.shim_call import unrecorded_end
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import lost
from nemorun_cli.storage import attempts
from nemorun_cli.system import crashpoints, files
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.executors.docker.meeting import Attendance
    from nemorun_cli.model.plan import Plan

TRIES: Final = 5  # attempts to create a container whose name another process is releasing
PROGRAM_POSITION: Final = 13  # after -c, the script, exp, log, input, error, and seven arguments of the shim
INIT_COMPLAINS: Final = "[FATAL tini"  # start of the message of docker-init when it cannot run a program
KILLED: Final = attempt_end.SIGNAL_BASE + 9  # exit code after KILL
INSPECTIONS: Final = 4  # of a killed container, to learn the reason
REMOVAL_PAUSE: Final = 0.3  # seconds between tries to remove a container
INSPECTION_PAUSE: Final = 0.1  # seconds
NO_RECORD: Final = "its container exited successfully, but without an exit record"
NO_TRACE: Final = "the engine lost its container, and it left no process and no exit record"
NO_VIEW: Final = (
    "it was started, but the engine reports that it was not; only root can check whether it still runs"
)
CANCELLED_BEFORE_START: Final = "it was cancelled before it started"
NO_START: Final = "0001"  # the year that Docker reports as the start of a container that was never started


@dataclass(frozen=True, slots=True)
class StartedContainer:
    """A started container, by this call or an earlier one; `since` in Unix seconds."""

    container: str
    since: float
    has_ended: bool = False


class Images:
    """The images known to be available; each is checked, or pulled, once."""

    def __init__(self, pull: str) -> None:
        self._pull = pull
        self._lock = threading.Lock()
        self._available: set[str] = set()

    def ensure(self, engine: Engine, image: str) -> None:
        """Make sure that an image is available. Raises RefusedError if it is not and cannot be pulled."""
        with self._lock:
            if image in self._available:
                return
            is_available = self._pull != "always" and engine.has_image(image)
            if not is_available and self._pull == "never":
                raise RefusedError(f"there is no image {image}, and `pull: never` forbids pulling it")
            if not is_available:
                try:
                    engine.pull(image)
                except (RefusedError, NoSuchObjectError) as error:
                    raise RefusedError(
                        f"there is no image {image}, and it cannot be pulled: {error}"
                    ) from None
            self._available.add(image)


def start(
    engine: Engine,
    job: Job,
    plan: Plan,
    *,
    images: Images,
    secrets: Mapping[str, str],
    gate: threading.Lock,
    attendance: Attendance | None,
) -> StartedContainer:
    """Create and start the container of an attempt, or return the one that was already started.

    Either this function, after its slow steps, or a cancel acquires `gate`; the other does nothing more.
    With an `attendance` the task begins when the members that start with it have started.

    Raises:
        RefusedError: the container cannot be started; the message has the reason.
        DownError: the engine does not answer.
        OSError: this machine could not prepare it; there is no container.
    """
    try:
        return _start(engine, job, plan, images=images, secrets=secrets, gate=gate, attendance=attendance)
    finally:
        if attendance is not None:
            attendance.arrive()


def _start(
    engine: Engine,
    job: Job,
    plan: Plan,
    *,
    images: Images,
    secrets: Mapping[str, str],
    gate: threading.Lock,
    attendance: Attendance | None,
) -> StartedContainer:
    if not engine.is_local:
        raise RefusedError(
            f"the Docker engine at {engine.address} is on another machine and cannot mount local folders"
        )
    engine.require_docker()
    attempts.make_folders(job.files)
    attempts.write_plan(job.files, plan)
    for folder in (plan.env["EXP_SHARED"], plan.env["EXP_DASH_ROOT"]):
        make_folder(folder)
    if missing := mounts.missing_sources(plan):
        raise RefusedError(f"the source of a volume does not exist: {', '.join(missing)}")
    image = plan.details["create"]["image"]
    images.ensure(engine, image)
    if not gate.acquire(blocking=False):
        raise RefusedError(CANCELLED_BEFORE_START)
    experiment_network.ensure(engine, plan)
    since = time.time()
    container, existing = _create(engine, job, plan)
    if existing is not None:
        return StartedContainer(container, claimed(job) or since, has_ended=not existing["State"]["Running"])
    crashpoints.point("attempt.locked")
    try:
        _prepare_files(job, plan, container)
    except OSError:
        engine.remove(container)
        raise
    text = None
    if containers.waits_for_input(plan):
        text = containers.secrets_text({name: secrets[name] for name in plan.secrets})
    try:
        engine.start(container, text, before_text=attendance.arrive_and_wait if attendance else None)
    except (RefusedError, NoSuchObjectError) as error:
        engine.remove(container)
        raise RefusedError(_explain_refusal(str(error), image, plan)) from None
    crashpoints.point("attempt.spawned")
    return StartedContainer(container, since if text is None else time.time())


def _prepare_files(job: Job, plan: Plan, container: str) -> None:
    """Write what has to be in the folder of an attempt before its container starts."""
    if containers.needs_shell(plan):
        attempts.put(job.files.usage, "container\n")  # so that the shim records the container's usage
        return
    if not plan.stderr_to_stdout and not job.files.stderr.exists():
        attempts.put(job.files.stderr, "")
    attempts.put(job.files.claim, container)


def _create(engine: Engine, job: Job, plan: Plan) -> tuple[str, dict[str, Any] | None]:
    """A new container for the attempt, or its existing one with the engine's description."""
    name = containers.name(job)
    for _ in range(TRIES):
        try:
            if container := engine.create(containers.arguments(job, plan)):
                return container, None
            existing = engine.inspect(name)
            if existing["State"]["Status"] != "created":
                return str(existing["Id"]), existing
            # The process that created it died before starting it, or is starting it: then removal fails.
            with contextlib.suppress(RefusedError):
                engine.remove(name)
        except NoSuchObjectError as error:
            if "image" in str(error):
                raise RefusedError(f"there is no image {plan.details['create']['image']} any more") from None
        except (TypeError, ValueError) as error:  # the SDK validates `extra`
            raise RefusedError(f"the Docker SDK rejects these options: {error}") from None
    raise RefusedError(f"the name {name} is in use by a container that neither starts nor can be removed")


def finish(
    engine: Engine,
    job: Job,
    container: str,
    *,
    saw_oom: Callable[[], bool],
    is_stopped: bool,
    is_late: bool,
    died_with: int | None,
) -> AttemptStatus:
    """Record how a container ended, then remove it, also if somebody has started it again since then.

    Args:
        engine: the engine of the container.
        job: its attempt.
        container: its id.
        saw_oom: whether the engine has reported that it ran out of memory.
        is_stopped: whether this process terminated it.
        is_late: whether this process found that it exceeded its timeout.
        died_with: the exit code with which the engine has reported its end; None if it has not.

    Raises:
        DownError: the engine does not answer.
    """
    try:
        description = engine.inspect(container)
        if description["State"]["ExitCode"] == KILLED and not is_stopped:
            description = _await_reason(engine, container, description, saw_oom)
    except NoSuchObjectError:
        return without_container(job)
    state, short = description["State"], description["Id"][:12]
    is_bare = LABEL + "timeout" in description["Config"]["Labels"]
    is_restarted = state["Running"] and is_bare and died_with is not None
    if is_restarted:  # with the shim it runs nothing, and the first end is in its record
        state["ExitCode"] = died_with
    elif state["Running"]:
        return AttemptStatus(key=job.key, state="running", job_id=short)
    _own_files(engine, job, container)
    # Even if the log was followed: the engine may end its stream before the last lines arrive.
    log_is_whole = not is_bare or _complete_log(engine, job, container)
    output = engine.log_tail(container) if state["ExitCode"] and (is_bare or not claimed(job)) else ""
    timeout = job.plan.timeout if job.plan else None
    ending = None if is_bare else unrecorded_end(job.files, state["ExitCode"], timeout=timeout)
    is_saved = is_unrecorded = ending is not None
    if ending is None:
        is_oom = saw_oom() or state["OOMKilled"]
        record = (
            _bare_record(job, description, output, is_late=is_late)
            if is_bare
            else _shim_record(job, description, output)
        )
        if record is not None and is_restarted:  # the engine has the times of the second run
            record = {key: value for key, value in record.items() if key not in ("started", "ended")}
        if record is None and not claimed(job) and attempts.read_ending(job.files) is None:
            engine.remove(container)
            return AttemptStatus(key=job.key, state="absent")
        is_saved = _save_record(job, record, is_oom=is_oom)
        ending = attempts.read_ending(job.files)
    if ending is None:
        ending = attempts.interpret(record, job.files, time.time()) if record else lost(NO_RECORD)
    if is_saved and log_is_whole:
        _discard(engine, container)
    evidence = "its container" if is_unrecorded else "its container and its exit record"
    return AttemptStatus(key=job.key, state="over", job_id=short, ending=ending, evidence=evidence)


def _discard(engine: Engine, container: str) -> None:
    """Remove a container whose result is recorded, also one that somebody is starting again."""
    for pause in (*[REMOVAL_PAUSE] * (TRIES - 1), 0.0):
        try:
            engine.remove(container, force=True)
        except RefusedError:  # another request works on it; `_sweep` and `exp gc` remove it later
            time.sleep(pause)
        else:
            return


def _own_files(engine: Engine, job: Job, container: str) -> None:
    """Replace the records that belong to root, because the task ran as root, by readable copies."""
    if os.geteuid() == 0:
        return
    own = job.files
    for path in (own.exit, own.outputs, own.usage, own.records, own.log, own.stderr):
        if files.is_regular(path, follows_link=False) and not os.access(path, os.R_OK):
            with contextlib.suppress(NoSuchObjectError, RefusedError):
                files.write_whole(path, engine.read_file(container, str(path)))


def _await_reason(
    engine: Engine, container: str, description: dict[str, Any], saw_oom: Callable[[], bool]
) -> dict[str, Any]:
    """Inspect a killed container until the engine reports the reason, which it does after it reports the end.

    Raises:
        NoSuchObjectError: the container was removed.
    """
    for _ in range(INSPECTIONS):
        if description["State"]["Running"] or description["State"]["OOMKilled"] or saw_oom():
            break
        time.sleep(INSPECTION_PAUSE)
        description = engine.inspect(container)
    return description


def without_container(job: Job) -> AttemptStatus:
    """The status of an attempt that has no container (any more)."""
    if ending := attempts.read_ending(job.files):
        return AttemptStatus(
            key=job.key, state="over", job_id=job.job_id, ending=ending, evidence="its exit record"
        )
    if claimed(job):
        ending = lost("its container no longer exists, and it left no exit record: was it removed manually?")
        return AttemptStatus(key=job.key, state="over", job_id=job.job_id, ending=ending)
    return AttemptStatus(key=job.key, state="absent")


def never_started(job: Job, *, is_bare: bool) -> AttemptStatus:
    """The status of an attempt without processes whose container, according to the engine, never started."""
    if is_bare or not claimed(job):  # without the shim the claim is created before the start
        return AttemptStatus(key=job.key, state="absent")
    if ending := attempts.read_ending(job.files):
        return AttemptStatus(key=job.key, state="over", ending=ending, evidence="its exit record")
    if os.geteuid() != 0:
        return AttemptStatus(key=job.key, state="unknown", message=NO_VIEW, evidence="docker")
    return AttemptStatus(key=job.key, state="over", ending=lost(NO_TRACE))


def _complete_log(engine: Engine, job: Job, container: str) -> bool:
    """Write the missing part of the attempt's log; return whether nothing of it is left to write."""
    try:
        with contextlib.closing(LogFile(job.files)) as log, engine.log(container, follow=False) as stream:
            for data in stream.read_all():
                log.feed(data)
    except OSError:
        return not job.files.directory.is_dir()
    return True


def _bare_record(job: Job, description: Mapping[str, Any], output: str, *, is_late: bool) -> dict[str, Any]:
    """The exit record of a container without the shim, from the engine's description."""
    code = description["State"]["ExitCode"]
    image, program = description["Config"]["Image"], description["Config"]["Entrypoint"][0]
    record: dict[str, Any] = {"exit_code": code, **_times(description)}
    if code == containers.NO_SHELL and output.startswith(INIT_COMPLAINS):
        record["launch"] = no_program(image, program)
    elif is_late or job.files.timed_out.exists():
        record["timeout"] = True
        if code == attempt_end.SIGNAL_BASE + attempt_end.signal_number("KILL"):
            record["signal"] = "KILL"
    return record


def _shim_record(job: Job, description: Mapping[str, Any], output: str) -> dict[str, Any] | None:
    """The exit record that the shim could not write; None if it did, or if the task was not started."""
    code = description["State"]["ExitCode"]
    if attempts.read_ending(job.files) or (code == containers.NO_SECRETS and not claimed(job)):
        return None
    if claimed(job) or code > attempt_end.SIGNAL_BASE:
        # It was killed. A shim that lost the claim to another shim exits with 0 and writes no record.
        return {"exit_code": code, **_times(description)} if code else None
    return {"exit_code": None, "launch": _launch_failure(description, output), **_times(description)}


def _launch_failure(description: Mapping[str, Any], output: str) -> str:
    """Why the task was not started."""
    code, image = description["State"]["ExitCode"], description["Config"]["Image"]
    if code == containers.NO_PROGRAM:
        return no_program(image, description["Config"]["Cmd"][PROGRAM_POSITION])
    if code == containers.NO_SHELL:
        return no_shell(image)
    return f"its shim could not start (exit code {code}): {output or 'it printed nothing'}"


def _save_record(job: Job, record: dict[str, Any] | None, *, is_oom: bool) -> bool:
    """Write the record, or complete the shim's record, durably; return whether it will survive a crash."""
    path = job.files.exit
    try:
        if record is None and is_oom and path.exists():
            record = json.loads(job.files.read(path))
        if record is None:
            files.sync(path)
            return True
        if is_oom:
            record["oom"] = True
        files.write_whole(path, f"{json.dumps(record)}\n".encode(), is_durable=True)
    except (FileNotFoundError, NotADirectoryError):
        return True  # no record to save, or no folder to save it in
    except (OSError, ValueError):
        return False  # the container is kept as the record
    return True


def _times(description: Mapping[str, Any]) -> dict[str, float]:
    state = description["State"]
    times = {"started": state["StartedAt"], "ended": state["FinishedAt"]}
    return {
        key: datetime.fromisoformat(text).timestamp()
        for key, text in times.items()
        if not text.startswith(NO_START)
    }


def claimed(job: Job) -> float | None:
    """The time at which the attempt was claimed, in Unix seconds; None if it was not."""
    try:
        return job.files.claim.lstat().st_mtime
    except OSError:
        return None


def _explain_refusal(message: str, image: str, plan: Plan) -> str:
    """The engine's message about a failed start, rephrased in terms of the spec where possible."""
    if "executable file not found" in message or "no such file or directory: unknown" in message:
        return no_shell(image) if containers.needs_shell(plan) else no_program(image, plan.argv[0])
    if "could not select device driver" in message:
        return f"{message} (GPUs need the NVIDIA container toolkit on the engine's machine)"
    return message


def no_program(image: str, program: str) -> str:
    """The message for an image without the task's program."""
    remedy = ": set `entrypoint` to a shell that it has, such as `sh -e`" if program == "bash" else ""
    return f"the image {image} has no program {program!r}{remedy}"


def no_shell(image: str) -> str:
    """The message for an image without a shell."""
    return f"the image {image} has no `sh`, which every task needs except a `command` without secrets"
