"""Requests that are repeated, reordered, cut and sent by two at once, and a server that dies between them."""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support import replica_sites
from support.extent import IS_LONG, amount

from nemorun_cli.serve.store import replica_addresses, root_folder
from nemorun_cli.serve.store.replica_store import ReplicaPart, ReplicaStore
from nemorun_cli.serve.store.store_refusal import StoreRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_SENT = 400  # bytes of one request
CONTENT = random.Random(1).randbytes(3000)  # noqa: S311 - the same each time
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


def outcome(call: Callable[[], T]) -> tuple[T | None, int]:
    """What a call returns; or None, and the offset at which it was refused."""
    try:
        return call(), 0
    except StoreRefusal as error:
        refusal = error
    assert (refusal.status, refusal.code) == (409, "offset")
    assert refusal.offset is not None
    return None, refusal.offset


class Interleavings(RuleBasedStateMachine):
    """A file of rows that grows and a content, two senders, and two servers on one folder."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
        root_folder.prepare(self.folder)
        replica = replica_addresses.record_at(self.folder, "alice/p/x")
        self.rows = replica_addresses.file_of(replica, "metrics/loss/0001-a.jsonl")
        self.content = replica_addresses.file_of(replica, f"blobs/{CHECKSUM[:2]}/{CHECKSUM}")
        self.local = b""
        self.servers = [self.server(), self.server()]
        self.requests: list[tuple[int, bytes]] = []
        self.acknowledged = 0

    def server(self) -> ReplicaStore:
        """A server process that has just started."""
        return ReplicaStore(replica_sites.site(self.folder))

    def copy(self) -> bytes:
        """The server's bytes of the rows."""
        path = Path(self.rows.full)
        return path.read_bytes() if path.exists() else b""

    @rule(lines=st.lists(st.text("ab{}", max_size=30), min_size=1, max_size=5))
    def append(self, lines: list[str]) -> None:
        """The program logs."""
        self.local += "".join(f"{line}\n" for line in lines).encode()

    @rule(data=st.data())
    def make_request(self, data: st.DataObject) -> None:
        """A sender reads a part of the file, from wherever it believes the server to be."""
        offset = data.draw(st.integers(0, len(self.local)))
        end = data.draw(st.integers(offset, min(len(self.local), offset + MOST_SENT)))
        self.requests.append((offset, self.local[offset:end]))

    @rule(which=st.integers(0, 1), number=st.integers(0, 100))
    def deliver(self, which: int, number: int) -> None:
        """One of the requests arrives, for the first time or again, in any order."""
        if not self.requests:
            return
        offset, data = self.requests[number % len(self.requests)]
        end, refused_at = outcome(lambda: self.servers[which].append(self.rows, data, offset=offset))
        if end is None:
            assert refused_at == len(self.copy())
        else:
            assert end == offset + len(data) <= len(self.copy())
            self.acknowledged = max(self.acknowledged, end)

    @rule(which=st.integers(0, 1), numbers=st.lists(st.integers(0, 100), max_size=5))
    def deliver_together(self, which: int, numbers: list[int]) -> None:
        """Some of the requests arrive as one, each answered by itself."""
        chosen = [self.requests[number % len(self.requests)] for number in numbers if self.requests]
        parts = [ReplicaPart(self.rows, data, offset) for offset, data in chosen]
        for (offset, data), end in zip(chosen, self.servers[which].write(parts), strict=True):
            if isinstance(end, int):
                assert end == offset + len(data) <= len(self.copy())
                self.acknowledged = max(self.acknowledged, end)
            else:
                assert (end.status, end.code) == (409, "offset")

    @rule(which=st.integers(0, 1), offset=st.integers(0, len(CONTENT)), size=st.integers(1, 2000))
    def receive(self, which: int, offset: int, size: int) -> None:
        """A part of the content arrives, from a sender that may be behind or ahead."""
        block = CONTENT[offset : offset + size]
        server = self.servers[which]
        outcome(lambda: server.receive(self.content, block, offset=offset, total=len(CONTENT)))
        outcome(lambda: server.received(self.content, total=len(CONTENT)))

    @rule(which=st.integers(0, 1), torn=st.integers(0, 50))
    def die(self, which: int, torn: int) -> None:
        """A server is killed, in the middle of a write or not, and started again."""
        path = Path(self.rows.full)
        if path.exists():
            with path.open("ab") as stream:
                stream.write(self.local[len(self.copy()) :][:torn])
        self.servers[which] = self.server()

    @invariant()
    def copies_are_the_first_bytes(self) -> None:
        """What the server has is always the begin of the original; what it acknowledged, it has."""
        assert self.local.startswith(self.copy())
        assert len(self.copy()) >= self.acknowledged
        path = Path(self.content.full)
        assert not path.exists() or path.read_bytes() == CONTENT

    def teardown(self) -> None:
        """After quiet, both are equal, and nothing else is on the server."""
        try:
            self.deliver_all()
            assert self.copy() == self.local
            assert Path(self.content.full).read_bytes() == CONTENT
            kept = [path for path in self.folder.rglob("*") if path.is_file() and "locks" not in path.parts]
            assert sorted(map(str, kept)) == sorted([self.content.full, self.rows.full])
        finally:
            shutil.rmtree(self.folder)

    def deliver_all(self) -> None:
        """A sender delivers the rest as the protocol has it: it continues where the answers name."""
        server, offset = self.servers[0], 0
        for _ in range(2 + len(self.local) // MOST_SENT):  # the first answer names the offset
            data = self.local[offset : offset + MOST_SENT]
            end, refused_at = outcome(partial(server.append, self.rows, data, offset=offset))
            offset = refused_at if end is None else end
        server.append(self.rows, b"", offset=offset)
        state = server.content(self.content)
        at = state.size if state else 0
        for _ in range(1 + len(CONTENT) // 700):
            server.receive(self.content, CONTENT[at : at + 700], offset=at, total=len(CONTENT))
            at = server.received(self.content, total=len(CONTENT)).size


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=amount(40, long=600), stateful_step_count=amount(30, long=60), derandomize=not IS_LONG
)
