#!/bin/sh
# Runs one attempt at a task and records its result, on any host. POSIX sh; needs no other program
# unless a timeout is set (env, sleep) or the program has to be found on PATH (env).
#
#   shim ATTEMPT WORKDIR UMASK TIMEOUT SIGNAL GRACE PROGRAM [ARGUMENT ...]
#
# ATTEMPT  the attempt's folder; `claim`, `exit.json` and `timed-out` are written there
# TIMEOUT  seconds, or 0 for none; after it SIGNAL (a name without SIG) is sent, and KILL after GRACE seconds
#
# Descriptors 9 and 8, if open, are locks that are held as long as the task lives: its own, and that of its
# slots. Only the watchdog closes them.
#
# The shim's variables begin with EXP_, which no variable of a task may: assigning to a variable of the task
# would change the environment that the task sees.
umask 077

if [ "$1" = --watchdog ]; then
    # It has its own environment, so that it is not mistaken for a process of the task.
    EXP_SHIM_ATTEMPT=$2 EXP_SHIM_TIMEOUT=$3 EXP_SHIM_SIGNAL=$4 EXP_SHIM_GRACE=$5
    trap 'kill -s KILL "$!" 2>/dev/null; exit 0' HUP TERM USR1
    sleep "$EXP_SHIM_TIMEOUT" &
    wait "$!"
    true >"$EXP_SHIM_ATTEMPT/timed-out"
    if [ "$EXP_SHIM_SIGNAL" != KILL ]; then
        trap '' "$EXP_SHIM_SIGNAL"
        kill -s "$EXP_SHIM_SIGNAL" 0
        sleep "$EXP_SHIM_GRACE" &
        wait "$!"
    fi
    # KILL also terminates this process, so the record must be written first.
    printf '{"exit_code":null,"signal":"KILL","timeout":true}\n' >"$EXP_SHIM_ATTEMPT/exit.json"
    kill -s KILL 0
fi

EXP_SHIM_ATTEMPT=$1 EXP_SHIM_WORKDIR=$2 EXP_SHIM_MASK=$3 EXP_SHIM_TIMEOUT=$4 EXP_SHIM_SIGNAL=$5 EXP_SHIM_GRACE=$6
shift 6

# Creating the claim is exclusive: of several shims for one attempt exactly one continues.
set -C
{ true >"$EXP_SHIM_ATTEMPT/claim"; } 2>/dev/null || exit 0
echo "$$" >>"$EXP_SHIM_ATTEMPT/claim" 2>/dev/null

record() {
    # A full disk must not lose an exit code: retry until it is written, or a cancel asks for the exit status instead.
    until printf '%s\n' "$1" >|"$EXP_SHIM_ATTEMPT/exit.json"; do
        trap 'exit "${EXP_SHIM_CODE:-1}"' TERM
        sleep 1
    done 2>/dev/null
}

if ! cd -- "$EXP_SHIM_WORKDIR"; then
    record '{"exit_code":null,"launch":"workdir"}'
    exit 1
fi

# Started before the handlers are set: a child that still has them could miss the signal that ends it.
EXP_SHIM_WATCHDOG=
if [ "$EXP_SHIM_TIMEOUT" != 0 ]; then
    env -i PATH="$PATH" EXP_WATCHDOG="$EXP_SHIM_ATTEMPT" /bin/sh "$0" --watchdog \
        "$EXP_SHIM_ATTEMPT" "$EXP_SHIM_TIMEOUT" "$EXP_SHIM_SIGNAL" "$EXP_SHIM_GRACE" 9>&- 8>&- &
    EXP_SHIM_WATCHDOG=$!
fi

# Handlers, not ignored signals: the task starts with default handlers, and this shell outlives it.
trap true HUP INT QUIT TERM USR1 USR2

umask "$EXP_SHIM_MASK"
# A name without a slash could be mistaken for a builtin or function of this shell.
case $1 in
*/*) "$@" ;;
*) env -- "$@" ;;
esac
EXP_SHIM_CODE=$?
umask 077

if [ -n "$EXP_SHIM_WATCHDOG" ]; then
    # End the watchdog with signals that it does not ignore while it signals the whole group. One is not
    # enough: a shell cannot trap a signal that was ignored when it started, as nohup ignores HUP.
    for EXP_SHIM_DISMISSAL in HUP USR1 TERM; do
        [ "$EXP_SHIM_SIGNAL" = "$EXP_SHIM_DISMISSAL" ] ||
            kill -s "$EXP_SHIM_DISMISSAL" "$EXP_SHIM_WATCHDOG" 2>/dev/null
    done
    wait "$EXP_SHIM_WATCHDOG" 2>/dev/null
fi
# The shim records the task's resource usage where it cannot be determined afterwards: in a Slurm job (usage of
# the whole job), in a container (the usage file is not empty), and after an adoption (the usage file is empty).
EXP_SHIM_PEAK=
if [ -n "${SLURM_JOB_ID-}" ]; then
    while IFS=: read -r EXP_SHIM_KIND EXP_SHIM_KIND EXP_SHIM_GROUP; do
        case $EXP_SHIM_KIND:$EXP_SHIM_GROUP in
        :*/job_[0-9]*) EXP_SHIM_PEAK=/sys/fs/cgroup${EXP_SHIM_GROUP%%/step_*}/memory.peak ;;
        memory:*/job_[0-9]*) EXP_SHIM_PEAK=/sys/fs/cgroup/memory${EXP_SHIM_GROUP%%/step_*}/memory.max_usage_in_bytes ;;
        esac
    done </proc/self/cgroup
elif [ -s "$EXP_SHIM_ATTEMPT/usage" ]; then
    EXP_SHIM_PEAK=/sys/fs/cgroup/memory.peak
    [ -e "$EXP_SHIM_PEAK" ] || EXP_SHIM_PEAK=/sys/fs/cgroup/memory/memory.max_usage_in_bytes
fi
if [ -n "${SLURM_JOB_ID-}" ] || [ -e "$EXP_SHIM_ATTEMPT/usage" ]; then
    {
        [ ! -r "$EXP_SHIM_PEAK" ] || { read -r EXP_SHIM_PEAK <"$EXP_SHIM_PEAK" && echo "memory $EXP_SHIM_PEAK"; }
        [ "${1##*/}" = srun ] || times # srun runs the task in other processes, which `times` does not count
    } 2>/dev/null >|"$EXP_SHIM_ATTEMPT/usage"
fi

if [ -e "$EXP_SHIM_ATTEMPT/timed-out" ]; then
    record "{\"exit_code\":$EXP_SHIM_CODE,\"timeout\":true}"
else
    record "{\"exit_code\":$EXP_SHIM_CODE}"
fi
exit "$EXP_SHIM_CODE"
