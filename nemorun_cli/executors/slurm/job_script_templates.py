"""Shell templates of job scripts; `job_script` fills them in."""

from __future__ import annotations

from typing import Final

SHEBANG: Final = "#!/bin/bash"

# A job begins with the PATH of sbatch, which is its caller's. Login files get the one below.
LOGIN: Final = """\
if [ -z "${{_exp_login-}}" ]; then
    _exp_login=1 PATH={path} exec /bin/bash -l "$0"
fi
unset _exp_login
"""
NO_LOGIN: Final = "PATH={path}\n"

# Every name begins with _exp_, because the task's own variables are set in the same shell.
BODY_TEXT: Final = """\
# One job of exp: it runs one member of a submission under the experiment's shim.
_exp_folder={folder}
_exp_news={news}
_exp_index={index}
_exp_secrets=() _exp_defaults=() _exp_task='' _exp_running='' _exp_has_secrets='' _exp_error=''
# shellcheck disable=SC1090 # the members' files are next to this script
. "$_exp_folder/$_exp_index" || exit
umask 077
if [ ! -f "$_exp_attempt/claim" ] || [ -h "$_exp_attempt/claim" ]; then
    # An earlier attempt in a container may have made this folder: no link may lead to a file outside of it.
    for _exp_file in "$_exp_attempt"/*; do
        if [ -h "$_exp_file" ] || {{ [ ! -f "$_exp_file" ] && [ ! -d "$_exp_file" ]; }}; then
            rm -f -- "$_exp_file"
        fi
    done
else
    _exp_has_secrets='' # what the task wrote is not what its job was given
fi
ln -f -- "$_exp_folder/{output}${{SLURM_ARRAY_TASK_ID+-$SLURM_ARRAY_TASK_ID}}" \
    "$_exp_attempt/backend-output" 2>/dev/null
{gate}{led}exec >>"$_exp_attempt/log" 2>&1 </dev/null
[ -z "$_exp_error" ] || exec 2>>"$_exp_attempt/$_exp_error"
if [ -n "$_exp_has_secrets" ] && [ -e "$_exp_attempt/secrets" ]; then
    # shellcheck disable=SC1091
    . "$_exp_attempt/secrets"
    rm -f -- "$_exp_attempt/secrets"
fi

_exp_record() {{
    # Never overwrite the shim's record: of several jobs for one attempt, one runs it and the others exit.
    [ -e "$_exp_attempt/claim" ] || [ -e "$_exp_attempt/exit.json" ] ||
        printf '%s\\n' "$1" >"$_exp_attempt/exit.json"
}}
_exp_leave() {{
    local code=$?
    [ -n "$_exp_task" ] ||
        _exp_record "{{\\"exit_code\\":null,\\"launch\\":\\"setup_lines ended its job with code $code\\"}}"
    [ -z "$_exp_running" ] || rm -f -- "$_exp_running"
{led_end}    echo "$_exp_index" >>"$_exp_news"
}}
trap _exp_leave EXIT
_exp_export() {{
    local pair
    for pair; do export "${{pair?}}"; done
}}
_exp_unexport() {{
    # Otherwise each program that this script calls gets them, and none can be called if they are too big.
    local pair
    for pair; do export -n "${{pair%%=*}}"; done
}}
_exp_export "${{_exp_environment[@]}}" 2>/dev/null
umask "$_exp_mask"
cd -- "$_exp_workdir" 2>/dev/null || true # the shim reports it

# setup_lines
{setup}

set +eu +o pipefail # options of setup_lines are not meant for the lines below
umask 077
for _exp_pair in "${{_exp_defaults[@]}}"; do
    _exp_name=${{_exp_pair%%=*}}
    [ -n "${{!_exp_name+set}}" ] || export "${{_exp_pair?}}"
done
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
    # The processes with the attempt's marker in their environment. grep itself has none, and there is no
    # pipe, whose other side would have it.
    local path
    for path in $(/usr/bin/env -i grep -lzFx -e "$_exp_mark" /proc/[0-9]*/environ 2>/dev/null); do
        path=${{path#/proc/}}
        echo "${{path%/environ}}"
    done
}}
_exp_forward() {{
    # To the task's process group, and to those of its processes that have left the group.
    local pid stat
    kill -s "$1" -- "-$_exp_task" 2>/dev/null
    for pid in $(_exp_pids); do
        read -r stat 2>/dev/null <"/proc/$pid/stat"
        read -r _ _ stat _ <<<"${{stat##*) }}"
        [ "$stat" = "$_exp_task" ] || kill -s "$1" "$pid" 2>/dev/null
    done
}}
_exp_note() {{ # NAME: create a file of the attempt; a task in a container may have put a link in its place
    (set -C && true >"$_exp_attempt/$1") 2>/dev/null
}}
_exp_pass_on() {{
    _exp_note {signalled}
    _exp_forward "$1"
}}

# Slurm signals only this script, which outlives the task and forwards each signal. With job control the
# task has its own process group, in which INT and QUIT are not ignored.
for _exp_signal in HUP INT QUIT TERM USR1 USR2 ALRM; do
    # shellcheck disable=SC2064 # the present value is intended
    trap "_exp_pass_on $_exp_signal" "$_exp_signal"
done
trap '_exp_forward KILL' {kill}
set -m
# While this file exists, processes of the task may still run although there is an exit record.
if (set -C && true >"$_exp_attempt/{running}") 2>/dev/null; then _exp_running=$_exp_attempt/{running}; fi
echo "$_exp_index" >>"$_exp_news"
_exp_unexport "${{_exp_environment[@]}}" 2>/dev/null
/usr/bin/env -- "${{_exp_environment[@]}}" /bin/sh "${{_exp_command[@]}}" 9>&- &
_exp_task=$!
{sample_start}{led_start}{forward}while kill -0 "$_exp_task" 2>/dev/null; do wait "$_exp_task"; done
wait "$_exp_task"
_exp_code=$?
{sample_end}_exp_unexport "${{_exp_secrets[@]}}" 2>/dev/null
# Its shim claims the attempt first of all.
[ "$_exp_code" -ne 126 ] || _exp_record "$_exp_unstarted"

# Terminate the task's remaining processes before the job ends.
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

# For a job that was queued before its task was ready. A dependency that Slurm considers met is not enough:
# the records of its parents have to confirm it. Otherwise the job declines, and the scheduler decides.
GATE: Final = """\
_exp_end_of() {{ # DIRECTORY: print how an attempt ended, according to its files
    # success, failure, killed (a failure or a cancel), unconfirmed (a success or a cancel), none, unclear
    local record='' looks=0
    until {{ [ -f "$1/exit.json" ] && read -r record 2>/dev/null <"$1/exit.json"; }} ||
        [ ! -e "$1/claim" ] || [ "$looks" -ge 20 ]; do
        looks=$((looks + 1)) # a record from another node may take a moment to appear
        sleep 0.25
    done
    if [ -z "$record" ]; then
        if [ -e "$1/claim" ]; then echo killed
        elif [ -e "$1/{declined}" ] || [ -e "$1/{declined_before}" ]; then echo unclear
        else echo none; fi
    elif [ "$record" = '{{"exit_code":0}}' ]; then
        if [ -e "$1/{signalled}" ]; then echo unconfirmed; else echo success; fi
    elif [ -e "$1/{signalled}" ]; then echo killed
    else echo failure; fi
}}
_exp_has_plain_outputs() {{ # DIRECTORY, plain or secret: whether the outputs are certainly valid
    [ -e "$1/outputs" ] || return 0
    [ -f "$1/outputs" ] || return 1
    [ -s "$1/outputs" ] || return 0
    [ "$2" = plain ] && [ "$(wc -c <"$1/outputs")" -lt 1000000 ] || return 1
    local value='=[ -~]*|:=(-?(0|[1-9][0-9]*)([.][0-9]+)?|true|false|null)'
    ! LC_ALL=C grep -qvxE "([A-Za-z_][A-Za-z0-9_.-]*($value))?" "$1/outputs"
}}
_exp_is_skipped() {{ # DIRECTORY: whether its parents' ends make it certain that it never runs
    local need folder end all=''
    [ -e "$1/{behind}" ] || return 1
    while IFS= read -r -d '' need && IFS= read -r -d '' _ && IFS= read -r -d '' folder; do
        end=$(_exp_end_of "$folder")
        case $need,$end in
        success,failure | success,killed) return 0 ;;
        success,none | no_cancel,none) if _exp_is_skipped "$folder"; then return 0; fi ;;
        failure,success) [ -n "$all" ] || all=yes ;;
        esac
        [ "$need,$end" = failure,success ] || all=no
    done <"$1/{behind}"
    [ "$all" = yes ]
}}
_exp_may_run() {{ # NEED, plain or secret, DIRECTORY; the same for each further parent
    local end need wanted='' found=''
    while [ "$#" -gt 0 ]; do
        need=$1
        end=$(_exp_end_of "$3")
        case $need,$end in
        *,unclear) return 1 ;;
        success,success) _exp_has_plain_outputs "$3" "$2" || return 1 ;;
        no_cancel,success | no_cancel,failure) ;;
        end,none) _exp_is_skipped "$3" || return 1 ;;
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
    true >"$_exp_attempt/{declined}"
    echo "$_exp_index" >>"$_exp_news"
    exit 1
