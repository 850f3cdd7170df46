"""The client of a Docker engine: single requests, and the streams of events and logs.

Requests may be slow; call them from a thread pool. Those that every task needs do not use the Docker SDK,
whose import takes longer than all of them together; nor do streams (events, logs), because each of the
SDK's would occupy a thread.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote, urlencode

from nemorun_cli.errors import EngineError, UsageError
from nemorun_cli.executors.docker import create_request
from nemorun_cli.storage import attempts
from nemorun_cli.system import crashpoints, user
from nemorun_cli.system.files import descriptor_to_append, is_regular, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nemorun_cli.storage.paths import AttemptFiles

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
UNIX: Final = "unix://"
PATIENCE: Final = 60  # seconds that one request may take
CHUNK: Final = 65536
AT_ONCE: Final = 16  # chunks of a log that are read per call
FRAME_OF_ERROR: Final = 2  # the number of standard error
FRAME_HEADER: Final = 8  # bytes before each frame of a log: the stream's number, and the frame's length
OK: Final = 200
NOT_FOUND: Final = 404
CONFLICT: Final = 409
LEAST_REFUSAL: Final = 400  # from this status on the engine has not done what was requested
OF_SDK: Final = ("proxies", "HttpHeaders")  # of Docker's configuration: what the SDK adds to requests

NO_PODMAN: Final = (
    "it has no log driver that keeps a task's output unchanged, and does not report the end of a container"
    " that a signal ended as Docker does, so that a task could stay RUNNING"
)


class RefusedError(Exception):
    """The engine refused the request; the message is for the user."""


class NoSuchObjectError(Exception):
    """The container or the image does not exist."""


class DownError(EngineError):
    """The engine does not answer."""


def host() -> str:
    """The address of the engine that the `docker` command would use on this machine."""
    if address := os.environ.get("DOCKER_HOST"):
        return address
    if not os.environ.get("DOCKER_CONTEXT") and not _has_chosen_context():
        return DEFAULT_HOST
    from docker.context import ContextAPI  # noqa: PLC0415 - heavy, and contexts are rare

    name = os.environ.get("DOCKER_CONTEXT")  # the SDK does not read it
    context = ContextAPI.get_context(name or None)
    if context is None:
        message = f"there is no Docker context {name}" if name else "the current Docker context is missing"
        raise EngineError(message, hint="list the contexts: docker context ls")
    return str(context.Host)


def _has_chosen_context() -> bool:
    return bool(_configuration().get("currentContext"))


def _configuration() -> Mapping[str, Any]:
    """Docker's own configuration of this user; empty if it has none or cannot be read."""
    try:
        folder = Path(os.environ.get("DOCKER_CONFIG") or user.home() / ".docker")
        content = json.loads(read_bytes(folder / "config.json"))
    except (OSError, ValueError, UsageError):
        return {}
    return content if isinstance(content, dict) else {}


