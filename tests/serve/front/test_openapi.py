"""The description of the API, and the server against requests that are made from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from requests import Request
from requests.exceptions import InvalidHeader
from support.asgi import HOST, Reply, ask
from support.extent import amount
from support.formats import checked

from nemorun_cli.serve import openapi
from nemorun_cli.serve.api_summaries import SUMMARIES
from nemorun_cli.serve.app import endpoints, make_app
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from requests import PreparedRequest
    from starlette.applications import Starlette

LEFT_OUT = ("/v1/live", "/v1/live/{stream}", "/v1/logout")
"""Streams, which do not end by themselves, and what ends the token of the test."""

WATCHED: list[str] = []
"""While it is not empty: what the process does that a server must not do."""
ACTS = {"subprocess.Popen", "os.exec", "os.fork", "os.posix_spawn", "os.system", "socket.connect"}


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """Note what is started and where to connections are opened; a hook that Python never removes."""
    if WATCHED and event in ACTS:
        WATCHED.append(f"{event} {arguments!r}")


sys.addaudithook(watch)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An empty server."""
    folder: Path = tmp_path_factory.mktemp("site")
    return Site(root=folder, home=folder / "home", dash_roots=(), own=folder / ".server")


@pytest.fixture(scope="module")
def app(site: Site) -> Starlette:
    """Its application."""
    return make_app(site, hosts=("testserver",))


def test_every_endpoint_is_described(site: Site, app: Starlette) -> None:
    """The document names each endpoint with its methods, what it needs, and a sentence about it."""
    reply = asyncio.run(ask(app, "GET", openapi.PATH, headers={"accept-encoding": "gzip"}))
    assert reply.header("content-encoding") == "gzip"
    document = asyncio.run(ask(app, "GET", openapi.PATH)).json
    for endpoint in endpoints(site):
        described = document["paths"][re.sub(r"\{(\w+)(:\w+)?\}", r"{\1}", endpoint.path)]
        for method in endpoint.methods:
            operation = described[method.lower()]
            assert operation["summary"].endswith("."), endpoint
            assert bool(operation["security"]) == (endpoint.needs is not None)
            assert operation["x-scope"] == (endpoint.needs.value if endpoint.needs else None)
    count = sum(len(each) for each in document["paths"].values())
    assert count == sum(len(each.methods) for each in endpoints(site))
    schemas = document["components"]["schemas"]
    assert {name for each in SUMMARIES.values() for name in each.schemas} < schemas.keys()
    methods = {f"{method}:{each.path}" for each in endpoints(site) for method in each.methods}
    assert SUMMARIES.keys() == {each for each in methods if not each.startswith("HEAD:")}


def test_hello_says_what_the_server_takes(app: Starlette, site: Site) -> None:
    """`GET /v1/hello` needs no token and names versions, the time and the limits."""
    document = checked(asyncio.run(ask(app, "GET", "/v1/hello")).json)
    assert document["server"] == "exp"
    assert document["protocols"] == ["1.0"]
    assert document["limits"] == {"batch": 1 << 20, "file": site.largest_file, "row": 1 << 20}


def test_requests_of_any_kind_are_answered(app: Starlette) -> None:
    """Whatever is sent to any endpoint gets an answer of a documented form; nothing is started or fetched."""
    token = app.state.access.tokens.add("alice", scopes=frozenset(Scope)).secret
    document = json.loads(json.dumps(openapi.document(app.state.endpoints)))
    for path in LEFT_OUT:
        del document["paths"][path]
    operations = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    requests = [made for each in operations for made in prepared(each, amount(1, long=200))]
    WATCHED.append("begin")
    replies = asyncio.run(answered(app, requests, token))
    seen, WATCHED[:] = WATCHED[1:], []
    faults = [
        (request.method, request.url, reply.status, reply.body[:300])
        for request, reply in zip(requests, replies, strict=True)
        if reply.status >= 500 or not is_documented(reply)
    ]
    assert len(requests) >= len(operations)
    assert faults == []
    assert seen == [], "a program was started, or a connection opened"


def is_documented(reply: Reply) -> bool:
    """Whether an error has the form that the description names, or that of the device flow."""
    if reply.status < 400 or not reply.body:
        return True
    return "error" in reply.json or {"format", "code", "message", "hint"} <= reply.json.keys()


def prepared(operation: Any, number: int) -> list[PreparedRequest]:
    """Requests for one operation, as a client would send them."""
    found: list[PreparedRequest] = []

    @hypothesis.settings(max_examples=number, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(operation.as_strategy())
    def collect(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url=f"http://{HOST}")
        arguments.pop("cookies", None)
        with contextlib.suppress(UnicodeError, InvalidHeader):  # which no client can send
            found.append(Request(**arguments).prepare())

    collect()
    return found


async def answered(app: Starlette, requests: list[PreparedRequest], token: str) -> list[Reply]:
    """The answers to requests with a token, one after the other."""
    replies = []
    for request in requests:
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers |= {"host": HOST, "authorization": f"Bearer {token}"}
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else body
        target = (request.path_url or "/").encode("ascii", "ignore").decode()
        replies.append(await ask(app, str(request.method), target, headers=headers, body=bytes(data)))
    return replies
