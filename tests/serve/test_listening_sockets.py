"""How a server's sockets send answers."""

from __future__ import annotations

import socket

from nemorun_cli.serve.listening import Listening, bound


def test_small_answers_are_not_delayed() -> None:
    """A socket names its protocol, TCP: else asyncio delays each small answer by 40 ms."""
    with bound(Listening(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP
