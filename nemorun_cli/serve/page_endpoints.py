"""The pages: to sign in, to approve a login, and a list of records and experiments.

They and their script are files of the package. They contain nothing that needs a token; their script asks for
it, and sends it with each request.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.system import files

if TYPE_CHECKING:
    from starlette.requests import Request

    from nemorun_cli.serve.site import Site

FOLDER: Final = Path(__file__).with_name("pages")
PAGES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/device": ("device.html", "text/html; charset=utf-8"),
    "/static/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/static/page.css": ("page.css", "text/css; charset=utf-8"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}


def endpoints(site: Site) -> list[Endpoint]:
    """One endpoint for each file."""
    del site
    return [
        Endpoint(path, ("GET", "HEAD"), _PageFile(files.read_bytes(FOLDER / name), kind).answer, needs=None)
        for path, (name, kind) in PAGES.items()
    ]


class _PageFile:
    """A file of the pages, kept in memory."""

    def __init__(self, content: bytes, kind: str) -> None:
        self._content = content
        self._kind = kind
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'

    async def answer(self, request: Request) -> Response:
        """The file; nothing but its tag if the browser has it."""
        headers = {"ETag": self._tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type=self._kind, headers=headers)
