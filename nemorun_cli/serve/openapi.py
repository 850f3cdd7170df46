"""The description of the server's API as an OpenAPI document, made from the table of endpoints.

Answers that are documents of the commands have the JSON Schemas that the package publishes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse

from nemorun_cli.serve.api_inputs import BODIES, PARAMETERS
from nemorun_cli.serve.api_summaries import SUMMARIES
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.refusals import FORMAT as ERROR_FORMAT
from nemorun_cli.serve.remembered_actions import HEADER, LONGEST_KEY
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
    names = sorted({name for each in SUMMARIES.values() for name in each.schemas})
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
    if (references := [_reference(name) for name in summary.schemas]) and method != "HEAD":
        schema = references[0] if len(references) == 1 else {"anyOf": references}
        success["content"] = {"application/json": {"schema": schema}}
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
    if parameters := [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header(endpoint)]:
        operation["parameters"] = parameters
    if endpoint.path in BODIES:
        operation["requestBody"] = {"content": {"application/json": {"schema": BODIES[endpoint.path]}}}
    elif method in _WITH_BODY:
        operation["requestBody"] = {
            "content": {"application/json": {"schema": {}}, "application/octet-stream": {"schema": {}}}
        }
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in PARAMETERS.get(endpoint.path, {}).items()
    ]


def _header(endpoint: Endpoint) -> list[dict[str, Any]]:
    """The header of actions, by which a double click is one of them."""
    if endpoint.needs is not Scope.CONTROL:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"}
    return [{"name": HEADER, "in": "header", "required": False, "schema": schema}]


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schema(name: str) -> Any:
    """A published schema, whose references lead to its own place in the document."""
    text = files.read_bytes(walk.folder() / f"{name}.schema.json").decode()
    schema = json.loads(text.replace(f'"{_LOCAL}', f'"#/components/schemas/{name}/$defs/'))
    return {key: value for key, value in schema.items() if key not in {"$schema", "$id"}}
