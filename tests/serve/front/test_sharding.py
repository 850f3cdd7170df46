"""Several collectors behind one proxy, as the guide on sizing has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.nginx_proxy import EXAMPLE, nginx_proxy
from support.served import served

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("vision.exp.example.org", "speech.exp.example.org")
FILE = "/.record/metrics/a%252Fb%2525/0001-a.jsonl"
"""The metric `a/b%`, whose folder on disk is `a%2Fb%25`."""


def test_two_collectors_share_a_proxy(tmp_path: Path) -> None:
    """Each owner's records are on the server of the name that they use, under the paths that were sent."""
    for name in NAMES:
        (tmp_path / name).mkdir()
    options = [("--behind-proxy", "--allowed-host", name) for name in NAMES]
    with (
        served(tmp_path / NAMES[0], *options[0]) as vision,
        served(tmp_path / NAMES[1], *options[1]) as speech,
        nginx_proxy(
            tmp_path, vision.port, speech.port, example=EXAMPLE.with_name("nginx-sharded.conf"), names=NAMES
        ) as proxy,
    ):
        for server, name, user in ((vision, NAMES[0], "alice"), (speech, NAMES[1], "bob")):
            token, connection = server.add_token(user), proxy.connect(name)
            row = f'{{"_ts": 1.0, "by": "{user}"}}\n'.encode()
            for offset in (0, len(row), 0):
                headers = {"Upload-Offset": str(offset)}
                sent = server.ask(
                    "PATCH",
                    f"/v1/records/{user}/p/x{FILE}",
                    token=token,
                    headers=headers,
                    body=row,
                    connection=connection,
                )
                assert sent.status == 200, sent
            kept = server.own.parent / user / "p/x/.record/metrics/a%2Fb%25/0001-a.jsonl"
            assert kept.read_bytes() == row * 2
            other = speech if server is vision else vision
            assert not (other.own.parent / user).exists()
            stranger = proxy.connect(NAMES[0] if server is speech else NAMES[1])
            asked = other.ask("GET", f"/v1/records/{user}/p/x{FILE}", token=token, connection=stranger)
            assert asked.status == 401  # a token is good for the server that made it
            connection.close()
            stranger.close()
