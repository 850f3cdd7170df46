"""The shell text with which a job measures what its task uses, in the background, line by line into a file.

It needs bash, grep and, for GPUs, timeout and nvidia-smi. Nothing waits for it, nothing depends on it, and it
ends with the job script, for which it looks every five seconds. Its pauses need no program.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from nemorun_cli.storage.paths import AttemptFiles

SAMPLES: Final = AttemptFiles(Path()).samples.name

# CPU times are microseconds, memory is in bytes. A control group, which a job has with cgroup v2, also counts
# what has ended. Without one, the processes of a task are found by its marker, as they are when it has ended.
FUNCTIONS: Final = """\
_exp_used() { # set _exp_cpu and _exp_memory: what the task uses on this node
    local name value pid stat pages
    _exp_cpu=0 _exp_memory=0
    if [ -n "$_exp_pool" ]; then
        read -r _exp_memory <"$_exp_pool/memory.current"
        while read -r name value; do
            [ "$name" != usage_usec ] || _exp_cpu=$value
        done <"$_exp_pool/cpu.stat"
        while read -r name value; do
            [ "$name" != inactive_file ] || _exp_memory=$((_exp_memory - value))
        done <"$_exp_pool/memory.stat"
        return
    fi
    for pid in $(_exp_pids); do
        { read -r stat <"/proc/$pid/stat" && read -r _ pages _ <"/proc/$pid/statm"; } || continue
        # shellcheck disable=SC2086 # the fields after the name, the first of which is the state
        set -- ${stat##*) }
        _exp_cpu=$((_exp_cpu + (${12} + ${13} + ${14} + ${15}) * _exp_tick))
        _exp_memory=$((_exp_memory + pages * _exp_page))
    done
}
_exp_look_at_gpus() { # set _exp_gpus to the fields of the job's GPUs
    local name='' index uuid memory use number=0 rows names
    _exp_gpus=''
    rows=$(timeout --foreground -s KILL 10 "$_exp_smi" \\
        --query-gpu=index,uuid,memory.used,utilization.gpu --format=csv,noheader,nounits) || return
    IFS=, read -r -a names <<<"${CUDA_VISIBLE_DEVICES-}"
    while [ "$number" -lt "${#names[@]}" ] || { [ "${#names[@]}" -eq 0 ] && [ "$number" -eq 0 ]; }; do
        name=${names[number]-}
        while IFS=', ' read -r index uuid memory use; do
            case $name in
            '') ;;
            *[!0-9]*) [[ $uuid == "$name"* ]] || continue ;;
            *) [ "$index" = "$name" ] || continue ;;
            esac
            [[ ! $memory =~ ^[0-9]{1,9}$ ]] || _exp_gpus+=",\\"gpu$number.memory\\":$((memory * 1048576))"
            [[ ! $use =~ ^[0-9]{1,3}$ ]] || _exp_gpus+=",\\"gpu$number.utilization\\":$use"
            [ -n "$name" ] || number=$((number + 1))
        done <<<"$rows"
        [ -n "$name" ] || break
        number=$((number + 1))
    done
}
_exp_pause() { # for the interval; fails once the script has ended
    local left=$_exp_interval
    exec 3<> <(:) # a pipe in which nothing arrives
    while [ "$left" -gt 0 ]; do
        read -r -t "$((left < 5 ? left : 5))" <&3
        [ "$?" -gt 128 ] || sleep 5
        [ -z "$_exp_script" ] || kill -0 "$_exp_script" || return
        left=$((left - 5))
    done
}
_exp_measure() { # print a line after each interval, for as long as the script with the pid _exp_script runs
    local time before now last used IFS=$' \\t\\n'
    local _exp_pool='' _exp_cpu=0 _exp_memory=0 _exp_gpus='' _exp_smi='' _exp_tick _exp_page _exp_node
    _exp_node=${SLURMD_NODENAME:-$HOSTNAME}
    if [ -z "$_exp_shares" ]; then
        while IFS=: read -r time now last; do # 0::PATH is cgroup v2
            case $time:$last in
            0:*/job_[0-9]*) _exp_pool=${_exp_groups:-/sys/fs/cgroup}${last%%/step_*} ;;
            esac
        done </proc/self/cgroup
        { [ -r "$_exp_pool/memory.current" ] && [ -r "$_exp_pool/cpu.stat" ]; } || _exp_pool=''
        [ -z "${CUDA_VISIBLE_DEVICES-}${SLURM_JOB_GPUS-}" ] || _exp_smi=$(type -P nvidia-smi)
    fi
    _exp_tick=$((1000000 / $(getconf CLK_TCK || echo 100)))
    _exp_page=$(getconf PAGESIZE || echo 4096)
    read -r before _ </proc/uptime
    [ -z "$_exp_pool" ] || _exp_used
    last=$_exp_cpu
    while _exp_pause; do
        _exp_used
        read -r now _ </proc/uptime
        time=${EPOCHREALTIME:-$(date +%s)}
        [ -z "$_exp_smi" ] || _exp_look_at_gpus
        used=$((_exp_cpu - last)) # less than 0 if processes have ended that none of the others waited for
        used=$(((used > 0 ? used : 0) / ((10#${now/./} - 10#${before/./}) * 10 + 1)))
        printf '{"time":%s,"node":"%s","cpu":%d.%03d,"memory":%d%s}\\n' "${time/,/.}" \\
            "${_exp_node//[!A-Za-z0-9._-]/}" $((used / 1000)) $((used % 1000)) "$_exp_memory" "$_exp_gpus"
        before=$now last=$_exp_cpu
    done
}
_exp_measure_elsewhere() { # the same on the other nodes of the job, in a step of its own
    local nodes=$((${SLURM_JOB_NUM_NODES:-1} - 1)) srun
    # Steps share what other steps have, without asking these for it, since 22.05.
    [ -z "$_exp_shares" ] && [ "$nodes" -gt 0 ] && srun=$(type -P srun) || return
    [[ $("$srun" --version) =~ [[:space:]]([0-9]+)[.]([0-9]+) ]] || return
    [ $((10#${BASH_REMATCH[1]} * 100 + 10#${BASH_REMATCH[2]})) -ge 2205 ] || return
    _exp_pause || return # a short task has no such step
    exec "$srun" --overlap --relative=1 --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 \\
        --cpus-per-task=1 --mem=0 --export=PATH --input=none --quiet --job-name=exp-samples /bin/bash -c "
            $(declare -f _exp_pids _exp_used _exp_look_at_gpus _exp_pause _exp_measure)
            $(declare -p _exp_mark _exp_interval)
            _exp_script='' _exp_shares=''
            _exp_measure"
}
_exp_keep() { # append lines to the file of samples, which the first of them creates
    local line
    while IFS= read -r line; do
        (set -C && true >"$_exp_samples")
        [ ! -f "$_exp_samples" ] || [ -h "$_exp_samples" ] || printf '%s\\n' "$line" >>"$_exp_samples"
    done
}
"""

# With job control it is a process group of its own, which ends as a whole; as no job of the shell, bash
# prints nothing about its end.
_START: Final = """\
_exp_interval={interval} _exp_shares={shares} _exp_script=$$ _exp_samples=$_exp_attempt/{samples}
_exp_ending=KILL
[ "${{SLURM_JOB_NUM_NODES:-1}}" -eq 1 ] || _exp_ending=TERM # by which srun ends its step
{{ {{ _exp_measure_elsewhere & _exp_measure; }} | _exp_keep; }} </dev/null >/dev/null 2>&1 9>&- &
_exp_sampler=$!
disown "$_exp_sampler"
"""
END: Final = """\
kill -s "$_exp_ending" -- "-$_exp_sampler" 2>/dev/null
"""


def start(interval: float, *, shares_job: bool) -> str:
    """The text that starts it, after the task.

    Args:
        interval: seconds between two lines, and before the first one.
        shares_job: whether the job runs other members of a group, too, so that its control group and its GPUs
            are not those of this task.
    """
    shares = shlex.quote("yes" if shares_job else "")
    return FUNCTIONS + _START.format(interval=max(1, round(interval)), shares=shares, samples=SAMPLES)
