"""The outbox of a folder of records: what its sender is to ship, and its latest state.

Programs talk to the sender through these files alone, so that nothing that it does slows or ends them. The
standard library alone is imported here.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final, NamedTuple

from nemorun_cli.system.files import make_folder, write_whole
from nemorun_cli.tracking.store.record_paths import encode_name

FORMAT: Final = "exp.outbox/1"
FOLDER: Final = ".outbox"  # in a folder of records
HOME_FOLDER: Final = "outbox"  # in NEMORUN_HOME


class Outbox(NamedTuple):
    """The outbox of one root for one server: `folder` has the files, `url` is the address of the server."""

    folder: str
    url: str

    @property
    def pending(self) -> str:
        """The folder of markers."""
        return f"{self.folder}/pending"

    @property
    def acknowledged(self) -> str:
        """The folder of sizes that the server is known to have."""
        return f"{self.folder}/acknowledged"

    @property
    def lock(self) -> str:
        """Locked by the sender as long as it lives."""
        return f"{self.folder}/lock"

    @property
    def state(self) -> str:
        """The latest state of the sender, as JSON."""
        return f"{self.folder}/state.json"

    @property
    def log(self) -> str:
        """The log of the sender."""
        return f"{self.folder}/log"

    @property
    def server(self) -> str:
        """The file that names the server's address."""
        return f"{self.folder}/server.json"


def of_records(root: str, url: str) -> Outbox:
    """The outbox of a folder of records."""
    return Outbox(f"{root}/{FOLDER}/{encode_name(url)}", url)


def of_home(home: str, url: str) -> Outbox:
    """The outbox of a home, for its experiments."""
    return Outbox(f"{home}/{HOME_FOLDER}/{encode_name(url)}", url)


def mark(outbox: Outbox, name: str, **marker: Any) -> None:
    """Ask the sender to ship something.

    Args:
        outbox: of the root and the server.
        name: unique among the markers, such as the id of the opening; safe as a file name.
        marker: `prefix` for a record; `experiment` (its folder) for an experiment; and what else is known.
    """
    make_folder(outbox.pending)
    if not os.path.exists(outbox.server):
        write_whole(outbox.server, json.dumps({"format": FORMAT, "url": outbox.url}).encode())
    write_whole(f"{outbox.pending}/{name}.json", json.dumps(marker).encode())