class Engine:
    """The engine at an address. Every method is one request, and may be called from any thread.

    All raise DownError without an answer, NoSuchObjectError if the object does not exist, and RefusedError
    for other errors.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._connection: Any = None
        self._version: Mapping[str, Any] | None = None
        self._is_docker = False

    @property
    def is_local(self) -> bool:
        """Whether it listens on this machine; it must, because it mounts local folders."""
        return self.address.startswith(UNIX)

    @property
    def socket_path(self) -> str:
        """The path of its socket."""
        if not self.is_local:
            raise DownError(
                f"the Docker engine at {self.address} is on another machine and cannot mount local folders",
                hint="set DOCKER_HOST to the socket of an engine on this machine",
            )
        return self.address.removeprefix(UNIX)

    def close(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            self._connection.close()

    def ask_version(self) -> str:
        """The engine's version, as text."""
        answer = self._asked_version()
        return f"Docker {answer['Version']} (API {answer['ApiVersion']})"

    def _asked_version(self) -> Mapping[str, Any]:
        if self._version is None:
            self._version = self._get("/version")
        return self._version

    def require_docker(self) -> None:
        """Check, once, that Docker answers and not Podman, which accepts the same requests.

        Raises:
            RefusedError: it is Podman.
        """
        if self._is_docker:
            return
        parts = self._asked_version().get("Components") or []
        podman = next((part for part in parts if str(part.get("Name", "")).startswith("Podman")), None)
        if podman is not None:
            raise RefusedError(f"{self.address} is Podman {podman.get('Version', '')}: {NO_PODMAN}")
        self._is_docker = True

    def runtimes(self) -> list[str]:
        """The OCI runtimes of the engine."""
        return sorted(self._get("/info").get("Runtimes", {}))

    def has_image(self, image: str) -> bool:
        """Whether the engine has the image."""
        return self.describe_image(image) is not None

    def describe_image(self, image: str) -> Mapping[str, Any] | None:
        """What the engine knows about an image; None if it does not have it."""
        try:
            description: Mapping[str, Any] = self._get(f"/images/{quote(image, safe='/:@')}/json")
        except NoSuchObjectError:
            return None
        return description

    def registry_digest(self, image: str) -> str:
        """The digest of an image in its registry, which is asked, with the credentials of Docker."""
        with self._sdk() as docker:
            return str(docker.api.inspect_distribution(image)["Descriptor"]["digest"])

    def check_pull(self, image: str) -> None:
        """Check that the image can be pulled from its registry, without pulling it."""
        with self._sdk() as docker:
            docker.api.inspect_distribution(image)

    def pull(self, image: str) -> None:
        """Pull the image, with the credentials of Docker's own configuration."""
        with self._sdk() as docker:
            docker.images.pull(
                image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
            )

    def create(self, arguments: Mapping[str, Any]) -> str | None:
        """Create a container and return its id; None if its name is in use."""
        body = create_request.body(arguments)
        if body is None or any(_configuration().get(key) for key in OF_SDK):
            return self._create_by_sdk(arguments)
        name = urlencode({"name": arguments["name"]})
        status, answer = self._ask("POST", f"/containers/create?{name}", body, accepted=(CONFLICT,))
        return None if status == CONFLICT else str(answer["Id"])

    def _create_by_sdk(self, arguments: Mapping[str, Any]) -> str | None:
        from docker.errors import APIError, DockerException  # noqa: PLC0415 - heavy

        with self._sdk() as docker:
            try:
                return str(docker.containers.create(**arguments).id)
            except APIError as error:
                if error.status_code == CONFLICT:
                    return None
                raise
            except DockerException as error:  # the SDK itself refuses an argument, such as a size
                raise RefusedError(str(error)) from None

    def start(
        self, container: str, text: bytes | None, *, before_text: Callable[[], None] | None = None
    ) -> None:
        """Start a container; then call `before_text`, and send the text that the container waits for."""
        if text is None:
            self._ask("POST", f"/containers/{container}/start")
            return
        with self._sdk() as docker, contextlib.ExitStack() as stack:
            # Attached first: if this process dies, the container reads the end of its input.
            stream = docker.api.attach_socket(container, params={"stdin": 1, "stream": 1})
            stack.callback(_close, stream)
            docker.api.start(container)
            crashpoints.point("attempt.waiting")
            if before_text is not None:
                before_text()
            with contextlib.suppress(ConnectionError):  # it has ended in the meantime
                stream._sock.sendall(text)  # noqa: SLF001 - the SDK has no other way to write

    def list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The containers that have all these labels, running or not."""
        filters = json.dumps({"label": [f"{label}={value}" for label, value in labels.items()]})
        containers: list[dict[str, Any]] = self._get(f"/containers/json?all=1&filters={quote(filters)}")
        return containers

    def networks(
        self, labels: Mapping[str, str], *, called: str = "", is_unused: bool = False
    ) -> Sequence[dict[str, Any]]:
        """The networks that have all these labels.

        With `called` only those of this name, with `is_unused` only those that no container is part of.
        """
        wanted = {"label": [f"{label}={value}" for label, value in labels.items()]}
        if called:
            wanted["name"] = [called]  # the engine also finds longer names
        if is_unused:
            wanted["dangling"] = ["true"]
        networks: Sequence[dict[str, Any]] = self._get(f"/networks?filters={quote(json.dumps(wanted))}")
        return [entry for entry in networks if called in ("", entry["Name"])]

    def create_network(self, name: str, labels: Mapping[str, str]) -> bool:
        """Create a network; False if its name is in use."""
        from docker.errors import APIError  # noqa: PLC0415 - heavy

        with self._sdk() as docker:
            try:
                docker.api.create_network(name, check_duplicate=True, labels=dict(labels))
            except APIError as error:
                if error.status_code == CONFLICT:
                    return False
                raise
        return True

    def remove_network(self, network: str) -> None:
        """Remove a network that no container is part of."""
        with self._sdk() as docker:
            docker.api.remove_network(network)

    def inspect(self, container: str) -> dict[str, Any]:
        """The engine's description of a container."""
        description: dict[str, Any] = self._get(f"/containers/{container}/json")
        return description

    def log_tail(self, container: str, *, lines: int = 5) -> str:
        """The last lines of the container's log, where its init process and its shell report errors."""
        try:
            with self._sdk() as docker:
                data: bytes = docker.api.logs(container, tail=lines)
        except RefusedError:  # its log driver does not support reading
            return ""
        return data.decode("utf-8", errors="replace").strip()

    def signal(self, container: str, name: str, *, to_all: bool) -> None:
        """Send a signal to the container; `to_all` reaches every process in it and needs its `sh`."""
        with contextlib.suppress(NoSuchObjectError), self._sdk() as docker:
            if to_all and name != "KILL":
                script = ["sh", "-c", f"kill -s {name} -1"]
                with contextlib.suppress(RefusedError), self._sdk():
                    call = docker.api.exec_create(container, script, user="0")
                    docker.api.exec_start(call["Id"])
                    if docker.api.exec_inspect(call["Id"])["ExitCode"] == 0:
                        return
            with contextlib.suppress(RefusedError), self._sdk():  # it has exited in the meantime
                docker.api.kill(container, signal=name)

    def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container with its anonymous volumes, if it still exists; `force` kills one that runs."""
        with contextlib.suppress(NoSuchObjectError):
            self._ask("DELETE", f"/containers/{container}?v=1&force={int(force)}")

    def read_file(self, container: str, path: str) -> bytes:
        """The content of a regular file that the container sees, even if only root may read it."""
        import tarfile  # noqa: PLC0415 - slow to import, and rarely needed

        with self._sdk() as docker:
            chunks, _ = docker.api.get_archive(container, path)
            data = b"".join(chunks)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            entry = archive.getmembers()[0]
            member = archive.extractfile(entry) if entry.isreg() else None
            return member.read() if member else b""

    def events(self, labels: Mapping[str, str], *, since: float) -> Stream:
        """The events of containers that have all these labels, as lines of JSON."""
        wanted = [f"{label}={value}" for label, value in labels.items()]
        filters = {"type": ["container"], "event": ["die", "oom", "pause", "unpause"], "label": wanted}
        return self._stream(f"/events?since={since:.0f}&filters={quote(json.dumps(filters))}")

    def log(self, container: str, *, follow: bool) -> Stream:
        """The output of a container so far; with `follow` also what it will write."""
        return self._stream(f"/containers/{container}/logs?stdout=1&stderr=1&follow={int(follow)}")

    def stats(self, container: str) -> Stream:
        """What a container uses now, as one JSON document; an engine that takes no connection is down."""
        path = f"/containers/{container}/stats?stream=false&one-shot=true"
        return Stream(self.socket_path, path, waits=False)

    def _stream(self, path: str) -> Stream:
        return Stream(self.socket_path, path)

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)[1]

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, accepted: Sequence[int] = ()
    ) -> tuple[int, Any]:
        """Make one request; returns the status and the parsed answer, None if it is empty.

        The statuses in `accepted` raise no error.
        """
        status, text = _answer(self.socket_path, method, path, body)
        try:
            answer = json.loads(text) if text else None
        except ValueError:
            if status < LEAST_REFUSAL:
                raise DownError(f"the Docker engine at {self.address} broke off its answer") from None
            answer = None
        if status < LEAST_REFUSAL or status in accepted:
            return status, answer
        reason = answer.get("message") if isinstance(answer, dict) else None
        message = str(reason or f"{path}: status {status}")
        raise NoSuchObjectError(message) if status == NOT_FOUND else RefusedError(message)

    @contextlib.contextmanager
    def _sdk(self) -> Iterator[Any]:
        """The SDK's client; its errors are mapped to the three of this module."""
        try:
            from docker.errors import APIError, DockerException, NotFound  # noqa: PLC0415 - heavy
            from requests.exceptions import RequestException  # noqa: PLC0415 - the same
        except ImportError as error:
            raise DownError(f"the Docker SDK is not installed: {error}", hint="pip install docker") from None
        try:
            yield self._client()
        except NotFound as error:
            raise NoSuchObjectError(_explanation(error)) from None
        except APIError as error:
            raise RefusedError(_explanation(error)) from None
        except (DockerException, RequestException, OSError) as error:
            raise DownError(f"the Docker engine at {self.address} does not answer: {_cause(error)}") from None

    def _client(self) -> Any:
        from docker import DockerClient  # noqa: PLC0415 - heavy

        with self._lock:
            if self._connection is None:
                with _connected(self.socket_path):  # has a clear message, which the SDK wraps three times
                    pass
                self._connection = DockerClient(base_url=self.address, version="auto", timeout=PATIENCE)
            return self._connection


