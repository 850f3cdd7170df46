"""The texts of a submission: the job's name, the script that sbatch gets, and what each member runs. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from typing import TYPE_CHECKING, Final

from nemorun_cli.attempts import short_signal
from nemorun_cli.executors.slurm.dependency import SIGNALLED, STOOD_BACK, array
from nemorun_cli.executors.slurm.request import NOTICE
from nemorun_cli.executors.slurm.together import components

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import PurePath

    from nemorun_cli.executors.slurm.request import Request
    from nemorun_cli.plan import Plan

LONGEST_KEY: Final = 180  # characters of a job's name; accounting keeps 255
NEAR_LIMIT: Final = "near-its-limit"  # in an attempt's folder: it got the signal that announces the end
BODY: Final = "body"  # in a submission's folder: what runs one of several members that start together
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
_exp_index={index}
_exp_secrets=() _exp_task='' _exp_running=''
# shellcheck disable=SC1090 # what a member runs lies beside this script
. "$_exp_folder/$_exp_index" || exit
umask 077
{gate}exec >>"$_exp_attempt/log" 2>&1 </dev/null
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
_exp_pass_on() {{
    true >"$_exp_attempt/{signalled}"
    _exp_forward "$1"
}}

# Slurm signals this script alone, which outlives the task and sends on what it gets. With job control the
# task is a process group of its own, in which INT and QUIT are not ignored.
for _exp_signal in HUP INT QUIT TERM USR1 USR2 ALRM; do
    # shellcheck disable=SC2064 # the name of now
    trap "_exp_pass_on $_exp_signal" "$_exp_signal"
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

# For a job that was queued before its task could run. That Slurm let it begin is not enough: the records of
# those it waited for have to say so beyond doubt. Else it stands back, and whoever looks next decides.
_GATE: Final = """\
_exp_end_of() {{ # DIRECTORY: how an attempt ended, as far as its files tell
    # success, failure, killed (a failure or a cancel), doubtful (a success or a cancel), none, unclear
    local record='' looks=0
    until read -r record 2>/dev/null <"$1/exit.json" || [ ! -e "$1/claim" ] || [ "$looks" -ge 20 ]; do
        looks=$((looks + 1)) # a record may take a moment to get here from another node
        sleep 0.25
    done
    if [ -z "$record" ]; then
        if [ -e "$1/claim" ]; then echo killed
        elif [ -e "$1/{stood_back}" ]; then echo unclear
        else echo none; fi
    elif [ "$record" = '{{"exit_code":0}}' ]; then
        if [ -e "$1/{signalled}" ]; then echo doubtful; else echo success; fi
    elif [ -e "$1/{signalled}" ]; then echo killed
    else echo failure; fi
}}
_exp_has_plain_outputs() {{ # DIRECTORY, plain or secret: whether nothing can be wrong with what was put out
    [ -e "$1/outputs" ] || return 0
    [ -f "$1/outputs" ] || return 1
    [ -s "$1/outputs" ] || return 0
    [ "$2" = plain ] && [ "$(wc -c <"$1/outputs")" -lt 1000000 ] || return 1
    local value='=[ -~]*|:=(-?(0|[1-9][0-9]*)([.][0-9]+)?|true|false|null)'
    ! LC_ALL=C grep -qvxE "([A-Za-z_][A-Za-z0-9_.-]*($value))?" "$1/outputs"
}}
_exp_may_run() {{ # NEED, plain or secret, DIRECTORY, and so on
    local end need wanted='' found=''
    while [ "$#" -gt 0 ]; do
        need=$1
        end=$(_exp_end_of "$3")
        case $need,$end in
        *,unclear) return 1 ;;
        success,success) _exp_has_plain_outputs "$3" "$2" || return 1 ;;
        no_cancel,success | no_cancel,failure) ;;
        end,*) ;;
        failure,failure | failure,killed) found=yes ;;
        failure,success) _exp_has_plain_outputs "$3" "$2" || return 1 ;;
        *) return 1 ;;
        esac
        [ "$need" != failure ] || wanted=yes
        shift 3
    done
    [ "$wanted" = "$found" ]
}}
if ! _exp_may_run "${{_exp_behind[@]}}"; then
    true >"$_exp_attempt/{stood_back}"
    echo "$_exp_index" >>"$_exp_news"
    exit 1
fi
"""

# The job of members that start together: each is a step of its own, looked after by a shell of its own.
_STEPS: Final = """\
# One job of exp: the members of a group that start together, each under the experiment's shim.
_exp_members=()
for _exp_one in {members}; do
    /bin/bash {body} "$_exp_one" </dev/null >/dev/null 2>&1 &
    _exp_members+=("$!")
done
_exp_pass_on() {{ kill -s "$1" "${{_exp_members[@]}}" 2>/dev/null; }}
trap '_exp_pass_on {kill}' {kill}
trap '_exp_pass_on {notice}' {notice}
_exp_code=0
for _exp_one in "${{_exp_members[@]}}"; do
    while kill -0 "$_exp_one" 2>/dev/null; do wait "$_exp_one"; done
    wait "$_exp_one" || _exp_code=$?
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
        script = _STEPS.format(
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
    forward = _FORWARD.format(marker=marker, signal=asked.forward, notice=NOTICE) if asked.forward else ""
    return _BODY.format(
        index=index,
        folder=shlex.quote(str(folder)),
        news=shlex.quote(str(news)),
        setup="\n".join(asked.setup_lines) or ":",
        forward=forward,
        gate=_GATE.format(stood_back=STOOD_BACK, signalled=SIGNALLED) if is_gated else "",
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
    behind: Sequence[str] = (),
) -> str:
    """What one job runs, for the job script to read.

    Args:
        plan: what was planned.
        attempt: the attempt's folder.
        mask: the task's umask, in octal.
        env: its environment, without secrets.
        arguments: the shim and its arguments.
        behind: whose ends have to allow it, as `dependency.arguments` gives it.
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
    if behind:
        values["behind"] = _array(behind)
    return "".join(f"_exp_{name}={value}\n" for name, value in values.items())


def secrets_text(values: Mapping[str, str]) -> str:
    """Secrets for the job script to read."""
    return f"_exp_secrets={_array(f'{name}={value}' for name, value in values.items())}\n"


def _array(values: Iterable[str]) -> str:
    return f"({' '.join(map(shlex.quote, values))})"
