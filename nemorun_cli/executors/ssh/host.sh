#!/bin/sh
# Starts, examines and stops attempts at tasks on this host, whose capacity all experiments of this user share.
# POSIX sh on Linux; needs awk, flock, grep, setsid and sleep, and nvidia-smi for tasks that request GPUs.
#
#   host capacity SLOTS LIMITS GPUS             print the capacity of the host and its use
#   host start SLOTS LIMITS ATTEMPT TICKET SIGNAL GRACE WANTED LABEL [VARIABLE ...]
#                                               start an attempt if the host has capacity, and print the result
#   host look <ATTEMPTS                         print the state of each attempt, one per line
#   host stop ATTEMPT SIGNAL GRACE              signal all its processes, and KILL them after GRACE
#   host run | task | examine ...               parts of the above, in processes of their own
#
# SLOTS   begins the path of a folder in which running tasks record what they use; its name continues with the
#         user's number and the host's name, because others may use the same. Each file is locked as long as
#         its task lives
# LIMITS  TASKS:CPUS:BYTES:GPUS that this user's experiments may use; `-` is all that the host has, of tasks as
#         many as CPUs. GPUS is a number, or ids separated by commas
# WANTED  CPUS:BYTES:GPUS that the task requests
# TICKET  a file in the attempt's folder. Only who holds the attempt's lock and removes the ticket starts it;
#         who finds the lock free and no claim removes the ticket, so that the attempt never starts
# GRACE   tenths of a second
#
# Descriptors 9 and 8 are the locks of the attempt and of its slots. The task inherits them, so the kernel knows
# whether it is alive. This program's variables begin with EXP_SSH_ or are local to a part that runs no task.
umask 077

pids_of() { # ATTEMPT: print the processes that have its marker in their environment
    # shellcheck disable=SC2013 # paths of /proc have no spaces
    for path in $(grep -lzFx -e "EXP_OUTPUT=$1/outputs" /proc/[0-9]*/environ 2>/dev/null); do
        path=${path#/proc/}
        echo "${path%/environ}"
    done
}

stop() { # ATTEMPT SIGNAL GRACE: until two looks in a row find no process
    signalled=' ' passed=0 empty=0 pause=1
    while [ "$empty" -lt 2 ]; do
        found=$(pids_of "$1")
        if [ -z "$found" ]; then
            empty=$((empty + 1))
        elif [ "$2" = KILL ] || [ "$passed" -ge "$3" ]; then
            empty=0
            # shellcheck disable=SC2086 # a list of pids
            kill -s KILL $found 2>/dev/null
        else
            empty=0
            for pid in $found; do
                case $signalled in
                *" $pid "*) ;;
                *) kill -s "$2" "$pid" 2>/dev/null && signalled="$signalled$pid " ;;
                esac
            done
        fi
        [ "$passed" -lt 20 ] || pause=5
        [ "$passed" -lt "$3" ] && [ $((passed + pause)) -gt "$3" ] && pause=$(($3 - passed))
        sleep "$((pause / 10)).$((pause % 10))"
        passed=$((passed + pause)) pause=1
    done
}

record() { # ATTEMPT TEXT: write an exit record that the shim did not write
    until [ -e "$1/exit.json" ] || [ ! -d "$1" ]; do
        { printf '%s\n' "$2" >"$1/exit.new" && mv -f "$1/exit.new" "$1/exit.json"; } 2>/dev/null || sleep 1
    done
}

withdraw() { # ATTEMPT, whose lock is held: it never starts with the ticket that it has
    rm -f -- "$1"/ticket-* "$1/secrets"
}

lock_slots() { # set the folder of slots, and lock it
    { mkdir -p -- "$slots" && (true >>"$slots/lock"); } 2>/dev/null || return
    exec 7>>"$slots/lock"
    flock -w 20 7 && is_locked=yes
}