class Stream:
    """A streamed answer of the engine: `fileno` becomes readable when `read` has more data.

    The request uses HTTP/1.0, in which the body follows the head without any framing. Unless it `waits`, an
    engine that does not take the connection at once counts as down.
    """

    def __init__(self, path: str, target: str, *, waits: bool = True) -> None:
        self.has_ended = False  # also if the engine refuses; `status` is then its answer
        self.status: int | None = None
        self._head: bytes | None = b""
        request = f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode()
        self._socket = _connected(path, request, waits=waits)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._socket.fileno()

    def read(self) -> bytes:
        """The data since the last call, possibly none; sets `has_ended` at the end or on a refusal."""
        data = self._receive()
        if self._head is None:
            return data
        self._head += data
        head, separator, body = self._head.partition(b"\r\n\r\n")
        if not separator:
            return b""
        self._head = None
        self.status = int(head.split(None, 2)[1])
        if self.status != OK:
            self.has_ended = True
            return b""
        return body

    def read_all(self) -> Iterator[bytes]:
        """All data up to the end; blocks."""
        self._socket.settimeout(PATIENCE)
        while not self.has_ended:
            if data := self.read():
                yield data

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except TimeoutError:
            raise DownError("the Docker engine stopped responding in the middle of an answer") from None
        except OSError:
            data = b""
        self.has_ended = not data
        return data

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LogFile:
    """The log of a container without the shim, copied into the attempt's files in chunks.

    Standard error has a file of its own if that exists. Each file is a prefix of what the engine has, so its
    length is the position at which to continue.
    """

    def __init__(self, own: AttemptFiles) -> None:
        has_own_error = is_regular(own.stderr, follows_link=False)
        paths = (own.log, own.stderr) if has_own_error else (own.log,)
        self._files: list[int] = []
        for path in paths:
            attempts.remove_trap(path)  # by which a task in a container may have replaced its log
            self._files.append(descriptor_to_append(path))
        self._to_skip = [os.fstat(file).st_size for file in self._files]
        self._incomplete = b""
        self.has_failed = False  # the file is incomplete

    def feed(self, data: bytes) -> None:
        """Accept the next data of the engine's stream and write the part that the files do not have."""
        self._incomplete += data
        frames: list[list[bytes]] = [[] for _ in self._files]
        begin = 0
        while len(self._incomplete) >= begin + FRAME_HEADER:
            length = int.from_bytes(self._incomplete[begin + 4 : begin + FRAME_HEADER], "big")
            end = begin + FRAME_HEADER + length
            if len(self._incomplete) < end:
                break
            is_error = self._incomplete[begin] == FRAME_OF_ERROR
            frames[is_error and len(frames) - 1].append(self._incomplete[begin + FRAME_HEADER : end])
            begin = end
        self._incomplete = self._incomplete[begin:]
        for number, parts in enumerate(frames):
            self._write(number, b"".join(parts))

    def _write(self, number: int, text: bytes) -> None:
        skipped = min(self._to_skip[number], len(text))
        self._to_skip[number] -= skipped
        view = memoryview(text)[skipped:]
        try:
            while view and not self.has_failed:
                view = view[os.write(self._files[number], view) :]
        except OSError:
            self.has_failed = True
            raise

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            os.close(file)


