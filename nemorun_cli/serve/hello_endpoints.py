"""`GET /v1/hello`: which server this is, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse

from nemorun_cli.model import clock
from nemorun_cli.replication import protocol
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.version import __version__

if TYPE_CHECKING:
    from starlette.requests import Request

    from nemorun_cli.serve.site import Site

HELLO_FORMAT: Final = "exp.hello/1"


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoint, which needs no token."""
    del site
    return [Endpoint("/v1/hello", ("GET",), _hello, needs=None)]


async def _hello(request: Request) -> JSONResponse:
    """The server's version, protocols, time and limits."""
    site: Site = request.app.state.site
    limits = {"batch": protocol.LARGEST_BATCH, "file": site.largest_file, "row": protocol.LARGEST_ROW}
    return JSONResponse(
        {
            "format": HELLO_FORMAT,
            "server": "exp",
            "version": __version__,
            "protocols": list(protocol.PROTOCOLS),
            "extensions": [protocol.BATCHES],
            "time": clock.stamp(),
            "limits": limits,
        }
    )