fi
"""

# The job of a co-scheduled group: each member is a separate step, supervised by its own shell.
STEPS: Final = """\
# One job of exp: it runs the members of a co-scheduled group, each under the experiment's shim.
_exp_members=()
_exp_pass_on() {{ kill -s "$1" "${{_exp_members[@]}}" 2>/dev/null; }}
{led}for _exp_one in {members}; do
    /bin/bash {body} "$_exp_one" </dev/null >/dev/null 2>&1 &
    _exp_members+=("$!")
done
trap '_exp_pass_on {kill}' {kill}
trap '_exp_pass_on {notice}' {notice}
_exp_code=0
for _exp_one in "${{_exp_members[@]}}"; do
    while kill -0 "$_exp_one" 2>/dev/null; do wait "$_exp_one"; done
    wait "$_exp_one" || _exp_code=$?
done
exit "$_exp_code"
"""

FORWARD: Final = """\
# Slurm announces the time limit: forward the configured signal to the task.
trap '_exp_note {marker}; _exp_forward {signal}' {notice}
"""

# The hosts of the members in this job: variables of the task, with the values that only the job knows.
MEMBER_HOSTS: Final = """\
_exp_expand() {{ # ITEM: add the hosts of one item of a list of nodes, such as gpu[03-05,9]-ib, to _exp_hosts
    local range number first text lead tail IFS=,
    if [[ $1 =~ ^([^[]*)\\[([^]]*)\\](.*)$ ]]; then
        lead=${{BASH_REMATCH[1]}} tail=${{BASH_REMATCH[3]}}
        for range in ${{BASH_REMATCH[2]}}; do
            first=${{range%-*}}
            for ((number = 10#$first; number <= 10#${{range#*-}}; number++)); do
                printf -v text "%0${{#first}}d" "$number"
                _exp_expand "$lead$text$tail"
            done
        done
    else
        _exp_hosts+=("$1")
    fi
}}
_exp_hosts_of() {{ # DIRECTORY: print the hosts of an attempt that runs in another job
    local hosts=''
    [ -e "$1/{running}" ] && [ -f "$1/{hosts}" ] && [ ! -h "$1/{hosts}" ] || return 0
    read -r hosts 2>/dev/null <"$1/{hosts}"
    [[ ! $hosts =~ ^[A-Za-z0-9_.,-]+$ ]] || printf '%s\\n' "$hosts"
}}
_exp_meet() {{ # OWN MEMBER VARIABLE LIST-OR-DIRECTORY FIRST LENGTH; the last five for each further member
    local own=$1 json='' pairs=() rest host text number
    shift
    while [ "$#" -gt 0 ]; do
        case $3 in
        /*) rest=$(_exp_hosts_of "$3") ;;
        *) rest=${{!3-}} ;;
        esac
        _exp_hosts=() text=''
        while [[ $rest =~ ^(([^][,]|\\[[^]]*\\])+),?(.*)$ ]]; do
            rest=${{BASH_REMATCH[3]}}
            _exp_expand "${{BASH_REMATCH[1]}}"
        done
        [ -z "$4" ] || _exp_hosts=("${{_exp_hosts[@]:$4:$5}}")
        number=${{#_exp_hosts[@]}}
        if [ -z "$rest" ] && [ "$number" -gt 0 ] && [ "$number" -eq "${{5:-$number}}" ]; then
            for host in "${{_exp_hosts[@]}}"; do text+=${{text:+, }}\\"$host\\"; done
            json+=${{json:+, }}\\"$1\\":\\ [$text]
            pairs+=("$2=${{_exp_hosts[0]}}")
            if [ "$1" = "$own" ]; then # for attempts in other jobs, as that of a retry
                (IFS=, && set -C && echo "${{_exp_hosts[*]}}" >"$_exp_attempt/{hosts}") 2>/dev/null
            fi
        fi
        shift 5
    done
    if [ -n "$json" ] && [ "${{#json}}" -lt {longest} ]; then
        _exp_environment+=("{variable}={{$json}}" "${{pairs[@]}}")
    fi
}}
_exp_meet {peers}
unset -f _exp_expand _exp_hosts_of _exp_meet
"""

# For the members of a co-scheduled group that ends with its leader. The member whose end is the end of the
# group signals the script of the job, which signals the others: they stop also without a supervisor.
LED_JOB: Final = """\
trap '_exp_pass_on {end}' {end}
"""

LED: Final = """\
_exp_scancel=$(type -P scancel) # with the PATH of the job, and not that of the task
_exp_stopped='' _exp_killer=''
_exp_stop_step() {{ # SIGNAL: send it to the step that runs the task, or else to the processes here
    local step=''
    if [ -f "$_exp_attempt/{step}" ] && [ ! -h "$_exp_attempt/{step}" ]; then
        read -r step 2>/dev/null <"$_exp_attempt/{step}"
    fi
    case $step in
    *[!0-9.]* | '') ;;
    *) "$_exp_scancel" --quiet "--signal=$1" "$step" 2>/dev/null && return ;;
    esac
    _exp_forward "$1"
}}
_exp_stop_member() {{
    [ -z "$_exp_stopped" ] || return
    _exp_stopped=yes
    (set -C && echo job >"$_exp_attempt/{stopped}") 2>/dev/null
    _exp_stop_step "$_exp_stop"
    (
        sleep "$((_exp_patience / 10)).$((_exp_patience % 10))"
        _exp_stop_step KILL
        sleep 5
        kill -s {kill} "$$"
    ) &
    _exp_killer=$!
}}
_exp_end_group() {{ # if this end is the end of the group
    local record='' end=failure
    [ -z "$_exp_stopped" ] || return
    if [ -f "$_exp_attempt/exit.json" ] && read -r record 2>/dev/null <"$_exp_attempt/exit.json" &&
        [ "$record" = '{{"exit_code":0}}' ] && [ ! -e "$_exp_attempt/{signalled}" ]; then
        end=success
    fi
    case " $_exp_ends " in
    *" $end "*)
        true >>"$_exp_folder/{ended}" # for a member that has not begun
        trap '' {end}
        kill -s {end} "$PPID"
        ;;
    esac
}}
"""

LED_START: Final = """\
trap _exp_stop_member {end}
[ ! -e "$_exp_folder/{ended}" ] || _exp_stop_member
"""

LED_END: Final = """\
    _exp_end_group
    [ -z "$_exp_killer" ] || kill -s KILL -- "-$_exp_killer" 2>/dev/null
"""
