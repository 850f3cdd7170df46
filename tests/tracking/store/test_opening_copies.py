from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nemorun_cli.tracking import Experiment
from nemorun_cli.tracking.store import sessions


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The opening of a record with a server whose program was killed."""
    monkeypatch.setenv("EXP_TASK", "t")  # a task asks no server, and starts no sender
    monkeypatch.setenv("EXP_ID", "e")
    experiment = Experiment("alice/copies/a", dash_root=tmp_path, dash_url="http://127.0.0.1:9")
    experiment.run.start()
    assert experiment.id is not None
    path = Path(experiment.place.opening(experiment.id))
    data = path.read_bytes()
    experiment.run.complete()
    os.truncate(path, len(data))
    return path


def facts(path: Path, *identity: Any) -> dict[str, Any]:
    """The first line of an opening, with other words for its identity."""
    first: dict[str, Any] = json.loads(path.read_bytes())
    return {**first, "file": [*identity]} if identity else first


def test_the_own_opening_is_known_after_its_disk_was_mounted_again(killed: Path) -> None:
    """A disk that is mounted again may have another number of its device: its openings are no copies."""
    device, number, system = facts(killed)["file"]
    assert not sessions.is_copy(str(killed), facts(killed))
    assert not sessions.is_copy(str(killed), facts(killed, device + 1, number, system))
    assert sessions.is_copy(str(killed), facts(killed, device + 1, number, f"{system}0"))
    assert sessions.is_copy(str(killed), facts(killed, device, number + 1, system))
    assert sessions.is_copy(str(killed), facts(killed, device + 1, number))  # as older versions wrote it
    assert not sessions.is_copy(str(killed), facts(killed, device, number))


def test_a_copied_file_is_a_copy(killed: Path, tmp_path: Path) -> None:
    """The same bytes in another file are not what the program had open."""
    shutil.copy(killed, tmp_path / "copy.jsonl")
    assert sessions.is_copy(str(tmp_path / "copy.jsonl"), facts(killed))
