"""The endpoints that replicas are written to and read from, byte by byte; `docs/internals/replication.md`."""

from __future__ import annotations

import functools
import os
import re
from io import FileIO
from typing import TYPE_CHECKING, Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse

from nemorun_cli.replication import protocol
from nemorun_cli.replication.shapes import FileKind
from nemorun_cli.serve import raw_path, refusals
from nemorun_cli.serve.caller import Scope
from nemorun_cli.serve.endpoints import Endpoint
from nemorun_cli.serve.store import (
    part_bodies,
    replica_addresses,
    replica_folders,
    root_folder,
    row_bodies,
    store_refusal,
)
from nemorun_cli.serve.store.durable_files import BLOCK
from nemorun_cli.serve.store.replica_store import LARGEST_WHOLE, ReplicaPart, ReplicaStore
from nemorun_cli.serve.store.store_refusal import StoreRefusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import TypeVar

    from starlette.requests import Request

    from nemorun_cli.serve.endpoints import Handler
    from nemorun_cli.serve.site import Site
    from nemorun_cli.serve.store.part_bodies import BodyPart
    from nemorun_cli.serve.store.replica_addresses import Replica, ReplicaFile
    from nemorun_cli.serve.store.replica_store import PartOutcome, StagedWhole

    T = TypeVar("T")

REPLICA_FORMAT: Final = "exp.replica/1"
BATCH_FORMAT: Final = "exp.batch/1"
_RECORDS: Final = "/v1/records/"
_EXPERIMENTS: Final = "/v1/experiments/"
_MOST_AT_ONCE: Final = 8  # threads, each with the body of one request in memory
_MOST_BATCHES: Final = 2  # requests with several files at once: each has many descriptors open
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_RANGE: Final = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?")
_GZIP: Final = "gzip"
_CLOSED: Final = 499  # for the log: the client has closed the connection


def endpoints(site: Site) -> list[Endpoint]:
    """The endpoints of replicas; those of a server without a root for them refuse."""
    if site.root is not None:
        root_folder.prepare(site.root)
    replicas = _Replicas(site)
    found = []
    for base, places in (
        (_RECORDS, ("{prefix:path}/.record", "{prefix:path}/.record/{rest:path}")),
        (_EXPERIMENTS, ("{owner}/{home}/{experiment_id}", "{owner}/{home}/{experiment_id}/{rest:path}")),
    ):
        whole, file = (f"{base}{place}" for place in places)
        found += [
            Endpoint(whole, ("GET",), replicas.handler(_sizes, is_whole=True), Scope.READ),
            Endpoint(whole, ("PATCH",), replicas.handler(_write, is_whole=True), Scope.WRITE),
            Endpoint(whole, ("DELETE",), replicas.handler(_discard, is_whole=True), Scope.WRITE),
            Endpoint(file, ("GET", "HEAD"), replicas.handler(_read), Scope.READ),
            Endpoint(file, ("PUT",), replicas.handler(_put), Scope.WRITE, LARGEST_WHOLE),
            Endpoint(file, ("PATCH",), replicas.handler(_patch), Scope.WRITE, site.largest_file),
        ]
        if base == _RECORDS:
            found.append(Endpoint(whole, ("POST",), replicas.handler(_create, is_whole=True), Scope.WRITE))
    return found


