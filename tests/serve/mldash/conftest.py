"""A real server, and ML-Dash's real clients with tokens for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.ml_dash_clients import VERSIONS, MlDashClient, client
from support.ml_dash_collector import Collector
from support.served import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """One server for all these tests."""
    folder = tmp_path_factory.mktemp("collector")
    with served(folder) as running:
        yield Collector(running, folder / "root", running.add_token("alice"))


@pytest.fixture(params=list(VERSIONS))
def ml_dash(request: pytest.FixtureRequest, tmp_path: Path, collector: Collector) -> MlDashClient:
    """Each version of the client, with a token of alice."""
    made = client(request.param, tmp_path / "home")
    made.use_token(collector.token)
    return made
