"""The texts of a submission: the job's name, the script that sbatch gets, and what each member runs. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.attempts import short_signal
from nemorun_cli.executors.slurm.request import NOTICE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import PurePath

    from nemorun_cli.executors.slurm.request import Request
    from nemorun_cli.plan import Plan

LONGEST_KEY: Final = 180  # characters of a job's name; accounting keeps 255
NEAR_LIMIT: Final = "near-its-limit"  # in an attempt's folder: it got the signal that announces the end
SECRETS: Final = "secrets"  # in an attempt's folder, until its job has read it

RUNNING: Final = "running"  # in an attempt's folder, while its job script looks after the task
KILL_NOTICE: Final = "URG"  # what tells a job script to kill the task and all it started
LOOKS_A_SECOND: Final = 10  # at what a task left behind
MOST_LOOKS: Final = 50  # until what cannot be killed is left to Slurm

_PLAIN_OPTION: Final = re.compile(r"[A-Za-z0-9_./:@%+=,~-]*")

# Every name begins with _exp_: the task's own variables are set in the same shell.
_BODY: Final = """\
# One job of exp: it runs one member of a submission under the experiment's shim.
_exp_folder={folder}
_exp_news={news}
_exp_index=${{SLURM_ARRAY_TASK_ID:-0}}
_exp_secrets=() _exp_task='' _exp_running=''
# shellcheck disable=SC1090 # what a member runs lies beside this script
. "$_exp_folder/$_exp_index" || exit
umask 077
exec >>"$_exp_attempt/log" 2>&1 </dev/null
if [ -e "$_exp_attempt/secrets" ]; then
    # shellcheck disable=SC1091
    . "$_exp_attempt/secrets"
    rm -f -- "$_exp_attempt/secrets"
fi

_exp_record() {{
    # Not what a shim said: of several jobs for one attempt, one runs it and the others leave.
    [ -e "$_exp_attempt/claim" ] || [ -e "$_exp_attempt/exit.json" ] ||
        printf '%s\\n' "$1" >"$_exp_attempt/exit.json"
}}
_exp_leave() {{
    local code=$?
    [ -n "$_exp_task" ] ||
        _exp_record "{{\\"exit_code\\":null,\\"launch\\":\\"setup_lines ended its job with code $code\\"}}"
    [ -z "$_exp_running" ] || rm -f -- "$_exp_running"
    echo "$_exp_index" >>"$_exp_news"
}}
trap _exp_leave EXIT
_exp_export() {{
    local pair
    for pair; do export "${{pair?}}"; done
}}
_exp_export "${{_exp_environment[@]}}" 2>/dev/null
umask "$_exp_mask"
cd -- "$_exp_workdir" 2>/dev/null || true # the shim tells of it

# setup_lines
{setup}

