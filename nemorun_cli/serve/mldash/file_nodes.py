"""Saved files in ML-Dash's API: uploads, what is known about a file, downloads, and the search."""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import json
import os
import time
from typing import IO, TYPE_CHECKING, Any, Final

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from nemorun_cli.errors import InvalidValueError, NotFoundError
from nemorun_cli.model import clock
from nemorun_cli.replication.ml_dash_rows import plain_about
from nemorun_cli.serve.mldash import node_ids
from nemorun_cli.serve.mldash.answers import answer
from nemorun_cli.serve.mldash.node_ids import NodeId, NodeKind
from nemorun_cli.system.files import FILE_MODE, make_folder, open_to_read, sync
from nemorun_cli.tracking.store import file_index, row_files, save_formats
from nemorun_cli.tracking.store.blob_store import Blobs
from nemorun_cli.tracking.store.file_index import FileIndex, full_path
from nemorun_cli.tracking.store.json_values import plain
from nemorun_cli.tracking.store.row_writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from nemorun_cli.serve.mldash.adapter import Adapter
    from nemorun_cli.serve.mldash.held_records import ApiSender
    from nemorun_cli.tracking.store.file_index import File
    from nemorun_cli.tracking.store.record_paths import Place

LARGEST_FIELD: Final = 1 << 20  # bytes of a field before the file
MOST_FIELDS: Final = 64
BATCH: Final = 1 << 20  # bytes that are parsed at once, in a thread
BLOCK: Final = 1 << 18  # bytes of a download that are sent at once


