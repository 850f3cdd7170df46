"""Renders a submission: the job's name, the script for sbatch, and the text of each member. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.slurm import job_sampler
from nemorun_cli.executors.slurm.commands import PATH
from nemorun_cli.executors.slurm.dependency import DECLINED, DECLINED_BEFORE, SIGNALLED, UPSTREAM, array
from nemorun_cli.executors.slurm.het_job import STEP, components
from nemorun_cli.executors.slurm.job_script_templates import (
    BODY_TEXT,
    FORWARD,
    GATE,
    LED,
    LED_END,
    LED_JOB,
    LED_START,
    LOGIN,
    MEMBER_HOSTS,
    NO_LOGIN,
    SHEBANG,
    STEPS,
)
from nemorun_cli.executors.slurm.sbatch_options import NOTICE
from nemorun_cli.model.attempt_end import short_signal
from nemorun_cli.model.group_hosts import HOSTS, LONGEST_TEXT
from nemorun_cli.storage.paths import AttemptFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import PurePath

    from nemorun_cli.executors.slurm.sbatch_options import Request
    from nemorun_cli.model.plan import Plan

LONGEST_KEY: Final = 180  # characters of a job's name; accounting stores 255
NEAR_LIMIT: Final = (
    "time-limit-signal"  # in an attempt's folder: the task received the signal before the limit
)
NEAR_LIMIT_BEFORE: Final = "near-its-limit"  # its name in experiments that began before 0.1.0
OUTPUT: Final = "output"  # in a submission's folder: what is not a task's output; one per member of an array
BODY: Final = "body"  # in a submission's folder: the script that runs one member of a co-scheduled group
STDERR: Final = AttemptFiles(Path()).stderr.name
SECRETS: Final = "secrets"  # in an attempt's folder, until its job has read it

HOSTS_FILE: Final = "hosts"  # in an attempt's folder: where it runs, for members of its group in other jobs
RUNNING: Final = "running"  # in an attempt's folder, while its job script supervises the task
KILL_NOTICE: Final = "URG"  # the signal that makes a job script kill the task and all that it started
END_NOTICE: Final = "WINCH"  # the signal between the scripts of a job that its group has ended; else ignored
ENDED: Final = "ended"  # in the submission's folder of a group with a leader, once the group has ended
CHECKS_PER_SECOND: Final = 10  # for processes that a finished task left running
MOST_CHECKS: Final = 50  # after KILL, before remaining processes are left to Slurm

_PLAIN_OPTION: Final = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")


def job_name(experiment: str, members: Sequence[tuple[str, int]], folder: PurePath) -> str:
    """A submission's key in safe characters, with a hash of its folder that differs between two homes.

    An unconfirmed submission is found again by its name; a reused Slurm id has another name.
    """
    task, attempt = members[0]
    more = f"+{len(members) - 1}" if len(members) > 1 else ""
    key = re.sub(r"[^A-Za-z0-9._=/+-]", "_", f"{experiment}/{task}{more}/{attempt}")
    folder_hash = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{key[:LONGEST_KEY]}~{folder_hash}"


def job_script(
    request: Request,
    *,
    name: str,
    folder: PurePath,
    indices: Sequence[int],
    news: PurePath,
    dependency: str = "",
    each: Sequence[Request] = (),
    is_led: bool = False,
) -> str:
    """The script for sbatch: one job, or an array with one job per member.

    Args:
        request: what all members request.
        name: the job's name.
        folder: contains the members' texts, each named by its index.
        indices: of the members in the array; empty for a single job.
        news: the file to which a job appends a line when it starts or finishes.
        dependency: the value of `--dependency`; empty for none.
        each: the request of each member, if they are steps of one job; each step then runs `body_text`.
        is_led: whether they are members of a group that ends with its leader.
    """
    common = [f"--job-name={name}"]
    if not any(option.startswith("--comment=") for option in request.options):
        common.append(f"--comment={folder}")
    if indices:
        common.append(
            f"--array={array(indices)}" + (f"%{request.max_parallel}" if request.max_parallel else "")
        )
    # What login files, prologs and Slurm print goes to a file of its own; the script opens the task's log.
    common.append(f"--output={output_pattern(folder, is_array=bool(indices))}")
    common += ["--open-mode=append", "--no-requeue", "--export=ALL"]
    common.append(f"--chdir={folder}")  # by which the job is found if a site renames it
    # A job whose dependency cannot be met leaves the queue, whatever the cluster's default is.
    dependencies = [f"--dependency={dependency}", "--kill-on-invalid-dep=yes"] if dependency else []
    if each:
        parts = [(*common, *options) for options in components(each)]
        lines = "\n#SBATCH hetjob\n".join("\n".join(map(_sbatch_line, part)) for part in parts)
        members = " ".join(str(index) for index in range(len(each)))
        script = STEPS.format(
            body=shlex.quote(f"{folder}/{BODY}"),
            members=members,
            kill=KILL_NOTICE,
            notice=NOTICE,
            led=LED_JOB.format(end=END_NOTICE) if is_led else "",
        )
        return f"{SHEBANG}\n{lines}\n{_environment(request)}{script}"
    lines = "\n".join(map(_sbatch_line, (*common, *request.options, *dependencies)))
    body = body_text(
        request, folder=folder, news=news, index="${SLURM_ARRAY_TASK_ID:-0}", is_gated=bool(dependency)
    )
    return f"{SHEBANG}\n{lines}\n{_environment(request)}{body}"


def _environment(request: Request) -> str:
    return (LOGIN if request.login else NO_LOGIN).format(path=PATH)


def output_pattern(folder: PurePath, *, is_array: bool) -> str:
    """The value of `--output`: the file for what is not the task's output, by the index of an array's member.

    A path with a backslash would be taken without the index, and without its backslashes.
    """
    if "\\" in str(folder):
        return "/dev/null"
    return f"{folder}/{OUTPUT}".replace("%", "%%") + ("-%a" if is_array else "")


def _sbatch_line(option: str) -> str:
    return f"#SBATCH {directive(option)}"


def body_text(
    request: Request,
    *,
    folder: PurePath,
    news: PurePath,
    index: str,
    is_gated: bool = False,
    is_led: bool = False,
    shares_job: bool = False,
) -> str:
    """The shell text that runs one member.

    Args:
        request: what it requests.
        folder: contains the members' texts, each named by its index.
        news: the file to which it appends a line when it starts or finishes.
        index: a shell expression for the member's index.
        is_gated: whether it checks its parents' records before it runs the task.
        is_led: whether it is a member of a group that ends with its leader.
        shares_job: whether its job runs other members, too.
    """
    sampling = request.sampling
    led = {
        "led": LED.format(
            kill=KILL_NOTICE,
            end=END_NOTICE,
            ended=ENDED,
            signalled=SIGNALLED,
            step=STEP,
            stopped=AttemptFiles(Path()).stopped.name,
        ),
        "led_start": LED_START.format(end=END_NOTICE, ended=ENDED),
        "led_end": LED_END,
    }
    marker = "timed-out" if request.ends_time else NEAR_LIMIT
    forward = FORWARD.format(marker=marker, signal=request.forward, notice=NOTICE) if request.forward else ""
    return BODY_TEXT.format(
        index=index,
        folder=shlex.quote(str(folder)),
        news=shlex.quote(str(news)),
        setup="\n".join(request.setup_lines) or ":",
        forward=forward,
        gate=GATE.format(
            declined=DECLINED, declined_before=DECLINED_BEFORE, signalled=SIGNALLED, behind=UPSTREAM
        )
        if is_gated
        else "",
        kill=KILL_NOTICE,
        signalled=SIGNALLED,
        output=OUTPUT,
        running=RUNNING,
        most_looks=MOST_CHECKS,
        sample_start="" if sampling is None else job_sampler.start(sampling, shares_job=shares_job),
        sample_end="" if sampling is None else job_sampler.END,
        **(led if is_led else dict.fromkeys(led, "")),
    )


def directive(option: str) -> str:
    """An option as an `#SBATCH` line takes it: only double quotes preserve every character.

    Raises:
        EngineError: it contains a line break, after which the rest would be a command of the job script.
    """
    if re.search(r"[\n\r\x00]", option):
        raise EngineError(f"an option of sbatch contains a line break: {option!r}")
    flag, equals, value = option.partition("=")
    if _PLAIN_OPTION.fullmatch(value):
        return option
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{flag}{equals}"{escaped}"'


def member_text(
    plan: Plan,
    *,
    attempt: PurePath,
    mask: str,
    env: Mapping[str, str],
    arguments: Sequence[str],
    upstream: Sequence[str] = (),
    peers: Sequence[str] = (),
) -> str:
    """The variables of one member, for the job script to read.

    Args:
        plan: the plan of the attempt.
        attempt: the attempt's folder.
        mask: the task's umask, in octal.
        env: its environment, without secrets.
        arguments: the shim and its arguments.
        upstream: the parents whose records have to permit it, as `dependency.arguments` returns them.
        peers: the members of its group in its job, as `member_places.words` returns them.
    """
    missing = {"exit_code": None, "launch": f"there is no program {plan.argv[0]!r} on the PATH of its job"}
    reason = "it could not be started (exit code 126): its log has the reason"
    unstarted = {"exit_code": None, "launch": reason}
    values = {
        "attempt": shlex.quote(str(attempt)),
        "workdir": shlex.quote(plan.workdir),
        "mask": shlex.quote(mask),
        "program": shlex.quote(plan.argv[0]),
        "missing": shlex.quote(json.dumps(missing)),
        "unstarted": shlex.quote(json.dumps(unstarted)),
        "mark": shlex.quote(f"EXP_OUTPUT={plan.env['EXP_OUTPUT']}"),
        "stop": shlex.quote(short_signal(plan.stop_signal)),
        "patience": str(math.ceil(plan.stop_grace * CHECKS_PER_SECOND)),
        "environment": _array(f"{name}={env[name]}" for name in env if name not in plan.defaults),
        "defaults": _array(f"{name}={env[name]}" for name in plan.defaults),
        "command": _array(arguments),
    }
    if plan.secrets:
        values["has_secrets"] = "yes"
    if not plan.stderr_to_stdout:
        values["error"] = STDERR
    if upstream:
        values["behind"] = _array(upstream)
    if plan.ends_company is not None:
        values["ends"] = shlex.quote(" ".join(plan.ends_company))
    text = "".join(f"_exp_{name}={value}\n" for name, value in values.items())
    if peers:
        text += MEMBER_HOSTS.format(
            variable=HOSTS,
            longest=LONGEST_TEXT,
            running=RUNNING,
            hosts=HOSTS_FILE,
            peers=_array([plan.peers[plan.task], *peers])[1:-1],
        )
    return text


def secrets_text(values: Mapping[str, str]) -> str:
    """The secrets of one member, for the job script to read."""
    return f"_exp_secrets={_array(f'{name}={value}' for name, value in values.items())}\n"


def _array(values: Iterable[str]) -> str:
    return f"({' '.join(map(shlex.quote, values))})"


Secrets = dict[str, str]
