"""The process of a server: its lock, its sockets, its log, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import resource
import shlex
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import uvicorn

from nemorun_cli.errors import UsageError
from nemorun_cli.model import clock
from nemorun_cli.serve import limits, listening
from nemorun_cli.serve.app import make_app
from nemorun_cli.serve.connections import BoundedConnection
from nemorun_cli.system import locks, owners, process_limits, user
from nemorun_cli.system.files import make_folder
from nemorun_cli.tracking.outbox import markers
from nemorun_cli.tracking.store import sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from starlette.applications import Starlette

    from nemorun_cli.serve.listening import Listening
    from nemorun_cli.serve.site import Site

INTERRUPTED: Final = 130  # the exit code after Ctrl-C
OWN_FILES: Final = 256  # descriptors that are not connections
STREAM_PATIENCE: Final = 1  # seconds for open answers when the server ends


class Ready(NamedTuple):
    """A server that listens.

    Attributes:
        url: the address for people, or `unix:` and a path.
        port: the number that was chosen; None for a unix socket.
        one_time: a token that a browser can exchange once for a session.
    """

    url: str
    port: int | None
    one_time: str


class ServerProcess(uvicorn.Server):
    """A server that ends open streams itself, and remembers by which signal it ends.

    Args:
        config: of uvicorn.
        on_ready: is called once it listens.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ended_by: int | None = None
        self._on_ready = on_ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again at the end, as uvicorn would."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to end; a second signal does not wait for open answers."""
        del frame
        self.force_exit = self.should_exit
        self.should_exit = True
        if self.ended_by is None:
            self.ended_by = sig

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and report it once signals are handled and clients can connect."""
        if self.config.ssl is not None:  # which uvicorn gives a minute
            loop = asyncio.get_running_loop()
            patient = functools.partial(loop.create_server, ssl_handshake_timeout=limits.HEADER_TIME)
            loop.create_server = patient  # type: ignore[method-assign]
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End open streams, which would last as long as their readers want, and then the rest."""
        app: Starlette = self.config.app  # type: ignore[assignment] # what `run` passed
        app.state.stopping.set()
        await super().shutdown(sockets)


def run(site: Site, where: Listening, *, logs_requests: bool, on_ready: Callable[[Ready], None]) -> int:
    """Serve until a signal, and return the exit code.

    Args:
        site: what is served.
        where: the address.
        logs_requests: whether each request is a line of the log.
        on_ready: is called once the server listens.

    Raises:
        UsageError: the address or the folder cannot be used, another server serves the same, or files belong
            to others.
    """
    require_own(site)
    if site.root is not None:
        require_usable_root(site.root)
    where.require_safe()
    process_limits.allow_many_files()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    BoundedConnection.most = min(limits.MOST_CONNECTIONS, max(files - OWN_FILES, 1))
    try:
        make_folder(site.own)
    except OSError as error:
        raise UsageError(f"{site.own} cannot be created: {error.strerror}") from error
    with _locked(site), contextlib.closing(listening.bound(where)) as bound:
        port = None if where.uds is not None else int(bound.getsockname()[1])
        app = make_app(site, hosts=where.hosts)
        _log_to_stderr(logs_requests=logs_requests)
        ready = Ready(where.url(port or 0), port, app.state.access.printed_token(user.name()))

        def report() -> None:
            on_ready(ready)
            _notify("READY=1")

        server = ServerProcess(_config(app, where), report)
        try:
            server.run(sockets=[bound])
        finally:
            if where.uds is not None:
                where.uds.unlink(missing_ok=True)
    return INTERRUPTED if server.ended_by == signal.SIGINT else 0


def require_own(site: Site) -> None:
    """Refuse folders that another user could have prepared; root may serve only what is root's.

    Raises:
        UsageError: a folder belongs to another user, or everybody may write to it.
    """
    folders = [site.root] if site.root is not None else [site.home, *site.dash_roots]
    for folder in (*folders, site.own):
        if not folder.exists():
            continue
        owner = folder.stat().st_uid
        if os.geteuid() == 0 and owner != 0:
            raise UsageError(
                f"{folder} belongs to {owners.shown(owner)}, and root would serve it",
                hint=f"run it as that user: sudo -u {owners.name_of(owner) or f'#{owner}'} exp serve …",
            )
        if distrust := owners.distrust(folder):
            raise UsageError(distrust.message, hint=distrust.remedy)


def require_usable_root(root: Path) -> None:
    """Refuse a folder in which a server would spoil, or be spoilt by, what is there already.

    Raises:
        UsageError: it is no folder, or in the folder of another server, or programs of this machine write
            records there and send them.
    """
    if root.exists() and not root.is_dir():
        raise UsageError(f"--root {root} is not a folder", hint="name a folder; a missing one is created")
    for above in root.parents:
        if sessions.is_collected(str(above)):
            raise UsageError(
                f"--root {root} is in {above}, the folder of another server",
                hint=f"serve that folder: exp serve --root {shlex.quote(str(above))}; or choose another one",
            )
    if (root / markers.FOLDER).is_dir():
        raise UsageError(
            f"--root {root} has records that programs of this machine send to a server",
            hint=f"to show them: exp serve --dash-root {shlex.quote(str(root))}; to collect: another folder",
        )


def _config(app: Starlette, where: Listening) -> uvicorn.Config:
    made = listening.context(where)
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=where.is_behind_proxy,
        forwarded_allow_ips="*" if where.is_behind_proxy else None,
        timeout_keep_alive=int(limits.IDLE_TIME),
        timeout_graceful_shutdown=STREAM_PATIENCE,
        h11_max_incomplete_event_size=limits.LARGEST_HEADERS,
        ssl_certfile=where.certificate,
        ssl_context_factory=None if made is None else lambda _config, _default: made,
    )


@contextlib.contextmanager
def _locked(site: Site) -> Iterator[None]:
    """Hold the lock of the server's own files, so that no second server writes them."""
    path = site.own / "lock"
    descriptor = locks.try_take(path)
    if descriptor is None:
        other = locks.read_holder(path)
        who = "another process" if other is None else f"process {other.pid} on {other.host}"
        raise UsageError(
            f"{who} already serves {site.root or site.home}",
            hint="use its address; or stop it first",
        )
    try:
        holder = locks.Holder(
            pid=os.getpid(), host=locks.hostname(), boot=locks.boot_id(), since=clock.stamp()
        )
        locks.write_holder(descriptor, holder)
        yield
    finally:
        os.close(descriptor)


def _log_to_stderr(*, logs_requests: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    for name, level in (
        ("nemorun_cli.serve", logging.INFO if logs_requests else logging.WARNING),
        ("uvicorn.error", logging.ERROR),
    ):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def _notify(state: str) -> None:
    """Report a state to systemd, if it started this process and waits for it."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sender.sendall(state.encode())
