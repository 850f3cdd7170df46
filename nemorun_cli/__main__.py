"""The entry point of `exp` and of `python -m nemorun_cli`."""

from __future__ import annotations

import gc
import sys

from nemorun_cli.cli import terminal
from nemorun_cli.supervisor import client

STARTING = ("run", "resume")  # commands that start a supervisor
NOT_STARTING = {"--dry-run", "--direct", "--help", "-h"}  # options with which they start none
GARBAGE_AFTER = 50_000  # objects: more frequent collections double the time for ten thousand tasks
# Modules that run user code in this process: user code may need a regular exit, with its exit handlers.
RUN_USER_CODE = {"nemorun_cli.experiment.direct", "nemorun_cli.plugins"}


def main() -> int:
    """Run the command line; return the exit code."""
    terminal.secure_descriptors()
    gc.set_threshold(GARBAGE_AFTER)
    argv = sys.argv[1:]
    try:
        if argv[:1] and argv[0] in STARTING and not NOT_STARTING & set(argv):
            client.prepare()  # the supervisor takes as long to start as the rest of this command
        from nemorun_cli.cli.app import run  # noqa: PLC0415 - slow to import; the supervisor starts meanwhile

        code = run(argv)
    except KeyboardInterrupt:
        return terminal.INTERRUPTED
    finally:
        client.dismiss()
    if RUN_USER_CODE.isdisjoint(sys.modules):
        terminal.leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