class _Replicas:
    """The replicas of a site, and the threads that work on their files."""

    def __init__(self, site: Site) -> None:
        self._root = site.root
        self._store = ReplicaStore(site) if site.root is not None else None
        self._limiter: CapacityLimiter | None = None
        self._batches: CapacityLimiter | None = None

    @property
    def store(self) -> ReplicaStore:
        """The store.

        Raises:
            StoreRefusal: this server collects nothing.
        """
        if self._store is None:
            raise StoreRefusal(
                403,
                "not_a_collector",
                "this server shows the files of its own machine, and keeps no copies of others",
                hint="start one with a folder for them: exp serve --root DIR",
            )
        return self._store

    def handler(self, answer: Callable[[_Call], Awaitable[Response]], *, is_whole: bool = False) -> Handler:
        """A handler that calls this for a request, and answers what is refused.

        Args:
            answer: makes the answer.
            is_whole: whether it is about a replica, and not about a file of one.
        """

        @functools.wraps(answer)
        async def handle(request: Request) -> Response:
            try:
                return await answer(self._call(request, is_whole=is_whole))
            except StoreRefusal as refusal:
                return _refused(refusal)
            except ClientDisconnect:
                return Response(status_code=_CLOSED)  # nobody receives it
            except OSError as error:
                return _refused(store_refusal.of_error(error, "the file"))

        return handle

    def _call(self, request: Request, *, is_whole: bool) -> _Call:
        store = self.store
        for base, parse in (
            (_RECORDS, replica_addresses.of_record),
            (_EXPERIMENTS, replica_addresses.of_experiment),
        ):
            if (parts := raw_path.parts(request.scope, after=base)) is not None:
                replica, path = parse(store.root, parts)
                if is_whole != (not path):  # Starlette has decoded the path that it has matched
                    break
                call = _Call(self, request, replica, path)
                call.require_rights()
                return call
        raise store_refusal.not_found("such address")

    @property
    def batches(self) -> CapacityLimiter:
        """Held while several files are written together."""
        if self._batches is None:
            self._batches = CapacityLimiter(_MOST_BATCHES)
        return self._batches

    async def run(self, function: Callable[[], T]) -> T:
        """Run what works on files in a thread."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(_MOST_AT_ONCE)
        return await to_thread.run_sync(function, limiter=self._limiter)


class _Call:
    """One request for a replica, or for a file of it, of a caller with the right to it."""

    def __init__(self, replicas: _Replicas, request: Request, replica: Replica, path: str) -> None:
        self._replicas = replicas
        self.request = request
        self.replica = replica
        self.path = path

    @property
    def store(self) -> ReplicaStore:
        """The store of all replicas."""
        return self._replicas.store

    @property
    def batches(self) -> CapacityLimiter:
        """Held while several files are written together."""
        return self._replicas.batches

    @property
    def file(self) -> ReplicaFile:
        """The file that the request names.

        Raises:
            StoreRefusal: files with such a path are not copied.
        """
        return replica_addresses.file_of(self.replica, self.path)

    async def run(self, function: Callable[..., T], *positional: Any, **named: Any) -> T:
        """Call what works on files in a thread; an error of the disk is a refusal that names the file."""
        try:
            return await self._replicas.run(functools.partial(function, *positional, **named))
        except OSError as error:
            what = f"{self.replica.prefix}: {self.path}" if self.path else self.replica.prefix
            raise store_refusal.of_error(error, what) from error

    def require_rights(self) -> None:
        """Refuse a caller without the right to this.

        Raises:
            StoreRefusal: 403.
        """
        access, caller = self.request.app.state.access, self.request.state.caller
        prefix = self.replica.prefix
        if self.request.method in {"GET", "HEAD"}:
            if not access.may_read(caller, prefix):
                raise StoreRefusal(403, "forbidden", f"{caller.user} may not read {prefix} on this server")
        elif not access.may_write(caller, prefix):
            raise StoreRefusal(
                403,
                "forbidden",
                f"the token of {caller.user} is not for writing to {prefix}",
                hint=f"use a prefix that begins with {caller.user}/, or log in as its owner",
            )

    def number(self, header: str) -> int:
        """A header that is a number of bytes.

        Raises:
            StoreRefusal: it is missing or is none.
        """
        value = self.request.headers.get(header, "")
        if not _NUMBER.fullmatch(value):
            raise StoreRefusal(
                400, "bad_header", f"the header {header} is missing, or is not a number of bytes"
            )
        return int(value)

    def has_changed(self, path: str | None = None) -> None:
        """Report the change of a file, by default that of the request, to those who look at the replica."""
        changes, path = self.request.app.state.changes, self.path if path is None else path
        if self.replica.is_record:
            changes.record(self.replica.prefix, path)
        else:
            changes.experiment(*self.replica.prefix.split("/"), path)

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body in blocks of about a mebibyte; of one that is cut, what has arrived.

        Raises:
            ClientDisconnect: the client has closed the connection.
            HTTPException: it comes too slowly, or is too large.
        """
        block, is_first = bytearray(), True
        try:
            async for chunk in self.request.stream():
                block += chunk
                if len(block) >= BLOCK:
                    yield bytes(block)
                    block, is_first = bytearray(), False
        except (ClientDisconnect, HTTPException):
            yield bytes(block)
            raise
        if block or is_first:
            yield bytes(block)


