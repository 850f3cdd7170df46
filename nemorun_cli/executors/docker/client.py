"""One Docker engine: what is asked of it, each question on its own, and the streams that are read from it.

The questions go through the Docker SDK and may take long; they are for threads of a small pool. The
streams (events, logs) are read without the SDK, whose own would each occupy a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

from nemorun_cli.errors import EngineError
from nemorun_cli.executors.docker.container import secrets_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
UNIX: Final = "unix://"
PATIENCE: Final = 60  # seconds that one question may take
CHUNK: Final = 65536
AT_ONCE: Final = 16  # pieces of a log that are taken in one go
FRAME_HEADER: Final = 8  # bytes before each piece of a log: the stream's number, and the piece's length
OK: Final = 200
NOT_FOUND: Final = 404
CONFLICT: Final = 409


class RefusedError(Exception):
    """The engine answers that it will not; the message is for people."""


class GoneError(Exception):
    """There is no such container, or no such image."""


class DownError(EngineError):
    """The engine does not answer."""


def host() -> str:
    """The address of the engine that the `docker` command would use here."""
    if given := os.environ.get("DOCKER_HOST"):
        return given
    if not os.environ.get("DOCKER_CONTEXT") and not _has_chosen_context():
        return DEFAULT_HOST
    from docker.context import ContextAPI  # noqa: PLC0415 - heavy, and contexts are rare

    name = os.environ.get("DOCKER_CONTEXT")  # which the SDK would not look for
    context = ContextAPI.get_context(name or None)
    if context is None:
        name = name or "of the name that was chosen"
        raise EngineError(f"there is no Docker context {name}", hint="see which there are: docker context ls")
    return str(context.Host)


def _has_chosen_context() -> bool:
    folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    try:
        return bool(json.loads((folder / "config.json").read_bytes()).get("currentContext"))
    except (OSError, ValueError):
        return False


class Engine:
    """The engine at an address. Every method asks one thing, and may be called from any thread.

    All raise DownError if there is no answer, Gone if there is no such thing, and Refused for other answers.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._connection: Any = None

    @property
    def is_here(self) -> bool:
        """Whether it listens on this machine; it must, for it mounts this machine's folders."""
        return self.address.startswith(UNIX)

    @property
    def socket_path(self) -> str:
        """Where it listens."""
        if not self.is_here:
            raise DownError(
                f"the Docker engine at {self.address} is on another machine, whose folders are others",
                hint="point DOCKER_HOST to the socket of an engine of this machine",
            )
        return self.address.removeprefix(UNIX)

    def close(self) -> None:
        """Let go of the connections."""
        if self._connection is not None:
            self._connection.close()

    def ask_version(self) -> str:
        """What answers, for people."""
        answer = self._told("/version")
        return f"Docker {answer['Version']} (API {answer['ApiVersion']})"

    def runtimes(self) -> list[str]:
        """The OCI runtimes that the engine knows."""
        return sorted(self._told("/info").get("Runtimes", {}))

    def has_image(self, image: str) -> bool:
        """Whether the image is there."""
        try:
            self._told(f"/images/{quote(image, safe='/:@')}/json")
        except GoneError:
            return False
        return True

    def can_pull(self, image: str) -> None:
        """See that the registry has the image and gives it, without pulling it."""
        with self._asked() as docker:
            docker.api.inspect_distribution(image)

    def pull(self, image: str) -> None:
        """Pull the image, with the credentials of Docker's own configuration."""
        with self._asked() as docker:
            docker.images.pull(
                image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
            )

    def create(self, arguments: Mapping[str, Any]) -> str | None:
        """Create a container and give its id; None if its name is taken."""
        from docker.errors import APIError  # noqa: PLC0415 - heavy

        with self._asked() as docker:
            try:
                return str(docker.containers.create(**arguments).id)
            except APIError as error:
                if error.status_code == CONFLICT:
                    return None
                raise

    def start(self, container: str, secrets: Mapping[str, str]) -> None:
        """Start a container and hand over the secrets it waits for."""
        with self._asked() as docker, contextlib.ExitStack() as stack:
            if secrets:
                # Attached first: the container sees the end of its input when we are gone, at any moment.
                stream = docker.api.attach_socket(container, params={"stdin": 1, "stream": 1})
                stack.callback(_close, stream)
                docker.api.start(container)
                stream._sock.sendall(secrets_text(secrets))  # noqa: SLF001 - the SDK gives no other way to write
            else:
                docker.api.start(container)

    def list(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        """The containers that carry all these labels, whether they run or not."""
        wanted = [f"{label}={value}" for label, value in labels.items()]
        with self._asked() as docker:
            found: list[dict[str, Any]] = docker.api.containers(all=True, filters={"label": wanted})
        return found

    def inspect(self, container: str) -> dict[str, Any]:
        """All that is known of a container."""
        with self._asked() as docker:
            found: dict[str, Any] = docker.api.inspect_container(container)
        return found

    def last_words(self, container: str, *, lines: int = 5) -> str:
        """The end of a container's own log, where its init process and its shell complain."""
        try:
            with self._asked() as docker:
                data: bytes = docker.api.logs(container, tail=lines)
        except RefusedError:  # its log cannot be read back
            return ""
        return data.decode("utf-8", errors="replace").strip()

    def signal(self, container: str, name: str, *, to_all: bool) -> None:
        """Send a signal to the container; `to_all` reaches every process in it and needs its `sh`."""
        with contextlib.suppress(GoneError), self._asked() as docker:
            if to_all and name != "KILL":
                script = ["sh", "-c", f"kill -s {name} -1"]
                with contextlib.suppress(RefusedError), self._asked():
                    call = docker.api.exec_create(container, script, user="0")
                    docker.api.exec_start(call["Id"])
                    if docker.api.exec_inspect(call["Id"])["ExitCode"] == 0:
                        return
            with contextlib.suppress(RefusedError), self._asked():  # it is over meanwhile
                docker.api.kill(container, signal=name)

    def remove(self, container: str) -> None:
        """Remove a container that does not run, with its anonymous volumes; one that is gone is fine."""
        with contextlib.suppress(GoneError), self._asked() as docker:
            docker.api.remove_container(container, v=True)

    def events(self, labels: Mapping[str, str], *, since: float) -> Stream:
        """What happens to containers that carry all these labels, as lines of JSON."""
        wanted = [f"{label}={value}" for label, value in labels.items()]
        filters = {"type": ["container"], "event": ["die", "oom"], "label": wanted}
        return self._stream(f"/events?since={since:.0f}&filters={quote(json.dumps(filters))}")

    def log(self, container: str, *, follow: bool) -> Stream:
        """What a container wrote so far, and with `follow` what it will write."""
        return self._stream(f"/containers/{container}/logs?stdout=1&stderr=1&follow={int(follow)}")

    def _stream(self, path: str) -> Stream:
        return Stream(self.socket_path, path)

    def _told(self, path: str) -> dict[str, Any]:
        """A short answer, without the SDK, whose import takes longer than all of them together."""
        with self._stream(path) as stream:
            body = b"".join(stream.read_all())
            if stream.status == NOT_FOUND:
                raise GoneError(path)
            if stream.status != OK:
                raise RefusedError(f"{path}: status {stream.status}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    @contextlib.contextmanager
    def _asked(self) -> Iterator[Any]:
        """The SDK's client; its many errors come out as three."""
        try:
            from docker.errors import APIError, DockerException, NotFound  # noqa: PLC0415 - heavy
            from requests.exceptions import RequestException  # noqa: PLC0415 - the same
        except ImportError as error:
            raise DownError(f"the Docker SDK is not installed: {error}", hint="pip install docker") from None
        try:
            yield self._client()
        except NotFound as error:
            raise GoneError(_explanation(error)) from None
        except APIError as error:
            raise RefusedError(_explanation(error)) from None
        except (DockerException, RequestException, OSError) as error:
            raise DownError(f"the Docker engine at {self.address} does not answer: {_cause(error)}") from None

    def _client(self) -> Any:
        from docker import DockerClient  # noqa: PLC0415 - heavy

        with self._lock:
            if self._connection is None:
                with _connected(self.socket_path):  # says plainly what the SDK wraps three times
                    pass
                self._connection = DockerClient(base_url=self.address, version="auto", timeout=PATIENCE)
            return self._connection


class Stream:
    """An answer of the engine that goes on: `fileno` becomes readable when `read` has more.

    It is asked for in HTTP/1.0, in which the body is what follows the head until the end.
    """

    def __init__(self, path: str, target: str) -> None:
        self.is_over = False  # also if the engine refuses; `status` says what it answered
        self.status: int | None = None
        self._head: bytes | None = b""
        self._socket = _connected(path, f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._socket.fileno()

    def read(self) -> bytes:
        """What has come since, maybe nothing; sets `is_over` at the end, and if the engine refuses."""
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
            self.is_over = True
            return b""
        return body

    def read_all(self) -> Iterator[bytes]:
        """Everything to the end, waiting for it."""
        self._socket.settimeout(PATIENCE)
        while not self.is_over:
            if data := self.read():
                yield data

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(CHUNK)
        except BlockingIOError:
            return b""
        except TimeoutError:
            raise DownError("the Docker engine stopped in the middle of an answer") from None
        except OSError:
            data = b""
        self.is_over = not data
        return data

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LogFile:
    """The log of a container without the shim, brought into the attempt's file piece by piece.

    The file holds what the engine's log holds, from its beginning, so its length says where to go on.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._known = os.fstat(self._file).st_size
        self._rest = b""
        self.has_failed = False  # something is missing in the file

    def feed(self, data: bytes) -> None:
        """Take more of the engine's stream and write the part of it that is new."""
        self._rest += data
        pieces = []
        begin = 0
        while len(self._rest) >= begin + FRAME_HEADER:
            length = int.from_bytes(self._rest[begin + 4 : begin + FRAME_HEADER], "big")
            end = begin + FRAME_HEADER + length
            if len(self._rest) < end:
                break
            pieces.append(self._rest[begin + FRAME_HEADER : end])
            begin = end
        self._rest = self._rest[begin:]
        text = b"".join(pieces)
        skipped = min(self._known, len(text))
        self._known -= skipped
        view = memoryview(text)[skipped:]
        try:
            while view and not self.has_failed:
                view = view[os.write(self._file, view) :]
        except OSError:
            self.has_failed = True
            raise

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


class ContainerLog:
    """The log of a container without the shim, as it comes; `fileno` becomes readable when there is more."""

    def __init__(self, engine: Engine, container: str, path: Path) -> None:
        self._file = LogFile(path)
        try:
            self._stream = engine.log(container, follow=True)
        except DownError:
            self._file.close()
            raise

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._stream.fileno()

    def take(self) -> None:
        """Bring what came into the file, not too much at once."""
        with contextlib.suppress(OSError):  # a full disk; it is completed in the end, from the beginning
            for _ in range(AT_ONCE):
                data = self._stream.read()
                self._file.feed(data)
                if self._stream.is_over or not data:
                    break

    @property
    def is_over(self) -> bool:
        """Whether there will be no more."""
        return self._stream.is_over

    def close(self) -> None:
        """Stop following."""
        self._stream.close()
        self._file.close()


def _connected(path: str, question: bytes = b"") -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.connect(path)
        made.sendall(question)
    except OSError as error:
        made.close()
        raise DownError(
            f"the Docker engine at {UNIX}{path} does not answer: {error.strerror or error}"
        ) from None
    return made


def _close(stream: Any) -> None:
    stream._sock.close()  # noqa: SLF001 - closing the wrapper alone keeps the connection
    stream.close()


def _explanation(error: Any) -> str:
    return str(error.explanation or error)


def _cause(error: BaseException) -> str:
    """The innermost reason, which the SDK and its libraries wrap three times."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    return str(error)
