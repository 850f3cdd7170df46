"""A server of the tests' own: the real command in a process of its own, on a port that the kernel chooses."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nemorun_cli.serve.tokens import DEFAULT_SCOPES, Tokens

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nemorun_cli.serve.caller import Scope

EXP: Final = str(Path(sys.executable).with_name("exp"))
PATIENCE: Final = 30.0  # seconds for the start, and for one answer
END_PATIENCE: Final = 10.0  # seconds


class Answered(NamedTuple):
    """An answer: its headers have names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.body)


@dataclass
class Served:
    """A running server.

    Attributes:
        process: of `exp serve`.
        ready: the document that it printed.
        own: the folder of its own files.
        log: its standard error.
    """

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    own: Path
    log: Path
    token: str = field(default="")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.ready["port"])

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.ready["url"])

    def add_token(
        self, user: str = "alice", scopes: Collection[Scope] = DEFAULT_SCOPES, **others: Any
    ) -> str:
        """Make a token."""
        return Tokens(self.own).add(user, scopes=scopes, **others).secret

    def connect(self) -> http.client.HTTPConnection:
        """A new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | str | None = None,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answered:
        """The answer to one request."""
        own = connection or self.connect()
        sent = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        try:
            own.request(method, path, body=body, headers=sent)
            answer = own.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, named, answer.read())
        finally:
            if connection is None:
                own.close()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(END_PATIENCE)


@contextlib.contextmanager
def served(
    folder: Path,
    *options: str,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Served]:
    """A server that collects in the folder, or one that serves a home.

    Args:
        folder: is empty, or has the files of an earlier server.
        options: of the command.
        home: is served; None for a server with a root.
        environment: more variables.
    """
    root, log = folder / "root", folder / f"server-{os.urandom(4).hex()}.log"
    where = () if "--uds" in options or "--port" in options else ("--port", "0")
    what = ("--root", str(root)) if home is None else ()
    argv = [EXP, "serve", "--json", "--log-requests", *where, *what]
    with log.open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*argv, *options],
            env={**os.environ, "NEMORUN_HOME": str(home or folder / "home"), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"it ended: {process.wait(PATIENCE)}, {log.read_text(encoding='utf-8')}"
        own = root / ".server" if home is None else home / "server"
        yield Served(process, json.loads(line), own, log)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(END_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(END_PATIENCE)
        process.stdout.close()