umask 077
_exp_export "${{_exp_environment[@]}}" 2>/dev/null
_exp_export "${{_exp_secrets[@]}}"
case $_exp_program in
*/*) ;;
*)
    if ! type -P -- "$_exp_program" >/dev/null; then
        _exp_record "$_exp_missing"
        exit 127
    fi
    ;;
esac

_exp_pids() {{
    # Who carries the attempt's mark, looked for without carrying it.
    /usr/bin/env -i grep -lzFx -e "$_exp_mark" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
}}
_exp_forward() {{
    # To the task's process group, and to those of its processes that left it.
    local pid stat
    kill -s "$1" -- "-$_exp_task" 2>/dev/null
    for pid in $(_exp_pids); do
        read -r stat 2>/dev/null <"/proc/$pid/stat"
        read -r _ _ stat _ <<<"${{stat##*) }}"
        [ "$stat" = "$_exp_task" ] || kill -s "$1" "$pid" 2>/dev/null
    done
}}

# Slurm signals this script alone, which outlives the task and sends on what it gets. With job control the
# task is a process group of its own, in which INT and QUIT are not ignored.
for _exp_signal in HUP INT QUIT TERM USR1 USR2 ALRM; do
    # shellcheck disable=SC2064 # the name of now
    trap "_exp_forward $_exp_signal" "$_exp_signal"
done
trap '_exp_forward KILL' {kill}
set -m
# While this file is there, an exit record does not mean that nothing of the task is left.
if (set -C && true >"$_exp_attempt/{running}") 2>/dev/null; then _exp_running=$_exp_attempt/{running}; fi
echo "$_exp_index" >>"$_exp_news"
/usr/bin/env -- "${{_exp_environment[@]}}" /bin/sh "${{_exp_command[@]}}" 9>&- &
_exp_task=$!
{forward}while kill -0 "$_exp_task" 2>/dev/null; do wait "$_exp_task"; done
wait "$_exp_task"
_exp_code=$?

# What the task left behind is ended before its job is.
_exp_looks=0
while [ -n "$(_exp_pids)" ]; do
    [ "$_exp_looks" -gt 0 ] || _exp_forward "$_exp_stop"
    [ "$_exp_looks" -lt "$_exp_patience" ] || _exp_forward KILL
    [ "$_exp_looks" -lt $((_exp_patience + {most_looks})) ] || break
    _exp_looks=$((_exp_looks + 1))
    sleep 0.1
done
exit "$_exp_code"
"""

_FORWARD: Final = """\
# Slurm tells that the time is nearly over: the task gets the signal that is meant for it.
trap 'true >"$_exp_attempt/{marker}"; _exp_forward {signal}' {notice}
"""


def job_name(experiment: str, members: Sequence[tuple[str, int]], folder: PurePath) -> str:
    """The key of a submission in characters that no tool trips over, and what tells two homes apart.

    By it a submission in doubt is found again; an id that Slurm gave away again has another.
    """
    task, attempt = members[0]
    more = f"+{len(members) - 1}" if len(members) > 1 else ""
    key = re.sub(r"[^A-Za-z0-9._=/+-]", "_", f"{experiment}/{task}{more}/{attempt}")
    place = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{key[:LONGEST_KEY]}~{place}"


def job_script(asked: Request, *, name: str, folder: PurePath, members: int, news: PurePath) -> str:
    """What sbatch gets: one job, or an array with one job a member.

    Args:
        asked: what all members ask for.
        name: the job's name.
        folder: where the members' own texts lie, each under its index.
        members: how many there are.
        news: the file that gets a line when one begins or ends.
    """
    own = [f"--job-name={name}"]
    if not any(option.startswith("--comment=") for option in asked.options):
        own.append(f"--comment={folder}")
    if members > 1:
        own.append(f"--array=0-{members - 1}" + (f"%{asked.max_parallel}" if asked.max_parallel else ""))
    # What login files and Slurm itself say is not the task's output, whose log the script opens.
    own += ["--output=/dev/null", "--open-mode=append", "--no-requeue", "--export=ALL", "--chdir=/"]
    head = "#!/bin/bash -l" if asked.login else "#!/bin/bash"
    marker = "timed-out" if asked.ends_time else NEAR_LIMIT
    forward = _FORWARD.format(marker=marker, signal=asked.forward, notice=NOTICE) if asked.forward else ""
    body = _BODY.format(
        folder=shlex.quote(str(folder)),
        news=shlex.quote(str(news)),
        setup="\n".join(asked.setup_lines) or ":",
        forward=forward,
        kill=KILL_NOTICE,
        running=RUNNING,
        most_looks=MOST_LOOKS,
    )
    return "\n".join([head, *(f"#SBATCH {directive(one)}" for one in (*own, *asked.options)), body])


def directive(option: str) -> str:
    """An option as a line of `#SBATCH` takes it: only double quotes keep every character."""
    flag, equals, value = option.partition("=")
    if _PLAIN_OPTION.fullmatch(value):
        return option
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{flag}{equals}"{escaped}"'


def member_text(
    plan: Plan, *, attempt: PurePath, mask: str, env: Mapping[str, str], arguments: Sequence[str]
) -> str:
    """What one job runs, for the job script to read.

    Args:
        plan: what was planned.
        attempt: the attempt's folder.
        mask: the task's umask, in octal.
        env: its environment, without secrets.
        arguments: the shim and its arguments.
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
    return "".join(f"_exp_{name}={value}\n" for name, value in values.items())


def secrets_text(values: Mapping[str, str]) -> str:
    """Secrets for the job script to read."""
    return f"_exp_secrets={_array(f'{name}={value}' for name, value in values.items())}\n"


def _array(values: Iterable[str]) -> str:
    return f"({' '.join(map(shlex.quote, values))})"
