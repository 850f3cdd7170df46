"""The entry point of the command `exp`, and of `python -m nemorun_cli`."""

from __future__ import annotations

import gc
import sys

from nemorun_cli.cli import terminal
from nemorun_cli.supervisor import client

STARTING = ("run", "resume")  # commands that need a supervisor
GARBAGE_AFTER = 50_000  # objects: looking for cycles more often doubles the time that ten thousand tasks take
NOT_STARTING = {"--dry-run", "--direct", "--help", "-h"}  # and what makes them do without
# What lets code of users into this process, which may want to be told of its end.
WITH_GUESTS = {"nemorun_cli.experiment.direct", "nemorun_cli.plugins"}


def main() -> int:
    """Run the command line; gives the exit code."""
    terminal.secure_descriptors()
    gc.set_threshold(GARBAGE_AFTER)
    argv = sys.argv[1:]
    try:
        if argv[:1] and argv[0] in STARTING and not NOT_STARTING & set(argv):
            client.prepare()  # it takes as long to get ready as the rest of this command
        from nemorun_cli.cli.app import run  # noqa: PLC0415 - most of the time until the command itself begins

        code = run(argv)
    except KeyboardInterrupt:
        return terminal.INTERRUPTED
    finally:
        client.dismiss()
    if WITH_GUESTS.isdisjoint(sys.modules):
        terminal.leave(code)
    return code


if __name__ == "__main__":
    sys.exit(main())
