#!/usr/bin/env bash
# A real Slurm cluster of this one machine, for tests: installed, started and stopped as root.
#
#   slurm.sh up FOLDER            install what is missing, and start what does not run
#   slurm.sh down FOLDER          end what was started for FOLDER, and nothing else
#   slurm.sh stop-controller FOLDER
#   slurm.sh start-controller FOLDER        and wait until it takes jobs
#   slurm.sh start-controller-alone FOLDER  and do not: it has not heard of its node yet
#   slurm.sh stop-munge FOLDER | start-munge FOLDER
#   slurm.sh accounting FOLDER    install and start MariaDB and slurmdbd, if they do not run
#
# It has two nodes that are both this machine: the jobs of the default partition `main` run on the first, and
# those of `pair`, which may ask for several, on either.
#
# FOLDER holds the configuration, the state, the logs, the pids and the munge key and socket of the cluster.
# Commands reach it with SLURM_CONF=FOLDER/slurm.conf. Its nodes, and with them their control groups, are named
# after FOLDER, and its ports are its own. It neither uses nor changes a Slurm or a munge of the machine, so that
# any number of clusters run side by side.
#
# SLURM_MAX_ARRAY     the cluster's MaxArraySize (default: 1001)
# SLURM_MIN_JOB_AGE   seconds for which it remembers jobs that are over (default: 300)
# SLURM_ACCOUNTING    slurmdbd, if a controller that is started now has accounting (default: none); Slurm
#                     then also gives memory to jobs, and ends those that take more
# SLURM_TIMEOUT       seconds for which daemons and commands wait for an answer (default: 60). A job that a node
#                     does not confirm in this time begins again, but minutes later.
# SLURM_ENFORCE       what accounting enforces (default: nothing), such as limits
set -euo pipefail

verb=$1 folder=$2
id=$(cksum <<<"$folder" | cut -d ' ' -f 1)
nodes=("exp$id" "exp$id-beside")
install=$(dirname "$0")/install.sh
munge=$folder/munge
export PATH=$PATH:/usr/sbin:/sbin SLURM_CONF=$folder/slurm.conf
claims=${TMPDIR:-/tmp}/exp-tests-ports

say() { echo "slurm.sh: $*" >&2; }

is_free() { # is_free PORT ...
    local port
    for port in "$@"; do
        ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 1
    done
}

# Four ports in a row, below those that the kernel gives to connections. A claim is a link to the folder of a
# cluster; it holds for as long as that folder exists, for a cluster that is stopped needs its ports again.
claim_ports() {
    [ -s "$folder/port" ] && return
    local block port owner
    mkdir -p "$claims"
    (
        flock 9
        for block in $(seq 1000); do
            port=$((20000 + (id + block) % 2500 * 4))
            owner=$(readlink "$claims/$port") || owner=$folder
            if [ "$owner" != "$folder" ] && [ -e "$owner" ]; then continue; fi
            is_free "$port" $((port + 1)) $((port + 2)) $((port + 3)) || continue
            ln -sfn "$folder" "$claims/$port"
            echo "$port" >"$folder/port"
            exit 0
        done
        say "no ports are free"
        exit 1
    ) 9>"$claims/lock"
}

write_config() {
    local host gives=CR_CPU measures=none limits=none port
    host=$(hostname -s)
    port=$(cat "$folder/port")
    if [ -n "${SLURM_ACCOUNTING:-}" ]; then
        gives=CR_CPU_Memory measures=linux
        [ ! -w /sys/fs/cgroup/memory/tasks ] || limits=cgroup # the plugin for newer cgroups needs systemd
    fi
    mkdir -p "$folder/state" "${nodes[@]/#/$folder/spool/}"
    cat >"$folder/slurm.conf.new" <<END # a reader must not see half of it
ClusterName=exptest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/$limits
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/%n.log
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=$gives
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000,bf_interval=2
MaxArraySize=${SLURM_MAX_ARRAY:-1001}
KillWait=2
MinJobAge=${SLURM_MIN_JOB_AGE:-300}
InactiveLimit=0
SlurmctldTimeout=300
SlurmdTimeout=300
MessageTimeout=${SLURM_TIMEOUT:-60}
AccountingStorageType=accounting_storage/${SLURM_ACCOUNTING:-none}
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 3))
AccountingStoragePass=$munge/socket
${SLURM_ENFORCE:+AccountingStorageEnforce=$SLURM_ENFORCE}
JobAcctGatherType=jobacct_gather/$measures
JobAcctGatherFrequency=task=1
JobCompType=jobcomp/none
NodeName=${nodes[0]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=8 RealMemory=8000
NodeName=${nodes[1]} NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=2 RealMemory=2000
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=main Nodes=${nodes[0]} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=1
PartitionName=pair Nodes=${nodes[0]},${nodes[1]} MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=${nodes[0]} MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=closed Nodes=${nodes[0]} MaxTime=INFINITE State=DOWN
END
    mv "$folder/slurm.conf.new" "$folder/slurm.conf"
    printf '%s\n' CgroupPlugin=cgroup/v1 ConstrainRAMSpace=yes ConstrainSwapSpace=yes >"$folder/cgroup.conf"
}

start_munge() {
    runs "$munge/munged" && return
    mkdir -p "$munge"
    [ -s "$munge/key" ] || mungekey --create --keyfile="$munge/key"
    chown -R munge: "$munge"
    chmod 755 "$munge"
    daemon setpriv --reuid munge --regid munge --clear-groups -- munged --socket="$munge/socket" \
        --key-file="$munge/key" --pid-file="$munge/munged.pid" --log-file="$munge/log" --seed-file="$munge/seed" ||
        { say "munged does not start"; exit 1; }
}

