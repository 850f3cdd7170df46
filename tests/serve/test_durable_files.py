"""What a server confirms is on disk with its entry in its folder, also where an inode is used again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nemorun_cli.serve.store import durable_files, replica_addresses
from nemorun_cli.serve.store.durable_files import DurableFiles
from nemorun_cli.system import files

if TYPE_CHECKING:
    from nemorun_cli.serve.store.replica_addresses import ReplicaFile


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that were synced, by their names."""
    seen: list[str] = []
    sync_entries = files.sync_entries

    def noted(folder: int) -> None:
        seen.append(Path(f"/proc/self/fd/{folder}").readlink().name)
        sync_entries(folder)

    monkeypatch.setattr(files, "sync_entries", noted)
    monkeypatch.setattr(durable_files, "sync_entries", noted)
    return seen


def row_file(root: Path, name: str) -> ReplicaFile:
    """A file of rows of a record."""
    replica, path = replica_addresses.of_record(root, ["alice", "p", ".record", "logs", name])
    return replica_addresses.file_of(replica, path)


def test_a_file_with_the_inode_of_another_is_synced(tmp_path: Path, synced: list[str]) -> None:
    """A file that another process put into a folder is synced into it, whichever inode it has."""
    first, second = row_file(tmp_path, "1.jsonl"), row_file(tmp_path, "2.jsonl")
    store = DurableFiles()
    with store.opened(first, creates=True) as descriptor:
        os.write(descriptor, b"{}\n")
    store.confirm(first, Path(first.full).stat())
    Path(first.full).rename(second.full)
    synced.clear()
    store.confirm(second, Path(second.full).stat())
    assert synced == ["logs"]
    store.confirm(second, Path(second.full).stat())
    assert synced == ["logs"]


def test_a_new_file_and_a_new_folder_are_always_synced(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that was removed and is sent again is synced, also if all its inodes are those from before."""
    for module in (files, durable_files):
        monkeypatch.setattr(module, "identity", lambda _: (1, 1))
    file, store = row_file(tmp_path, "1.jsonl"), DurableFiles()
    expected = [tmp_path.name, "alice", "p", ".record", "logs"]
    for count in range(2):
        synced.clear()
        with store.opened(file, creates=True) as descriptor:
            os.write(descriptor, b"{}\n")
        assert synced == expected
        synced.clear()
        with store.opened(file, creates=False):
            assert not synced
        (tmp_path / "alice").rename(tmp_path / f"gone-{count}")
