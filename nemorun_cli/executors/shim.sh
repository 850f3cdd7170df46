#!/bin/sh
# Runs one attempt at a task and records its result, on any host. POSIX sh; needs no other program
# unless a timeout is set (env, sleep), the program has to be found on PATH (env), the disk is full (sleep), or a
# file that it writes exists already (rm).
#
#   shim ATTEMPT WORKDIR UMASK TIMEOUT SIGNAL GRACE PROGRAM [ARGUMENT ...]
#
# ATTEMPT  the attempt's folder; `claim`, `exit.json` and `timed-out` are written there
# TIMEOUT  seconds, or 0 for none; after it SIGNAL (a name without SIG) is sent, and KILL after GRACE seconds
#
# It exits with the task's exit code; with 0 if another shim has claimed the attempt, with 126 if none could; and
# with 124 if the task exceeded its timeout and that could not be recorded.
#
# Files of the attempt may have been removed or replaced: no FIFO may make the shim wait, and a record that has
# no place any more is given up. srun may have run the task in a container: outside of it, no link is followed.
#
# Descriptors 9 and 8, if open, are locks that are held as long as the task lives: its own, and that of its
# slots. Only the watchdog closes them.
#
# The shim's variables begin with EXP_, which no variable of a task may: assigning to a variable of the task
# would change the environment that the task sees.
umask 077
set -C # a file is created, so that no link is followed

is_writable() { # PATH: whether it is a file or can become one; opening anything else could wait without an end
    [ ! -h "$1" ] && { [ ! -e "$1" ] || [ -f "$1" ]; }
}
make_room() { # PATH: remove a file that is to be written
    [ ! -e "$1" ] || { rm -f -- "$1" || command -v rm || set +C; } >/dev/null 2>&1
}

if [ "$1" != --watchdog ]; then
    EXP_SHIM_ATTEMPT=$1 EXP_SHIM_WORKDIR=$2 EXP_SHIM_MASK=$3 EXP_SHIM_TIMEOUT=$4 EXP_SHIM_SIGNAL=$5 EXP_SHIM_GRACE=$6
    shift 6

    # Creating the claim is exclusive: of several shims for one attempt exactly one continues, also if the disk is
    # too full for its pid. System calls here delay each task: with `set -C`, `>>` takes two less than `>`.
    {
        if [ -e "$EXP_SHIM_ATTEMPT/claim" ]; then
            is_writable "$EXP_SHIM_ATTEMPT/claim" || exit 126
            exit 0
        fi
        { echo "$$" || true; } >"$EXP_SHIM_ATTEMPT/claim" || {
            [ -e "$EXP_SHIM_ATTEMPT/claim" ] || exit 126
            exit 0
        }
    } 2>>/dev/null

    record() { # TEXT: write the exit record; fails if there is no place for it any more
        # A full disk must not lose an exit code: retry until it is written, or its folder is missing for a second, or
        # a cancel asks for the exit status instead.
        EXP_SHIM_MISSES=0
        while is_writable "$EXP_SHIM_ATTEMPT/exit.json"; do
            make_room "$EXP_SHIM_ATTEMPT/exit.json"
            ! printf '%s\n' "$1" >"$EXP_SHIM_ATTEMPT/exit.json" || return 0
            trap 'exit "${EXP_SHIM_CODE:-1}"' TERM
            if [ -d "$EXP_SHIM_ATTEMPT" ]; then EXP_SHIM_MISSES=0; else EXP_SHIM_MISSES=$((EXP_SHIM_MISSES + 1)); fi
            [ "$EXP_SHIM_MISSES" -lt 2 ] || break
            sleep 1
        done 2>>/dev/null
        return 1
    }

    if ! cd -- "$EXP_SHIM_WORKDIR"; then
        record '{"exit_code":null,"launch":"workdir"}'
        exit 1
    fi

    # Started before the handlers are set: a child that still has them could miss the signal that ends it.
    EXP_SHIM_WATCHDOG=
    if [ "$EXP_SHIM_TIMEOUT" != 0 ]; then
        env -i PATH="$PATH" EXP_WATCHDOG="$EXP_SHIM_ATTEMPT" /bin/sh "$0" --watchdog \
            "$EXP_SHIM_ATTEMPT" "$EXP_SHIM_TIMEOUT" "$EXP_SHIM_SIGNAL" "$EXP_SHIM_GRACE" "$$" 9>&- 8>&- &
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

    EXP_SHIM_LATE=

    if [ -n "$EXP_SHIM_WATCHDOG" ]; then
        # End the watchdog with signals that it does not ignore while it signals the whole group. One is not
        # enough: a shell cannot trap a signal that was ignored when it started, as nohup ignores HUP.
        for EXP_SHIM_DISMISSAL in HUP USR1 TERM; do
            [ "$EXP_SHIM_SIGNAL" = "$EXP_SHIM_DISMISSAL" ] ||
                kill -s "$EXP_SHIM_DISMISSAL" "$EXP_SHIM_WATCHDOG" 2>/dev/null
        done
        wait "$EXP_SHIM_WATCHDOG" 2>/dev/null
        [ $? != 124 ] || EXP_SHIM_LATE=yes
    fi
    # The shim records the task's resource usage where it cannot be determined afterwards: in a Slurm job (usage of
    # the whole job), in a container (the usage file is not empty), and after an adoption (the usage file is empty).
    if [ -n "${SLURM_JOB_ID-}" ] || [ -e "$EXP_SHIM_ATTEMPT/usage" ]; then
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
        if is_writable "$EXP_SHIM_ATTEMPT/usage"; then
            make_room "$EXP_SHIM_ATTEMPT/usage"
            {
                [ ! -r "$EXP_SHIM_PEAK" ] || { read -r EXP_SHIM_PEAK <"$EXP_SHIM_PEAK" && echo "memory $EXP_SHIM_PEAK"; }
                [ "${1##*/}" = srun ] || times # srun runs the task in other processes, which `times` does not count
            } 2>/dev/null >"$EXP_SHIM_ATTEMPT/usage"
        fi
    fi

    if [ -n "$EXP_SHIM_LATE" ] || [ -f "$EXP_SHIM_ATTEMPT/timed-out" ]; then
        record "{\"exit_code\":$EXP_SHIM_CODE,\"timeout\":true}" || EXP_SHIM_CODE=124
    else
        record "{\"exit_code\":$EXP_SHIM_CODE}"
    fi
    exit "$EXP_SHIM_CODE"