munges() { munge --socket="$munge/socket" --no-input >/dev/null 2>&1; }

answers() { timeout 5 scontrol ping 2>/dev/null | grep -q ' UP$'; }

await() { # await SECONDS COMMAND …
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { say "did not come to pass: $*"; return 1; }
        sleep 0.1
    done
}

daemon() { # with nothing of the environment of a test
    env -i PATH="$PATH" HOME="$HOME" SLURM_CONF="$SLURM_CONF" "$@" </dev/null >/dev/null 2>&1
}

start_controller() {
    daemon slurmctld -i
    await 30 answers
}

# What sinfo says of a node is no help: after a restart of the controller it is idle again at once, and takes
# no job until slurmd has reported.
takes_jobs() {
    timeout 5 sbatch --test-only --wrap=true >/dev/null 2>&1 &&
        timeout 5 sbatch --test-only --partition=pair --nodes=2 --wrap=true >/dev/null 2>&1
}

start_nodes() { # or have them report, which they would do only when they are asked, seconds later
    local node plugin
    plugin=$(grep '^TaskPlugin=' "$folder/slurm.conf")
    for node in "${nodes[@]}"; do
        if runs "$node" slurmd && [ "$(cat "$folder/$node.plugin")" = "$plugin" ]; then
            kill -HUP "$(cat "$folder/$node.pid")"
        else
            kill_pid_of "$node" TERM slurmd
            echo "$plugin" >"$folder/$node.plugin"
            daemon slurmd -N "$node"
        fi
    done
    await 30 takes_jobs || { tail -n 20 "$folder/slurmctld.log" "$folder/${nodes[0]}.log" >&2; exit 1; }
}

has_no_jobs() { [ -z "$(timeout 5 squeue --noheader 2>/dev/null)" ]; }

pid_file() { if [[ $1 == /* ]]; then echo "$1.pid"; else echo "$folder/$1.pid"; fi; }

runs() { # runs NAME [PROGRAM]: this cluster's daemon, and not another process that has its pid now
    local pid program=${2:-${1##*/}}
    pid=$(cat "$(pid_file "$1")" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$program" ] &&
        grep --quiet --null-data --line-regexp --fixed-strings "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ"
}

kill_pid_of() { # kill_pid_of NAME SIGNAL [PROGRAM]: that daemon, and only that
    local pid
    runs "$1" "${3:-}" || return 0
    pid=$(cat "$(pid_file "$1")")
    kill -s "$2" "$pid"
    await 20 not_running "$pid"
}

not_running() { [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

start_accounting() {
    local database=$folder/database socket=$folder/database/socket
    runs slurmdbd && return
    "$install" accounting
    mkdir -p "$database"
    chown mysql: "$database"
    [ -d "$database/mysql" ] || mariadb-install-db --no-defaults --user=mysql --datadir="$database" >/dev/null 2>&1
    (
        cd /
        daemon setsid mariadbd --no-defaults --user=mysql --datadir="$database" --skip-networking \
            --socket="$socket" --pid-file="$database/mariadbd.pid" --innodb-buffer-pool-size=64M &
    ) </dev/null >/dev/null 2>&1 # nor may the shell that waits for it hold what the caller reads
    await 30 daemon mariadb --no-defaults --socket="$socket" --execute='select 1'
    cat >"$folder/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$(($(cat "$folder/port") + 3))
SlurmUser=root
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm
StorageHost=localhost
END
    chmod 600 "$folder/slurmdbd.conf"
    daemon env MYSQL_UNIX_PORT="$socket" slurmdbd
    await 30 keeps_accounts
}

keeps_accounts() { grep -q 'slurmdbd version .* started' "$folder/slurmdbd.log" 2>/dev/null; }

up() {
    mkdir -p "$folder"
    chmod 755 "$folder" # users of the cluster read its configuration and reach its munge
    "$install" slurm
    start_munge
    await 10 munges
    claim_ports
    write_config
    answers && takes_jobs && return
    start_controller
    start_nodes
}

down() {
    if [ -e "$SLURM_CONF" ] && answers; then # without a configuration, commands look for a cluster in DNS
        scancel --user="$(id -u)" || true
        await 10 has_no_jobs || true
    fi
    for node in "${nodes[@]}"; do kill_pid_of "$node" TERM slurmd; done
    kill_pid_of slurmctld TERM
    kill_pid_of slurmdbd TERM
    kill_pid_of "$folder/database/mariadbd" TERM
    kill_pid_of "$munge/munged" TERM
    for node in "${nodes[@]}"; do
        find /sys/fs/cgroup -depth -type d -path "*/slurm_$node*" -exec rmdir {} + 2>/dev/null || true
    done
    find "$claims" -lname "$folder" -delete 2>/dev/null || true
    rm -rf "$folder"
}

case $verb in
up) up ;;
down) down ;;
accounting) start_accounting ;;
stop-controller) kill_pid_of slurmctld TERM ;;
stop-munge) kill_pid_of "$munge/munged" TERM ;;
start-munge)
    start_munge
    await 10 munges
    ;;
start-controller)
    write_config
    start_controller
    start_nodes
    ;;
start-controller-alone)
    write_config
    start_controller
    ;;
*)
    say "what is $verb?"
    exit 2
    ;;
esac
