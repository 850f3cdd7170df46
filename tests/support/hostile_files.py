"""What tasks, containers and other users can put in the place of a file, and what a reader may need."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SPARSE: Final = 1_000_000_000  # bytes; almost none of them take room on the disk
HUGE: Final = "a huge file"
LONGEST: Final = 2.0  # seconds that a reader may need
MEMORY: Final = 700 << 20  # bytes that a reader may take


def deep(top: Path, depth: int, *, file: bytes = b"") -> None:
    """Make a folder with so many folders in each other, the last of which contains a file."""
    top.mkdir()
    descriptor = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    with open("file", "wb", opener=partial(os.open, mode=0o600, dir_fd=descriptor)) as stream:
        stream.write(file)
    os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _fifo(path: Path, secret: Path) -> None:
    del secret
    os.mkfifo(path)


def _device(path: Path, secret: Path) -> None:
    del secret
    path.symlink_to("/dev/zero")


def _socket(path: Path, secret: Path) -> None:
    del secret
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as unused:
        unused.bind(path.name)  # a whole path would be too long for the address of a socket


def _folder(path: Path, secret: Path) -> None:
    del secret
    path.mkdir()


def _link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def _link_to_parent(path: Path, secret: Path) -> None:
    path.symlink_to(secret.parent)


def _loop(path: Path, secret: Path) -> None:
    del secret
    path.symlink_to(path.name)


def _huge(path: Path, secret: Path) -> None:
    del secret
    path.touch()
    os.truncate(path, SPARSE)


KINDS: Final[dict[str, Callable[[Path, Path], None]]] = {
    "a FIFO": _fifo,
    "a link to /dev/zero": _device,
    "a socket": _socket,
    "a folder": _folder,
    "a link to a foreign file": _link,
    "a link to a foreign folder": _link_to_parent,
    "a link to itself": _loop,
    HUGE: _huge,
}


def put(path: Path, kind: str, *, secret: Path) -> None:
    """Put something else in the place of a file or folder."""
    _remove(path)
    KINDS[kind](path, secret)


@contextlib.contextmanager
def limited(what: str, *, more: float = 0.0) -> Iterator[None]:
    """Fail if the block takes longer than LONGEST and `more`, or more memory than MEMORY in addition."""

    def too_long(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise AssertionError(f"{what} hangs")

    before, handler = resource.getrlimit(resource.RLIMIT_AS), signal.signal(signal.SIGALRM, too_long)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    timer = signal.getitimer(signal.ITIMER_REAL)
    start = time.monotonic()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
        signal.setitimer(signal.ITIMER_REAL, 5 * LONGEST + more)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - start < LONGEST + more, f"{what} takes too long"
