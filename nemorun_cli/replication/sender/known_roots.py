"""The folders of records from which something is sent, wherever they are: senders note them in the home."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING, Final

from nemorun_cli.errors import ExpError
from nemorun_cli.storage.paths import Home
from nemorun_cli.system.files import make_folder, read_bytes, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.tracking.outbox.markers import Outbox

FOLDER: Final = "roots"  # in the folder of the home's outboxes
LARGEST: Final = 1 << 14  # bytes of a note


def note(outbox: Outbox) -> None:
    """Note the folder of an outbox; without a home that can be written, it must be named to `exp sync`."""
    with contextlib.suppress(OSError, ExpError):
        folder = _folder()
        make_folder(folder)
        write_whole(_path(folder, outbox), json.dumps({"outbox": outbox.folder}).encode())


def forget(outbox: Outbox) -> None:
    """Forget an outbox from which all has arrived."""
    with contextlib.suppress(OSError, ExpError):
        os.unlink(_path(_folder(), outbox))


def known() -> Iterator[str]:
    """The folders of records whose outboxes are noted and still exist."""
    try:
        folder = _folder()
        names = sorted(os.listdir(folder))
    except (OSError, ExpError):
        return
    for name in names:
        try:
            note = json.loads(read_bytes(f"{folder}/{name}", limit=LARGEST, follows_link=False))
            outbox = note["outbox"]
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            continue
        if isinstance(outbox, str) and os.path.isabs(outbox) and os.path.isdir(outbox):
            yield os.path.dirname(os.path.dirname(outbox))


def _folder() -> str:
    return str(Home.from_environment().outbox / FOLDER)


def _path(folder: str, outbox: Outbox) -> str:
    digest = hashlib.sha256(outbox.folder.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{folder}/{digest}.json"