class ContainerLog:
    """Follows the log of a container without the shim; `fileno` becomes readable when it has more."""

    def __init__(self, engine: Engine, container: str, own: AttemptFiles) -> None:
        self._file = LogFile(own)
        try:
            self._stream = engine.log(container, follow=True)
        except DownError:
            self._file.close()
            raise

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._stream.fileno()

    def take(self) -> None:
        """Write available data into the file, a limited amount per call."""
        with contextlib.suppress(OSError):  # a full disk; `lifecycle.finish` completes the file
            for _ in range(AT_ONCE):
                data = self._stream.read()
                self._file.feed(data)
                if self._stream.has_ended or not data:
                    break

    @property
    def has_ended(self) -> bool:
        """Whether the log is complete."""
        return self._stream.has_ended

    def close(self) -> None:
        """Stop following."""
        self._stream.close()
        self._file.close()


def _connected(path: str, request: bytes = b"", *, waits: bool = True) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.setblocking(waits)
    try:
        connection.connect(path)
        connection.sendall(request)
    except OSError as error:
        connection.close()
        raise DownError(
            f"the Docker engine at {UNIX}{path} does not answer: {error.strerror or error}"
        ) from None
    return connection


def _answer(path: str, method: str, target: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
    """The status and the body of the engine's answer to one request."""
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {target} HTTP/1.0", "Host: docker"]
    if method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    chunks: list[bytes] = []
    with _connected(path, "\r\n".join([*lines, "", ""]).encode() + text) as connection:
        connection.settimeout(PATIENCE)
        try:
            while chunk := connection.recv(CHUNK):
                chunks.append(chunk)
        except OSError as error:
            reason = f" within {PATIENCE} s" if isinstance(error, TimeoutError) else f": {error.strerror}"
            raise DownError(f"the Docker engine at {UNIX}{path} does not answer{reason}") from None
    head, separator, answer = b"".join(chunks).partition(b"\r\n\r\n")
    if not separator:
        raise DownError(f"the Docker engine at {UNIX}{path} closed the connection without an answer")
    return int(head.split(None, 2)[1]), answer


def _close(stream: Any) -> None:
    stream._sock.close()  # noqa: SLF001 - closing the wrapper alone keeps the connection
    stream.close()


def _explanation(error: Any) -> str:
    return str(error.explanation or error)


def _cause(error: BaseException) -> str:
    """The innermost reason, which the SDK and its libraries wrap three times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = next((item for item in cause.args if isinstance(item, BaseException)), None)
        cause = inner or cause.__cause__ or cause.__context__
    return str(error)
