"""`python -P -m nemorun_cli.replication.sender OUTBOX_FOLDER`: ships what is marked there."""

from __future__ import annotations

import sys

from nemorun_cli.replication.sender.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
