#!/usr/bin/env bash
# A real Docker engine of this machine, for tests: installed, started and stopped as root.
#
#   docker.sh up FOLDER [OPTION ...]   install what is missing, and start an engine with dockerd's options
#   docker.sh images FOLDER            make the images that the tests use in the engine at $DOCKER_HOST
#   docker.sh busybox FOLDER           make the first of them alone
#   docker.sh stop FOLDER              end the engine as an administrator would
#   docker.sh crash FOLDER             end the engine as a crash would; containers go on
#   docker.sh down FOLDER              end the engine and all that is in it
#
# The engine listens at FOLDER/docker.sock and keeps everything in FOLDER. It has no network of its
# own and leaves the machine's packet filter alone.
#
# The images: exp-test/busybox (every program of busybox), exp-test/python (bash and python3 besides)
# and exp-test/single (one static program, called /busybox, and nothing else).
set -euo pipefail

verb=$1 folder=$2
shift 2
install=$(dirname "$0")/install.sh
export DOCKER_HOST=${DOCKER_HOST:-unix://$folder/docker.sock}

say() { echo "docker.sh: $*" >&2; }

answers() {
    curl --silent --fail --max-time 5 --unix-socket "$folder/docker.sock" http://docker/_ping >/dev/null 2>&1
}

# A pid file may be older than the process that has its pid now; ours have the folder in their arguments.
is_ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep --quiet --fixed-strings "$folder/"; }

# An engine that is started waits in vain for the containerd of the former one, if that is over but not yet
# collected, or if somebody else has its pid by now.
forget_containerd() {
    local file=$folder/run/containerd/containerd.pid
    [ -e "$file" ] || return 0
    for _ in $(seq 100); do
        is_ours "$(cat "$file")" || break
        sleep 0.1
    done
    rm -f "$file"
}

start() {
    mkdir -p "$folder"
    rm -f "$folder/docker.pid"
    forget_containerd
    setsid dockerd --host "unix://$folder/docker.sock" --data-root "$folder/data" --exec-root "$folder/run" \
        --pidfile "$folder/docker.pid" --iptables=false --ip6tables=false --bridge=none "$@" \
        >>"$folder/dockerd.log" 2>&1 </dev/null &
    for _ in $(seq 300); do
        answers && return
        sleep 0.1
    done
    tail -n 20 "$folder/dockerd.log" >&2
    say "dockerd does not answer"
    exit 1
}

end() {
    [ -e "$1" ] || return 0
    local pid
    pid=$(cat "$1")
    is_ours "$pid" || return 0
    kill "-$2" "$pid" 2>/dev/null || return 0
    for _ in $(seq 300); do
        is_ours "$pid" || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
}

# What is left of containers whose engine could not be asked to end them.
end_containers() {
    local comm pid
    for comm in /proc/[0-9]*/comm; do
        pid=$(basename "$(dirname "$comm")")
        if [ "$(cat "$comm" 2>/dev/null)" != containerd-shim ] || ! is_ours "$pid"; then
            continue
        fi
        xargs --no-run-if-empty kill -KILL <"/proc/$pid/task/$pid/children" || true
        kill -KILL "$pid" || true
    done
}

add_with_libraries() {
    local root=$1 program=$2 library
    mkdir -p "$root$(dirname "$program")"
    cp --dereference "$program" "$root$program"
    { ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true; } | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp --dereference --no-clobber "$library" "$root$library"
    done
}

import() { tar --create --owner=0 --group=0 --directory "$1" . | docker import - "$2" >/dev/null; }

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

make_busybox() { # make_busybox ROOT
    local applet
    mkdir -p "$1/"{bin,usr/bin,etc,tmp,root}
    chmod 1777 "$1/tmp"
    cp "$(command -v busybox)" "$1/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$1/bin/$applet"
    done
    import "$1" exp-test/busybox
}

make_single() { # make_single ROOT
    mkdir -p "$1/tmp"
    chmod 1777 "$1/tmp"
    cp "$(command -v busybox)" "$1/busybox"
    import "$1" exp-test/single
}

make_python() { # make_python ROOT, which is that of busybox
    local python library
    python=$(readlink -f /usr/bin/python3)
    add_with_libraries "$1" "$python"
    ln -sf "$python" "$1/usr/bin/python3"
    mkdir -p "$1/usr/lib"
    cp --recursive "/usr/lib/$(basename "$python")" "$1/usr/lib/"
    for library in "/usr/lib/$(basename "$python")"/lib-dynload/*.so; do
        add_with_libraries "$1" "$library"
    done
    add_with_libraries "$1" "$(readlink -f /bin/bash)"
    [ -e "$1/bin/bash" ] || ln -s "$(readlink -f /bin/bash)" "$1/bin/bash"
    import "$1" exp-test/python
}

make_images() {
    local root
    has_image exp-test/python && has_image exp-test/busybox && has_image exp-test/single && return
    root=$(mktemp --directory)
    make_single "$root/single"
    make_busybox "$root/busybox"
    make_python "$root/busybox"
    rm -rf "$root"
}

case $verb in
up)
    "$install" docker
    answers || start "$@"
    ;;
images) make_images ;;
busybox)
    root=$(mktemp --directory)
    make_busybox "$root/busybox"
    rm -rf "$root"
    ;;
stop) end "$folder/docker.pid" TERM ;;
crash) end "$folder/docker.pid" KILL ;;
down)
    if answers; then
        export DOCKER_HOST=unix://$folder/docker.sock
        docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
    fi
    end "$folder/docker.pid" TERM
    end "$folder/run/containerd/containerd.pid" TERM
    end_containers
    { grep -o " $folder/[^ ]*" /proc/mounts || true; } | sort -r | xargs --no-run-if-empty umount --lazy
    rm -rf "$folder"
    ;;
*)
    say "knows up, images, busybox, stop, crash and down"
    exit 2
    ;;
esac
