"""A token that is revoked while a program runs, and a new login."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.patience import eventually
from support.programs import Program
from support.senders import differences, end_senders, replica

from nemorun_cli.serve.tokens import Tokens

if TYPE_CHECKING:
    from support.served import Served
    from support.workspace import Exp

TRAINING = """
    import time, pathlib
    e = Experiment("alice/renewed/n", dash_root=root, dash_url=True)
    e.run.start()
    for step in (1, 2):
        e.metrics("train").log(step=step)
        e.metrics("train").flush()
        print(step, flush=True)
        while not pathlib.Path(f"{root}/go-{step}").exists():
            time.sleep(0.02)
    e.run.complete()
    """


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No keyring, and no token of the machine that runs the tests."""
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    for name in ("EXP_TOKEN", "EXP_TOKEN_FILE", "EXP_DASH_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_new_login_is_used_without_a_restart(server: Served, exp: Exp) -> None:
    """When its token is revoked, a sender keeps everything, and continues after `exp login`."""
    token, secret = Tokens(server.own).add("alice")
    exp("login", server.url, "--token-stdin", stdin=secret)
    root = exp.home / "dash"
    root.mkdir()
    programs = Program(root, exp.folder)
    training = programs.until(TRAINING, "1", NEMORUN_HOME=str(exp.home))
    there = replica(server, "alice/renewed/n")

    def arrived(step: int) -> bool:
        files = there.rglob("metrics/*/*.jsonl")
        return any(f'"step":{step}' in file.read_text().replace(" ", "") for file in files)

    def problem() -> str | None:
        states = [json.loads(path.read_text()) for path in root.glob(".outbox/*/state.json")]
        return next((state["error"]["code"] for state in states if state["error"]), None)

    eventually(lambda: arrived(1))
    Tokens(server.own).revoke([token.id])
    Path(root / "go-1").touch()
    eventually(lambda: problem() == "unauthorized")
    assert not arrived(2)
    exp("login", server.url, "--token-stdin", stdin=server.token)
    eventually(lambda: arrived(2))
    Path(root / "go-2").touch()
    assert training.wait(20) == 0
    eventually(lambda: not differences(root / "alice/renewed/n/.record", there))
    programs.end()
    end_senders(exp.home)
