"""One server for the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.served import Served, served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that collects, with a token that may read and write."""
    with served(tmp_path_factory.mktemp("served")) as running:
        running.token = running.add_token()
        yield running
