"""The shell of jobs: what their scripts do, as texts that are filled in elsewhere."""

from __future__ import annotations

from typing import Final

# Every name begins with _exp_: the task's own variables are set in the same shell.
BODY_TEXT: Final = """\
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
    # Who carries the attempt's mark, looked for by nobody who carries it: no pipe, whose other end would.
    local path
    for path in $(/usr/bin/env -i grep -lzFx -e "$_exp_mark" /proc/[0-9]*/environ 2>/dev/null); do
        path=${{path#/proc/}}
        echo "${{path%/environ}}"
    done
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
GATE: Final = """\
_exp_end_of() {{ # DIRECTORY: how an attempt ended, as far as its files tell
    # success, failure, killed (a failure or a cancel), unconfirmed (a success or a cancel), none, unclear
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
        if [ -e "$1/{signalled}" ]; then echo unconfirmed; else echo success; fi
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
_exp_is_skipped() {{ # DIRECTORY: whether what never ran there never can, by whom it waited for
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
_exp_may_run() {{ # NEED, plain or secret, DIRECTORY, and so on
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
    true >"$_exp_attempt/{stood_back}"
    echo "$_exp_index" >>"$_exp_news"
    exit 1
fi
"""

# The job of members that start together: each is a step of its own, looked after by a shell of its own.
STEPS: Final = """\
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

FORWARD: Final = """\
# Slurm tells that the time is nearly over: the task gets the signal that is meant for it.
trap 'true >"$_exp_attempt/{marker}"; _exp_forward {signal}' {notice}
"""
