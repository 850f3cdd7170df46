"""The process that evaluates expressions: `python -m nemorun_cli.spec.expressions.helper_process`.

It reads requests from the socket that is its standard input, one line each, and answers each of them. Its
child does the work, because only a signal that is not handled ends a loop in C: the kernel kills a child
that exceeds a limit, and the next one is a fork of this process, which needs no file of the package. So
it works after an upgrade or a removal of `exp`.
"""

from __future__ import annotations

import difflib  # noqa: F401 - the sandbox would import it later
import importlib
import mmap
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Final

from nemorun_cli.spec.expressions import limits, sandbox, wire
from nemorun_cli.spec.expressions.syntax import TemplateError

LATE: Final = ("jinja2.debug", "nemorun_cli.model.plain_text")  # what the sandbox imports when it needs it

_KILLED: Final = {
    signal.SIGPROF: f"it takes more than {limits.PROCESSOR_TIME:g} s of processor time",
    signal.SIGALRM: f"it does not end within {limits.TIME:g} s",
}

_HINT: Final = "compute it in a task, and use its output"


def main() -> None:
    """Answer requests until the other end of the socket is closed."""
    for name in LATE:
        importlib.import_module(name)
    is_working = mmap.mmap(-1, 1)  # shared with the child: 1 while it has a request
    with socket.socket(fileno=0) as channel:
        while True:
            pid = os.fork()
            if not pid:
                _serve(channel, is_working)
            _, status = os.waitpid(pid, 0)
            if status == 0:
                return
            if is_working[0]:
                is_working[0] = 0
                channel.sendall(
                    wire.encode({"error": f"cannot be evaluated: {_reason(status)}", "hint": _HINT})
                )
            elif os.WIFEXITED(status):
                return  # it cannot even read a request, which a further fork would not change


def _reason(status: int) -> str:
    if os.WIFEXITED(status):
        return "its process failed"
    number = signal.Signals(os.WTERMSIG(status))
    return _KILLED.get(number) or f"its process was terminated by {number.name}"


def _serve(channel: socket.socket, is_working: mmap.mmap) -> None:
    """Answer requests in a child, within the limits; never returns."""
    code = 1
    try:
        _limit()
        with channel.makefile("rb") as requests:
            while line := requests.readline():
                is_working[0] = 1
                _start_timers()
                answer = _answer(line)
                _stop_timers()
                is_working[0] = 0
                channel.sendall(answer)
        code = 0
    finally:
        os._exit(code)


def _answer(line: bytes) -> bytes:
    request = wire.decode(line)
    try:
        return wire.encode({"value": sandbox.evaluate(request["code"], request["names"])})
    except TemplateError as fault:
        return wire.encode({"error": fault.message, "hint": fault.hint})
    except MemoryError:
        return wire.encode({"error": "cannot be evaluated: it needs too much memory"})
    except RecursionError:
        return wire.encode({"error": "cannot be evaluated: its value is nested too deeply"})


def _limit() -> None:
    signals = (signal.SIGPROF, signal.SIGALRM)
    for number in signals:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    most = pages * resource.getpagesize() + limits.MEMORY
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start_timers() -> None:
    signal.setitimer(signal.ITIMER_PROF, limits.PROCESSOR_TIME)
    signal.setitimer(signal.ITIMER_REAL, limits.TIME)


def _stop_timers() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
