"""The description of the API, and the server against requests that are made from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis
import pytest
import schemathesis
from requests import Request
from requests.exceptions import InvalidHeader
from support.asgi import HOST, Reply, ask
from support.extent import amount
from support.formats import checked
from support.view_sites import replica

from nemorun_cli.serve import openapi
from nemorun_cli.serve.api_inputs import BODIES, PARAMETERS
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

RECORD = "alice/p/x"  # every second request is about it

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
    """A server with one record."""
    folder: Path = tmp_path_factory.mktemp("site")
    replica(folder, RECORD, rows={"loss": [{"loss": step / 10, "step": step} for step in range(20)]})
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


def test_the_parameters_are_those_that_are_taken(app: Starlette) -> None:
    """The document names exactly the parameters that a view takes, with their types and limits."""
    token = app.state.access.tokens.add("alice", scopes=frozenset(Scope)).secret
    paths = openapi.document(app.state.endpoints)["paths"]
    views = [path for path in paths if path.startswith("/v1/views/") and "get" in paths[path]]

    async def known(path: str) -> set[str]:
        address = re.sub(r"\{\w+\}", "a", path)
        reply = await ask(app, "GET", f"{address}?no=1", headers={"authorization": f"Bearer {token}"})
        assert reply.status == 400, path
        return set(reply.json["hint"].removeprefix("there are: ").split(", ")) - {""}

    for path in views:
        named = {each["name"] for each in paths[path]["get"].get("parameters", []) if each["in"] == "query"}
        assert named == asyncio.run(known(path)), path
    assert len(views) > 15
    assert set(PARAMETERS) | set(BODIES) <= {each.path for each in app.state.endpoints}


def test_hello_says_what_the_server_takes(app: Starlette, site: Site) -> None:
    """`GET /v1/hello` needs no token and names versions, the time and the limits."""
    document = checked(asyncio.run(ask(app, "GET", "/v1/hello")).json)
    assert document["server"] == "exp"
    assert document["protocols"] == ["1.0"]
    assert document["extensions"] == ["batches"]
    assert document["limits"] == {"batch": 1 << 20, "file": site.largest_file, "row": 1 << 29}


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

    @hypothesis.seed(7)
    @hypothesis.settings(max_examples=number, database=None, phases=[hypothesis.Phase.generate])
    @hypothesis.given(operation.as_strategy())
    def collect(case: Any) -> None:
        if "prefix" in case.path_parameters and len(found) % 2 == 0:
            case.path_parameters["prefix"] = RECORD
        arguments = case.as_transport_kwargs(base_url=f"http://{HOST}")
        arguments.pop("cookies", None)
        with contextlib.suppress(UnicodeError, InvalidHeader):  # which no client can send
            request = Request(**arguments).prepare()
            request.url = str(request.url).replace(quote(RECORD, safe=""), RECORD)
            found.append(request)

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
