"""Has a change of an experiment sent to the server that its spec names, by a marker in the home's outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nemorun_cli.errors import LedgerError
from nemorun_cli.storage.paths import Home

if TYPE_CHECKING:
    from nemorun_cli.storage.paths import ExperimentFiles


def announce(files: ExperimentFiles, server: str, *, starts_sender: bool = True) -> str | None:
    """Have what an experiment has written sent; returns why that cannot be, or None.

    In a task no sender is started: the task's supervisor has one, and the token.
    """
    from nemorun_cli.tracking.outbox import addresses, markers, sender_process  # noqa: PLC0415 - with a server only
    from nemorun_cli.tracking.store import record_paths  # noqa: PLC0415 - the same

    outbox = markers.of_home(str(files.home), server)
    try:
        markers.mark(outbox, f"{files.id}-{record_paths.unique()}", experiment=str(files.directory))
    except OSError as error:
        return f"{files.id} is not sent to {server}: {error.strerror}"
    if starts_sender and not addresses.in_task():
        sender_process.ensure(outbox)
    return None


def changed(files: ExperimentFiles) -> None:
    """The same if its spec names a server; costs nothing in a home from which nothing is sent."""
    if not Home(files.home).outbox.is_dir():
        return
    from nemorun_cli.storage import spec_copies  # noqa: PLC0415 - few homes have a server

    try:
        server = spec_copies.read_spec(files).server
    except LedgerError:
        return  # what reads the experiment reports it
    if server is not None:
        announce(files, server)