measure() { # LIMITS WITH-GPUS: set what the host has and what tasks use
    IFS=: read -r most cpus memory gpus <<END
$1
END
    [ "$cpus" != - ] || cpus=$(nproc)
    [ "$most" != - ] || most=$(awk -v cpus="$cpus" 'BEGIN { print cpus < 1 ? 1 : int(cpus) }')
    [ "$memory" != - ] || memory=$(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)
    used=
    for file in "$slots"/*.used; do
        [ -e "$file" ] || continue
        if flock -n "$file" true 2>/dev/null; then
            [ -z "$is_locked" ] || rm -f -- "$file" # its task has ended
        else
            used="$used$(cat "$file")
"
        fi
    done
    free=-
    if [ "$2" = 0 ] || [ "$gpus" = 0 ]; then
        gpus=-
    else
        all=$(nvidia-smi --query-gpu=index,uuid --format=csv,noheader 2>/dev/null)
        others=$(nvidia-smi --query-compute-apps=gpu_uuid --format=csv,noheader 2>/dev/null)
        allowed=$gpus
        gpus=$(printf '%s\n' "$all" | awk -F ', *' -v allowed="$allowed" '
            BEGIN { split(allowed, ids, ","); is_list = allowed ~ /,/; for (i in ids) listed[ids[i]] = 1 }
            $1 !~ /^[0-9]+$/ { next }
            is_list && !($1 in listed) && !($2 in listed) { next }
            !is_list && allowed != "-" && count >= allowed + 0 { next }
            { printf "%s%s", count++ ? "," : "", $1 }')
        # Those that this user's tasks have, and those on which processes of anybody run, are not free.
        free=$(printf '%s\n--\n%s\n--\n%s\n' "$used" "$others" "$all" | awk -F ', *' -v gpus="$gpus" '
            BEGIN { split(gpus, ids, ","); for (i in ids) mine[ids[i]] = 1 }
            $0 == "--" { part++; next }
            !part && $0 != "" { split($0, use, " "); split(use[3], ids, ","); for (i in ids) taken[ids[i]] = 1 }
            part == 1 { taken[$1] = 1 }
            part == 2 && ($1 in mine) && !($1 in taken) && !($2 in taken) { printf "%s%s", count++ ? "," : "", $1 }')
    fi
    tasks=$(printf '%s' "$used" | awk 'END { print NR }')
    used_cpus=$(printf '%s' "$used" | awk '{ sum += $1 } END { print sum + 0 }')
    used_memory=$(printf '%s' "$used" | awk '{ sum += $2 } END { printf "%.0f", sum }')
}

print_capacity() {
    read -r boot </proc/sys/kernel/random/boot_id
    # shellcheck disable=SC2086 # the addresses and ports of the connection
    set -- ${SSH_CONNECTION-}
    echo "capacity $most $tasks $cpus $used_cpus $memory $used_memory ${gpus:--} ${free:--} $boot $(date +%s) ${3:--}"
    [ -z "$used" ] || printf '%s' "$used" | sed 's/^/use /'
}

short_of() { # WANTED: print of what there is not enough, separated by commas
    printf '%s\n' "$1" | awk -F : -v most="$most" -v tasks="$tasks" -v cpus="$cpus" -v used_cpus="$used_cpus" \
        -v memory="$memory" -v used_memory="$used_memory" -v free="$free" '{
        n = free == "-" || free == "" ? 0 : split(free, ids, ",")
        if (tasks + 1 > most) kinds = kinds ",slots"
        if ($1 > 0 && used_cpus + $1 > cpus + 0.000001) kinds = kinds ",cpus"
        if ($2 > 0 && used_memory + $2 > memory) kinds = kinds ",memory"
        if ($3 > n) kinds = kinds ",gpus"
        print substr(kinds, 2)
    }'
}

start() { # SLOTS LIMITS ATTEMPT TICKET SIGNAL GRACE WANTED LABEL [VARIABLE ...]
    slots=$1-$(id -u)/$(uname -n) limits=$2 attempt=$3 ticket=$4 signal=$5 grace=$6 wanted=$7 label=$8
    shift 8
    if [ ! -d "$attempt" ] || ! (true >>"$attempt/lock") 2>/dev/null; then
        echo "failed its folder $attempt cannot be written"
        return
    fi
    exec 9>>"$attempt/lock"
    if ! flock -w 10 9; then
        echo held
        return
    fi
    if [ ! -e "$attempt/$ticket" ]; then
        echo withdrawn
        return
    fi
    if ! lock_slots; then
        withdraw "$attempt"
        echo "failed $slots cannot be written"
        return
    fi
    asks=${wanted##*:}
    measure "$limits" "$asks"
    short=$(short_of "$wanted")
    if [ -n "$short" ]; then
        withdraw "$attempt"
        echo "full $short"
        return
    fi
    own=-
    [ "$asks" = 0 ] || own=$(echo "$free" | cut -d , -f "1-$asks")
    number=1
    until (set -C && true >"$slots/$number.used") 2>/dev/null; do
        number=$((number + 1))
        if [ "$number" -gt 100000 ]; then
            withdraw "$attempt"
            echo "failed its slots cannot be recorded in $slots"
            return
        fi
    done
    exec 8>>"$slots/$number.used"
    flock -n 8
    if ! echo "$(echo "$wanted" | cut -d : -f 1,2 | tr : ' ') $own $label" >&8 ||
        ! { true >"$attempt/usage"; } 2>/dev/null || ! rm -- "$attempt/$ticket"; then
        rm -f -- "$slots/$number.used"
        withdraw "$attempt"
        echo "failed the disk is full"
        return
    fi
    exec 7>&-
    read -r boot </proc/sys/kernel/random/boot_id
    setsid --fork /bin/sh "$0" run "$attempt" "$signal" "$grace" "$own" "$@" </dev/null >/dev/null 2>&1
    looks=0
    until [ -s "$attempt/claim" ] || [ -e "$attempt/exit.json" ] || [ "$looks" -ge 100 ]; do
        sleep 0.02
        looks=$((looks + 1))
    done
    pid=-
    if [ -s "$attempt/claim" ]; then read -r pid <"$attempt/claim"; fi
    echo "started ${pid:--} $boot $own"
}

is_locked='' # only who holds the lock of the slots removes files
verb=$1
shift
case $verb in
capacity)
    slots=$1-$(id -u)/$(uname -n)
    measure "$2" "$3"
    print_capacity
    ;;
start) start "$@" ;;
look)
    while read -r attempt; do
        state=
        if [ -d "$attempt" ]; then
            state=$(flock -n "$attempt/lock" /bin/sh "$0" examine "$attempt" 2>/dev/null)
            code=$?
            [ -n "$state" ] || [ "$code" -ne 1 ] || state=held
        elif [ -n "$(pids_of "$attempt")" ]; then
            state=held
        else
            state=missing
        fi
        echo "${state:-unknown}"
    done
    ;;
examine) # ATTEMPT: its lock is held by the caller
    if [ -n "$(pids_of "$1")" ]; then
        echo stray
    elif [ -e "$1/exit.json" ]; then
        echo ended
    elif [ -e "$1/claim" ]; then
        echo claimed
    else
        withdraw "$1"
        echo absent
    fi
    ;;
stop) setsid --fork /bin/sh "$0" stopping "$@" </dev/null >/dev/null 2>&1 ;;
stopping) stop "$@" ;;
run) # ATTEMPT SIGNAL GRACE GPUS [VARIABLE ...]
    attempt=$1 signal=$2 grace=$3
    shift 3
    cd / || exit
    setsid /bin/sh "$0" task "$attempt" "$@"
    code=$?
    if [ ! -e "$attempt/exit.json" ] && [ -e "$attempt/claim" ]; then
        # Its shim was killed. What the task still does is not known to end with it.
        while [ -n "$(pids_of "$attempt")" ]; do sleep 1; done
        record "$attempt" "{\"exit_code\":$code}"
    elif [ ! -e "$attempt/exit.json" ]; then
        reason="it could not be started (exit code $code): its log has the reason"
        record "$attempt" "{\"exit_code\":null,\"launch\":\"$reason\"}"
    fi
    [ -z "$(pids_of "$attempt")" ] || stop "$attempt" "$signal" "$grace"
    ;;
task) # ATTEMPT GPUS [VARIABLE ...]: become the shim of the attempt
    EXP_SSH_ATTEMPT=$1 EXP_SSH_GPUS=$2 EXP_SSH_ERROR=
    shift 2
    unset SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_ORIGINAL_COMMAND
    if [ -e "$EXP_SSH_ATTEMPT/secrets" ]; then
        # shellcheck disable=SC1091
        . "$EXP_SSH_ATTEMPT/secrets"
        rm -f -- "$EXP_SSH_ATTEMPT/secrets"
    fi
    # It defines the function exp_launch.
    # shellcheck disable=SC1091
    . "$EXP_SSH_ATTEMPT/launch"
    exec >>"$EXP_SSH_ATTEMPT/log" 2>&1 </dev/null
    [ -z "$EXP_SSH_ERROR" ] || exec 2>>"$EXP_SSH_ATTEMPT/$EXP_SSH_ERROR"
    case $EXP_SSH_PROGRAM in
    */*) ;;
    *)
        EXP_SSH_FOUND=
        IFS=:
        for EXP_SSH_FOLDER in ${EXP_SSH_PATH-$PATH}; do
            if [ -f "$EXP_SSH_FOLDER/$EXP_SSH_PROGRAM" ] &&
                [ -x "$EXP_SSH_FOLDER/$EXP_SSH_PROGRAM" ]; then
                EXP_SSH_FOUND=yes
            fi
        done
        unset IFS
        if [ -z "$EXP_SSH_FOUND" ]; then
            record "$EXP_SSH_ATTEMPT" "$EXP_SSH_MISSING"
            exit 127
        fi
        ;;
    esac
    if [ "$EXP_SSH_GPUS" != - ]; then
        set -- "$@" "CUDA_VISIBLE_DEVICES=$EXP_SSH_GPUS" CUDA_DEVICE_ORDER=PCI_BUS_ID
    elif [ -n "$EXP_SSH_NO_GPUS" ]; then
        set -- "$@" CUDA_VISIBLE_DEVICES=
    fi
    exp_launch "$@"
    ;;
*) exit 2 ;;
esac
