"""What containers use, asked of an engine that answers as it likes; the contract asks a real one."""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.patience import eventually

from nemorun_cli.executors.docker import stats
from nemorun_cli.executors.docker.client import Engine
from nemorun_cli.executors.docker.stats import ContainerStats

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


KEY = ("a", 1)
PREFIX = "alice/vision/boxed"
OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


class Listening:
    """A socket in the place of an engine's, and the requests about one container that are made there."""

    def __init__(self, path: Path, *, backlog: int = 8) -> None:
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(backlog)
        self._selector = selectors.DefaultSelector()
        self.stats = ContainerStats(self._selector)
        self._engine = Engine(f"unix://{path}")

    def ask(self, key: tuple[str, int] = KEY) -> None:
        """Ask about a container that runs for 10 s."""
        self.stats.ask(self._engine, key, "c0ffee", since=time.monotonic() - 10)

    def answer(self, data: bytes) -> None:
        """Answer the next request with this, in two parts."""
        connection, _ = self.server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(data[:60])
            self.read()
            with contextlib.suppress(BrokenPipeError):  # a refusal is not read to its end
                connection.sendall(data[60:])

    def read(self) -> None:
        """Read what has arrived, as a poll does."""
        for ready, _ in self._selector.select(0.05):
            self.stats.read(ready.data)

    def close(self) -> None:
        """End the requests and the server."""
        self.stats.close()
        self._selector.close()
        self.server.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """A server that takes connections."""
    with contextlib.closing(Listening(tmp_path / "s")) as listening:
        yield listening


def document(seconds: float, **memory: Any) -> bytes:
    """An answer about a container with so much CPU time."""
    usage = {"cpu_usage": {"total_usage": int(seconds * 1e9)}}
    return OK + json.dumps({"cpu_stats": usage, "memory_stats": memory}).encode()


def test_answers_are_samples(listening: Listening) -> None:
    """CPU is that since the start, then since the last sample; memory is without inactive pages of files."""
    answers = [
        document(5.0, usage=1000, stats={"inactive_file": 300}),
        document(5.0, usage=1000, stats={"total_inactive_file": 400, "inactive_file": 1}),
    ]
    for answer in answers:
        listening.ask()
        listening.ask()  # one at a time
        listening.answer(answer)
        eventually(lambda: listening.read() or listening.stats.due is None)
        sample = listening.stats.take()[KEY]
        expected = (0.5, 700) if answer is answers[0] else (0.0, 600)
        assert (sample.cpu, sample.memory) == (pytest.approx(expected[0], abs=0.05), expected[1])
        assert abs(sample.time - time.time()) < 5
    assert listening.stats.take() == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 404 Not Found\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n",
        OK + b"{not json",
        OK + b'{"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {}}',
        OK + b"[]",
        OK[:20],
        b"no HTTP\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_an_answer_without_numbers_is_no_sample(listening: Listening, answer: bytes) -> None:
    """A container that has ended, or another server, gives none, and the next question is asked."""
    listening.ask()
    listening.answer(answer.ljust(61))
    eventually(lambda: listening.read() or listening.stats.due is None)
    assert listening.stats.take() == {}
    listening.ask()
    assert listening.stats.due is not None


def test_an_engine_that_does_not_answer_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a full queue of connections nor a missing answer makes a call wait; requests are given up."""
    monkeypatch.setattr(stats, "STATS_PATIENCE", 0.2)
    with contextlib.closing(Listening(tmp_path / "s", backlog=1)) as listening:
        begun = time.monotonic()
        for number in range(10):
            listening.ask(("a", number))
        assert time.monotonic() - begun < 2
        assert listening.stats.due is not None
        eventually(lambda: listening.stats.expire() or listening.stats.due is None)
        assert listening.stats.take() == {}
