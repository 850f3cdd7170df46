"""A real server for the programs of this folder; their senders end with their test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.senders import end_senders
from support.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.served import Served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A collector; `token` is alice's."""
    with served(tmp_path_factory.mktemp("server")) as running:
        running.token = running.add_token("alice")
        yield running


@pytest.fixture
def alice(server: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """Alice is logged in to the server, by the environment, and it is the default one."""
    monkeypatch.setenv("EXP_DASH_URL", server.url)
    monkeypatch.setenv("EXP_TOKEN", server.token)
    yield server
    end_senders(tmp_path)
