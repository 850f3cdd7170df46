"""Reads the records of a server that has ML-Dash's API, with the requests of its clients."""

from __future__ import annotations

import json
import tempfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from nemorun_cli.errors import InvalidValueError
from nemorun_cli.experiment.records.foreign_records import (
    ForeignFile,
    ForeignRecord,
    ForeignStream,
    ImportProblem,
    ImportSource,
    described,
    moment,
)
from nemorun_cli.model.status import ExperimentStatus
from nemorun_cli.replication import connection, connection_faults
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import BaseHTTPResponse, PoolManager

    from nemorun_cli.replication.credentials import Credential

PAGE: Final = 10_000  # rows in one answer
FILES: Final = 500  # in one answer
DEEPEST: Final = 64  # levels of folders
BLOCK: Final = 1 << 20  # bytes of a file that are received at a time
UNNAMED: Final = "None"
_FAULTS: Final = {
    401: RemoteFault.TOKEN,
    403: RemoteFault.FORBIDDEN,
    429: RemoteFault.BUSY,
    500: RemoteFault.BROKEN,
    503: RemoteFault.BUSY,
}

_ME: Final = "query GetMyNamespace { me { username } }"
_PROJECTS: Final = (
    "query GetProject($namespace: String!) { namespace(slug: $namespace) { projects { id slug } } }"
)
_TREE: Final = """query GetProjectHierarchy($namespaceSlug: String!, $projectSlug: String!) {
  project(namespaceSlug: $namespaceSlug, projectSlug: $projectSlug) {
    nodes(parentId: null, maxDepth: 20) {
      id name type experimentId children { id name type experimentId } } } }"""
_EXPERIMENT: Final = """query GetExperiment($id: ID!) {
  experimentById(id: $id) { id name description tags status metadata startedAt endedAt } }"""
_FILES: Final = """query ListExperimentFilesPaginated($experimentId: ID!, $limit: Int!, $offset: Int!) {
  experimentById(id: $experimentId) { filesPaginated(limit: $limit, offset: $offset) {
    files { id name description tags metadata createdAt pPath
      physicalFile { contentType sizeBytes checksum } }
    totalCount hasMore } } }"""


def source(credential: Credential, *, namespace: str | None = None) -> ImportSource:
    """The records of a namespace on a server; by default those of the user."""
    server = _Server(credential)

    def records() -> Iterator[ForeignRecord | ImportProblem]:
        owner = namespace or str(server.query(_ME)["me"]["username"])
        for project in (server.query(_PROJECTS, namespace=owner)["namespace"] or {}).get("projects", []):
            yield from server.records(owner, str(project["slug"]))

    return ImportSource(credential.url, records)


