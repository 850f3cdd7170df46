#!/usr/bin/env bash
# Installs what the tests on real engines, on a clock that is set, and on a server with its pages need and
# this Debian lacks, as root; starts none of it.
#
#   install.sh [docker | slurm | accounting | sshd | faketime | browser | proxy | keyring |
#               systemd | debian] ...   (default: all of them but the last)
set -euo pipefail

declare -A programs=(
    [docker]="dockerd containerd busybox curl ip /usr/bin/python3"
    [slurm]="slurmctld slurmd munged sbatch"
    [accounting]="slurmdbd mariadbd"
    [sshd]="sshd ssh rsync"
    [faketime]="faketime"
    [browser]="chromium-headless-shell"
    [proxy]="nginx"
    [keyring]="gnome-keyring-daemon dbus-run-session"
    [systemd]="systemd-analyze"
    [debian]="mmdebstrap"
)
declare -A packages=(
    [docker]="docker.io busybox-static curl iproute2 python3"
    [slurm]="slurm-wlm munge"
    [accounting]="slurmdbd mariadb-server"
    [sshd]="openssh-server openssh-client rsync"
    [faketime]="faketime"
    [browser]="chromium-headless-shell"
    [proxy]="nginx-light"
    [keyring]="gnome-keyring dbus"
    [systemd]="systemd"
    [debian]="mmdebstrap"
)
PATH=$PATH:/usr/sbin:/sbin

lacks() { # whether one of these programs is not there
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || return 0
    done
    # Images are made of busybox alone, which must need no library.
    [[ " $* " == *" busybox "* ]] && ldd "$(command -v busybox)" >/dev/null 2>&1
}

install() {
    # No package may start a service: the tests start what they need, and end it.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends \
        --option DPkg::Lock::Timeout=300 "$@"
}

[ "$#" -gt 0 ] || set -- docker slurm accounting sshd faketime browser proxy keyring systemd

# One at a time: apt-get does not wait for another one that reads the lists.
exec 9>"${TMPDIR:-/tmp}/exp-tests-install.lock"
flock 9
wanted=()
for kind in "$@"; do
    read -r -a needed <<<"${programs[$kind]}"
    if lacks "${needed[@]}"; then
        read -r -a found <<<"${packages[$kind]}"
        wanted+=("${found[@]}")
    fi
done
[ "${#wanted[@]}" -gt 0 ] || exit 0
echo "install.sh: installs ${wanted[*]}" >&2
install "${wanted[@]}" >/dev/null 2>&1 ||
    { apt-get update --quiet >/dev/null && install "${wanted[@]}" >/dev/null; }
