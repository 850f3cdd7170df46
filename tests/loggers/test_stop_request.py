"""The stop signal of a task while a trainer runs: only a stop, or a program that asks, changes its effect."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from nemorun_cli import Experiment
from nemorun_cli.loggers import stop_request
from nemorun_cli.loggers.stop_request import StopRequest
from nemorun_cli.storage.paths import ExperimentFiles
from nemorun_cli.tracking.process import exit_hooks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def received() -> Iterator[list[int]]:
    """The signals that the program's own handler received."""
    numbers: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: numbers.append(number))
    yield numbers
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an attempt whose stop signal is USR1."""
    files = ExperimentFiles(tmp_path).attempt("a", 1)
    files.directory.mkdir(parents=True)
    monkeypatch.setenv("EXP_STOP_SIGNAL", "USR1")
    monkeypatch.setenv(stop_request.OUTPUTS, str(files.outputs))
    assert files.stopped == files.outputs.with_name(stop_request.STOPPED)
    return files.directory


def test_only_the_signal_of_a_stop_is_a_request(folder: Path, received: list[int]) -> None:
    """Without the note of a supervisor the program's own handler gets the signal, with it the request."""
    request = StopRequest()
    request.listen()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert (request.is_made, received) == (False, [signal.SIGUSR1])
    (folder / "stopped").touch()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert (request.is_made, len(received)) == (True, 1)
    request.close()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert len(received) == 2


@pytest.mark.usefixtures("folder")
def test_a_program_that_asks_is_asked_to_stop_by_any_signal(
    tmp_path: Path, received: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `should_stop()` each stop signal is a request, of the program and of the trainer."""
    monkeypatch.setattr(exit_hooks, "_stop_is_requested", False)  # it remains true in a process
    with Experiment(prefix="alice/tests/asks", dash_root=tmp_path).run as experiment:
        assert not experiment.should_stop()
        request = StopRequest()
        request.listen()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert request.is_made
        assert experiment.should_stop()
        request.close()
    assert received == []


def test_outside_of_a_task_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training that is no task has the handlers that it had."""
    monkeypatch.delenv(stop_request.OUTPUTS, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    StopRequest().listen()
    assert signal.getsignal(signal.SIGTERM) == before
