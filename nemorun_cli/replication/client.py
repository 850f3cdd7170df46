"""Requests to a server of `exp`: the client's end of the protocol in `docs/internals/replication.md`."""

from __future__ import annotations

import email.utils
import io
import json
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from nemorun_cli.replication import connection, connection_faults, protocol
from nemorun_cli.replication.remote_errors import RemoteError, RemoteFault

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from urllib3 import BaseHTTPResponse

LARGEST_ANSWER: Final = 1 << 26  # bytes of a JSON answer: a listing of half a million files
LONGEST_RETRY: Final = 300.0  # seconds: a server that asks to wait longer is asked again then
WORTH_PACKING: Final = 512  # bytes from which a body is compressed
BLOCK: Final = 1 << 16  # bytes of a file that are read at a time

_BY_STATUS: Final = {
    401: RemoteFault.TOKEN,
    403: RemoteFault.FORBIDDEN,
    407: RemoteFault.NOT_EXP,
    413: RemoteFault.TOO_LARGE,
    429: RemoteFault.BUSY,
    503: RemoteFault.BUSY,
    507: RemoteFault.FULL,
}
_BY_CODE: Final = {
    "diverged": RemoteFault.DIVERGED,
    "exists": RemoteFault.EXISTS,
    "checksum": RemoteFault.CHECKSUM,
    "not_an_exp_server": RemoteFault.NOT_EXP,
    "quota": RemoteFault.QUOTA,
}
_HINTS: Final = {
    RemoteFault.TOKEN: "exp login {url}",
    RemoteFault.FORBIDDEN: "use a prefix that begins with your name there, or log in as its owner",
    RemoteFault.NOT_EXP: "check the address, and whether a proxy or a login page is in between",
    RemoteFault.AWAY: "check the address and the network; what is logged is kept here until it arrives",
    RemoteFault.FULL: "free space on the server",
    RemoteFault.QUOTA: "delete records there and empty the trash, or have the quota raised",
}


class Hello(NamedTuple):
    """What a server reports about itself; limits in bytes."""

    version: str
    protocols: tuple[str, ...]
    time: str
    largest_batch: int
    largest_file: int
    takes_batches: bool


class BatchPart(NamedTuple):
    """Bytes of one of several files: at the offset of a growing one, or a whole one without an offset."""

    path: str
    data: bytes
    offset: int | None


class BatchAnswer(NamedTuple):
    """What the server did with each file, in the order of the request: its size there, or why it is refused.

    `sizes` are those of all files of the replica after it, if they were asked for.
    """

    outcomes: list[int | RemoteError]
    sizes: dict[str, int] | None


class RemoteContent(NamedTuple):
    """How much of a content the server has, and whether it is complete."""

    size: int
    is_complete: bool


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    data: bytes


