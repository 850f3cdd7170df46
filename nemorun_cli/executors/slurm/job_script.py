"""The texts of a submission: the job's name, the script that sbatch gets, and what each member runs. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.executors.slurm.dependency import BEHIND, SIGNALLED, STOOD_BACK, array
from nemorun_cli.executors.slurm.het_job import components
from nemorun_cli.executors.slurm.job_script_templates import BODY_TEXT, FORWARD, GATE, STEPS
from nemorun_cli.executors.slurm.sbatch_options import NOTICE
from nemorun_cli.model.attempt_end import short_signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import PurePath

    from nemorun_cli.executors.slurm.sbatch_options import Request
    from nemorun_cli.model.plan import Plan

LONGEST_KEY: Final = 180  # characters of a job's name; accounting keeps 255
NEAR_LIMIT: Final = "near-its-limit"  # in an attempt's folder: it got the signal that announces the end
BODY: Final = "body"  # in a submission's folder: what runs one of several members that start together
SECRETS: Final = "secrets"  # in an attempt's folder, until its job has read it

RUNNING: Final = "running"  # in an attempt's folder, while its job script looks after the task
KILL_NOTICE: Final = "URG"  # what tells a job script to kill the task and all it started
LOOKS_A_SECOND: Final = 10  # at what a task left behind
MOST_LOOKS: Final = 50  # until what cannot be killed is left to Slurm

_PLAIN_OPTION: Final = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")


def job_name(experiment: str, members: Sequence[tuple[str, int]], folder: PurePath) -> str:
    """The key of a submission in characters that no tool trips over, and what tells two homes apart.

    By it a submission in doubt is found again; an id that Slurm gave away again has another.
    """
    task, attempt = members[0]
    more = f"+{len(members) - 1}" if len(members) > 1 else ""
    key = re.sub(r"[^A-Za-z0-9._=/+-]", "_", f"{experiment}/{task}{more}/{attempt}")
    place = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{key[:LONGEST_KEY]}~{place}"


def job_script(
    asked: Request,
    *,
    name: str,
    folder: PurePath,
    indices: Sequence[int],
    news: PurePath,
    dependency: str = "",
    each: Sequence[Request] = (),
) -> str:
    """What sbatch gets: one job, or an array with one job a member.

    Args:
        asked: what all members ask for.
        name: the job's name.
        folder: where the members' own texts lie, each under its index.
        indices: of the members in the array; none for a job of its own.
        news: the file that gets a line when one begins or ends.
        dependency: whom it waits for in Slurm's queue; empty if nobody.
        each: what each member asks for, if they are steps of one job; what they run is then `body_text`.
    """
    own = [f"--job-name={name}"]
    if not any(option.startswith("--comment=") for option in asked.options):
        own.append(f"--comment={folder}")
    if indices:
        own.append(f"--array={array(indices)}" + (f"%{asked.max_parallel}" if asked.max_parallel else ""))
    # What login files and Slurm itself say is not the task's output, whose log the script opens.
    own += ["--output=/dev/null", "--open-mode=append", "--no-requeue", "--export=ALL", "--chdir=/"]
    # What can no longer run leaves the queue, whatever the cluster does by default.
    waiting = [f"--dependency={dependency}", "--kill-on-invalid-dep=yes"] if dependency else []
    head = "#!/bin/bash -l" if asked.login else "#!/bin/bash"
    if each:
        parts = [(*own, *options) for options in components(each)]
        lines = "\n#SBATCH hetjob\n".join("\n".join(map(_sbatch_line, part)) for part in parts)
        members = " ".join(str(index) for index in range(len(each)))
        script = STEPS.format(
            body=shlex.quote(f"{folder}/{BODY}"), members=members, kill=KILL_NOTICE, notice=NOTICE
        )
        return f"{head}\n{lines}\n{script}"
    lines = "\n".join(map(_sbatch_line, (*own, *asked.options, *waiting)))
    body = body_text(
        asked, folder=folder, news=news, index="${SLURM_ARRAY_TASK_ID:-0}", is_gated=bool(dependency)
    )
    return f"{head}\n{lines}\n{body}"


def _sbatch_line(option: str) -> str:
    return f"#SBATCH {directive(option)}"


def body_text(asked: Request, *, folder: PurePath, news: PurePath, index: str, is_gated: bool = False) -> str:
    """The shell that runs one member.

    Args:
        asked: what it asks for.
        folder: where the members' own texts lie, each under its index.
        news: the file that gets a line when it begins or ends.
        index: what gives the member's index, in shell.
        is_gated: whether it has to look first at those it waited for.
    """
    marker = "timed-out" if asked.ends_time else NEAR_LIMIT
    forward = FORWARD.format(marker=marker, signal=asked.forward, notice=NOTICE) if asked.forward else ""
    return BODY_TEXT.format(
        index=index,
        folder=shlex.quote(str(folder)),
        news=shlex.quote(str(news)),
        setup="\n".join(asked.setup_lines) or ":",
        forward=forward,
        gate=GATE.format(stood_back=STOOD_BACK, signalled=SIGNALLED, behind=BEHIND) if is_gated else "",
        kill=KILL_NOTICE,
        signalled=SIGNALLED,
        running=RUNNING,
        most_looks=MOST_LOOKS,
    )


def directive(option: str) -> str:
    """An option as a line of `#SBATCH` takes it: only double quotes keep every character."""
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
) -> str:
    """What one job runs, for the job script to read.

    Args:
        plan: what was planned.
        attempt: the attempt's folder.
        mask: the task's umask, in octal.
        env: its environment, without secrets.
        arguments: the shim and its arguments.
        upstream: whose ends have to allow it, as `dependency.arguments` gives it.
    """
    missing = {"exit_code": None, "launch": f"there is no program {plan.argv[0]!r} on the PATH of its job"}
    values = {
        "attempt": shlex.quote(str(attempt)),
        "workdir": shlex.quote(plan.workdir),
        "mask": shlex.quote(mask),
        "program": shlex.quote(plan.argv[0]),
        "missing": shlex.quote(json.dumps(missing)),
        "mark": shlex.quote(f"EXP_OUTPUT={plan.env['EXP_OUTPUT']}"),
        "stop": shlex.quote(short_signal(plan.stop_signal)),
        "patience": str(math.ceil(plan.stop_grace * LOOKS_A_SECOND)),
        "environment": _array(f"{name}={value}" for name, value in env.items()),
        "command": _array(arguments),
    }
    if upstream:
        values["behind"] = _array(upstream)
    return "".join(f"_exp_{name}={value}\n" for name, value in values.items())


def secrets_text(values: Mapping[str, str]) -> str:
    """Secrets for the job script to read."""
    return f"_exp_secrets={_array(f'{name}={value}' for name, value in values.items())}\n"


def _array(values: Iterable[str]) -> str:
    return f"({' '.join(map(shlex.quote, values))})"


Secrets = dict[str, str]
