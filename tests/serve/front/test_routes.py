"""All routes: what each needs, and what anybody without it gets."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.asgi import Reply, ask

from nemorun_cli.serve.app import endpoints, make_app
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.refusals import refusal
from nemorun_cli.serve.site import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
SAMPLES = {
    "prefix:path": "alice/a",
    "rest:path": "logs/x",
    "home": "host-00000000",
    "experiment_id": "a-1",
    "name": "icon.svg",
}
ROUTES = """
anybody  GET            /
anybody  GET            /compare
anybody  GET            /device
anybody  GET            /experiments
anybody  GET            /experiments/{rest:path}
anybody  GET            /records
anybody  GET            /records/{rest:path}
anybody  GET            /static/{name}
anybody  GET            /v1/hello
anybody  GET            /v1/openapi.json
anybody  GET            /v1/whoami
anybody  POST           /api/auth/exchange
anybody  POST           /api/device/poll
anybody  POST           /api/device/start
anybody  POST           /v1/logout
anybody  POST           /v1/session
control  POST           /v1/control/experiments/{owner}/{home}/{id}/cancel
control  POST           /v1/control/experiments/{owner}/{home}/{id}/note
control  POST           /v1/control/experiments/{owner}/{home}/{id}/rerun
control  POST           /v1/control/experiments/{owner}/{home}/{id}/resume
control  POST           /v1/control/experiments/{owner}/{home}/{id}/rm
control  POST           /v1/control/experiments/{owner}/{home}/{id}/tag
control  POST           /v1/control/records/{prefix:path}/.record/note
control  POST           /v1/control/records/{prefix:path}/.record/rm
control  POST           /v1/control/records/{prefix:path}/.record/tag
read     GET            /api/experiments/{rest:path}
read     GET            /api/nodes/{id}
read     GET            /api/nodes/{id}/download
read     GET            /api/search/files
read     GET            /v1/experiments/{owner}/{home}/{experiment_id}
read     GET            /v1/experiments/{owner}/{home}/{experiment_id}/{rest:path}
read     GET            /v1/live
read     GET            /v1/records/{prefix:path}/.record
read     GET            /v1/records/{prefix:path}/.record/{rest:path}
read     GET            /v1/views/compare
read     GET            /v1/views/experiments
read     GET            /v1/views/experiments/{owner}/{home}/{id}
read     GET            /v1/views/experiments/{owner}/{home}/{id}/diff
read     GET            /v1/views/experiments/{owner}/{home}/{id}/events
read     GET            /v1/views/experiments/{owner}/{home}/{id}/files
read     GET            /v1/views/experiments/{owner}/{home}/{id}/graph
read     GET            /v1/views/experiments/{owner}/{home}/{id}/log
read     GET            /v1/views/experiments/{owner}/{home}/{id}/log/find
read     GET            /v1/views/experiments/{owner}/{home}/{id}/log/outline
read     GET            /v1/views/experiments/{owner}/{home}/{id}/show
read     GET            /v1/views/experiments/{owner}/{home}/{id}/spec
read     GET            /v1/views/experiments/{owner}/{home}/{id}/status
read     GET            /v1/views/experiments/{owner}/{home}/{id}/search
read     GET            /v1/views/experiments/{owner}/{home}/{id}/timeline
read     GET            /v1/views/experiments/{owner}/{home}/{id}/why
read     GET            /v1/views/records
read     GET            /v1/views/records/{prefix:path}/.record
read     GET            /v1/views/records/{prefix:path}/.record/contents/{checksum}
read     GET            /v1/views/records/{prefix:path}/.record/curve
read     GET            /v1/views/records/{prefix:path}/.record/environment
read     GET            /v1/views/records/{prefix:path}/.record/files
read     GET            /v1/views/records/{prefix:path}/.record/logs
read     GET            /v1/views/records/{prefix:path}/.record/metrics
read     GET            /v1/views/records/{prefix:path}/.record/openings
read     GET            /v1/views/records/{prefix:path}/.record/params
read     GET            /v1/views/records/{prefix:path}/.record/tracks
read     POST           /graphql
read     POST           /v1/device/approve
read     POST           /v1/device/deny
read     POST           /v1/device/find
read     POST           /v1/link
read     POST           /v1/live/{stream}
read     POST           /v1/views/curves
read     POST           /v1/views/records/{prefix:path}/.record/contents/{checksum}/link
write    DELETE         /api/projects/{id}
write    DELETE         /v1/experiments/{owner}/{home}/{experiment_id}
write    DELETE         /v1/records/{prefix:path}/.record
write    DELETE PATCH   /api/nodes/{id}
write    PATCH          /v1/experiments/{owner}/{home}/{experiment_id}
write    PATCH          /v1/experiments/{owner}/{home}/{experiment_id}/{rest:path}
write    PATCH          /v1/records/{prefix:path}/.record
write    PATCH          /v1/records/{prefix:path}/.record/{rest:path}
write    POST           /api/experiments/{rest:path}
write    POST           /api/namespaces/{namespace}/nodes
write    POST           /v1/heard
write    POST           /v1/records/{prefix:path}/.record
write    PUT            /v1/experiments/{owner}/{home}/{experiment_id}/{rest:path}
write    PUT            /v1/records/{prefix:path}/.record/{rest:path}
"""
"""Every route. One that is added has to be added here, by somebody who thought about what it needs."""
OWN_CHECK = {"/v1/whoami", "/v1/logout", "/v1/session", "/api/auth/exchange"}
"""What anybody may ask, and answers 401 itself without a token."""
BODY = b'{"format":"exp.error/1","code":"unauthorized",'


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    """The whole application, of an empty server."""
    folder = tmp_path_factory.mktemp("site")
    return make_app(site(folder), hosts=())


def site(folder: Path) -> Site:
    """An empty server in a folder."""
    return Site(root=folder, home=folder / "home", dash_roots=(), own=folder / ".server")


def rows() -> Iterator[tuple[str, frozenset[str], str]]:
    """The table: what a route needs, its methods, and its path."""
    for line in ROUTES.strip().splitlines():
        needs, *methods, path = line.split()
        yield needs, frozenset(methods), path


def sample(path: str) -> str:
    """An address that a pattern matches."""
    return re.sub(r"\{([^}]+)\}", lambda match: SAMPLES.get(match[1], "x"), path)


def test_the_table_has_all_routes(tmp_path: Path) -> None:
    """No route exists that is not in the table above, with what it needs."""
    found = {
        (each.needs.value if each.needs else "anybody", frozenset(each.methods) - {"HEAD"}, each.path)
        for each in endpoints(site(tmp_path))
    }
    assert found == set(rows())


def test_nothing_runs_or_cancels_without_a_scope_of_its_own() -> None:
    """A route that acts on experiments needs the scope `control`; reading and writing never suffice."""
    acting = re.compile(r"cancel|resume|rerun|run\b|start\b")
    assert [path for needs, _, path in rows() if acting.search(path) and needs != "control"] == [
        "/api/device/start"  # begins a login
    ]


def asked(app: Starlette, requests: list[tuple[str, str, str | None]]) -> list[Reply]:
    """The answers to requests, each a method, a path and a token, at once."""

    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(
            *(
                ask(
                    app,
                    method,
                    path,
                    headers={"authorization": f"Bearer {token}"} if token else {},
                    client=f"192.0.2.{number % 250}",
                )
                for number, (method, path, token) in enumerate(requests)
            )
        )

    return asyncio.run(all_of_them())


def test_without_a_valid_token_every_request_gets_the_same_answer(app: Starlette) -> None:
    """Whatever the method, the path and the fault of the token, the answer is 401 with the same body."""
    tokens = app.state.access.tokens
    expired = tokens.add("alice", seconds=1e-9).secret
    revoked = tokens.add("bob")
    tokens.revoke([revoked.token.id])
    faulty = (None, "wrong", "exp_" + "A" * 43, expired, revoked.secret, "exps_" + "A" * 43)
    open_to_all = {
        (method, path) for needs, methods, path in rows() if needs == "anybody" for method in methods
    }
    open_to_all |= {("HEAD", path) for method, path in open_to_all if method == "GET"}
    paths = [path for _, _, path in rows()] + [
        "/v1",
        "/v1/",
        "//",
        "/static/",
        "/static/no.js",
        "/v1/records/a",
    ]
    requests = [
        (method, sample(path), token)
        for path in dict.fromkeys(paths)
        for method in METHODS
        for token in faulty
        if (method, path) not in open_to_all
    ]
    for request, reply in zip(requests, asked(app, requests), strict=True):
        assert reply.status == 401, request
        assert reply.body.startswith(BODY), request
        assert reply.header("www-authenticate") == "Bearer"
    assert len({reply.body for reply in asked(app, requests[:50])}) == 1


def test_what_checks_tokens_itself_answers_the_same(app: Starlette) -> None:
    """The few routes that anybody may ask about their own token refuse a wrong one."""
    requests = [(next(iter(methods)), path, "wrong") for _, methods, path in rows() if path in OWN_CHECK]
    assert {reply.status for reply in asked(app, requests)} == {401}
    assert len(requests) == len(OWN_CHECK)


def test_a_scope_is_needed(app: Starlette) -> None:
    """A token without the scope of a route is refused with 403 and one body for each scope."""
    tokens = app.state.access.tokens
    reader = tokens.add("alice", scopes={Scope.READ}).secret
    writer = tokens.add("alice", scopes={Scope.WRITE}).secret
    everything = tokens.add("alice", scopes={Scope.READ, Scope.WRITE}).secret
    for needs, token in (("write", reader), ("read", writer), ("control", everything)):
        requests = [
            (method, sample(path), token)
            for kind, methods, path in rows()
            if kind == needs
            for method in methods
        ]
        replies = asked(app, requests)
        assert {reply.status for reply in replies} == {403}
        assert {reply.json["message"] for reply in replies} == {f"the token lacks the scope {needs}"}


def test_damaged_tokens_are_named_in_the_log_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a damaged file of tokens, requests that need one get 503, and no answer names the file."""
    damaged = make_app(site(tmp_path), hosts=())
    path = tmp_path / ".server" / "tokens.json"
    path.write_text("{")
    path.chmod(0o600)
    requests = [(next(iter(methods)), sample(route), "exp_x") for _, methods, route in rows()]
    refused = [reply for reply in asked(damaged, requests) if reply.status >= 500]
    with_token = sum(needs != "anybody" for needs, _, _ in rows())
    assert len(refused) >= with_token
    assert {reply.status for reply in refused} == {503}
    assert all(reply.json["code"] == "out_of_order" for reply in refused)
    assert not any(str(tmp_path).encode() in reply.body for reply in asked(damaged, requests))
    assert str(path) in caplog.text


