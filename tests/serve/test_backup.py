"""The three lines of the guide that back a server up and restore it, while it writes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

from support import replica_sites
from support.served import EXP

from nemorun_cli.serve.store import replica_addresses
from nemorun_cli.serve.store.replica_store import ReplicaStore

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "server-sizing.md"
ROW = b'{"_ts": 1.0, "value": 0.5}\n'
CONTENT = b"weights" * 1000


def lines_of_guide(root: Path, copy: Path) -> list[str]:
    """The three commands, for these folders."""
    found = re.search(
        r"<!-- three lines -->\n```bash\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    text = (
        found[1]
        .replace("/srv/exp", str(root))
        .replace("/backup/exp", str(copy))
        .replace("exp serve", f"{EXP} serve")
    )
    return text.splitlines()


def test_three_lines_back_a_server_up(tmp_path: Path) -> None:
    """A copy that is made while a server writes is restored to a sound one, and senders continue there."""
    root, copy = tmp_path / "collected", tmp_path / "copy"
    replica_sites.client(replica_sites.site(root))
    store = ReplicaStore(replica_sites.site(root))
    replica = replica_addresses.record_at(root, "alice/p/x")
    checksum = hashlib.sha256(CONTENT).hexdigest()
    content = replica_addresses.file_of(replica, f"blobs/{checksum[:2]}/{checksum}")
    store.receive(content, CONTENT, offset=0, total=len(CONTENT))
    store.received(content, total=len(CONTENT))
    rows = [replica_addresses.file_of(replica, f"metrics/m{number}/0001-a.jsonl") for number in range(3)]
    sizes = dict.fromkeys(rows, 0)
    begun, stop = threading.Event(), threading.Event()

    def log() -> None:
        """Append to each file in turn, with torn lines."""
        while not stop.is_set():
            for file in rows:
                sizes[file] = store.append(file, (ROW * 2)[sizes[file] % len(ROW) :][:20], offset=sizes[file])
            begun.set()

    writer = threading.Thread(target=log)
    writer.start()
    try:
        begun.wait()
        backup, restore, check = lines_of_guide(root, copy)
        run(backup)
    finally:
        stop.set()
        writer.join()
    shutil.rmtree(root)
    root.mkdir(mode=0o700)
    run(restore)
    run(check)
    restored = ReplicaStore(replica_sites.site(root))
    for file, size in sizes.items():
        original = (ROW * (size // len(ROW) + 1))[:size]
        kept = restored.size(file).size
        assert Path(file.full).read_bytes() == original[:kept]
        restored.append(file, original[kept:], offset=kept)
        assert Path(file.full).read_bytes() == original
    assert restored.size(content).is_complete


def run(command: str) -> None:
    """Run a line in a shell; it succeeds."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr
