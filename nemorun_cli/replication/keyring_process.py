"""The program that asks the keyring of the user, in a process of its own.

A keyring may open a window and wait for its user, or fail in any way: its caller waits only so long. Tokens
pass through pipes: the arguments of a process can be read by all users of the machine.

    python -P -m nemorun_cli.replication.keyring_process get|set|delete ADDRESS
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

SERVICE: Final = "exp"
NO_PACKAGE: Final = "the package keyring is not installed"
STORED, ABSENT, NO_KEYRING, LOCKED, BROKEN = "stored", "absent", "no keyring", "locked", "broken"


def main(action: str, address: str) -> dict[str, Any]:  # noqa: PLR0911 - one for each way to fail
    """Do it, and return `state`, with `get` also `token`, and a `reason` of a failure."""
    try:
        import keyring  # noqa: PLC0415 - the extra may be absent
        from keyring import errors  # noqa: PLC0415 - the same
    except ImportError:
        return {"state": NO_KEYRING, "reason": NO_PACKAGE}
    try:
        return _act(keyring, action, address)
    except errors.NoKeyringError:
        return {"state": NO_KEYRING, "reason": "this machine has no keyring"}
    except errors.KeyringLocked as error:
        return {"state": LOCKED, "reason": f"the keyring is locked: {error}"}
    except errors.InitError as error:
        return {"state": LOCKED, "reason": f"the keyring cannot be opened: {error}"}
    except errors.PasswordDeleteError:
        return {"state": ABSENT}
    except Exception as error:  # noqa: BLE001 - a backend is a plugin, which may raise anything
        return {"state": BROKEN, "reason": f"the keyring does not work: {type(error).__name__}: {error}"}


def _act(keyring: Any, action: str, address: str) -> dict[str, Any]:
    if action == "set":
        token = sys.stdin.read()
        keyring.set_password(SERVICE, address, token)
        if keyring.get_password(SERVICE, address) != token:
            return {"state": BROKEN, "reason": "the keyring does not keep what it is given"}
        return {"state": STORED}
    if action == "delete":
        keyring.delete_password(SERVICE, address)
        return {"state": ABSENT}
    token = keyring.get_password(SERVICE, address)
    return {"state": ABSENT} if token is None else {"state": STORED, "token": token}


if __name__ == "__main__":
    answer = main(*sys.argv[1:])
    sys.stdout.write(json.dumps(answer))
