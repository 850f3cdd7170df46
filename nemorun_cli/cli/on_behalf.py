"""`python -P -m nemorun_cli.cli.on_behalf`: a command that a user of a server asked for, in its own process.

The first line of standard input is a JSON object with the user (`by`) and the words of the command (`words`):
so neither is in the list of processes. What follows is the standard input of the command.
"""

from __future__ import annotations

import json
import sys

from nemorun_cli.cli import app, terminal
from nemorun_cli.system import user


def main() -> int:
    """Run the command, and return its exit code."""
    asked = json.loads(sys.stdin.buffer.readline())
    user.act_for(asked["by"])
    sys.argv = [terminal.PROGRAM, *asked["words"]]
    return app.run(asked["words"])


if __name__ == "__main__":
    sys.exit(main())