class Client:
    """Requests to one server, over one connection, with one token that goes nowhere else.

    Every method raises RemoteError if the request fails; nothing is tried twice.

    Args:
        url: the server's address, without a slash at its end.
        token: is sent with each request but `hello`.
        limit: seconds for the connection and for each wait, if less than usual.
    """

    def __init__(self, url: str, token: str | None, *, limit: float | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        parts = urlsplit(self.url)
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._pool = connection.pool(self.url, limit=limit)

    def close(self) -> None:
        """Close the connection."""
        self._pool.clear()

    def hello(self) -> Hello:
        """Ask the server what it is, without the token.

        Raises:
            RemoteError: it is no server of `exp`, or speaks another major version of the protocol.
        """
        answer = self._ask("GET", "/v1/hello", with_token=False)
        document = self._document(answer)
        if document.get("server") != "exp":
            raise self._foreign("it does not say that it is a server of exp")
        protocols = tuple(str(version) for version in document.get("protocols") or ())
        if not {_major(version) for version in protocols} & {_major(ours) for ours in protocol.PROTOCOLS}:
            raise RemoteError(
                RemoteFault.VERSION,
                f"{self.url} speaks the protocol {', '.join(protocols) or 'of no known version'}, and this"
                f" version of exp {', '.join(protocol.PROTOCOLS)}",
                hint="use the same version of exp on both machines",
            )
        limits = document.get("limits")
        limits = limits if isinstance(limits, dict) else {}
        return Hello(
            version=str(document.get("version")),
            protocols=protocols,
            time=str(document.get("time")),
            largest_batch=_size(limits.get("batch"), protocol.LARGEST_BATCH),
            largest_file=_size(limits.get("file"), protocol.LARGEST_FILE),
            takes_batches=protocol.BATCHES in _words(document.get("extensions")),
        )

    def sizes(self, address: str) -> dict[str, int] | None:
        """The files of a record or an experiment on the server, with their sizes; None if it has none."""
        try:
            answer = self._ask("GET", f"{address}?sizes=1", accepts=(200, 404))
        except RemoteError as error:
            error.add_note(address)
            raise
        if answer.status == 404:  # noqa: PLR2004 - not found
            return None
        return self._sizes(self._document(answer).get("files"))

    def _sizes(self, files: object) -> dict[str, int]:
        if not isinstance(files, dict):
            raise self._foreign("its list of files has no files")
        return {
            path: size
            for path, size in files.items()
            if isinstance(path, str) and type(size) is int and size >= 0
        }

    def write(self, address: str, parts: Sequence[BatchPart], *, asks_sizes: bool) -> BatchAnswer:
        """Write several small files of a record or an experiment, if the server takes batches."""
        named = [{"path": part.path, "offset": part.offset, "size": len(part.data)} for part in parts]
        data = b"".join((json.dumps({"files": named}).encode(), b"\n", *(part.data for part in parts)))
        query, headers = "?sizes=1" if asks_sizes else "", {"Content-Encoding": "gzip"}
        document = self._document(
            self._ask("PATCH", f"{address}{query}", data=_packed(data), headers=headers)
        )
        answers = document.get("answers")
        if not isinstance(answers, list) or len(answers) != len(parts):
            raise self._foreign("it does not answer for each file")
        files = document.get("files")
        return BatchAnswer(
            [self._outcome(each if isinstance(each, dict) else {}) for each in answers],
            None if files is None else self._sizes(files),
        )

    def _outcome(self, answer: dict[str, Any]) -> int | RemoteError:
        status, size = answer.get("status"), answer.get("size")
        if type(status) is not int or not (size is None or (type(size) is int and size >= 0)):
            raise self._foreign("it does not answer for each file")
        if status == 200:  # noqa: PLR2004 - the file was written
            return size or 0
        document = {**answer, "format": "exp.error/1", "hint": answer.get("hint")}
        headers = {"content-type": "application/json"}
        if size is not None:
            headers[protocol.OFFSET.lower()] = str(size)
        from urllib3 import HTTPHeaderDict  # noqa: PLC0415 - see `connection`

        return self._refused(_Answer(status, HTTPHeaderDict(headers), json.dumps(document).encode()))

    def append(self, path: str, offset: int, data: bytes) -> int:
        """Append bytes to a growing file; returns the number of bytes that the server has then.

        Raises:
            RemoteError: with `CONFLICT` or `DIVERGED` and the server's `offset` if it has other bytes.
        """
        headers = {protocol.OFFSET: str(offset)}
        if len(data) >= WORTH_PACKING:
            headers["Content-Encoding"] = "gzip"
            data = _packed(data)
        return self._offset(self._ask("PATCH", path, data=data, headers=headers))

    def append_content(self, path: str, offset: int, total: int, data: bytes) -> int:
        """Append bytes to a content of `total` bytes; the server checks it with the last ones."""
        headers = {protocol.OFFSET: str(offset), protocol.LENGTH: str(total)}
        return self._offset(self._ask("PATCH", path, data=data, headers=headers))

    def put(self, path: str, data: bytes) -> None:
        """Store a whole file."""
        headers = {}
        if len(data) >= WORTH_PACKING:
            headers["Content-Encoding"] = "gzip"
            data = _packed(data)
        self._ask("PUT", path, data=data, headers=headers, accepts=(200, 201, 204))

    def content(self, path: str) -> RemoteContent:
        """How much of a content the server has."""
        answer = self._ask("HEAD", path, accepts=(200, 204, 404))
        if answer.status == 404:  # noqa: PLR2004 - not found
            return RemoteContent(0, is_complete=False)
        return RemoteContent(self._offset(answer), answer.headers.get(protocol.COMPLETE) == "?1")

    def create(self, address: str) -> bool:
        """Create the folder of a record; returns False if it exists."""
        try:
            self._ask("POST", address, data=b"", accepts=(201,))
        except RemoteError as error:
            if error.fault is RemoteFault.EXISTS:
                return False
            raise
        return True

    def heard(self, document: Mapping[str, Any]) -> None:
        """Report what runs on this machine."""
        headers = {"Content-Type": "application/json"}
        self._ask(
            "POST", "/v1/heard", data=json.dumps(document).encode(), headers=headers, accepts=(200, 204)
        )

    def read(self, path: str, start: int = 0) -> Generator[bytes]:
        """The bytes of a file from an offset on; nothing if it has no more."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        with _Faults(self):
            response = self._send("GET", path, None, headers, with_token=True)
            try:
                if response.status == 416:  # noqa: PLR2004 - it has no more bytes
                    return
                if response.status != (206 if start else 200) or _content_range(response) != start:
                    raise self._refused(_whole(response))
                yield from response.stream(BLOCK, decode_content=False)
            finally:
                response.close()

    def _ask(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accepts: tuple[int, ...] = (200,),
        with_token: bool = True,
    ) -> _Answer:
        with _Faults(self):
            response = self._send(method, path, data, headers or {}, with_token=with_token)
            answer = _whole(response)
        is_ours = answer.status in accepts and (answer.status < 400 or self._is_error(answer, method))  # noqa: PLR2004 - no error
        if is_ours and self._is_plain(answer):
            return answer
        raise self._refused(answer)

    def _send(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], *, with_token: bool
    ) -> BaseHTTPResponse:
        fields = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "exp", **headers}
        if with_token and self.token is not None:
            fields["Authorization"] = f"Bearer {self.token}"
        body = None
        if data is not None:
            fields["Content-Length"] = str(len(data))
            body = io.BytesIO(data)  # sent in blocks, so that each has the time limit, and not the whole
        return self._pool.request(
            method, f"{self._base}{path}", body=body, headers=fields, redirect=False, preload_content=False
        )

    def _is_plain(self, answer: _Answer) -> bool:
        """Whether an answer can come from a server of `exp`: JSON, or nothing."""
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind in {"application/json", "application/octet-stream"} or not (kind or answer.data)

    def _is_error(self, answer: _Answer, method: str) -> bool:
        """Whether an answer is an error of a server of `exp`, which says so; one to HEAD has no text."""
        if method == "HEAD":
            return self._is_plain(answer)
        return str(_loaded(answer).get("format", "")).startswith("exp.error/")

    def _document(self, answer: _Answer) -> dict[str, Any]:
        document = _loaded(answer)
        if not document:
            raise self._foreign("its answer is not JSON")
        return document

    def _offset(self, answer: _Answer) -> int:
        offset = _number(answer.headers.get(protocol.OFFSET))
        if offset is None:
            raise self._foreign(f"its answer has no {protocol.OFFSET}")
        return offset

    def _foreign(self, reason: str) -> RemoteError:
        fault = RemoteFault.NOT_EXP
        return RemoteError(fault, f"{self.url} is not a server of exp: {reason}", hint=_HINTS[fault])

    def _refused(self, answer: _Answer) -> RemoteError:
        """The error that an answer is."""
        status, document = answer.status, _loaded(answer)
        is_said = str(document.get("format", "")).startswith("exp.error/")
        if status < 400 and not 200 <= status < 300:  # noqa: PLR2004 - a redirect
            target = answer.headers.get("location", "")
            return self._foreign(f"it redirects to {target[:200]!r}")
        if status < 400:  # noqa: PLR2004 - no error
            return self._foreign(
                f"its answer has the type {answer.headers.get('content-type', 'of nothing')[:100]!r}"
            )
        fault = _BY_STATUS.get(status)
        if fault is None and status >= 500:  # noqa: PLR2004 - a fault of the server
            fault = RemoteFault.BROKEN
        if fault is None and not is_said and answer.data:
            return self._foreign(f"it answers {status} with {answer.data[:60]!r}")
        if fault in {RemoteFault.TOKEN, RemoteFault.FORBIDDEN} and not self._is_plain(answer):
            return self._foreign(f"it answers {status} with a page")
        if is_said:
            fault = _BY_CODE.get(str(document.get("code")), fault)
        if fault is None:
            fault = RemoteFault.CONFLICT if status == 409 else RemoteFault.REFUSED  # noqa: PLR2004 - conflict
        message = str(document.get("message") or f"{self.url} answers {status}")[:1000]
        hint = document.get("hint") if isinstance(document.get("hint"), str) else None
        if hint == "exp login ADDRESS":  # a server does not know by which address it is reached
            hint = None
        return RemoteError(
            fault,
            message,
            hint=hint or _HINTS.get(fault, "").format(url=self.url) or None,
            retry_after=_retry_after(answer.headers),
            offset=_number(answer.headers.get(protocol.OFFSET)),
        )


class _Faults:
    """Turns the errors of urllib3 within a block into RemoteError."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import urllib3  # noqa: PLC0415 - see `connection`

        if isinstance(error, RemoteError) or not isinstance(error, (urllib3.exceptions.HTTPError, OSError)):
            return
        self._client.close()
        fault, url = RemoteFault.AWAY, self._client.url
        kinds = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
        found = connection_faults.explained(url, error)
        raise RemoteError(
            fault,
            f"{url} does not answer: {found.reason}",
            hint=found.hint or _HINTS[fault],
            is_unreachable=isinstance(error, kinds),
        ) from error


def record_address(prefix: str) -> str:
    """The path of the address of a record."""
    return f"/v1/records/{_quoted(prefix)}/.record"


def experiment_address(owner: str, home: str, experiment: str) -> str:
    """The path of the address of an experiment."""
    return f"/v1/experiments/{_quoted(f'{owner}/{home}/{experiment}')}"


def file_address(address: str, path: str) -> str:
    """The path of the address of a file, by its path in a record or an experiment."""
    return f"{address}/{_quoted(path)}"


def _quoted(path: str) -> str:
    return "/".join(quote(part.encode(errors="surrogateescape"), safe="") for part in path.split("/"))


def _packed(data: bytes) -> bytes:
    packer = zlib.compressobj(level=1, wbits=31)
    return packer.compress(data) + packer.flush()


def _whole(response: BaseHTTPResponse) -> _Answer:
    """The whole answer, whose size is limited."""
    try:
        data = response.read(LARGEST_ANSWER + 1, decode_content=False)
        _require_short(data)
    except BaseException:
        response.close()
        raise
    response.release_conn()
    return _Answer(response.status, response.headers, data)


def _require_short(data: bytes) -> None:
    if len(data) > LARGEST_ANSWER:
        raise OSError(f"its answer is longer than {LARGEST_ANSWER >> 20} MiB")


def _content_range(response: BaseHTTPResponse) -> int | None:
    """The offset of the first byte of an answer; None if it cannot be read."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return None
    if response.status == 200:  # noqa: PLR2004 - all of it
        return 0
    kind, _, span = response.headers.get("content-range", "").partition(" ")
    return _number(span.partition("-")[0]) if kind == "bytes" else None


def _loaded(answer: _Answer) -> dict[str, Any]:
    try:
        document = json.loads(answer.data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004 - digits of 64 bits


def _size(value: object, default: int) -> int:
    return value if type(value) is int and value > 0 else default


def _words(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _major(version: str) -> str:
    return version.partition(".")[0]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait; a date counts from the server's own, as clocks differ."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if (seconds := _number(text)) is None:
        try:
            until = email.utils.parsedate_to_datetime(text)
            now = email.utils.parsedate_to_datetime(
                headers.get("date") or email.utils.formatdate(usegmt=True)
            )
            seconds = (until - now).total_seconds()  # type: ignore[assignment] # with fractions
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(float(seconds), 0.0), LONGEST_RETRY)  # type: ignore[arg-type] # a number now
