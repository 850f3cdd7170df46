"""A server of replicas alone: the endpoints, callers by their tokens' names, and what they have changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


if __name__ == "__main__":  # python -m support.replica_sites ROOT: prints its port, and serves
    import socket

    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - who started it reads this
        config = uvicorn.Config(
            app(site(Path(sys.argv[1]))), log_level="error", access_log=False, lifespan="off"
        )
        uvicorn.Server(config).run(sockets=[listener])
