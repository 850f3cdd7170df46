"""The endpoints of ML-Dash's API: `/api/…` and `/graphql`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.json_bodies import parsed_object
from nemorun_cli.serve.mldash import file_nodes, graph_queries, node_ids, nodes, record_requests
from nemorun_cli.serve.mldash.adapter import Adapter
from nemorun_cli.serve.mldash.answers import answer, refusal
from nemorun_cli.serve.mldash.node_ids import NodeKind
from nemorun_cli.serve.store import store_refusal
from nemorun_cli.serve.store.store_refusal import StoreRefusal
from nemorun_cli.tracking.store.json_values import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.site import Site

LARGEST_APPEND: Final = 256 << 20  # bytes: a client that was offline sends a whole track in one body
LARGEST_JSON: Final = 1 << 20  # bytes of other bodies
MULTIPART: Final = 1 << 20  # bytes around an uploaded file


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of ML-Dash's API on a server."""
    api = _Api(Adapter(site))
    return [
        Endpoint("/graphql", ("POST",), api.graphql, Scope.READ),
        Endpoint("/api/search/files", ("GET",), api.search, Scope.READ),
        Endpoint(
            "/api/namespaces/{namespace}/nodes",
            ("POST",),
            api.create,
            Scope.WRITE,
            site.largest_file + MULTIPART,
        ),
        Endpoint("/api/nodes/{id}/download", ("GET",), api.download, Scope.READ),
        Endpoint("/api/nodes/{id}", ("GET",), api.show, Scope.READ),
        Endpoint("/api/nodes/{id}", ("PATCH", "DELETE"), api.change, Scope.WRITE),
        Endpoint("/api/projects/{id}", ("DELETE",), api.remove, Scope.WRITE),
        Endpoint("/api/experiments/{rest:path}", ("GET",), api.record, Scope.READ),
        Endpoint("/api/experiments/{rest:path}", ("POST",), api.record, Scope.WRITE, LARGEST_APPEND),
    ]


class _Api:
    """The handlers, each for one address."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter

    async def graphql(self, request: Request) -> Response:
        body = await _object(request)
        self._adapter.attach(request)
        return answer(await self._adapter.run(graph_queries.respond, self._adapter, request, body))

    async def create(self, request: Request) -> Response:
        namespace = node_ids.checked_prefix(request.path_params["namespace"], least=1)
        if request.headers.get("content-type", "").startswith("multipart/"):
            return await self._writing(request, lambda: file_nodes.upload(self._adapter, request, namespace))
        fields = await _object(request)
        return await self._writing(
            request, lambda: self._adapter.run(nodes.create, self._adapter, request, namespace, fields)
        )

    async def show(self, request: Request) -> Response:
        identity = node_ids.parsed(request.path_params["id"])
        return await self._adapter.run(nodes.show, self._adapter, request, identity)

    async def download(self, request: Request) -> Response:
        identity = node_ids.parsed(request.path_params["id"], NodeKind.FILE)
        self._adapter.require_read(request, identity.prefix)
        place = self._adapter.records.place(identity.prefix)
        return await self._adapter.run(file_nodes.download, place, identity)

    async def change(self, request: Request) -> Response:
        if request.method == "DELETE":
            identity = node_ids.parsed(request.path_params["id"], NodeKind.FILE)
            self._adapter.require_write(request, identity.prefix)
            who = self._adapter.sender(request)
            return await self._writing(
                request, lambda: self._adapter.run(file_nodes.delete, self._adapter, identity, who)
            )
        identity = node_ids.parsed(request.path_params["id"])
        fields = await _object(request)
        return await self._writing(
            request, lambda: self._adapter.run(nodes.change, self._adapter, request, identity, fields)
        )

    async def remove(self, request: Request) -> Response:
        identity = node_ids.parsed(request.path_params["id"], NodeKind.PROJECT)
        return await self._writing(
            request, lambda: self._adapter.run(nodes.remove_project, self._adapter, request, identity)
        )

    async def search(self, request: Request) -> Response:
        query = request.query_params
        prefix = node_ids.parsed(query.get("experimentId"), NodeKind.EXPERIMENT).prefix
        self._adapter.require_read(request, prefix)
        place = self._adapter.records.place(prefix)
        return await self._adapter.run(file_nodes.search, place, query.get("pattern", "**/*"))

    async def record(self, request: Request) -> Response:
        identity, _, rest = _raw_rest(request).partition("/")
        return await self._writing(
            request, lambda: record_requests.handle(self._adapter, request, identity, rest)
        )

    async def _writing(self, request: Request, act: Callable[[], Awaitable[Response]]) -> Response:
        self._adapter.attach(request)
        try:
            return await act()
        except StoreRefusal as refused:
            return refusal(refused.status, refused.code, refused.message, hint=refused.hint)
        except OSError as error:
            fault = store_refusal.of_error(error, "the record")
            return refusal(fault.status, fault.code, fault.message, hint=fault.hint)


def _raw_rest(request: Request) -> str:
    """What follows `/api/experiments/` in the address as it was sent, with the query.

    A metric's name is not quoted by the clients: a `?` in it begins the query of the address.
    """
    raw = bytes(request.scope["raw_path"]).partition(b"?")[0]
    path = raw.partition(b"/api/experiments/")[2].decode("latin-1")
    query = bytes(request.scope.get("query_string", b"")).decode("latin-1")
    return f"{path}?{query}" if query else path


async def _object(request: Request) -> dict[str, Any]:
    size, chunks = 0, []
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_JSON:
            raise InvalidValueError(f"the body has more than {LARGEST_JSON:,} bytes")
        chunks.append(chunk)
    return parsed_object(b"".join(chunks), deepest=MAX_DEPTH, is_strict=False)
