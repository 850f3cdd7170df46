#!/usr/bin/env bash
# A real Docker engine of this machine, for tests: installed, started and stopped as root.
#
#   docker.sh up FOLDER [OPTION ...]   install what is missing, and start an engine with dockerd's options
#   docker.sh images FOLDER            make the images that the tests use
#   docker.sh busybox FOLDER           make the first of them alone
#   docker.sh sklearn FOLDER           make exp-test/sklearn: Debian's own packages with python3-sklearn
#   docker.sh stop FOLDER              end the engine as an administrator would
#   docker.sh crash FOLDER             end the engine as a crash would; containers go on
#   docker.sh down FOLDER              end the engine and all that is in it
#
# The engine listens at FOLDER/docker.sock and keeps everything in FOLDER: its containerd, its configuration,
# its network namespace. Its control group is named after FOLDER. It neither uses nor changes an engine, a
# containerd, a bridge or a packet filter of the machine, so that any number of engines run side by side.
#
# The images: exp-test/busybox (every program of busybox), exp-test/python (bash and python3 besides)
# and exp-test/single (one static program, called /busybox, and nothing else).
set -euo pipefail

verb=$1 folder=$2
shift 2
install=$(dirname "$0")/install.sh
cgroup=exp-tests-$(cksum <<<"$folder" | cut -d ' ' -f 1)
containerd=$folder/run/containerd/containerd.sock
export PATH=$PATH:/usr/sbin:/sbin DOCKER_HOST=unix://$folder/docker.sock
export DOCKER_CONFIG=$folder/client # the caller may have chosen another engine in the default one
unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION

say() { echo "docker.sh: $*" >&2; }

answers() {
    curl --silent --fail --max-time 5 --unix-socket "$folder/docker.sock" http://docker/_ping >/dev/null 2>&1
}

# A pid file may be older than the process that has its pid now; ours have the folder in their arguments.
is_ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep --quiet --fixed-strings "$folder/"; }

runs() { [ -e "$1" ] && is_ours "$(cat "$1")"; }

# dockerd removes the bridge docker0 of its network namespace when it starts without a bridge.
make_network() {
    grep --quiet --fixed-strings " $folder/net " /proc/mounts && return
    touch "$folder/net"
    unshare --net="$folder/net" ip link set lo up
}

configure() {
    cat >"$folder/containerd.toml" <<END
version = 2
root = "$folder/containerd"
state = "$folder/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "$containerd"
[plugins."io.containerd.internal.v1.opt"]
path = "$folder/opt"
END
    # Engines that have a key keep it in /etc/docker by default; later ones refuse the setting.
    if grep --quiet --text deprecated-key-path "$(command -v dockerd)"; then
        echo "{\"deprecated-key-path\": \"$folder/key.json\"}" >"$folder/daemon.json"
    else
        echo '{}' >"$folder/daemon.json"
    fi
}

launch() { # launch PROGRAM [ARGUMENT ...]: in the network namespace, with none of the caller's environment
    env -i PATH="$PATH" HOME="$HOME" setsid nsenter --net="$folder/net" "$@" \
        >>"$folder/$1.log" 2>&1 </dev/null &
}

start_containerd() {
    runs "$folder/containerd.pid" && return
    rm -f "$containerd"
    launch containerd --config "$folder/containerd.toml"
    echo $! >"$folder/containerd.pid"
    for _ in $(seq 300); do
        [ -S "$containerd" ] && return
        sleep 0.1
    done
    tail -n 20 "$folder/containerd.log" >&2
    say "containerd does not listen"
    exit 1
}

start() {
    mkdir -p "$folder"
    make_network
    configure
    start_containerd
    rm -f "$folder/docker.pid"
    launch dockerd --host "unix://$folder/docker.sock" --config-file "$folder/daemon.json" \
        --data-root "$folder/data" --exec-root "$folder/run" --pidfile "$folder/docker.pid" \
        --containerd "$containerd" --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$cgroup" \
        --iptables=false --ip6tables=false --bridge=none "$@"
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

# As this machine's Debian has them, so that images of a registry are not needed. It takes two minutes.
make_sklearn() { # make_sklearn TAR
    "$install" debian
    # shellcheck disable=SC1091 # every Debian has it
    mmdebstrap --quiet --mode=root --variant=essential --include=python3-sklearn \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$1"
    docker import "$1" exp-test/sklearn >/dev/null
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
sklearn)
    has_image exp-test/sklearn && exit 0
    root=$(mktemp --directory)
    trap 'rm -rf "$root"' EXIT
    make_sklearn "$root/image.tar"
    ;;
stop)
    end "$folder/docker.pid" TERM
    end "$folder/containerd.pid" TERM
    ;;
crash)
    end "$folder/docker.pid" KILL
    end "$folder/containerd.pid" KILL
    ;;
down)
    if answers; then
        docker ps --all --quiet | xargs --no-run-if-empty docker rm --force >/dev/null
    fi
    end "$folder/docker.pid" TERM
    end "$folder/containerd.pid" TERM
    end_containers
    { grep -o " $folder/[^ ]*" /proc/mounts || true; } | sort -r | xargs --no-run-if-empty umount --lazy
    find /sys/fs/cgroup -depth -type d -path "*/$cgroup*" -exec rmdir {} + 2>/dev/null || true
    rm -rf "$folder"
    ;;
*)
    say "knows up, images, busybox, sklearn, stop, crash and down"
    exit 2
    ;;
esac