async def _sizes(call: _Call) -> Response:
    files = await call.run(call.store.sizes, call.replica)
    return JSONResponse({"format": REPLICA_FORMAT, "files": files})


async def _write(call: _Call) -> Response:
    """Take several small files of a replica, each as `_patch` or `_put` would."""
    body = await _body(call)
    async with call.batches:
        paths, outcomes = await call.run(_written, call, body)
    for path, outcome in zip(paths, outcomes, strict=True):
        if not isinstance(outcome, StoreRefusal):
            call.has_changed(path)
    files = None
    if call.request.query_params.get("sizes") == "1" and any(isinstance(each, int) for each in outcomes):
        files = await call.run(call.store.sizes, call.replica)
    answers = [_part_answer(outcome) for outcome in outcomes]
    return JSONResponse({"format": BATCH_FORMAT, "answers": answers, "files": files})


def _written(call: _Call, body: bytes) -> tuple[list[str], list[PartOutcome]]:
    data = row_bodies.decompressed(body) if _is_gzip(call) else body
    parts = part_bodies.parts(data)
    outcomes: list[PartOutcome] = []
    good: list[ReplicaPart] = []
    places: list[int] = []
    for index, part in enumerate(parts):
        try:
            good.append(ReplicaPart(_file_of(call, part), part.data, part.offset))
            places.append(index)
            outcomes.append(0)
        except StoreRefusal as refusal:
            outcomes.append(refusal)
    for index, outcome in zip(places, call.store.write(good), strict=True):
        outcomes[index] = outcome
    return [part.path for part in parts], outcomes


def _file_of(call: _Call, part: BodyPart) -> ReplicaFile:
    file = replica_addresses.file_of(call.replica, part.path)
    if file.kind is not (FileKind.WHOLE if part.offset is None else FileKind.GROWING):
        raise StoreRefusal(405, "not_in_batches", f"{file.label} is not sent in this way")
    return file


def _part_answer(outcome: PartOutcome) -> dict[str, Any]:
    if isinstance(outcome, StoreRefusal):
        return {
            "status": outcome.status,
            "code": outcome.code,
            "message": outcome.message,
            "hint": outcome.hint,
            "size": outcome.offset,
        }
    return {"status": 200, "size": outcome}


async def _create(call: _Call) -> Response:
    await call.run(replica_folders.create, call.replica)
    call.has_changed()
    return JSONResponse({}, 201)


async def _discard(call: _Call) -> Response:
    await call.run(replica_folders.discard, call.replica, user=call.request.state.caller.user)
    call.has_changed()
    return JSONResponse({})


async def _patch(call: _Call) -> Response:
    file, offset = call.file, call.number(protocol.OFFSET)
    if file.kind is FileKind.CONTENT:
        return await _receive(call, file, offset=offset, total=call.number(protocol.LENGTH))
    if file.kind is not FileKind.GROWING:
        raise StoreRefusal(405, "not_growing", f"{file.label} is sent whole, by PUT")
    body = await _body(call)
    end = await call.run(_append, call, file, body, offset=offset)
    call.has_changed()
    return JSONResponse({}, headers={protocol.OFFSET: str(end)})


def _append(call: _Call, file: ReplicaFile, body: bytes, *, offset: int) -> int:
    data = row_bodies.decompressed(body) if _is_gzip(call) else body
    return call.store.append(file, data, offset=offset)


