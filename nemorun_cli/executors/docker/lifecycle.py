"""The two pieces of work on a container that take time, each for a thread of its own: begin and end it.

Both can be killed between any two lines and done again. A container is removed only after the
attempt's own folder says how it ended, so that nothing depends on who looks when.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.executors import AttemptStatus, Job
from nemorun_cli.executors.docker import container as containers
from nemorun_cli.executors.docker.client import Engine, GoneError, LogFile, RefusedError
from nemorun_cli.model import attempt_end
from nemorun_cli.model.attempt_end import lost
from nemorun_cli.storage import attempts
from nemorun_cli.system import crashpoints, files
from nemorun_cli.system.files import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nemorun_cli.model.plan import Plan

TRIES: Final = 5  # how often a name is asked for that somebody else is just giving back
PROGRAM_POSITION: Final = 12  # -c, the instructions, exp, log, secrets, and seven arguments of the shim
INIT_COMPLAINS: Final = "[FATAL tini"  # how docker-init begins to say that it cannot run a program
KILLED: Final = attempt_end.SIGNAL_BASE + 9  # exit code of what KILL has ended
LOOKS: Final = 4  # at a container that was killed, for the reason
BETWEEN_LOOKS: Final = 0.1  # seconds
NO_RECORD: Final = "its container ended well, but without an exit record"
NO_TRACE: Final = "the engine has forgotten its container, and it left no process and no exit record"
NO_VIEW: Final = "it began, but the engine says it did not; whether it still runs only root can see"
NO_START: Final = "0001"  # the year in which Docker says that a container started which never did


@dataclass(frozen=True, slots=True)
class Begun:
    """A container that was started, by us or earlier; `since` in Unix seconds."""

    container: str
    since: float
    is_over: bool = False


class Images:
    """Which images have been seen to be there; each is asked for, or pulled, once."""

    def __init__(self, pull: str) -> None:
        self._pull = pull
        self._lock = threading.Lock()
        self._there: set[str] = set()

    def need(self, engine: Engine, image: str) -> None:
        """See that an image is there. Raises Refused if it is not and cannot be had."""
        with self._lock:
            if image in self._there:
                return
            is_there = self._pull != "always" and engine.has_image(image)
            if not is_there and self._pull == "never":
                raise RefusedError(f"there is no image {image} here, and `pull: never` forbids to fetch it")
            if not is_there:
                try:
                    engine.pull(image)
                except (RefusedError, GoneError) as error:
                    raise RefusedError(
                        f"there is no image {image} here, and it cannot be pulled: {error}"
                    ) from None
            self._there.add(image)


def begin(
    engine: Engine, job: Job, plan: Plan, *, images: Images, secrets: Mapping[str, str], gate: threading.Lock
) -> Begun:
    """Create and start the container of an attempt; one that was started already is only found.

    `gate` is for whoever comes first: this, once nothing slow is left to do, or a cancel.

    Raises:
        Refused: it cannot be started; the message says why.
        DownError: the engine does not answer.
    """
    if not engine.is_here:
        raise RefusedError(
            f"the Docker engine at {engine.address} is on another machine, whose folders are others"
        )
    attempts.make_folders(job.files)
    attempts.write_plan(job.files, plan)
    if missing := containers.missing_sources(plan):
        raise RefusedError(f"a volume's source is not there: {', '.join(missing)}")
    make_folder(Path(plan.env["EXP_DASH_ROOT"]))
    image = plan.details["create"]["image"]
    images.need(engine, image)
    if not gate.acquire(blocking=False):
        raise RefusedError("it was ended before it began")
    since = time.time()
    container, found = _create(engine, job, plan)
    if found is not None:
        return Begun(container, claimed(job) or since, is_over=not found["State"]["Running"])
    crashpoints.point("attempt.locked")
    if containers.needs_shell(plan):
        files.write(job.files.usage, "container\n")  # for the shim: it is alone in there, and can measure
    else:
        files.write(job.files.claim, container)
    try:
        engine.start(container, {name: secrets[name] for name in plan.secrets})
    except (RefusedError, GoneError) as error:
        engine.remove(container)
        raise RefusedError(_explain(str(error), image, plan)) from None
    crashpoints.point("attempt.spawned")
    return Begun(container, since)


def _create(engine: Engine, job: Job, plan: Plan) -> tuple[str, dict[str, Any] | None]:
    """A new container for the attempt, or the one it has, with all that is known of that."""
    name = containers.name(job)
    for _ in range(TRIES):
        try:
            if container := engine.create(containers.arguments(job, plan)):
                return container, None
            found = engine.inspect(name)
            if found["State"]["Status"] != "created":
                return str(found["Id"]), found
            # Whoever made it died before starting it, or is starting it: then it cannot be removed.
            with contextlib.suppress(RefusedError):
                engine.remove(name)
        except GoneError as error:
            if "image" in str(error):
                raise RefusedError(
                    f"there is no image {plan.details['create']['image']} here (any more)"
                ) from None
        except (TypeError, ValueError) as error:  # what `extra` holds is for the SDK to judge
            raise RefusedError(f"the Docker SDK does not take these options: {error}") from None
    raise RefusedError(f"the name {name} is taken by a container that neither starts nor goes away")


def end(
    engine: Engine, job: Job, container: str, *, saw_oom: Callable[[], bool], is_stopped: bool
) -> AttemptStatus:
    """Write down how a container ended, then remove it.

    Args:
        engine: where it is.
        job: the attempt that it is of.
        container: its id.
        saw_oom: whether the engine has told that its memory did not suffice.
        is_stopped: whether it was ended by us.

    Raises:
        DownError: the engine does not answer.
    """
    try:
        found = engine.inspect(container)
        if found["State"]["ExitCode"] == KILLED and not is_stopped:
            found = _looked_again(engine, container, found, saw_oom)
    except GoneError:
        return vanished(job)
    state, short = found["State"], found["Id"][:12]
    if state["Running"]:
        return AttemptStatus(key=job.key, state="running", job_id=short)
    is_bare = containers.LABEL + "timeout" in found["Config"]["Labels"]
    # Even if it was followed to its end: an engine may stop telling before the last lines have come.
    log_is_whole = not is_bare or _complete_log(engine, job, container)
    words = engine.last_words(container) if state["ExitCode"] and (is_bare or not claimed(job)) else ""
    is_oom = saw_oom() or state["OOMKilled"]
    record = _bare_record(job, found, words) if is_bare else _shim_record(job, found, words)
    if record is None and not claimed(job) and attempts.read_ending(job.files) is None:
        engine.remove(container)
        return AttemptStatus(key=job.key, state="absent")
    is_kept = _keep(job, record, is_oom=is_oom)
    ending = attempts.read_ending(job.files)
    if ending is None:
        ending = attempts.interpret(record, job.files, time.time()) if record else lost(NO_RECORD)
    if is_kept and log_is_whole:
        with contextlib.suppress(RefusedError):  # found by its label, and removed, at the next look
            engine.remove(container)
    return AttemptStatus(
        key=job.key, state="over", job_id=short, ending=ending, evidence="its container and its exit record"
    )


def _looked_again(
    engine: Engine, container: str, found: dict[str, Any], saw_oom: Callable[[], bool]
) -> dict[str, Any]:
    """What was killed, once the engine has had the time to say why: it tells of the end first.

    Raises:
        Gone: somebody removed it.
    """
    for _ in range(LOOKS):
        if found["State"]["Running"] or found["State"]["OOMKilled"] or saw_oom():
            break
        time.sleep(BETWEEN_LOOKS)
        found = engine.inspect(container)
    return found


def vanished(job: Job) -> AttemptStatus:
    """How an attempt stands whose container is not there (any more)."""
    if ending := attempts.read_ending(job.files):
        return AttemptStatus(
            key=job.key, state="over", job_id=job.job_id, ending=ending, evidence="its exit record"
        )
    if claimed(job):
        ending = lost("its container is gone, and it left no exit record: was it removed by hand?")
        return AttemptStatus(key=job.key, state="over", job_id=job.job_id, ending=ending)
    return AttemptStatus(key=job.key, state="absent")


def unstarted(job: Job, *, is_bare: bool) -> AttemptStatus:
    """How an attempt stands whose container never started, as the engine says, and of which nothing runs."""
    if is_bare or not claimed(job):  # without the shim it is claimed before its start
        return AttemptStatus(key=job.key, state="absent")
    if ending := attempts.read_ending(job.files):
        return AttemptStatus(key=job.key, state="over", ending=ending, evidence="its exit record")
    if os.geteuid() != 0:
        return AttemptStatus(key=job.key, state="unknown", message=NO_VIEW, evidence="docker")
    return AttemptStatus(key=job.key, state="over", ending=lost(NO_TRACE))


def _complete_log(engine: Engine, job: Job, container: str) -> bool:
    """Bring what is missing into the attempt's log; says whether the disk took it."""
    try:
        with contextlib.closing(LogFile(job.files.log)) as log, engine.log(container, follow=False) as stream:
            for data in stream.read_all():
                log.feed(data)
    except OSError:
        return False
    return True


