"""Runs Python programs each in a fork of one interpreter that has imported what they all import.

`python forked_programs.py JSON`: a list of programs, each with `name`, `argv`, `cwd`, `env` and `results`,
the folder for what they print, `NAME.out` and `NAME.err`. Two run at a time. Prints their exit codes as JSON.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

AT_ONCE = 2


def main(programs: list[dict[str, Any]]) -> dict[str, int]:
    """The exit codes of the programs, by name."""
    # Each place has a process that forks its supervisors: two programs cannot read the answers of one.
    free = [(place, warm_supervisors._start()) for place in range(AT_ONCE)]
    running: dict[int, tuple[str, tuple[int, socket.socket]]] = {}
    codes: dict[str, int] = {}
    for program in [*programs, *[None] * AT_ONCE]:
        if not free or program is None:
            pid, status = os.waitpid(-1, 0) if running else (0, 0)
            if pid in running:
                name, place = running.pop(pid)
                codes[name] = os.waitstatus_to_exitcode(status)
                free.append(place)
        if program is not None:
            place = free.pop()
            if (pid := os.fork()) == 0:
                _become(program, place[1])
            running[pid] = program["name"], place
    return codes


def _become(program: dict[str, Any], supervisors: socket.socket) -> None:
    """Run the program in this process, and end as it does: with its exit code, or its uncaught exception."""
    warm_supervisors._servers[os.getpid()] = supervisors
    for stream, ending in ((1, "out"), (2, "err")):
        path = Path(program["results"]) / f"{program['name']}.{ending}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(program["env"])
    os.chdir(program["cwd"])
    sys.argv = list(program["argv"])
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit(0)


if __name__ == "__main__":
    import warm_supervisors

    import nemorun_cli.builder
    import nemorun_cli.cli.run_built
    import nemorun_cli.cli.watch  # noqa: F401 - for the forks
    from nemorun_cli.supervisor import client

    client.spawn = warm_supervisors.spawn
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
