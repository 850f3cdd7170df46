"""Supervisors of tests, forked from a process that has imported what they need.

A supervisor spends a tenth of a second of a processor on imports, which all tests together pay a thousand
times. Here one process of each worker of pytest imports them once, and forks for each supervisor a process
that is like one just started: its session, environment, descriptors and signals are its own, and so is what
`/proc/PID/environ` shows, by which tests find what they have left. Supervisors that a command in a process
of its own starts are ordinary ones.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST: Final = 1 << 20  # bytes of a request, which is an environment
ROOM: Final = 100_000  # bytes for the environment of a supervisor
PRELOADED: Final = (
    "nemorun_cli.supervisor.process",
    "nemorun_cli.executors.docker.executor",
    "nemorun_cli.executors.local",
    "nemorun_cli.executors.slurm.executor",
    "nemorun_cli.executors.slurm.remote.cluster",
    "nemorun_cli.executors.remote_hosts.results",
    "nemorun_cli.executors.remote_hosts.upload",
    "nemorun_cli.executors.ssh.executor",
    "nemorun_cli.system.log_search",
    "nemorun_cli.supervisor.output_metrics",
    "nemorun_cli.tracking.access.supervisor_api",
    *("concurrent.futures.thread", "decimal", "docker", "encodings.ascii", "filelock", "netrc", "psutil"),
    *("subprocess", "tempfile"),
)

_servers: dict[int, socket.socket] = {}  # by the pid of the worker
_turn = threading.Lock()  # of a test that starts several at once, each thread reads its own answer


def are_possible() -> bool:
    """Whether this system has /proc."""
    return sys.platform == "linux"


def spawn(environ: Mapping[str, str], order: int, answer: int) -> int:
    """What `client.spawn` does, by the process that has imported all."""
    with _turn:
        server = _servers.get(os.getpid()) or _start()
        mask = os.umask(0)
        os.umask(mask)
        request = json.dumps({"environ": dict(environ), "umask": mask})
        socket.send_fds(server, [request.encode()], [order, answer, 2])
        return int(server.recv(64))


def _start() -> socket.socket:
    own, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other:
        os.set_inheritable(other.fileno(), True)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", __file__, str(other.fileno())],
            {"PATH": os.environ["PATH"], "ROOM": "x" * ROOM},
        )
    _servers[os.getpid()] = own
    return own


def close() -> None:
    """End the process that forks, if this worker has one; supervisors go on."""
    if server := _servers.pop(os.getpid(), None):
        server.close()


def serve(requests: socket.socket) -> None:
    """Fork a supervisor for each request, until the worker has ended."""
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a forked process would copy the memory of all that is loaded
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended supervisors leave no zombies
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, MOST, 3)
        if not message:
            return
        pid = os.fork()
        if not pid:
            _become_supervisor(**json.loads(message), descriptors=descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        requests.sendall(str(pid).encode())


def _become_supervisor(environ: dict[str, str], umask: int, descriptors: Sequence[int]) -> None:
    code = 1
    try:
        os.setsid()
        os.umask(umask)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.environ.clear()
        os.environ.update(environ)
        _show(environ)  # nothing refers to the old one any more
        code = _run()
    except BaseException:  # noqa: BLE001 - as the interpreter would end
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # as at the end of a program, but for the interpreter's own memory
        atexit._run_exitfuncs()
        os._exit(code)


def _run() -> int:
    from nemorun_cli.supervisor import process  # noqa: PLC0415 - in the forked process alone
    from nemorun_cli.system import crashpoints  # noqa: PLC0415 - the same

    if crashpoints.VARIABLE in os.environ:
        importlib.reload(crashpoints)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor
    return process.main()


def _show(environ: Mapping[str, str]) -> None:
    """Have /proc show this environment: it reads the memory in which the process found its own."""
    text = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in environ.items())
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    start, end = (int(fields[number - 3]) for number in (50, 51))  # env_start and env_end, in proc(5)
    assert len(text) <= end - start, "the environment of a test is longer than ROOM"
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