def _bare_record(job: Job, found: Mapping[str, Any], words: str) -> dict[str, Any]:
    """The exit record of what ran without the shim: the container's own."""
    code = found["State"]["ExitCode"]
    image, program = found["Config"]["Image"], found["Config"]["Entrypoint"][0]
    record: dict[str, Any] = {"exit_code": code, **_times(found)}
    if code == containers.NO_SHELL and words.startswith(INIT_COMPLAINS):
        record["launch"] = no_program(image, program)
    elif job.files.timed_out.exists():
        record["timeout"] = True
        if code == attempt_end.SIGNAL_BASE + attempt_end.signal_number("KILL"):
            record["signal"] = "KILL"
    return record


def _shim_record(job: Job, found: Mapping[str, Any], words: str) -> dict[str, Any] | None:
    """What the shim could not write itself; None if it wrote, or if nothing of the task ran."""
    code = found["State"]["ExitCode"]
    if attempts.read_ending(job.files) or (code == containers.NO_SECRETS and not claimed(job)):
        return None
    if claimed(job) or code > attempt_end.SIGNAL_BASE:
        # It was killed. A shim that lost the claim to another ends with 0 and knows nothing.
        return {"exit_code": code, **_times(found)} if code else None
    return {"exit_code": None, "launch": _launch_trouble(found, words), **_times(found)}