fi

# The rest is the watchdog, last because shells do not parse what follows an exit.
# It has its own environment, so that it is not mistaken for a process of the task.
EXP_SHIM_ATTEMPT=$2 EXP_SHIM_TIMEOUT=$3 EXP_SHIM_SIGNAL=$4 EXP_SHIM_GRACE=$5 EXP_SHIM_PID=$6
EXP_SHIM_CODE=0 # 124 once the timeout is exceeded: the disk may be too full for the file that tells it
trap 'kill -s KILL "$!" 2>/dev/null; exit "$EXP_SHIM_CODE"' HUP TERM USR1

pause() {
    sleep "$1" &
    wait "$!"
}
look_up() { # PID: set EXP_SHIM_GROUP to the process group of a process; empty if it is a zombie or unknown
    EXP_SHIM_GROUP=
    read -r EXP_SHIM_STAT <"/proc/$1/stat" || return 0
    EXP_SHIM_STAT=${EXP_SHIM_STAT##*) } # state, parent, group
    case $EXP_SHIM_STAT in Z*) return 0 ;; esac
    EXP_SHIM_STAT=${EXP_SHIM_STAT#* * }
    EXP_SHIM_GROUP=${EXP_SHIM_STAT%% *}
} 2>/dev/null
is_needed() { # whether the shim lives; without it, whether another process of the group does
    look_up "$$"
    EXP_SHIM_OWN=$EXP_SHIM_GROUP
    [ -n "$EXP_SHIM_OWN" ] || return 0 # without /proc this cannot be determined
    look_up "$EXP_SHIM_PID"
    [ "$EXP_SHIM_GROUP" != "$EXP_SHIM_OWN" ] || return 0
    for EXP_SHIM_OTHER in /proc/[0-9]*; do
        [ "$EXP_SHIM_OTHER" != "/proc/$$" ] || continue
        look_up "${EXP_SHIM_OTHER#/proc/}"
        [ "$EXP_SHIM_GROUP" != "$EXP_SHIM_OWN" ] || return 0
    done
    return 1
}

# In steps, because nothing tells it that the shim was killed together with the task.
EXP_SHIM_LEFT=${EXP_SHIM_TIMEOUT%.*}
[ "$EXP_SHIM_LEFT" = "$EXP_SHIM_TIMEOUT" ] || pause "0.${EXP_SHIM_TIMEOUT#*.}"
while [ "$EXP_SHIM_LEFT" -gt 0 ] && is_needed; do
    EXP_SHIM_STEP=$EXP_SHIM_LEFT
    [ "$EXP_SHIM_STEP" -le 5 ] || EXP_SHIM_STEP=5
    pause "$EXP_SHIM_STEP"
    EXP_SHIM_LEFT=$((EXP_SHIM_LEFT - EXP_SHIM_STEP))
done
is_needed || exit 0
EXP_SHIM_CODE=124
is_writable "$EXP_SHIM_ATTEMPT/timed-out" && { true >"$EXP_SHIM_ATTEMPT/timed-out"; } 2>/dev/null
if [ "$EXP_SHIM_SIGNAL" != KILL ]; then
    trap '' "$EXP_SHIM_SIGNAL"
    kill -s "$EXP_SHIM_SIGNAL" 0
    pause "$EXP_SHIM_GRACE"
    is_needed || exit 0
fi
# KILL also terminates this process, so the record must be written first.
is_writable "$EXP_SHIM_ATTEMPT/exit.json" && make_room "$EXP_SHIM_ATTEMPT/exit.json" &&
    { printf '{"exit_code":null,"signal":"KILL","timeout":true}\n' >"$EXP_SHIM_ATTEMPT/exit.json"; } 2>/dev/null
kill -s KILL 0
