"""The gate under load: it waits where ML-Dash's clients would fail, and never for a file."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from support.asgi import ask
from support.patience import eventually

from nemorun_cli.serve import limits, refused_clients, request_slots
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.site import Site
from nemorun_cli.serve.tokens import Tokens
from nemorun_cli.system import locks

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.applications import Starlette

LIST = "/v1/records/alice/a/.record"


@pytest.fixture
def app(tmp_path: Path) -> Starlette:
    """A server that collects."""
    site = Site(root=tmp_path, home=tmp_path / "home", dash_roots=(), own=tmp_path / ".server")
    return make_app(site, hosts=())


def bearer(app: Starlette) -> dict[str, str]:
    """The header with a new token of alice."""
    return {"authorization": f"Bearer {app.state.access.tokens.add('alice').secret}"}


async def beyond(app: Starlette, count: int) -> list[int]:
    """The answers to this many requests of ML-Dash's, beyond those that a token may make at once.

    The others end when as many as may wait do.
    """
    headers, release = bearer(app), asyncio.Event()
    link = partial(ask, app, "POST", "/v1/link", headers=headers, until=release)
    held = [asyncio.create_task(link()) for _ in range(limits.MOST_REQUESTS)]
    await asyncio.sleep(0)
    turns = [asyncio.create_task(ask(app, "GET", "/api/nodes/x", headers=headers)) for _ in range(count)]
    await asyncio.wait(turns, timeout=0.5)
    early = [turn.result() for turn in turns if turn.done()]
    assert all(answer.header("retry-after") is None for answer in early)
    release.set()
    await asyncio.gather(*held)
    late = [await turn for turn in turns]
    return [len(early), *(answer.status for answer in late)]


def test_clients_of_ml_dash_wait_for_their_turn(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below `/api` a request beyond the number is answered once another one ends; as many wait."""
    monkeypatch.setattr(limits, "MOST_REQUESTS", 2)
    assert asyncio.run(beyond(app, 3)) == [1, 404, 404, 429]


def test_a_turn_that_does_not_come_is_a_refusal(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited for long gets 429, without `Retry-After`, before its client gives up."""
    monkeypatch.setattr(limits, "MOST_REQUESTS", 2)
    monkeypatch.setattr(request_slots, "PATIENCE", 0.01)
    assert asyncio.run(beyond(app, 2)) == [2, 429, 429]


def test_a_flood_of_one_address_speeds_nobody_up(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests of one address are refused, the refusal of another one's waits."""
    monkeypatch.setattr(refused_clients, "DELAY", 0.5)

    async def flooded() -> float:
        flood = [
            asyncio.create_task(ask(app, "GET", "/api/nodes/x", client="192.0.2.1"))
            for _ in range(refused_clients.MOST_WAITING + 10)
        ]
        await asyncio.sleep(0)
        begin = time.monotonic()
        assert (await ask(app, "GET", "/api/nodes/x", client="192.0.2.2")).status == 401
        took = time.monotonic() - begin
        assert {answer.status for answer in await asyncio.gather(*flood)} == {401}
        return took

    assert asyncio.run(flooded()) >= 0.5


def test_requests_wait_for_no_note(app: Starlette, tmp_path: Path) -> None:
    """While another process holds the file of uses, requests are answered; the use is noted afterwards."""
    headers = bearer(app)
    lock = locks.take(tmp_path / ".server/token-uses.json.lock")
    assert lock is not None

    async def asked() -> None:
        async with asyncio.timeout(8):  # the patience of the lock is longer
            await asyncio.sleep(0)
            assert (await ask(app, "GET", LIST, headers=headers)).status == 404
            await asyncio.sleep(0.1)  # the thread waits for the lock
            assert (await ask(app, "GET", LIST, headers=headers)).status == 404
        os.close(lock)
        await asyncio.to_thread(eventually, Tokens(tmp_path / ".server").uses)

    asyncio.run(asked())
