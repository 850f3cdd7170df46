"""The description of the server's API as an OpenAPI document, made from the table of endpoints.

Answers that are documents of the commands have the JSON Schemas that the package publishes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse

from nemorun_cli.serve.api_summaries import SUMMARIES
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.refusals import FORMAT as ERROR_FORMAT
from nemorun_cli.spec.schema import walk
from nemorun_cli.system import files
from nemorun_cli.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from nemorun_cli.serve.site import Site

PATH: Final = "/v1/openapi.json"
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_LOCAL: Final = "#/$defs/"
_ERROR: Final = {
    "type": "object",
    "required": ["format", "code", "message", "hint"],
    "properties": {
        "format": {"const": ERROR_FORMAT},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "hint": {"type": ["string", "null"]},
    },
}


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoint of the document, which needs no token: it describes the program and no data."""
    del site
    return [Endpoint(PATH, ("GET", "HEAD"), _answer, needs=None)]


async def _answer(request: Request) -> JSONResponse:
    """This description of the API."""
    return JSONResponse(document(request.app.state.endpoints))


def document(table: Iterable[Endpoint]) -> dict[str, Any]:
    """The description of all endpoints, as OpenAPI 3.1.

    Args:
        table: the endpoints of a server.
    """
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        described = paths.setdefault(_PARAMETER.sub(r"{\1}", endpoint.path), {})
        for method in endpoint.methods:
            described[method.lower()] = _operation(endpoint, method)
    names = sorted({each.schema for each in SUMMARIES.values() if each.schema is not None})
    return {
        "openapi": "3.1.0",
        "info": {"title": "exp", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"error": _ERROR, **{name: _schema(name) for name in names}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, method: str) -> dict[str, Any]:
    summary = SUMMARIES[f"{'GET' if method == 'HEAD' else method}:{endpoint.path}"]
    success: dict[str, Any] = {"description": "as asked for"}
    if summary.schema is not None and method != "HEAD":
        success["content"] = {"application/json": {"schema": _reference(summary.schema)}}
    refused = {"application/json": {"schema": _reference("error")}} if method != "HEAD" else {}
    operation: dict[str, Any] = {
        "summary": summary.sentence,
        "operationId": f"{method.lower()} {endpoint.path}",
        "security": [] if endpoint.needs is None else [{"token": []}],
        "responses": {
            "2XX": success,
            "304": {"description": "unchanged"},
            "4XX": {"description": "refused", "content": refused},
            "5XX": {"description": "failed", "content": refused},
        },
        "x-scope": None if endpoint.needs is None else endpoint.needs.value,
        "x-largest-body": endpoint.largest_body,
    }
    if parameters := _PARAMETER.findall(endpoint.path):
        operation["parameters"] = [
            {"name": each, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for each in parameters
        ]
    if method in _WITH_BODY:
        operation["requestBody"] = {
            "content": {"application/json": {"schema": {}}, "application/octet-stream": {"schema": {}}}
        }
    return operation


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(name: str) -> Any:
    """A published schema, whose references lead to its own place in the document."""
    text = files.read_bytes(walk.folder() / f"{name}.schema.json").decode()
    schema = json.loads(text.replace(f'"{_LOCAL}', f'"#/components/schemas/{name}/$defs/'))
    return {key: value for key, value in schema.items() if key not in {"$schema", "$id"}}
