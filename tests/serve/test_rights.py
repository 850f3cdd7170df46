"""Who may do what on a server: every endpoint, method, scope and prefix."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient

from nemorun_cli.serve import refused_clients
from nemorun_cli.serve.access import Access
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.site import Site
from nemorun_cli.tracking import Experiment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx2 import Response

OPEN = {
    ("POST", "/api/device/start"),
    ("POST", "/api/device/poll"),
    ("GET", "/v1/hello"),
    ("GET", "/"),
    ("GET", "/experiments"),
    ("GET", "/experiments/{rest:path}"),
    ("GET", "/records"),
    ("GET", "/records/{rest:path}"),
    ("GET", "/compare"),
    ("GET", "/device"),
    ("GET", "/static/{name}"),
    ("GET", "/v1/openapi.json"),
}
"""What anybody may ask; each other endpoint needs a token."""
ROW = b'{"_ts": 1.0, "loss": 0.5}\n'
OPENING = b'{"opened": 1}\n'


def site(folder: Path, *, is_private: bool = False) -> Site:
    return Site(
        root=folder / "root",
        home=folder / "home",
        dash_roots=(),
        own=folder / "root/.server",
        is_private=is_private,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the server of the module."""
    return tmp_path_factory.mktemp("rights")


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    """A client of a server."""
    with TestClient(make_app(site(folder), hosts=["testserver"])) as client:
        yield client


@pytest.fixture(scope="module")
def private(folder: Path) -> Iterator[TestClient]:
    """A client of a private server of the same files and tokens."""
    with TestClient(make_app(site(folder, is_private=True), hosts=["testserver"])) as client:
        yield client


@pytest.fixture(scope="module")
def access(folder: Path) -> Access:
    """The rights of both servers."""
    return Access(site(folder))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def routes(client: TestClient) -> list[tuple[str, str]]:
    """Each method of each endpoint, with the path that a request can have."""
    endpoints = client.app.state.endpoints  # type: ignore[attr-defined] # of Starlette
    return [(method, endpoint.path) for endpoint in endpoints for method in endpoint.methods]


def filled(path: str) -> str:
    """A path for the pattern of an endpoint."""
    named = path.replace("{prefix:path}", "alice/p").replace("/static/{name}", "/static/icon.svg")
    return named.replace(":path", "").replace("{", "").replace("}", "")


