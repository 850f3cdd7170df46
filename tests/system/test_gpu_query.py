"""What nvidia-smi answers about memory: what counts, and what becomes of a program that does not end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually

from nemorun_cli.system import children, gpu_query
from nemorun_cli.system.gpu_query import GpuMemory, MemoryQuery, memory_in_use, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEGA = 1 << 20
TWO = "0, GPU-00aa, 100, NVIDIA A100\n1, GPU-00bb, 20, NVIDIA A100\n"
MIXED = "0, GPU-00aa, 100, NVIDIA A100\n1, GPU-00bb, 20, NVIDIA T400, rev 2\n"
UNKNOWN = "0, GPU-00aa, [N/A], NVIDIA A100\n1, GPU-00bb, 20, NVIDIA A100\n"


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (TWO, [(0, 100 * MEGA, "NVIDIA A100"), (1, 20 * MEGA, "NVIDIA A100")]),
        (MIXED, [(0, 100 * MEGA, "NVIDIA A100"), (1, 20 * MEGA, "NVIDIA T400, rev 2")]),
        (UNKNOWN, [(0, None, "NVIDIA A100"), (1, 20 * MEGA, "NVIDIA A100")]),
        ("No devices were found\n", []),
        ("0, GPU-00aa, -5, x\n", [(0, None, "x")]),
        ("0, GPU-00aa, ١٢, x\n", [(0, None, "x")]),
        ("0, GPU-00aa, 99999999999999999999, x\n", [(0, None, "x")]),
        ("0, GPU-00aa, 1.5, x\n0, GPU-00bb\n[GPU is lost], [GPU is lost], 3, x\n\0\n", [(0, None, "x")]),
        ("", []),
    ],
)
def test_rows_of_numbers_count(output: str, found: list[tuple[int, int | None, str]]) -> None:
    """A row has a number, an id and a model; what is no number of memory there is unknown, not zero."""
    assert [(gpu.number, gpu.memory, gpu.model) for gpu in parse(output)] == found


@pytest.mark.parametrize(
    ("output", "wanted", "is_certain", "memory"),
    [
        (TWO, ["0"], True, 100),
        (TWO, ["1"], False, 20),
        (TWO, ["0", "01"], False, 120),
        (TWO, ["GPU-00b"], False, 20),
        (TWO, ["GPU-00"], True, None),
        (TWO, ["2"], True, None),
        (TWO, ["0", "2"], True, None),
        (TWO, ["MIG-00aa"], True, None),
        (TWO, ["MIG-GPU-00aa/1/0"], True, None),
        (MIXED, ["1"], True, 20),
        (MIXED, ["1"], False, None),
        (MIXED, ["GPU-00bb"], False, 20),
        (UNKNOWN, ["0", "1"], True, None),
        (UNKNOWN, ["1"], True, 20),
        ("", ["0"], True, None),
    ],
)
def test_memory_of_the_gpus_of_an_attempt(
    output: str,
    wanted: list[str],
    is_certain: bool,  # noqa: FBT001 - a column of the table
    memory: int | None,
) -> None:
    """It is that of all its GPUs together; unknown if that of one is, or if it is not certain which one."""
    found = memory_in_use(wanted, parse(output), are_numbers_certain=is_certain)
    assert found == (None if memory is None else memory * MEGA)


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program named nvidia-smi, first on PATH."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def answer(query: MemoryQuery | None) -> list[GpuMemory]:
    """What a query found in the end; nothing that it started is left as a child of this process."""
    assert query is not None
    eventually(query.has_ended)
    found = query.gpus()
    with pytest.raises(ChildProcessError):
        os.waitpid(query._process.pid, os.WNOHANG)
    return found


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (f"printf '%s' '{TWO}'", 2),
        (f"printf '%s' '{TWO}'; exit 6", 0),
        (f"printf '%s' '{TWO}'; kill -9 $$", 0),
        ("head -c 3000 /dev/urandom", 0),
        (f"printf '%s' '{TWO}'; sleep 0.3 &", 2),
    ],
)
def test_answer_of_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, count: int
) -> None:
    """A program that failed has answered nothing, and what it left running is not waited for."""
    program(tmp_path, script, monkeypatch)
    assert len(answer(MemoryQuery.start())) == count


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process inherits orphans, as supervisors do."""
    children.inherit_orphans()
    yield
    children.inherit_orphans(enabled=False)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
@pytest.mark.parametrize("script", [f"printf '%s' '{TWO}'; sleep 60 & sleep 60", "yes & wait"])
def test_hanging_program_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subreaper: None, script: str
) -> None:
    """A query that does not end in time is killed, whatever it has written, and no zombie is left."""
    del subreaper
    program(tmp_path, script, monkeypatch)
    monkeypatch.setattr(gpu_query, "PATIENCE", 0.1)
    query = MemoryQuery.start()
    assert query is not None
    assert not query.has_ended()
    assert answer(query) == []
    assert query.seconds >= 0.1
    with pytest.raises(ProcessLookupError):
        os.killpg(query._process.pid, 0)


def test_query_that_is_no_longer_needed_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing a query kills it at once."""
    program(tmp_path, "sleep 60", monkeypatch)
    query = MemoryQuery.start()
    assert query is not None
    query.close()
    assert query.has_ended()
    assert query.seconds < gpu_query.END_WAIT


def test_no_program_is_no_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nvidia-smi, or if it cannot be executed, nothing is asked and nothing fails."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert MemoryQuery.start() is None
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF nothing")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert MemoryQuery.start() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nobody_else_reaps_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays in the session of its caller: the local executor reaps children of other sessions."""
    program(tmp_path, "sleep 60", monkeypatch)
    query = MemoryQuery.start()
    assert query is not None
    pid = query._process.pid
    assert (os.getsid(pid), os.getpgid(pid)) == (os.getsid(0), pid)
    query.close()