def test_any_text_can_be_in_an_error() -> None:
    """A message may have the name of a file that is no UTF-8."""
    assert json.loads(bytes(refusal(400, "usage", "no \udcff").body))["message"] == "no \udcff"


def test_with_a_token_unknown_paths_and_methods_are_named(app: Starlette) -> None:
    """Who has a token learns that a path is unknown, or which methods it takes."""
    token = app.state.access.tokens.add("alice").secret
    unknown, wrong = asked(app, [("GET", "/nowhere", token), ("PUT", "/v1/hello", token)])
    assert unknown.status == 404
    assert unknown.json["code"] == "not_found"
    assert wrong.status == 405
    assert wrong.header("allow") == "GET, HEAD"


def test_documents_have_a_schema_and_errors_a_format(app: Starlette) -> None:
    """The type of a view's document is in `schema`, that of an error in `format`, as the reference states."""
    token = app.state.access.tokens.add("alice").secret
    view, unknown = asked(app, [("GET", "/v1/views/records", token), ("GET", "/v1/views/nope", token)])
    assert (view.json["schema"], "format" in view.json) == ("exp.records/1", False)
    assert (unknown.json["format"], "schema" in unknown.json) == ("exp.error/1", False)
    text = (Path(__file__).parents[3] / "docs/reference/server-api.md").read_text(encoding="utf-8")
    assert "name their type in `schema`" in text
    assert "errors included, names it in `format`" in text


def test_no_answer_opens_the_server_to_other_pages(app: Starlette) -> None:
    """No answer has a cookie or a header of CORS, and all forbid frames, sniffing and referrers."""
    token = app.state.access.tokens.add("alice").secret
    requests = [
        (method, sample(path), given)
        for _, methods, path in rows()
        for method in (*methods, "OPTIONS")
        for given in (None, token)
    ]
    for request, reply in zip(requests, asked(app, requests), strict=True):
        names = {name for name, _ in reply.headers}
        assert "set-cookie" not in names, request
        assert not any(name.startswith("access-control-") for name in names), request
        assert reply.header("x-content-type-options") == "nosniff", request
        assert reply.header("referrer-policy") == "no-referrer", request
        policy = reply.header("content-security-policy") or ""
        assert "sandbox" in policy or "frame-ancestors 'none'" in policy, request
        assert reply.header("server") == "exp", request
