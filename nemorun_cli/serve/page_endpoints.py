"""The page: one document for all of its views, and the parts that it loads.

They contain nothing that needs a token; the page's script asks for it, and sends it with each request.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from starlette.responses import PlainTextResponse, Response

from nemorun_cli import page
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.refusals import refusal, unauthorized
from nemorun_cli.system import files

if TYPE_CHECKING:
    from starlette.requests import Request

    from nemorun_cli.serve.site import Site

VIEWS: Final = (
    "/",
    "/experiments",
    "/experiments/{rest:path}",
    "/records",
    "/records/{rest:path}",
    "/compare",
    "/device",
)
"""The addresses that are views of the page; its script reads the rest of them."""
DOCUMENT: Final = "index.html"
KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".md": "text/plain; charset=utf-8",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
NOT_BUILT: Final = "The page is not built. In a clone: cd web && npm ci && npm run build\n"


def endpoints(site: Site) -> list[Endpoint]:
    """One endpoint for each view, and one for all parts."""
    del site
    built = _Built()
    return [
        *(Endpoint(path, ("GET", "HEAD"), built.document, needs=None) for path in VIEWS),
        Endpoint("/static/{name}", ("GET", "HEAD"), built.part, needs=None),
    ]


class _Built:
    """The built files, kept in memory."""

    def __init__(self) -> None:
        found = page.STATIC.iterdir() if page.STATIC.is_dir() else ()
        self._files = {
            path.name: _BuiltFile(path.name, files.read_bytes(path)) for path in found if path.suffix in KINDS
        }

    async def document(self, request: Request) -> Response:
        """The document of each view."""
        if DOCUMENT not in self._files:
            return PlainTextResponse(NOT_BUILT, 503)
        return self._files[DOCUMENT].answer(request)

    async def part(self, request: Request) -> Response:
        """A script, a style sheet or an image; what is not there is refused like any unknown path."""
        found = self._files.get(request.path_params["name"])
        if found is not None:
            return found.answer(request)
        if request.app.state.access.known(request.headers.get("authorization")) is None:
            return unauthorized()
        return refusal(404, "not_found", "there is no such part of the page")


class _BuiltFile:
    """One file."""

    def __init__(self, name: str, content: bytes) -> None:
        self._content = content
        self._kind = KINDS[name[name.rindex(".") :]]
        self._tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        has_hash = name.endswith((".js", ".css"))  # in its name: another content has another name
        self._caching = FOR_EVER if has_hash else "no-cache"

    def answer(self, request: Request) -> Response:
        """The file; nothing but its tag if the browser has it."""
        headers = {"ETag": self._tag, "Cache-Control": self._caching}
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type=self._kind, headers=headers)