class _Server:
    """Requests to one server; its token goes nowhere else."""

    def __init__(self, credential: Credential) -> None:
        self._url = credential.url
        self._token = credential.token
        self._pool: PoolManager = connection.pool(credential.url)

    def _request(
        self, method: str, path: str, body: bytes | None = None, *, streams: bool = False
    ) -> BaseHTTPResponse:
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - it is loaded with the pool

        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            answer = self._pool.request(
                method,
                f"{self._url}{path}",
                body=body,
                headers=headers,
                redirect=False,
                preload_content=not streams,
            )
        except HTTPError as error:
            raise self._away(error) from error
        if answer.status != 200:  # noqa: PLR2004 - of HTTP
            fault = _FAULTS.get(answer.status, RemoteFault.NOT_EXP)
            remedy = f"exp login {self._url}" if fault is RemoteFault.TOKEN else None
            raise RemoteError(
                fault, f"{self._url}{path.partition('?')[0]}: HTTP {answer.status}", hint=remedy
            )
        return answer

    def _away(self, error: Exception) -> RemoteError:
        found = connection_faults.explained(self._url, error)
        hint = found.hint or "check the address and the network"
        return RemoteError(RemoteFault.AWAY, f"{self._url} does not answer: {found.reason}", hint=hint)

    def _json(self, answer: BaseHTTPResponse, path: str) -> Any:
        try:
            return json.loads(answer.data)
        except (ValueError, RecursionError):
            text = f"{self._url}{path} answers something else than JSON: it has no API of ML-Dash"
            raise RemoteError(RemoteFault.NOT_EXP, text) from None

    def get(self, path: str, **query: Any) -> Any:
        """The JSON answer to a request."""
        full = f"/api/{path}?{urlencode(query)}" if query else f"/api/{path}"
        return self._json(self._request("GET", full), path)

    def query(self, text: str, **variables: Any) -> Any:
        """The data of the answer to a query."""
        body = json.dumps({"query": text, "variables": variables}).encode()
        answer = self._json(self._request("POST", "/graphql", body), "/graphql")
        if not isinstance(answer, dict) or answer.get("errors") or not isinstance(answer.get("data"), dict):
            errors = answer.get("errors") if isinstance(answer, dict) else None
            raise RemoteError(RemoteFault.REFUSED, f"{self._url}/graphql: {json.dumps(errors)[:500]}")
        return answer["data"]

    def records(self, owner: str, project: str) -> Iterator[ForeignRecord | ImportProblem]:
        """The records of a project."""
        tree = self.query(_TREE, namespaceSlug=owner, projectSlug=project)["project"] or {}
        seen: set[str] = set()
        for prefix, identity in _experiments(tree.get("nodes") or [], f"{owner}/{project}"):
            if identity in seen:
                continue
            seen.add(identity)
            try:
                yield self._record(prefix, identity)
            except (KeyError, TypeError, AttributeError) as error:
                yield ImportProblem(f"{self._url}: {prefix}", f"the server's answer lacks {error}")

    def _record(self, prefix: str, identity: str) -> ForeignRecord:
        about = self.query(_EXPERIMENT, id=identity)["experimentById"]
        opened = moment(about.get("startedAt"), 0.0)
        base = f"experiments/{quote(identity, safe='')}"
        params = self.get(f"{base}/parameters")
        metrics = self.get(f"{base}/metrics")["metrics"]
        tracks = self.get(f"{base}/tracks")["tracks"]
        ended = about.get("endedAt")
        return ForeignRecord(
            prefix=prefix,
            origin=f"{self._url}: {prefix}",
            about=described(about),
            opened=opened,
            ended=None if ended is None else moment(ended, opened),
            status=ExperimentStatus(about.get("status") or "RUNNING"),
            params=params.get("data") or {},
            params_set=opened,
            logs=ForeignStream(None, {}, lambda: self._logs(base)),
            metrics=[self._metric(base, metric) for metric in metrics],
            tracks=[self._track(base, str(track["topic"])) for track in tracks],
            files=list(self._files(identity)),
        )

    def _logs(self, base: str) -> Iterator[Any]:
        offset, has_more = 0, True
        while has_more:
            page = self.get(f"{base}/logs", limit=PAGE, offset=offset, orderBy="sequenceNumber", order="asc")
            yield from page["logs"]
            offset += len(page["logs"])
            has_more = bool(page["hasMore"] and page["logs"])

    def _metric(self, base: str, metric: Mapping[str, Any]) -> ForeignStream:
        name = str(metric["name"])
        path = f"{base}/metrics/{quote(name, safe='')}/data"

        def rows() -> Iterator[Any]:
            start, has_more = 0, True
            while has_more:
                page = self.get(path, startIndex=start, limit=PAGE)
                yield from (row["data"] for row in page["data"])
                start += len(page["data"])
                has_more = bool(page["hasMore"] and page["data"])

        return ForeignStream(None if name == UNNAMED else name, described(metric), rows)

    def _track(self, base: str, topic: str) -> ForeignStream:
        path = f"{base}/tracks/{quote(topic, safe='')}/data"
        return ForeignStream(topic, {}, lambda: self.get(path, format="json")["entries"])

    def _files(self, identity: str) -> Iterator[ForeignFile]:
        offset, has_more = 0, True
        while has_more:
            found = self.query(_FILES, experimentId=identity, limit=FILES, offset=offset)["experimentById"]
            page = found["filesPaginated"]
            for entry in page["files"]:
                yield self._file(entry)
            offset += len(page["files"])
            has_more = bool(page["hasMore"] and page["files"])

    def _file(self, entry: Mapping[str, Any]) -> ForeignFile:
        physical = entry.get("physicalFile") or {}
        identity = str(entry["id"])

        @contextmanager
        def opened() -> Iterator[IO[bytes]]:
            from urllib3.exceptions import HTTPError  # noqa: PLC0415 - it is loaded with the pool

            path = f"/api/nodes/{quote(identity, safe='')}/download"
            with tempfile.TemporaryFile() as stream:
                answer = self._request("GET", path, streams=True)
                try:
                    for block in answer.stream(BLOCK):
                        stream.write(block)
                except HTTPError as error:
                    raise self._away(error) from error
                finally:
                    answer.release_conn()
                stream.seek(0)
                yield stream

        return ForeignFile(
            id=identity,
            path=str(entry.get("pPath") or entry["name"]).strip("/"),
            checksum=physical.get("checksum"),
            about=described(entry),
            content_type=physical.get("contentType"),
            uploaded=moment(entry.get("createdAt"), 0.0),
            deleted=False,
            open=opened,
        )


def _experiments(nodes: list[Any], above: str, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The prefixes and ids of the experiments in a tree."""
    if depth > DEEPEST:
        raise InvalidValueError(f"the server reports more than {DEEPEST} levels of folders")
    for node in nodes:
        prefix = f"{above}/{node['name']}"
        if node.get("type") == "EXPERIMENT" and node.get("experimentId"):
            yield prefix, str(node["experimentId"])
        yield from _experiments(node.get("children") or [], prefix, depth + 1)
