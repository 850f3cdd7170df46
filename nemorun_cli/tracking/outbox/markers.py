"""The outbox of a folder of records: what its sender is to ship, and its latest state.

Programs talk to the sender through these files alone, so that nothing that it does slows or ends them. The
standard library alone is imported here.
"""

from __future__ import annotations

import contextlib
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
    def starting(self) -> str:
        """Locked while a sender starts, until it has its own lock."""
        return f"{self.folder}/starting"

    @property
    def waking(self) -> str:
        """A file whose change has a sender that waits after an error try again at once."""
        return f"{self.folder}/wake"

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


def in_home(home: str, url: str) -> str:
    """The folder of records that are kept only until the server has them (`dash_root=None`)."""
    return f"{home}/{HOME_FOLDER}/{encode_name(url)}/records"


def marker(outbox: Outbox, name: str) -> str:
    """The file of a marker."""
    return f"{outbox.pending}/{name}.json"


def acknowledged_file(outbox: Outbox, prefix: str) -> str:
    """The file of the sizes of a record's files that the server has."""
    return f"{outbox.acknowledged}/{short_name(prefix)}.json"


def short_name(text: str) -> str:
    """A prefix as the name of one file, also if it is long."""
    import hashlib  # noqa: PLC0415 - only programs with a server need it

    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def mark(outbox: Outbox, name: str, **marker_fields: Any) -> None:
    """Ask the sender to ship something.

    Args:
        outbox: of the root and the server.
        name: unique among all markers that there ever were, such as the id of the opening; safe as a file
            name. What changes now can then not be lost with the marker of an earlier change.
        marker_fields: `prefix` for a record; `experiment` (its folder) for an experiment; and what else is
            known.
    """
    prepare(outbox)
    write_whole(marker(outbox, name), json.dumps(marker_fields).encode())


def prepare(outbox: Outbox) -> None:
    """Create the folder of the outbox, which names its server, unless it exists."""
    make_folder(outbox.pending)
    if not os.path.exists(outbox.server):
        write_whole(outbox.server, json.dumps({"format": FORMAT, "url": outbox.url}).encode())


def wake(outbox: Outbox) -> None:
    """Have a sender that waits after an error try again at once."""
    with contextlib.suppress(OSError):
        write_whole(outbox.waking, b"")
