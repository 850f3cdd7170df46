"""The server's ASGI application: the endpoints of all modules behind one gate."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.routing import Route

from nemorun_cli.errors import ExpError, LedgerError
from nemorun_cli.serve import (
    control,
    curve_views,
    experiment_views,
    heard,
    hello_endpoints,
    live,
    login_endpoints,
    openapi,
    page_endpoints,
    record_views,
    replica_endpoints,
)
from nemorun_cli.serve.access import Access
from nemorun_cli.serve.changes import Changes
from nemorun_cli.serve.gate import Gate
from nemorun_cli.serve.mldash import endpoints as mldash_endpoints
from nemorun_cli.serve.refusals import of_error, out_of_order, refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request
    from starlette.responses import Response

    from nemorun_cli.serve.endpoints import Endpoint
    from nemorun_cli.serve.site import Site

MODULES: Final = (
    hello_endpoints,
    page_endpoints,
    openapi,
    login_endpoints,
    replica_endpoints,
    record_views,
    curve_views,
    experiment_views,
    live,
    heard,
    control,
    mldash_endpoints,
)
"""The modules of endpoints, in the order in which a path is looked up."""
SMALL: Final = 1 << 10  # bytes of an answer that is not worth compressing
FAST: Final = 3  # the level of gzip
NOT_COMPRESSED: Final = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream", "text/plain")
"""Of files and logs, ranges of bytes are asked for."""


def make_app(site: Site, *, hosts: Collection[str]) -> Starlette:
    """The application of a server; `app.state` has `site`, `access`, `changes` and `stopping`.

    Args:
        site: what is served.
        hosts: names that requests may give as their host, in addition to loopback names; with a port, only
            that port is accepted.
    """
    table = endpoints(site)
    access = Access(site)
    routes = [Route(each.path, each.handler, methods=each.methods) for each in table]
    stopping = asyncio.Event()
    names = {name.lower() for name in hosts}
    gate = Middleware(Gate, table=table, routes=routes, access=access, hosts=names, stopping=stopping)
    compression = Middleware(
        GZipMiddleware, minimum_size=SMALL, compresslevel=FAST, exclude_content_types=NOT_COMPRESSED
    )
    app = Starlette(
        routes=routes,
        middleware=[gate, compression],
        exception_handlers={HTTPException: _of_status, ExpError: _of_error},
    )
    app.state.site, app.state.stopping = site, stopping
    app.state.access = access
    app.state.changes = Changes()
    app.state.endpoints = table
    return app


def endpoints(site: Site) -> list[Endpoint]:
    """The table of all endpoints."""
    return [each for module in MODULES for each in module.endpoints(site)]


async def _of_status(request: Request, error: Exception) -> Response:
    """The answer for an error of HTTP that a handler raised."""
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for this class
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "_")
    message = error.detail if error.detail != phrase else phrase.lower()
    return refusal(error.status_code, code, message, headers=error.headers)


async def _of_error(request: Request, error: Exception) -> Response:
    """The answer for an error of `exp` that a handler raised."""
    assert isinstance(error, ExpError)  # noqa: S101 - it is registered for this class
    own = str(request.app.state.site.own)
    if isinstance(error, LedgerError) and own in f"{error.message} {error.hint}":
        return out_of_order(error)
    return of_error(error)