def test_every_endpoint_needs_a_token(
    client: TestClient, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token, and with a wrong, revoked or expired one, all but a fixed list answers 401, alike."""
    revoked, expired = (
        access.tokens.add("alice"),
        access.tokens.add("alice", expires="2020-01-01T00:00:00.000Z"),
    )
    session = access.sessions.begin(revoked.token.id).secret
    access.tokens.revoke([revoked.token.id])
    monkeypatch.setattr(refused_clients, "DELAY", 0.0)  # the wait has a test of its own
    headers = [{}, *map(bearer, ["exp_wrong", revoked.secret, expired.secret, session, "exps_x", "expo_x"])]
    bodies = set()
    for method, path in routes(client):
        for header in headers:
            answer = client.request(method, filled(path), headers=header, content=b"{}")
            if (method.replace("HEAD", "GET"), path) in OPEN:
                assert answer.status_code != 401, path
            elif path == "/api/auth/exchange":
                assert answer.status_code == 401
            else:
                assert answer.status_code == 401, (method, path, header)
                if method != "HEAD":
                    bodies.add(answer.content)
    assert len(bodies) == 1
    assert json.loads(bodies.pop())["code"] == "unauthorized"
    for method, path in [
        ("GET", "/v1/nothing"),
        ("DELETE", "/"),
        ("OPTIONS", "/v1/whoami"),
        ("TRACE", "/v1/hello"),
    ]:
        assert client.request(method, path).status_code == 401


def ask(client: TestClient, method: str, prefix: str, secret: str) -> Response:
    """One request for a record, of each kind."""
    record = f"/v1/records/{prefix}/.record"
    rows = f"{record}/metrics/loss/0001-a.jsonl"
    path, body = {
        "POST": (record, b""),
        "LIST": (f"{record}?sizes=1", b""),
        "PATCH": (rows, ROW),
        "PUT": (f"{record}/openings/0001-a.verdict.json", b"{}"),
        "GET": (rows, b""),
        "HEAD": (rows, b""),
        "DELETE": (record, b""),
    }[method]
    headers = {**bearer(secret), "Upload-Offset": "0"}
    return client.request("GET" if method == "LIST" else method, path, content=body, headers=headers)


READS = {"LIST", "GET", "HEAD"}
METHODS = ["POST", "PATCH", "PUT", "LIST", "GET", "HEAD", "DELETE"]


@pytest.mark.parametrize("scopes", [*([scope] for scope in Scope), list(Scope)])
def test_a_request_needs_its_scope_and_its_prefix(
    client: TestClient, private: TestClient, access: Access, scopes: list[Scope]
) -> None:
    """Of each user, prefix and method what the token's scopes and globs allow is done; else it is 403."""
    secret = access.tokens.add("alice", scopes=scopes, prefixes=["alice/**", "team/a/**"]).secret
    owner = access.tokens.add("bob", prefixes=["**"]).secret
    own = {"alice/p/x": True, "team/a/x": True, "team/b/x": False, "bob/p/x": False, "alicea/x": False}
    for (prefix, is_own), method in itertools.product(own.items(), METHODS):
        for each in (client, private) if method in READS else (client,):
            if method == "DELETE" or method in READS:
                ask(client, "PATCH", prefix, owner)
            else:
                ask(client, "DELETE", prefix, owner)
            needed = Scope.READ if method in READS else Scope.WRITE
            is_allowed = needed in scopes and (is_own or (needed is Scope.READ and each is client))
            answer = ask(each, method, prefix, secret)
            allowed = {"POST": 201, "PUT": 201}.get(method, 200)
            assert answer.status_code == (allowed if is_allowed else 403), (method, prefix, each is client)
            if not is_allowed and method != "HEAD":
                assert answer.json()["code"] == "forbidden"


def test_a_refused_write_changes_nothing(client: TestClient, access: Access, folder: Path) -> None:
    """A write to another's prefix leaves no file, no folder, and nothing in the trash."""
    secret = access.tokens.add("mallory").secret

    def files() -> list[Path]:
        return sorted(path for path in (folder / "root").rglob("*") if "token-uses" not in path.name)

    before = files()
    assert {ask(client, method, "victim/p/x", secret).status_code for method in METHODS} == {403, 404}
    assert files() == before


def test_a_link_reads_one_path_and_writes_none(client: TestClient, access: Access) -> None:
    """A link for a minute reads what it was made for without a token, and nothing else, in no other way."""
    secret = access.tokens.add("alice").secret
    ask(client, "PATCH", "alice/p/link", secret)
    path = "/v1/records/alice/p/link/.record/metrics/loss/0001-a.jsonl"
    link = client.post("/v1/link", json={"path": path}, headers=bearer(secret)).json()["href"]
    assert client.get(link).content == ROW
    assert secret not in link
    signature = link.partition("?")[2]
    for method, other in [
        ("GET", f"{path[:-7]}b.jsonl"),
        ("GET", "/v1/records/alice/p/link/.record"),
        ("GET", "/v1/whoami"),
    ]:
        assert client.request(method, f"{other}?{signature}").status_code in {401, 403}
    for method in ("PATCH", "PUT", "DELETE", "POST"):
        assert client.request(method, link, content=ROW).status_code in {401, 403}
    assert client.get(f"{link[:-2]}xx").status_code == 403
    for wrong in ("/v1/whoami", "/", f"{path}?x=1", "//evil", f"{path}\n", 5):
        assert client.post("/v1/link", json={"path": wrong}, headers=bearer(secret)).status_code == 400
    access.tokens.revoke(["alice"])
    assert client.get(link).status_code == 403


def test_an_upload_goes_where_its_rights_were_checked(
    client: TestClient, access: Access, folder: Path
) -> None:
    """A multipart body that names another record after its file is refused, and nothing is stored there."""
    ids = {}
    for user in ("alice", "bob"):
        headers = bearer(access.tokens.add(user).secret)
        nodes = f"/api/namespaces/{user}/nodes"
        project = client.post(nodes, json={"type": "PROJECT", "name": "p", "slug": "p"}, headers=headers)
        body = {"type": "EXPERIMENT", "name": "up", "projectId": project.json()["project"]["id"]}
        ids[user] = client.post(nodes, json=body, headers=headers).json()["experiment"]["id"]
    field = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    file = '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nplanted\r\n'
    own = (
        field.format("type", "FILE") + field.format("experimentId", ids["alice"]) + field.format("name", "f")
    )
    other = own + file + field.format("experimentId", ids["bob"]) + "--b--\r\n"
    headers = {**bearer(access.tokens.add("alice").secret), "Content-Type": "multipart/form-data; boundary=b"}
    nodes = "/api/namespaces/alice/nodes"
    assert client.post(nodes, content=other, headers=headers).status_code in {400, 403}
    assert not list((folder / "root/bob/p/up").rglob("blobs/??/*"))
    assert client.post(nodes, content=f"{own}{file}--b--\r\n", headers=headers).status_code == 201


MARKER = "f00dface"


def test_a_private_server_shows_nothing_of_others(
    client: TestClient, private: TestClient, access: Access, folder: Path
) -> None:
    """On a private server no reading request of another user has anything of a record in its answer."""
    experiment = Experiment(f"bob/{MARKER}/net", dash_root=folder / "root", print_logs=False)
    with experiment.run:
        experiment.params.set(**{MARKER: 1})
        experiment.metrics(MARKER).log(loss=1.0)
        experiment.log(MARKER)
        experiment.files.save_text(MARKER, to=f"{MARKER}.txt")
    prefix, home = f"bob/{MARKER}/net", f"host-{MARKER}"
    checksum = hashlib.sha256(MARKER.encode()).hexdigest()
    owner, other = (bearer(access.tokens.add(user).secret) for user in ("bob", "alice"))
    names = {"prefix:path": prefix, "owner": "bob", "home": home, "id": f"x_{MARKER}", "checksum": checksum}
    asked = {
        re.sub(r"\{([^}]*)\}", lambda name: names.get(name[1], f"openings/{MARKER}"), endpoint.path)
        for endpoint in client.app.state.endpoints  # type: ignore[attr-defined] # of Starlette
        if "GET" in endpoint.methods and endpoint.needs is Scope.READ and endpoint.path != "/v1/live"
    }
    asked |= {
        f"/v1/views/records?{query}"
        for query in (f"prefix=bob/{MARKER}", "prefix=*", "owner=bob", f"text={MARKER}")
    }
    asked |= {f"/v1/views/compare?prefix={glob}" for glob in ("bob", "*", f"bob/{MARKER}/*")}
    asked |= {f"/v1/records/{prefix}/.record?sizes=1", "/v1/views/experiments?owner=bob"}
    seen = 0
    for path in asked:
        seen += MARKER in client.get(path, headers=owner).text.replace(path, "")
        answer = private.get(path, headers=other)
        text = answer.text.replace(prefix, "").replace(path, "").replace(f"bob/{home}/x_{MARKER}", "")
        assert answer.status_code in {403, 404} or MARKER not in text, (path, answer.text)
        assert answer.status_code < 500, path
    assert seen >= 10
    variables = {"pattern": "*", "slug": "bob", "namespaceSlug": "bob"}
    for query in ("searchExperimentsPaginated", "projectsPaginated", "namespace"):
        body = {"query": f"query {{ {query} {{ id }} }}", "variables": variables}
        assert MARKER in client.post("/graphql", json=body, headers=owner).text
        assert MARKER not in private.post("/graphql", json=body, headers=other).text
