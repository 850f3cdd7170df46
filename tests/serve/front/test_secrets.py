"""Secrets of experiments, which no answer of a server contains."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.served import served

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Exp

SECRET = "correct-horse-battery-42"  # noqa: S105 - to be found nowhere
SPEC = """
name: keeper
tasks:
  show:
    secrets: {TOKEN: {env: KEEPERS_TOKEN}}
    inline: |
      echo "the token is $TOKEN"
      echo "$TOKEN" >> "$EXP_OUTPUT"
      exit 3
"""
VIEWS = (
    *("", "/status", "/show", "/graph", "/events", "/why", "/spec", "/timeline", "/files"),
    *("/log/outline?task=show", "/log/find?task=show&text=token", "/log?task=show"),
)
GUESSES = (SECRET, SECRET[:8], "horse")


def test_no_answer_contains_a_secret(exp: Exp, tmp_path: Path) -> None:
    """A secret that a task printed and gave as output is masked in each view, and cannot be searched for."""
    exp("run", exp.spec(SPEC), env={"KEEPERS_TOKEN": SECRET}, code=1)
    with served(tmp_path, home=exp.home, environment={"KEEPERS_TOKEN": SECRET}) as server:
        token = server.add_token()
        listed = server.ask("GET", "/v1/views/experiments", token=token).json["experiments"]
        (entry,) = listed
        place = "/".join((entry.get("owner") or "-", entry.get("home") or "-", entry["id"]))
        answers = [server.ask("GET", f"/v1/views/experiments/{place}{view}", token=token) for view in VIEWS]
        guesses = [
            server.ask("GET", f"/v1/views/experiments/{place}/log/find?task=show&text={guess}", token=token)
            for guess in GUESSES
        ]
    assert [answer.json["count"] for answer in guesses] == [0] * len(GUESSES)
    assert [answer.status for answer in answers] == [200] * len(VIEWS), answers
    assert answers[-1].body == b"the token is " + b"*" * len(SECRET) + b"\n"
    assert not any(SECRET.encode() in answer.body for answer in answers)
    assert SECRET not in json.dumps(listed)
