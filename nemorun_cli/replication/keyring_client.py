"""The keyring of the user, asked through another process that cannot keep this one waiting."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Final, NamedTuple

from nemorun_cli.replication import keyring_process

PATIENCE: Final = 10.0  # seconds for an answer where no user is present
LONG_PATIENCE: Final = 90.0  # seconds for a user who unlocks it in a window
_LONGEST_REASON: Final = 200  # characters


class KeyringAnswer(NamedTuple):
    """What the keyring answered.

    Attributes:
        state: a state of `keyring_process`.
        token: what is stored; None if nothing is.
        reason: why not, for people.
    """

    state: str
    token: str | None = None
    reason: str = ""


def read(address: str) -> KeyringAnswer:
    """The token that is stored for a server."""
    return _ask("get", address, patience=PATIENCE)


def store(address: str, token: str) -> KeyringAnswer:
    """Store the token of a server; its user may be asked to unlock the keyring."""
    return _ask("set", address, token, patience=LONG_PATIENCE)


def remove(address: str) -> KeyringAnswer:
    """Remove the token of a server."""
    return _ask("delete", address, patience=PATIENCE)


def _ask(action: str, address: str, token: str = "", *, patience: float) -> KeyringAnswer:
    if importlib.util.find_spec("keyring") is None:
        return KeyringAnswer(keyring_process.NO_KEYRING, reason=keyring_process.NO_PACKAGE)
    command = [sys.executable, "-P", "-m", keyring_process.__name__, action, address]
    try:
        done = subprocess.run(
            command, input=token, text=True, capture_output=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        reason = f"the keyring is locked, or did not answer within {patience:.0f} s"
        return KeyringAnswer(keyring_process.LOCKED, reason=reason)
    except OSError as error:
        return KeyringAnswer(keyring_process.BROKEN, reason=f"no process could be started: {error}")
    try:
        answer = json.loads(done.stdout)
        return KeyringAnswer(answer["state"], answer.get("token"), answer.get("reason", "")[:_LONGEST_REASON])
    except (ValueError, KeyError):
        last = done.stderr.strip().rpartition("\n")[2][:_LONGEST_REASON]
        return KeyringAnswer(
            keyring_process.BROKEN, reason=f"the keyring ended with {done.returncode}: {last}"
        )