class ReceivedFile:
    """A multipart body as it is received: its fields, and its file, which is hashed as it is written.

    Args:
        content_type: of the request.
        folder: of the temporary file.
        largest: bytes of the file.
        check: is called with the fields in front of the file before it is written.

    Raises:
        InvalidValueError: it is no multipart body.
    """

    def __init__(
        self, content_type: str, folder: Path, *, largest: int, check: Callable[[Mapping[str, str]], None]
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidValueError("the body is not multipart/form-data")
        self.fields: dict[str, str] = {}
        self.filename = self.content_type = ""
        self.size = 0
        self.path = folder
        self.has_file = False
        self._digest = hashlib.sha256()
        self._folder = folder
        self._largest = largest
        self._check = check
        self._stream: IO[bytes] | None = None
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
            },
        )

    @property
    def checksum(self) -> str:
        """The SHA-256 of the file."""
        return self._digest.hexdigest()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            InvalidValueError: they are no multipart body.
            HTTPException: the file is too large.
        """
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise InvalidValueError(f"the body is not multipart/form-data: {error}") from error

    def finish(self) -> None:
        """Sync the file.

        Raises:
            InvalidValueError: the body is incomplete, or has no file.
        """
        try:
            self._parser.finalize()
        except MultipartParseError as error:
            raise InvalidValueError(f"the body is incomplete: {error}") from error
        if self._stream is None:
            raise InvalidValueError("the body has no part 'file'")
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        if self._stream is not None:
            self._stream.close()
            self.path.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._headers, self._value = {}, bytearray()

    def _header_end(self) -> None:
        name, value = self._header
        if len(name) + len(value) > LARGEST_FIELD or len(self._headers) > MOST_FIELDS:
            raise InvalidValueError("a part has headers that are too long")
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode(errors="replace")
        self._is_file = self._name == "file"
        if self.has_file:  # else a later field could replace what the rights were checked for
            raise InvalidValueError("the body has a part behind the file")
        if not self._is_file:
            return
        self.has_file = True
        self.filename = options.get(b"filename", b"").decode(errors="replace")
        self.content_type = self._headers.get(b"content-type", b"").decode("latin-1").strip()
        self._check(self.fields)
        make_folder(self._folder)
        path = self._folder / f"upload-{os.getpid()}-{os.urandom(8).hex()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        self.path = path
        self._stream = open(descriptor, "w+b")  # noqa: SIM115 - until the body ends

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > LARGEST_FIELD:
                raise InvalidValueError(f"the field {self._name!r:.40} has more than {LARGEST_FIELD} bytes")
            return
        part = memoryview(data)[start:end]
        self.size += len(part)
        if self.size > self._largest:
            raise HTTPException(413, f"a file may have at most {self._largest:,} bytes")
        if self._stream is not None:
            self._digest.update(part)
            self._stream.write(part)

    def _end(self) -> None:
        if not self._is_file:
            if len(self.fields) >= MOST_FIELDS:
                raise InvalidValueError("the body has too many fields")
            self.fields[self._name] = self._value.decode(errors="replace")


async def upload(adapter: Adapter, request: Request, namespace: str) -> Response:
    """Receive a file of a record, and answer when it is durable."""

    def check(fields: Mapping[str, str]) -> None:
        prefix = node_ids.parsed(fields.get("experimentId"), NodeKind.EXPERIMENT).prefix
        if prefix.partition("/")[0] != namespace:
            raise InvalidValueError(f"the experiment is not in the namespace {namespace!r:.80}")
        adapter.require_write(request, prefix)

    body = ReceivedFile(
        request.headers.get("content-type", ""),
        adapter.scratch,
        largest=adapter.site.largest_file,
        check=check,
    )
    try:
        waiting = bytearray()
        async for chunk in request.stream():
            waiting += chunk
            if len(waiting) >= BATCH:
                await adapter.run(body.feed, bytes(waiting))
                waiting.clear()
        await adapter.run(body.feed, bytes(waiting))
        return await adapter.run(_store, adapter, body, adapter.sender(request))
    finally:
        body.discard()


def _store(adapter: Adapter, body: ReceivedFile, who: ApiSender) -> Response:
    body.finish()
    fields = body.fields
    prefix = node_ids.parsed(fields.get("experimentId"), NodeKind.EXPERIMENT).prefix
    folder = inner_folder(fields.get("parentId", "ROOT"), prefix)
    name = fields.get("name") or body.filename
    path = file_index.join(folder, name)
    if not name or not path or name.endswith("/"):
        raise InvalidValueError("a file needs a name")
    expected = fields.get("checksum")
    if expected and expected.lower() != body.checksum:
        raise HTTPException(422, f"the file has the SHA-256 {body.checksum}, not {expected:.80}")
    about = plain_about(
        {
            "description": fields.get("description"),
            "tags": [tag for tag in fields.get("tags", "").split(",") if tag],
            "metadata": _metadata(fields.get("metadata")),
        }
    )
    timestamp = time.time()
    above, _, filename = path.rpartition("/")
    entry = {
        "id": os.urandom(8).hex(),
        "path": f"/{above}",
        "filename": filename,
        "checksum": body.checksum,
        "sizeBytes": body.size,
        "contentType": body.content_type or save_formats.content_type(filename, None),
        "description": None,
        "bindrs": [],
        "metadata": None,
        **about,
        "uploadedAt": clock.stamp(timestamp),
    }
    adapter.prepare(prefix)
    with adapter.records.locked(prefix) as held:
        index = held.index(who)
        index.require_free([path])
        if not os.path.exists(Blobs(held.place.blobs).path(body.checksum)):
            adapter.take(prefix, body.size)
        _keep(body, held.place)
        index.add([entry], timestamp=timestamp)
    return answer({"node": node_json(prefix, entry), "physicalFile": physical_json(entry)}, status=201)


def _metadata(text: str | None) -> Any:
    if not text:
        return None
    try:
        return plain(json.loads(text), "metadata")
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidValueError(f"metadata is not JSON that can be stored: {error}") from None


def _keep(body: ReceivedFile, place: Place) -> None:
    """Move the received file to its place among the contents of the record."""
    target = Blobs(place.blobs).path(body.checksum)
    make_folder(os.path.dirname(target))
    try:
        body.path.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with open_to_read(body.path, follows_link=False) as source, Blobs(place.blobs).staging() as staged:
            while block := source.read(BLOCK):
                staged.stream.write(block)
        sync(target)
    sync(os.path.dirname(target))
    sync(place.blobs)
    sync(place.record)


def inner_folder(parent: str, prefix: str) -> str:
    """The folder in a record that a parent names; empty for the record itself.

    Raises:
        InvalidValueError: it is in another record.
    """
    if parent == "ROOT":
        return ""
    found = node_ids.parsed(parent, NodeKind.INNER, NodeKind.NODE, NodeKind.EXPERIMENT)
    if found.prefix != prefix:
        raise InvalidValueError("the folder belongs to another experiment")
    return found.path if found.kind is NodeKind.INNER else ""


def files_of(place: Place) -> list[File]:
    """The files of a record that are not deleted, those in the fewest folders first."""
    present = FileIndex(place, Writer()).present() if row_files.names(place.files) else {}
    return sorted(present.values(), key=lambda file: (full_path(file).count("/"), full_path(file)))


def node_json(prefix: str, file: Mapping[str, Any]) -> dict[str, Any]:
    """What ML-Dash reports about a file. The path and the name are more than its queries ask for.

    With them the clients can match names of their listings.
    """
    path = full_path(file)
    above, _, name = path.rpartition("/")
    return {
        "id": str(NodeId(NodeKind.FILE, prefix, path, str(file["id"]))),
        "type": "FILE",
        "name": name,
        "filename": name,
        "path": f"/{above}",
        "pPath": f"/{path}",
        "experimentId": str(NodeId(NodeKind.EXPERIMENT, prefix)),
        "description": file.get("description"),
        "tags": file.get("tags") or [],
        "bindrs": file.get("bindrs") or [],
        "metadata": file.get("metadata"),
        "createdAt": file.get("uploadedAt"),
        "updatedAt": file.get("updatedAt") or file.get("uploadedAt"),
        "deletedAt": None,
        "physicalFile": physical_json(file),
    }


def physical_json(file: Mapping[str, Any]) -> dict[str, Any]:
    """What ML-Dash reports about the content of a file."""
    return {
        "id": file.get("checksum"),
        "filename": file["filename"],
        "contentType": file.get("contentType"),
        "sizeBytes": file.get("sizeBytes"),
        "checksum": file.get("checksum"),
        "s3Url": None,
    }


def find(place: Place, identity: NodeId) -> File:
    """The version of a file that an id names, also if a later one replaced it.

    Raises:
        NotFoundError: it does not exist.
    """
    versions = FileIndex(place, Writer()).versions()
    found = next((file for file in reversed(versions) if str(file["id"]) == identity.version), None)
    if found is None or full_path(found) != identity.path:
        raise NotFoundError(f"the record has no such version of {identity.path!r:.80}")
    return found


def download(place: Place, identity: NodeId) -> Response:
    """The content of a file, always as a download."""
    file = find(place, identity)
    stream = Blobs(place.blobs).open(str(file["checksum"]))
    size = os.fstat(stream.fileno()).st_size

    def blocks() -> Iterator[bytes]:
        with stream:
            while block := stream.read(BLOCK):
                yield block

    headers = {
        "Content-Length": str(size),
        "Content-Disposition": "attachment",
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(blocks(), media_type="application/octet-stream", headers=headers)


def update(adapter: Adapter, identity: NodeId, changes: Mapping[str, Any], who: ApiSender) -> Response:
    """Change what is stored about a file.

    The clients send an empty list of tags with every description; such a list changes no tags.
    """
    about = plain_about(changes)
    if about.get("tags") == [] and len(about) > 1:
        del about["tags"]
    timestamp = time.time()
    with adapter.records.locked(identity.prefix) as held:
        file = find(held.place, identity)
        if about:
            about["updatedAt"] = clock.stamp(timestamp)
            held.index(who).update(identity.version, about, timestamp=timestamp)
    return answer(node_json(identity.prefix, {**file, **about}))


def delete(adapter: Adapter, identity: NodeId, who: ApiSender) -> Response:
    """Delete a file, of which all versions stay stored."""
    timestamp = time.time()
    with adapter.records.locked(identity.prefix) as held:
        present = FileIndex(held.place, Writer()).present().get(identity.path)
        if present is None or str(present["id"]) != identity.version:
            raise NotFoundError(f"there is no such file {identity.path!r:.80} any more")
        held.index(who).remove([identity.path], timestamp=timestamp)
    deleted = {**node_json(identity.prefix, present), "deletedAt": clock.stamp(timestamp)}
    return answer(deleted)


def search(place: Place, pattern: str) -> Response:
    """The files of a record that match a pattern, all of them: clients ask for one and look for its path."""
    wanted = pattern.removeprefix("**/").lstrip("/")
    found = []
    for file in files_of(place):
        path, name = full_path(file), file["filename"]
        if wanted in {path, name} or any(fnmatch.fnmatchcase(text, wanted) for text in (path, name)):
            found.append({**node_json(place.prefix, file), "path": f"/{path}"})
    return answer({"files": found, "total": len(found)})
