"""The entry point of the command `exp`, and of `python -m nemorun_cli`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line; gives the exit code."""
    from nemorun_cli.cli import run  # noqa: PLC0415 - so that Ctrl-C during the slow imports is met by `main` too

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