def _launch_trouble(found: Mapping[str, Any], words: str) -> str:
    """Why nothing of the task ran."""
    code, image = found["State"]["ExitCode"], found["Config"]["Image"]
    if code == containers.NO_PROGRAM:
        return no_program(image, found["Config"]["Cmd"][PROGRAM_POSITION])
    if code == containers.NO_SHELL:
        return no_shell(image)
    return f"its shim could not begin (exit code {code}): {words or 'it said nothing'}"


def _keep(job: Job, record: dict[str, Any] | None, *, is_oom: bool) -> bool:
    """Write the record, or mend that of the shim, so that it survives a crash; says whether it is safe."""
    path = job.files.exit
    try:
        if record is None and is_oom and path.exists():
            record = json.loads(path.read_bytes())
        if record is None:
            _sync(path)
            return True
        if is_oom:
            record["oom"] = True
        aside = path.with_name(path.name + ".new")
        files.write(aside, json.dumps(record) + "\n")
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except FileNotFoundError:
        return True  # there is nothing to keep
    except (OSError, ValueError):
        return False  # the container remains as the record
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _times(found: Mapping[str, Any]) -> dict[str, float]:
    state = found["State"]
    times = {"started": state["StartedAt"], "ended": state["FinishedAt"]}
    return {
        word: datetime.fromisoformat(text).timestamp()
        for word, text in times.items()
        if not text.startswith(NO_START)
    }


def claimed(job: Job) -> float | None:
    """When the attempt was claimed, in Unix seconds; None if it was not."""
    try:
        return job.files.claim.stat().st_mtime
    except OSError:
        return None


def _explain(message: str, image: str, plan: Plan) -> str:
    """What the engine says of a failed start, in words of the spec where we know them."""
    if "executable file not found" in message or "no such file or directory: unknown" in message:
        return no_shell(image) if containers.needs_shell(plan) else no_program(image, plan.argv[0])
    if "could not select device driver" in message:
        return f"{message} (GPUs need the NVIDIA container toolkit on the engine's machine)"
    return message


def no_program(image: str, program: str) -> str:
    """What is told when an image lacks a task's program."""
    return f"the image {image} has no program {program!r}"


def no_shell(image: str) -> str:
    """What is told when an image lacks the shell."""
    return f"the image {image} has no `sh`, which all but a `command` without secrets needs"
