#!/bin/sh
# Runs one attempt at a task and writes down how it ended, wherever that is: POSIX sh, no other program
# is needed unless a timeout is set (env, sleep) or the program is to be found on PATH (env).
#
#   shim ATTEMPT WORKDIR UMASK TIMEOUT SIGNAL GRACE PROGRAM [ARGUMENT ...]
#
# ATTEMPT  the attempt's own folder; `claim`, `exit.json` and `timed-out` are written there
# TIMEOUT  seconds, or 0 for none; SIGNAL (a name without SIG) is then sent, and KILL after GRACE seconds
#
# Descriptor 9, if it is open, is a lock that lives as long as the task; only the watchdog lets go of it.
umask 077

if [ "$1" = --watchdog ]; then
    # In an environment of its own, so that nobody takes it for a part of the task.
    attempt=$2 timeout=$3 signal=$4 grace=$5
    trap 'kill -s KILL "$!" 2>/dev/null; exit 0' HUP TERM USR1
    sleep "$timeout" &
    wait "$!"
    true >"$attempt/timed-out"
    if [ "$signal" != KILL ]; then
        trap '' "$signal"
        kill -s "$signal" 0
        sleep "$grace" &
        wait "$!"
    fi
    # KILL takes this whole process group, so the record has to come first.
    printf '{"exit_code":null,"signal":"KILL","timeout":true}\n' >"$attempt/exit.json"
    kill -s KILL 0
fi

attempt=$1 workdir=$2 mask=$3 timeout=$4 signal=$5 grace=$6
shift 6

# Creating the claim is exclusive: of several shims for one attempt exactly one goes on.
set -C
{ true >"$attempt/claim"; } 2>/dev/null || exit 0
echo "$$" >>"$attempt/claim" 2>/dev/null

record() {
    # A full disk must not lose an exit code: try until it is written.
    until printf '%s\n' "$1" >|"$attempt/exit.json"; do sleep 1; done 2>/dev/null
}

if ! cd -- "$workdir"; then
    record '{"exit_code":null,"launch":"workdir"}'
    exit 1
fi

# Before there are handlers: a child that still has them could miss being dismissed.
watchdog=
if [ "$timeout" != 0 ]; then
    env -i PATH="$PATH" EXP_WATCHDOG="$attempt" /bin/sh "$0" --watchdog "$attempt" "$timeout" "$signal" "$grace" 9>&- &
    watchdog=$!
fi

# Handlers, not ignored signals: the task starts with the default ones, and this shell outlives it.
trap true HUP INT QUIT TERM USR1 USR2

umask "$mask"
# A name without a slash could be taken for a command of this very shell.
case $1 in
*/*) "$@" ;;
*) env -- "$@" ;;
esac
code=$?
umask 077

if [ -n "$watchdog" ]; then
    # By a signal that it does not ignore while it sends its own to the whole group.
    dismissal=HUP
    [ "$signal" != HUP ] || dismissal=USR1
    kill -s "$dismissal" "$watchdog" 2>/dev/null
    wait "$watchdog" 2>/dev/null
fi
if [ -e "$attempt/timed-out" ]; then
    record "{\"exit_code\":$code,\"timeout\":true}"
else
    record "{\"exit_code\":$code}"
fi
exit "$code"
