#!/usr/bin/env bash
# A real ssh server of this machine, for tests, that only the user who starts it can log in to, or SSHD_USER.
#
#   sshd.sh up FOLDER PORT   install what is missing (as root, on a Debian), and listen at PORT
#   sshd.sh drop FOLDER      end its connections, as a network does that fails; it still listens
#   sshd.sh freeze FOLDER    answer nobody, and end nothing, until `thaw`
#   sshd.sh thaw FOLDER
#   sshd.sh down FOLDER      end it and its connections; FOLDER stays, and `up` starts it again
#
# It listens at a loopback address derived from FOLDER, so that no other program takes its port while it is down.
# It neither uses nor changes the machine's own server or its configuration. Sessions get SSHD_VARIABLE, a
# NAME=VALUE.
#
# FOLDER holds all that belongs to it: its host key, a key to log in with, and FOLDER/ssh_config, in which
# it is called `login`, and `behind` if it is reached by a jump over itself. Other names are for what can go
# wrong: `stranger`, whose host key nobody knows, `keyless`, where ssh would have to ask for a password,
# `bare`, which has no rsync, and `noisy`, whose login files print. FOLDER/bin/ssh is OpenSSH's own client with
# that configuration.
set -euo pipefail

verb=$1 folder=$2
install=$(dirname "$0")/install.sh
id=$(cksum <<<"$folder" | cut -d ' ' -f 1)
address=127.$((id % 254 + 1)).$((id / 254 % 254 + 1)).$((id / 254 / 254 % 254 + 1))

say() { echo "sshd.sh: $*" >&2; }

make_keys() {
    mkdir -p "$folder/bin" "$folder/bare"
    for program in awk df head stat tail xargs; do ln -sfn "$(command -v "$program")" "$folder/bare/$program"; done
    chmod 711 "$folder" # the keys that let a user in are read as that user
    [ -e "$folder/host_key" ] || ssh-keygen -q -t ed25519 -N '' -C host -f "$folder/host_key"
    [ -e "$folder/user_key" ] || ssh-keygen -q -t ed25519 -N '' -C tests -f "$folder/user_key"
    for name in bare noisy; do
        [ -e "$folder/${name}_key" ] || ssh-keygen -q -t ed25519 -N '' -C tests -f "$folder/${name}_key"
    done
    {
        cat "$folder/user_key.pub"
        # shellcheck disable=SC2016 # it is for the shell there
        run='eval \"$SSH_ORIGINAL_COMMAND\"'
        echo "command=\"PATH=$folder/bare; $run\" $(cat "$folder/bare_key.pub")"
        echo "command=\"echo Welcome; $run\" $(cat "$folder/noisy_key.pub")"
    } >"$folder/authorized_keys"
}

configure() { # configure PORT
    local user client variables=${SSHD_VARIABLE:-}
    [ -n "${SSHD_USER:-}" ] || variables="HOME=$folder $variables" # not the login files of the caller
    user=${SSHD_USER:-$(id -un)} client=$(PATH=/usr/bin:/bin command -v ssh)
    echo "$address" >"$folder/address"
    # StrictModes would not have keys below a folder of temporary files.
    cat >"$folder/sshd_config" <<END
ListenAddress $address
Port $1
HostKey $folder/host_key
AuthorizedKeysFile $folder/authorized_keys
PidFile $folder/sshd.pid
AllowUsers $user
PermitRootLogin prohibit-password
PermitUserRC no
StrictModes no
UsePAM no
PrintMotd no
Subsystem sftp internal-sftp
${variables:+SetEnv $variables}
END
    cat >"$folder/ssh_config" <<END
Host stranger
  UserKnownHostsFile /dev/null
Host keyless
  PubkeyAuthentication no
Host behind
  ProxyJump login
Host bare
  IdentityFile $folder/bare_key
Host noisy
  IdentityFile $folder/noisy_key
Host *
  HostName $address
  Port $1
  User $user
  IdentityFile $folder/user_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile $folder/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
END
    echo "[$address]:$1 $(cut -d ' ' -f 1,2 "$folder/host_key.pub")" >"$folder/known_hosts"
    printf '#!/bin/sh\nexec %s -F "%s" "$@"\n' "$client" "$folder/ssh_config" >"$folder/bin/ssh"
    chmod 755 "$folder/bin/ssh"
}

# A pid file may be older than the process that has its pid now; the server has the folder in its arguments.
listener() {
    local pid
    pid=$(cat "$folder/sshd.pid" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep --quiet --fixed-strings "$folder/" || return 1
    echo "$pid"
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null || true; }

connections() { # the processes below the server that are the server's own
    local parent=$1 child
    for child in $(children "$parent"); do
        [ "$(cat "/proc/$child/comm" 2>/dev/null)" = sshd ] || continue
        echo "$child"
        connections "$child"
    done
}

signal() { # signal NAME PID …
    local name=$1
    shift
    [ "$#" -eq 0 ] || kill -s "$name" "$@" 2>/dev/null || true
}

answers() { "$folder/bin/ssh" -o BatchMode=yes -o ConnectTimeout=5 login true </dev/null 2>"$folder/refused"; }

up() {
    thaw && answers && return
    "$install" sshd
    make_keys
    configure "$1"
    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    env -i PATH="$PATH" HOME="$HOME" /usr/sbin/sshd -f "$folder/sshd_config" -E "$folder/sshd.log"
    for _ in $(seq 50); do
        answers && return
        sleep 0.1
    done
    cat "$folder/refused" "$folder/sshd.log" >&2
    say "it does not let us in"
    exit 1
}

signal_all() { # signal_all NAME: to the server and its connections
    local pid
    pid=$(listener) || return 1
    # shellcheck disable=SC2046 # a list of pids
    signal "$1" "$pid" $(connections "$pid")
}

thaw() { signal_all CONT; }

case $verb in
up) up "$3" ;;
down)
    signal_all KILL || exit 0
    rm -f "$folder/sshd.pid"
    ;;
drop)
    # shellcheck disable=SC2046 # a list of pids
    signal KILL $(connections "$(listener)")
    ;;
freeze) signal_all STOP ;;
thaw) thaw ;;
*)
    say "knows up, drop, freeze, thaw and down"
    exit 2
    ;;
esac
