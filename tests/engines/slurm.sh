#!/usr/bin/env bash
# A real Slurm cluster of this one machine, for tests: installed, started and stopped as root.
#
#   slurm.sh up FOLDER            install what is missing, and start what does not run
#   slurm.sh down FOLDER          end what `up` started, and nothing else
#   slurm.sh stop-controller FOLDER
#   slurm.sh start-controller FOLDER        and wait until it takes jobs
#   slurm.sh start-controller-alone FOLDER  and do not: it has not heard of its node yet
#   slurm.sh stop-munge FOLDER | start-munge FOLDER
#   slurm.sh accounting FOLDER    install and start MariaDB and slurmdbd, if they do not run
#
# It has two nodes that are both this machine: the jobs of the default partition `main` run on the first, and
# those of `pair`, which may ask for several, on either.
#
# FOLDER holds the configuration, the state, the logs and the pids of what was started. The
# configuration becomes that of the machine by a link, if the machine has none of its own.
#
# SLURM_MAX_ARRAY     the cluster's MaxArraySize (default: 1001)
# SLURM_MIN_JOB_AGE   seconds for which it remembers jobs that are over (default: 300)
# SLURM_ACCOUNTING    slurmdbd, if a controller that is started now has accounting (default: none); Slurm
#                     then also gives memory to jobs, and ends those that take more
set -euo pipefail

verb=$1 folder=$2
nodes=("$(hostname -s)" beside)
config=/etc/slurm/slurm.conf
install=$(dirname "$0")/install.sh

say() { echo "slurm.sh: $*" >&2; }

write_config() {
    local host=${nodes[0]} gives=CR_CPU measures=none limits=none
    if [ -n "${SLURM_ACCOUNTING:-}" ]; then
        gives=CR_CPU_Memory measures=linux
        [ ! -w /sys/fs/cgroup/memory/tasks ] || limits=cgroup # the plugin for newer cgroups needs systemd
    fi
    mkdir -p "$folder/state" "${nodes[@]/#/$folder/spool/}"
    cat >"$folder/slurm.conf.new" <<END # somebody may be reading it
ClusterName=exptest
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
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
MessageTimeout=4
AccountingStorageType=accounting_storage/${SLURM_ACCOUNTING:-none}
JobAcctGatherType=jobacct_gather/$measures
JobAcctGatherFrequency=task=1
JobCompType=jobcomp/none
NodeName=$host NodeHostname=$host CPUs=8 RealMemory=8000 State=UNKNOWN
NodeName=beside NodeHostname=$host Port=16818 CPUs=2 RealMemory=2000 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=1
PartitionName=pair Nodes=$host,beside MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=closed Nodes=$host MaxTime=INFINITE State=DOWN
END
    mv "$folder/slurm.conf.new" "$folder/slurm.conf"
    ln -sfn "$folder/slurm.conf" "$config"
    printf '%s\n' CgroupPlugin=cgroup/v1 ConstrainRAMSpace=yes ConstrainSwapSpace=yes >"$folder/cgroup.conf"
    ln -sfn "$folder/cgroup.conf" "$(dirname "$config")/cgroup.conf"
    touch "$folder/owns-config"
}

start_munge() {
    munge -n >/dev/null 2>&1 && return
    mkdir -p /run/munge /var/log/munge /var/lib/munge
    chown munge: /run/munge /var/log/munge /var/lib/munge
    chmod 755 /run/munge
    [ -s /etc/munge/munge.key ] || mungekey --create
    chown munge: /etc/munge/munge.key
    daemon setpriv --reuid munge --regid munge --clear-groups -- munged --force
    touch "$folder/owns-munge"
}

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
    env -i PATH="$PATH" HOME="$HOME" "$@" </dev/null >/dev/null 2>&1
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

runs() { # runs NAME [PROGRAM]: the daemon that wrote this pid file, and not who has its pid now
    local pid program=${2:-${1##*/}}
    pid=$(cat "$(pid_file "$1")" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$program" ]
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
    [ -d "$database/mysql" ] || mariadb-install-db --user=mysql --datadir="$database" >/dev/null 2>&1
    (
        cd /
        daemon setsid mariadbd --no-defaults --user=mysql --datadir="$database" --skip-networking \
            --socket="$socket" --pid-file="$database/mariadbd.pid" --innodb-buffer-pool-size=64M &
    ) </dev/null >/dev/null 2>&1 # nor may the shell that waits for it hold what the caller reads
    await 30 daemon mariadb --socket="$socket" --execute='select 1'
    cat >"$folder/slurmdbd.conf" <<END
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
PidFile=$folder/slurmdbd.pid
LogFile=$folder/slurmdbd.log
StorageType=accounting_storage/mysql
StorageUser=root
StorageLoc=slurm
StorageHost=localhost
END
    chmod 600 "$folder/slurmdbd.conf"
    daemon env MYSQL_UNIX_PORT="$socket" SLURM_CONF="$folder/slurm.conf" slurmdbd
    await 30 keeps_accounts
}

keeps_accounts() { grep -q 'slurmdbd version .* started' "$folder/slurmdbd.log" 2>/dev/null; }

up() {
    mkdir -p "$folder"
    "$install" slurm
    start_munge
    if [ ! -e "$config" ] || [ -e "$folder/owns-config" ]; then
        write_config
    fi
    answers && takes_jobs && return
    [ -e "$folder/owns-config" ] || { say "the cluster of $config takes no jobs"; exit 1; }
    start_controller
    start_nodes
    touch "$folder/owns-cluster"
}

down() {
    if [ -e "$folder/owns-cluster" ]; then
        if answers; then
            scancel --user="$(id -u)" || true
            await 10 has_no_jobs || true
        fi
        for node in "${nodes[@]}"; do kill_pid_of "$node" TERM slurmd; done
        kill_pid_of slurmctld TERM
    fi
    kill_pid_of slurmdbd TERM
    kill_pid_of "$folder/database/mariadbd" TERM
    if [ -e "$folder/owns-munge" ]; then
        kill_pid_of /run/munge/munged TERM
    fi
    if [ -e "$folder/owns-config" ] && [ "$(readlink "$config")" = "$folder/slurm.conf" ]; then
        rm "$config" "$(dirname "$config")/cgroup.conf"
    fi
    for node in "${nodes[@]}"; do
        find /sys/fs/cgroup -depth -type d -path "*/slurm_$node*" -exec rmdir {} + 2>/dev/null || true
    done
    rm -rf "$folder"
}

case $verb in
up) up ;;
down) down ;;
accounting) start_accounting ;;
stop-controller) kill_pid_of slurmctld TERM ;;
stop-munge)
    [ -e "$folder/owns-munge" ] || { say "this munge is not ours to stop"; exit 1; }
    kill_pid_of /run/munge/munged TERM
    ;;
start-munge)
    start_munge
    await 10 munge -n >/dev/null
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
