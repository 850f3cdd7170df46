"""Quotas while files are counted: nobody waits for a count but the first, and nothing is forgotten."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.view_sites import collector, reading

from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind
from nemorun_cli.serve.store import quotas
from nemorun_cli.serve.store.quotas import FILE_COST, Quotas
from nemorun_cli.serve.store.store_refusal import StoreRefusal
from nemorun_cli.system import trees

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1_000_000


class HeldCount(Quotas):
    """Quotas whose counts wait until a test lets them end.

    Attributes:
        begun: how many counts have begun.
        may_end: lets all of them end.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, LIMIT)
        self.begun = 0
        self.may_end = threading.Event()

    def used(self, owner: str) -> int:  # noqa: D102 - as in the class above
        self.begun += 1
        size = super().used(owner)
        self.may_end.wait(20)
        return size


def test_a_count_keeps_no_writer_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the files of a user are counted again, others and the user write, and one thread counts."""
    (tmp_path / "alice").mkdir()
    (tmp_path / "alice/a").write_bytes(bytes(1000))
    held = HeldCount(tmp_path)
    held.may_end.set()
    held.take("alice", 500_000, is_new=False)
    held.may_end.clear()
    monkeypatch.setattr(quotas, "_VALID", 0.0)
    held._used["alice"].until = 0.0
    begin = time.monotonic()
    for _ in range(4):
        held.take("alice", 100_000, is_new=False)  # what is taken during a count counts, and is refused
    with pytest.raises(StoreRefusal, match="would be too many"):
        held.take("alice", 100_000, is_new=False)
    assert time.monotonic() - begin < 5
    assert held.begun == 2
    held.may_end.set()
    eventually(lambda: not held._used["alice"].is_counting)
    assert held._used["alice"].size == 1000 + FILE_COST + 400_000  # the files, and what was taken meanwhile


def test_the_first_count_is_waited_for_and_no_longer(tmp_path: Path) -> None:
    """Writers wait for the first count of a user together; if it takes long, they are to ask again later."""
    held = HeldCount(tmp_path)
    for _ in range(3):
        with pytest.raises(StoreRefusal) as refused:
            held.prepare("alice", patience=0.01)
        assert (refused.value.status, refused.value.headers) == (503, {"Retry-After": "5"})
    assert held.begun == 1
    taken = partial(held.take, "alice", 10, is_new=True)
    waiting = [threading.Thread(target=taken) for _ in range(2)]
    for thread in waiting:
        thread.start()
    held.may_end.set()
    for thread in waiting:
        thread.join(10)
    assert held.begun == 1
    assert held._used["alice"].size == 2 * (10 + FILE_COST)


def test_a_file_that_vanishes_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are renamed or removed while they are counted are no error."""
    (tmp_path / "alice").mkdir()
    for name in "abc":
        (tmp_path / "alice" / name).write_bytes(b"x")
    walk = trees.walk

    def removing(top: Path | str) -> object:
        for visit in walk(top):
            (tmp_path / "alice/b").unlink(missing_ok=True)
            yield visit

    monkeypatch.setattr(trees, "walk", removing)
    assert Quotas(tmp_path, LIMIT).used("alice") == 2 * (1 + FILE_COST)


def test_a_body_that_is_sent_again_costs_nothing(tmp_path: Path) -> None:
    """A client of ML-Dash that repeats a batch does not come closer to the quota; new rows do."""
    path = f"/api/experiments/{NodeId(NodeKind.EXPERIMENT, 'alice/p/x')}/metrics/m/append-batch"

    def batch(begin: int) -> dict[str, object]:
        return {"dataPoints": [{"v": 0.5, "_ts": float(begin + step)} for step in range(100)]}

    with reading(collector(tmp_path, quota=60_000)) as (alice,):
        for _ in range(40):
            alice.ask("POST", path, body=batch(0))
        answers = [alice.ask("POST", path, body=batch(100 * number), code=None) for number in range(40)]
        codes = [answer.status_code for answer in answers]
        assert codes == sorted(codes)
        assert set(codes) == {200, 507}
