"""Whole replicas: what is in one, a new one, and one that is moved to the server's trash."""

from __future__ import annotations

import errno
import json
import os
import time
from typing import TYPE_CHECKING, Final

from nemorun_cli.model import clock
from nemorun_cli.serve.store.replica_addresses import kind_of
from nemorun_cli.serve.store.root_folder import OWN, TRASH
from nemorun_cli.serve.store.store_refusal import StoreRefusal, not_found
from nemorun_cli.system import trees
from nemorun_cli.system.files import (
    FOLDER_MODE,
    IS_LINK,
    RefusedFileError,
    entered,
    is_behind_link,
    make_folder,
    sync,
    sync_entries,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nemorun_cli.serve.store.replica_addresses import Replica

TRASH_FORMAT: Final = "exp.server-trash/1"
ORIGIN: Final = "origin.json"


def listed(replica: Replica) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The regular files of a replica that have a known shape, by their paths in it.

    Raises:
        StoreRefusal: there is no such replica.
        OSError: it is behind a link.
    """
    _require_folder(replica)
    skipped = len(replica.folder) + 1
    for visit in trees.walk(replica.folder):
        for entry in visit.entries:
            path = visit.path(entry.name)[skipped:]
            if entry.is_file(follow_symlinks=False) and kind_of(path, is_record=replica.is_record):
                yield path, entry


def create(replica: Replica) -> None:
    """Create the folder of a record that does not exist yet, for a program that wants no other's record.

    Raises:
        StoreRefusal: it exists.
        OSError: the disk is full or faulty.
    """
    above, _, name = replica.folder.rpartition("/")
    with entered(above, inside=replica.root, creates=True, durable=set()) as folder:
        try:
            os.mkdir(name, FOLDER_MODE, dir_fd=folder)
        except FileExistsError:
            raise StoreRefusal(
                409,
                "exists",
                f"there is a record {replica.prefix} on this server",
                hint="use another prefix, or resume='allow'",
            ) from None
        sync_entries(folder)


def discard(replica: Replica, *, user: str) -> str:
    """Move a replica to the server's trash.

    Args:
        replica: the copy.
        user: who wants this, for the note in the trash.

    Returns:
        The folder in the trash.

    Raises:
        StoreRefusal: there is no such replica.
        OSError: it is behind a link, or the disk is full or faulty.
    """
    _require_folder(replica)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = f"{replica.root}/{OWN}/{TRASH}/{replica.owner}/{stamp}-{os.urandom(6).hex()}"
    make_folder(folder)
    origin = {
        "format": TRASH_FORMAT,
        "folder": replica.folder[len(replica.root) + 1 :],
        "user": user,
        "time": clock.stamp(),
    }
    write_whole(f"{folder}/{ORIGIN}", json.dumps(origin).encode(), is_durable=True)
    above, _, name = replica.folder.rpartition("/")
    try:
        with entered(above, inside=replica.root) as original, entered(folder, inside=replica.root) as target:
            os.rename(name, name.lstrip("."), src_dir_fd=original, dst_dir_fd=target)
            sync_entries(target)
            sync_entries(original)
    except FileNotFoundError:  # another request was first
        raise not_found(replica.prefix) from None
    sync(os.path.dirname(folder))  # noqa: PTH120 - a text
    return folder


def _require_folder(replica: Replica) -> None:
    if is_behind_link(replica.folder, inside=replica.root):
        raise RefusedFileError(errno.ELOOP, IS_LINK, replica.folder)
    if not os.path.isdir(replica.folder):  # noqa: PTH112 - a text
        raise not_found(replica.prefix)
