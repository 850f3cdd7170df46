"""A server with ML-Dash's API in a process of its own, on a port that the kernel chooses.

python tests/support/ml_dash_server.py ROOT ADDRESS_FILE
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn

from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.caller import Caller, Scope
from nemorun_cli.serve.site import Site


class FixedAccess:
    """Every token `NAME-token` is that of the user NAME, except those in the file `revoked`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def caller(self, authorization: str | None) -> Caller | None:
        """The user of a token."""
        secret = (authorization or "").removeprefix("Bearer ")
        revoked = self._root / ".server" / "revoked"
        if not secret.endswith("-token") or (revoked.exists() and secret in revoked.read_text().split()):
            return None
        user = secret.removesuffix("-token")
        return Caller(user, frozenset({Scope.READ, Scope.WRITE}), (f"{user}/**",), secret)

    def may_read(self, caller: Caller, prefix: str) -> bool:
        """Everything."""
        return bool(caller and prefix)

    def may_write(self, caller: Caller, prefix: str) -> bool:
        """What belongs to the user."""
        return prefix.partition("/")[0] == caller.user


def main(root: Path, address_file: Path) -> None:
    """Serve until the process is terminated."""
    site = Site(root=root, home=root / ".home", dash_roots=(), own=root / ".server")
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    app = make_app(site, hosts=(), access=FixedAccess(root))
    aside = address_file.with_suffix(".new")
    aside.write_text(f"http://127.0.0.1:{listener.getsockname()[1]}")
    listener.listen(100)
    aside.replace(address_file)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