async def _body(call: _Call) -> bytes:
    """The body of an append to rows, as it is sent.

    Raises:
        StoreRefusal: it is larger than one may be.
    """
    body = bytearray()
    async for chunk in call.request.stream():
        body += chunk
        if len(body) > protocol.LARGEST_BATCH:
            raise StoreRefusal(
                413,
                "too_large",
                f"an append has at most {protocol.LARGEST_BATCH:,} bytes as it is sent",
                hint="send less at once",
            )
    return bytes(body)


async def _receive(call: _Call, file: ReplicaFile, *, offset: int, total: int) -> Response:
    """Take a part of a content; of a body that is cut, what has arrived stays."""
    if _is_gzip(call):
        raise StoreRefusal(415, "not_compressed", "contents are sent as they are, without Content-Encoding")
    if call.store.staging.is_due:
        await call.run(call.store.staging.sweep)
    at = offset
    async for block in call.blocks():
        await call.run(call.store.receive, file, block, offset=at, total=total)
        at += len(block)
    state = await call.run(call.store.received, file, total=total)
    if state.is_complete:
        call.has_changed()
    headers = {protocol.OFFSET: str(min(at, state.size)), **_complete(is_complete=state.is_complete)}
    return JSONResponse({}, headers=headers)


async def _put(call: _Call) -> Response:
    file = call.file
    if file.kind is not FileKind.WHOLE:
        raise StoreRefusal(405, "not_whole", f"{file.label} is sent in parts, by PATCH")
    inflation = row_bodies.Inflation() if _is_gzip(call) else None
    with call.store.staged(file) as staged:
        async for block in call.blocks():
            await call.run(_extend, call, staged, block, inflation)
        if inflation is not None:
            inflation.require_end()
        is_written = await call.run(call.store.put, staged)
    if is_written:
        call.has_changed()
    return JSONResponse({}, 201 if is_written else 200)


def _extend(call: _Call, staged: StagedWhole, block: bytes, inflation: row_bodies.Inflation | None) -> None:
    for data in (block,) if inflation is None else inflation.blocks(block):
        call.store.extend(staged, data)


async def _read(call: _Call) -> Response:
    file = call.file
    if call.request.method == "HEAD":
        state = await call.run(call.store.size, file)
        headers = {protocol.OFFSET: str(state.size), **_complete(is_complete=state.is_complete)}
        return Response(headers=headers, media_type="application/octet-stream")
    stream = FileIO(await call.run(call.store.opened, file))
    size = os.fstat(stream.fileno()).st_size
    begin, end = 0, size
    asked = _RANGE.fullmatch(call.request.headers.get("range", ""))
    if asked is not None:
        begin, end = int(asked[1]), min(size, int(asked[2]) + 1 if asked[2] else size)
        if end <= begin:
            stream.close()
            return Response(status_code=416, headers={"Content-Range": f"bytes */{size}"})
    headers = {
        "Content-Length": str(end - begin),
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment",
        "Cache-Control": "no-store",
        protocol.OFFSET: str(size),
    }
    if asked is not None:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    return StreamingResponse(
        _content(call, stream, begin, end),
        status_code=200 if asked is None else 206,
        headers=headers,
        media_type="application/octet-stream",
    )


async def _content(call: _Call, stream: FileIO, begin: int, end: int) -> AsyncIterator[bytes]:
    with stream:
        while begin < end:
            block = await call.run(os.pread, stream.fileno(), min(BLOCK, end - begin), begin)
            if not block:
                raise RuntimeError("the file became shorter while it was read")
            yield block
            begin += len(block)


def _complete(*, is_complete: bool) -> dict[str, str]:
    return {protocol.COMPLETE: "?1"} if is_complete else {}


def _is_gzip(call: _Call) -> bool:
    """Whether the body is compressed.

    Raises:
        StoreRefusal: in a way that is not known here.
    """
    encoding = call.request.headers.get("content-encoding", "identity").lower()
    if encoding not in {_GZIP, "identity"}:
        raise StoreRefusal(415, "bad_encoding", f"Content-Encoding {encoding[:40]!r} is not known: use gzip")
    return encoding == _GZIP


def _refused(refusal: StoreRefusal) -> Response:
    return refusals.refusal(
        refusal.status, refusal.code, refusal.message, hint=refusal.hint, headers=refusal.headers
    )
