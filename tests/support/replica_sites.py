"""A server of replicas alone: the endpoints, callers by their tokens' names, and what they have changed."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from nemorun_cli.serve import replica_endpoints
from nemorun_cli.serve.caller import Caller, Scope
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from starlette.requests import Request

    from nemorun_cli.serve.endpoints import Endpoint, Handler


class OwnersWrite:
    """Everybody reads; the first part of a prefix is who writes."""

    def may_read(self, caller: Caller, prefix: str) -> bool:
        """Whether this caller may read what is below a prefix."""
        return bool(caller and prefix)

    def may_write(self, caller: Caller, prefix: str) -> bool:
        """Whether this caller may write there."""
        return prefix.startswith(f"{caller.user}/")


class ChangeList:
    """The changes that the endpoints report."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def record(self, prefix: str, path: str = "") -> None:
        """A file of a record was written."""
        self.seen.append((prefix, path))

    def experiment(self, owner: str, home: str, experiment_id: str, path: str = "") -> None:
        """A file of an experiment was written."""
        self.seen.append((owner, home, experiment_id, path))


def site(root: Path, **settings: Any) -> Site:
    """A server that collects in a folder."""
    return Site(root=root, home=root, dash_roots=(), own=root / ".server", **settings)


def app(served: Site) -> Starlette:
    """The endpoints as an application; the token is the name of the user."""
    made = Starlette(routes=[_route(endpoint) for endpoint in replica_endpoints.endpoints(served)])
    made.state.site, made.state.access, made.state.changes = served, OwnersWrite(), ChangeList()
    return made


def _route(endpoint: Endpoint) -> Route:
    async def handle(request: Request, *, handler: Handler = endpoint.handler) -> Response:
        user = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not user:
            return Response(status_code=401)
        request.state.caller = Caller(user, frozenset(Scope), (f"{user}/**",), "id")
        return await handler(request)

    return Route(endpoint.path, handle, methods=list(endpoint.methods))


def client(served: Site, user: str = "alice") -> TestClient:
    """A client without a socket."""
    return TestClient(app(served), headers={"Authorization": f"Bearer {user}"})


class ReplicaServer:
    """A server process of its own on a folder of replicas.

    Args:
        root: the folder.
        settings: of its site, such as `quota=1000`.
    """

    def __init__(self, root: Path, **settings: int) -> None:
        self._argv = [sys.executable, "-m", "support.replica_sites", str(root), json.dumps(settings)]
        self.start()

    def start(self) -> None:
        """Start it, on a port of its own."""
        folder = str(Path(__file__).parents[1])
        self.process = subprocess.Popen(self._argv, stdout=subprocess.PIPE, text=True, cwd=folder)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        """End it as SIGKILL does, at once."""
        self.process.kill()
        self.process.communicate()

    def connection(self) -> HTTPConnection:
        """A new connection to it."""
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> HTTPAnswer:
        """Alice's request, on a connection of its own."""
        connection = self.connection()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"Authorization": "Bearer alice", **named})
            answer = connection.getresponse()
            return HTTPAnswer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def cut(self, method: str, path: str, body: bytes, *, at: int, **headers: str) -> None:
        """Send the first bytes of the body of a request, and close the connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Authorization: Bearer alice"]
        lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in named.items())]
        with socket.create_connection(("127.0.0.1", self.port)) as stream:
            stream.sendall("\r\n".join([*lines, "", ""]).encode() + body[:at])

    def memory(self) -> int:
        """The most memory that it has had, in bytes."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024


class HTTPAnswer(NamedTuple):
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def offset(self) -> int:
        """Where the client continues."""
        return int(self.headers["upload-offset"])

    @property
    def code(self) -> str:
        """Why it was refused."""
        return str(json.loads(self.body)["code"])


if __name__ == "__main__":  # python -m support.replica_sites ROOT SETTINGS: prints its port, and serves
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - who started it reads this
        served = app(site(Path(sys.argv[1]), **json.loads(sys.argv[2])))
        config = uvicorn.Config(served, log_level="error", access_log=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listener])
